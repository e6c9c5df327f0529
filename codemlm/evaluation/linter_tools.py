"""The linters that codemlm is compared with: how they are started, and how their output is read."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from codemlm.evaluation.linter_options import (
    MYPY_DISABLED,
    PYLINT_DISABLED,
    RUFF_IGNORED,
    RUFF_SELECTED,
    TARGET,
    VERSION,
)

UNPARSED, FAILED = "unparsed", "failed"
"""Codes of the one message of a file that the linter cannot parse, or that it fails on."""
RULES = "1"
"""Version of what is made of a linter's output, here and in ``linters``: part of cache keys."""
PACKAGE = "/".join(["pkg"] * 6)
"""Folder of the files: packages around them give relative imports a place to point at."""

_GIVEN_NAME = re.compile(r"(?:\bpkg[./])*\bm\d{6}\b(?:/__init__)?(?:\.py\b)?")


def given_name(number: int, *, init: bool) -> str:
    """Path of a file while it is linted: its own may be no module's, or that of another file.

    Args:
        number: of the file among those of a run, below a million.
        init: whether it is the ``__init__.py`` of a package, of which linters ask less.
    """
    return f"{PACKAGE}/m{number:06}{'/__init__' if init else ''}.py"


@dataclass(frozen=True, slots=True)
class LinterMessage:
    """What a linter says of a place: 1-based line and column, the rule's code, the text."""

    line: int
    col: int
    code: str
    text: str


def given_up(messages: Sequence[LinterMessage]) -> str | None:
    """``UNPARSED`` or ``FAILED`` for a file of which a linter says nothing else; else None."""
    code = messages[0].code if messages else ""
    return code if code in (UNPARSED, FAILED) else None


Found = dict[str, list[LinterMessage]]
"""Messages by path. A path that is missing has to be linted again, in other company."""


