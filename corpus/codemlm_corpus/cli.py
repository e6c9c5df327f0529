"""``codemlm corpus``: builds corpora, mines fixes. Heavy imports wait until a command runs."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codemlm.errors import CodemlmError
from codemlm.help import Group

if TYPE_CHECKING:
    from codemlm_corpus.config import BuildConfig
    from codemlm_corpus.pipeline import Plan

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


_REPOS = click.option(
    "--repos",
    type=_EXISTING,
    required=True,
    help="Table: owner/name, git directory, commit (tab-separated; further columns are ignored).",
)
_HELD_OUT = click.option(
    "--heldout", type=_EXISTING, required=True, help="Repositories that must not be used."
)
_PIN = click.option(
    "--pin", type=_EXISTING, help="Lines 'owner/name split' that override the hash."
)
_EXCLUDE = click.option(
    "--exclude-paths",
    type=_EXISTING,
    help="Table: owner/name, folder/ or file, why (tab-separated): left out.",
)
_RECIPE = click.option(
    "--recipe", type=_EXISTING, help="TOML file whose [build] table sets the parameters."
)
_ENGINE = (
    click.option(
        "--executor",
        type=click.Choice(["local", "slurm", "ray"]),
        default="local",
        show_default=True,
    ),
    click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True),
    click.option(
        "--engine-option",
        "engine_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="Option of datatrove's Slurm or Ray executor, such as partition=cpu.",
    ),
    click.option("--verbose", is_flag=True, help="Show the engine's own log."),
)


def _engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say where a command runs."""
    for option in reversed(_ENGINE):
        command = option(command)
    return command


@click.group(name="corpus", cls=Group)
def corpus() -> None:
    """Builds training corpora from git repositories, and mines bug fixes."""


@corpus.command()
@_REPOS
@click.option("--out", type=_FOLDER, required=True, help="Folder for the splits and the counts.")
@_RECIPE
@_HELD_OUT
@_PIN
@_EXCLUDE
@_engine_options
@click.option("--near-duplicates/--no-near-duplicates", default=None, help="Overrides the recipe.")
@click.option("--keep-work", is_flag=True, help="Keep the intermediate files.")
def build(
    repos: Path,
    out: Path,
    recipe: Path | None,
    heldout: Path,
    pin: Path | None,
    exclude_paths: Path | None,
    executor: str,
    workers: int,
    engine_options: tuple[str, ...],
    verbose: bool,
    near_duplicates: bool | None,
    keep_work: bool,
) -> None:
    """Reads repositories, filters, de-duplicates, splits by repository, and writes JSON lines."""
    _set_quiet(executor, verbose)

    from codemlm_corpus import config as configs
    from codemlm_corpus import engine as engines
    from codemlm_corpus import pipeline

    chosen = configs.read_recipe(recipe) if recipe else configs.BuildConfig()
    if near_duplicates is not None:
        chosen = dataclasses.replace(chosen, near_duplicates=near_duplicates)
    plan = _plan(repos, chosen, heldout, pin, exclude_paths)
    engine = engines.Engine(executor, workers, _parse_options(engine_options))
    pipeline.build(plan, out.resolve(), engine, keep_work)
    stats = out / "stats.json"
    click.echo(f"{stats}" if stats.exists() else f"queued; counts will be in {stats}")


@corpus.command()
@_REPOS
@click.option("--out", type=_FOLDER, required=True, help="Folder for the splits and the counts.")
@_RECIPE
@_HELD_OUT
@_PIN
@_EXCLUDE
@_engine_options
@click.option("--keep-work", is_flag=True, help="Keep the intermediate files.")
def mine(
    repos: Path,
    out: Path,
    recipe: Path | None,
    heldout: Path,
    pin: Path | None,
    exclude_paths: Path | None,
    executor: str,
    workers: int,
    engine_options: tuple[str, ...],
    verbose: bool,
    keep_work: bool,
) -> None:
    """Finds one-place bug fixes in histories, splits by repository, and writes their records."""
    _set_quiet(executor, verbose)
    from codemlm_corpus import config as configs
    from codemlm_corpus import engine as engines
    from codemlm_corpus.mining import pipeline as mining

    chosen = configs.read_recipe(recipe) if recipe else configs.BuildConfig()
    plan = _plan(repos, chosen, heldout, pin, exclude_paths, mining.head_or_name)
    engine = engines.Engine(executor, workers, _parse_options(engine_options))
    mining.mine(plan, out.resolve(), engine, keep_work)
    stats = out / "stats.json"
    click.echo(f"{stats}" if stats.exists() else f"queued; counts will be in {stats}")


