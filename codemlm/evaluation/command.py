"""The command ``codemlm eval``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codemlm.errors import UsageError
from codemlm.terminal import ProgressLine, default_threads, wants_color, width_of

if TYPE_CHECKING:
    from codemlm.calibration import Calibration
    from codemlm.evaluation.ngram import NgramModel
    from codemlm.scoring import LeafModel
    from codemlm.tokenizer import LeafTokenizer

NGRAM_WORDS = 2_000_000
NGRAM_WORDS_QUICK = 300_000


@click.command("eval")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    envvar="CODEMLM_MODEL",
    metavar="DIR",
    help="Folder of the model, instead of the one that comes with codemlm.",
)
@click.option(
    "--corpus",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Repositories to sample, one .jsonl.gz each; none that the model was trained on.",
)
@click.option(
    "--ngrams",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Repositories to count n-grams on.  [default: `train` beside the corpus, if it is there]",
)
@click.option("--files", type=click.IntRange(1), metavar="N", help="Files to sample.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@click.option("--quick", is_flag=True, help="A first impression: few files, wide intervals.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all figures.",
)
@click.option(
    "--markdown",
    "markdown_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the tables, as benchmarks/runs has them.",
)
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads of the model.")
def eval_command(**given: Any) -> int:
    """Measures how well a model finds injected mistakes, beside baselines.

    Puts one mistake at a time into files of the corpus, and asks where each ranker finds it among
    all leaves of the file, whether it knows what was meant, and how many alarms it gives on the
    files as they were.
    """
    from codemlm.backend import OnnxModel
    from codemlm.commands import load_model

    scorer, calibration = load_model(given["model"], given["threads"] or default_threads())
    facts = {}
    if isinstance(scorer.model, OnnxModel):
        manifest = scorer.model.manifest
        facts = {"name": manifest.name, "version": manifest.version}
    run_eval(scorer.model, scorer.tokenizer, calibration, facts, given)
    return 0


def run_eval(
    model: LeafModel,
    tokenizer: LeafTokenizer,
    calibration: Calibration,
    facts: dict[str, Any],
    given: dict[str, Any],
) -> None:
    """Evaluates a model and prints and writes what the options ask for.

    Args:
        model: any model.
        tokenizer: its tokenizer.
        calibration: its calibration.
        facts: what the result says of the model.
        given: values of the options of `eval_command`.

    Raises:
        UsageError: if a file cannot be written.
    """
    from codemlm import __version__
    from codemlm.evaluation.report import markdown, print_tables
    from codemlm.evaluation.rescoring import WindowScorer
    from codemlm.evaluation.run import QUICK, Evaluation, Settings

    settings = replace(QUICK if given["quick"] else Settings(), seed=given["seed"])
    if given["files"] is not None:
        masked = min(settings.masked_files, given["files"])
        settings = replace(settings, files=given["files"], masked_files=masked)
    ngrams = _ngrams(given)
    progress = ProgressLine("evaluating", "files")
    evaluation = Evaluation(WindowScorer(model, tokenizer), calibration, ngrams=ngrams)
    try:
        result = evaluation.run(given["corpus"], settings, progress.update)
    finally:
        progress.clear()
    facts = {**facts, "calibration": asdict(calibration)["notes"] or "none"}
    result = {"codemlm": __version__, "model": facts, **result}
    print_tables(
        result, sys.stdout, color=wants_color("auto", sys.stdout), width=width_of(sys.stdout)
    )
    _write(given["json_path"], json.dumps(result, indent=1, allow_nan=False) + "\n")
    _write(given["markdown_path"], markdown(result))


def _ngrams(given: dict[str, Any]) -> NgramModel | None:
    from codemlm.evaluation.ngram import train_ngrams

    folder = given["ngrams"]
    if folder is None:
        folder = given["corpus"].resolve().parent / "train"
        if not folder.is_dir():
            click.echo("no folder to count n-grams on: that baseline is left out", err=True)
            return None
    words = NGRAM_WORDS_QUICK if given["quick"] else NGRAM_WORDS
    return train_ngrams(folder, max_words=words, seed=0, cache=folder.parent)


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot write the results there ({error})") from error
