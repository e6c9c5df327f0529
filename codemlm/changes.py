"""Lines that git says have changed: since a revision, or staged for the next commit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from codemlm.config_files import ConfigFiles
from codemlm.discovery import Discovery, Target, is_source_name
from codemlm.errors import ConfigError, UsageError
from codemlm.notebooks import is_notebook
from codemlm.positions import LineIndex
from codemlm.scanner import FileResult
from codemlm.source import Failure, Reason, SourceFile, decode_source
from codemlm.types import Span

UNCHANGED = "on unchanged lines"

_V = TypeVar("_V")

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPED |= {b"v": b"\v"}
_REGULAR = (b"100644", b"100755")

Lines = tuple[tuple[int, int], ...] | None
"""Ranges of 1-based lines, both ends included; None: all lines."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed.

    Attributes:
        lines: changed lines of each file that is there, by absolute path.
        blobs: names of the objects that hold the files' contents, where these are not those on
            disk.
    """

    lines: Mapping[str, Lines]
    blobs: Mapping[str, str]

    def touch(self, path: str, first: int, last: int) -> bool:
        """Whether one of the lines from ``first`` to ``last`` of a file has changed."""
        ranges = self.lines.get(real_path(path), ())
        return ranges is None or any(start <= last and first <= end for start, end in ranges)


def real_path(path: str) -> str:
    """The absolute path, without links among its folders; git knows files by it."""
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def only_changed(
    results: Iterable[FileResult | Failure], changes: Changes
) -> Iterator[FileResult | Failure]:
    """The results with the findings that touch a changed line."""
    for result in results:
        if isinstance(result, Failure) or not result.findings or result.cells:
            yield result  # the lines of a notebook's file are not those of its cells
            continue
        index = LineIndex(result.source)

        def touched(span: Span | None, path: str = result.path, index: LineIndex = index) -> bool:
            if span is None:
                return False
            last = max(span.start, span.end - 1)
            return changes.touch(path, index.line_of(span.start), index.line_of(last))

        kept = [f for f in result.findings if touched(f.span) or touched(f.other)]
        yield result.keep(UNCHANGED, kept)


def changed_files(
    paths: Sequence[str], changes: Changes, discovery: Discovery, configs: ConfigFiles
) -> Iterator[Target | SourceFile | Failure]:
    """The changed files among those that a scan of ``paths`` would read, in order of their paths.

    Args:
        paths: files and folders, as the user named them.
        changes: what has changed.
        discovery: what is left out.
        configs: the largest size of a file.
    """
    named = {real_path(path) for path in paths}
    folders = tuple(path.rstrip(os.sep) + os.sep for path in named)
    for path in paths:
        if not os.path.lexists(path):
            yield Target(path, explicit=True)  # reading it says what is wrong
    chosen: list[str] = []
    for path in sorted(changes.lines):
        shown = os.path.relpath(path)
        name = os.path.basename(path)  # noqa: PTH119
        try:
            if path in named:
                wanted = not discovery.excludes(shown)
            else:
                wanted = path.startswith(folders) and is_source_name(name)
                wanted = wanted and not discovery.leaves_out(shown)
        except ConfigError as error:
            yield Failure(shown, Reason.CONFIGURATION, str(error), explicit=True)
            continue
        if wanted:
            chosen.append(path)
    if not changes.blobs:
        for path in chosen:
            yield Target(os.path.relpath(path), explicit=path in named)
        return
    for path, data in zip(chosen, read_blobs([changes.blobs[p] for p in chosen]), strict=True):
        shown = os.path.relpath(path)
        limit = configs.of_file(shown).config.max_bytes
        if len(data) > limit and not is_notebook(path):
            yield Failure(shown, Reason.TOO_LARGE, f"larger than {limit:,} bytes")
        else:
            yield decode_source(data, shown)


def changes_since(revision: str) -> Changes:
    """What has changed since the branch left ``revision``: committed, staged, neither, or new.

    Raises:
        UsageError: if there is no git, no repository around the working directory, or no such
            revision.
    """
    top = _top("--since")
    commit = _base(revision, top)
    lines = parse_diff(_checked(("diff", *_DIFF, "-U0", commit, "--"), top))
    others = _checked(("ls-files", "--others", "--exclude-standard", "-z"), top)
    whole: dict[bytes, Lines] = {path: None for path in others.split(b"\0") if path}
    return Changes({**_absolute(top, lines), **_absolute(top, whole)}, {})


def old_contents(revision: str | None) -> dict[str, bytes]:
    """What files held before they changed, by the absolute paths that they have now.

    Args:
        revision: of ``changes_since``; None: before what is staged.

    Raises:
        UsageError: as those do.
    """
    top = _top("--staged" if revision is None else "--since")
    what = "--cached" if revision is None else _base(revision, top)
    raw = _checked(("diff", *_DIFF, what, "--raw", "--no-abbrev", "-z", "--"), top)
    names = {path: old for path, old, _ in _blobs(raw) if old}
    contents = read_blobs(list(names.values()))
    return _absolute(top, dict(zip(names, contents, strict=True)))


def _base(revision: str, top: str) -> str:
    """The commit at which the branch left ``revision``.

    Raises:
        UsageError: if there is no such revision.
    """
    command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    found = _git(command, top)
    if found.returncode:
        raise UsageError(f"--since: {revision!r} is no commit of the repository {top}")
    commit = found.stdout.decode().strip()
    base = _git(("merge-base", commit, "HEAD"), top)
    return base.stdout.decode().strip() if base.returncode == 0 else commit


def staged_changes() -> Changes:
    """What is staged for the next commit.

    Raises:
        UsageError: if there is no git, or no repository around the working directory.
    """
    top = _top("--staged")
    lines = parse_diff(_checked(("diff", *_DIFF, "-U0", "--cached", "--"), top))
    raw = _checked(("diff", *_DIFF, "--cached", "--raw", "--no-abbrev", "-z", "--"), top)
    blobs = {path: new for path, _, new in _blobs(raw)}
    ranges = {path: lines.get(path, ()) for path in blobs}
    return Changes(_absolute(top, ranges), _absolute(top, blobs))


def read_blobs(names: Sequence[str]) -> Iterator[bytes]:
    """Contents of objects of the repository around the working directory, in their order."""
    if not names:
        return
    data = _checked(("cat-file", "--batch"), ".", "\n".join(names).encode() + b"\n")
    at = 0
    for _ in names:
        end = data.index(b"\n", at)
        size = int(data[at:end].split()[2])
        yield data[end + 1 : end + 1 + size]
        at = end + 2 + size


def parse_diff(diff: bytes) -> dict[bytes, Lines]:
    """Added and changed lines by path, of what ``git diff -U0`` prints."""
    found: dict[bytes, Lines] = {}
    rows = iter(diff.split(b"\n"))
    path = None
    for row in rows:
        if row.startswith(b"diff --git "):
            path = None
        elif row.startswith(b"+++ "):
            name = _unquoted(row[4:])
            path = name[2:] if name.startswith(b"b/") else None  # else /dev/null: a deletion
        elif (hunk := _HUNK.match(row)) is not None and path is not None:
            removed, start, added = (1 if n is None else int(n) for n in hunk.groups())
            if added:
                found[path] = (*(found.get(path) or ()), (start, start + added - 1))
            for _ in range(removed + added):  # text of the file, which may look like a header
                next(rows, None)
    return found


def _unquoted(name: bytes) -> bytes:
    """A path as git prints it: in quotes with escapes, or plain with a tab behind it."""
    if not name.startswith(b'"'):
        return name.rstrip(b"\t")

    def plain(match: re.Match[bytes]) -> bytes:
        what = match[1]
        return bytes([int(what, 8) & 0xFF]) if len(what) == 3 else _ESCAPED.get(what, what)

    return _ESCAPE.sub(plain, name[1 : name.rindex(b'"')])


def _blobs(raw: bytes) -> Iterator[tuple[bytes, str, str]]:
    """Paths of regular files that are there, with their old objects and the new ones.

    Args:
        raw: what ``git diff --raw -z`` prints. No old object: the name is empty.
    """
    fields = iter(raw.split(b"\0"))
    for facts in fields:
        if not facts.startswith(b":"):
            continue
        old_mode, mode, old, new, status = facts.split(b" ")
        path = next(fields)
        if status[:1] in b"RC":
            path = next(fields)
        if mode in _REGULAR and status != b"D":
            yield path, old.decode() if old_mode[1:] in _REGULAR else "", new.decode()


_DIFF = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--find-renames",
    "--ignore-submodules=all",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


def _absolute(top: str, table: Mapping[bytes, _V]) -> dict[str, _V]:
    return {os.path.join(top, os.fsdecode(path)): value for path, value in table.items()}  # noqa: PTH118


def _top(option: str) -> str:
    found = _git(("rev-parse", "--show-toplevel"), ".")
    if found.returncode:
        where = os.path.abspath(".")  # noqa: PTH100
        reason = found.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise UsageError(f"{option} needs a git repository, and {where} is in none ({reason})")
    return os.path.realpath(os.fsdecode(found.stdout.rstrip(b"\n")))


def _checked(arguments: Sequence[str], folder: str, data: bytes = b"") -> bytes:
    """What git prints.

    Raises:
        UsageError: if it fails.
    """
    found = _git(arguments, folder, data)
    if found.returncode:
        reason = found.stderr.decode("utf-8", "replace").strip()
        raise UsageError(f"git {arguments[0]} failed: {reason}")
    return found.stdout


def _git(
    arguments: Sequence[str], folder: str, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Runs git; its environment stays, as a hook's names the index that is committed.

    Raises:
        UsageError: if there is no git.
    """
    # A repository's own settings must not run programs.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=true", *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, cwd=folder, input=data, capture_output=True, check=False, env=environment
        )
    except OSError as error:
        raise UsageError(f"git cannot be run ({error.strerror}); install it") from error
