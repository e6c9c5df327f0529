"""Functions of a text that were walked before: where they stay the same, they need no new walk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

Key = tuple[int, int, int, bytes]
"""Type of a function's node and of its parent, its role there, and its text."""


@dataclass(slots=True)
class Scope:
    """A region in which names are bound.

    Attributes:
        kind: "module", "function", "class" or "comprehension".
        parent: index of the enclosing scope, -1 for the module.
        start, end: bytes of the node that opens it.
        bindings: names bound here (ids into ``ParsedFile.texts``) with their first binding leaf.
        outer: names declared global or nonlocal here.
    """

    kind: str
    parent: int
    start: int
    end: int
    bindings: dict[int, int] = field(default_factory=dict)
    outer: set[int] = field(default_factory=set)


class Walk(Protocol):
    """A walk over a text, or over a part of it: its columns so far.

    Attributes:
        rows: of leaves that were visited.
        known_rows: of leaves of parts that were known, int64 (N, 9).
        text_of: ids of the leaves' texts, in order.
        scopes, node_kinds, node_parents, node_starts, node_ends, conditions: as of ``ParsedFile``.
    """

    rows: list[tuple[int, int, int, int, int, int, int, int, int]]
    known_rows: list[np.ndarray]
    text_of: dict[bytes, int]
    scopes: list[Scope]
    node_kinds: list[int]
    node_parents: list[int]
    node_starts: list[int]
    node_ends: list[int]
    conditions: list[tuple[int, int, int, int]]

    def bind(self, scope: int, text: int, start: int) -> None:
        """Notes where a name is bound in a scope."""
        ...


@dataclass(frozen=True, slots=True)
class Fragment:
    """The columns of a part, as if the text began with it.

    Attributes:
        rows: of its leaves, int64 (N, 9).
        texts: by id.
        scopes: the first stands for the scope around it.
        node_kinds, node_parents, node_starts, node_ends: of its inner nodes; its own has no parent.
        conditions: as of ``ParsedFile``.
    """

    rows: np.ndarray
    texts: tuple[bytes, ...]
    scopes: tuple[Scope, ...]
    node_kinds: list[int]
    node_parents: list[int]
    node_starts: list[int]
    node_ends: list[int]
    conditions: list[tuple[int, int, int, int]]

    @classmethod
    def cut(cls, walk: Walk, start: int) -> Fragment:
        """Out of a walk over a part that begins at byte ``start``."""
        rows = np.array(walk.rows, dtype=np.int64).reshape(-1, 9)
        scopes = [
            replace(
                one,
                start=one.start - start,
                end=one.end - start,
                bindings={text: at - start for text, at in one.bindings.items()},
            )
            for one in walk.scopes
        ]
        return cls(
            rows=rows - np.array([start, start, 0, 0, 0, 0, 0, 0, 0]),
            texts=tuple(walk.text_of),
            scopes=tuple(scopes),
            node_kinds=walk.node_kinds,
            node_parents=walk.node_parents,
            node_starts=[at - start for at in walk.node_starts],
            node_ends=[at - start for at in walk.node_ends],
            conditions=[(a - start, b - start, kind, node) for a, b, kind, node in walk.conditions],
        )

    def add_to(self, walk: Walk, start: int, parent_node: int, scope: int) -> None:
        """Adds the part to the walk over a text.

        Args:
            walk: has visited nothing of it yet.
            start: byte where the part begins.
            parent_node: id of its parent.
            scope: index of the scope around it.
        """
        texts = [walk.text_of.setdefault(text, len(walk.text_of)) for text in self.texts]
        nodes, scopes = len(walk.node_kinds), len(walk.scopes) - 1
        rows = self.rows + np.array([start, start, 0, 0, 0, 0, nodes, 0, 0])
        rows[:, 7] = np.where(rows[:, 7] > 0, rows[:, 7] + scopes, scope)
        rows[:, 8] = np.array(texts, dtype=np.int64)[rows[:, 8]]
        walk.known_rows.append(rows)
        walk.node_kinds += self.node_kinds
        walk.node_parents += [n + nodes if n >= 0 else parent_node for n in self.node_parents]
        walk.node_starts += [at + start for at in self.node_starts]
        walk.node_ends += [at + start for at in self.node_ends]
        walk.conditions += [
            (first + start, last + start, kind, node + nodes)
            for first, last, kind, node in self.conditions
        ]
        around, *inner = self.scopes
        for one in inner:
            parent = one.parent + scopes if one.parent > 0 else scope
            made = Scope(one.kind, parent, one.start + start, one.end + start)
            made.bindings = {texts[text]: at + start for text, at in one.bindings.items()}
            made.outer = {texts[text] for text in one.outer}
            walk.scopes.append(made)
        for text, at in around.bindings.items():
            walk.bind(scope, texts[text], at + start)
        walk.scopes[scope].outer.update(texts[text] for text in around.outer)


class Fragments:
    """What is known of the last version of a text, and of the present one."""

    def __init__(self) -> None:
        self._now: dict[Key, Fragment] = {}
        self._before: dict[Key, Fragment] = {}

    def turn(self) -> None:
        """Begins another version: what the last one did not have is forgotten."""
        self._before, self._now = self._now, {}

    def get(self, key: Key) -> Fragment | None:
        """What is known of a part."""
        found = self._now.get(key) or self._before.get(key)
        if found is not None:
            self._now[key] = found
        return found

    def put(self, key: Key, fragment: Fragment) -> None:
        """Takes note of a part."""
        self._now[key] = fragment
