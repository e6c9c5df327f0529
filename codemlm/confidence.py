"""How sure it is that each leaf of a file is a mistake.

Rows of features from the model's scores and the file's evidence, for scans and for fitting alike.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np

from codemlm.alternatives import Context, is_informative
from codemlm.calibration import (
    MASKED_FEATURES,
    MODEL_FEATURES,
    OF_FILE,
    Boosted,
    Calibration,
    MaskedView,
    masked_features,
    model_features,
)
from codemlm.evidence import EVIDENCE_FEATURES, Evidence
from codemlm.ranking import ranked_leaves, reordered
from codemlm.scoring import Alternative, LeafScore

_Seen = tuple[tuple[Alternative, ...], list[Alternative], tuple[float, ...]]


class Recollection:
    """What was possible at the leaves of earlier versions of a text, and the model's features."""

    def __init__(self) -> None:
        self._now: dict[Hashable, _Seen] = {}
        self._before: dict[Hashable, _Seen] = {}

    def turn(self) -> None:
        """Begins another version: what the last one did not have is forgotten."""
        if self._now:
            self._before, self._now = self._now, {}

    def of(self, context: Context, score: LeafScore) -> tuple[list[Alternative], tuple[float, ...]]:
        """As ``_fresh``, of a leaf of the present version."""
        # The alternatives are known by identity, which they keep while they are remembered here.
        alternatives = score.alternatives
        if not alternatives:
            return _fresh(context, score)
        key = (id(alternatives), context.signature(score.leaf, alternatives))
        seen = self._now.get(key) or self._before.get(key)
        if seen is None:
            seen = (alternatives, *_fresh(context, score))
        self._now[key] = seen
        return seen[1], seen[2]


def _fresh(context: Context, score: LeafScore) -> tuple[list[Alternative], tuple[float, ...]]:
    """What is possible at a leaf, and the model's features; none where nothing is."""
    possible = context.possible(score.leaf, score.alternatives)
    if not possible:
        return [], ()
    return possible, model_features(context.parsed.leaf_roles[score.leaf], score, possible)


