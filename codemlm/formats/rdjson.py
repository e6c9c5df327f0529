"""The format rdjson: reviewdog's diagnostics, with suggested changes that it can post.

Its columns count UTF-8 bytes. Paths stay as the scan names them: reviewdog reads them from its own
working directory.
Source: reviewdog, proto/rdf/reviewdog.proto.
"""

from __future__ import annotations

from typing import Any

from codemlm.findings import Finding
from codemlm.formats.base import SURE, Settings, message_of
from codemlm.positions import LineIndex
from codemlm.report import Summary, json_text
from codemlm.scanner import FileResult
from codemlm.terminal import utf8_path
from codemlm.types import Span

_BEGINNING = {"start": {"line": 1, "column": 1}, "end": {"line": 1, "column": 1}}


class RdjsonReporter:
    """One DiagnosticResult, at the end."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.diagnostics: list[dict[str, Any]] = []

    def file(self, result: FileResult) -> None:
        """Keeps the file's findings."""
        index = LineIndex(result.source)
        in_file = result.cell is None
        for finding in result.findings:
            diagnostic: dict[str, Any] = {
                "message": message_of(result, index, finding),
                "location": {
                    "path": utf8_path(result.path),
                    "range": _range(index, finding.span) if in_file else _BEGINNING,
                },
                "severity": "WARNING" if finding.confidence >= SURE else "INFO",
                "code": {"value": finding.rule},
            }
            if finding.edits and in_file:
                diagnostic["suggestions"] = [_suggestion(index, finding)]
            self.diagnostics.append(diagnostic)

    def finish(self, summary: Summary) -> None:
        """Prints the result."""
        result = {"source": {"name": "codemlm"}, "diagnostics": self.diagnostics}
        self.out.write(json_text(result, indent=1) + "\n")
        self.out.flush()


def _suggestion(index: LineIndex, finding: Finding) -> dict[str, Any]:
    """The finding's edits as one: a suggestion has a single range."""
    start, end = finding.edits[0][0].start, finding.edits[-1][0].end
    parts, at = [], start
    for span, new in finding.edits:
        parts += [index.source[at : span.start], new]
        at = span.end
    return {"range": _range(index, Span(start, end)), "text": b"".join(parts).decode("utf-8")}


def _range(index: LineIndex, span: Span) -> dict[str, Any]:
    def position(offset: int) -> dict[str, int]:
        line = index.line_of(offset)
        return {"line": line, "column": offset - index.starts[line - 1] + 1}

    return {"start": position(span.start), "end": position(span.end)}
