"""Streams the commits of a git directory, and tells which changed one source file only.

One ``git log`` a repository, parsed as it comes: a history of any length takes the same memory.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from codemlm.errors import CorpusError
from codemlm_corpus.caps import is_test
from codemlm_corpus.git import git_environment

SUFFIX = ".py"
MAX_FILES = 30
"""Above this, the files of a commit are not looked at: no fix in one place has as many tests."""

_FORMAT = "%x01%H%x00%P%x00%ct%x00%B%x00"
_CHUNK_BYTES = 1 << 16
_REGULAR = frozenset((b"100644", b"100755"))
# What may change together with the source: prose, and notes for a release.
_PROSE = re.compile(
    r"\.(rst|md|txt|markdown|adoc|po|pot)$"
    r"|(^|/)(changelog|changes|news|history|authors|contributors|thanks|credits|todo|copyright"
    r"|release[-_ ]?notes)(\.[a-z]+)?$"
    r"|(^|/)(release-?notes|newsfragments|changelog\.d|changes|news|changelogs?|upcoming_changes"
    r"|doc|docs|whats_?new)/",
    re.IGNORECASE,
)
# Python files that hold no product code.
_ASIDE = re.compile(r"(^|/)(setup|conf|noxfile|tasks|fabfile|docs?/([^/]+/)*[^/]+)\.py$")


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One file that a commit touched.

    Attributes:
        status: git's letter: A added, D deleted, M modified, T another type of file.
        regular: whether it is a plain file where it exists (no symbolic link, no submodule).
        before, after: ids of its blobs; zeros where it does not exist.
    """

    status: str
    regular: bool
    before: str
    after: str
    path: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; ``message`` is subject and body, ``date`` the committer's, in epoch seconds.

    Attributes:
        files: at most ``MAX_FILES + 1``; the rest is left off.
    """

    id: str
    parents: tuple[str, ...]
    date: int
    message: str
    files: tuple[FileEdit, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A commit that changed one source file outside tests, and beside it only tests and prose."""

    commit: str
    parent: str
    path: str
    old_path: str
    message: str
    date: int
    blob_before: str
    blob_after: str


def changes(git_dir: str, head: str, drop: Callable[[str], object]) -> Iterator[Change]:
    """Yields the one-file changes among the ancestors of ``head``, newest first.

    Args:
        drop: called with the reason for every other commit (see ``one_file_change``).

    Raises:
        CorpusError: if git ends with an error, after what could be read was yielded.
    """
    for commit in commits(git_dir, head):
        found = one_file_change(commit)
        if isinstance(found, Change):
            yield found
        else:
            drop(found)


def one_file_change(commit: Commit) -> Change | str:
    """The change, or why ``commit`` is none: ``no-parent``, ``no-source-file``, ``many-files``...

    Renames are not asked of git: it would have to read blobs, which a partial copy may lack. A
    source file deleted and another one added are taken for a rename, and left to the comparison.
    """
    if not commit.parents:
        return "no-parent"
    if len(commit.files) > MAX_FILES:
        return "many-files"
    sources = [file for file in commit.files if _is_source(file.path)]
    if not sources:
        return "no-source-file"
    if any(not _may_go_along(file.path) for file in commit.files if file not in sources):
        return "other-files"
    pair = _before_and_after(sources)
    if pair is None:
        added = {"A", "D"}.issuperset(file.status for file in sources)
        return "file-added-or-deleted" if added else "many-source-files"
    old, new = pair
    if not (old.regular and new.regular) or "\ufffd" in old.path + new.path:
        return "not-a-plain-file"
    if old.before == new.after:
        return "mode-only"
    return Change(
        commit.id,
        commit.parents[0],
        new.path,
        old.path,
        commit.message,
        commit.date,
        old.before,
        new.after,
    )


def _before_and_after(sources: list[FileEdit]) -> tuple[FileEdit, FileEdit] | None:
    if len(sources) == 1 and sources[0].status == "M":
        return sources[0], sources[0]
    if sorted(file.status for file in sources) == ["A", "D"]:
        new, old = sorted(sources, key=lambda file: file.status)
        return old, new
    return None


def _is_source(path: str) -> bool:
    return path.endswith(SUFFIX) and not is_test(path)


def _may_go_along(path: str) -> bool:
    return is_test(path) or bool(_PROSE.search(path))


def is_aside(path: str) -> bool:
    """True for Python files that hold no product code: setup.py, documentation, task runners."""
    return bool(_ASIDE.search(path.lower()))


def commits(git_dir: str, head: str) -> Iterator[Commit]:
    """Yields the ancestors of ``head`` that are no merges, newest first, as git delivers them.

    Raises:
        CorpusError: if git ends with an error, after what could be read was yielded.
    """
    command = ["git", f"--git-dir={git_dir}", "-c", "i18n.logOutputEncoding=UTF-8"]
    command += ["-c", "log.showSignature=false", "-c", "core.commitGraph=false", "log"]
    command += ["--no-merges", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-color"]
    command += [f"--format={_FORMAT}", "--end-of-options", head, "--"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=git_environment()
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield from _parse(_fields(process.stdout))
        finally:
            process.stdout.close()  # ends git, where the caller stopped early
        if process.wait():
            errors.seek(0)
            reason = errors.read(1000).decode("utf-8", "replace").strip()
            raise CorpusError(f"{git_dir}: git log failed: {reason or process.returncode}")


def _fields(stream: IO[bytes]) -> Iterator[bytes]:
    """The NUL-terminated fields of ``stream``; what is cut short at its end is left off."""
    rest = b""
    while chunk := stream.read(_CHUNK_BYTES):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def _parse(fields: Iterator[bytes]) -> Iterator[Commit]:
    """Commits from the fields: four of a header, then a line of modes and a path for each file."""
    head: list[bytes] = []
    files: list[FileEdit] = []
    for field in fields:
        if field.startswith(b"\x01"):
            if head:
                yield _commit(head, files)
            head, files = [field[1:]], []
            head += [next(fields, b""), next(fields, b""), next(fields, b"")]
        elif field.lstrip(b"\n").startswith(b":"):
            path = next(fields, b"")
            if len(files) <= MAX_FILES:
                files.append(_file(field.lstrip(b"\n"), path))
    if head:
        yield _commit(head, files)


def _commit(head: list[bytes], files: list[FileEdit]) -> Commit:
    name, parents, date, message = (part.decode("utf-8", "replace") for part in head)
    return Commit(name, tuple(parents.split()), int(date or 0), message.strip(), tuple(files))


def _file(line: bytes, path: bytes) -> FileEdit:
    old_mode, new_mode, before, after, status = line[1:].split(b" ")
    letter = status[:1].decode("ascii", "replace")
    modes = {"A": (new_mode,), "D": (old_mode,)}.get(letter, (old_mode, new_mode))
    return FileEdit(
        letter,
        _REGULAR.issuperset(modes),
        before.decode("ascii"),
        after.decode("ascii"),
        path.decode("utf-8", "replace"),
    )
