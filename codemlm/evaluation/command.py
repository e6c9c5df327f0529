"""The command ``codemlm eval``."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codemlm.errors import UsageError
from codemlm.terminal import ProgressLine, default_threads, wants_color, width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codemlm.calibration import Calibration
    from codemlm.evaluation.ngram import NgramModel
    from codemlm.manifest import Manifest
    from codemlm.scoring import LeafModel
    from codemlm.tokenizer import LeafTokenizer

NGRAM_WORDS = 2_000_000
NGRAM_WORDS_QUICK = 300_000
QUICK_BUGS = 60


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
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Measure injected mistakes. Repositories to sample, one .jsonl.gz each; none that the "
    "model was trained on.",
)
@click.option(
    "--real",
    "pairs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Measure real bugs instead: fixes with their texts, as `codemlm corpus pairs` writes "
    "them; of no repository that the model was trained on.",
)
@click.option(
    "--known",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Other mistakes in the files of the real bugs, JSON lines of findings that were read: "
    "figures that do not count them as false are given besides.",
)
@click.option(
    "--ngrams",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Repositories to count n-grams on.  [default: `train` beside --corpus, if it is there]",
)
@click.option("--files", type=click.IntRange(1), metavar="N", help="Files to sample of the corpus.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Real bugs at most, evenly over projects."
)
@click.option(
    "--max-lines",
    type=click.IntRange(1),
    metavar="N",
    default=3000,
    show_default=True,
    help="Leave out real bugs in longer files.",
)
@click.option(
    "--masked-files",
    type=click.IntRange(0),
    metavar="N",
    help="How many files are also scored by masking every leaf.",
)
@click.option(
    "--linters/--no-linters",
    default=True,
    help="Run pyflakes, ruff, and pylint and mypy where they are installed, on real bugs.",
)
@click.option(
    "--linters-cache",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep what linters say there, for the next time.",
)
@click.option(
    "--commits/--no-commits",
    default=True,
    help="Judge the commits that brought real bugs in, too, where they are known.",
)
@click.option(
    "--allow-seen",
    is_flag=True,
    help="Let repositories through that the model has seen. What that gives is no measurement.",
)
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
@click.option(
    "--html",
    "html_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a report of real bugs that a browser shows.",
)
@click.option(
    "--figures",
    "figures_path",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write pictures of the results on real bugs there.",
)
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads of the model.")
def eval_command(**given: Any) -> int:
    """Measures how well a model finds mistakes, injected or real, beside baselines.

    With --corpus, puts one mistake at a time into files of the corpus, and asks where each ranker
    finds it among all leaves of the file, whether it knows what was meant, and how many alarms it
    gives on the files as they were. With --real, asks the same of bugs that were mended in the
    histories of projects, in the files as they were before the fix and after it.
    """
    from codemlm.commands import load_model

    _check(given)
    scorer, calibration = load_model(given["model"], given["threads"] or default_threads())
    manifest = getattr(scorer.model, "manifest", None)
    run = run_eval if given["corpus"] is not None else run_real_eval
    run(scorer.model, scorer.tokenizer, calibration, manifest, given)
    return 0


def _check(given: dict[str, Any]) -> None:
    """Checks that the options fit each other.

    Raises:
        UsageError: if they do not.
    """
    if (given["corpus"] is None) == (given["pairs"] is None):
        raise UsageError(
            "name either --corpus DIR, to measure injected mistakes, or --real FILE, to measure "
            "real bugs"
        )
    if given["corpus"] is not None:
        for name in ("html_path", "figures_path", "limit", "known"):
            if given[name] is not None:
                option = name.removesuffix("_path")
                raise UsageError(f"--{option} is for --real; leave it out with --corpus")
    elif given["files"] is not None:
        raise UsageError("--files is for --corpus; with --real, --limit N takes N bugs")


def run_eval(
    model: LeafModel,
    tokenizer: LeafTokenizer,
    calibration: Calibration,
    manifest: Manifest | None,
    given: dict[str, Any],
) -> None:
    """Evaluates a model on injected mistakes; prints and writes what the options ask for.

    Args:
        model: any model.
        tokenizer: its tokenizer.
        calibration: its calibration.
        manifest: of the model; None if it has none.
        given: values of the options of `eval_command`.

    Raises:
        UsageError: if a file cannot be written, or the model has seen the corpus.
    """
    from codemlm.evaluation.injected import repositories, repository_of
    from codemlm.evaluation.report import markdown, print_tables
    from codemlm.evaluation.rescoring import WindowScorer
    from codemlm.evaluation.run import QUICK, Evaluation, Settings

    settings = replace(QUICK if given["quick"] else Settings(), seed=given["seed"])
    if given["masked_files"] is not None:
        settings = replace(settings, masked_files=given["masked_files"])
    if given["files"] is not None:
        masked = min(settings.masked_files, given["files"])
        settings = replace(settings, files=given["files"], masked_files=masked)
    names = [repository_of(path) for path in repositories(given["corpus"])]
    warnings = _warnings(names, manifest, given)
    ngrams = _ngrams(given, given["corpus"].resolve().parent / "train")
    progress = ProgressLine("evaluating", "files")
    evaluation = Evaluation(WindowScorer(model, tokenizer), calibration, ngrams=ngrams)
    try:
        result = evaluation.run(given["corpus"], settings, progress.update)
    finally:
        progress.clear()
    result = {**_facts(manifest, calibration), "warnings": warnings, **result}
    _publish(result, given, print_tables, markdown)


def run_real_eval(
    model: LeafModel,
    tokenizer: LeafTokenizer,
    calibration: Calibration,
    manifest: Manifest | None,
    given: dict[str, Any],
) -> None:
    """Evaluates a model on real bugs; prints and writes what the options ask for.

    Args:
        model: any model.
        tokenizer: its tokenizer.
        calibration: its calibration.
        manifest: of the model; None if it has none.
        given: values of the options of `eval_command`.

    Raises:
        UsageError: if a file cannot be written, or the model has seen a repository of the bugs.
    """
    from codemlm.evaluation.known import KnownMistakes
    from codemlm.evaluation.real import plan
    from codemlm.evaluation.real_linters import installed
    from codemlm.evaluation.real_report import print_real, real_markdown
    from codemlm.evaluation.real_run import RealSettings, run_real
    from codemlm.evaluation.rescoring import WindowScorer
    from codemlm.evaluation.run import Evaluation

    settings = RealSettings(
        limit=given["limit"] or (QUICK_BUGS if given["quick"] else None),
        max_lines=given["max_lines"],
        commits=given["commits"],
        seed=given["seed"],
    )
    if given["masked_files"] is not None or given["quick"]:
        settings = replace(settings, masked_files=given["masked_files"] or 0)
    chosen = plan(
        given["pairs"],
        limit=settings.limit,
        max_lines=settings.max_lines,
        masked=(settings.masked_files, settings.masked_lines),
        seed=settings.seed,
    )
    warnings = _warnings((each.fix.repo for each in chosen.chosen.values()), manifest, given)
    threads = given["threads"] or default_threads()
    linters = installed(given["linters_cache"], threads) if given["linters"] else None
    evaluation = Evaluation(WindowScorer(model, tokenizer), calibration, ngrams=_ngrams(given))
    known = None if given["known"] is None else KnownMistakes.read(given["known"])
    line = ProgressLine("judging", "bugs")

    def progress(verb: str, done: int, total: int) -> None:
        line.verb = verb
        line.update(done, total)

    try:
        result = run_real(
            chosen, evaluation, settings, linters=linters, known=known, progress=progress
        )
    finally:
        line.clear()
    result = {**_facts(manifest, calibration), "warnings": warnings, **result}
    _publish(result, given, print_real, real_markdown)
    _write_pictures(result, given["html_path"], given["figures_path"])


def _publish(
    result: dict[str, Any],
    given: dict[str, Any],
    show: Callable[..., None],
    markdown: Callable[[dict[str, Any]], str],
) -> None:
    """Prints the tables of a result, and writes it where the options say."""
    show(result, sys.stdout, color=wants_color("auto", sys.stdout), width=width_of(sys.stdout))
    _write(given["json_path"], json.dumps(result, indent=1, allow_nan=False) + "\n")
    _write(given["markdown_path"], markdown(result))


def _write_pictures(result: dict[str, Any], html: Path | None, folder: Path | None) -> None:
    """Writes the report for browsers, and the pictures in it, each where it is asked for."""
    if html is None and folder is None:
        return
    from codemlm.evaluation.figures import write_figures
    from codemlm.evaluation.html import html_report

    with tempfile.TemporaryDirectory() as temporary:
        paths = write_figures(result, folder or Path(temporary))
        pictures = {path.name: path.read_bytes() for path in paths}
    if html is not None:
        _write(html, html_report(result, pictures))


def _warnings(names: Iterable[str], manifest: Manifest | None, given: dict[str, Any]) -> list[str]:
    """What the result has to say of repositories that the model has seen, printed too.

    Raises:
        UsageError: if it was trained or calibrated on some, and that is not allowed.
    """
    from codemlm.evaluation.seen import check_seen

    seen = manifest.repositories if manifest is not None else None
    warnings = check_seen(names, seen, allow=given["allow_seen"]).warnings()
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return warnings


def _facts(manifest: Manifest | None, calibration: Calibration) -> dict[str, Any]:
    """What the result says of the program and the model."""
    from codemlm import __version__

    facts: dict[str, Any] = {}
    if manifest is not None:
        facts = {"name": manifest.name, "version": manifest.version}
    facts["calibration"] = asdict(calibration)["notes"] or "none"
    return {"codemlm": __version__, "model": facts}


def _ngrams(given: dict[str, Any], beside: Path | None = None) -> NgramModel | None:
    """The n-gram model of the options; None where there is no folder to count on.

    Args:
        given: the options.
        beside: folder that is taken, if it is there, where none is named.
    """
    from codemlm.evaluation.ngram import train_ngrams

    folder = given["ngrams"] or beside
    if folder is None or not folder.is_dir():
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
