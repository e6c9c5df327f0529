"""Counts of findings by rule, instead of the findings."""

from __future__ import annotations

from collections import Counter

from codemlm.formats.base import Settings
from codemlm.report import Summary, json_text
from codemlm.rules import RULES
from codemlm.scanner import FileResult


class StatisticsReporter:
    """Counts of findings by rule, most frequent first."""

    def __init__(self, settings: Settings, *, as_json: bool) -> None:
        self.out = settings.out
        self.as_json = as_json
        self.counts: Counter[str] = Counter()

    def file(self, result: FileResult) -> None:
        """Counts the file's findings."""
        self.counts.update(f.rule for f in result.findings)

    def finish(self, summary: Summary) -> None:
        """Prints the counts."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        width = len(f"{ranked[0][1]:,}") if ranked else 0
        for code, count in ranked:
            name = RULES[code].name
            if self.as_json:
                line = json_text({"rule": code, "name": name, "count": count})
            else:
                line = f"{count:>{width},}  {code}  {name}"
            self.out.write(line + "\n")
        self.out.flush()
