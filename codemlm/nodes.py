"""Inner nodes of a parsed file, with the leaves below them: for rules that look at expressions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from functools import cached_property
from itertools import pairwise

import numpy as np

from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

_BETWEEN = frozenset("()[]{},")
"""What stands before, between and after the elements of a display or an argument list."""


class Nodes:
    """The inner nodes of a file by kind, and ranges of leaves.

    Args:
        parsed: the file.
    """

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.names = node_type_names(parsed.language)

    @cached_property
    def _kinds(self) -> np.ndarray:
        return np.array(self.parsed.node_kinds, dtype=np.int64)

    @cached_property
    def _leaves(self) -> list[range]:
        starts, parsed = self.parsed.starts, self.parsed
        first = np.searchsorted(starts, parsed.node_starts).tolist()
        end = np.searchsorted(starts, parsed.node_ends).tolist()
        return list(map(range, first, end))

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.parsed.parent_nodes, kind="stable")

    @cached_property
    def _sorted_parents(self) -> np.ndarray:
        found: np.ndarray = self.parsed.parent_nodes[self._order]
        return found

    def of_kind(self, kind: str) -> list[int]:
        """Nodes of a kind, in the order of the tree's columns."""
        if kind not in self.names:
            return []
        found: list[int] = np.flatnonzero(self._kinds == self.names.index(kind)).tolist()
        return found

    def kind(self, node: int) -> str:
        """Kind of a node; "" above the root."""
        return self.names[self.parsed.node_kinds[node]] if node >= 0 else ""

    def leaves(self, node: int) -> range:
        """The leaves below a node."""
        return self._leaves[node]

    def own(self, node: int) -> list[int]:
        """The leaves that are children of a node, in source order."""
        low, high = np.searchsorted(self._sorted_parents, [node, node + 1]).tolist()
        found: list[int] = self._order[low:high].tolist()
        return found

    def keywords(self, node: int) -> list[int]:
        """The keywords that are children of a node: ``if`` and ``else`` of a conditional."""
        return [leaf for leaf in self.own(node) if self.parsed.roles[leaf] == Role.KEYWORD]

    def functions_around(self, node: int) -> Iterator[str]:
        """Names of the functions that a node is in, itself among them, innermost first."""
        parsed = self.parsed
        while node >= 0:
            if self.kind(node) == "function_definition":
                own = self.own(node)
                yield from (parsed.text(n) for n in own if parsed.roles[n] == Role.DEFINITION)
            node = parsed.node_parents[node]

    def operators(self, node: int) -> list[int]:
        """The operators of a comparison or of a boolean expression, in source order."""
        return self._operators.get(node, [])

    @cached_property
    def _operators(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        leaves = np.flatnonzero(self.parsed.roles == Role.OPERATOR)
        parents = self.parsed.parent_nodes[leaves].tolist()
        for parent, leaf in zip(parents, leaves.tolist(), strict=True):
            found[parent].append(leaf)
        return dict(found)

    def operator(self, node: int) -> str:
        """The first operator of a node; "" where it did not parse."""
        return next((self.parsed.text(leaf) for leaf in self.operators(node)), "")

    def operands(self, node: int) -> Iterator[tuple[range, int]]:
        """The operands of a node that has operators, each with the operator after it.

        The operator after the last is -1.
        """
        whole = self.leaves(node)
        start = whole.start
        for operator in self.operators(node):
            yield range(start, operator), operator
            start = operator + 1
        yield range(start, whole.stop), -1

    @cached_property
    def chains(self) -> list[tuple[str, list[tuple[range, int]]]]:
        """Every chain of ``and`` or of ``or``: its operator, and its operands as `operands` has."""
        found = []
        for node in self.of_kind("boolean_operator"):
            operator, around = self.operator(node), self.parsed.node_parents[node]
            if self.kind(around) != "boolean_operator" or self.operator(around) != operator:
                found.append((operator, list(self._chained(node, operator))))
        return found

    def _chained(self, node: int, operator: str) -> Iterator[tuple[range, int]]:
        for leaves, after in self.operands(node):
            inner = self.node_of(leaves)
            if self.kind(inner) != "boolean_operator" or self.operator(inner) != operator:
                yield leaves, after
                continue
            *rest, (last, _) = self._chained(inner, operator)
            yield from rest
            yield last, after

    def named(self, is_wanted: Callable[[str], bool], role: Role) -> list[int]:
        """The leaves of a role whose text is wanted, in source order."""
        parsed = self.parsed
        wanted = [i for i, text in enumerate(parsed.texts) if is_wanted(text)]
        found = np.isin(parsed.text_ids, wanted) & (parsed.roles == role)
        leaves: list[int] = np.flatnonzero(found).tolist()
        return leaves

    def method_calls(self, names: Container[str]) -> Iterator[tuple[int, int]]:
        """Calls of methods of some names: the leaf of the name, and the node."""
        parsed = self.parsed
        for leaf in self.named(names.__contains__, Role.METHOD):
            call = parsed.node_parents[int(parsed.parent_nodes[leaf])]
            if self.kind(call) == "call" and self.arguments(call).start == leaf + 1:
                yield leaf, call

    def arguments(self, call: int) -> range:
        """The leaves of a call's arguments, with the parentheses; empty if there are none."""
        node = int(self.parsed.parent_nodes[self.leaves(call)[-1]])
        if self.kind(node) != "argument_list" or self.parsed.node_parents[node] != call:
            return range(0)
        return self.leaves(node)

    def elements(self, node: int) -> list[range]:
        """The leaves of each element of a display, or argument of an argument list."""
        own = [leaf for leaf in self.own(node) if self.parsed.text(leaf) in _BETWEEN]
        return [range(a + 1, b) for a, b in pairwise(own) if b - a > 1]

    def positional(self, call: int) -> list[range]:
        """The leaves of each argument of a call; none if one has a keyword, or is unpacked."""
        arguments, parsed = self.arguments(call), self.parsed
        if not arguments:
            return []
        found = self.elements(int(parsed.parent_nodes[arguments[0]]))
        firsts = [leaves[0] for leaves in found]
        if any(parsed.roles[n] == Role.KEYWORD_ARGUMENT for n in firsts):
            return []
        return [] if any(parsed.text(n) in ("*", "**") for n in firsts) else found

    def is_text(self, leaves: range) -> bool:
        """Whether an expression is a text, of one part or of several, with nothing put into it."""
        kinds = [self.names[int(self.parsed.kinds[leaf])] for leaf in leaves]
        return "string" in kinds and all(kind in ("string", "comment") for kind in kinds)

    def shown(self, leaves: range) -> str:
        """The source of an expression, on one line."""
        parsed = self.parsed
        source = parsed.source[parsed.starts[leaves[0]] : parsed.ends[leaves[-1]]]
        return " ".join(source.decode("utf-8", "replace").split())

    def node_of(self, leaves: range) -> int:
        """The outermost node with just these leaves; -1 if there is none."""
        found, parents = -1, self.parsed.node_parents
        node = int(self.parsed.parent_nodes[leaves[0]]) if leaves else -1
        while node >= 0 and self.leaves(node).stop <= leaves.stop:
            if self.leaves(node) == leaves:
                found = node
            node = parents[node]
        return found

    def bare(self, leaves: range) -> range:
        """Leaves of an expression without parentheses around the whole of it."""
        parsed = self.parsed
        while len(leaves) > 2 and parsed.text(leaves[0]) == "(":
            node = int(parsed.parent_nodes[leaves[0]])
            if self.kind(node) != "parenthesized_expression" or self.leaves(node) != leaves:
                break
            leaves = leaves[1:-1]
        return leaves

    def texts(self, leaves: range) -> tuple[int, ...]:
        """The text ids of leaves: equal where two expressions are the same but for white space."""
        found: list[int] = self.parsed.text_ids[leaves.start : leaves.stop].tolist()
        return tuple(found)
