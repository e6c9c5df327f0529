"""The commands that ask about single places: `codemlm explain`, and `codemlm surprise`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from codemlm import commands
from codemlm.errors import SourceError, UsageError
from codemlm.help import Command
from codemlm.options import OUTPUT_OPTIONS, STDIN_OPTION, config_options, config_request
from codemlm.source import Failure, SourceFile, read_source
from codemlm.terminal import ProgressLine, default_threads, utf8_path, wants_color, width_of

if TYPE_CHECKING:
    from codemlm.config import Config
    from codemlm.explain import Explainer
    from codemlm.scanner import Scanner

_PLACE = re.compile(r"(?P<path>.+?):(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?:?", re.DOTALL)

_FORMAT = click.option(
    "--output-format",
    "--format",
    "output_format",
    type=click.Choice(["full", "json"]),
    default="full",
    show_default=True,
    help="full: for people. json: an object a line for each leaf.",
)


# `-:3` is a place, not an option.
@click.command("explain", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("place", metavar="FILE:LINE[:COL]")
@_FORMAT
@config_options("model", "threads", "min-confidence", "select", "ignore", "baseline", "adapt")
@OUTPUT_OPTIONS
@STDIN_OPTION
def explain_command(**given: Any) -> int:
    """Tells why the leaf at a place is a finding, or why it is none.

    A leaf is what a parser takes for one piece: a name, an operator, a literal, a keyword. Without
    COL, each leaf of the line that could be a finding is explained. Lines and columns begin with 1,
    columns count code points, as in the findings of a scan. FILE may be - for standard input.
    """
    path, line, column = _parsed_place(given["place"])
    read = _read(path, given["stdin_filename"])
    explainer = _explainer(read, given)
    leaves = _leaves(explainer, read.path, line, column)
    progress = ProgressLine("masking", "windows")
    with commands.opened(given["output_file"]) as out:
        from codemlm.explain_text import ExplanationPrinter
        from codemlm.explanation import explanation_record
        from codemlm.report import json_text

        color = wants_color(given["color"], out)
        printer = ExplanationPrinter(out, color=color, width=width_of(out))
        for leaf in leaves:
            try:
                one = explainer.explain(leaf, progress.update)
            finally:
                progress.clear()
            if given["output_format"] == "json":
                record = explanation_record(read.path, explainer.index, one)
                out.write(json_text(record) + "\n")
            else:
                printer.print_one(read.path, explainer.index, one)
    return 0


@click.command("surprise", cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@click.option(
    "--since", metavar="REV", help="Lines changed since this revision of git.  [default: HEAD]"
)
@click.option("--staged", is_flag=True, help="Lines staged for the next commit.")
@click.option(
    "-n",
    "--number",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Show the N most surprising leaves.",
)
@_FORMAT
@config_options("model", "threads", "exclude", "extend-exclude", "include-generated")
@OUTPUT_OPTIONS
def surprise_command(**given: Any) -> int:
    """Shows what is most surprising in changed lines, against what was usual before.

    Each leaf of a changed line (a name, an operator, a literal) is hidden from the model; what
    counts is how much less likely it is than leaves of its role were in the old text. PATH is a
    file or a folder, by default the working directory. These are no findings: the exit code is 0.
    """
    from codemlm import surprise_command as command

    if given["staged"] and given["since"] is not None:
        raise click.UsageError("--staged has the last commit before it: choose it or --since.")
    return command.surprise(
        command.SurpriseRequest(
            paths=given["paths"] or (".",),
            config=config_request(given),
            since=None if given["staged"] else given["since"] or "HEAD",
            number=given["number"],
            output=commands.Output(given["output_format"], given["output_file"], given["color"]),
        )
    )


def _parsed_place(place: str) -> tuple[str, int, int | None]:
    """The path, line and column of a place.

    Raises:
        UsageError: if it is none.
    """
    if place.startswith("-") and not place.startswith(f"{commands.STDIN}:"):
        raise click.NoSuchOption(place)
    found = _PLACE.fullmatch(place)
    if found is None:
        raise UsageError(f"{utf8_path(place)}: not FILE:LINE or FILE:LINE:COL")
    return found["path"], int(found["line"]), int(found["column"]) if found["column"] else None


def _read(path: str, stdin_filename: str) -> SourceFile:
    """The text of a file, or of standard input.

    Raises:
        SourceError: if there is none that can be explained.
    """
    from codemlm.notebooks import is_notebook

    if is_notebook(path):
        raise SourceError(f"{utf8_path(path)}: a notebook; save the cell as a file of its own")
    if path == commands.STDIN:
        read = commands.read_stdin(stdin_filename, commands.stdin_bytes())
    else:
        read = read_source(path, explicit=True)
    if isinstance(read, Failure):
        raise SourceError(commands.failure_line(read).partition(": ")[2].rstrip("\n"))
    return read


def _explainer(read: SourceFile, given: dict[str, Any]) -> Explainer:
    from codemlm.discovery import Discovery
    from codemlm.explain import Explainer

    files = config_request(given).files()
    settings = files.of_file(read.path)
    of_run, isolated = files.of_folder(".").config, given["isolated"]
    scanner = _scanner(of_run, settings.config, read.path, isolated=isolated)
    left_out = Discovery(files.walk_rules).leaves_out(read.path)
    return Explainer(scanner, read, settings, left_out=left_out)


def _scanner(of_run: Config, of_file: Config, path: str, *, isolated: bool) -> Scanner:
    from codemlm.scanner import Scanner, ScanOptions

    threads = of_run.threads or default_threads()
    scorer, calibration = commands.load_model(of_run.model_folder, threads)
    names = commands.name_finder(isolated)
    return Scanner(scorer, calibration, ScanOptions.of(of_file, path), names=names)


def _leaves(explainer: Explainer, path: str, line: int, column: int | None) -> list[int]:
    """The leaves that are asked for.

    Raises:
        UsageError: if there are none.
    """
    shown, count = utf8_path(path), len(explainer.index.starts)
    if not 1 <= line <= count:
        raise UsageError(f"{shown}:{line}: no such line: the file has {count:,}")
    broken = "" if explainer.parses_at(line) else "; the file does not parse there"
    if column is None:
        leaves = explainer.judged_on(line)
        if not leaves:
            raise UsageError(
                f"{shown}:{line}: nothing on this line is ever judged; with a column, the "
                f"likelihood of any leaf is told{broken}"
            )
        return leaves
    leaf = explainer.leaf_at(line, column) if column else None
    if leaf is None:
        raise UsageError(f"{shown}:{line}:{column}: no leaf stands there{broken}")
    return [leaf]
