"""What a scan prints: one reporter a format, behind one protocol.

Reporters write text to a stream that they are given. rich is imported by `codemlm.frames` alone, so
formats for machines start without it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from codemlm.findings import Finding, Suggestion, percent
from codemlm.positions import LineIndex
from codemlm.rules import RULES
from codemlm.scanner import FileResult
from codemlm.scoring import DELETE_TEXT, NEGATE_TEXT
from codemlm.source import Failure, Reason
from codemlm.terminal import utf8_path
from codemlm.types import Span

FORMATS = ("full", "concise", "json", "github")

GITHUB_ANNOTATIONS = 10
"""GitHub shows this many warnings a step, and drops the rest without a word."""


class Reporter(Protocol):
    """Receives the results of a scan one by one."""

    def file(self, result: FileResult) -> None:
        """Takes the result of one file."""
        ...

    def finish(self) -> None:
        """Is called once, after the last file."""
        ...


@dataclass(slots=True)
class Summary:
    """Totals of a scan.

    Attributes:
        files: scanned ones, and how many of them have findings or places that did not parse.
        findings, silenced: findings reported, and silenced by comments.
        generated: files passed over because they say that a tool wrote them.
        failures: files that could not be scanned, by reason.
        errors: failures that make the exit code 2.
    """

    files: int = 0
    files_with_findings: int = 0
    files_with_errors: int = 0
    findings: int = 0
    silenced: int = 0
    generated: int = 0
    failures: Counter[Reason] = field(default_factory=Counter)
    errors: int = 0

    def add(self, result: FileResult | Failure) -> None:
        """Counts one result."""
        if isinstance(result, Failure):
            self.failures[result.reason] += 1
            self.errors += result.is_error
        elif result.is_generated:
            self.generated += 1
        else:
            self.files += 1
            self.files_with_findings += bool(result.findings)
            self.files_with_errors += bool(result.num_errors)
            self.findings += len(result.findings)
            self.silenced += result.num_silenced

    def text(self, seconds: float) -> str:
        """The totals as a few short sentences."""
        if self.findings:
            found = _count(self.findings, "finding")
            where = f"{found} in {self.files_with_findings:,} of {_count(self.files, 'file')}"
        else:
            where = f"No findings in {_count(self.files, 'file')}"
        sentences = [f"{where} ({seconds:.1f} s)."]
        if self.silenced:
            sentences.append(f"{_count(self.silenced, 'finding')} silenced by comments.")
        if self.files_with_errors:
            files = _count(self.files_with_errors, "file")
            sentences.append(f"Syntax errors in {files}: only what parses was judged.")
        passed_over = [f"{n:,} {reason}" for reason, n in sorted(self.failures.items())]
        if self.generated:
            passed_over.append(f"{self.generated:,} generated")
        if passed_over:
            sentences.append(f"Not scanned: {', '.join(passed_over)}.")
        return " ".join(sentences)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shown_text(finding: Finding, suggestion: Suggestion) -> str:
    """What would stand in the leaf's place: its text, with ``not`` before it, or nothing."""
    if suggestion.text == NEGATE_TEXT:
        return f"not {finding.text}"
    return "" if suggestion.text == DELETE_TEXT else suggestion.text


