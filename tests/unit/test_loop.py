"""The training loop: what a kill, a signal, a second process or a damaged file may not change.

Run as a program, this file is one training process of the fake model:
``python test_loop.py OUT '{"total_steps": 20, ...}' [KILL]``, where KILL is the number of a step
whose batch kills the process, or "save" to die in the middle of the second checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codemlm.errors import CheckpointError, CodemlmError, CorpusError, UsageError
from codemlm.train.config import TrainConfig
from codemlm.train.loop import Batch, Prefetcher, Trainer, TrainResult

SETTINGS: dict[str, Any] = {
    "seed": 3,
    "total_steps": 20,
    "batch_windows": 8,
    "window": 12,
    "learning_rate": 1e-2,
    "log_every": 3,
    "eval_every": 5,
    "checkpoint_every_steps": 5,
    "checkpoint_every_minutes": 0.0,
    "workers": 0,
    "threads": 1,
    "device": "cpu",
}
CLOCK = ("elapsed_s", "tokens_per_s")


class FakeSource:
    """Windows whose masked leaf is the subtoken after it; can send a signal at a step."""

    def __init__(self, config: TrainConfig, at: int = -1, number: int = 0, fault: str = "") -> None:
        self.config, self.at, self.number, self.fault = config, at, number, fault

    def batch_at(self, step: int, rank: int, world: int) -> Batch:
        if step == self.at and self.number:
            os.kill(os.getpid(), self.number)
        if step == self.at and self.fault == "error":
            raise ValueError("shard 7 is short")
        if step == self.at and self.fault == "death":
            os._exit(1)
        return self._windows([self.config.seed, 0, step], slice(rank, None, world))

    def validation_batches(self) -> list[Batch]:
        return [self._windows([self.config.seed, 1, n], slice(None)) for n in range(2)]

    def model_fields(self) -> dict[str, Any]:
        return {}

    def global_candidates(self) -> tuple[np.ndarray, np.ndarray | None]:
        return np.arange(3)[:, None], None

    def _windows(self, seed: list[int], rows: slice) -> Batch:
        rng = np.random.default_rng(seed)
        windows, length = self.config.batch_windows, self.config.window
        ids = rng.integers(1, 30, (windows, length))
        places = np.sort(rng.integers(0, length - 1, (windows, 3)), axis=1)
        places[rng.random(places.shape) < 0.3] = -1
        targets = np.where(places < 0, -100, np.take_along_axis(ids, places + 1, axis=1))
        batch = {
            "input_ids": ids,
            "attention_mask": np.arange(length) < rng.integers(length // 2, length, (windows, 1)),
            "selected_positions": places,
            "targets": targets,
            "leaf_positions": np.where(rng.random((windows, 5)) < 0.4, -1, 1),
            "keep_targets": (rng.random((windows, 5)) < 0.9).astype(np.float32),
            "unknown_to_the_model": ids,
        }
        return {name: array[rows] for name, array in batch.items()}


def build_fake(config: TrainConfig, source: Any, dropout: float = 0.1) -> Any:
    """A model of a few hundred parameters with the outputs of the real one."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class FakeModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(32, 16)
            self.norm = nn.LayerNorm(16)
            self.dropout = nn.Dropout(dropout)
            self.head = nn.Linear(16, 32)
            self.head.weight = self.embed.weight
            self.gate = nn.Linear(16, 1)
            self.register_buffer("table", torch.arange(3))

        def forward(
            self,
            input_ids: torch.Tensor,
            selected_positions: torch.Tensor,
            targets: torch.Tensor,
            leaf_positions: torch.Tensor,
            keep_targets: torch.Tensor,
            attention_mask: torch.Tensor | None = None,
        ) -> SimpleNamespace:
            hidden = self.dropout(self.norm(self.embed(input_ids)))
            rows = torch.arange(len(hidden))[:, None]
            logits = self.head(hidden[rows, selected_positions.clamp(min=0) + 1]).float()
            real = targets >= 0
            each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            mlm = each.sum() / real.sum().clamp(min=1)
            gate = self.gate(hidden[rows, leaf_positions.clamp(min=0)])[..., 0].float()
            scored = leaf_positions >= 0
            keep = F.binary_cross_entropy_with_logits(gate, keep_targets, reduction="none")
            keep_loss = (keep * scored).sum() / scored.sum().clamp(min=1)
            doubted = scored & (gate < 0)
            return SimpleNamespace(
                loss=mlm + 0.5 * keep_loss,
                mlm_loss=mlm,
                keep_loss=keep_loss,
                masked_loss=mlm.detach(),
                n_masked=real.sum(),
                n_correct=((logits.argmax(-1) == targets) & real).sum(),
                n_leaves=scored.sum(),
                n_wrong=(scored & (keep_targets < 0.5)).sum(),
                n_caught=(doubted & (keep_targets < 0.5)).sum(),
                n_alarms=(doubted & (keep_targets >= 0.5)).sum(),
            )

    return FakeModel()


