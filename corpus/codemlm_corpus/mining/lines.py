"""A look at the lines that changed: what can be refused without parsing.

Of the commits that touch one source file, most are refused here, at a small part of the price of
two parses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_MAX_LINES = 8
_MAX_CHARS = 1_200
_MAX_LEXED_LINES = 12

_STRINGS = r"""
      (?P<comment>\#[^\n]*)
    | (?P<block>[rRbBuUfF]{0,3}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''))
    | (?P<string>[rRbBuUfF]{0,3}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    """
_QUOTED = re.compile(_STRINGS, re.VERBOSE | re.DOTALL)
_TOKEN = re.compile(
    _STRINGS
    + r"""
    | (?P<blank>\s+|\\\n)
    | (?P<number>\d[\w.]*)
    | (?P<word>is\s+not\b|not\s+in\b|\w+)
    | (?P<operator>\*\*=?|//=?|<<=?|>>=?|->|:=|<>|[-+*/%&|^@<>=!]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)

_Token = tuple[str, str]


def refusal(before: str, after: str) -> str | None:
    """Why no mistake of one leaf can lie between two texts; None if one may.

    A ``str`` is final. None promises nothing: the leaves have to be compared.
    """
    old_lines, new_lines = before.split("\n"), after.split("\n")
    low, high = common_ends(old_lines, new_lines)
    old = _code_lines(old_lines[low : len(old_lines) - high])
    new = _code_lines(new_lines[low : len(new_lines) - high])
    if old == new:
        return "comment-only"
    lost, gained = Counter(old), Counter(new)
    for changed in (lost - gained, gained - lost):
        if changed.total() > _MAX_LINES:
            return "too-large"
        if sum(len(line) * count for line, count in changed.items()) > _MAX_CHARS:
            return "too-large"
    old_text, new_text = "\n".join(old), "\n".join(new)
    blocks = any(quotes in text for quotes in ('"""', "'''") for text in (old_text, new_text))
    if not blocks and max(len(old), len(new)) <= _MAX_LEXED_LINES:
        return _lexical(_lex(old_text), _lex(new_text))
    # Lines of a docstring may be among them: begin where no string is open.
    start = _closed_before(before, sum(len(line) + 1 for line in old_lines[:low]))
    tail = sum(len(line) + 1 for line in old_lines[len(old_lines) - high :])
    return _lexical(
        _lex(before[start : len(before) - tail]), _lex(after[start : len(after) - tail])
    )


def common_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """Lengths of the common prefix and of the common suffix after it."""
    shortest = min(len(old), len(new))
    low = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    rest = shortest - low
    high = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    return low, high


def _code_lines(lines: list[str]) -> list[str]:
    """Lines without layout, blank lines and lines of comment: an over-estimate inside strings."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _closed_before(text: str, offset: int) -> int:
    """The last place at or before ``offset`` that is outside of strings and comments."""
    for match in _QUOTED.finditer(text):
        if match.end() > offset:
            return min(match.start(), offset)
    return offset


def _lex(text: str) -> list[_Token]:
    """(group, text) of each token, without comments and strings that begin a line.

    A string that does not end in the text is taken for operators, one a character.
    """
    found: list[_Token] = []
    fresh = True
    for match in _TOKEN.finditer(text):
        group, token = str(match.lastgroup), match[0]
        if group == "blank":
            fresh = fresh or "\n" in token
            continue
        if group not in ("comment", "block") or not (fresh or group == "comment"):
            found.append((group, " ".join(token.split()) if group == "word" else token))
        fresh = False
    return found


def _lexical(old: list[_Token], new: list[_Token]) -> str | None:
    """Why tokens that differ so are no mistake of one leaf; None if they may be."""
    low, high = common_ends([t for _, t in old], [t for _, t in new])
    first = old[low : len(old) - high]
    second = new[low : len(new) - high]
    sizes = (len(first), len(second))
    if sizes == (0, 0):
        return "comment-only"
    if sizes == (1, 1):
        return _lexical_pair(first[0], second[0])
    texts = [text for _, text in first or second]
    if sizes in ((0, 1), (1, 0)):
        return None if texts == ["not"] else "no-operator"
    if sizes in ((0, 2), (2, 0)):
        return None if "." in texts else "no-operator"
    swapped = sizes[0] == sizes[1] and first[0] == second[-1] and first[-1] == second[0]
    if swapped and first[1:-1] == second[1:-1]:
        return None
    return "two-places" if sizes[0] == sizes[1] else "no-operator"


def _lexical_pair(old: _Token, new: _Token) -> str | None:
    groups = {old[0], new[0]}
    if groups <= {"string", "block"}:
        return None if _holds_code(old[1]) and _holds_code(new[1]) else "string"
    return None if len(groups) == 1 or groups == {"word", "operator"} else "no-operator"


def _holds_code(string: str) -> bool:
    """Whether a string literal may hold expressions."""
    return "{" in string and "f" in string[: string.find(string[-1])].lower()
