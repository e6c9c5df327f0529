"""The format json: one object a line for each finding, as they come."""

from __future__ import annotations

from codemlm.formats.base import Settings
from codemlm.positions import LineIndex
from codemlm.report import Summary, finding_record, json_text
from codemlm.scanner import FileResult


class JsonReporter:
    """One JSON object a line for each finding."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out

    def file(self, result: FileResult) -> None:
        """Prints the file's findings, most confident first."""
        if not result.findings:
            return
        index = LineIndex(result.source)
        cell = {} if result.cell is None else {"cell": result.cell}
        for finding in result.findings:
            record = finding_record(result.path, index, finding) | cell
            self.out.write(json_text(record) + "\n")
        self.out.flush()

    def finish(self, summary: Summary) -> None:
        """Nothing is left to print."""
