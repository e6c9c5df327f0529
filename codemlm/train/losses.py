"""What the model returns: losses, logits and counts of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.utils.generic import ModelOutput

from codemlm.train.heads import leaf_log_likelihood


@dataclass
class LeafPredictionOutput(ModelOutput):
    """What `CodeMLMForLeafPrediction` returns; None where the inputs do not allow it.

    Attributes:
        loss: mlm_loss + gate_weight * keep_loss.
        mlm_loss: mean over selected leaves of -log P(target), in nats.
        keep_loss: mean binary cross entropy of the keep gate over the scored leaves.
        leaf_logits: (B, K, G + C). None in training unless asked for.
        keep_logits: (B, L).
        n_correct: masked leaves whose target is the best candidate.
        n_masked: masked leaves.
        masked_loss: mean of -log P(target) over the masked leaves alone.
        n_leaves: scored leaves.
        n_wrong: scored leaves that are not the intended ones.
        n_caught: of those, how many the gate gives less than 1/2.
        n_alarms: intended leaves which the gate gives less than 1/2.
        hidden_states: (B, T, D), the encoder's output. None in training.
    """

    loss: Tensor | None = None
    mlm_loss: Tensor | None = None
    keep_loss: Tensor | None = None
    leaf_logits: Tensor | None = None
    keep_logits: Tensor | None = None
    n_correct: Tensor | None = None
    n_masked: Tensor | None = None
    masked_loss: Tensor | None = None
    n_leaves: Tensor | None = None
    n_wrong: Tensor | None = None
    n_caught: Tensor | None = None
    n_alarms: Tensor | None = None
    hidden_states: Tensor | None = None


def fill_keep(out: LeafPredictionOutput, real: Tensor, keep_targets: Tensor) -> None:
    """Sets the gate's loss and counts; real: bool (B, L), False at pads."""
    assert out.keep_logits is not None
    logits = out.keep_logits.float()
    goal = keep_targets.float()
    each = F.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    out.n_leaves = real.sum()
    out.keep_loss = (each * real).sum() / out.n_leaves.clamp(min=1)
    intended = goal >= 0.5
    doubted = real & (logits < 0)
    out.n_wrong = (real & ~intended).sum()
    out.n_caught = (doubted & ~intended).sum()
    out.n_alarms = (doubted & intended).sum()


def fill_mlm(
    out: LeafPredictionOutput,
    logits: Tensor,
    targets: Tensor,
    shown: Tensor,
    keep_logits: Tensor | None,
    real: Tensor,
) -> None:
    """Sets the likelihood loss and counts; real: bool (B, K), False at pads.

    Without `keep_logits` every leaf is scored as if it were masked.
    """
    if keep_logits is None:
        never, unused = torch.full_like(shown, -1), torch.zeros_like(logits[..., 0])
        logp, correct = leaf_log_likelihood(logits, targets, never, unused)
    else:
        logp, correct = leaf_log_likelihood(logits, targets, shown, keep_logits)
    masked = real & (shown < 0)
    out.mlm_loss = -torch.where(real, logp, 0.0).sum() / real.sum().clamp(min=1)
    out.n_masked = masked.sum()
    out.n_correct = (correct & masked).sum()
    masked_logp = torch.where(masked, logp, 0.0).sum().detach()
    out.masked_loss = -masked_logp / out.n_masked.clamp(min=1)
