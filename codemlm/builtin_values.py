"""Built-in functions where only a value makes sense: a name that is not bound, but built in.

``"no row %s" % id`` says nothing of a row, and ``len + 4`` raises; no tool that looks for undefined
names sees them.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from codemlm.forms import Form
from codemlm.nodes import Nodes
from codemlm.reading import Reading
from codemlm.scopes import kind_mask
from codemlm.types import Role

_FUNCTIONS = frozenset(
    name
    for name, value in vars(builtins).items()
    if callable(value) and not isinstance(value, type) and not name.startswith("_")
) - {"print", "exec", "copyright", "credits", "license", "exit", "quit", "help"}
_VALUES = _FUNCTIONS | {"type"}
_OVERLOADED = frozenset({"|", "&", "@", "*"})
"""Operators that libraries give a meaning for functions: unions, coefficients of operators."""
_ORDERS = frozenset({"<", ">", "<=", ">="})
_EQUAL = frozenset({"==", "!="})
_LITERAL_ROLES = frozenset({Role.STRING, Role.NUMBER})


def builtin_values(reading: Reading, nodes: Nodes) -> Iterator[Form]:
    """Built-in functions that are added, formatted, compared with a literal, or indexed."""
    parsed = reading.parsed
    leaves = nodes.named(_VALUES.__contains__, Role.READ)
    if not leaves or kind_mask(nodes.names, ("wildcard_import",))[parsed.kinds].any():
        return  # what a star import brings may have the name of a built-in function
    for leaf in leaves:
        if _is_value(nodes, leaf) and not len(reading.binders(leaf)):
            text = parsed.text(leaf)
            yield Form(leaf, f"`{text}` is the built-in function here, and no value", None)


def _is_value(nodes: Nodes, leaf: int) -> bool:
    """Whether a function cannot be meant where a leaf stands."""
    parsed = nodes.parsed
    node = int(parsed.parent_nodes[leaf])
    kind, text = nodes.kind(node), parsed.text(leaf)
    if kind == "tuple" and nodes.kind(parsed.node_parents[node]) == "binary_operator":
        around = parsed.node_parents[node]
        start = nodes.leaves(around).start
        is_format = parsed.text(nodes.leaves(node).start - 1) == "%"
        return is_format and parsed.roles[start] == Role.STRING
    if kind == "binary_operator":
        return not any(parsed.text(one) in _OVERLOADED for one in nodes.own(node))
    if kind == "subscript":
        is_indexed = nodes.leaves(node).start == leaf
        return is_indexed and text in _FUNCTIONS
    if kind == "comparison_operator":
        return _is_compared(nodes, node, leaf)
    return False


def _is_compared(nodes: Nodes, node: int, leaf: int) -> bool:
    """Whether a comparison that a leaf is in makes no sense of a function."""
    parsed = nodes.parsed
    if len(nodes.operators(node)) != 1:
        return False
    operator = nodes.operators(node)[0]
    whole = nodes.leaves(node)
    if parsed.text(operator) in _ORDERS:
        return True
    if parsed.text(operator) in _EQUAL:
        other = whole[-1] if leaf < operator else whole[0]
        return len(whole) == 3 and parsed.roles[other] in _LITERAL_ROLES
    return parsed.text(operator) in ("in", "not in") and leaf > operator
