"""Findings and results to print, made by hand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from codemlm.findings import Finding, Suggestion
from codemlm.formats import make_reporter
from codemlm.formats.base import Settings
from codemlm.report import Summary
from codemlm.scanner import FileResult
from codemlm.source import Failure
from codemlm.types import Role, Span

SOURCE = "def area(rows, cols):\n    # both\n    return rows * rows\n\n\nx = 1\n"


def finding(source: str, text: str, **changes: Any) -> Finding:
    """A finding about the last ``text`` in ``source``."""
    start = source.encode().rindex(text.encode())
    values: dict[str, Any] = {
        "rule": "CM101",
        "leaf": 0,
        "span": Span(start, start + len(text.encode())),
        "text": text,
        "role": Role.READ,
        "confidence": 0.874,
        "likelihood": 0.0021,
        "keep": 0.03,
        "suggestions": (Suggestion("cols", 0.912), Suggestion("i", 0.04), Suggestion("j", 0.001)),
        "edits": (),
        "message": f"`{text}` here is 0.2 %; `cols` is 91 %",
    }
    return Finding(**{**values, **changes})


def printed(kind: str, results: Sequence[FileResult | Failure], **settings: Any) -> str:
    out, summary = io.StringIO(), Summary()
    statistics = settings.pop("statistics", False)
    reporter = make_reporter(kind, Settings(out, **settings), statistics=statistics)
    for result in results:
        summary.add(result)
        if isinstance(result, FileResult):
            reporter.file(result)
    reporter.finish(summary)
    return out.getvalue()


def result(source: str, *findings: Finding, path: str = "a.py") -> FileResult:
    return FileResult(path, source.encode(), findings)