class LinterCrashError(Exception):
    """The output of a run cannot be used."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A linter.

    Attributes:
        name: of the linter and of its package.
        options: after its name on the command line; they decide its messages.
        read: its output to messages.
        files, lines: how many one run takes at the most.
        seconds_per_kloc: what a run takes at the most; far beyond the usual.
        script: what starts it, a file beside this one; "": it is run as a module.
        packages: further ones whose versions decide its messages.
        unsure: codes that mean nothing in a file with ``from ... import *``, whose module the
            linter would know in a project; pyflakes and ruff say that they do not know.
    """

    name: str
    options: tuple[str, ...]
    read: Callable[[CompletedProcess[str], Sequence[str]], Found]
    files: int
    lines: int
    seconds_per_kloc: float
    script: str = ""
    packages: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether this Python can run it."""
        return importlib.util.find_spec(self.name) is not None

    @property
    def version(self) -> str:
        """Its version, with those of what it stands on."""
        versions = [importlib.metadata.version(self.name)]
        versions += [f"{name} {importlib.metadata.version(name)}" for name in self.packages]
        if self.name != "ruff":  # which brings a parser of its own; the others run on ours
            versions.append(f"Python {platform.python_version()}")
        return ", ".join(versions)

    @property
    def fingerprint(self) -> str:
        """Everything but the file that decides its messages."""
        parts = [RULES, self.name, self.version, *self.options, *self.unsure, platform.system()]
        if self.script:
            parts.append((Path(__file__).parent / self.script).read_text("utf-8"))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def command(self, paths: Sequence[str]) -> list[str]:
        """The command that lints files, to be run in the folder that holds them."""
        script = [str(Path(__file__).parent / self.script)] if self.script else ["-m", self.name]
        # -P: neither the folder of the script nor that of the files may hide a module.
        return [sys.executable, "-P", *script, *self.options, *paths]


def environment(folder: Path) -> dict[str, str]:
    """The environment of a run: nothing that configures a linter, and one thread.

    Args:
        folder: for what it leaves behind.
    """
    kept = ("PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "USERPROFILE", "APPDATA")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return found | {
        "PYLINTHOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the order of a set may decide which of two messages is given
        "PYTHONUTF8": "1",
        "PYTHONWARNINGS": "ignore",
        "RAYON_NUM_THREADS": "1",
        "TMPDIR": str(folder),
    }


def _collect(
    rows: Sequence[Mapping[str, Any]],
    paths: Sequence[str],
    message: Callable[[Mapping[str, Any]], tuple[str, LinterMessage | None]],
) -> Found:
    """Messages of rows by path. One that says ``unparsed`` or ``failed`` stands alone."""
    found: Found = {path: [] for path in paths}
    ends: dict[str, LinterMessage] = {}
    for row in rows:
        path, told = message(row)
        if path not in found:
            raise LinterCrashError(f"a message of {path!r}, which was not to be linted")
        if told is None:
            continue
        told = _anonymous(told)
        if told.code in (UNPARSED, FAILED):
            ends.setdefault(path, told)
        found[path].append(told)
    return found | {path: [end] for path, end in ends.items()}


def _anonymous(message: LinterMessage) -> LinterMessage:
    """The message without the name that the file was given to be linted."""
    text = _GIVEN_NAME.sub("module", message.text)
    return LinterMessage(message.line, message.col, message.code, text)


def _json_lines(done: CompletedProcess[str]) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in done.stdout.splitlines() if line]
    except ValueError as error:
        raise LinterCrashError(f"{error}: {done.stdout[:200]!r}") from error


def read_pyflakes(done: CompletedProcess[str], paths: Sequence[str]) -> Found:
    """Messages of ``pyflakes_driver``."""
    if done.returncode != 0:
        raise LinterCrashError(done.stderr[-500:])

    def message(row: Mapping[str, Any]) -> tuple[str, LinterMessage | None]:
        return row["path"], LinterMessage(row["line"], row["col"], row["code"], row["text"])

    return _collect(_json_lines(done), paths, message)


def read_ruff(done: CompletedProcess[str], paths: Sequence[str]) -> Found:
    """Messages of ``ruff check --output-format json-lines``."""
    if done.returncode not in (0, 1):
        raise LinterCrashError(done.stderr[-500:])

    def message(row: Mapping[str, Any]) -> tuple[str, LinterMessage | None]:
        name = row["filename"].replace(os.sep, "/")
        path = name[name.index(f"{PACKAGE}/") :]
        code = row["code"]
        if code is None or code in ("invalid-syntax", "E999"):
            code = UNPARSED
        elif code == "E902":
            code = FAILED
        place = row["location"] or {"row": 1, "column": 1}
        return path, LinterMessage(place["row"], place["column"], code, row["message"])

    return _collect(_json_lines(done), paths, message)


def read_pylint(done: CompletedProcess[str], paths: Sequence[str]) -> Found:
    """Messages of ``pylint -f json2``."""
    try:
        rows = json.loads(done.stdout)["messages"]
    except (ValueError, KeyError, TypeError) as error:
        raise LinterCrashError(f"{error!r}: {done.stderr[-500:]}") from error
    if done.returncode & 32:  # an error of usage
        raise LinterCrashError(done.stderr[-500:])

    def message(row: Mapping[str, Any]) -> tuple[str, LinterMessage | None]:
        path, code = row["path"].replace(os.sep, "/"), row["symbol"]
        if row["messageId"] in ("E0001", "F0010"):
            if row["message"].startswith("Cannot import"):  # the trouble of another module
                return path, None
            code = UNPARSED
        elif row["type"] == "fatal":
            code = FAILED
        return path, LinterMessage(row["line"], row["column"] + 1, code, row["message"])

    return _collect(rows, paths, message)


_MYPY_ENDED = re.compile(
    r"(?P<file>[^{][^:]*):(?P<line>\d+)(?::\d+)?: error: (?P<message>.*?) +\[(?P<code>[\w-]+)\]$"
)


def read_mypy(done: CompletedProcess[str], paths: Sequence[str]) -> Found:
    """Messages of ``mypy --output json``.

    One file that does not parse ends a run, so that the others have to be linted again.
    """
    if done.returncode in (0, 1):
        rows = [row for row in _json_lines(done) if row["severity"] == "error"]

        def message(row: Mapping[str, Any]) -> tuple[str, LinterMessage | None]:
            path = row["file"].replace(os.sep, "/")
            if row["code"] == "syntax":  # a comment that reads as a type; others end the run
                return path, None
            return path, LinterMessage(row["line"], row["column"] + 1, row["code"], row["message"])

        return _collect(rows, paths, message)
    ended: Found = {}
    for line in done.stdout.splitlines():
        told = _MYPY_ENDED.match(line)  # not always JSON
        row = told.groupdict() if told else json.loads(line) if line.startswith("{") else {}
        path = row.get("file", "").replace(os.sep, "/")
        if row.get("code") == "syntax" and "type comment" not in row["message"] and path in paths:
            ended[path] = [LinterMessage(int(row["line"]), 1, UNPARSED, row["message"])]
    if not ended:
        raise LinterCrashError((done.stderr or done.stdout)[-500:])
    return ended


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("pyflakes", (), read_pyflakes, 500, 200_000, 20.0, "pyflakes_driver.py"),
        Tool(
            "ruff",
            (
                *("check", "--isolated", "--no-cache", "--no-preview", "--exit-zero", "--quiet"),
                *("--output-format=json-lines", f"--target-version=py{TARGET[0]}{TARGET[1]}"),
                f"--select={','.join(RUFF_SELECTED)}",
                f"--ignore={','.join(RUFF_IGNORED)}",
            ),
            read_ruff,
            files=500,
            lines=200_000,
            seconds_per_kloc=5.0,
        ),
        Tool(
            "pylint",
            (
                *(f"--rcfile={os.devnull}", "--jobs=1", "--persistent=n", "--score=n"),
                *("--output-format=json2", "--disable=all", "--enable=F,E,W"),
                f"--disable={','.join(PYLINT_DISABLED)}",
            ),
            read_pylint,
            files=200,
            lines=20_000,
            seconds_per_kloc=30.0,
            script="pylint_driver.py",
            packages=("astroid",),
            unsure=("undefined-variable", "undefined-all-variable"),
        ),
        Tool(
            "mypy",
            (
                *("--config-file=", f"--cache-dir={os.devnull}", "--no-incremental"),
                *("--output=json", "--no-error-summary", f"--python-version={VERSION}"),
                *("--ignore-missing-imports", "--follow-imports=skip", "--no-site-packages"),
                "--check-untyped-defs",
                *(f"--disable-error-code={code}" for code in MYPY_DISABLED),
            ),
            read_mypy,
            files=300,
            lines=60_000,
            seconds_per_kloc=20.0,
            unsure=("name-defined",),
        ),
    )
}
"""The linters, by name, in the order of reports."""
