"""How alike two names are, and the names that are most like one: in reach, or by spelling."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from codemlm.scopes import names_in_reach
from codemlm.syntax import ParsedFile

MAX_CANDIDATES = 128
"""Names kept by ``most_similar``."""

_LEAST_MISSPELT, _LEAST_TWICE = 4, 8
"""Letters from which one edit makes a misspelling, and two: shorter names differ on purpose."""

_NEAR = 0.1
_UNUSED = 0.2

_DIGITS = re.compile(r"\d+")
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


@lru_cache(maxsize=1 << 14)
def is_near_spelling(first: str, second: str) -> bool:
    """Whether one name may be the other misspelt.

    By case or underscores alone, in the plural, or by one edit, in long names two (Damerau 1964).
    Names that differ in digits alone are different on purpose.
    """
    if first == second:
        return False
    low, high = _folded(first), _folded(second)
    if low == high:
        return bool(low)
    if low.strip("0123456789") and _DIGITS.sub("", low) == _DIGITS.sub("", high):
        return False
    shorter = min(len(low), len(high))
    if _singular(low) == _singular(high):
        return shorter > 1
    edits = (shorter >= _LEAST_MISSPELT) + (shorter >= _LEAST_TWICE)
    return abs(len(low) - len(high)) <= edits and _distance(low, high) <= edits


class Spellings:
    """Names by what is left of them once a letter is gone: finds near spellings without a search.

    Of names two edits away it finds those that a letter less makes alike on one side, and two on
    the other; `is_near_spelling` has the last word.

    Source: the symmetric delete algorithm (Garbe, SymSpell).
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(name for name in names if name.isidentifier())
        self._by_rest: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.names):
            for rest in _rests(_folded(name)):
                self._by_rest[rest].append(name)
        self._rests = frozenset(self._by_rest)

    def near(self, text: str) -> tuple[str, ...]:
        """Names that ``text`` may be a misspelling of, most similar first."""
        folded = _folded(text)
        rests = _further_rests(folded) if len(folded) >= _LEAST_TWICE else _rests(folded)
        if folded.endswith("y"):
            rests |= {folded[:-1] + "ies"}
        if folded.endswith("ies"):
            rests |= {folded[:-3] + "y"}
        found = {name for rest in rests & self._rests for name in self._by_rest[rest]}
        near = [name for name in found if is_near_spelling(text, name)]
        return tuple(sorted(near, key=lambda name: (-similarity(text, name), name)))


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


@lru_cache(maxsize=1 << 13)
def _rests(name: str) -> frozenset[str]:
    """``name``, and it without one of its letters."""
    return frozenset({name, *_shorter(name)})


@lru_cache(maxsize=1 << 9)
def _further_rests(name: str) -> frozenset[str]:
    """``name``, and it without one or two of its letters."""
    return _rests(name).union(*map(_shorter, _rests(name)))


def _shorter(name: str) -> Iterable[str]:
    """``name`` without one of its letters."""
    return (name[:i] + name[i + 1 :] for i in range(len(name)))


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-2] if name.endswith("es") else name.removesuffix("s")


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
