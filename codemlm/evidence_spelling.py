"""Spelling of names, fast enough to be asked of every leaf of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHORTEST = 4
"""Letters of names in which a single edit is likely a slip."""

SPELLING_FEATURES = (
    "likeness",
    "one_edit",
    "case_only",
    "plural",
    "shared_prefix",
    "shared_suffix",
)


@lru_cache(maxsize=1 << 15)
def words(name: str) -> frozenset[str]:
    """Lower-case words of a name in snake or camel case."""
    return frozenset(word.lower() for word in _WORD.findall(name))


@lru_cache(maxsize=1 << 15)
def likeness(first: str, second: str) -> float:
    """How alike two names are, 0 to 1: by what they begin and end with, or by shared words.

    Cheaper than ``similarity.similarity``, and blind to edits inside that are more than one.
    """
    if first == second:
        return 1.0
    head, tail = _ends(first, second)
    ends = (head + tail) / max(len(first), len(second), 1)
    mine, theirs = words(first), words(second)
    return max(ends, 0.9 * 2.0 * len(mine & theirs) / max(len(mine) + len(theirs), 1))


@lru_cache(maxsize=1 << 15)
def spelling(first: str, second: str) -> tuple[float, ...]:
    """Features of two names in the order of SPELLING_FEATURES."""
    head, tail = _ends(first, second)
    longest = max(len(first), len(second), 1)
    bare, other = first.replace("_", "").lower(), second.replace("_", "").lower()
    longer, shorter = (first, second) if len(first) > len(second) else (second, first)
    return (
        likeness(first, second),
        float(longest >= _SHORTEST and _one_edit(first, second, head, tail)),
        float(bare == other),
        float(longer in (shorter + "s", shorter + "es")),
        head / longest,
        tail / longest,
    )


def _ends(first: str, second: str) -> tuple[int, int]:
    """Lengths of the longest common beginning, and of the longest common end of the rest."""
    shortest, head, tail = min(len(first), len(second)), 0, 0
    while head < shortest and first[head] == second[head]:
        head += 1
    while tail < shortest - head and first[-1 - tail] == second[-1 - tail]:
        tail += 1
    return head, tail


def _one_edit(first: str, second: str, head: int, tail: int) -> bool:
    """Whether a letter is added, dropped or another, or two neighbours have changed places."""
    mine, theirs = first[head : len(first) - tail], second[head : len(second) - tail]
    if max(len(mine), len(theirs)) <= 1:
        return True
    return len(mine) == len(theirs) == 2 and mine == theirs[::-1]


def twins(counts: Mapping[str, int]) -> dict[str, str]:
    """For each name, the commonest other name that is one edit away; none: no entry.

    Args:
        counts: how often each name occurs.
    """
    by_stem: dict[str, list[str]] = {}
    for name in counts:
        if len(name) >= _SHORTEST and name.isidentifier():
            for stem in _stems(name):
                by_stem.setdefault(stem, []).append(name)
    found: dict[str, str] = {}
    for group in by_stem.values():
        for name in group if len(group) > 1 else ():
            for other in group:
                if other != name and _one_edit(name, other, *_ends(name, other)):
                    best = found.get(name)
                    if best is None or (counts[other], other) > (counts[best], best):
                        found[name] = other
    return found


@lru_cache(maxsize=1 << 13)
def _stems(name: str) -> frozenset[str]:
    """The name, and the name without each of its letters."""
    return frozenset({name, *(name[:i] + name[i + 1 :] for i in range(len(name)))})
