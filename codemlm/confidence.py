"""How sure it is that each leaf of a file is a mistake.

Rows of features from the model's scores and the file's evidence, for scans and for fitting alike.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

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
from codemlm.recollection import Recollection, fresh
from codemlm.scoring import Alternative, LeafScore


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
        open_ = [score for score in scores if score.leaf not in exact]
        if recollection is None:
            known = [fresh(context, score) for score in open_]
        else:
            known = recollection.of(context, open_)
        for score, (possible, features) in zip(open_, known, strict=True):
            if possible:
                self.scores.append(score)
                self.possible.append(possible)
                model.append(features)
        self._evidence = Evidence(context.parsed, path) if with_evidence and model else None
        ranks = self._ranks()
        ranked = np.zeros(len(ranks), dtype=bool)
        if ranker is not None and self._evidence is not None:
            ranked = np.expm1(ranks) < ranked_leaves(len(ranks)) - 0.5
        evidence, first = self._compared(ranked)
        anew = np.full((len(ranks), 2), np.nan, dtype=np.float32)
        if ranker is not None and ranked.any():
            anew[ranked] = self._rank_anew(ranker, np.flatnonzero(ranked).tolist(), evidence, model)
            first[ranked] += anew[ranked, 0].astype(np.int64)
        table = np.array(model, dtype=np.float32).reshape(-1, len(MODEL_FEATURES) - OF_FILE)
        self.rows = np.column_stack([table, ranks, anew, evidence[first]])

    @cached_property
    def informative(self) -> np.ndarray:
        """Whether it makes sense to doubt each of the leaves of ``scores``: bool (N,)."""
        parsed = self.context.parsed
        return np.array([is_informative(parsed, score.leaf) for score in self.scores], dtype=bool)

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

    def _compared(self, ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Evidence for all alternatives of leaves that are ranked, and for the first one of others.

        It is looked up at once, since each look has a price of its own.

        Args:
            ranked: which leaves are: bool (N,).

        Returns:
            float32 (M, F), the leaves that are ranked before the others; and the row of each leaf's
            first alternative, int64 (N,).
        """
        order = np.argsort(~ranked, kind="stable")
        some = [
            self.possible[place] if ranked[place] else self.possible[place][:1]
            for place in order.tolist()
        ]
        counts = [len(one) for one in some]
        leaves = np.repeat([self.scores[place].leaf for place in order.tolist()], counts)
        texts = [alternative.text for one in some for alternative in one]
        first = np.empty(len(order), dtype=np.int64)
        first[order] = np.cumsum([0, *counts])[:-1]
        return self._of_file(leaves.tolist(), texts), first

    def _rank_anew(
        self,
        ranker: Boosted,
        places: Sequence[int],
        evidence: np.ndarray,
        model: list[tuple[float, ...]],
    ) -> np.ndarray:
        """Orders the alternatives of the most suspicious leaves, in place.

        Args:
            ranker: says how.
            places: of those leaves among ``scores``.
            evidence: for all of their alternatives first.
            model: features of the single pass, which change with the order.

        Returns:
            The place that the first one had, and the log of its share: float64 (K, 2).
        """
        scores = [self.scores[place] for place in places]
        before = [self.possible[place] for place in places]
        count = sum(map(len, before))
        after, found = reordered(ranker, evidence[:count], scores, before)
        for place, score, old, new in zip(places, scores, before, after, strict=True):
            if new is not old:
                self.possible[place] = new
                role = self.context.parsed.leaf_roles[score.leaf]
                model[place] = model_features(role, score, new)
        return found

    def _of_file(self, leaves: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        if self._evidence is None:
            return np.full((len(leaves), len(EVIDENCE_FEATURES)), np.nan, dtype=np.float32)
        return self._evidence.features(leaves, texts)
