"""Finds the files that a scan reads: explicit paths, and folders walked with their ignore files.

Paths stay strings as the user wrote them, so that names which are no text (bytes that do not
decode) pass through unharmed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from codemlm.errors import UsageError
from codemlm.languages import language_for_path
from codemlm.source import Failure, Reason

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

DEFAULT_EXCLUDES = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    "__pycache__",
    "__pypackages__",
    "_build",
    "build",
    "buck-out",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)
"""Names of folders that a walk does not enter."""

_GENERATED_NAME = re.compile(r"(_pb2(_grpc)?|_pb|[._]generated)\.pyi?$", re.IGNORECASE)
_GENERATED_TEXT = re.compile(
    rb"do not edit|@generated|auto(matically)?[- ]?generated|machine[- ]generated"
    rb"|^\W*generated (by|from|with)\b"
    rb"|(is|was|file|code) (automatically )?generated (by|from|with|using)",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_LINES = re.compile(rb"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*")
_HEADER_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Target:
    """A file to scan.

    Attributes:
        path: as the user would write it.
        explicit: whether the user named it, rather than a folder above it.
    """

    path: str
    explicit: bool


@dataclass(frozen=True)
class Discovery:
    """Which files a scan reads.

    Attributes:
        exclude: gitignore patterns, relative to the working directory.
        force_exclude: whether they, and the default ones, hold for explicit files too.
        include_generated: whether files whose name says that they are generated are read.
        respect_gitignore: whether ``.gitignore`` files are obeyed.
    """

    exclude: Sequence[str] = ()
    force_exclude: bool = False
    include_generated: bool = False
    respect_gitignore: bool = True
    _seen: set[str] = field(default_factory=set, repr=False)

    def files(self, paths: Iterable[str]) -> Iterator[Target | Failure]:
        """Files under ``paths``, each once: in the order of ``paths``, by name within a folder."""
        for path in paths:
            try:
                mode = os.stat(path).st_mode  # noqa: PTH116  # paths may hold bytes that are no text
            except (OSError, ValueError):
                yield Target(path, explicit=True)  # reading it says what is wrong
                continue
            if not stat.S_ISDIR(mode):
                if not self.excludes(path) and self._is_new(path):
                    yield Target(path, explicit=True)
            elif not self.excludes(path.rstrip("/") + "/"):
                yield from self._walk(
                    path, _ancestor_ignores(path) if self.respect_gitignore else []
                )

    def _walk(self, root: str, ignores: list[_IgnoreFile]) -> Iterator[Target | Failure]:
        # A stack of iterators, not recursion: folders can nest deeper than Python calls.
        stack = [iter([(root, True)])]
        levels = [list(ignores)]
        while stack:
            path, is_folder = next(stack[-1], (None, False))
            if path is None:
                stack.pop()
                levels.pop()
            elif not is_folder:
                if self._is_new(path):
                    yield Target(path, explicit=False)
            else:
                found = levels[-1]
                if self.respect_gitignore:
                    found = [*found, *_read_ignore(path)]
                try:
                    entries = self._entries(path, found)
                except OSError as error:
                    detail = f"folder: {error.strerror or error}"
                    yield Failure(path, Reason.UNREADABLE, detail, explicit=path == root)
                    continue
                stack.append(iter(entries))
                levels.append(found)

    def _entries(self, folder: str, ignores: list[_IgnoreFile]) -> list[tuple[str, bool]]:
        """What to visit in a folder: (path, whether it is a folder), by name.

        Symbolic links to folders are not followed, so loops cannot trap the walk.
        """
        prefix = "" if folder in (".", "./") else folder.rstrip("/") + "/"
        prefix = prefix or ("/" if folder.startswith("/") else "")
        found: list[tuple[str, bool]] = []
        with os.scandir(folder) as entries:
            listed = list(entries)
        if any(e.name == "pyvenv.cfg" for e in listed):
            return []  # a virtual environment under a name of its own
        for entry in sorted(listed, key=lambda e: e.name):
            is_folder = entry.is_dir(follow_symlinks=False)
            path = prefix + entry.name
            if is_folder:
                wanted = entry.name not in DEFAULT_EXCLUDES
            else:
                wanted = language_for_path(entry.name) is not None and not _links_to_folder(entry)
                wanted = wanted and (self.include_generated or not is_generated_name(entry.name))
            marked = path + "/" if is_folder else path
            if wanted and not self._matches(marked) and not _is_ignored(marked, ignores):
                found.append((path, is_folder))
        return found

    def _is_new(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real in self._seen:
            return False
        self._seen.add(real)
        return True

    def excludes(self, path: str) -> bool:
        """Whether an explicit path is left out: it lies in an excluded folder, or matches."""
        if not self.force_exclude:
            return False
        parts = _relative(path).split("/")
        folders = ["/".join(parts[: i + 1]) + "/" for i in range(len(parts) - 1)]
        return (
            any(part in DEFAULT_EXCLUDES for part in parts[:-1])
            or any(self._matches(folder) for folder in folders)
            or self._matches(path)
        )

    def _matches(self, path: str) -> bool:
        return self._spec is not None and self._spec.match_file(_relative(path))

    @cached_property
    def _spec(self) -> GitIgnoreSpec | None:
        from pathspec import GitIgnoreSpec

        try:
            return GitIgnoreSpec.from_lines(self.exclude) if self.exclude else None
        except ValueError as error:
            raise UsageError(f"--exclude: {error}") from error


@dataclass(frozen=True, slots=True)
class _IgnoreFile:
    """Patterns of one ignore file, relative to its folder (absolute, with a final slash)."""

    folder: str
    spec: GitIgnoreSpec


def _links_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_generated_name(name: str) -> bool:
    """Whether a file's name says that a tool wrote it."""
    return _GENERATED_NAME.search(name) is not None


