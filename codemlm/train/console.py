"""What training tells on a terminal: progress, as a bar or as lines, and errors."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from codemlm.errors import CodemlmError


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


class ProgressLines:
    """Lines on stderr about repositories: one every few seconds, and the last."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.printed = 0.0

    def __call__(self, done: int, total: int, text: str) -> None:
        """Prints a line where one is due."""
        now = time.monotonic()
        if done in (0, total) or now - self.printed >= 5:
            click.echo(f"{self.what} {done:,}/{total:,}  {text}", err=True)
            self.printed = now


@contextmanager
def reported() -> Iterator[None]:
    """Ends the program with a line on stderr and exit code 2 if files or settings are at fault."""
    try:
        yield
    except (CodemlmError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
