"""How far an exported graph is from the model that was trained, and how far it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from codemlm.backend import INPUT_NAMES, OUTPUT_NAMES
from codemlm.errors import ModelError
from codemlm.train.heads import NEGATIVE
from codemlm.train.model import CodeMLMForLeafPrediction

Outputs = tuple[np.ndarray, np.ndarray]
"""Keep logits float32 (B, N) and leaf logits float32 (B, N, G + C)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an export fails at.

    Attributes:
        float32: largest difference of a logit of the float32 graph.
        top1: least share of leaves whose best candidate is the same after quantisation.
        correlation: least correlation of keep probabilities.
        drift: largest difference of a keep probability.
        gate_loss: largest growth of the gate's cross entropy, as a share of it.
        accuracy: largest loss of masked-leaf accuracy, as a share of all masked leaves.
    """

    float32: float = 1e-3
    top1: float = 0.95
    correlation: float = 0.995
    drift: float = 0.25
    gate_loss: float = 0.02
    accuracy: float = 0.01


@dataclass(slots=True)
class Comparison:
    """Sums over batches of what two models say; `report` turns them into figures."""

    keep: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    targets: list[np.ndarray] = field(default_factory=list)
    best_equal: list[np.ndarray] = field(default_factory=list)
    correct: list[np.ndarray] = field(default_factory=list)
    keep_max_diff: float = 0.0
    leaf_max_diff: float = 0.0

    def add(self, arrays: Mapping[str, np.ndarray], trained: Outputs, exported: Outputs) -> None:
        """Takes in a batch of `with_selected`."""
        real = arrays["leaf_positions"] >= 0
        (keep_a, leaf_a), (keep_b, leaf_b) = trained, exported
        competes = leaf_a > NEGATIVE / 2
        if not np.array_equal(competes[real], leaf_b[real] > NEGATIVE / 2):
            raise ModelError("the exported graph lets other candidates compete; do not ship it")
        differences = np.abs(leaf_a - leaf_b)[real[..., None] & competes]
        self.leaf_max_diff = float(differences.max(initial=self.leaf_max_diff))
        differences = np.abs(keep_a - keep_b)[real]
        self.keep_max_diff = float(differences.max(initial=self.keep_max_diff))
        best_a, best_b = leaf_a.argmax(-1), leaf_b.argmax(-1)
        self.best_equal.append((best_a == best_b)[real])
        judged = arrays["keep_targets"].shape[1]
        gated = real[:, :judged]
        self.keep.append((keep_a[:, :judged][gated], keep_b[:, :judged][gated]))
        self.targets.append(arrays["keep_targets"][gated])
        masked = real[:, judged:] & (arrays["shown"] < 0) & (arrays["targets"] >= 0)
        goal = arrays["targets"]
        right = np.stack([best_a[:, judged:] == goal, best_b[:, judged:] == goal], axis=-1)
        self.correct.append(right[masked])

    def report(self) -> dict[str, float | int]:
        """The figures, by the names that the manifest has."""
        a, b = (
            np.concatenate(logits).astype(np.float64) for logits in zip(*self.keep, strict=True)
        )
        p, q = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
        target = np.concatenate(self.targets)
        correct = np.concatenate(self.correct)
        accuracy = correct.mean(axis=0) if len(correct) else np.zeros(2)
        figures = {
            "leaves": len(a),
            "masked_leaves": len(correct),
            "keep_logit_max_diff": self.keep_max_diff,
            "keep_logit_rms_diff": float(np.sqrt(np.square(a - b).mean())),
            "keep_max_drift": float(np.abs(p - q).max()),
            "keep_correlation": float(np.corrcoef(p, q)[0, 1]),
            "leaf_logit_max_diff": self.leaf_max_diff,
            "top1_agreement": float(np.concatenate(self.best_equal).mean()),
            "trained_gate_loss": _cross_entropy(a, target),
            "exported_gate_loss": _cross_entropy(b, target),
            "trained_masked_accuracy": float(accuracy[0]),
            "exported_masked_accuracy": float(accuracy[1]),
        }
        return {n: v if isinstance(v, int) else float(f"{v:.5g}") for n, v in figures.items()}


def _cross_entropy(logits: np.ndarray, target: np.ndarray) -> float:
    return float(
        (np.logaddexp(0, -logits) * target + np.logaddexp(0, logits) * (1 - target)).mean()
    )


def with_selected(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A training batch whose `leaf_positions` hold the selected leaves too, behind the judged."""
    both = np.concatenate([arrays["leaf_positions"], arrays["selected_positions"]], axis=1)
    return {**arrays, "leaf_positions": both}


@torch.no_grad()
def run_trained(model: CodeMLMForLeafPrediction, arrays: Mapping[str, np.ndarray]) -> Outputs:
    """The trained model's outputs at `leaf_positions`."""
    tensors = {name: torch.from_numpy(arrays[name]) for name in INPUT_NAMES}
    out = model(**tensors, selected_positions=tensors["leaf_positions"], return_logits=True)
    return out.keep_logits.numpy(), out.leaf_logits.numpy()


def run_session(session: Any, arrays: Mapping[str, np.ndarray]) -> Outputs:
    """An exported graph's outputs at `leaf_positions`."""
    keep, leaf = session.run(OUTPUT_NAMES, {name: arrays[name] for name in INPUT_NAMES})
    return keep, leaf


def compare(
    model: CodeMLMForLeafPrediction,
    sessions: Mapping[str, Any],
    batches: Sequence[Mapping[str, np.ndarray]],
) -> dict[str, dict[str, float | int]]:
    """Reports of exported graphs, by the names that they are given under."""
    comparisons = {name: Comparison() for name in sessions}
    for arrays in batches:
        trained = run_trained(model, arrays)
        for name, session in sessions.items():
            comparisons[name].add(arrays, trained, run_session(session, arrays))
    return {name: comparison.report() for name, comparison in comparisons.items()}


def check(reports: Mapping[str, Mapping[str, float | int]], limits: Limits) -> None:
    """Lets the reports "float32" and "int8" of `compare` pass or not.

    Raises:
        ModelError: a figure is past its limit; the message has all that are.
    """
    exact, small = reports["float32"], reports["int8"]
    float_diff = float(np.maximum(exact["keep_logit_max_diff"], exact["leaf_logit_max_diff"]))
    growth = small["exported_gate_loss"] / max(small["trained_gate_loss"], 1e-9) - 1
    lost = small["trained_masked_accuracy"] - small["exported_masked_accuracy"]
    at_most = (
        ("float32 difference", float_diff, limits.float32),
        ("drift of the keep probability", small["keep_max_drift"], limits.drift),
        ("growth of the gate's loss", growth, limits.gate_loss),
        ("loss of masked accuracy", lost, limits.accuracy),
    )
    at_least = (
        ("top-1 agreement", small["top1_agreement"], limits.top1),
        ("keep correlation", small["keep_correlation"], limits.correlation),
    )
    # `not`, so that a NaN fails (which Python's own max would have lost).
    failed = [f"{what} {x:.4g}, at most {limit:g}" for what, x, limit in at_most if not x <= limit]
    failed += [
        f"{what} {x:.4g}, at least {limit:g}" for what, x, limit in at_least if not x >= limit
    ]
    if failed:
        raise ModelError(
            f"the exported model is not the trained one: {'; '.join(failed)}. If only 8-bit "
            "figures fail, export with a lower --max-noise: more stays in float32"
        )
