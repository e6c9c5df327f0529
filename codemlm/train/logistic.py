"""Logistic regression, and how far its probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Fitted = tuple[float, np.ndarray]
"""Intercept, and coefficients float64 (F,)."""

_BINS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


def fit_logistic(
    features: np.ndarray, wrong: np.ndarray, weight: np.ndarray, penalty: float
) -> Fitted:
    """Intercept and coefficients of a logistic regression, by Newton's method.

    Features are scaled to unit variance for the penalty, which spares the intercept; what comes
    back is for features as given.

    Args:
        features: float64 (N, F).
        wrong: bool (N,).
        weight: float64 (N,).
        penalty: weight of half the sum of squared coefficients.
    """
    mean = np.average(features, axis=0, weights=weight)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weight))
    spread[spread < 1e-9] = 1.0
    design = np.column_stack([np.ones(len(features)), (features - mean) / spread])
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = 1e-9

    def loss(theta: np.ndarray) -> float:
        z = design @ theta
        return float(weight @ (np.logaddexp(0.0, z) - wrong * z) + 0.5 * ridge @ theta**2)

    share = np.clip(weight @ wrong / weight.sum(), 1e-9, 1 - 1e-9)
    theta = np.zeros(design.shape[1])
    theta[0] = np.log(share / (1 - share))
    current = loss(theta)
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ theta, -40, 40)))
        gradient = design.T @ (weight * (p - wrong)) + ridge * theta
        curvature = (design * (weight * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(ridge), gradient)
        size = 1.0
        while size > 1e-6 and loss(theta - size * step) > current:
            size /= 2
        theta = theta - size * step
        before, current = current, loss(theta)
        if before - current < 1e-9 * max(1.0, abs(before)):
            break
    coefficients = theta[1:] / spread
    return float(theta[0] - mean @ coefficients), coefficients


def predict(fitted: Fitted, features: np.ndarray | Sequence[tuple[float, ...]]) -> np.ndarray:
    """Confidences float64 (N,) for features (N, F)."""
    rows = np.asarray(features, dtype=np.float64).reshape(-1, len(fitted[1]))
    z = np.clip(fitted[0] + rows @ fitted[1], -40, 40)
    found: np.ndarray = 1.0 / (1.0 + np.exp(-z))
    return found


def threshold_for(
    confidences: np.ndarray, allowed: float, weight: np.ndarray | None = None
) -> float:
    """The least threshold that at most ``allowed`` of the confidences reach.

    Args:
        confidences: float64 (N,).
        allowed: how many.
        weight: as how many each of them counts, (N,); None: as one.
    """
    order = np.argsort(-confidences, kind="stable")
    ordered = confidences[order]
    counts = np.ones(len(order)) if weight is None else weight[order]
    first = int(np.searchsorted(np.cumsum(counts), allowed, side="right"))
    if first >= len(ordered):
        return 0.0
    above = float(ordered[first - 1]) if first else 1.0
    below = float(ordered[first])
    threshold = (above + below) / 2
    return threshold if threshold > below else float(np.nextafter(below, 2.0))


def held_out(
    features: np.ndarray, wrong: np.ndarray, weight: np.ndarray, group: np.ndarray, penalty: float
) -> np.ndarray:
    """Confidences of leaves by fits without their repositories; NaN where none can be fitted."""
    found = np.full(len(wrong), np.nan)
    for held in np.unique(group):
        inside = group == held
        if wrong[~inside].any() and not wrong[~inside].all():
            fitted = fit_logistic(features[~inside], wrong[~inside], weight[~inside], penalty)
            found[inside] = predict(fitted, features[inside])
    return found


def reliability(confidences: np.ndarray, wrong: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    """How well confidences hold: log loss, expected calibration error, and shares by bin.

    Args:
        confidences: float64 (N,), NaN for leaves to leave out.
        wrong: bool (N,).
        weight: float64 (N,).
    """
    known = ~np.isnan(confidences)
    p, wrong, weight = confidences[known], wrong[known], weight[known]
    total = weight.sum()
    inside = np.clip(np.searchsorted(_BINS, p, side="right") - 1, 0, len(_BINS) - 2)
    bins, error = [], 0.0
    for number in range(len(_BINS) - 1):
        chosen = inside == number
        share = weight[chosen].sum()
        if not share:
            continue
        said = float(weight[chosen] @ p[chosen] / share)
        measured = float(weight[chosen] @ wrong[chosen] / share)
        error += share / total * abs(said - measured)
        bins.append(
            {
                "from": _BINS[number],
                "to": _BINS[number + 1],
                "leaves": int(chosen.sum()),
                "confidence": round(said, 4),
                "measured": round(measured, 4),
            }
        )
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    losses = -np.where(wrong, np.log(clipped), np.log1p(-clipped))
    return {
        "log_loss": round(float(weight @ losses / total), 5),
        "calibration_error": round(float(error), 5),
        "bins": bins,
    }
