"""Which alternative was meant at a leaf, if it is a mistake: the model's order, by evidence anew.

The model ranks what may be meant by what its window shows. The file knows more: which names are
alike, were bound just now, stand in the same slot elsewhere. Trees that were fitted on real
mistakes, whose right answer is known, weigh both; likelihoods stay the model's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codemlm.alternatives import FLOOR
from codemlm.calibration import Boosted
from codemlm.evidence import EVIDENCE_FEATURES, Evidence
from codemlm.scoring import Alternative, LeafScore

RANK_FEATURES = (
    *EVIDENCE_FEATURES,
    "relative",
    "place",
    "portion",
    "likelihood",
    "doubt",
    "shown",
)
"""Columns of a ranker's rows, a row an alternative; see ``rank_rows``."""

LEAST_RANKED = 50
RANKED_SHARE = 0.3
"""Of a file's leaves, the most suspicious ones whose alternatives are ranked anew: the others are
hardly ever findings, and looking evidence up for each alternative takes time."""


def ranked_leaves(count: int) -> int:
    """How many of a file's leaves are ranked anew."""
    return max(LEAST_RANKED, int(count * RANKED_SHARE))


def rank_rows(
    evidence: Evidence, scores: Sequence[LeafScore], possible: Sequence[Sequence[Alternative]]
) -> np.ndarray:
    """Rows of RANK_FEATURES of all alternatives, leaf after leaf: float32 (M, F).

    relative: log of the likelihood as a share of the highest one's. place: in the model's order.
    portion: of the likelihoods' sum. likelihood: its log. doubt: the gate's logit that the leaf is
    wrong. shown: log of the shown leaf's share.

    Args:
        evidence: of the file.
        scores: of the leaves.
        possible: the alternatives of each, in the model's order.
    """
    counts = [len(some) for some in possible]
    leaves = np.repeat([score.leaf for score in scores], counts)
    texts = [alternative.text for some in possible for alternative in some]
    return _with_model(evidence.features(leaves.tolist(), texts), scores, possible)


def _with_model(
    features: np.ndarray, scores: Sequence[LeafScore], possible: Sequence[Sequence[Alternative]]
) -> np.ndarray:
    """``rank_rows``, of the evidence for all alternatives: float32 (M, F)."""
    lists = _Lists([len(some) for some in possible])
    given = [alternative.likelihood for some in possible for alternative in some]
    likelihoods = np.maximum(np.array(given, dtype=np.float64), FLOOR / 10)
    columns = (
        np.log(likelihoods / lists.spread(lists.largest(likelihoods))),
        lists.places,
        likelihoods / lists.spread(lists.sums(likelihoods)),
        np.log(likelihoods),
        lists.spread(np.array([-score.keep_logit for score in scores])),
        lists.spread(np.array([score.logp_shown for score in scores])),
    )
    rows = np.empty((len(RANK_FEATURES), len(likelihoods)), dtype=np.float32)
    rows[: len(EVIDENCE_FEATURES)] = features.T
    for row, column in zip(rows[len(EVIDENCE_FEATURES) :], columns, strict=True):
        row[:] = column
    return rows.T


class _Lists:
    """Values of several lists, none of them empty, one list after the other.

    Attributes:
        starts: where each list begins.
        places: of each value in its list.

    Args:
        counts: lengths of the lists.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = np.array(counts, dtype=np.int64)
        self.starts = np.cumsum(self._counts) - self._counts
        self.places = np.arange(self._counts.sum()) - self.spread(self.starts)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A value a list, for each value of it."""
        return np.repeat(values, self._counts)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The largest value of each list."""
        found: np.ndarray = np.maximum.reduceat(values, self.starts)
        return found

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of each list: to the last bit that of the list alone, unlike ``reduceat``."""
        found = np.zeros(len(self._counts))
        for count in np.unique(self._counts).tolist():
            of_length = self._counts == count
            where = self.starts[of_length][:, None] + np.arange(count)
            found[of_length] = values[where].sum(axis=1)
        return found

    def order(self, values: np.ndarray) -> np.ndarray:
        """Each list's places, largest value first, of equals in the given order."""
        number = self.spread(np.arange(len(self._counts)))
        order = np.lexsort((-values, number))
        found: np.ndarray = order - self.spread(self.starts)
        return found


def reordered(
    ranker: Boosted,
    features: np.ndarray,
    scores: Sequence[LeafScore],
    possible: Sequence[list[Alternative]],
) -> tuple[list[list[Alternative]], np.ndarray]:
    """The alternatives of each leaf, what was probably meant first.

    Args:
        ranker: trees over RANK_FEATURES.
        features: evidence for all alternatives, leaf after leaf: float32 (M, F).
        scores: of the leaves.
        possible: the alternatives of each, in the model's order; none is empty.

    Returns:
        The lists, those whose order stays as they were given; and float64 (N, 2): the place that
        the first one had, and the log of its share by the ranker.
    """
    found = list(possible)
    if not scores:
        return found, np.zeros((0, 2))
    columns = [RANK_FEATURES.index(name) for name in ranker.features]
    margins = ranker.logits(_with_model(features, scores, possible)[:, columns])
    lists = _Lists([len(some) for some in possible])
    order = lists.order(margins)
    moved = np.add.reduceat(order != lists.places, lists.starts, dtype=np.int64)
    for number in np.flatnonzero(moved).tolist():
        some, start = possible[number], int(lists.starts[number])
        found[number] = [some[i] for i in order[start : start + len(some)].tolist()]
    odds = np.exp(margins - lists.spread(lists.largest(margins)))
    return found, np.column_stack([order[lists.starts], -np.log(lists.sums(odds))])
