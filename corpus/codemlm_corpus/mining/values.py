"""Numbers and constants: which are part of a program's logic, and which were tuned or chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role
from codemlm_corpus.mining.difference import Difference

_MAX_STRUCTURAL = 10
_TRANSPARENT = ("parenthesized_expression", "unary_operator", "not_operator")
_CHOSEN = ("conditional_expression", "boolean_operator")
_INDEXED = ("subscript", "slice")
_POSITIONS = frozenset(
    {"axis", "axis1", "axis2", "dim", "dims", "ndim", "start", "stop", "step", "level", "offset"}
)
_COUNTED = frozenset(
    {"range", "xrange", "arange", "split", "rsplit", "group", "enumerate", "linspace", "islice"}
)
_VERSION_WORDS = (
    "version",
    "ver",
    "release",
    "timeout",
    "retr",
    "delay",
    "interval",
    "sleep",
    "port",
)


def constant_refusal(around: Sequence[str]) -> str | None:
    """Why a wrong True, False or None is a setting: anything but a value that a function computes.

    Args:
        around: node types above the constant, innermost first.
    """
    if "function_definition" not in around:
        return "setting"
    outer = [kind for kind in around if kind not in (*_TRANSPARENT, *_CHOSEN)]
    if outer[0] == "comparison_operator" or outer[0] in ("assignment", "return_statement"):
        return None
    if outer[0] in ("expression_list", "yield"):
        return None
    return "default-value" if outer[0].endswith("default_parameter") else "setting"


def number_refusal(parsed: ParsedFile, found: Difference, around: Sequence[str]) -> str | None:
    """Why a wrong number is a tuned one: neither an index nor an offset nor a small bound."""
    try:
        shown, meant = int(found.before), int(found.after)
    except ValueError:
        return "tuned-number"
    if abs(shown - meant) > 2 or max(shown, meant) > _MAX_STRUCTURAL:
        return "tuned-number"
    low, high = max(0, found.leaf - 12), min(len(parsed), found.leaf + 12)
    near = " ".join(parsed.text(leaf).lower() for leaf in range(low, high))
    if "function_definition" not in around or any(word in near for word in _VERSION_WORDS):
        return "tuned-number"
    outer = [kind for kind in around if kind not in _TRANSPARENT]
    if outer[0] in _INDEXED or outer[0] in ("comparison_operator", "binary_operator"):
        return None
    if (
        outer[0] in ("return_statement", "assignment", "augmented_assignment")
        and shown + meant <= 1
    ):
        return None
    return None if _is_position(parsed, found.leaf, outer) else "tuned-number"


def _is_position(parsed: ParsedFile, leaf: int, outer: Sequence[str]) -> bool:
    """Whether the number counts elements: an axis, or an argument of ``range`` and its like."""
    kinds = node_type_names(parsed.language)
    if outer[0] == "keyword_argument":
        word = leaf - 2 - (parsed.text(leaf - 1) == "-")
        return parsed.text(word) in _POSITIONS
    if outer[0] != "argument_list":
        return False
    node = int(parsed.parent_nodes[leaf])
    while kinds[parsed.node_kinds[node]] != "argument_list":
        node = parsed.node_parents[node]
    opening = int(np.searchsorted(parsed.starts, parsed.node_starts[node]))
    called = opening - 1
    named = parsed.roles[called] in (Role.CALL, Role.METHOD)
    return bool(named) and parsed.text(called) in _COUNTED
