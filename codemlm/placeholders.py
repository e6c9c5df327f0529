"""What a text leaves room for: `%s` of printf style, and `{name}` of formatted strings."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PRINTF = re.compile(
    r"%(?P<key>\(\w*\))?[#0\- +]*(?P<width>\*|\d+)?(?:\.(?P<digits>\*|\d+))?[hlL]?"
    r"(?P<type>[diouxXeEfFgGcrsa%])"
)
_FIELD = re.compile(r"\{(?P<inner>[^{}]*)\}")
_EXPRESSION = re.compile(
    r"(?P<root>[^\W\d]\w*)(?:\.\w+|\[[^\[\]]*\]|\(\))*(?:![rsa])?(?::\S[^\n]*)?\Z"
)


def printf_values(texts: Iterable[str]) -> int | None:
    """How many values the parts of a text have room for; None if they are named.

    Source: printf-style string formatting, Python's library reference.
    """
    found = [match for text in texts for match in _PRINTF.finditer(text)]
    if any(match["key"] for match in found):
        return None
    starred = sum((match["width"], match["digits"]).count("*") for match in found)
    return int(starred) + sum(1 for match in found if match["type"] != "%")


def field_roots(text: str) -> list[str]:
    """The names that the fields of a text begin with, were it a formatted string.

    None of them if one field is no name with members, items and calls of it; what is doubled
    (``{{``) is no field.
    """
    inner = [match["inner"] for match in _FIELD.finditer(re.sub(r"\{\{|\}\}", "", text))]
    found = [_EXPRESSION.match(one) for one in inner]
    return [match["root"] for match in found if match] if all(found) else []
