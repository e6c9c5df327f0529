"""Checkpoints that survive a kill at any moment, and the metrics file that goes with them.

A run folder holds::

    metrics.jsonl               one JSON object a line; cut back to the checkpoint on resume
    step-00001200/
        checkpoint.json         for people: step, tokens, config, versions, last metrics, checksums
        model.safetensors       the model's own weights (bf16), with config.json beside them where
                                the model has one: the folder can be given to from_pretrained
        optimizer.safetensors   fp32 master weights and AdamW moments, flat

A checkpoint is written under a temporary name, flushed to disk and renamed, so a folder with the
final name is complete; checksums catch what the disk did to it later. Nothing is pickled. No
random state is stored, for there is none: every step seeds from (seed, step, rank).
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemlm.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from codemlm.train.config import TrainConfig
    from codemlm.train.optim import Layout

FORMAT = 1
# A resumed run must agree with its checkpoint on these: they decide what step n is.
FIXED = ("seed", "batch_windows", "window", "model_set")
# Counts that a model may return: the sums over leaves from which rates are made.
COUNTS = ("n_correct", "n_masked", "n_leaves", "n_wrong", "n_caught", "n_alarms")
_SIDECAR = "checkpoint.json"
_OPTIMIZER = "optimizer.safetensors"
_MODEL = "model.safetensors"
_LIBRARIES = ("torch", "transformers", "numpy", "safetensors", "tokenizers", "tree-sitter")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk whose checksums were found right; tensors are read on request."""

    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Number of steps done."""
        return int(self.state["step"])

    def restore_buffers(self, model: nn.Module) -> None:
        """Loads the model's stored weights and buffers into a model of the same shape.

        Raises:
            CheckpointError: a stored tensor has another shape than the model's.
        """
        from safetensors.torch import load_file

        try:
            model.load_state_dict(load_file(self.path / _MODEL), strict=False)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.path}: the checkpoint is of another model ({error}); use the model "
                "settings that it was trained with, or a new --out folder"
            ) from error

    def optimizer(self) -> tuple[dict[str, torch.Tensor], Layout]:
        """The optimiser's flat tensors, and the names and shapes of their parts."""
        from safetensors import safe_open

        with safe_open(self.path / _OPTIMIZER, framework="pt") as stored:
            layout = json.loads(stored.metadata()["layout"])
            return {name: stored.get_tensor(name) for name in stored.keys()}, layout  # noqa: SIM118


def save(
    run: Path,
    model: nn.Module,
    optimizer: dict[str, torch.Tensor],
    layout: Layout,
    state: dict[str, Any],
    *,
    keep: int = 2,
) -> Path:
    """Writes the checkpoint of `state["step"]` and drops all but the newest `keep`.

    Args:
        run: the run's folder.
        model: saved with its own `save_pretrained` where it has one.
        optimizer: the flat tensors of `MasterAdamW.tensors`.
        layout: their layout.
        state: what else a resumed run needs; plain JSON values, with `step`.
        keep: number of checkpoints to leave.

    Returns:
        The folder of the new checkpoint.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written.
    """
    final = run / f"step-{int(state['step']):08d}"
    temporary = run / f".tmp-{final.name}-{os.getpid()}"
    try:
        run.mkdir(parents=True, exist_ok=True)
        _sweep(run)
        temporary.mkdir()
        _write_tensors(temporary, model, optimizer, layout)
        files = {p.name: _fingerprint(p) for p in sorted(temporary.iterdir())}
        sidecar = {"format": FORMAT, **state, **provenance(), "files": files}
        (temporary / _SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
        for path in [*temporary.iterdir(), temporary]:
            _flush(path)
        if final.exists():  # the same step again: only where the older one was found corrupt
            final.rename(run / f".old-{final.name}-{os.getpid()}")
        temporary.rename(final)
        _flush(run)
        for old in folders(run)[keep:]:
            old.rename(run / f".old-{old.name}-{os.getpid()}")
        _sweep(run)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"{final}: cannot write the checkpoint ({error}); free some disk space or make the "
            "folder writable, then run the same command again: it resumes"
        ) from error
    return final


def _write_tensors(
    folder: Path, model: nn.Module, optimizer: dict[str, torch.Tensor], layout: Layout
) -> None:
    """Writes the model's and the optimiser's tensors into `folder`."""
    from safetensors.torch import save_file

    save_pretrained: Any = getattr(model, "save_pretrained", None)
    if save_pretrained is not None:
        # One file, for restore_buffers: without this, large models are split.
        save_pretrained(folder, max_shard_size="100GB")
    else:
        state = model.state_dict(keep_vars=True)
        unique = {id(tensor): (name, tensor) for name, tensor in reversed(state.items())}
        save_file({n: t.detach().contiguous() for n, t in unique.values()}, folder / _MODEL)
    save_file(optimizer, folder / _OPTIMIZER, metadata={"layout": json.dumps(layout)})


