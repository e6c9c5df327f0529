"""Confidence: maps from what is known of a leaf to the chance that it is wrong.

One or two stages. The first judges every leaf by the model's single pass, and chooses what is
masked; the second, where there is one, judges those once they were masked too. Either is a logistic
function, or boosted trees with a logistic function of their margin. The same rows are made for
fitting (`codemlm.train.collect`) and for scanning (`codemlm.confidence`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codemlm.errors import ModelError
from codemlm.evidence import EVIDENCE_FEATURES
from codemlm.scoring import Alternative, LeafScore
from codemlm.trees import Ensemble
from codemlm.types import Role

GROUPS: dict[Role, str] = {
    Role.READ: "variable",
    Role.UPDATE: "variable",
    Role.CALL: "function",
    Role.METHOD: "function",
    Role.ATTRIBUTE: "attribute",
    Role.ATTRIBUTE_BINDING: "attribute",
    Role.KEYWORD_ARGUMENT: "keyword",
    Role.OPERATOR: "operator",
    Role.NUMBER: "literal",
    Role.CONSTANT: "literal",
}
"""Roles that behave alike, for calibration."""

_GROUP_NAMES = ("variable", "function", "attribute", "keyword", "operator", "literal")
_GROUP_COLUMNS = {
    int(role): tuple(float(group == name) for name in _GROUP_NAMES)
    for role, group in GROUPS.items()
}
_LOGISTIC_SINGLE = ("doubt", "share", "gap", *(f"is_{g}" for g in _GROUP_NAMES))
_LOGISTIC_MASKED = ("masked_shown", "masked_best", "agrees")
MODEL_FEATURES = (
    *(*_LOGISTIC_SINGLE, "shown", "best", "second", "lost", "possible"),
    *("rank", "moved", "preference"),
)
"""Features of the single pass, in order; see ``model_features``. The last three are of the file's
other leaves (``rank``), and of the ranker: the place that the first alternative had in the model's
order, and the log of its share; NaN where alternatives were not ranked anew."""
OF_FILE = 3
"""How many of them ``model_features`` does not know."""
MASKED_FEATURES = (*_LOGISTIC_MASKED, "masked_gap")
"""Features of the pass with the leaf masked, in order; see ``masked_features``."""
SINGLE_FEATURES = (*MODEL_FEATURES, *EVIDENCE_FEATURES)
"""Columns of the first stage's rows."""
VERIFIED_FEATURES = (*SINGLE_FEATURES, *MASKED_FEATURES)
"""Columns of the second stage's rows."""

LOWEST = -15.0
"""Floor of the natural logs among the features: what is less likely is as good as impossible."""
_STEEPEST = 40.0


@dataclass(frozen=True, slots=True)
class MaskedView:
    """What masking says of a leaf.

    Natural logs of the shown leaf's and of the best possible alternative's share, that alternative,
    and what is suggested in the end, by both passes.
    """

    shown: float
    best: float
    alternative: str
    suggested: str


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic function of features: names, intercept, and a coefficient for each name."""

    features: tuple[str, ...]
    intercept: float
    coefficients: tuple[float, ...]

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Logits that rows of the map's features (N, F) are wrong: float64 (N,)."""
        found: np.ndarray = self.intercept + values.astype(np.float64) @ np.array(self.coefficients)
        return found

    def contributions(self, row: np.ndarray, others: np.ndarray) -> np.ndarray:
        """What each feature adds to a row's logit, and last the mean of others: float64 (F + 1,).

        They sum to the logit.

        Args:
            row: of the map's features (F,).
            others: rows to compare with (N, F); none: a row of zeros.
        """
        mean = others.mean(axis=0, dtype=np.float64) if len(others) else np.zeros(len(row))
        weights = np.array(self.coefficients)
        return np.append(weights * (row - mean), self.intercept + mean @ weights)

    def as_json(self) -> dict[str, Any]:
        """What ``_map`` reads."""
        coefficients = list(self.coefficients)
        features = list(self.features)
        return {"features": features, "intercept": self.intercept, "coefficients": coefficients}


