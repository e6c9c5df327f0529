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
    own = []
    for score, some in zip(scores, possible, strict=True):
        likelihoods = np.maximum([alternative.likelihood for alternative in some], FLOOR / 10)
        own.append(
            np.column_stack(
                [
                    np.log(likelihoods / likelihoods.max()),
                    np.arange(len(some)),
                    likelihoods / likelihoods.sum(),
                    np.log(likelihoods),
                    np.full(len(some), -score.keep_logit),
                    np.full(len(some), score.logp_shown),
                ]
            )
        )
    if not texts:
        return np.zeros((0, len(RANK_FEATURES)), dtype=np.float32)
    rows = np.column_stack([evidence.features(leaves.tolist(), texts), np.vstack(own)])
    return rows.astype(np.float32)


def reordered(
    ranker: Boosted,
    evidence: Evidence,
    scores: Sequence[LeafScore],
    possible: Sequence[Sequence[Alternative]],
) -> tuple[list[list[Alternative]], np.ndarray]:
    """The alternatives of each leaf, what was probably meant first.

    Args:
        ranker: trees over RANK_FEATURES.
        evidence: of the file.
        scores: of the leaves.
        possible: the alternatives of each, in the model's order; none is empty.

    Returns:
        The lists, and the log of the first one's share by the ranker: float64 (N,).
    """
    if not scores:
        return [], np.zeros(0)
    columns = [RANK_FEATURES.index(name) for name in ranker.features]
    margins = ranker.logits(rank_rows(evidence, scores, possible)[:, columns])
    found, preference, start = [], np.zeros(len(scores)), 0
    for number, some in enumerate(possible):
        own = margins[start : start + len(some)]
        start += len(some)
        order = np.argsort(-own, kind="stable")
        found.append([some[i] for i in order.tolist()])
        preference[number] = -np.log(np.exp(own - own.max()).sum())
    return found, preference
