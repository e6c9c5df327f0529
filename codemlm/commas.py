"""Commas too many and too few: texts that run together, and tuples that nobody meant.

What counts was chosen by reading what such forms find in real code (`dev/LOG.md`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from codemlm.forms import Form
from codemlm.nodes import Nodes
from codemlm.types import DELETE_TEXT, Role

_WORD = re.compile(r"[\w./:@-]{1,40}\Z")
_JOINS_BEFORE, _JOINS_AFTER = "/.:@-", "/.:@"
"""Characters at which a word is put together from its parts: paths, addresses."""
_DISPLAYS = frozenset({"list", "tuple", "set"})
_LEAST = 3
"""Texts of a display before one of them can be seen to be unlike the others."""
_RARE = 4
"""One text in so many may run together with the next: where more do, it is a way of writing."""


def missing_commas(nodes: Nodes) -> Iterator[Form]:
    """``["first", "second" "third"]``: two words that run together."""
    parsed = nodes.parsed
    for node in nodes.of_kind("concatenated_string"):
        around = parsed.node_parents[node]
        if nodes.kind(around) not in _DISPLAYS:
            continue
        parts = nodes.elements(around)
        strings = [_words(nodes, part) for part in parts]
        joined = sum(len(one) > 1 for one in strings)
        if len(parts) < _LEAST or not all(strings) or joined > max(1, len(parts) // _RARE):
            continue
        leaves = [leaf for leaf in nodes.leaves(node) if parsed.roles[leaf] == Role.STRING]
        for leaf, after in pairwise(leaves):
            word, other = (_inner(parsed.text(one)) for one in (leaf, after))
            if word[-1:] in _JOINS_BEFORE or other[:1] in _JOINS_AFTER:
                continue
            says = f"{parsed.text(leaf)} and {parsed.text(after)} become one text"
            yield Form(leaf, says, (f"{parsed.text(leaf)},",))


def _words(nodes: Nodes, leaves: range) -> list[str]:
    """The texts of an element that are words, one or run together; none if it is anything else."""
    parsed = nodes.parsed
    texts = [parsed.text(leaf) for leaf in leaves if parsed.roles[leaf] != Role.COMMENT]
    inner = list(map(_inner, texts))
    is_plain = nodes.is_text(leaves) and all(_WORD.match(text) for text in inner)
    return inner if is_plain else []


def _inner(text: str) -> str:
    """What stands between the quotes of a text."""
    return text.lstrip("rRuUbB").strip("'\"")


def text_memberships(nodes: Nodes) -> Iterator[Form]:
    """``mode in ("fast")``: parentheses make no tuple, so any part of the text is found."""
    parsed = nodes.parsed
    for node in nodes.of_kind("comparison_operator"):
        for (_, operator), (right, _) in pairwise(nodes.operands(node)):
            if parsed.text(operator) not in ("in", "not in") or len(right) != 3:
                continue
            if parsed.text(right[0]) == "(" and _words(nodes, right[1:2]):
                text = parsed.text(right[1])
                says = f"({text}) is a text and no tuple: any part of it is found"
                yield Form(right[1], says, (f"{text},",))


def accidental_tuples(nodes: Nodes) -> Iterator[Form]:
    """``self.name = name,``: the comma makes a tuple of the value."""
    parsed = nodes.parsed
    for node in nodes.of_kind("assignment"):
        whole = nodes.leaves(node)
        comma = whole[-1]
        if len(whole) < 4 or parsed.text(comma) != "," or parsed.roles[comma] != Role.PUNCTUATION:
            continue
        display = int(parsed.parent_nodes[comma])
        if [leaf for leaf in nodes.own(display) if parsed.text(leaf) == ","] != [comma]:
            continue
        start = nodes.leaves(display).start
        if parsed.text(start) == "(" and parsed.text(comma - 1) == ")":
            continue  # whoever puts it in parentheses thinks of a tuple
        target = range(whole.start, start)
        if nodes.kind(display) == "expression_list" and _is_member(nodes, target):
            yield Form(comma, "the comma makes a tuple of the value", (DELETE_TEXT,))


def _is_member(nodes: Nodes, leaves: range) -> bool:
    """Whether leaves are a member or an item of one value, and ``=``.

    Names are given tuples of one element that way now and then (``fields = "name",``), and so are
    members in the plural (``self.args = line,``).
    """
    parsed = nodes.parsed
    if len(leaves) < 2 or parsed.text(leaves[-1]) != "=":
        return False
    kind = nodes.kind(nodes.node_of(leaves[:-1]))
    is_plural = parsed.text(leaves[-2]).rstrip("_").endswith("s")
    return kind == "subscript" or (kind == "attribute" and not is_plural)
