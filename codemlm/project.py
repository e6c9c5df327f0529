"""What a project is made of: its modules, what names in them stand for, who else uses a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from codemlm.interfaces import OF_MODULE, UNKNOWN_BASE, ClassFacts, Interface


class Tree(Protocol):
    """The files of a project, by paths from its root, with ``/``.

    Attributes:
        root: what tells the project from others.
    """

    root: str

    def is_file(self, path: str) -> bool:
        """Whether a file is there."""

    def listing(self, folder: str) -> frozenset[str]:
        """Names in a folder; none if it is none."""

    def interface(self, path: str) -> tuple[Interface, str] | None:
        """What a module shows now, with a digest of it; None if it cannot be read."""

    def index(self) -> Index:
        """What the project's modules do with members and classes."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the project.

    Attributes:
        name: dotted name, for people.
        path: of its file, from the root; empty without one that can be read.
        folder: of a package; None for others.
    """

    name: str
    path: str
    folder: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A name that a module of the project has not."""

    module: Module
    name: str


@dataclass(frozen=True, slots=True)
class ClassAt:
    """A class of a module."""

    module: Module
    name: str
    facts: ClassFacts


@dataclass(frozen=True, slots=True)
class FunctionAt:
    """A function of a module, with its parameters."""

    module: Module
    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outside:
    """Something that is no part of the project, by its dotted name."""

    name: str


@dataclass(frozen=True, slots=True)
class Something:
    """Something that is there, and of which no more is known."""


Found = Module | Missing | ClassAt | FunctionAt | Outside | Something | None
SOMETHING = Something()


@dataclass(frozen=True, slots=True)
class Lineage:
    """A class and its bases, as far as they stand in other modules.

    Attributes:
        classes: each once, those that are nearer first.
        outside: dotted names of bases that are no part of the project.
    """

    classes: tuple[ClassAt, ...]
    outside: frozenset[str]


class Index:
    """What modules do with members and classes, whichever these are.

    Args:
        interfaces: of the modules, by path.
    """

    def __init__(self, interfaces: Iterable[tuple[str, Interface]]) -> None:
        self._given: dict[str, set[str]] = defaultdict(set)
        self._names: dict[str, frozenset[str]] = {}
        self._opened: dict[str, set[str]] = defaultdict(set)
        self._heirs: dict[str, list[tuple[str, str, frozenset[str]]]] = defaultdict(list)
        for path, one in interfaces:
            for name in one.given:
                self._given[name].add(path)
            if one.given:
                self._names[path] = one.names
            for name in one.opened:
                self._opened[name].add(path)
            for name, facts in one.classes.items():
                plain = name.partition("@")[0]
                for base in facts.bases:
                    last = base.replace(OF_MODULE, ".").rpartition(".")[2].lstrip(UNKNOWN_BASE)
                    if last:
                        entry = (path, plain, facts.own | facts.assigned)
                        self._heirs[last].append(entry)

    def gives(self, name: str, besides: str, beside: tuple[str, ...] = ()) -> bool:
        """Whether a module sets a member of that name, of an object other than ``self``.

        Args:
            name: of the member.
            besides: a module that does not count.
            beside: only modules count that have one of these names at their top; none: all do.
        """
        found = self._given.get(name, set()) - {besides}
        return any(not beside or not self._names[path].isdisjoint(beside) for path in found)

    def opens(self, name: str, besides: str) -> bool:
        """Whether a module gives members of any name to what is called so."""
        return bool(self._opened.get(name, set()) - {besides})

    def heirs(self, name: str, besides: str) -> frozenset[str] | None:
        """Members of all classes with a base of that name, near or far; None if there are none."""
        found: set[str] = set()
        seen, pending = {name}, [name]
        count = 0
        while pending:
            for path, heir, members in self._heirs.get(pending.pop(), ()):
                if path != besides:
                    found |= members
                    count += 1
                if heir not in seen:
                    seen.add(heir)
                    pending.append(heir)
        return frozenset(found) if count else None
