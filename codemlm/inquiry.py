"""What is asked of a project around one of its files, and remembered with the answers.

The same answers make the same findings: that is how long what a cache holds is true.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping

from codemlm.interfaces import Interface
from codemlm.project import Tree

SOURCE_FOLDERS = ("src", "lib", "python")
"""Folders below that of a project that its packages may stand in."""
PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
AMBIGUOUS = "?"
PLAIN, PACKAGE, FOLDER, OPAQUE = "module", "package", "folder", "opaque"
"""What stands at a path: a file, a folder with ``__init__.py``, one without, something compiled."""
Question = tuple[str, ...]


class Inquiry:
    """Questions about the project around one file.

    Args:
        tree: the project's files.
        path: of the file, from the root.

    Attributes:
        interfaces: of the modules that were asked for.
    """

    def __init__(self, tree: Tree, path: str) -> None:
        self.tree, self.path = tree, path
        self.interfaces: dict[str, Interface | None] = {}
        self._answers: dict[Question, str] = {}
        self._asked: set[Question] = set()
        self._listings: dict[str, frozenset[str]] = {}
        self._depth = 0

    @property
    def trace(self) -> tuple[tuple[Question, str], ...]:
        """What was asked so far, and answered."""
        return tuple((question, self._answers[question]) for question in sorted(self._asked))

    @property
    def place(self) -> str:
        """What tells the file, and its project, from others."""
        return f"{self.tree.root}\n{self.path}"

    @property
    def name(self) -> str:
        """Last part of the name of the file's module."""
        folder, name = posixpath.split(self.path.removesuffix(".py"))
        return posixpath.basename(folder) if name == "__init__" else name

    def holds(self, trace: Iterable[tuple[Question, str]]) -> bool:
        """Whether the same questions are answered in the same way now."""
        return all(self.ask(*question) == answer for question, answer in trace)

    def ask(self, *question: str) -> str:
        """The answer to a question: its kind, and what it is about."""
        if not self._depth:
            self._asked.add(question)
        if question not in self._answers:
            kind, *rest = question
            self._depth += 1
            self._answers[question] = self._KINDS[kind](self, *rest)
            self._depth -= 1
        return self._answers[question]

    def _answer_kind(self, stem: str) -> str:
        folder, name = posixpath.split(stem)
        listing = self._listing(folder)
        inside = self._listing(stem) if name in listing else frozenset()
        if "__init__.py" in inside:
            return PACKAGE
        if f"{name}.py" in listing and self.tree.is_file(f"{stem}.py"):
            return PLAIN
        if inside:
            return FOLDER
        return OPAQUE if any(one.startswith(f"{name}.") for one in listing) else ""

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            self._listings[folder] = self.tree.listing(folder)
        return self._listings[folder]

    def _answer_top(self, folder: str, name: str) -> str:
        """Path without suffix of a module that code in a folder imports by a name without dots.

        Modules are looked for in the folder itself, as scripts and Python 2 do, and in those above
        it that are no packages. Which of those are on the path of imports is certain of the folder
        of a script, of the root, and of what is a project of its own.
        """
        found: dict[str, str] = {}
        doubtful = False
        for one in upwards(folder):
            if self._kind_of_folder(one) == PACKAGE:
                doubtful = doubtful or (one == folder and bool(self.kind(join(one, name))))
                continue
            is_certain = one == folder or self._is_project(one)
            for place in (one, *(join(one, source) for source in SOURCE_FOLDERS)):
                stem = join(place, name)
                kind = self.kind(stem)
                if kind and not (is_certain or posixpath.basename(place) in SOURCE_FOLDERS):
                    doubtful = True
                elif kind:
                    found[stem] = kind
        certain = [stem for stem, kind in found.items() if kind != FOLDER] or list(found)
        if doubtful or len(certain) > 1:
            return AMBIGUOUS
        return certain[0] if certain else ""

    def _is_project(self, folder: str) -> bool:
        """Whether a folder is the root of a project, or of one of several in it."""
        return not folder or not self._listing(folder).isdisjoint(PROJECT_FILES)

    def _answer_interface(self, path: str) -> str:
        found = self.tree.interface(path)
        self.interfaces[path] = None if found is None else found[0]
        return "" if found is None else found[1]

    def _answer_parts(self, folder: str) -> str:
        """Names of the modules in a folder."""
        found = set()
        for name in self._listing(folder):
            stem, _, suffix = name.partition(".")
            is_module = suffix == "py" or "__init__.py" in self._listing(join(folder, name))
            if is_module and stem.isidentifier() and stem != "__init__":
                found.add(stem)
        return " ".join(sorted(found))

    def _answer_given(self, name: str, *beside: str) -> str:
        return "1" if self.tree.index().gives(name, self.path, beside) else ""

    def _answer_opened(self, name: str) -> str:
        return "1" if self.tree.index().opens(name, self.path) else ""

    def _answer_heirs(self, name: str) -> str:
        members = self.tree.index().heirs(name, self.path)
        return "" if members is None else _digest(" ".join(sorted(members)))

    _KINDS: Mapping[str, Callable[..., str]] = {
        "kind": _answer_kind,
        "top": _answer_top,
        "interface": _answer_interface,
        "parts": _answer_parts,
        "given": _answer_given,
        "opened": _answer_opened,
        "heirs": _answer_heirs,
    }

    def kind(self, stem: str) -> str:
        """What stands at a path without suffix: ``PLAIN`` and its like; empty: nothing."""
        return self.ask("kind", stem)

    def _kind_of_folder(self, folder: str) -> str:
        if not folder:
            return PACKAGE if "__init__.py" in self._listing("") else FOLDER
        return self.kind(folder)


def join(folder: str, name: str) -> str:
    """A path below a folder; that of the root is empty."""
    return f"{folder}/{name}" if folder else name


def upwards(folder: str) -> Iterator[str]:
    """A folder and those above it, the root last."""
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
