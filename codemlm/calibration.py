"""Confidence: logistic maps from what the model says of a leaf to the chance that it is wrong.

The features are computed here for fitting (``codemlm.train.calibrate``) and for scanning alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codemlm.errors import ModelError
from codemlm.scoring import Alternative, LeafScore
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
SINGLE_FEATURES = ("doubt", "share", "gap", *(f"is_{g}" for g in _GROUP_NAMES))
"""Features of the single pass, in order; see ``single_features``."""
VERIFIED_FEATURES = (*SINGLE_FEATURES, "masked_shown", "masked_best", "agrees")
"""Features once the leaf was masked too; see ``verified_features``."""


LOWEST = -15.0
"""Floor of the natural logs among the features: what is less likely is as good as impossible."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic maps from features to confidence, and the threshold for the alert budget.

    Attributes:
        single: (intercept, coefficients in the order of SINGLE_FEATURES).
        verified: the same for VERIFIED_FEATURES.
        threshold: default least confidence of a finding.
        undefined: confidence of an undefined name (its measured precision).
        notes: where the figures come from; for the model card.
    """

    single: tuple[float, tuple[float, ...]] = (-4.0, (1.0, 0.5, 0.0, *(0.0,) * 6))
    verified: tuple[float, tuple[float, ...]] = (
        -4.0,
        (0.5, 0.25, 0.0, *(0.0,) * 6, -0.25, 0.25, 0.5),
    )
    threshold: float = 0.5
    undefined: float = 0.9
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """A calibration from a manifest.

        Raises:
            ModelError: if features or numbers are not what this version knows.
        """
        try:
            maps = {}
            for name, features in (("single", SINGLE_FEATURES), ("verified", VERIFIED_FEATURES)):
                entry = data[name]
                if tuple(entry["features"]) != features:
                    raise ModelError(
                        f"calibration '{name}' has features {entry['features']}, this codemlm "
                        f"needs {list(features)}; calibrate the model again"
                    )
                maps[name] = (float(entry["intercept"]), tuple(map(float, entry["coefficients"])))
                if len(maps[name][1]) != len(features):
                    raise ModelError(f"calibration '{name}' has the wrong number of coefficients")
            return cls(
                single=maps["single"],
                verified=maps["verified"],
                threshold=float(data["threshold"]),
                undefined=float(data["undefined"]),
                notes=dict(data.get("notes", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"calibration is incomplete ({error!r}); calibrate again") from error

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` reads."""
        maps = {
            "single": (self.single, SINGLE_FEATURES),
            "verified": (self.verified, VERIFIED_FEATURES),
        }
        return {
            **{
                name: {"features": list(names), "intercept": m[0], "coefficients": list(m[1])}
                for name, (m, names) in maps.items()
            },
            "threshold": self.threshold,
            "undefined": self.undefined,
            "notes": dict(self.notes),
        }

    def confidence(
        self, role: Role, score: LeafScore, alternative: Alternative, masked: MaskedView | None
    ) -> float:
        """Probability that the shown leaf is wrong."""
        if masked is None:
            (intercept, weights), values = self.single, single_features(role, score, alternative)
        else:
            intercept, weights = self.verified
            values = verified_features(role, score, alternative, masked)
        z = intercept + sum(w * v for w, v in zip(weights, values, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, z))))


@dataclass(frozen=True, slots=True)
class MaskedView:
    """What masking says of a leaf.

    Natural logs of the shown leaf's and of the best possible alternative's share, and that
    alternative.
    """

    shown: float
    best: float
    alternative: str


def single_features(role: Role, score: LeafScore, alternative: Alternative) -> tuple[float, ...]:
    """Features of the single pass, in the order of SINGLE_FEATURES.

    doubt: the gate's logit that the leaf is wrong. share: log of the alternative's share among what
    may be meant instead. gap: how much likelier than the shown leaf the best alternative is, in
    nats.
    """
    doubt = -score.keep_logit
    wrong = 1.0 / (1.0 + math.exp(max(-40.0, min(40.0, score.keep_logit))))
    share = math.log(max(alternative.likelihood / max(wrong, 1e-12), math.exp(LOWEST)))
    gap = score.logp_best - max(score.logp_shown, LOWEST)
    group = GROUPS[role]
    return (doubt, min(share, 0.0), gap, *(float(g == group) for g in _GROUP_NAMES))


def verified_features(
    role: Role, score: LeafScore, alternative: Alternative, masked: MaskedView
) -> tuple[float, ...]:
    """Features once the leaf was masked too, in the order of VERIFIED_FEATURES."""
    return (
        *single_features(role, score, alternative),
        max(masked.shown, LOWEST),
        max(masked.best, LOWEST),
        float(masked.alternative == alternative.text),
    )
