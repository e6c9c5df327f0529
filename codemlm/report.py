"""What every output says of a scan: its totals, and a finding as a record."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from codemlm.findings import Finding, Suggestion
from codemlm.positions import LineIndex
from codemlm.rules import RULES
from codemlm.scanner import FileResult
from codemlm.source import Failure, Reason
from codemlm.terminal import utf8_path
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, Span

LEAST_ADVICE = 0.01
"""Likelihood of a suggestion that is worth showing to people."""


@dataclass(slots=True)
class Summary:
    """Totals of a scan.

    Attributes:
        files: scanned ones, and how many of them have findings or places that did not parse.
        findings, silenced: findings reported, and silenced by comments.
        generated: files passed over because a tool wrote them.
        held_back: findings that are not reported, by reason.
        failures: files that could not be scanned, by reason.
        failed: failures that make the exit code 2.
    """

    files: int = 0
    files_with_findings: int = 0
    files_with_errors: int = 0
    findings: int = 0
    silenced: int = 0
    generated: int = 0
    held_back: Counter[str] = field(default_factory=Counter)
    failures: Counter[Reason] = field(default_factory=Counter)
    failed: list[Failure] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many failures make the exit code 2."""
        return len(self.failed)

    def add(self, result: FileResult | Failure) -> None:
        """Counts one result."""
        if isinstance(result, Failure):
            self.failures[result.reason] += 1
            if result.is_error:
                self.failed.append(result)
        elif result.is_generated:
            self.generated += 1
        else:
            self.files += 1
            self.files_with_findings += bool(result.findings)
            self.files_with_errors += bool(result.num_errors)
            self.findings += len(result.findings)
            self.silenced += result.num_silenced
            self.held_back.update(dict(result.held_back))

    def text(self, seconds: float) -> str:
        """The totals as a few short sentences."""
        if self.findings:
            found = counted(self.findings, "finding")
            where = f"{found} in {self.files_with_findings:,} of {counted(self.files, 'file')}"
        else:
            where = f"No findings in {counted(self.files, 'file')}"
        sentences = [f"{where} ({seconds:.1f} s)."]
        if self.silenced:
            sentences.append(f"{counted(self.silenced, 'finding')} silenced by comments.")
        if self.held_back:
            listed = ", ".join(f"{n:,} {reason}" for reason, n in sorted(self.held_back.items()))
            sentences.append(f"Held back: {listed}.")
        if self.files_with_errors:
            files = counted(self.files_with_errors, "file")
            sentences.append(f"Syntax errors in {files}: only what parses was judged.")
        passed_over = [f"{n:,} {reason}" for reason, n in sorted(self.failures.items())]
        if self.generated:
            passed_over.append(f"{self.generated:,} generated")
        if passed_over:
            sentences.append(f"Not scanned: {', '.join(passed_over)}.")
        return " ".join(sentences)


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one."""
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
    if finding.rests_on:
        record["rests_on"] = list(finding.rests_on)
    return record


def json_text(value: object, indent: int | None = None) -> str:
    """``value`` as JSON that can be written as UTF-8: on one line, unless ``indent`` is given.

    A path that is no text keeps its undecodable bytes as escaped lone surrogates, as
    ``os.fsencode`` takes them back.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=True, indent=indent)
    return text
