"""The command line: options, exit codes, and what becomes of errors.

Exit codes: 0 clean, 1 findings, 2 an error, 130 interrupted, 141 closed pipe.
Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from codemlm import __version__
from codemlm.errors import CodemlmError, UsageError
from codemlm.help import Command, Group
from codemlm.options import OUTPUT_OPTIONS, STDIN_OPTION, config_options, config_request
from codemlm.terminal import use_utf8

ERROR, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
COMPLETION_VARIABLE = "_CODEMLM_COMPLETE"

EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "safetensors": "train",
    "tokenizers": "train",
    "onnx": "train",
    "onnxscript": "train",
    "datatrove": "corpus",
    "loguru": "corpus",
    "codemlm_corpus": "corpus",
}
"""Packages that come with an extra, and which."""

MOUNTED = {
    "explain": ("codemlm.questions", "explain_command", "Tells why a place is a finding, or not."),
    "adapt": (
        "codemlm.adapt_command",
        "adapt_command",
        "Makes scans see across the files of this project.",
    ),
    "calibrate": (
        "codemlm.calibrate_command",
        "calibrate_command",
        "Measures confidence on your own code, and finds the least one to report.",
    ),
    "surprise": ("codemlm.questions", "surprise_command", "Shows what is odd in changed lines."),
    "train": (
        "codemlm.train.__main__",
        "main",
        "Trains and exports models (needs codemlm[train]).",
    ),
    "corpus": ("codemlm_corpus.cli", "corpus", "Builds training corpora (needs codemlm[corpus])."),
    "server": (
        "codemlm_lsp.command",
        "server_command",
        "Serves an editor (Language Server Protocol).",
    ),
    "eval": ("codemlm.evaluation.command", "eval_command", "Measures a model on known bugs."),
}
"""Commands of other modules: module, object, and what the overview says of them."""

SECTIONS = {
    "Look for mistakes": ("scan", "explain", "score", "surprise"),
    "Set it up": ("calibrate", "adapt", "config", "rule", "server", "completion", "clean"),
    "Work on models": ("model", "eval", "train", "corpus"),
}
"""Commands as the overview has them; others come after these."""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Commands(Group):
    """A group whose mounted commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *MOUNTED]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MOUNTED:
            return super().get_command(ctx, cmd_name)
        module, name, _ = MOUNTED[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def first_sentence(self, name: str) -> str:
        """What the overview says of a command: nothing is imported for it."""
        return MOUNTED[name][2] if name in MOUNTED else super().first_sentence(name)


@click.group(cls=_Commands, sections=SECTIONS, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="codemlm")
def cli() -> None:
    """Finds the tokens of your code that are probably not what you meant.

    It reads Python with a language model that is part of the package: offline, on the CPU. Begin
    with `codemlm scan` in a project; `codemlm explain FILE:LINE` tells more of a finding, and
    `codemlm COMMAND --help` what a command can do.
    """


@cli.command("scan", cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@config_options()
@click.option("--exit-zero", is_flag=True, help="Exit with 0 although there are findings.")
@click.option("--statistics", is_flag=True, help="Print counts by rule instead of the findings.")
@click.option("-q", "--quiet", is_flag=True, help="Print no summary.")
@click.option(
    "--since", metavar="REV", help="Report only lines changed since this revision of git."
)
@click.option("--staged", is_flag=True, help="Report only lines staged for the next commit.")
@click.option(
    "--write-baseline",
    is_flag=True,
    help="Write all findings to the baseline as known ones.  [default: codemlm-baseline.json]",
)
@click.option("--diff", is_flag=True, help="Show what the first suggestions would change.")
@click.option("--fix", is_flag=True, help="Make the edits that cannot change what the code does.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix: make all first suggestions.")
@click.option("-w", "--watch", is_flag=True, help="Scan again whenever a file changes.")
@OUTPUT_OPTIONS
@STDIN_OPTION
def scan_command(**given: Any) -> int:
    """Reports the places of files and folders that are probably wrong.

    PATH is a file, a folder, or - for standard input; by default the working directory. Exits with
    0 if there are no findings, 1 if there are, and 2 if something could not be scanned.

    CODE is the code of a rule (CM101), or how it begins (CM1); several are parted by commas. GLOB
    is a pattern as in .gitignore. Options that take either may be given more than once.
    """
    from codemlm import scan_command

    return scan_command.scan(
        scan_command.ScanRequest(
            paths=given["paths"] or (".",),
            config=config_request(given),
            output_file=given["output_file"],
            color=given["color"],
            quiet=given["quiet"],
            stdin_filename=given["stdin_filename"],
            exit_zero=given["exit_zero"],
            statistics=given["statistics"],
            watch=given["watch"],
            write_baseline=given["write_baseline"],
            since=given["since"],
            staged=given["staged"],
            diff=given["diff"],
            fix=given["fix"],
            unsafe_fixes=given["unsafe_fixes"],
            debug=_is_debugging(),
        )
    )


@cli.command("score", cls=Command)
@click.argument("file", type=click.Path())
@click.option(
    "--output-format",
    "--format",
    "output_format",
    type=click.Choice(["listing", "json", "html"]),
    default="listing",
    show_default=True,
    help="listing: the text as a heat map. json: an object a line for each leaf. html: the heat "
    "map as a page for browsers.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Mask every leaf in turn: slow, the textbook pseudo-likelihood.",
)
@click.option(
    "--gate-only", is_flag=True, help="Mask none: fast, no likelihood for definitions and strings."
)
@click.option(
    "--top",
    type=click.IntRange(0),
    metavar="N",
    help="Note the N most doubtful leaves; in JSON, print only them.  [default: 20; all]",
)
@config_options("model", "threads")
@OUTPUT_OPTIONS
@STDIN_OPTION
def score_command(**given: Any) -> int:
    """Shows how likely each leaf of FILE is, and what would be likelier there.

    A leaf is what a parser takes for one piece: a name, an operator, a literal, a keyword. FILE may
    be - for standard input.
    """
    from codemlm.commands import Output, ScoreRequest, score

    if given["exact"] and given["gate_only"]:
        raise click.UsageError("--exact masks every leaf and --gate-only none: choose one.")
    return score(
        ScoreRequest(
            path=given["file"],
            output=Output(given["output_format"], given["output_file"], given["color"]),
            exact=given["exact"],
            gate_only=given["gate_only"],
            top=given["top"],
            stdin_filename=given["stdin_filename"],
            config=config_request(given).files().of_folder(".").config,
        )
    )


@cli.command("rule", cls=Command)
@click.argument("code", required=False)
def rule_command(code: str | None) -> int:
    """Explains a rule, by its code or its name, or lists all of them."""
    from codemlm.rule_pages import rule_text
    from codemlm.rules import RULES

    if code is None:
        width = max(len(rule.name) for rule in RULES.values())
        for rule in RULES.values():
            click.echo(f"{rule.code}  {rule.name:<{width}}  {rule.summary}")
        return 0
    found = [r for r in RULES.values() if code.upper() == r.code or code.lower() == r.name]
    if not found:
        raise UsageError(f"there is no rule {code!r}; `codemlm rule` lists them")
    click.echo(rule_text(found[0]), nl=False)
    return 0


@cli.command("config", cls=Command)
@click.argument("key", required=False)
@click.option(
    "--for",
    "path",
    default="codemlm.toml",
    metavar="FILE",
    help="The file to which the values apply.  [default: any in the working directory]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_options("select", "ignore")
def config_command(key: str | None, path: str, as_json: bool, **given: Any) -> int:
    """Shows the effective configuration and where it comes from, or what KEY means."""
    from codemlm.config_command import key_lines, settings_json, settings_lines

    settings = config_request(given).files().of_file(path)
    if key is not None:
        lines = key_lines(key, settings)
    else:
        lines = iter([settings_json(settings)]) if as_json else settings_lines(settings)
    for line in lines:
        click.echo(line)
    return 0


@cli.command("clean", cls=Command)
@config_options("cache-dir")
def clean_command(**given: Any) -> int:
    """Removes the cache of what scans have found."""
    from codemlm.scan_command import clean_cache

    click.echo(clean_cache(config_request(given).files().of_folder(".").config))
    return 0


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    r"""Prints what makes SHELL complete commands and options.

    \b
    bash, in ~/.bashrc:  eval "$(codemlm completion bash)"
    zsh, in ~/.zshrc:    eval "$(codemlm completion zsh)"
    fish:  codemlm completion fish > ~/.config/fish/completions/codemlm.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "codemlm", COMPLETION_VARIABLE).source())
    return 0


@cli.group("model", cls=Group)
def model_group() -> None:
    """Tells where the model comes from, and its figures."""


@model_group.command("info", cls=Command)
@config_options("model")
@click.option("--all", "everything", is_flag=True, help="Training settings and figures, too.")
def model_info(everything: bool, **given: Any) -> int:
    """Prints what is known of the model: where it came from and how it was calibrated."""
    from codemlm.commands import model_facts

    config = config_request(given).files().of_folder(".").config
    facts = model_facts(config.model_folder, everything=everything)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name:<{width}}  {value}")
    return 0


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, whatever happens.

    click's own ``main`` is not used: it exits with 1, our code for findings, when a pipe closes.
    """
    use_utf8()
    # Python's thoughts on what pathspec makes of somebody's .gitignore are not for users.
    warnings.filterwarnings("ignore", category=FutureWarning, module="pathspec")
    if COMPLETION_VARIABLE in os.environ:
        cli.main(args=None if args is None else list(args), prog_name="codemlm")
    try:
        arguments = list(sys.argv[1:] if args is None else args)
        with cli.make_context("codemlm", arguments) as context:
            result = cli.invoke(context)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except click.ClickException as error:
        error.show()
        return ERROR
    except (KeyboardInterrupt, click.Abort):
        return _leave_quietly(INTERRUPTED)
    except BrokenPipeError:
        return _leave_quietly(PIPE_CLOSED)
    except CodemlmError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            return _fail_internally(error)
        return _fail(f"this needs {error.name}: pip install 'codemlm[{extra}]'")
    except Exception as error:  # noqa: BLE001  # a traceback would exit with 1, which means findings
        return _fail_internally(error)


def _fail(message: str) -> int:
    click.echo(f"error: {message}", err=True)
    return ERROR


def _fail_internally(error: Exception) -> int:
    if _is_debugging():
        import traceback

        traceback.print_exception(error)
    text = " ".join(str(error).split())
    return _fail(
        f"internal error: {type(error).__name__}: {text[:500]}\n"
        "This is a mistake in codemlm; CODEMLM_DEBUG=1 shows where."
    )


def _leave_quietly(code: int) -> int:
    """Keeps the interpreter from complaining about output that nobody reads."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
    return code


def _is_debugging() -> bool:
    return os.environ.get("CODEMLM_DEBUG", "") not in ("", "0")
