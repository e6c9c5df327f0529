"""Counts and comparisons within a file, made once, that evidence is looked up in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from codemlm.evidence_places import NONE, Occurrences, Parallels, Places
from codemlm.evidence_spelling import twins
from codemlm.scopes import role_table
from codemlm.syntax import ParsedFile
from codemlm.types import BINDING_ROLES, NAME_ROLES, Role

GRAMS: Mapping[str, tuple[int, ...]] = {
    "left": (-1,),
    "right": (1,),
    "both": (-1, 1),
    "left_two": (-2, -1),
    "right_two": (1, 2),
    "wide": (-2, -1, 1, 2),
    "left_three": (-3, -2, -1),
}
_REACH = 3
_ROLES = 32
"""More than there are roles."""
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
MEMBER_ROLES = frozenset({Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING})
READ_ROLES = frozenset({Role.READ, Role.CALL, Role.UPDATE, Role.TYPE})

PARENTS = (
    ("argument_list",),
    ("keyword_argument",),
    ("comparison_operator",),
    ("subscript", "slice"),
    ("return_statement",),
    ("assignment", "augmented_assignment"),
    ("binary_operator",),
    ("boolean_operator", "not_operator", "if_statement", "while_statement", "elif_clause"),
    ("attribute",),
    ("call",),
    ("interpolation",),
    ("list", "tuple", "set", "dictionary", "pair"),
    ("for_statement", "for_in_clause"),
)
"""Node types of parents, by the number that the feature ``parent`` has."""


class Tables:
    """What a file says of its leaves.

    Args:
        parsed: the file.
        path: where it lies, which may say that it is a test.
    """

    def __init__(self, parsed: ParsedFile, path: str = "") -> None:
        self.parsed = parsed
        self.places = places = Places(parsed)
        self.roles = parsed.roles.astype(np.int64)
        self.in_test = _is_test(path) or b"def test_" in parsed.source
        every = np.arange(places.size)
        self.all = Occurrences(places.ids, every, places.size)
        self.binds = self._with_roles(BINDING_ROLES)
        self.reads = self._with_roles(READ_ROLES)
        self.imports = self._with_roles(frozenset({Role.IMPORT}))
        members = self.has_role(frozenset({Role.ATTRIBUTE_BINDING}))
        in_class = np.array([s.kind == "class" for s in parsed.scopes])[parsed.scopes_of]
        outside = self.has_role(frozenset({Role.DEFINITION}))
        below = np.array([s.parent for s in parsed.scopes])[parsed.scopes_of]
        class_kind = np.array([*(s.kind == "class" for s in parsed.scopes), False])
        members |= self.has_role(BINDING_ROLES) & in_class
        members |= outside & class_kind[below]
        self.members = self._of(members)
        self.grams = self._gram_keys()

    def has_role(self, roles: frozenset[Role]) -> np.ndarray:
        """Which leaves have one of the roles: bool (N,)."""
        found: np.ndarray = role_table(roles)[self.parsed.roles]
        return found

    def _with_roles(self, roles: frozenset[Role]) -> Occurrences:
        return self._of(self.has_role(roles))

    def _of(self, chosen: np.ndarray) -> Occurrences:
        leaves = np.flatnonzero(chosen)
        return Occurrences(self.places.ids[leaves], leaves, self.places.size)

    def context_hash(self, offsets: tuple[int, ...]) -> np.ndarray:
        """Hash of the texts around every leaf: uint64 (N,)."""
        size = self.places.size
        padded = np.zeros(size + 2 * _REACH, dtype=np.uint64)
        padded[_REACH : _REACH + size] = self.places.ids + 1
        found = np.full(size, len(offsets), dtype=np.uint64)
        for offset in offsets:
            found = (found ^ padded[_REACH + offset : _REACH + offset + size]) * _MIX[0]
            found ^= found >> np.uint64(29)
        return found

    def _gram_keys(self) -> dict[str, tuple[np.ndarray, Keys]]:
        """By kind of n-gram: hash of every leaf's context, and keys of the n-grams."""
        found = {}
        for name, offsets in GRAMS.items():
            context = self.context_hash(offsets)
            found[name] = (context, Keys(keyed(context, self.places.ids)))
        return found

    def gram_counts(self, name: str, leaves: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """How often texts stand in the contexts of leaves: int64 (N,)."""
        context, keys = self.grams[name]
        return keys.count(keyed(context[leaves], ids))

    def role_count(self, ids: np.ndarray, roles: np.ndarray) -> np.ndarray:
        """How often texts occur in roles: int64 (N,)."""
        found: np.ndarray = np.where(ids >= 0, self._in_role[ids * _ROLES + roles], 0)
        return found

    @cached_property
    def _in_role(self) -> np.ndarray:
        """How often each text occurs in each role, by both."""
        size = len(self.parsed.texts) * _ROLES
        return np.bincount(self.places.ids * _ROLES + self.roles, minlength=size)

    @cached_property
    def contexts(self) -> Keys:
        """Hashes of the texts on both sides of every leaf."""
        return Keys(self.grams["both"][0])

    @cached_property
    def slots(self) -> tuple[np.ndarray, Keys, Keys]:
        """Hash of every leaf's place among arguments, and keys without and with texts."""
        places = self.places
        which = np.where(places.keyword >= 0, -2 - places.keyword, places.position)
        hashed = keyed(places.callee.astype(np.uint64), which)
        inside = (places.list_node >= 0) & np.isin(self.roles, [int(r) for r in NAME_ROLES])
        literal = np.isin(self.roles, [int(Role.NUMBER), int(Role.CONSTANT), int(Role.STRING)])
        inside |= (places.list_node >= 0) & literal
        return (
            hashed,
            Keys(hashed[inside]),
            Keys(keyed(hashed[inside], places.ids[inside])),
        )

    @cached_property
    def parallels(self) -> Parallels:
        """Statements alongside."""
        return Parallels(self.places)

    @cached_property
    def parameters(self) -> dict[str, list[str]]:
        """Parameters by the name of what is called."""
        return self.places.parameters()

    @cached_property
    def twins(self) -> dict[str, tuple[str, int]]:
        """Names one edit away from others, with their counts."""
        names = self.has_role(NAME_ROLES)
        counts = Counter(self.parsed.texts[i] for i in self.places.ids[names].tolist())
        return {name: (other, counts[other]) for name, other in twins(counts).items()}

    @cached_property
    def parent_numbers(self) -> np.ndarray:
        """Number of every leaf's kind of parent in ``PARENTS``, ``NONE`` for others."""
        found = np.full(self.places.size, NONE)
        for number, kinds in enumerate(PARENTS):
            found[self.places.kinds(*kinds)] = number
        return found

    @cached_property
    def operators(self) -> dict[str, int]:
        """Numbers of operators; those of a class are neighbours."""
        classes = self.parsed.language.operator_classes.values()
        return {text: i for i, text in enumerate(dict.fromkeys(t for ops in classes for t in ops))}


def _is_test(path: str) -> bool:
    *folders, name = path.lower().replace("\\", "/").split("/")
    named = name.startswith(("test_", "tests.", "conftest.")) or name.endswith("_test.py")
    return named or not {"test", "tests", "testing"}.isdisjoint(folders)


def keyed(hashed: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Hashes of pairs: uint64 (N,)."""
    found = (hashed * _MIX[1]) ^ ((ids + 2).astype(np.uint64) * _MIX[2])
    mixed: np.ndarray = found ^ (found >> np.uint64(31))
    return mixed


class Keys:
    """How often each key occurs.

    Args:
        keys: uint64 (N,), in any order.
    """

    def __init__(self, keys: np.ndarray) -> None:
        ordered = np.sort(keys)
        begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))[: len(ordered)]
        self._keys = ordered[begins]
        self._counts = np.diff(begins, append=len(ordered))

    def count(self, keys: np.ndarray) -> np.ndarray:
        """How often each of some keys occurs: int64 (M,)."""
        if not len(self._keys):
            return np.zeros(len(keys), dtype=np.int64)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found: np.ndarray = np.where(self._keys[place] == keys, self._counts[place], 0)
        return found