def train(out: Path, source: Any = FakeSource, build: Any = build_fake, **more: Any) -> TrainResult:
    """Trains the fake model in this process."""
    return Trainer(TrainConfig(out=out, **(SETTINGS | more)), source, build).run()


def child(
    out: Path, *arguments: str, environment: dict[str, str] | None = None, **more: Any
) -> Any:
    """Starts a process that trains the fake model."""
    command = [sys.executable, __file__, str(out), json.dumps(more), *arguments]
    root = Path(__file__).parents[2]
    variables = os.environ | {"PYTHONPATH": str(root)} | (environment or {})
    return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)


def rows(out: Path) -> list[dict[str, Any]]:
    """The metrics of a run without what depends on the clock."""
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]


def weights(out: Path) -> bytes:
    """The optimiser's file of the newest checkpoint."""
    newest = max(out.glob("step-*"))
    return (newest / "optimizer.safetensors").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert train(out).finished
    return out


def test_learns_and_logs(uninterrupted: Path) -> None:
    logged = rows(uninterrupted)
    steps = [(r["kind"], r["step"]) for r in logged]
    assert steps[:3] == [("train", 3), ("validation", 5), ("train", 6)]
    assert steps[-2:] == [("train", 20), ("validation", 20)]
    valid = [r for r in logged if r["kind"] == "validation"]
    assert valid[-1]["loss"] < valid[0]["loss"]
    keys = {"tokens", "loss", "mlm_loss", "keep_loss", "masked_loss", "masked_accuracy", "lr"}
    assert keys | {"grad_norm", "wrong_share"} <= logged[0].keys()


def test_checkpoint_folder(uninterrupted: Path) -> None:
    assert [p.name for p in sorted(uninterrupted.glob("step-*"))] == [
        "step-00000015",
        "step-00000020",
    ]
    assert not list(uninterrupted.glob(".*"))
    sidecar = json.loads((uninterrupted / "step-00000020" / "checkpoint.json").read_text())
    assert sidecar["config"]["seed"] == 3
    assert sidecar["step"] == 20
    assert sidecar["tokens"] == rows(uninterrupted)[-1]["tokens"]
    assert {"torch", "numpy"} <= sidecar["versions"].keys()
    assert sidecar["metrics_tail"][-1]["step"] == 20
    assert "git_commit" in sidecar


@pytest.mark.parametrize("when", ["13", "save"])
def test_kill_then_resume_equals_uninterrupted(
    tmp_path: Path, uninterrupted: Path, when: str
) -> None:
    process = child(tmp_path, when)
    _, words = process.communicate()
    assert process.returncode == -signal.SIGKILL, words
    assert max(tmp_path.glob("step-*")).name == (
        "step-00000010" if when == "13" else "step-00000005"
    )
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1')  # the kill cut a row short
    assert train(tmp_path).finished
    assert rows(tmp_path) == rows(uninterrupted)
    assert weights(tmp_path) == weights(uninterrupted)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_with_checkpoint(tmp_path: Path, uninterrupted: Path, number: int) -> None:
    before = signal.getsignal(number)
    result = train(tmp_path, partial(FakeSource, at=7, number=number))
    assert (result.step, result.finished) == (7, False)
    assert result.checkpoint == tmp_path / "step-00000007"
    assert signal.getsignal(number) is before
    assert train(tmp_path).finished
    assert rows(tmp_path) == rows(uninterrupted)
    assert weights(tmp_path) == weights(uninterrupted)


