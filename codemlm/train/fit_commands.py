"""Commands of `python -m codemlm.train` that fit a model's confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from codemlm.train.console import ProgressLines, reported


@click.command("collect")
@click.option("--model", type=Path, required=True, help="Exported model, or a checkpoint.")
@click.option(
    "--pairs", type=Path, multiple=True, help="Real fixes with texts, .jsonl.gz; can be repeated."
)
@click.option("--corpus", type=Path, help="Documents (.jsonl.gz) as clean code besides.")
@click.option("--out", type=Path, required=True, help="File for the rows, .npz.")
@click.option("--limit", type=click.IntRange(min=1), help="Fixes a file, evenly over repositories.")
@click.option("--max-lines", default=1500, show_default=True, help="Longer files are left out.")
@click.option("--files", default=300, show_default=True, help="Of the corpus: how many to sample.")
@click.option("--per-file", default=0, show_default=True, help="Mistakes to inject into each.")
@click.option("--exclude", type=Path, help="JSON lines with `repo`: what the model has seen.")
@click.option("--seed", default=0, show_default=True, help="Of choices.")
@click.option("--workers", default=1, show_default=True, help="Processes.")
def collect_command(
    model: Path,
    pairs: tuple[Path, ...],
    corpus: Path | None,
    out: Path,
    exclude: Path | None,
    workers: int,
    **options: Any,
) -> None:
    """Collects features of right and wrong leaves, real ones, for `fit`."""
    from codemlm.train.collect import CollectSettings, collect_files
    from codemlm.train.provenance import names_in

    lines = ProgressLines("collect")

    def progress(done: int, total: int) -> None:
        lines(done, total, "files")

    with reported():
        seen = frozenset(names_in(exclude)) if exclude is not None else frozenset()
        settings = CollectSettings(exclude=seen, **options)
        rows = collect_files(model, pairs, corpus, settings, workers=workers, progress=progress)
        rows.write(out)
    click.echo(f"{out}: {len(rows.kind):,} leaves, {len(rows.bugs):,} mistakes", err=True)


@click.command("rank")
@click.option("--model", type=Path, required=True, help="Model folder; its manifest is changed.")
@click.option(
    "--pairs",
    type=Path,
    required=True,
    multiple=True,
    help="Real fixes with texts, .jsonl.gz, that the model has not seen; can be repeated.",
)
@click.option("--workers", default=1, show_default=True, help="Processes.")
def rank_command(model: Path, pairs: tuple[Path, ...], workers: int) -> None:
    """Fits what orders the suggestions; `collect` and `fit` belong after it."""
    from codemlm.train.rank import RankSettings, rank_folder

    lines = ProgressLines("rank")

    def progress(done: int, total: int) -> None:
        lines(done, total, "files")

    with reported():
        made = rank_folder(model, pairs, RankSettings(), workers=workers, progress=progress)
        click.echo(made)


@click.command("fit")
@click.option("--model", type=Path, required=True, help="Model folder; its manifest is changed.")
@click.option(
    "--rows", type=Path, required=True, multiple=True, help="To fit trees to; can be repeated."
)
@click.option(
    "--calibration-rows",
    type=Path,
    required=True,
    multiple=True,
    help="Of other repositories, to fit confidence and threshold to; can be repeated.",
)
@click.option(
    "--clean",
    type=Path,
    multiple=True,
    help="Rows of code as it is today, without known mistakes, to fit trees to; can be repeated.",
)
@click.option(
    "--calibration-clean",
    type=Path,
    multiple=True,
    help="The same of the repositories of --calibration-rows; can be repeated.",
)
@click.option(
    "--clean-weight",
    default=1.0,
    show_default=True,
    help="How much those rows and their lines count.",
)
@click.option("--version", help="Of the model, which confidence belongs to; default: as it was.")
@click.option("--budget", default=0.01, show_default=True, help="Alarms in 1,000 clean lines.")
@click.option("--lines-per-bug", default=800.0, show_default=True, help="How rare mistakes are.")
@click.option(
    "--stages",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="2: what a scan masks is judged again, by trees of its own.",
)
def fit_command(
    model: Path,
    rows: tuple[Path, ...],
    calibration_rows: tuple[Path, ...],
    clean: tuple[Path, ...],
    calibration_clean: tuple[Path, ...],
    clean_weight: float,
    budget: float,
    lines_per_bug: float,
    stages: int,
    version: str | None,
) -> None:
    """Fits a model's confidence and default threshold to collected rows."""
    from codemlm.train.calibrate import FitSettings, fit_folder
    from codemlm.train.rows import gathered

    settings = FitSettings(budget=budget, lines_per_bug=lines_per_bug, stages=stages)
    with reported():
        train = gathered(rows, clean, clean_weight)
        held_out = gathered(calibration_rows, calibration_clean, clean_weight)
        click.echo(fit_folder(model, train, held_out, settings, version))