def is_generated(source: bytes) -> bool:
    """Whether the comments that open a file say that a tool wrote it."""
    header = _HEADER_LINES.match(source, 0, _HEADER_BYTES)
    return header is not None and _GENERATED_TEXT.search(header[0]) is not None


def _relative(path: str) -> str:
    """``path`` relative to the working directory where it lies below it, else absolute.

    The separator is ``/``, and a final one is kept.
    """
    tail = "/" if path.endswith("/") else ""
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        relative = os.path.abspath(path).lstrip(os.sep)  # noqa: PTH100
    return relative.replace(os.sep, "/") + tail


def _ancestor_ignores(root: str) -> list[_IgnoreFile]:
    """Ignore files above ``root``, up to the repository that it lies in, outermost first."""
    above = list(Path(os.path.abspath(root)).parents)  # noqa: PTH100  # links stay as written
    if (Path(root) / ".git").exists():
        above = []
    repository = next((i for i, folder in enumerate(above) if (folder / ".git").exists()), None)
    if repository is None:
        return []
    found = [f for folder in reversed(above[: repository + 1]) for f in _read_ignore(str(folder))]
    # A folder that the user names is scanned although git ignores it.
    return [] if _is_ignored(root.rstrip("/") + "/", found) else found


def _read_ignore(folder: str) -> list[_IgnoreFile]:
    """The ignore files of a folder; unreadable ones, and invalid patterns, count for nothing."""
    found = []
    for name in (".git/info/exclude", ".gitignore"):
        try:
            data = (Path(folder) / name).read_bytes()
        except (OSError, ValueError):
            continue
        spec = _spec_of(data.decode("utf-8", "surrogateescape").splitlines())
        if spec is not None:
            found.append(_IgnoreFile(os.path.abspath(folder).rstrip("/") + "/", spec))  # noqa: PTH100
    return found


def _spec_of(lines: list[str]) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _is_ignored(path: str, ignores: list[_IgnoreFile]) -> bool:
    """Whether git ignores ``path``: the innermost ignore file that has an opinion decides."""
    if not ignores:
        return False
    full = os.path.abspath(path) + ("/" if path.endswith("/") else "")  # noqa: PTH100
    for ignore in reversed(ignores):
        if full.startswith(ignore.folder):
            verdict = ignore.spec.check_file(full[len(ignore.folder) :]).include
            if verdict is not None:
                return verdict
    return False