class Doubts:
    """The leaves of a file that could be findings, by the single pass.

    Args:
        context: of the file.
        scores: of the single pass.
        exact: leaves that exact rules report, as findings of their own.
        path: of the file.
        recollection: of earlier versions of the file.
        with_evidence: whether the rows hold evidence; else NaN stands there.
        ranker: orders the alternatives of the most suspicious leaves; None: the model's order.

    Attributes:
        context: of the file.
        by_leaf: all scores of the single pass.
        scores: of the leaves that have a possible alternative.
        possible: their possible alternatives, best first.
        informative: whether it makes sense to doubt each of them: bool (N,).
        rows: of SINGLE_FEATURES, float32 (N, F).
    """

    def __init__(
        self,
        context: Context,
        scores: Sequence[LeafScore],
        *,
        exact: Collection[int] = (),
        path: str = "",
        recollection: Recollection | None = None,
        with_evidence: bool,
        ranker: Boosted | None = None,
    ) -> None:
        self.context = context
        self.by_leaf = {score.leaf: score for score in scores}
        self.scores: list[LeafScore] = []
        self.possible: list[list[Alternative]] = []
        model: list[tuple[float, ...]] = []
        recollect = _fresh if recollection is None else recollection.of
        for score in scores:
            if score.leaf in exact:
                continue
            possible, features = recollect(context, score)
            if possible:
                self.scores.append(score)
                self.possible.append(possible)
                model.append(features)
        self._evidence = Evidence(context.parsed, path) if with_evidence and model else None
        given = list(self.possible)
        of_file = np.column_stack([ranks := self._ranks(), self._rank_anew(ranker, ranks)])
        for place, (before, after) in enumerate(zip(given, self.possible, strict=True)):
            if before is not after:
                score = self.scores[place]
                role = context.parsed.leaf_roles[score.leaf]
                model[place] = model_features(role, score, after)
        table = np.array(model, dtype=np.float32).reshape(-1, len(MODEL_FEATURES) - OF_FILE)
        leaves = [score.leaf for score in self.scores]
        known = [is_informative(context.parsed, leaf) for leaf in leaves]
        self.informative = np.array(known, dtype=bool)
        texts = [possible[0].text for possible in self.possible]
        self.rows = np.column_stack([table, of_file, self._of_file(leaves, texts)])

    def propose(self, calibration: Calibration, limit: int) -> list[int]:
        """Leaves that are worth masking, the most suspicious first, at most ``limit``.

        None where the calibration has no use for it.
        """
        if calibration.verified is None:
            return []
        order = calibration.order(self.rows)
        chosen = order[self.informative[order]][:limit]
        return [self.scores[row].leaf for row in chosen.tolist()]

    def verified_rows(self, views: Mapping[int, MaskedView]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of VERIFIED_FEATURES of the leaves that were masked.

        Args:
            views: what masking says, by leaf.

        Returns:
            Places among ``scores``, int64 (M,), and float32 (M, F).
        """
        places = [i for i, score in enumerate(self.scores) if score.leaf in views]
        chosen = [views[self.scores[i].leaf] for i in places]
        masked = [
            masked_features(view, self.possible[i][0].text)
            for i, view in zip(places, chosen, strict=True)
        ]
        rows = self.rows[places]
        changed = [
            k
            for k, (i, view) in enumerate(zip(places, chosen, strict=True))
            if view.suggested != self.possible[i][0].text
        ]
        start = len(MODEL_FEATURES)
        if changed:
            leaves = [self.scores[places[k]].leaf for k in changed]
            texts = [chosen[k].suggested for k in changed]
            rows[changed, start:] = self._of_file(leaves, texts)
        table = np.array(masked, dtype=np.float32).reshape(-1, len(MASKED_FEATURES))
        return np.array(places, dtype=np.int64), np.column_stack([rows, table])

    def confidences(self, calibration: Calibration, views: Mapping[int, MaskedView]) -> np.ndarray:
        """Probabilities that the leaves of ``scores`` are wrong: float64 (N,)."""
        found = calibration.confidences(self.rows)
        if views:
            places, rows = self.verified_rows(views)
            found[places] = calibration.confidences(rows)
        return found

    def _ranks(self) -> np.ndarray:
        """Log of the rank by the odds of the best possible alternative: float32 (N,)."""
        odds = [
            possible[0].likelihood / max(score.likelihood, 1e-9)
            for score, possible in zip(self.scores, self.possible, strict=True)
        ]
        ranks = np.empty(len(odds), dtype=np.float32)
        ranks[np.argsort(-np.array(odds), kind="stable")] = np.arange(len(odds))
        return np.log1p(ranks)

    def _rank_anew(self, ranker: Boosted | None, ranks: np.ndarray) -> np.ndarray:
        """Orders the alternatives of the most suspicious leaves; float32 (N, 2).

        The columns are the place that the first one had, and the log of its share; NaN elsewhere.
        """
        found = np.full((len(ranks), 2), np.nan, dtype=np.float32)
        if ranker is None or self._evidence is None:
            return found
        places = np.flatnonzero(np.expm1(ranks) < ranked_leaves(len(ranks)) - 0.5).tolist()
        before = [self.possible[place] for place in places]
        after, preference = reordered(
            ranker, self._evidence, [self.scores[place] for place in places], before
        )
        for place, old, new, share in zip(places, before, after, preference, strict=True):
            found[place] = old.index(new[0]), share
            if new != old:  # else the features that are known already hold
                self.possible[place] = new
        return found

    def _of_file(self, leaves: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        if self._evidence is None:
            return np.full((len(leaves), len(EVIDENCE_FEATURES)), np.nan, dtype=np.float32)
        return self._evidence.features(leaves, texts)