def folders(run: Path) -> list[Path]:
    """The checkpoint folders of a run, newest first (complete by name; contents not checked)."""
    if not run.is_dir():
        return []
    return sorted(run.glob("step-[0-9]*"), key=lambda path: path.name, reverse=True)


def newest(run: Path) -> Checkpoint | None:
    """The newest intact checkpoint of a run; None if it has none at all.

    A damaged one is passed over with a warning.

    Raises:
        CheckpointError: there are checkpoints, and all are damaged.
    """
    candidates = folders(run)
    for path in candidates:
        try:
            return Checkpoint(path, verified_state(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(
                f"{path} is damaged ({error}): falling back to the one before", stacklevel=2
            )
    if candidates:
        raise CheckpointError(
            f"{run}: none of its {len(candidates)} checkpoints is intact; "
            "restore one from a copy, or move the folder away to start afresh"
        )
    return None


def verified_state(path: Path, *, model_only: bool = False) -> dict[str, Any]:
    """The sidecar's contents, once every file has been found as it was written.

    Args:
        path: a checkpoint's folder.
        model_only: whether to leave out the optimizer's file, which may then be missing.
    """
    state = json.loads((path / _SIDECAR).read_text(encoding="utf-8"))
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']}, this version reads {FORMAT}")
    for name, expected in state["files"].items():
        if model_only and name == _OPTIMIZER:
            continue
        if _fingerprint(path / name) != expected:
            raise ValueError(f"{name} is not as it was written")
    return dict(state)


def _fingerprint(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _flush(path: Path) -> None:
    """Forces a file, or a folder's entries, onto the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(run: Path) -> None:
    """Deletes what killed processes left half-written or half-deleted."""
    for pattern in (".tmp-step-*", ".old-step-*"):
        for path in run.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def provenance() -> dict[str, Any]:
    """Commit of this source tree (None outside one), Python and library versions."""
    versions = {}
    for name in ("codemlm", *_LIBRARIES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "git_commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
    }


def _commit() -> str | None:
    """The source tree's commit, with "-dirty" where files differ from it; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def resumed_config(config: TrainConfig, found: Checkpoint | None) -> TrainConfig:
    """The config to go on with: the one asked for, with the decay that a checkpoint has begun.

    Raises:
        UsageError: it contradicts the checkpoint, or there is none to decay from.
    """
    if found is None:
        if config.decay_now:
            raise UsageError(f"{config.out}: no checkpoint to decay from; add --init-from RUN")
        return config
    saved = found.state["config"]
    asked = json.loads(json.dumps(config.as_json()))
    # A recovered model (`codemlm.train.recover`) binds a run to nothing.
    bound = [n for n in FIXED if n in saved]
    odd = [f"{n} ({saved[n]}, now {asked[n]})" for n in bound if saved[n] != asked[n]]
    if odd:
        raise UsageError(
            f"{found.path} was trained with other settings: {', '.join(odd)}; "
            "use those, or a new --out folder"
        )
    if saved["decay_start"] >= 0:
        total, start = int(saved["total_steps"]), int(saved["decay_start"])
    elif config.decay_now:
        if found.step > config.decay_from:
            raise UsageError(f"{found.path} is past the stable phase already; drop --decay-now")
        total, start = found.step + config.decay_steps, found.step
    else:
        return config
    return dataclasses.replace(config, total_steps=total, decay_start=start, decay_now=True)


class MetricsFile:
    """`metrics.jsonl` of a run: rows with a `step`, in order."""

    def __init__(self, run: Path) -> None:
        self.path = run / "metrics.jsonl"

    def append(self, row: dict[str, Any]) -> None:
        """Adds one row, at once visible to readers."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All rows; a last line cut short by a kill is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def cut(self, step: int) -> None:
        """Drops the rows after `step`, which the run is about to write again; makes the folder.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = [row for row in self.rows() if row["step"] <= step]
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: cannot write it ({error}); choose an --out folder you can write to"
            ) from error


def rates(totals: dict[str, float]) -> dict[str, float]:
    """Figures for a metrics row from sums over steps; a rate without a base is left out.

    `gate_recall` is the share of wrong leaves that the gate doubts, `gate_precision` the share of
    doubted leaves that are wrong.
    """
    steps = totals.get("n_steps", 0.0) or 1.0
    row: dict[str, float] = {
        n: totals[n] / steps for n in ("loss", "mlm_loss", "keep_loss") if n in totals
    }
    count = dict.fromkeys((*COUNTS, "masked_nll"), 0.0) | totals
    doubted = count["n_caught"] + count["n_alarms"]
    for name, value, base in (
        ("masked_loss", count["masked_nll"], count["n_masked"]),
        ("masked_accuracy", count["n_correct"], count["n_masked"]),
        ("gate_recall", count["n_caught"], count["n_wrong"]),
        ("gate_precision", count["n_caught"], doubted),
        ("wrong_share", count["n_wrong"], count["n_leaves"]),
    ):
        if base:
            row[name] = value / base
    if "grad_norm" in totals:
        row["grad_norm"] = totals["grad_norm"] / steps
    return row
