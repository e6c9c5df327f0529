"""Conditions that are always true: a constant among them, or a method that is not called."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codemlm.forms import LITERALS, Form, comparison_of
from codemlm.nodes import Nodes
from codemlm.reading import Reading
from codemlm.types import Role

_TESTS = frozenset({"if_statement", "elif_clause", "while_statement", "not_operator", "if_clause"})
_PARTS = frozenset({"boolean_operator", "parenthesized_expression"})


def constant_conditions(nodes: Nodes) -> Iterator[Form]:
    """``kind == "a" or "b"``, and ``"a" and "b" in rows``, where nothing but the truth counts."""
    for operator, chain in nodes.chains:
        if is_tested(nodes, nodes.node_of(range(chain[0][0].start, chain[-1][0].stop))):
            yield from _constants(nodes, operator, chain)


def _constants(nodes: Nodes, operator: str, chain: list[tuple[range, int]]) -> Iterator[Form]:
    parsed = nodes.parsed
    for place, (leaves, _) in enumerate(chain):
        if not leaves:
            continue  # it did not parse
        before = comparison_of(nodes, chain[place - 1][0]) if place else None
        after = comparison_of(nodes, chain[place + 1][0]) if place + 1 < len(chain) else None
        constant = nodes.bare(leaves)
        is_literal = len(constant) == 1 and _is_true(nodes, constant[0])
        says = f"`{nodes.shown(leaves)}` alone is always true"
        if is_literal and after is not None and parsed.text(after.operator) in ("in", "not in"):
            is_text = parsed.roles[constant[0]] == Role.STRING
            if is_text and (operator == "and" or not place):
                meant = nodes.shown(range(after.operator, after.right.stop))
                yield Form(constant[0], says, (f"{parsed.text(constant[0])} {meant}",))
        elif operator == "or" and before is not None:
            if is_literal:
                is_positive = parsed.text(before.operator) in ("==", "in")
                meant = nodes.shown(range(before.left.start, before.operator + 1))
                candidates = (f"{meant} {parsed.text(constant[0])}",) if is_positive else ()
                yield Form(constant[0], says, candidates)
            elif nodes.kind(nodes.node_of(leaves)) in ("tuple", "list") and len(leaves) > 2:
                yield Form(chain[place - 1][1], says, ())


def _is_true(nodes: Nodes, leaf: int) -> bool:
    """Whether a leaf is a text or a number that is true."""
    text = nodes.parsed.text(leaf)
    if nodes.names[int(nodes.parsed.kinds[leaf])] not in LITERALS:
        return False
    return bool(text.strip("rRbBuU'\"") if text[-1] in "'\"" else text.strip("0._jJlL"))


def is_tested(nodes: Nodes, node: int) -> bool:
    """Whether nothing but the truth of an expression counts where it stands."""
    parsed = nodes.parsed
    around = parsed.node_parents[node] if node >= 0 else -1
    while nodes.kind(around) in _PARTS:
        node, around = around, parsed.node_parents[around]
    leaves, kind = nodes.leaves(node) if node >= 0 else range(0), nodes.kind(around)
    if kind == "conditional_expression":
        own = nodes.keywords(around)  # `if` and `else`
        return len(own) == 2 and own[0] < leaves.start and leaves.stop <= own[1]
    if kind == "assert_statement":  # and not its message
        return leaves.start == nodes.leaves(around).start + 1
    return kind in _TESTS


def uncalled_methods(reading: Reading, nodes: Nodes) -> Iterator[Form]:
    """``if self.is_ready:`` where the class has a method of that name."""
    parsed = reading.parsed
    defined = np.unique(parsed.text_ids[parsed.roles == Role.DEFINITION])
    reads = reading.own_reads
    reads = reads[
        (parsed.roles[reads] == Role.ATTRIBUTE) & np.isin(parsed.text_ids[reads], defined)
    ]
    for leaf in reads.tolist():
        node = int(parsed.parent_nodes[leaf])
        if nodes.leaves(node) != range(leaf - 2, leaf + 1) or not is_tested(nodes, node):
            continue
        method = -1 if _is_asked_for(nodes, leaf, node) else _own_method(reading, nodes, leaf)
        if method >= 0:
            text = parsed.text(leaf)
            takes_more = len(reading.signatures.of(method) or ()) > 1
            says = f"`{text}` is a method, and always true unless it is called"
            yield Form(leaf, says, () if takes_more else (f"{text}()",))


def _is_asked_for(nodes: Nodes, leaf: int, node: int) -> bool:
    """Whether the statement reads the member once more: it may ask whether there is one."""
    parsed = nodes.parsed
    while parsed.node_parents[node] >= 0 and not nodes.kind(node).endswith("_statement"):
        node = parsed.node_parents[node]
    whole = nodes.leaves(node)
    same = parsed.text_ids[whole.start : whole.stop] == parsed.text_ids[leaf]
    return int(same.sum()) > 1


def _own_method(reading: Reading, nodes: Nodes, leaf: int) -> int:
    """The definition of a member of ``self`` that is a method of its class, and nothing else.

    Returns:
        The node, or -1.
    """
    parsed = reading.parsed
    scope = reading.classes.class_of(int(parsed.scopes_of[leaf]), int(parsed.text_ids[leaf - 2]))
    bound = reading.binders(leaf)
    if scope < 0 or not (parsed.roles[bound] == Role.DEFINITION).all():
        return -1
    own = [one for one in bound.tolist() if int(parsed.scopes_of[one]) == scope]
    if len(own) != 1 or reading.classes.is_overridden(scope, parsed.text(leaf)):
        return -1
    node = int(parsed.parent_nodes[own[0]])
    around = nodes.kind(parsed.node_parents[node])
    is_plain = nodes.kind(node) == "function_definition" and around != "decorated_definition"
    return node if is_plain else -1