def number(value: float) -> float | None:
    """``value`` with six significant digits; None for what JSON has no number for."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def place(index: LineIndex, span: Span) -> dict[str, int]:
    """Lines (1-based) and columns (1-based, in code points; the end is exclusive) of a span."""
    start, end = index.position(span.start), index.position(span.end)
    return {
        "line": start.line,
        "col": start.column,
        "end_line": end.line,
        "end_col": end.column,
    }


def finding_record(path: str, index: LineIndex, finding: Finding) -> dict[str, Any]:
    """A finding as the JSON object that ``--format json`` prints."""
    record: dict[str, Any] = {
        "path": utf8_path(path),
        **place(index, finding.span),
        "text": finding.text,
        "rule": finding.rule,
        "name": RULES[finding.rule].name,
        "role": finding.role.name.lower(),
        "confidence": number(finding.confidence),
        "likelihood": number(finding.likelihood),
        "keep": number(finding.keep),
        "suggestions": [
            {"text": shown_text(finding, s), "likelihood": number(s.likelihood)}
            for s in finding.suggestions
        ],
        "message": finding.message,
    }
    if finding.other is not None:
        record["other"] = place(index, finding.other)
    return record


def json_line(record: dict[str, Any]) -> str:
    """``record`` as one line of JSON that can be written as UTF-8.

    A path that is no text keeps its undecodable bytes as escaped lone surrogates, as
    ``os.fsencode`` takes them back.
    """
    line = json.dumps(record, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(record, ensure_ascii=True)
    return line


class JsonReporter:
    """One JSON object a line for each finding."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def file(self, result: FileResult) -> None:
        """Prints the file's findings, most confident first."""
        if not result.findings:
            return
        index = LineIndex(result.source)
        lines = [json_line(finding_record(result.path, index, f)) for f in result.findings]
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()

    def finish(self) -> None:
        """Nothing is left to print."""


class GithubReporter:
    """Workflow commands that GitHub turns into annotations: the most confident ones, at the end."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.found: list[tuple[float, str]] = []

    def file(self, result: FileResult) -> None:
        """Keeps the file's findings."""
        index = LineIndex(result.source)
        for finding in result.findings:
            where = place(index, finding.span)
            code, name = finding.rule, RULES[finding.rule].name
            properties = {
                "file": utf8_path(result.path),
                "line": where["line"],
                "endLine": where["end_line"],
                "col": where["col"],
                "endColumn": where["end_col"],
                "title": f"{code} {name} ({percent(finding.confidence)})",
            }
            listed = ",".join(f"{k}={_escaped(str(v), ':,')}" for k, v in properties.items())
            line = f"::warning {listed}::{_escaped(finding.message)}"
            self.found.append((finding.confidence, line))

    def finish(self) -> None:
        """Prints what GitHub will show, and how many more there are."""
        self.found.sort(key=lambda item: -item[0])
        for _, line in self.found[:GITHUB_ANNOTATIONS]:
            self.out.write(line + "\n")
        more = len(self.found) - GITHUB_ANNOTATIONS
        if more > 0:
            self.out.write(f"::notice title=codemlm::{_count(more, 'more finding')} of codemlm\n")
        self.out.flush()


def _escaped(text: str, also: str = "") -> str:
    """``text`` for a workflow command.

    Source: escapeData and escapeProperty of actions/toolkit, packages/core/src/command.ts.
    """
    for char in "%\r\n" + also:
        text = text.replace(char, f"%{ord(char):02X}")
    return text


class StatisticsReporter:
    """Counts of findings by rule instead of the findings, most frequent first."""

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self.out = out
        self.as_json = as_json
        self.counts: Counter[str] = Counter()

    def file(self, result: FileResult) -> None:
        """Counts the file's findings."""
        self.counts.update(f.rule for f in result.findings)

    def finish(self) -> None:
        """Prints the counts."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        width = len(f"{ranked[0][1]:,}") if ranked else 0
        for code, count in ranked:
            name = RULES[code].name
            if self.as_json:
                line = json_line({"rule": code, "name": name, "count": count})
            else:
                line = f"{count:>{width},}  {code}  {name}"
            self.out.write(line + "\n")
        self.out.flush()


def make_reporter(
    kind: str, out: TextIO, *, color: bool, width: int, statistics: bool = False
) -> Reporter:
    """The reporter of a format.

    Args:
        kind: one of FORMATS.
        out: where it prints.
        color: whether it may use colours.
        width: columns that lines of source are cropped to.
        statistics: whether only counts are wanted.
    """
    if statistics:
        return StatisticsReporter(out, as_json=kind == "json")
    if kind == "json":
        return JsonReporter(out)
    if kind == "github":
        return GithubReporter(out)
    from codemlm.frames import ConciseReporter, FullReporter

    return (ConciseReporter if kind == "concise" else FullReporter)(out, color=color, width=width)
