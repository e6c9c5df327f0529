"""Names that a module of the project has not: ``from .util import prase_row``, ``util.prase``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codemlm.guards import is_guarded, is_guarded_import
from codemlm.module_members import MAX_CANDIDATES, imported_members, next_member
from codemlm.project import Missing, Module
from codemlm.reading import Reading, are_alike, by_likeness
from codemlm.surroundings import Surroundings
from codemlm.syntax import node_type_names

_BUILT = re.compile(r"^_|version|_pb2|config$|generated|build|parsetab|lextab|_rc$|^ui_")
"""Names of modules that a build makes: they need not be among the sources."""


@dataclass(frozen=True, slots=True)
class UnknownProjectMember:
    """A name that its module has not.

    Attributes:
        leaf: index of the leaf.
        text: the name.
        module: that lacks it.
        candidates: names of the module, most similar ones first.
        is_import: whether an import asks for it, rather than code that uses the module.
        alike: whether the first candidate may be the name misspelt.
    """

    leaf: int
    text: str
    module: Module
    candidates: tuple[str, ...]
    is_import: bool
    alike: bool


def unknown_project_members(reading: Reading) -> list[UnknownProjectMember]:
    """Every name of a file that a module of its project certainly has not, in source order."""
    if reading.around is None:
        return []
    search = _Search(reading, reading.around)
    return sorted((*search.imports(), *search.members()), key=lambda found: found.leaf)


class _Search:
    def __init__(self, reading: Reading, around: Surroundings) -> None:
        self.reading, self.parsed, self.around = reading, reading.parsed, around
        self.names = node_type_names(self.parsed.language)

    def imports(self) -> Iterator[UnknownProjectMember]:
        """Names that imports ask for."""
        parsed = self.parsed
        statement = self.names.index("import_from_statement")
        nodes = np.array(parsed.node_kinds, dtype=np.int64) == statement
        dotted = self.names.index("dotted_name")
        for node in np.flatnonzero(nodes).tolist():
            base = self.reading.imports.base_of(node)
            low, high = np.searchsorted(
                parsed.starts, [parsed.node_starts[node], parsed.node_ends[node]]
            ).tolist()
            leaves = range(low, high)
            at = next((leaf for leaf in leaves if parsed.text(leaf) == "import"), high)
            asked = [leaf for leaf in range(at, high) if parsed.parents[leaf] == dotted]
            if not base or not asked or is_guarded_import(parsed, asked[0]):
                continue
            module = self.around.module(base)
            if isinstance(module, Missing):
                parts = [leaf for leaf in range(low, at) if parsed.text(leaf) == module.name]
                found = self._found(parts[0], module, is_import=True) if parts else None
                if found is not None and not self._may_be_built(found):
                    yield found
            elif isinstance(module, Module):
                yield from self._of_import(module, asked)

    def _of_import(self, module: Module, asked: list[int]) -> Iterator[UnknownProjectMember]:
        for leaf in asked:
            if self.parsed.text(leaf - 1) == ".":
                continue
            found = self.around.member(module, self.parsed.text(leaf))
            if isinstance(found, Missing) and not self._is_doubtful(found, is_import=True):
                unknown = self._found(leaf, found, is_import=True)
                if not self._may_be_built(unknown):
                    yield unknown

    @staticmethod
    def _may_be_built(found: UnknownProjectMember) -> bool:
        """Whether a name may be that of a module that a build makes, or is compiled."""
        in_package = found.module.folder is not None
        return in_package and (not found.alike or _BUILT.search(found.text) is not None)

    def members(self) -> Iterator[UnknownProjectMember]:
        """Names that code takes of modules."""
        parsed = self.parsed
        for first in imported_members(parsed).tolist():
            leaf = int(first)
            place = int(self.reading.scopes[leaf - 2]), int(parsed.text_ids[leaf - 2])
            target = self.reading.imports.target(*place)
            found = self.around.resolve(target) if target else None
            while isinstance(found, Module) and leaf >= 0:
                found = self.around.member(found, parsed.text(leaf))
                if isinstance(found, Missing):
                    doubtful = self._is_doubtful(found, is_import=False)
                    if not doubtful and not is_guarded(parsed, leaf):
                        yield self._found(leaf, found, is_import=False)
                    break
                leaf = next_member(parsed, leaf)

    def _is_doubtful(self, missing: Missing, *, is_import: bool) -> bool:
        """Whether something else may give a module the name."""
        name, last = missing.name, missing.module.name.rpartition(".")[2]
        if not self.around.names(missing.module):
            return True  # a place for what others put there
        stored = {self.parsed.texts[text] for text in self.reading.stored.tolist()}
        # A string may be for `hasattr`; those in `__all__` only hand on what is imported.
        asked = not is_import or b"setattr(" in self.parsed.source
        if name in stored or (asked and name in self.reading.mentioned):
            return True
        return self.around.is_given(name) or self.around.is_opened(last)

    def _found(self, leaf: int, missing: Missing, *, is_import: bool) -> UnknownProjectMember:
        text, module = self.parsed.text(leaf), missing.module
        near = by_likeness(text, self.around.names(module) - {text})[:MAX_CANDIDATES]
        alike = bool(near) and are_alike(text, near[0])
        return UnknownProjectMember(leaf, text, module, near, is_import, alike)