def test_stop_after_minutes(tmp_path: Path) -> None:
    result = train(tmp_path, stop_after_minutes=1e-9)
    assert (result.step, result.finished) == (0, False)
    assert train(tmp_path, total_steps=2).finished
    assert train(tmp_path, total_steps=2).step == 2  # nothing left to do


def test_corrupt_newest_falls_back(tmp_path: Path, uninterrupted: Path) -> None:
    train(tmp_path)
    for step in (20, 15):
        path = tmp_path / f"step-{step:08d}" / "optimizer.safetensors"
        data = bytearray(path.read_bytes())
        data[-9] ^= 1
        path.write_bytes(data)
        if step == 20:
            with pytest.warns(UserWarning, match="step-00000020 is damaged"):
                assert train(tmp_path).finished
            assert rows(tmp_path) == rows(uninterrupted)
            assert weights(tmp_path) == weights(uninterrupted)
    (tmp_path / "step-00000020" / "checkpoint.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(CheckpointError, match="intact"):
        train(tmp_path)


def test_full_disk_names_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from codemlm.train import checkpoint

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_flush", full)
    with pytest.raises(CheckpointError, match=r"step-00000005.*free some disk space"):
        train(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_two_processes_and_micro_batches_give_the_same_curve(tmp_path: Path) -> None:
    exact = {"dtype": "float32", "total_steps": 12}
    build = partial(build_fake, dropout=0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    pair = [
        child(tmp_path / "two", environment=group | {"RANK": rank}, **exact) for rank in ("0", "1")
    ]
    train(tmp_path / "one", build=build, **exact)
    train(tmp_path / "parts", build=build, micro_batches=4, **exact)
    for process in pair:
        _, words = process.communicate()
        assert process.returncode == 0, words
    one, *others = (rows(tmp_path / name) for name in ("one", "two", "parts"))
    for other in others:
        assert [row.pop("kind") for row in other] == [row["kind"] for row in one]
        for row, same in zip(other, one, strict=True):
            assert row == pytest.approx({name: same[name] for name in row}, rel=1e-4, abs=1e-6)


def test_decay_now(tmp_path: Path) -> None:
    stable, decayed = tmp_path / "stable", tmp_path / "decayed"
    more = {"total_steps": 100, "decay_fraction": 0.1, "log_every": 1, "eval_every": 0}
    assert train(stable, partial(FakeSource, at=20, number=signal.SIGTERM), **more).step == 20
    with pytest.raises(UsageError, match="init-from"):
        train(decayed, decay_now=True, **more)
    stopped = partial(FakeSource, at=25, number=signal.SIGTERM)
    assert train(decayed, stopped, decay_now=True, init_from=stable, **more).step == 25
    # The decay, once begun, is part of the run: the option need not be given again.
    result = train(decayed, **more)
    assert (result.step, result.finished) == (30, True)
    rates = [row["lr"] for row in rows(decayed)]
    assert rates == pytest.approx([1e-2 * (10 - n) / 10 for n in range(10)])
    with pytest.raises(UsageError, match="seed"):
        train(decayed, **(more | {"seed": 4}))


def test_loss_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(CodemlmError, match="no longer a number"):
        train(tmp_path, learning_rate=float("inf"), checkpoint_every_steps=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_prefetched_batches_are_those_made_inline(workers: int) -> None:
    config = TrainConfig(**(SETTINGS | {"workers": workers}))
    ahead = Prefetcher(config, FakeSource, 13, 1, 2)
    try:
        for step in range(13, 20):
            batch, expected = ahead.next(), FakeSource(config).batch_at(step, 1, 2)
            assert batch.keys() == expected.keys()
            assert all(np.array_equal(batch[name], expected[name]) for name in batch)
    finally:
        ahead.close()


@pytest.mark.parametrize(
    ("fault", "message"), [("error", "step 2 failed.*shard 7 is short"), ("death", "died before")]
)
def test_trouble_in_a_worker_is_reported(fault: str, message: str) -> None:
    config = TrainConfig(**(SETTINGS | {"workers": 1}))
    ahead = Prefetcher(config, partial(FakeSource, at=2, fault=fault), 0, 0, 1)
    try:
        ahead.next()
        ahead.next()
        with pytest.raises(CorpusError, match=f"(?s){message}"):
            ahead.next()
    finally:
        ahead.close()


def test_schedules() -> None:
    wsd = TrainConfig(total_steps=1000, learning_rate=1.0, warmup_steps=50, final_lr_ratio=0.1)
    assert wsd.lr_at(0) == pytest.approx(0.02)
    assert [wsd.lr_at(step) for step in (50, 400, 800)] == [1.0, 1.0, 1.0]
    assert wsd.lr_at(900) == pytest.approx(0.55)
    assert wsd.lr_at(1000) == pytest.approx(0.1)
    cosine = dataclasses.replace(wsd, schedule="cosine")
    assert cosine.lr_at(525) == pytest.approx(0.55)
    assert cosine.lr_at(1000) == pytest.approx(0.1)
    rated = dataclasses.replace(wsd, wrong_rate_start=0.1, wrong_rate_end=0.02)
    assert [rated.wrong_rate_at(s) for s in (0, 300, 600, 900, 1000)] == pytest.approx(
        [0.1, 0.1, 0.06, 0.02, 0.02]
    )
    by_tokens = TrainConfig(total_tokens=1001, batch_windows=2, window=50)
    assert by_tokens.steps == 11


@pytest.mark.parametrize("odd", [{"window": 0}, {"total_tokens": 0}, {"decay_fraction": 2.0}])
def test_impossible_settings(odd: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(odd))):
        TrainConfig(**odd)


def test_adamw_is_that_of_torch_in_fp32() -> None:
    import torch

    from codemlm.train.optim import MasterAdamW, parameter_groups

    torch.manual_seed(0)
    config = TrainConfig(**SETTINGS)
    ours, theirs = build_fake(config, None), build_fake(config, None)
    theirs.load_state_dict(ours.state_dict())
    own = MasterAdamW(ours, weight_decay=0.1)
    decayed, rest = parameter_groups(theirs)
    assert [name for name, _ in decayed] == ["gate.weight"]
    assert {name for name, _ in rest} == {
        "embed.weight", "norm.weight", "norm.bias", "head.bias", "gate.bias"
    }  # fmt: skip
    groups = [
        {"params": [p for _, p in decayed], "weight_decay": 0.1},
        {"params": [p for _, p in rest], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98), eps=1e-6)
    for step in range(20):
        lr = 0.01 / (1 + step)
        for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
            left.grad = torch.randn_like(left)
            right.grad = left.grad.clone()
        own.collect(first=True)
        norm = own.step(lr, max_norm=2.0)
        expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 2.0)
        reference.param_groups[0]["lr"] = reference.param_groups[1]["lr"] = lr
        reference.step()
        torch.testing.assert_close(norm, expected)
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)


def test_master_weights_keep_what_bf16_would_lose() -> None:
    import torch

    from codemlm.train.optim import MasterAdamW

    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    optimizer = MasterAdamW(layer, weight_decay=0.0)
    layer.to(torch.bfloat16)
    for _ in range(100):  # each update is a fortieth of bf16's spacing below 1
        layer.weight.grad = torch.ones_like(layer.weight)
        optimizer.collect(first=True)
        optimizer.step(1e-4, max_norm=0)
    assert optimizer.master.item() == pytest.approx(0.99, abs=1e-4)
    assert layer.weight.item() == pytest.approx(0.99, abs=2e-3)


def test_real_model_in_bf16_resumes_exactly(tmp_path: Path) -> None:
    from transformers import AutoModel

    from codemlm.train.build import build_model
    from codemlm.train.model import CodeMLMForLeafPrediction

    encoder = "hidden_size=32 intermediate_size=48 num_hidden_layers=1 num_attention_heads=2"
    small = (*(f"encoder.{item}" for item in encoder.split()), "gate_size=8", "composer_size=16")
    more = {"model_set": small, "total_steps": 6, "checkpoint_every_steps": 2, "log_every": 1}
    more |= {"batch_windows": 4}
    train(tmp_path / "whole", RealShapes, build_model, **more)
    stop = partial(RealShapes, at=3, number=signal.SIGTERM)
    assert train(tmp_path / "cut", stop, build_model, **more).step == 3
    train(tmp_path / "cut", RealShapes, build_model, **more)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert {"masked_accuracy", "masked_loss"} <= rows(tmp_path / "cut")[-1].keys()
    loaded = AutoModel.from_pretrained(tmp_path / "cut" / "step-00000006")
    assert isinstance(loaded, CodeMLMForLeafPrediction)
    assert loaded.global_candidate_ids[5, 0] == 6


class RealShapes(FakeSource):
    """Random windows with every field of the real model's input."""

    def _windows(self, seed: list[int], rows: slice) -> Batch:
        batch = super()._windows(seed, slice(None))
        ids = batch["input_ids"]
        zero = np.zeros((len(ids), 4), dtype=np.int64)
        names = ("role_ids", "slot_ids", "parent_ids", "grandparent_ids")
        batch |= dict.fromkeys(names, ids % 5)
        batch |= {"shown": np.full_like(batch["targets"], -1), "candidate_slots": zero}
        batch |= {"candidate_ids": np.ones((*zero.shape, 8), dtype=np.int64)}
        batch["candidate_global"] = zero - 1
        return {name: array[rows] for name, array in batch.items()}

    def model_fields(self) -> dict[str, Any]:
        return {"vocab_size": 64, "num_node_types": 8, "num_roles": 8, "num_slots": 8}

    def global_candidates(self) -> tuple[np.ndarray, np.ndarray]:
        ids = np.zeros((40, 8), dtype=np.int64)
        ids[:, 0] = np.arange(1, 41)
        return ids, np.arange(40, 0, -1)


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from codemlm.train import __main__ as cli

    monkeypatch.setattr(cli, "open_source", FakeSource)
    monkeypatch.setattr(cli, "build_model", build_fake)
    given = {**SETTINGS, "data": tmp_path, "out": tmp_path / "run", "total_steps": 3}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    done = CliRunner().invoke(cli.main, ["pretrain", *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "run" / "step-00000003")
    assert "step 3/3  loss" in done.stderr
    failed = CliRunner().invoke(cli.main, ["pretrain", *options, "--seed=9"])
    assert failed.exit_code == 2
    assert "error: " in failed.stderr
    assert "seed (3, now 9)" in failed.stderr


def test_every_setting_with_help_is_an_option() -> None:
    from click.testing import CliRunner

    from codemlm.train.__main__ import main

    text = CliRunner().invoke(main, ["pretrain", "--help"]).output
    for field in dataclasses.fields(TrainConfig):
        option = "--" + field.name.replace("_", "-")
        assert (option in text) == (field.name != "decay_start"), option


def test_model_settings(tmp_path: Path) -> None:
    from codemlm.train.build import model_fields

    file = tmp_path / "model.json"
    file.write_text('{"gate_weight": 2, "encoder": {"hidden_size": 64}}')
    chosen = ("encoder.num_hidden_layers=3", "encoder_type=bert")
    config = TrainConfig(model_config=file, model_set=chosen, window=99)
    assert model_fields(config, {"vocab_size": 7}) == {
        "gate_weight": 2,
        "encoder": {"hidden_size": 64, "num_hidden_layers": 3},
        "encoder_type": "bert",
        "vocab_size": 7,
        "max_subtokens": 99,
    }
    with pytest.raises(UsageError, match="FIELD=VALUE"):
        model_fields(dataclasses.replace(config, model_set=("gate_weight",)), {})
    with pytest.raises(UsageError, match=r"absent\.json"):
        model_fields(dataclasses.replace(config, model_config=tmp_path / "absent.json"), {})


def test_help_needs_no_torch() -> None:
    code = "import sys, codemlm.train.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def main(out: str, settings: str, kill: str = "") -> None:
    """One training process."""
    from codemlm.train import checkpoint

    source: Any = FakeSource
    more = json.loads(settings)
    if kill == "save":
        flush, calls = checkpoint._flush, []

        def dying(path: Path) -> None:
            calls.append(path)
            if len(calls) == 9:  # five files and folders a checkpoint: within the second
                os.kill(os.getpid(), signal.SIGKILL)
            flush(path)

        checkpoint._flush = dying
    elif kill:
        source = partial(FakeSource, at=int(kill), number=signal.SIGKILL)
    dropout = 0.0 if "WORLD_SIZE" in os.environ else 0.1
    train(Path(out), source, partial(build_fake, dropout=dropout), **more)


if __name__ == "__main__":
    main(*sys.argv[1:])
