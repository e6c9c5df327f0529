"""What was possible at the leaves of earlier versions of a text, and the model's features of it.

A leaf of the present version has the same answer as one of an earlier version that shared all that
decides it. That is looked up twice: first by columns of numbers, made for all leaves at once, which
may differ although the answer does not (a name that comes into reach changes them for every leaf
that sees it); then by the leaf's exact signature (``Context.signature``), which takes longer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from codemlm.alternatives import VARIABLES, Context
from codemlm.calibration import model_features
from codemlm.members import MEMBER_ROLES
from codemlm.scopes import role_table
from codemlm.scoring import Alternative, LeafScore
from codemlm.types import Role

Possible = tuple[list[Alternative], tuple[float, ...]]
"""What is possible at a leaf, and the model's features; none where nothing is."""
_Seen = tuple[tuple[Alternative, ...], Possible]

_VARIABLES, _MEMBERS = role_table(VARIABLES), role_table(MEMBER_ROLES)
_WIDTH = 9
_SPARE = 1000
"""Signatures that may be kept beyond those in use."""


def fresh(context: Context, score: LeafScore) -> Possible:
    """What is possible at a leaf of which nothing is known."""
    possible = context.possible(score.leaf, score.alternatives)
    if not possible:
        return [], ()
    return possible, model_features(context.parsed.leaf_roles[score.leaf], score, possible)


class Recollection:
    """What was possible at the leaves of earlier versions of a text."""

    def __init__(self) -> None:
        self._now: dict[bytes, _Seen] = {}
        self._before: dict[bytes, _Seen] = {}
        self._signed: dict[Hashable, _Seen] = {}
        self._numbers = _Numbers()

    def turn(self) -> None:
        """Begins another version: what the last one did not have is forgotten."""
        if not self._now:
            return
        self._before, self._now = self._now, {}
        self._numbers.turn()
        if len(self._signed) > 2 * len(self._before) + _SPARE:
            used = set(map(id, self._before.values()))
            self._signed = {key: seen for key, seen in self._signed.items() if id(seen) in used}

    def of(self, context: Context, scores: Sequence[LeafScore]) -> list[Possible]:
        """As ``fresh``, of leaves of the present version."""
        if not scores:
            return []
        found: list[Possible] = []
        outlines = _outlines(context, scores, self._numbers.of)
        for score, outline in zip(scores, outlines, strict=True):
            if not score.alternatives:  # all empty tuples are one: nothing tells scores apart
                found.append(fresh(context, score))
                continue
            seen = self._now.get(outline) or self._before.get(outline)
            if seen is None:
                seen = self._by_signature(context, score)
            self._now[outline] = seen
            found.append(seen[1])
        return found

    def _by_signature(self, context: Context, score: LeafScore) -> _Seen:
        # The alternatives are known by identity, which they keep while they are remembered here.
        alternatives = score.alternatives
        key = (id(alternatives), context.signature(score.leaf, alternatives))
        seen = self._signed.get(key)
        if seen is None:
            seen = self._signed[key] = (alternatives, fresh(context, score))
        return seen


class _Numbers:
    """Numbers for values: the same number for equal ones, as long as they stay in use."""

    def __init__(self) -> None:
        self._now: dict[Hashable, int] = {}
        self._before: dict[Hashable, int] = {}
        self._count = itertools.count(1)

    def turn(self) -> None:
        """Forgets what was not asked for since the last turn."""
        self._before, self._now = self._now, {}

    def of(self, value: Hashable) -> int:
        """The number of a value."""
        found = self._now.get(value)
        if found is None:
            found = self._before.get(value) or next(self._count)
            self._now[value] = found
        return found


def _outlines(
    context: Context, scores: Sequence[LeafScore], number: Callable[[Hashable], int]
) -> list[bytes]:
    """Keys of leaves: their alternatives, and whatever ``Context.possible`` looks at besides."""
    parsed = context.parsed
    leaves = np.array([score.leaf for score in scores], dtype=np.int64)
    roles, scopes = parsed.roles[leaves], parsed.scopes_of[leaves]
    variable = _VARIABLES[roles]
    texts = np.array([number(text) for text in parsed.texts], dtype=np.int64)
    members = context.members_used()[leaves]
    columns = np.zeros((_WIDTH, len(leaves)), dtype=np.int64)
    columns[0] = [id(score.alternatives) for score in scores]
    columns[1], columns[2] = roles, texts[parsed.text_ids[leaves]]
    columns[3] = np.isin(parsed.starts[leaves], list(context.conditions))
    columns[4] = _by_value(scopes, variable, lambda scope: number(context.reach(scope)))
    columns[5] = np.where(members >= 0, texts[members], 0)
    columns[6] = _by_value(
        members, variable & (members >= 0), lambda text: number(context.users_of(text))
    )
    columns[7] = np.where(roles == Role.OPERATOR, parsed.parents[leaves], 0)
    rows: tuple[tuple[int, np.ndarray, Callable[[int], Hashable]], ...] = (
        (7, _MEMBERS[roles], context.receiver_at),
        (7, roles == Role.KEYWORD_ARGUMENT, lambda leaf: frozenset(context.sibling_keywords(leaf))),
        (7, variable, context.owners_at),
        (8, context.may_be_misspelt(leaves), context.spellings_at),
    )
    for row, asked, value in rows:
        for place in np.flatnonzero(asked).tolist():
            columns[row, place] = number(value(int(leaves[place])))
    data, width = columns.T.tobytes(), columns.itemsize * _WIDTH
    return [data[start : start + width] for start in range(0, len(data), width)]


def _by_value(values: np.ndarray, asked: np.ndarray, of: Callable[[int], int]) -> np.ndarray:
    """A number for each value that is asked for, made once for equal ones; 0 elsewhere."""
    found = np.zeros(len(values), dtype=np.int64)
    distinct, place = np.unique(values[asked], return_inverse=True)
    found[asked] = np.array([of(value) for value in distinct.tolist()], dtype=np.int64)[place]
    return found
