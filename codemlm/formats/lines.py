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
        lines = [json_text(finding_record(result.path, index, f)) for f in result.findings]
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()

    def finish(self, summary: Summary) -> None:
        """Nothing is left to print."""
