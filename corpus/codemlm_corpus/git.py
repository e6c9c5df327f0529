"""Reads trees and blobs of a git directory through ``git`` itself, without a work tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from codemlm.errors import CorpusError

_SYMLINK_MODE = "120000"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One regular file of a commit: its blob's id, and its path from the root."""

    blob: str
    path: str


def list_files(git_dir: str, commit: str) -> list[TreeEntry]:
    """Returns the regular files of ``commit`` (no symbolic links, no submodules), in git's order.

    Raises:
        CorpusError: if the directory or the commit cannot be read.
    """
    listing = _git(git_dir, "ls-tree", "-r", "-z", "--full-tree", commit)
    entries = []
    for record in listing.split(b"\0"):
        head, tab, path = record.partition(b"\t")
        if not tab:
            continue
        mode, kind, blob = head.decode("ascii").split()
        if kind == "blob" and mode != _SYMLINK_MODE:
            entries.append(TreeEntry(blob, path.decode("utf-8", "replace")))
    return entries


def read_blobs(git_dir: str, blobs: Sequence[str]) -> Iterator[bytes | None]:
    """Yields each blob's content in turn; None where the object is absent (partial copies).

    Args:
        blobs: ids, or ``commit:path``.
    """
    with tempfile.TemporaryFile() as requests:
        # Requests go in as a file: with a pipe, both ends could fill up and wait for each other.
        requests.write("".join(f"{blob}\n" for blob in blobs).encode("utf-8"))
        requests.seek(0)
        with subprocess.Popen(
            ["git", f"--git-dir={git_dir}", "cat-file", "--batch", "--buffer"],
            stdin=requests,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=git_environment(),
        ) as process:
            assert process.stdout is not None
            for blob in blobs:
                yield _read_reply(process.stdout, git_dir, blob)
            process.stdout.close()


def read_each(git_dir: str, blobs: Sequence[str]) -> Iterator[bytes | None]:
    """As ``read_blobs``, but an object that git fails at (a damaged one) counts as absent."""
    done = 0
    while done < len(blobs):
        try:
            for content in read_blobs(git_dir, blobs[done:]):
                done += 1
                yield content
        except CorpusError:
            done += 1
            yield None


def resolve_commit(git_dir: str, revision: str = "HEAD") -> str:
    """Returns the full id of the commit that ``revision`` names.

    Raises:
        CorpusError: if there is no such commit.
    """
    out = _git(git_dir, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return out.decode("ascii").strip()


def _read_reply(stream: IO[bytes], git_dir: str, blob: str) -> bytes | None:
    header = stream.readline().split()
    if not header:
        raise CorpusError(f"{git_dir}: git cat-file ended before object {blob}")
    if header[-1] == b"missing":
        return None
    size = int(header[2])
    content = stream.read(size)
    stream.read(1)  # the newline after each object
    if len(content) != size:
        raise CorpusError(f"{git_dir}: object {blob} was cut short")
    return content


def _git(git_dir: str, *arguments: str) -> bytes:
    run = subprocess.run(
        ["git", f"--git-dir={git_dir}", *arguments],
        capture_output=True,
        env=git_environment(),
        check=False,
    )
    if run.returncode:
        reason = run.stderr.decode("utf-8", "replace").strip() or f"exit status {run.returncode}"
        raise CorpusError(f"{git_dir}: git {arguments[0]} failed: {reason}")
    return run.stdout


def git_environment() -> dict[str, str]:
    """Never let git reach for the network (a promised object of a partial clone) or a prompt."""
    return {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
