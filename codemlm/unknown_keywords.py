"""Keyword arguments that the called function does not take, where the file defines it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codemlm.guards import is_guarded
from codemlm.reading import Reading, by_likeness
from codemlm.scopes import lookup_order
from codemlm.syntax import node_type_names
from codemlm.types import Role


@dataclass(frozen=True, slots=True)
class UnknownKeyword:
    """A keyword argument that the called function does not take.

    Attributes:
        leaf: index of the leaf.
        text: the keyword.
        function: name of the function or class that is called.
        candidates: its parameters that the call does not give, most similar ones first.
    """

    leaf: int
    text: str
    function: str
    candidates: tuple[str, ...]


def unknown_keywords(reading: Reading) -> list[UnknownKeyword]:
    """Every certainly unknown keyword argument of a file, in source order."""
    leaves = np.flatnonzero(reading.parsed.roles == Role.KEYWORD_ARGUMENT)
    return list(_Search(reading, leaves).run()) if len(leaves) else []


class _Search:
    def __init__(self, reading: Reading, leaves: np.ndarray) -> None:
        parsed = reading.parsed
        self.reading, self.parsed, self.leaves = reading, parsed, leaves
        self.names = node_type_names(parsed.language)
        self.defined = set(parsed.text_ids[parsed.roles == Role.DEFINITION].tolist())
        self._signatures: dict[int, frozenset[str] | None] = {}

    def run(self) -> Iterator[UnknownKeyword]:
        """The keywords, call by call."""
        parsed = self.parsed
        calls: dict[int, list[int]] = defaultdict(list)
        for leaf in self.leaves.tolist():
            calls[parsed.node_parents[int(parsed.parent_nodes[leaf])]].append(leaf)
        for arguments, leaves in calls.items():
            call = parsed.node_parents[arguments]
            if call < 0 or self.names[parsed.node_kinds[call]] != "call":
                continue
            callee = int(np.searchsorted(parsed.starts, parsed.node_starts[arguments])) - 1
            if callee < 0 or int(parsed.text_ids[callee]) not in self.defined:
                continue
            given = {parsed.text(leaf) for leaf in leaves}
            taken = self._taken(call, callee)
            if taken is None or given <= taken:
                continue
            for leaf in leaves:
                text = parsed.text(leaf)
                if text not in taken and not is_guarded(parsed, leaf):
                    left = by_likeness(text, taken - given - parsed.language.self_names)
                    yield UnknownKeyword(leaf, text, parsed.text(callee), left)

    def _taken(self, call: int, callee: int) -> frozenset[str] | None:
        """Names that the called function takes; None if that is not certain."""
        parsed, text = self.parsed, int(self.parsed.text_ids[callee])
        if parsed.starts[callee] == parsed.node_starts[call]:
            order = lookup_order(parsed, int(self.reading.scopes[callee]))
            holder = self.reading.bindings.holder(order, text)
            node = self._definition(holder, text)
            if node >= 0 and self.names[parsed.node_kinds[node]] == "class_definition":
                return self._constructor(node)
            return self._signature(node) if node >= 0 else None
        own = parsed.text(callee - 2) in parsed.language.self_names
        if own and parsed.starts[callee - 2] == parsed.node_starts[call]:
            scope = self.reading.classes.class_of(
                int(self.reading.scopes[callee]), int(parsed.text_ids[callee - 2])
            )
            if scope < 0 or self.reading.classes.is_overridden(scope, parsed.text(callee)):
                return None
            node = self._definition(scope, text)
            return self._signature(node) if node >= 0 else None
        return None

    def _definition(self, holder: int, text: int) -> int:
        """The definition that alone binds a name in a scope, as a node; -1 if there is none."""
        if holder < 0 or text in self.reading.bindings.declared:
            return -1
        leaves = self.reading.bindings.of(holder, text)
        if len(leaves) != 1 or self.parsed.roles[leaves[0]] != Role.DEFINITION:
            return -1
        return int(self.parsed.parent_nodes[leaves[0]])

    def _constructor(self, node: int) -> frozenset[str] | None:
        """What calling a class takes; None if its own `__init__` does not tell."""
        scope = self.reading.classes.scope_of(node)
        if (
            scope < 0
            or self.reading.classes.members(scope) is None
            or "__init__" not in self.parsed.texts
        ):
            return None
        own = self._definition(scope, self.parsed.texts.index("__init__"))
        return self._signature(own) if own >= 0 else None

    def _signature(self, node: int) -> frozenset[str] | None:
        """Parameters of a function definition; None if it takes any, or is decorated."""
        if node not in self._signatures:
            self._signatures[node] = self._read(node)
        return self._signatures[node]

    def _read(self, node: int) -> frozenset[str] | None:
        parsed = self.parsed
        start, end = parsed.node_starts[node], parsed.node_ends[node]
        if self.names[parsed.node_kinds[node]] != "function_definition":
            return None
        outer = self.names[parsed.node_kinds[parsed.node_parents[node]]]
        low, high = np.searchsorted(parsed.starts, [start, end]).tolist()
        scope = next(
            (i for i, s in enumerate(parsed.scopes) if (s.start, s.end) == (start, end)), -1
        )
        if outer == "decorated_definition" or scope < 0:
            return None
        here = np.flatnonzero(
            (parsed.roles[low:high] == Role.PARAMETER) & (parsed.scopes_of[low:high] == scope)
        )
        leaves = (here + low).tolist()
        if any(parsed.text(leaf - 1) == "**" for leaf in leaves):
            return None
        return frozenset(parsed.text(leaf) for leaf in leaves if parsed.text(leaf - 1) != "*")
