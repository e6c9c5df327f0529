"""The formats for people: code frames, or a line a finding."""

from __future__ import annotations

from codemlm.formats.base import Settings
from codemlm.frames import Rows, make_console
from codemlm.positions import LineIndex
from codemlm.report import Summary
from codemlm.scanner import FileResult


class TextReporter:
    """Prints findings as they come, file by file.

    Args:
        settings: where to, in what width, and whether in colour.
        rows: what a finding is printed as.
    """

    def __init__(self, settings: Settings, rows: Rows) -> None:
        self.console = make_console(settings.out, color=settings.color)
        self.width = settings.width
        self.rows = rows

    def file(self, result: FileResult) -> None:
        """Prints the file's findings, most confident first."""
        if not result.findings:
            return
        index = LineIndex(result.source)
        for finding in result.findings:
            for row in self.rows(result.label, index, finding, self.width):
                self.console.print(row)
        self.console.file.flush()

    def finish(self, summary: Summary) -> None:
        """Nothing is left to print: the totals go to standard error."""
