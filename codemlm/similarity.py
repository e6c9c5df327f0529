"""How alike two names are, and the names in reach that are most like one."""

from __future__ import annotations

import re
from functools import lru_cache

from codemlm.scopes import names_in_reach
from codemlm.syntax import ParsedFile

MAX_CANDIDATES = 128
"""Names kept by ``most_similar``."""

_NEAR = 0.1
_UNUSED = 0.2

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def most_similar(parsed: ParsedFile, scope: int, text: str) -> tuple[str, ...]:
    """Names in reach of ``scope`` and builtins, most similar to ``text`` first, ``text`` excluded.

    At most ``MAX_CANDIDATES``. Names of functions around the place count as a little more similar,
    builtins that the file does not mention as less; of equals, those of inner scopes come first.
    """
    module = {parsed.texts[i] for i in parsed.scopes[0].bindings}
    used = set(parsed.texts)
    dunder = text.startswith("__")
    scores: dict[str, float] = {}
    for name in [*names_in_reach(parsed, scope), *sorted(parsed.language.builtins)]:
        if name == text or name in scores or (name.startswith("__") and not dunder):
            continue
        near = 0.0 if name in module else _NEAR
        if name in parsed.language.builtins:
            near = 0.0 if name in used else -_UNUSED
        scores[name] = similarity(text, name) + near
    ordered = sorted(scores, key=lambda name: -scores[name])  # stable
    return tuple(ordered[:MAX_CANDIDATES])


@lru_cache(maxsize=1 << 14)
def similarity(first: str, second: str) -> float:
    """How alike two names are, 0 to 1: by edit distance without case, or by shared words."""
    low, high = first.lower(), second.lower()
    edit = 1.0 - _distance(low, high) / max(len(low), len(high), 1)
    words, others = set(_words(first)), set(_words(second))
    shared = 2.0 * len(words & others) / max(len(words) + len(others), 1)
    return max(edit, 0.9 * shared)


def _words(name: str) -> list[str]:
    """Lower-case words of a name in snake or camel case, single letters left out."""
    return [word.lower() for word in _WORD.findall(name) if len(word) > 1]


def _distance(first: str, second: str) -> int:
    """Edits between two strings: insertions, deletions, substitutions, swaps of neighbours.

    Source: optimal string alignment (Damerau 1964, restricted).
    """
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
