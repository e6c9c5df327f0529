"""Finds the files that a scan reads: explicit paths, and folders walked with their ignore files.

Paths stay strings as the user wrote them, so that names which are no text (bytes that do not
decode) pass through unharmed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from codemlm.errors import ConfigError
from codemlm.files import read_regular
from codemlm.generated import VENDORED_FOLDERS, is_generated_name
from codemlm.languages import language_for_path
from codemlm.notebooks import is_notebook
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
"""Names of folders that a walk does not enter, unless a configuration says otherwise."""

_PLAIN = re.compile(r"[\w.@+-]([\w.@+ -]*[\w.@+-])?")


@dataclass(frozen=True, slots=True)
class Target:
    """A file to scan.

    Attributes:
        path: as the user would write it.
        explicit: whether the user named it, rather than a folder above it.
    """

    path: str
    explicit: bool


class Patterns:
    """Gitignore patterns, relative to a folder.

    Args:
        base: the folder.
        lines: the patterns.

    Raises:
        ConfigError: if one is no pattern.
    """

    def __init__(self, base: str, lines: Sequence[str]) -> None:
        self.base = base
        # Plain names, which most patterns are, need no matcher; but what `!` takes back may be one.
        negated = any(line.startswith("!") for line in lines)
        self.names = frozenset(() if negated else filter(_PLAIN.fullmatch, lines))
        rest = [line for line in lines if line not in self.names]
        self._spec: GitIgnoreSpec | None = None
        if rest:
            try:
                self._spec = _compiled(rest)
            except ValueError as error:
                raise ConfigError(str(error)) from error

    def match(self, path: str) -> bool:
        """Whether a path matches; one that ends in a slash is a folder.

        A plain name matches the path's last part alone: who walks has asked about the others.
        """
        if path.rstrip("/").rpartition("/")[2] in self.names:
            return True
        return self._spec is not None and self._spec.match_file(_relative(path, self.base))

    def covers(self, path: str) -> bool:
        """Whether the file ``path`` matches, or one of its folders does."""
        parts = Path(os.path.relpath(path, self.base or None)).parts
        inside = parts[:1] != ("..",)
        return self.match(path) or (inside and not self.names.isdisjoint(parts))

    def below(self, root: str) -> Patterns:
        """The patterns that hold in a folder that the user named: plain names, if it matches."""
        if self._spec is None or not self._spec.match_file(_relative(root, self.base)):
            return self
        return Patterns(self.base, sorted(self.names))


@dataclass(frozen=True, slots=True)
class WalkRules:
    """What is left out in a folder.

    Attributes:
        exclude: patterns of what is left out.
        force_exclude: whether they hold for explicit files too.
        include_generated: whether vendored folders are entered, and files read whose name says
            that they are generated.
        respect_gitignore: whether ``.gitignore`` files are obeyed.
    """

    exclude: tuple[Patterns, ...] = (Patterns("", DEFAULT_EXCLUDES),)
    force_exclude: bool = False
    include_generated: bool = False
    respect_gitignore: bool = True

    def match(self, path: str) -> bool:
        """Whether a path is left out; one that ends in a slash is a folder."""
        return any(patterns.match(path) for patterns in self.exclude)

    def below(self, root: str) -> WalkRules:
        """The rules in a folder that the user named: that it is left out itself means nothing."""
        return replace(self, exclude=tuple(patterns.below(root) for patterns in self.exclude))


DEFAULT_RULES = WalkRules()


@dataclass(frozen=True)
class Discovery:
    """Which files a scan reads.

    Attributes:
        rules_of: the rules that hold in a folder; what it raises is reported, and the folder
            passed over.
    """

    rules_of: Callable[[str], WalkRules] = lambda _: DEFAULT_RULES
    _seen: set[str] = field(default_factory=set, repr=False)

    def files(self, paths: Iterable[str]) -> Iterator[Target | Failure]:
        """Files under ``paths``, each once: in the order of ``paths``, by name within a folder."""
        for path in paths:
            try:
                mode = os.stat(path).st_mode  # noqa: PTH116  # paths may hold bytes that are no text
            except (OSError, ValueError):
                yield Target(path, explicit=True)  # reading it says what is wrong
                continue
            is_folder = stat.S_ISDIR(mode)
            try:
                if self.excludes(path.rstrip("/") + "/" if is_folder else path):
                    continue
            except ConfigError as error:
                yield Failure(path, Reason.CONFIGURATION, str(error), explicit=True)
                continue
            if is_folder:
                yield from self._walk(path)
            elif self._is_new(path):
                yield Target(path, explicit=True)

    def _walk(self, root: str) -> Iterator[Target | Failure]:
        # A stack of iterators, not recursion: folders can nest deeper than Python calls.
        stack = [iter([(root, True)])]
        levels = [_ancestor_ignores(root)]
        while stack:
            path, is_folder = next(stack[-1], (None, False))
            if path is None:
                stack.pop()
                levels.pop()
            elif not is_folder:
                if self._is_new(path):
                    yield Target(path, explicit=False)
            else:
                try:
                    rules = self.rules_of(path).below(root.rstrip("/") + "/")
                    found = levels[-1]
                    if rules.respect_gitignore:
                        found = [*found, *_read_ignore(path)]
                    entries = _entries(path, rules, found if rules.respect_gitignore else [])
                except ConfigError as error:
                    yield Failure(path, Reason.CONFIGURATION, str(error), explicit=True)
                    continue
                except OSError as error:
                    detail = f"folder: {error.strerror or error}"
                    yield Failure(path, Reason.UNREADABLE, detail, explicit=path == root)
                    continue
                stack.append(iter(entries))
                levels.append(found)

    def _is_new(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real in self._seen:
            return False
        self._seen.add(real)
        return True

    def excludes(self, path: str) -> bool:
        """Whether an explicit path is left out: it matches, or a folder does that it lies in.

        Raises:
            ConfigError: if the configuration that holds there cannot be used.
        """
        rules = self.rules_of(path if path.endswith("/") else os.path.dirname(path) or ".")  # noqa: PTH120
        return rules.force_exclude and self._matches(path, rules)

    def leaves_out(self, path: str) -> bool:
        """Whether a walk would leave ``path`` out by its name; ignore files play no part.

        Raises:
            ConfigError: if the configuration that holds there cannot be used.
        """
        rules = self.rules_of(path if path.endswith("/") else os.path.dirname(path) or ".")  # noqa: PTH120
        *folders, name = _relative(path, "").rstrip("/").split("/")
        foreign = is_generated_name(name) or not VENDORED_FOLDERS.isdisjoint(folders)
        return (foreign and not rules.include_generated) or self._matches(path, rules)

    @staticmethod
    def _matches(path: str, rules: WalkRules) -> bool:
        """Whether a path matches the patterns, or a folder does that it lies in."""
        tail = "/" if path.endswith("/") else ""
        parts = os.path.relpath(path).replace(os.sep, "/").split("/")
        # Only folders below the working directory, or on the way from it to the path, count.
        first = sum(part == ".." for part in parts)
        folders = ["/".join(parts[: i + 1]) + "/" for i in range(first, len(parts) - 1)]
        return any(map(rules.match, [*folders, "/".join(parts) + tail]))


def _entries(folder: str, rules: WalkRules, ignores: list[_IgnoreFile]) -> list[tuple[str, bool]]:
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
        foreign = entry.name in VENDORED_FOLDERS if is_folder else is_generated_name(entry.name)
        if foreign and not rules.include_generated:
            continue
        if not is_folder and (not is_source_name(entry.name) or _links_to_folder(entry)):
            continue
        marked = path + "/" if is_folder else path
        if not rules.match(marked) and not _is_ignored(marked, ignores):
            found.append((path, is_folder))
    return found


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


def is_source_name(name: str) -> bool:
    """Whether a file's name says that it holds source, alone or in a notebook."""
    return language_for_path(name) is not None or is_notebook(name)


def _relative(path: str, base: str) -> str:
    """``path`` relative to the folder ``base`` where it lies below it, else absolute.

    The separator is ``/``, and a final one is kept. An empty base is the working directory.
    """
    tail = "/" if path.endswith("/") else ""
    relative = os.path.relpath(path, base or None)
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
            data = read_regular(os.path.join(folder, name))  # noqa: PTH118
        except (OSError, ValueError):
            continue
        spec = _spec_of(data.decode("utf-8", "surrogateescape").splitlines())
        if spec is not None:
            found.append(_IgnoreFile(os.path.abspath(folder).rstrip("/") + "/", spec))  # noqa: PTH100
    return found


def _spec_of(lines: list[str]) -> GitIgnoreSpec | None:
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    try:
        return _compiled(lines)
    except ValueError:
        return _compiled([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    try:
        _compiled([line])
    except ValueError:
        return False
    return True


def _compiled(lines: Sequence[str]) -> GitIgnoreSpec:
    """Gitignore patterns, ready to match.

    Raises:
        ValueError: if one is no pattern.
    """
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except re.error as error:  # pathspec makes regular expressions, and [z-a] is none
        raise ValueError(f"no gitignore pattern: {error}") from error


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