@dataclass(frozen=True, slots=True)
class Boosted:
    """Boosted trees of features, and the logistic function of their margin: slope above 0."""

    features: tuple[str, ...]
    trees: Ensemble
    intercept: float = 0.0
    slope: float = 1.0

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Logits that rows of the map's features (N, F) are wrong: float64 (N,)."""
        return self.intercept + self.slope * self.trees.margins(values)

    def contributions(self, row: np.ndarray, others: np.ndarray) -> np.ndarray:
        """As of a logistic function; see ``Ensemble.contributions``."""
        found = self.slope * self.trees.contributions(row, others)
        found[-1] += self.intercept
        return found

    def as_json(self) -> dict[str, Any]:
        """What ``_map`` reads."""
        return {
            "features": list(self.features),
            "intercept": self.intercept,
            "slope": self.slope,
            "trees": self.trees.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps from features to confidence, and the threshold for the alert budget.

    Attributes:
        single: of rows of SINGLE_FEATURES.
        verified: of rows of VERIFIED_FEATURES; None: nothing is masked, the first stage decides.
        ranker: orders what may be meant at a leaf, of rows of ``ranking.RANK_FEATURES``; None: the
            model's order stands.
        threshold: default least confidence of a finding.
        undefined: confidence of an undefined name (its measured precision).
        notes: where the figures come from; for the model card.
    """

    single: Logistic | Boosted = Logistic(_LOGISTIC_SINGLE, -4.0, (1.0, 0.5, 0.0, *(0.0,) * 6))
    verified: Logistic | Boosted | None = Logistic(
        (*_LOGISTIC_SINGLE, *_LOGISTIC_MASKED),
        -4.0,
        (0.5, 0.25, 0.0, *(0.0,) * 6, -0.25, 0.25, 0.5),
    )
    threshold: float = 0.5
    undefined: float = 0.9
    ranker: Boosted | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uses_evidence(self) -> bool:
        """Whether features of the whole file are asked for."""
        asked = {*self.single.features, *(self.verified.features if self.verified else ())}
        return self.ranker is not None or not asked.isdisjoint(EVIDENCE_FEATURES)

    def order(self, rows: np.ndarray) -> np.ndarray:
        """Rows of SINGLE_FEATURES, those that are worth masking most first: int64 (N,)."""
        if isinstance(self.single, Boosted):
            return np.argsort(-self.logits(rows), kind="stable")
        return np.argsort(rows[:, SINGLE_FEATURES.index("rank")], kind="stable")

    def confidences(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities that leaves are wrong: float64 (N,).

        Args:
            rows: of SINGLE_FEATURES, or of VERIFIED_FEATURES for leaves that were masked.
        """
        return self.probabilities(self.logits(rows))

    @staticmethod
    def probabilities(logits: np.ndarray) -> np.ndarray:
        """What logits stand for: float64 (N,)."""
        found: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(logits, -_STEEPEST, _STEEPEST)))
        return found

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """The logits of ``confidences``."""
        used, columns = self._map_of(rows.shape[1])
        return used.logits(rows[:, columns])

    def contributions(self, row: np.ndarray, others: np.ndarray) -> dict[str, float]:
        """What each feature adds to the logit of a leaf, compared with other leaves.

        Args:
            row: of SINGLE_FEATURES or of VERIFIED_FEATURES (F,).
            others: rows of the same features (N, F).

        Returns:
            Nats by feature, and under the empty name what the others have; the logit is their sum.
        """
        used, columns = self._map_of(len(row))
        found = used.contributions(row[columns], others[:, columns])
        return dict(zip((*used.features, ""), found.tolist(), strict=True))

    def _map_of(self, width: int) -> tuple[Logistic | Boosted, list[int]]:
        """The map for rows of so many columns, and which of them it asks for."""
        verified = width == len(VERIFIED_FEATURES)
        names = VERIFIED_FEATURES if verified else SINGLE_FEATURES
        used = self.verified if verified and self.verified else self.single
        return used, [names.index(name) for name in used.features]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """A calibration from a manifest.

        Raises:
            ModelError: if features or numbers are not what this version knows.
        """
        try:
            return cls(
                single=_map(data["single"], SINGLE_FEATURES, "single"),
                verified=(
                    None
                    if data["verified"] is None
                    else _map(data["verified"], VERIFIED_FEATURES, "verified")
                ),
                threshold=float(data["threshold"]),
                undefined=float(data["undefined"]),
                ranker=None if data.get("ranker") is None else _ranker(data["ranker"]),
                notes=dict(data.get("notes", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"calibration is incomplete ({error!r}); calibrate again") from error

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` reads."""
        return {
            "single": self.single.as_json(),
            "verified": self.verified.as_json() if self.verified else None,
            "threshold": self.threshold,
            "undefined": self.undefined,
            "ranker": self.ranker.as_json() if self.ranker else None,
            "notes": dict(self.notes),
        }


def _map(data: Mapping[str, Any], known: Sequence[str], name: str) -> Logistic | Boosted:
    features = tuple(map(str, data["features"]))
    unknown = [feature for feature in features if feature not in known]
    if unknown:
        raise ModelError(
            f"calibration '{name}' has features that this codemlm does not know: "
            f"{', '.join(unknown)}; calibrate the model again"
        )
    intercept = float(data["intercept"])
    if "trees" in data:
        slope = float(data["slope"])
        if not slope > 0:
            raise ModelError(f"calibration '{name}' has the slope {slope:g}; calibrate again")
        return Boosted(features, Ensemble.from_json(data["trees"], len(features)), intercept, slope)
    coefficients = tuple(map(float, data["coefficients"]))
    if len(coefficients) != len(features):
        raise ModelError(f"calibration '{name}' has the wrong number of coefficients")
    return Logistic(features, intercept, coefficients)


def _ranker(data: Mapping[str, Any]) -> Boosted:
    features = tuple(map(str, data["features"]))
    trees = Ensemble.from_json(data["trees"], len(features))
    return Boosted(features, trees, float(data["intercept"]), float(data["slope"]))


def model_features(
    role: int, score: LeafScore, possible: Sequence[Alternative]
) -> tuple[float, ...]:
    """Features of the single pass, in the order of MODEL_FEATURES but for the last ``OF_FILE``.

    doubt: the gate's logit that the leaf is wrong. share: log of the first possible alternative's
    share among what may be meant instead. gap: how much likelier than the shown leaf the best
    alternative is, in nats. shown, best: logs of their shares of the softmax. second: log odds of
    the second possible alternative against the first. lost: share of the alternatives that are not
    possible. possible: how many are.
    """
    best = possible[0]
    wrong = 1.0 / (1.0 + math.exp(max(-_STEEPEST, min(_STEEPEST, score.keep_logit))))
    share = math.log(max(best.likelihood / max(wrong, 1e-12), math.exp(LOWEST)))
    shown = max(score.logp_shown, LOWEST)
    second = LOWEST
    if len(possible) > 1:
        second = math.log(max(possible[1].likelihood / max(best.likelihood, 1e-12), 1e-6))
    every = sum([a.likelihood for a in score.alternatives])
    allowed = {a.text for a in possible}
    kept = sum([a.likelihood for a in score.alternatives if a.text in allowed])
    return (
        -score.keep_logit,
        min(share, 0.0),
        score.logp_best - shown,
        *_GROUP_COLUMNS[role],
        shown,
        score.logp_best,
        second,
        1.0 - kept / max(every, 1e-12),
        float(len(possible)),
    )


def masked_features(view: MaskedView, proposed: str) -> tuple[float, ...]:
    """Features of the masked pass, in the order of MASKED_FEATURES.

    Args:
        view: what it says.
        proposed: the alternative of the single pass.
    """
    shown, best = max(view.shown, LOWEST), max(view.best, LOWEST)
    return shown, best, float(view.alternative == proposed), best - shown
