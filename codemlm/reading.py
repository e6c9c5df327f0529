"""What the exact rules ask of a file: made once for all of them, and only where one asks."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from codemlm.classes import Classes
from codemlm.imports import Imports
from codemlm.scopes import Bindings, evaluation_scopes, lookup_order, role_table
from codemlm.signatures import Signatures
from codemlm.similarity import is_near_spelling, similarity
from codemlm.surroundings import Surroundings
from codemlm.syntax import ParsedFile
from codemlm.types import BINDING_ROLES, Role

_BINDS = role_table(BINDING_ROLES)
_MEMBERS = role_table(frozenset({Role.ATTRIBUTE, Role.METHOD}))
_ALIKE = 0.7
"""Similarity from which a member may be another one misspelt."""
_LONGEST_MENTION = 200
_NAMES = re.compile(r"[\w\s,.]+\Z")


class Reading:
    """Bindings, imports and classes of a file.

    Args:
        parsed: the file.
        around: the project around it; None: nothing is known of it.
    """

    def __init__(self, parsed: ParsedFile, around: Surroundings | None = None) -> None:
        self.parsed = parsed
        self.around = around

    @cached_property
    def bindings(self) -> Bindings:
        """Names that its scopes bind."""
        return Bindings(self.parsed)

    @cached_property
    def imports(self) -> Imports:
        """Names that it binds by imports alone."""
        return Imports(self.parsed, self.bindings)

    @cached_property
    def classes(self) -> Classes:
        """Its classes, and what their objects hold."""
        return Classes(self.parsed, self.bindings, self.imports, self.around)

    @cached_property
    def signatures(self) -> Signatures:
        """What its functions take."""
        return Signatures(self.parsed)

    @cached_property
    def scopes(self) -> np.ndarray:
        """The scope that each leaf is evaluated in: int32 (leaves,)."""
        return evaluation_scopes(self.parsed)

    @cached_property
    def stored(self) -> np.ndarray:
        """Text ids of members that it sets, of whatever object, without repetition."""
        return np.unique(self.parsed.text_ids[self.parsed.roles == Role.ATTRIBUTE_BINDING])

    @cached_property
    def own_reads(self) -> np.ndarray:
        """Members read of ``self`` and ``cls`` that nothing in the file stores: int64 (N,)."""
        parsed = self.parsed
        own = [i for i, text in enumerate(parsed.texts) if text in parsed.language.self_names]
        leaves = np.flatnonzero(_MEMBERS[parsed.roles])
        leaves = leaves[leaves >= 2]
        before = leaves - 2
        plain = np.isin(parsed.text_ids[before], own) & (parsed.roles[before] == Role.READ)
        plain &= parsed.ends[before] + 1 == parsed.starts[leaves]  # the dot between them
        leaves = leaves[plain]
        found: np.ndarray = leaves[~np.isin(parsed.text_ids[leaves], self.stored)]
        return found

    def function_binding(self, leaf: int, name: str) -> int:
        """The scope of the function around a leaf that binds a name; -1 if none does."""
        parsed = self.parsed
        if name not in parsed.texts:
            return -1
        order = lookup_order(parsed, int(self.scopes[leaf]))
        holder = self.bindings.holder(order, parsed.texts.index(name))
        return holder if holder >= 0 and parsed.scopes[holder].kind == "function" else -1

    def binders(self, leaf: int) -> np.ndarray:
        """Leaves anywhere in the file that bind a leaf's text, in source order: int64 (N,)."""
        parsed = self.parsed
        same = parsed.text_ids == parsed.text_ids[leaf]
        return np.flatnonzero(same & _BINDS[parsed.roles])

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Words of strings that hold nothing but names, as `getattr` and its like are given."""
        found: set[str] = set()
        for text in self.parsed.texts:
            if text[-1:] in ("'", '"') and 2 < len(text) < _LONGEST_MENTION:
                inner = text.lstrip("rRbBuU").strip("'\"")
                if _NAMES.match(inner):
                    found.update(inner.replace(",", " ").replace(".", " ").split())
        return frozenset(found)


def are_alike(text: str, other: str) -> bool:
    """Whether a member may be another one misspelt."""
    return similarity(text, other) >= _ALIKE or is_near_spelling(text, other)


def by_likeness(text: str, names: frozenset[str] | set[str]) -> tuple[str, ...]:
    """Names, those that are most like ``text`` first."""
    return tuple(sorted(names, key=lambda name: (-similarity(text, name), name)))
