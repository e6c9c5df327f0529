"""The format github: workflow commands that GitHub turns into annotations."""

from __future__ import annotations

from pathlib import Path

from codemlm.findings import percent
from codemlm.formats.base import RepositoryPaths, Settings, message_of, region
from codemlm.positions import LineIndex
from codemlm.report import Summary, counted
from codemlm.rules import RULES
from codemlm.scanner import FileResult

ANNOTATIONS = 10
"""GitHub shows this many warnings a step, and drops the rest without a word."""


class GithubReporter:
    """The most confident findings as annotations, at the end; and how many more there are."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.paths = RepositoryPaths(Path.cwd())
        self.found: list[tuple[float, str]] = []

    def file(self, result: FileResult) -> None:
        """Keeps the file's findings."""
        index = LineIndex(result.source)
        path = self.paths.relative(result.path) if result.findings else ""
        for finding in result.findings:
            where = region(result, index, finding.span)
            properties = {"file": path, "line": where["startLine"], "endLine": where["endLine"]}
            if where["startLine"] == where["endLine"]:  # GitHub takes no columns over lines
                properties |= {"col": where["startColumn"], "endColumn": where["endColumn"]}
            name = f"{finding.rule} {RULES[finding.rule].name}"
            properties["title"] = f"{name} ({percent(finding.confidence)})"
            listed = ",".join(f"{k}={_escaped(str(v), ':,')}" for k, v in properties.items())
            line = f"::warning {listed}::{_escaped(message_of(result, index, finding))}"
            self.found.append((finding.confidence, line))

    def finish(self, summary: Summary) -> None:
        """Prints what GitHub will show, and how many more there are."""
        self.found.sort(key=lambda item: -item[0])
        for _, line in self.found[:ANNOTATIONS]:
            self.out.write(line + "\n")
        more = len(self.found) - ANNOTATIONS
        if more > 0:
            self.out.write(f"::notice title=codemlm::{counted(more, 'more finding')} of codemlm\n")
        self.out.flush()


def _escaped(text: str, also: str = "") -> str:
    """``text`` for a workflow command.

    Source: escapeData and escapeProperty of actions/toolkit, packages/core/src/command.ts.
    """
    for char in "%\r\n" + also:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
