"""What stands twice where once would do: the second was copied, and not changed.

The same operand on both sides, the same condition in a chain of ``elif``, the same value for two
keywords where nothing reads the variable of the second one's name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from codemlm.forms import Form, is_pure
from codemlm.nodes import Nodes
from codemlm.reading import Reading
from codemlm.scopes import role_table
from codemlm.types import Role

_ORDERS = frozenset({"<", ">", "<=", ">=", "in", "not in", "is", "is not"})
_NEVER_NAN = frozenset({"shape", "size", "ndim", "name", "id", "type", "dtype", "key", "path"})
"""Members that differ from themselves in no object: what may be a number of its own may be NaN."""
_NAMES = frozenset({Role.READ, Role.ATTRIBUTE})
_READS = role_table(frozenset({Role.READ, Role.CALL, Role.TYPE}))


def repeated_operands(nodes: Nodes) -> Iterator[Form]:
    """``rows in rows``, ``a and b and a``: the same on both sides."""
    parsed = nodes.parsed
    for node in nodes.of_kind("comparison_operator"):
        parts = list(nodes.operands(node))
        if len(parts) != 2 or not parts[0][0] or not _is_same(nodes, parts[0][0], parts[1][0]):
            continue
        left, between = parts[0]
        leaf = _last_name(nodes, parts[1][0])
        known = parsed.text(between) in _ORDERS or _is_certain(nodes, left)
        if leaf >= 0 and known and not _is_asserted(nodes, node):
            yield Form(leaf, "both operands are the same", None)
    for operator, chain in nodes.chains:
        seen: list[range] = []
        for leaves, _ in chain:
            leaf = _last_name(nodes, leaves)
            if leaf >= 0 and any(_is_same(nodes, one, leaves) for one in seen):
                yield Form(leaf, f"the same stands before in this chain of `{operator}`", None)
            seen.append(leaves)


def repeated_conditions(nodes: Nodes) -> Iterator[Form]:
    """A condition that an earlier branch has had, or two branches of a conditional expression."""
    parsed = nodes.parsed
    clauses: dict[int, list[int]] = {}
    for clause in nodes.of_kind("elif_clause"):
        clauses.setdefault(parsed.node_parents[clause], []).append(clause)
    for statement, branches in clauses.items():
        seen = [_condition(nodes, statement)]
        for clause in sorted(branches, key=lambda one: parsed.node_starts[one]):
            condition = _condition(nodes, clause)
            leaf = _last_name(nodes, condition)
            if leaf >= 0 and any(_is_same(nodes, one, condition) for one in seen):
                yield Form(leaf, "an earlier branch has the same condition", None)
            seen.append(condition)
    for node in nodes.of_kind("conditional_expression"):
        own = nodes.keywords(node)
        whole = nodes.leaves(node)
        if len(own) == 2 and _is_same(
            nodes, range(whole.start, own[0]), range(own[1] + 1, whole.stop)
        ):
            leaf = _last_name(nodes, range(own[1] + 1, whole.stop))
            if leaf >= 0:
                yield Form(leaf, "both branches are the same", None)


def _condition(nodes: Nodes, node: int) -> range:
    """The leaves of the condition of an ``if`` or ``elif``."""
    own = nodes.own(node)
    colon = next((leaf for leaf in own if nodes.parsed.text(leaf) == ":"), own[0] + 1)
    return range(own[0] + 1, colon)


def copied_arguments(reading: Reading, nodes: Nodes) -> Iterator[Form]:
    """``f(low=low, high=low)`` where ``high`` is at hand, and nothing reads it."""
    parsed = reading.parsed
    by_call: dict[int, dict[str, int]] = defaultdict(dict)
    for leaf in np.flatnonzero(parsed.roles == Role.KEYWORD_ARGUMENT).tolist():
        node = int(parsed.parent_nodes[leaf])
        if nodes.leaves(node).stop == leaf + 3 and parsed.roles[leaf + 2] == Role.READ:
            by_call[parsed.node_parents[node]][parsed.text(leaf)] = leaf + 2
    for given in by_call.values():
        for keyword, value in given.items():
            text = parsed.text(value)
            twin = given.get(text)
            if keyword == text or twin is None or parsed.text(twin) != text:
                continue
            if _is_left_over(reading, value, keyword):
                says = f"`{keyword}` is given `{text}`, and nothing reads the `{keyword}` in reach"
                yield Form(value, says, (keyword,))


def _is_left_over(reading: Reading, leaf: int, name: str) -> bool:
    """Whether a function around a leaf binds a name, and nothing reads it."""
    parsed, holder = reading.parsed, reading.function_binding(leaf, name)
    if holder < 0:
        return False
    low, high = np.searchsorted(
        parsed.starts, [parsed.scopes[holder].start, parsed.scopes[holder].end]
    )
    same = parsed.text_ids[low:high] == parsed.texts.index(name)
    return not _READS[parsed.roles[low:high][same]].any()


def _is_same(nodes: Nodes, left: range, right: range) -> bool:
    """Whether two expressions are the same, and give the same."""
    left, right = nodes.bare(left), nodes.bare(right)
    if len(left) != len(right) or nodes.texts(left) != nodes.texts(right):
        return False
    return bool(left) and is_pure(nodes, left)


def _last_name(nodes: Nodes, leaves: range) -> int:
    """The last leaf that a name in an expression ends with; -1 if it has none."""
    roles = nodes.parsed.roles
    return next((leaf for leaf in reversed(leaves) if roles[leaf] in _NAMES), -1)


def _is_certain(nodes: Nodes, leaves: range) -> bool:
    """Whether an expression equals itself whatever it is: NaN does not."""
    return any(nodes.parsed.text(leaf) in _NEVER_NAN for leaf in leaves[1:])


def _is_asserted(nodes: Nodes, node: int) -> bool:
    """Whether an expression is part of an assertion: tests compare objects with themselves."""
    parsed = nodes.parsed
    while node >= 0 and nodes.kind(node) != "block":
        if nodes.kind(node) == "assert_statement":
            return True
        if nodes.kind(node) == "call" and parsed.text(nodes.leaves(node)[-1]) == ")":
            callee = nodes.leaves(node)
            if any("assert" in parsed.text(leaf).lower() for leaf in callee[:3]):
                return True
        node = parsed.node_parents[node]
    return False
