"""Settings of training, and what follows from them: a run's length, learning and error rates."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from codemlm.errors import UsageError

VOCAB_SIZE = 12_288
"""Subtokens of a tokenizer, runs and special ones included."""

NUM_FREQUENT = 4096
"""Global candidates of a tokenizer, [DELETE] and [NEGATE] included."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """All settings of a run; saved in its checkpoints.

    The annotations are the command line's help; what has none is not on the command line.
    """

    data: Annotated[Path, "Folder of shards to train on."] = Path()
    out: Annotated[Path, "Folder of the run: checkpoints and metrics.jsonl."] = Path()
    model_config: Annotated[Path | None, "JSON file with fields of CodeMLMConfig."] = None
    model_set: Annotated[
        tuple[str, ...], "FIELD=VALUE of CodeMLMConfig, as encoder.num_hidden_layers=6; repeatable."
    ] = ()
    init_from: Annotated[
        Path | None, "Run folder to continue from while OUT has no checkpoint."
    ] = None
    fixes: Annotated[Path | None, "Shards of real fixes ('fixes' makes them): fine-tuning."] = None
    fixes_share: Annotated[float, "Share of windows around a real mistake or its fix."] = 0.4
    proposals: Annotated[Path | None, "Shards with a model's own wrong leaves ('propose')."] = None
    proposals_share: Annotated[float, "Share of windows of those."] = 0.25
    seed: Annotated[int, "Seed of weights, masking and dropout."] = 0
    total_steps: Annotated[int, "Length of the run in steps; 0 = by --total-tokens."] = 0
    total_tokens: Annotated[int, "Length of the run in subtokens, counting full windows."] = (
        100_000_000
    )
    batch_windows: Annotated[int, "Windows a step, over all processes and micro-batches."] = 32
    micro_batches: Annotated[
        int, "Parts into which each process cuts its windows, to save memory."
    ] = 1
    window: Annotated[int, "Subtokens a window."] = 256
    learning_rate: Annotated[float, "Peak learning rate."] = 1e-3
    schedule: Annotated[Literal["wsd", "cosine"], "Shape of the learning rate."] = "wsd"
    warmup_steps: Annotated[int, "Steps of linear warm-up, at most a tenth of the run."] = 300
    decay_fraction: Annotated[float, "wsd: share of the run that decays linearly, at its end."] = (
        0.2
    )
    final_lr_ratio: Annotated[float, "Learning rate at the end, as a share of the peak."] = 0.0
    decay_now: Annotated[bool, "wsd: decay from the checkpoint resumed, then end."] = False
    decay_start: int = -1  # Step at which decay_now began; -1 = not asked for.
    weight_decay: Annotated[float, "AdamW's; not on biases, norms and embeddings."] = 0.01
    beta1: Annotated[float, "AdamW's decay of the first moment."] = 0.9
    beta2: Annotated[float, "AdamW's decay of the second moment."] = 0.98
    eps: Annotated[float, "AdamW's epsilon."] = 1e-6
    clip_norm: Annotated[float, "Largest gradient norm; 0 = no clipping."] = 1.0
    mask_rate: Annotated[float, "Share of maskable leaves that are selected."] = 0.2
    masking: Annotated[
        Literal["leaf", "piece"], "What is masked: whole leaves, or single subtokens as in BERT."
    ] = "leaf"
    replaced_share: Annotated[
        float, "Share of selected leaves that become wrong ones; a tenth is kept, the rest masked."
    ] = 0.1
    wrong_rate_start: Annotated[float, "Share of judged leaves that are wrong, at first."] = 0.06
    wrong_rate_end: Annotated[float, "Share of judged leaves that are wrong, at last."] = 0.015
    wrong_from: Annotated[float, "Share of the run after which wrong leaves grow fewer."] = 0.3
    wrong_until: Annotated[float, "Share of the run after which wrong-rate-end holds."] = 0.9
    log_every: Annotated[int, "Steps between metrics rows."] = 20
    eval_every: Annotated[int, "Steps between validations; 0 = none."] = 500
    checkpoint_every_minutes: Annotated[float, "Minutes between checkpoints; 0 = none."] = 10.0
    checkpoint_every_steps: Annotated[int, "Steps between checkpoints; 0 = by time alone."] = 0
    keep_checkpoints: Annotated[int, "Number of checkpoints to keep."] = 2
    stop_after_minutes: Annotated[float, "Stop with a checkpoint after so long; 0 = never."] = 0.0
    workers: Annotated[int, "Processes that make batches ahead; 0 = make them in the loop."] = 1
    threads: Annotated[int, "CPU threads of torch, a process; 0 = share the cores out."] = 0
    device: Annotated[str, "auto, cpu or cuda."] = "auto"
    dtype: Annotated[Literal["bfloat16", "float32"], "Of weights and activations."] = "bfloat16"
    compile: Annotated[Literal["auto", "on", "off"], "torch.compile; auto = on a GPU."] = "auto"

    def __post_init__(self) -> None:
        """Raises UsageError for settings that make no run."""
        at_least_one = ("batch_windows", "micro_batches", "window", "log_every", "keep_checkpoints")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.steps < 1:
            raise UsageError("the run has no steps; raise total_steps or total_tokens")
        if not 0 <= self.replaced_share <= 0.9:
            raise UsageError(f"replaced_share is {self.replaced_share}; it must be from 0 to 0.9")
        if not 0 <= self.decay_fraction <= 1:
            raise UsageError(f"decay_fraction is {self.decay_fraction}; it must be from 0 to 1")
        if self.decay_now and self.schedule != "wsd":
            raise UsageError("decay_now needs schedule wsd; a cosine has no stable phase")

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.total_steps or -(-self.total_tokens // (self.batch_windows * self.window))

    @property
    def decay_from(self) -> int:
        """The step at which wsd begins to decay."""
        return self.decay_start if self.decay_start >= 0 else self.steps - self.decay_steps

    @property
    def decay_steps(self) -> int:
        """Steps of wsd's decay."""
        return max(1, round(self.decay_fraction * self.steps))

    def lr_at(self, step: int) -> float:
        """The learning rate of the update that makes step `step` (from 0).

        Source: Hägele et al., arXiv 2405.18392 (constant, then linear cool-down).
        """
        warmup = min(self.warmup_steps, self.steps // 10)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "cosine":
            share = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))
        else:
            share = min(1.0, (self.steps - step) / max(1, self.steps - self.decay_from))
        return self.learning_rate * (self.final_lr_ratio + (1 - self.final_lr_ratio) * share)

    def wrong_rate_at(self, step: int) -> float:
        """Share of judged leaves to make wrong at a step: linear between two plateaus."""
        begin, end = self.wrong_from * self.steps, self.wrong_until * self.steps
        share = min(1.0, max(0.0, (step - begin) / max(1.0, end - begin)))
        return self.wrong_rate_start + (self.wrong_rate_end - self.wrong_rate_start) * share

    def as_json(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {
            f.name: str(value) if isinstance(value := getattr(self, f.name), Path) else value
            for f in dataclasses.fields(self)
        }


def path_fields() -> frozenset[str]:
    """Names of the settings that are paths: they say something of a machine, not of a run."""
    hints = get_type_hints(TrainConfig)
    return frozenset(name for name, hint in hints.items() if Path in (hint, *get_args(hint)))
