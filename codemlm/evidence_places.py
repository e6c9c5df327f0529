"""Where the leaves of a file stand: statements, arguments, scopes, and what stands alongside.

Columns over all leaves, computed once a file; ``evidence`` makes features of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from codemlm.scopes import kind_mask
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

NONE = -1
"""No such leaf, text or place."""

_CLIMB = 4
"""Nodes between a leaf and the argument that it is part of, at most."""
_NEIGHBOURS = (-1, 1, -2, 2)
"""Statements that may be parallel to one, nearest first."""
_LONGEST_PARALLEL = 60


class Occurrences:
    """Where each text occurs, for counts in a range and for the nearest one.

    Args:
        ids: text ids, int64 (N,), of the leaves that count.
        leaves: those leaves, int64 (N,).
        size: leaves of the file.
    """

    def __init__(self, ids: np.ndarray, leaves: np.ndarray, size: int) -> None:
        self._size = size + 1
        self._keys = np.sort(ids * self._size + leaves)

    def count(self, ids: np.ndarray, low: np.ndarray | int, high: np.ndarray | int) -> np.ndarray:
        """How often each text occurs among leaves [low, high): int64 (N,)."""
        first = np.searchsorted(self._keys, ids * self._size + low)
        many = np.searchsorted(self._keys, ids * self._size + high) - first
        found: np.ndarray = np.where(ids >= 0, many, 0)
        return found

    def total(self, ids: np.ndarray) -> np.ndarray:
        """How often each text occurs: int64 (N,)."""
        known = (ids >= 0) & (ids < len(self._totals))
        found: np.ndarray = np.where(known, self._totals[np.where(known, ids, 0)], 0)
        return found

    @cached_property
    def _totals(self) -> np.ndarray:
        """How often each text occurs, by id."""
        return np.bincount(self._keys // self._size, minlength=1)

    def before(self, ids: np.ndarray, leaves: np.ndarray) -> np.ndarray:
        """The last occurrence of each text before a leaf, ``NONE`` where there is none."""
        return self._at(ids, np.searchsorted(self._keys, ids * self._size + leaves) - 1)

    def after(self, ids: np.ndarray, leaves: np.ndarray) -> np.ndarray:
        """The first occurrence of each text after a leaf, ``NONE`` where there is none."""
        return self._at(ids, np.searchsorted(self._keys, ids * self._size + leaves + 1))

    def _at(self, ids: np.ndarray, places: np.ndarray) -> np.ndarray:
        if not len(self._keys):
            return np.full(len(ids), NONE)
        inside = (places >= 0) & (places < len(self._keys)) & (ids >= 0)
        text, leaf = np.divmod(self._keys[np.where(inside, places, 0)], self._size)
        found: np.ndarray = np.where(inside & (text == ids), leaf, NONE)
        return found


class Places:
    """Columns of a file.

    Attributes:
        ids: text ids, int64 (N,).
        node_starts, node_ends: byte ranges of the inner nodes, int64.
        segment: number of the statement (or of the head of a compound one) that a leaf is in.
        segment_starts: first leaf of each segment, and the file's end: int64 (S + 1,).
        function, class_range: leaf ranges of the innermost function (else the whole file) and
            class around each scope: int64 (scopes, 2); NONE for no class.
        has_bases: whether the class around a scope inherits: bool (scopes,).
        list_node: the argument list that a leaf is in, ``NONE`` outside: int64 (N,).
        callee, position, keyword: of the argument a leaf is in: text id of the function's name,
            number of the argument, text id of its keyword; ``NONE`` where there is none.
        target: text id of what a leaf's value is assigned to, as variable or keyword.
    """

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.names = node_type_names(parsed.language)
        self.size = len(parsed)
        self.ids = parsed.text_ids.astype(np.int64)
        self.id_of = {text: number for number, text in enumerate(parsed.texts)}
        self._nodes = parsed.parent_nodes.astype(np.int64)
        self._kinds = np.array(parsed.node_kinds, dtype=np.int64)
        self._parents = np.array(parsed.node_parents, dtype=np.int64)
        self.node_starts = np.array(parsed.node_starts, dtype=np.int64)
        self.node_ends = np.array(parsed.node_ends, dtype=np.int64)
        self._segments()
        self._scope_ranges()
        self._arguments()
        self._targets()

    def kinds(self, *kinds: str) -> np.ndarray:
        """Which leaves have a parent node of one of the types: bool (N,)."""
        found: np.ndarray = kind_mask(self.names, kinds)[self.parsed.parents]
        return found

    def texts_are(self, *texts: str) -> np.ndarray:
        """Which leaves have one of the texts: bool (N,)."""
        return np.isin(self.ids, [self.id_of[text] for text in texts if text in self.id_of])

    def leaf_at(self, offset: int) -> int:
        """The first leaf that starts at a byte or later."""
        return int(np.searchsorted(self.parsed.starts, offset))

    def _segments(self) -> None:
        blocks = kind_mask(self.names, ("block", "module"))
        statement = np.arange(len(self._kinds))
        above = blocks[self._kinds[self._parents]]
        for node, parent in enumerate(self._parents.tolist()):  # parents come first
            if parent >= 0 and not above[node]:
                statement[node] = statement[parent]
        of_leaf = statement[self._nodes] if self.size else np.zeros(0, dtype=np.int64)
        begins = np.flatnonzero(np.diff(of_leaf, prepend=NONE))
        self.segment_starts = np.append(begins, self.size)
        self.segment = np.repeat(np.arange(len(begins)), np.diff(self.segment_starts))

    def _scope_ranges(self) -> None:
        count = len(self.parsed.scopes)
        self.function = np.tile(np.array([0, self.size]), (count, 1))
        self.class_range = np.full((count, 2), NONE)
        self.has_bases = np.zeros(count, dtype=bool)
        for number, scope in enumerate(self.parsed.scopes):
            if scope.parent >= 0:
                self.function[number] = self.function[scope.parent]
                self.class_range[number] = self.class_range[scope.parent]
                self.has_bases[number] = self.has_bases[scope.parent]
            if scope.kind in ("function", "class"):
                extent = (self.leaf_at(scope.start), self.leaf_at(scope.end))
                if scope.kind == "function":
                    self.function[number] = extent
                else:
                    self.class_range[number] = extent
                    head = [
                        self.parsed.text(i) for i in range(extent[0], min(extent[1], extent[0] + 4))
                    ]
                    self.has_bases[number] = head[2:3] == ["("] and head[3:] not in (
                        [")"],
                        ["object"],
                    )

    def _arguments(self) -> None:
        parsed, spec = self.parsed, self.parsed.language
        is_list = kind_mask(self.names, (spec.argument_list,))
        is_keyword = kind_mask(self.names, (spec.keyword_argument,))
        self.list_node = np.full(self.size, NONE)
        keyword_node = np.full(self.size, NONE)
        node = self._nodes.copy()
        for _ in range(_CLIMB):
            open_ = (self.list_node < 0) & (node >= 0)
            here = open_ & is_list[self._kinds[node]]
            self.list_node[here] = node[here]
            named = open_ & is_keyword[self._kinds[node]]
            keyword_node[named & (keyword_node < 0)] = node[named & (keyword_node < 0)]
            node = np.where(node >= 0, self._parents[node], NONE)
        starts = self.node_starts
        opening = np.searchsorted(parsed.starts, starts[self.list_node])
        inside = self.list_node >= 0
        self.callee = np.where(inside & (opening > 0), self.ids[np.maximum(opening - 1, 0)], NONE)
        commas = np.flatnonzero(self.texts_are(",") & is_list[parsed.parents])
        found = Occurrences(self._nodes[commas], commas, self.size)
        self.position = np.where(inside, found.count(self.list_node, 0, np.arange(self.size)), NONE)
        keyword = np.searchsorted(parsed.starts, starts[keyword_node])
        named = inside & (keyword_node >= 0)
        self.keyword = np.where(named, self.ids[np.minimum(keyword, self.size - 1)], NONE)
        self.keyword_node = keyword_node

    def _targets(self) -> None:
        self.target = np.where(self.parsed.roles != Role.KEYWORD_ARGUMENT, self.keyword, NONE)
        equals = np.flatnonzero(self.texts_are("=") & self.kinds("assignment"))
        assigned = np.full(len(self.segment_starts), NONE)
        assigned[self.segment[equals[::-1]]] = equals[::-1]  # the first one of a segment wins
        sign = assigned[self.segment]
        value = (sign > 0) & (np.arange(self.size) > sign) & (self.target < 0)
        self.target = np.where(value, self.ids[np.maximum(sign - 1, 0)], self.target)

    def parameters(self) -> dict[str, list[str]]:
        """Parameters of the functions and classes that the file defines, without the receiver."""
        parsed = self.parsed
        by_scope: dict[int, list[str]] = {}
        for leaf in np.flatnonzero(parsed.roles == Role.PARAMETER).tolist():
            by_scope.setdefault(int(parsed.scopes_of[leaf]), []).append(parsed.text(leaf))
        found: dict[str, list[str]] = {}
        for number, own in by_scope.items():
            scope = parsed.scopes[number]
            outer = parsed.scopes[scope.parent]
            head = self.leaf_at(scope.start)
            name = next((parsed.text(i) for i in (head + 1, head + 2) if self._defines(i)), "")
            if name == "__init__" and outer.kind == "class":
                name = parsed.text(self.leaf_at(outer.start) + 1)
            if name:
                known = own[1:] if own[0] in parsed.language.self_names else own
                found.setdefault(name, known)
        return found

    def _defines(self, leaf: int) -> bool:
        return leaf < self.size and self.parsed.roles[leaf] == Role.DEFINITION


class Parallels:
    """Statements of the same shape next to each other, and what they say of each leaf.

    Attributes:
        aligned: text id at the same place of the neighbour, ``NONE`` without one: int64 (N,).
        expected: text id that the other differences of the two suggest, ``NONE`` for nothing.
        differing: share of the leaves in which the two differ; NaN without a neighbour.
    """

    def __init__(self, places: Places) -> None:
        size = places.size
        self.aligned = np.full(size, NONE)
        self.expected = np.full(size, NONE)
        self.differing = np.full(size, np.nan)
        starts = places.segment_starts.tolist()
        kinds, roles = places.parsed.kinds, places.parsed.roles
        shapes = [(kinds[a:b].tobytes(), roles[a:b].tobytes()) for a, b in pairwise(starts)]
        ids = places.ids.tolist()
        for number, shape in enumerate(shapes):
            low, high = starts[number], starts[number + 1]
            if not 3 <= high - low <= _LONGEST_PARALLEL:
                continue
            for offset in _NEIGHBOURS:
                other = number + offset
                if 0 <= other < len(shapes) and shapes[other] == shape:
                    self._compare(ids, low, high, starts[other])
                    break

    def _compare(self, ids: Sequence[int], low: int, high: int, other: int) -> None:
        mine, theirs = ids[low:high], ids[other : other + high - low]
        self.aligned[low:high] = theirs
        differing = sum(a != b for a, b in zip(mine, theirs, strict=True))
        self.differing[low:high] = differing / (high - low)
        meant: dict[int, list[int]] = {}
        for a, b in zip(mine, theirs, strict=True):
            meant.setdefault(b, []).append(a)
        for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            rest = list(meant[b])
            rest.remove(a)
            if rest and all(one == rest[0] for one in rest):
                self.expected[low + place] = rest[0]
