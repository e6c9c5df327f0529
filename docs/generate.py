"""Writes the parts of the documentation that the code knows: rules, filters, keys, the tour.

    python docs/generate.py          the pages of rules and filters, the configuration reference,
                                     and the settings of the VS Code extension
    python docs/generate.py --tour   and what the commands of tour.md print, by the shipped model

A test compares the former with the files, so that they cannot go stale.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codemlm.config import DEFAULTS, KEYS
from codemlm.config_command import value_of
from codemlm.config_kinds import (
    CODES,
    CODES_BY_GLOB,
    COUNT,
    FLAG,
    FORMATS,
    GLOBS,
    PATH,
    PROBABILITIES,
    Kind,
    toml_of,
)
from codemlm.filters import ALL_FILTERS
from codemlm.rule_pages import rule_markdown
from codemlm.rules import RULES
from codemlm_lsp.settings import Settings

DOCS = Path(__file__).parent
FILTERS_RUN = DOCS.parent / "benchmarks" / "runs" / "filters.json"
"""What `benchmarks/filters.py` measured."""
MANIFEST = "../lsp/vscode/package.json"
"""Of the VS Code extension, by its path in `docs`."""
_COMMAND = re.compile(r"(```console\n\$ )(codemlm [^\n]*)\n.*?(?=```)", re.DOTALL)

_INTRODUCTION = """
Keys stand in `codemlm.toml`, or in the table `[tool.codemlm]` of `pyproject.toml`. The file nearest
to a source file holds for it; options of the command line come before every file. `codemlm config`
shows the values that hold, and where each is from; `--config FILE` takes another file,
`--config KEY=VALUE` sets one key, and `--isolated` reads no file at all. A key that is not known is
an error, which names the nearest one that is.
""".strip()


_FILTERS = """
What is no finding, whatever the model says. Each filter has a name, and can be left out by itself
(`codemlm.filters`, `Scanner(filters=...)`). What the exact rules (CM2) find is certain, and passes
all but `broken`; forms (CM205 and up) are not reported on lines that `told-already` would drop.
""".strip()


KEYS_OF_SCANS = frozenset({"max-per-kloc", "output-format", "cache", "cache-dir"})
"""Keys of the configuration that mean nothing to the language server."""

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_SCHEMAS: dict[Kind, dict[str, Any]] = {
    CODES: _TEXTS,
    GLOBS: _TEXTS,
    CODES_BY_GLOB: {"type": "object", "additionalProperties": _TEXTS},
    PROBABILITIES: {
        "type": ["number", "object"],
        "minimum": 0,
        "maximum": 1,
        "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
    },
    COUNT: {"type": "integer", "minimum": 1},
    FLAG: {"type": "boolean"},
    PATH: {"type": "string"},
}
"""What VS Code lets a user write for a value of each kind."""
_UNSET = "Not set: what `codemlm.toml` or `pyproject.toml` says."

SERVER_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "debounce-ms": (
        {"type": "integer", "minimum": 0, "maximum": 60_000},
        "Pause in typing, in milliseconds, after which a text is scanned.",
    ),
    "heat-map": (
        {"type": "boolean"},
        "Show how likely each doubtful token is, as an inlay hint behind it.",
    ),
    "code-lens": (
        {"type": "boolean"},
        "Show each function's most surprising token above it.",
    ),
    "workspace-diagnostics": (
        {"type": "boolean"},
        "Scan all files of the workspace, not only open ones.",
    ),
}
"""Settings of the language server that are no keys of the configuration: schema, and what for."""

_EXTENSION_SETTINGS: dict[str, dict[str, Any]] = {
    "codemlm.path": {
        "type": "string",
        "default": "",
        "scope": "machine-overridable",
        "markdownDescription": "Command or interpreter that runs codemlm. `~`, "
        "`${workspaceFolder}`, `${userHome}` and `${env:NAME}` are replaced. Empty: the "
        "interpreter that the Python extension has selected, if codemlm is installed there, else "
        "the `codemlm` on `PATH`.",
    },
    "codemlm.trace.server": {
        "type": "string",
        "enum": ["messages", "verbose"],
        "default": "messages",
        "scope": "window",
        "markdownDescription": "What the output shows of messages between VS Code and the server, "
        "while its log level (*Developer: Set Log Level...*) is *Trace*.",
    },
}


def pages() -> dict[str, str]:
    """Every generated page by its path in `docs`."""
    found = {f"rules/{rule.code}.md": rule_markdown(rule) for rule in RULES.values()}
    found["rules/README.md"] = "\n".join(_rules()) + "\n"
    found["configuration.md"] = "\n".join(_configuration()) + "\n"
    measured = json.loads(FILTERS_RUN.read_text("utf-8")) if FILTERS_RUN.exists() else None
    found["filters.md"] = "\n".join(filters(measured)) + "\n"
    manifest = json.loads((DOCS / MANIFEST).read_text("utf-8"))
    manifest["contributes"]["configuration"]["properties"] = vscode_settings()
    found[MANIFEST] = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    return found


def vscode_settings() -> dict[str, dict[str, Any]]:
    """The extension's own settings, those of the server alone, and the configuration's keys."""
    found = dict(_EXTENSION_SETTINGS)
    for name, (schema, text) in SERVER_SETTINGS.items():
        default = getattr(Settings(), name.replace("-", "_"))
        more = {"default": default, "scope": "resource", "markdownDescription": text}
        found[_setting(name)] = schema | more
    for key in KEYS.values():
        if key.name in KEYS_OF_SCANS:
            continue
        schema = _SCHEMAS[key.kind]
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        found[_setting(key.name)] = schema | {
            "type": [*types, "null"],
            "default": None,
            "scope": "resource",
            "markdownDescription": f"{key.help} {_UNSET}",
        }
    return found


def _setting(name: str) -> str:
    """A key's name in VS Code: ``min-confidence`` is ``codemlm.minConfidence`` there."""
    return "codemlm." + re.sub("-(.)", lambda match: match[1].upper(), name)


