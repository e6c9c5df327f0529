"""Command line of training: ``python -m codemlm.train pretrain --data DIR --out DIR``.

Options are made from the fields of `TrainConfig`. torch and transformers are imported once a run
begins, so ``--help`` answers at once. Under torchrun, every process runs this same command.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import types
from dataclasses import fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import click

from codemlm.errors import CodemlmError, UsageError
from codemlm.train.config import TrainConfig
from codemlm.train.loop import BatchSource, Trainer, open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def model_fields(config: TrainConfig, known: dict[str, Any]) -> dict[str, Any]:
    """Fields of CodeMLMConfig: the data's, over those the JSON file gives, under model_set's.

    Raises:
        UsageError: the file is not JSON, or a setting is not FIELD=VALUE.
    """
    fields: dict[str, Any] = {}
    if config.model_config is not None:
        try:
            fields = json.loads(config.model_config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{config.model_config}: cannot read it as JSON ({error})") from error
    fields |= {"max_subtokens": config.window, **known}
    for setting in config.model_set:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"model setting {setting!r} is not of the form FIELD=VALUE")
        *parents, last = name.split(".")
        place = fields
        for parent in parents:
            place[parent] = place.get(parent) or {}
            place = place[parent]
        try:
            place[last] = json.loads(text)
        except ValueError:
            place[last] = text
    return fields


def build_model(config: TrainConfig, source: BatchSource) -> nn.Module:
    """A freshly initialised model, fp32 on the CPU, that fits the data."""
    import torch
    from transformers.utils import logging

    from codemlm.train.model import CodeMLMConfig, CodeMLMForLeafPrediction

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one at every checkpoint
    ids, counts = source.global_candidates()
    shape = {"num_global_candidates": ids.shape[0], "max_pieces": ids.shape[1]}
    fields = model_fields(config, {**shape, **source.model_fields()})
    try:
        model = CodeMLMForLeafPrediction(CodeMLMConfig(**fields))
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"model settings do not make a model: {error}") from error
    model.set_global_candidates(
        torch.from_numpy(ids), None if counts is None else torch.from_numpy(counts)
    )
    return model


class ConsoleReporter:
    """A progress bar on a terminal, a plain line a metrics row elsewhere; on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}"),
        )
        self.progress = Progress(*columns, console=self.console, speed_estimate_period=600)
        self.task = self.progress.add_task("")
        self.total = 0

    def start(self, step: int, total: int) -> None:
        """Shows the bar where there is a terminal for it."""
        self.total = total
        self.progress.update(self.task, total=total, completed=step)
        if self.console.is_terminal:
            self.progress.start()

    def advance(self, step: int) -> None:
        """Moves the bar."""
        self.progress.update(self.task, completed=step)

    def row(self, row: dict[str, Any]) -> None:
        """Puts a row's main figures beside the bar, or on a line of their own."""
        text = summary(row)
        if self.console.is_terminal and row["kind"] == "train":
            self.progress.update(self.task, description=text)
        else:
            mark = "" if row["kind"] == "train" else f"{row['kind']} "
            self.console.print(f"{mark}step {row['step']:,}/{self.total:,}  {text}", markup=False)

    def note(self, text: str) -> None:
        """Prints a line."""
        self.console.print(text, markup=False)

    def stop(self) -> None:
        """Leaves the terminal as it was."""
        self.progress.stop()


def summary(row: dict[str, Any]) -> str:
    """The figures of a metrics row that people watch, on one line."""
    shown = [
        f"loss {row['loss']:.3f}",
        f"mlm {row['mlm_loss']:.3f}",
        f"keep {row['keep_loss']:.3f}",
    ]
    for name, label in (
        ("masked_accuracy", "accuracy"),
        ("gate_recall", "gate recall"),
        ("gate_precision", "precision"),
    ):
        if name in row:
            shown.append(f"{label} {row[name]:.1%}")
    if "tokens_per_s" in row:
        shown.append(f"{row['tokens_per_s']:,.0f} tokens/s")
    return "  ".join(shown)


def option_type(hint: Any) -> tuple[Any, bool, bool]:
    """Click's type for a field's type; whether it repeats; whether it is a flag."""
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint)), False, False
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True, False
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is Path:
        return click.Path(path_type=Path), False, False
    return hint, False, hint is bool


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each field of `TrainConfig` that has a help text."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    for f in reversed(fields(TrainConfig)):
        if get_origin(hints[f.name]) is not Annotated:
            continue
        hint, text = get_args(hints[f.name])
        kind, multiple, flag = option_type(hint)
        required = f.name in ("data", "out")
        command = click.option(
            "--" + f.name.replace("_", "-"),
            type=None if flag else kind,
            is_flag=flag,
            multiple=multiple,
            required=required,
            default=None if required else f.default,
            show_default=not (flag or required or f.default in (None, ())),
            help=text,
        )(command)
    return command


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory for the next step; does nothing elsewhere.

    By default tensors over 32 MB are mapped and unmapped anew each time they are made, and the
    kernel has to clear their pages: two sums of 64 MB tensors took 2.5 times as long.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # their numbers in malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)
    mallopt(top_pad, 1 << 28)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Trains codemlm models."""


@main.command()
@config_options
def pretrain(**options: Any) -> None:
    """Trains a model on a folder of shards, or goes on from the newest checkpoint in OUT.

    On several processes: torchrun --nproc-per-node N -m codemlm.train pretrain ...
    Ctrl-C and SIGTERM stop after the step under way, with a checkpoint.
    """
    # Read when torch is loaded. Threads that spin while they wait for each other made a run on a
    # busy machine (load 6 on 2 cores) about ten times slower than threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    reporter = ConsoleReporter()
    try:
        trainer = Trainer(TrainConfig(**options), open_source, build_model, reporter)
        result = trainer.run()
    except CodemlmError as error:
        reporter.stop()
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    finally:
        reporter.stop()
    if trainer.ranks.rank == 0:
        click.echo(result.checkpoint)


if __name__ == "__main__":
    main(prog_name="python -m codemlm.train")
