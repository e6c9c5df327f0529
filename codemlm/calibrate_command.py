"""The command ``codemlm calibrate``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codemlm.errors import UsageError
from codemlm.help import Command
from codemlm.options import config_layers, config_options
from codemlm.terminal import ProgressLine, default_threads, utf8_path, wants_color, width_of

if TYPE_CHECKING:
    from codemlm.calibration import Calibration
    from codemlm.config_files import ConfigFiles
    from codemlm.config_write import ThresholdFile
    from codemlm.evaluation.repository import JudgedFile, Sampling
    from codemlm.selection import ScanOptions

LEAST_FILES = 5
"""With fewer files there is nothing to draw samples from."""


@click.command("calibrate", cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@click.option(
    "--files",
    type=click.IntRange(LEAST_FILES),
    metavar="N",
    default=100,
    show_default=True,
    help="Files at most, drawn at random.",
)
@click.option(
    "--per-file",
    type=click.IntRange(1, 50),
    metavar="N",
    default=3,
    show_default=True,
    help="Bugs for each file, each in a copy of its own.",
)
@click.option(
    "--per-kloc",
    type=click.FloatRange(0),
    metavar="N",
    default=0.5,
    show_default=True,
    help="Wanted findings in 1,000 lines of the code as it is.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="Seed of everything random.",
)
@click.option("--write", is_flag=True, help="Set min-confidence to that in the configuration file.")
@click.option("--html", "html_path", type=click.Path(), metavar="FILE", help="Write a page, too.")
@click.option(
    "--output-format",
    "--format",
    "output_format",
    type=click.Choice(["full", "json"]),
    default="full",
    show_default=True,
    help="full: tables. json: all figures as one object.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours. NO_COLOR and FORCE_COLOR are obeyed.",
)
@config_options(
    "select",
    "extend-select",
    "ignore",
    "exclude",
    "extend-exclude",
    "adapt",
    "model",
    "threads",
)
def calibrate_command(**given: Any) -> int:
    """Measures confidence on your own code, and finds the least one to report.

    Puts bugs into copies of files under PATH (by default the working directory), asks what a scan
    would say of them and of the code as it is, and tells which min-confidence gives the wanted
    number of findings in 1,000 lines. No file is changed, but for the configuration with --write.
    """
    from codemlm import commands
    from codemlm.config_files import ConfigRequest

    paths = given["paths"] or (".",)
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110  # paths may be no text
            raise UsageError(f"{utf8_path(path)}: no such file or folder")
    request = ConfigRequest(config_layers(given), given["config"], given["isolated"])
    files = request.files()
    folder = _common_folder(paths)
    config = files.of_folder(folder).config
    target = _threshold_file(files, folder, given) if given["write"] else None
    _check_writable(given["html_path"])
    options_of = _options_by_path(files)
    sampling = _sampling(paths, files, options_of, given)
    scorer, calibration = commands.load_model(
        config.model_folder, config.threads or default_threads()
    )
    judged = _judged(scorer, calibration, sampling, options_of, given)
    result = _result(judged, sampling, scorer, calibration, options_of, given)
    result["paths"] = [utf8_path(path) for path in paths]
    value = result["wanted"]["threshold"]["value"]
    if target is not None and value is not None:
        target.write(value)
        result["written"] = target.path
    _publish(result, given)
    return 0


def _common_folder(paths: Sequence[str]) -> str:
    """The innermost folder that all paths lie in."""
    folders = [p if os.path.isdir(p) else os.path.dirname(p) or "." for p in paths]  # noqa: PTH112, PTH120
    try:
        return os.path.commonpath([os.path.abspath(folder) for folder in folders])  # noqa: PTH100
    except ValueError:  # on different drives
        return os.path.abspath(".")  # noqa: PTH100


def _threshold_file(files: ConfigFiles, folder: str, given: dict[str, Any]) -> ThresholdFile:
    """Where `--write` writes; what stands in its way is told before the work begins.

    Raises:
        UsageError: if there is nowhere to write.
    """
    from codemlm.config_files import option_layers
    from codemlm.config_write import ThresholdFile

    if given["isolated"]:
        raise UsageError("--isolated reads no configuration file, and --write changes one")
    _, named = option_layers(given["config"])
    return ThresholdFile.find(named or files.nearest_file(folder), folder)


def _options_by_path(files: ConfigFiles) -> Callable[[str], ScanOptions]:
    from codemlm.selection import ScanOptions

    @lru_cache(maxsize=256)
    def options_of(path: str) -> ScanOptions:
        return ScanOptions.of(files.of_file(path).config, path)

    return options_of


def _sampling(
    paths: Sequence[str],
    files: ConfigFiles,
    options_of: Callable[[str], ScanOptions],
    given: dict[str, Any],
) -> Sampling:
    """The files to choose from.

    Raises:
        UsageError: if there are none.
    """
    from codemlm.discovery import Discovery
    from codemlm.evaluation.repository import Sampling

    targets = list(Discovery(files.walk_rules).files(paths))
    if not targets:
        raise UsageError(
            f"no Python files in {', '.join(map(utf8_path, paths))}; name a folder with some "
            "(what .gitignore and the configuration exclude does not count)"
        )
    return Sampling(targets, options_of, given["files"], given["seed"])


def _judged(
    scorer: Any,
    calibration: Calibration,
    sampling: Sampling,
    options_of: Callable[[str], ScanOptions],
    given: dict[str, Any],
) -> list[JudgedFile]:
    """The files with their bugs.

    Raises:
        UsageError: if there are too few, or none takes a bug.
    """
    from codemlm import commands
    from codemlm.evaluation.repository import TOO_DEEP, RepositoryJudge
    from codemlm.evaluation.rescoring import WindowScorer

    judge = RepositoryJudge(
        WindowScorer(scorer.model, scorer.tokenizer),
        calibration,
        options_of,
        per_file=given["per_file"],
        seed=given["seed"],
        names=commands.name_finder(given["isolated"]),
    )
    progress = ProgressLine("calibrating", "files")
    total = min(given["files"], len(sampling.targets))
    judged: list[JudgedFile] = []
    try:
        for path, parsed in sampling.files():
            progress.update(len(judged), total, path)
            try:
                judged.append(judge.judged(path, parsed))
            except RecursionError:
                sampling.skipped[TOO_DEEP] += 1
    finally:
        progress.clear()
    if len(judged) < LEAST_FILES:
        from codemlm.evaluation.repository_report import counts

        reasons = counts(sampling.skipped)
        raise UsageError(
            f"too few files: {len(judged)} can be judged, and {LEAST_FILES} are needed"
            f"{f' (passed over: {reasons})' if reasons else ''}; name a larger folder"
        )
    if not any(file.bugs for file in judged):
        raise UsageError(
            "no bug could be put into these files: no place in them takes one of the rules that "
            "are selected; name more code, or select more rules"
        )
    return judged


def _result(
    judged: list[JudgedFile],
    sampling: Sampling,
    scorer: Any,
    calibration: Calibration,
    options_of: Callable[[str], ScanOptions],
    given: dict[str, Any],
) -> dict[str, Any]:
    from codemlm import __version__
    from codemlm.evaluation.thresholds import figures

    manifest = getattr(scorer.model, "manifest", None)
    model = {} if manifest is None else {"name": manifest.name, "version": manifest.version}
    folder = _common_folder(given["paths"] or (".",))
    options = options_of(str(Path(folder) / "any.py"))
    return {
        "codemlm": __version__,
        "model": model,
        "settings": {name: given[name] for name in ("files", "per_file", "per_kloc", "seed")},
        "skipped": dict(sorted(sampling.skipped.items())),
        **figures(
            judged,
            per_kloc=given["per_kloc"],
            threshold=_general(options, calibration.threshold),
            calibration=calibration,
            seed=given["seed"],
        ),
        "written": None,
    }


def _general(options: ScanOptions, threshold: float) -> float:
    """The least confidence of rules that have none of their own."""
    from codemlm.config_kinds import ALL_RULES

    return options.least(ALL_RULES, threshold)


def _check_writable(path: str | None) -> None:
    """Checks a file that is written in the end.

    Raises:
        UsageError: if it cannot be.
    """
    if path is None:
        return
    folder = os.path.dirname(path) or "."  # noqa: PTH120
    place = path if os.path.exists(path) else folder  # noqa: PTH110
    if os.path.isdir(path) or not os.access(place, os.W_OK):  # noqa: PTH112
        raise UsageError(f"{utf8_path(path)}: not writable; name another file after --html")


def _publish(result: dict[str, Any], given: dict[str, Any]) -> None:
    """Prints a result, and writes the page if one is wanted."""
    from codemlm.evaluation.repository_page import html_result
    from codemlm.evaluation.repository_report import print_result

    if given["output_format"] == "json":
        click.echo(json.dumps(result, indent=1, allow_nan=False))
    else:
        out = sys.stdout
        print_result(result, out, color=wants_color(given["color"], out), width=width_of(out))
    if given["html_path"] is not None:
        try:
            page = html_result(result).encode("utf-8", "backslashreplace")
            Path(given["html_path"]).write_bytes(page)
        except OSError as error:
            raise UsageError(
                f"{utf8_path(given['html_path'])}: cannot write the page there ({error.strerror})"
            ) from error
    if given["write"] and result["written"] is None:
        raise UsageError("no least confidence gives the wanted number: nothing was written")
    if result["written"]:
        click.echo(f"Written: {utf8_path(result['written'])}", err=True)
