"""The pre-training loop: steps, logging, validation, checkpoints, and a clean stop.

Everything that a step does is a function of (config, weights, step, rank): batches come from
`batch_at(step, rank, world)` and dropout is seeded per step. So a killed run that resumes at its
last checkpoint computes what an uninterrupted one would have. torch is imported inside functions:
the command line imports this module, and must answer `--help` at once.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from codemlm.errors import CodemlmError, CorpusError, UsageError
from codemlm.train.config import TrainConfig

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from torch import nn

    from codemlm.train.checkpoint import Checkpoint

Batch = dict[str, np.ndarray]


class BatchSource(Protocol):
    """What the loop asks of its data; `codemlm.train.data.WindowSource` is the real one."""

    def batch_at(self, step: int, rank: int, world: int) -> Batch:
        """This process's share of the step's windows: a pure function of the arguments."""

    def validation_batches(self) -> Iterable[Batch]:
        """The fixed validation batches."""

    def model_fields(self) -> dict[str, Any]:
        """Fields of CodeMLMConfig that the data decides (vocab_size, num_node_types...)."""

    def global_candidates(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Pieces of the frequent leaves, int64 (G, P), and their counts (G,) or None."""


class Reporter(Protocol):
    """Where progress goes; only rank 0 reports."""

    def start(self, step: int, total: int) -> None:
        """Training begins at `step` of `total`."""

    def advance(self, step: int) -> None:
        """So many steps are done."""

    def row(self, row: dict[str, Any]) -> None:
        """A metrics row was written."""

    def note(self, text: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended: steps done, whether that was all of them, and the last checkpoint."""

    step: int
    finished: bool
    checkpoint: Path | None
    rows: list[dict[str, Any]]


SourceFactory = Callable[[TrainConfig], BatchSource]
ModelFactory = Callable[[TrainConfig, BatchSource], "nn.Module"]


def open_source(config: TrainConfig) -> BatchSource:
    """Opens the windows of the config's data folder; worker processes call it too."""
    from codemlm.train.data import WindowSource

    return WindowSource.from_train_config(config)


class Prefetcher:
    """Batches of consecutive steps, made ahead by worker processes; order is kept.

    Worker i makes every n-th batch and holds it ready in its pipe. A worker ends when the pipe
    closes, so it does not outlive a killed trainer.
    """

    def __init__(
        self, config: TrainConfig, factory: SourceFactory, step: int, rank: int, world: int
    ) -> None:
        self.step, self.rank, self.world = step, rank, world
        self.inline = factory(config) if config.workers == 0 else None
        self.begin = step
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []
        context = multiprocessing.get_context("spawn")  # forking a process with threads can hang
        for number in range(config.workers):
            ours, theirs = context.Pipe()
            steps = range(step + number, config.steps, config.workers)
            process = context.Process(
                target=_make_batches,
                args=(theirs, factory, config, steps, rank, world),
                daemon=True,
            )
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def next(self) -> Batch:
        """The batch of the next step.

        Raises:
            CorpusError: making it failed.
        """
        step, self.step = self.step, self.step + 1
        if self.inline is not None:
            return self.inline.batch_at(step, self.rank, self.world)
        number = (step - self.begin) % len(self.pipes)
        try:
            answer = self.pipes[number].recv()
        except (EOFError, OSError) as error:
            self.processes[number].join(10)  # lets it print its last words
            raise CorpusError(
                f"the process that makes batches died before step {step} with exit code "
                f"{self.processes[number].exitcode} (-9: out of memory?); run the same command "
                "again with --workers 0 to see why"
            ) from error
        if isinstance(answer, str):
            raise CorpusError(f"making the batch of step {step} failed:\n{answer}")
        batch: Batch = answer
        return batch

    def close(self) -> None:
        """Ends the workers."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.kill()
            process.join()


def _make_batches(
    pipe: Connection,
    factory: SourceFactory,
    config: TrainConfig,
    steps: range,
    rank: int,
    world: int,
) -> None:
    """A worker: sends the batches of `steps`, or the text of the error that stopped it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group: the trainer decides
        signal.signal(number, signal.SIG_IGN)
    try:
        source = factory(config)
        for step in steps:
            pipe.send(source.batch_at(step, rank, world))
    except (BrokenPipeError, ConnectionResetError):
        return
    except CodemlmError as error:
        pipe.send(str(error))
    except Exception:  # noqa: BLE001  the trainer raises it again
        pipe.send(traceback.format_exc())


class Trainer:
    """One run, or this process's share of it."""

    def __init__(
        self,
        config: TrainConfig,
        open_source: SourceFactory,
        build_model: ModelFactory,
        reporter: Reporter | None = None,
    ) -> None:
        import torch

        from codemlm.train import checkpoint, optim

        self.began = time.monotonic()
        self.checkpoints, self.optim = checkpoint, optim
        found = checkpoint.newest(config.out)
        if found is None and config.init_from is not None:
            found = checkpoint.newest(config.init_from)
            if found is None:
                raise UsageError(f"{config.init_from}: no checkpoint here to continue from")
        self.config = config = checkpoint.resumed_config(config, found)
        self.open_source = open_source
        source = open_source(config)
        torch.manual_seed(config.seed)
        self.learner = optim.Learner(build_model(config, source), config)
        self.ranks = self.learner.ranks
        if config.batch_windows % (self.ranks.world * config.micro_batches):
            raise UsageError(
                f"batch_windows {config.batch_windows} cannot be shared by {self.ranks.world} "
                f"processes x {config.micro_batches} micro-batches; make it a multiple"
            )
        self.validation = list(source.validation_batches()) if config.eval_every else []
        self.reporter = reporter if self.ranks.rank == 0 else None
        self.metrics = checkpoint.MetricsFile(config.out)
        self.rows: list[dict[str, Any]] = []
        self.step = self.tokens = 0
        self.elapsed_before = 0.0
        self.stop_reason = ""
        self.last_checkpoint: Path | None = None
        if found is not None:
            self._restore(found)
        self.last_log = (self.step, self.tokens, time.monotonic())
        self.last_save = time.monotonic()
        if self.ranks.rank == 0:
            self.metrics.cut(self.step)

    def _restore(self, found: Checkpoint) -> None:
        """Takes up the state of a checkpoint."""
        state = found.state
        found.restore_buffers(self.learner.model)
        self.learner.optimizer.load(*found.optimizer(), steps=state["optimizer_steps"])
        self.learner.sums.restore(state["sums"])
        self.step, self.tokens = found.step, int(state["tokens"])
        self.elapsed_before = float(state["elapsed_s"])
        if found.path.parent == self.config.out:
            self.last_checkpoint = found.path
        self._note(f"continuing from {found.path} at step {self.step:,} of {self.config.steps:,}")

    def run(self) -> TrainResult:
        """Trains until the end, or until asked to stop; leaves a checkpoint either way."""
        handlers = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handlers[number] = signal.signal(number, self._on_signal)
        ranks, config = self.ranks, self.config
        batches = Prefetcher(config, self.open_source, self.step, ranks.rank, ranks.world)
        try:
            if self.reporter:
                self.reporter.start(self.step, config.steps)
            while self.step < config.steps and self._train_one(batches.next()):
                pass
            self._save()
        finally:
            batches.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        ranks.leave()
        finished = self.step >= config.steps
        self._note(f"{'done' if finished else 'stopped'} at step {self.step:,}{self.stop_reason}")
        return TrainResult(self.step, finished, self.last_checkpoint, self.rows)

    def _train_one(self, batch: Batch) -> bool:
        """Does one step and what is due after it; False if the run is to stop before it."""
        counts = self.optim.Counts.of(batch)
        asked = [int(bool(self.stop_reason) or self._time_is_up()), int(self._save_is_due())]
        sums = self.ranks.sum_counts([counts.selected, counts.leaves, counts.subtokens, *asked])
        *total, stop, save = sums
        if stop:
            self.stop_reason = self.stop_reason or " (another process was stopped)"
            return False
        if save:
            self._save()
        config = self.config
        counts = self.optim.Counts(*total)
        lr = config.lr_at(self.step)
        self.learner.train_step(batch, self.step, counts, lr, config.clip_norm)
        self.step += 1
        self.tokens += counts.subtokens
        if self.step % config.log_every == 0 or self.step == config.steps:
            self._log("train", self._take_sums(), lr=lr)
        if self.validation and (self.step % config.eval_every == 0 or self.step == config.steps):
            self._log("validation", self.learner.evaluate(self.validation))
        if self.reporter:
            self.reporter.advance(self.step)
        return True

    def _time_is_up(self) -> bool:
        """Whether stop_after_minutes have passed; rank 0 decides for all."""
        limit = self.config.stop_after_minutes
        if not limit or self.ranks.rank or time.monotonic() - self.began < 60 * limit:
            return False
        self.stop_reason = f" (after {limit:g} minutes, as asked)"
        return True

    def _save_is_due(self) -> bool:
        """Whether to save before the next step; rank 0 decides for all."""
        if self.ranks.rank:
            return False
        every, minutes = self.config.checkpoint_every_steps, self.config.checkpoint_every_minutes
        by_time = minutes and time.monotonic() - self.last_save >= 60 * minutes
        return bool(by_time or (every and self.step and self.step % every == 0))

    def _take_sums(self) -> dict[str, float]:
        """The sums since the last row, which start anew."""
        totals = self.learner.sums.fold()
        self.learner.sums.values = {}
        return totals

    def _log(self, kind: str, totals: dict[str, float], **more: float) -> None:
        """Writes a metrics row.

        Raises:
            CodemlmError: the loss is no longer a number.
        """
        row: dict[str, Any] = {"kind": kind, "step": self.step, "tokens": self.tokens}
        row |= self.checkpoints.rates(totals) | more
        now = time.monotonic()
        row["elapsed_s"] = round(self.elapsed_before + now - self.began, 3)
        if kind == "train":
            _, tokens, then = self.last_log
            row["tokens_per_s"] = round((self.tokens - tokens) / max(now - then, 1e-9), 1)
            self.last_log = (self.step, self.tokens, now)
            self._check_finite(row["loss"])
        if self.ranks.rank == 0:
            self.rows.append(row)
            self.metrics.append(row)
        if self.reporter:
            self.reporter.row(row)

    def _check_finite(self, loss: float) -> None:
        """Raises CodemlmError where the loss or the weights are not finite."""
        if math.isfinite(loss) and self.learner.finite():
            return
        remedy = f"continue from {self.last_checkpoint}" if self.last_checkpoint else "start again"
        raise CodemlmError(
            f"{self.config.out}: the loss is no longer a number at step {self.step}; "
            f"{remedy} with a lower --learning-rate or a longer --warmup-steps"
        )

    def _save(self) -> None:
        """Writes a checkpoint, unless this step has one."""
        self.last_save = time.monotonic()
        name = f"step-{self.step:08d}"
        if self.last_checkpoint is not None and self.last_checkpoint.name == name:
            return
        sums = self.learner.sums.fold()
        self._check_finite(sums.get("loss", 0.0))
        self.last_checkpoint = self.config.out / name
        if self.ranks.rank == 0:
            state = {
                "step": self.step,
                "tokens": self.tokens,
                "elapsed_s": self.elapsed_before + time.monotonic() - self.began,
                "optimizer_steps": self.learner.optimizer.steps,
                "sums": sums,
                "config": self.config.as_json(),
                "metrics_tail": self.metrics.rows()[-10:],
            }
            optimizer = self.learner.optimizer
            self.checkpoints.save(
                self.config.out,
                self.learner.model,
                optimizer.tensors(),
                optimizer.layout,
                state,
                keep=self.config.keep_checkpoints,
            )
            self._note(f"wrote {self.last_checkpoint}")
        self.ranks.wait()

    def _on_signal(self, number: int, _frame: object) -> None:
        """Asks for a stop after the step under way; a second signal stops at once."""
        if self.stop_reason:
            raise KeyboardInterrupt
        self.stop_reason = f" ({signal.Signals(number).name})"

    def _note(self, text: str) -> None:
        """Reports a line."""
        if self.reporter:
            self.reporter.note(text)