@corpus.command()
@click.option("--records", type=_EXISTING, required=True, help="One split of a mine's output.")
@_REPOS
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File for the pairs, gzipped JSON lines; it holds source text.",
)
@click.option("--introductions", is_flag=True, help="Look for what brought each bug in (blame).")
@_engine_options
def pairs(
    records: Path,
    repos: Path,
    out: Path,
    introductions: bool,
    executor: str,
    workers: int,
    engine_options: tuple[str, ...],
    verbose: bool,
) -> None:
    """Puts the texts before and after each fix to its record, as the evaluation reads them."""
    _set_quiet(executor, verbose)
    from codemlm_corpus.config import read_repositories
    from codemlm_corpus.engine import Engine
    from codemlm_corpus.mining.pairs import make_pairs

    engine = Engine(executor, workers, _parse_options(engine_options))
    rows = read_repositories(repos)
    counts = make_pairs(records, rows, out.resolve(), engine, introductions)
    if not counts.exists():
        click.echo(f"queued; counts will be in {counts}")
        return
    found = json.loads(counts.read_text("utf-8"))
    for key, reason in sorted(found["skipped"].items()):
        click.echo(f"{key}: {reason}", err=True)
    click.echo(f"{found['pairs']} pairs, {len(found['skipped'])} records without; {counts}")


@corpus.command()
@click.option("--manifest", type=_EXISTING, required=True, help="Manifest of an earlier build.")
@click.option("--into", type=_FOLDER, required=True, help="Folder for the git directories.")
@click.option("--base-url", default="https://github.com/", show_default=True)
@click.option("--full-history", is_flag=True, help="As mining needs; else the commits alone.")
def fetch(manifest: Path, into: Path, base_url: str, full_history: bool) -> None:
    """Fetches the commits a manifest records, and writes INTO/repos.tsv for a build."""
    from codemlm_corpus.fetch import fetch_manifest

    failed = fetch_manifest(manifest, into, base_url, full_history)
    for repository, reason in failed:
        click.echo(f"{repository}: {reason}", err=True)
    click.echo(f"{into / 'repos.tsv'}")
    if failed:
        sys.exit(2)


def _plan(
    repos: Path,
    config: BuildConfig,
    heldout: Path,
    pin: Path | None,
    exclude_paths: Path | None,
    resolve: Callable[[str], str] | None = None,
) -> Plan:
    """The plan of a build or a mine, from the files that its options name."""
    from codemlm_corpus import config as configs
    from codemlm_corpus import exclude, git, pipeline, split
    from codemlm_corpus import heldout as held

    return pipeline.make_plan(
        configs.read_repositories(repos),
        config,
        held.read_held_out(heldout),
        split.read_pins(pin) if pin else {},
        resolve or git.resolve_commit,
        exclude.read_excluded_paths(exclude_paths) if exclude_paths else None,
    )


def _set_quiet(executor: str, verbose: bool) -> None:
    """Silences the engine's log, before it is imported; workers learn it from the environment."""
    if executor == "local" and not verbose:
        os.environ["CODEMLM_CORPUS_QUIET"] = "1"


def _parse_options(pairs: tuple[str, ...]) -> dict[str, int | str]:
    options: dict[str, int | str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--engine-option")
        options[key] = int(value) if value.isdigit() else value
    return options


def main() -> None:
    """Runs the command line on its own; errors exit 2."""
    try:
        corpus(prog_name="codemlm_corpus")
    except CodemlmError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