def filters(measured: dict[str, Any] | None) -> Iterator[str]:
    """The lines of the page of filters.

    Args:
        measured: result of `benchmarks/filters.py`; None: there is none.
    """
    yield "# Filters\n"
    yield textwrap.fill(_FILTERS, 100)
    yield ""
    if measured is None:
        yield "The gain is not measured yet: `benchmarks/filters.py` does it."
    else:
        data, every = measured["data"], measured["rows"]["all"]
        told = (
            "Gain is what a filter changes while all the others are on, on "
            f"{data['bugs']} real bugs and {data['lines']:,} lines of clean code: alarms in 1,000 "
            "lines and recall at the default threshold, and at a confidence of 0.05, for those who "
            f"want to see more. With all filters there are {every['alarms_per_kloc']:.2f} and "
            f"{every['low_alarms_per_kloc']:.2f} alarms, and recall is {100 * every['recall']:.1f} "
            f"% and {100 * every['low_recall']:.1f} %. What they drop, the confidence has mostly "
            "learnt not to report; they stay for what no sample shows, such as a suggestion that "
            "does not parse."
        )
        yield textwrap.fill(told, 100)
    yield "\n| name | what it drops | why | gain |"
    yield "|---|---|---|---|"
    for one in ALL_FILTERS:
        yield f"| {one.name} | {one.drops} | {one.why} | {_gain(one.name, measured)} |"


def _gain(name: str, measured: dict[str, Any] | None) -> str:
    """What a filter changes while all others are on, in words."""
    without = None if measured is None else measured["rows"].get(f"without {name}")
    if measured is None or without is None:
        return "not measured"
    change = {key: value - without[key] for key, value in measured["rows"]["all"].items()}
    recall, low = (100 * change[key] for key in ("recall", "low_recall"))
    alarms, more = change["alarms_per_kloc"], change["low_alarms_per_kloc"]
    return f"{alarms:+.2f} alarms, {recall:+.1f} % recall; at 0.05 {more:+.2f}, {low:+.1f} %"


def _rules() -> Iterator[str]:
    yield "# Rules\n"
    yield "`codemlm rule CODE` prints the same pages.\n"
    yield "| code | name | what is reported |"
    yield "|---|---|---|"
    for rule in RULES.values():
        yield f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.summary} |"


def _configuration() -> Iterator[str]:
    yield "# Configuration\n"
    yield textwrap.fill(_INTRODUCTION, 100)
    for key in KEYS.values():
        default = value_of(DEFAULTS, key)
        unset = default is None or (default == {} and key.unset)
        yield f"\n## {key.name}\n"
        if key.name == "output-format":
            yield "How findings are printed.\n"
            yield "\n".join(f"- `{name}`: {what}" for name, what in FORMATS.items())
        else:
            yield textwrap.fill(key.help, 100, break_on_hyphens=False)
        yield ""
        yield f"- Value: {key.kind.name}"
        shown = key.unset if unset else f"`{toml_of(default)}`"
        yield textwrap.fill(
            f"- Default: {shown}", 100, subsequent_indent="  ", break_on_hyphens=False
        )
        if key.option:
            yield f"- Option: `{key.option}`"
        if key.env:
            yield f"- Environment: `{key.env}`"
        if key.of_run:
            yield "- One value holds for a whole run: that of the working directory."


def tour(text: str) -> str:
    """The tour with what its commands print today, in a folder with the examples alone."""
    with tempfile.TemporaryDirectory() as folder:
        for example in (DOCS / "example").glob("*.py"):
            shutil.copy(example, folder)

        def rerun(block: re.Match[str]) -> str:
            command = [sys.executable, "-m", *shlex.split(block[2])]
            inherited = {k: v for k, v in os.environ.items() if not k.startswith("CODEMLM_")}
            root = str(DOCS.parent)
            done = subprocess.run(
                command,
                cwd=folder,
                env={**inherited, "COLUMNS": "96", "NO_COLOR": "1", "PYTHONPATH": root},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            output = re.sub(r" \(\d+\.\d s\)", "", done.stdout).strip("\n")
            return f"{block[1]}{block[2]}\n{output}\n"

        return _COMMAND.sub(rerun, text)


def main() -> int:
    """Writes the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tour", action="store_true", help="run the commands of tour.md, too")
    given = parser.parse_args()
    new = pages()
    for old in (DOCS / "rules").glob("CM*.md"):
        if f"rules/{old.name}" not in new:
            old.unlink()
    for name, text in new.items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    if given.tour:
        page = DOCS / "tour.md"
        page.write_text(tour(page.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
