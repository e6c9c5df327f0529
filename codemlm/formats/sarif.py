"""The format sarif: SARIF 2.1.0, with what GitHub's code scanning asks for besides the schema.

Every result has one location with all four fields of its region, a partial fingerprint under our
own key, and its confidence as rank. Columns count code points, as ``columnKind`` says.
Sources: OASIS SARIF 2.1.0; docs.github.com, "SARIF support for code scanning".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codemlm import __version__
from codemlm.findings import Finding
from codemlm.formats.base import SURE, Fingerprints, RepositoryPaths, Settings, message_of, region
from codemlm.positions import LineIndex
from codemlm.report import Summary, json_text, number, shown_text
from codemlm.rule_pages import rule_markdown, rule_text
from codemlm.rules import RULES, Rule
from codemlm.scanner import FileResult

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "codemlm/v1"
"""Key of our fingerprints; a new way of making them gets a new number."""

_ROOT = "%SRCROOT%"
_PRECISIONS = ((0.9, "very-high"), (0.7, "high"), (0.4, "medium"), (0.0, "low"))


class SarifReporter:
    """One SARIF log with one run, at the end."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.precision = settings.precision
        self.paths = RepositoryPaths(Path.cwd())
        self.fingerprints = Fingerprints()
        self.results: list[dict[str, Any]] = []
        self.rule_index = {code: at for at, code in enumerate(RULES)}

    def file(self, result: FileResult) -> None:
        """Keeps the file's findings."""
        index = LineIndex(result.source)
        names = self.fingerprints.of(result, index)
        for finding, name in zip(result.findings, names, strict=True):
            self.results.append(self._result(result, index, finding, name))

    def finish(self, summary: Summary) -> None:
        """Prints the log."""
        notifications = [
            {
                "level": "error",
                "message": {"text": f"{failed.reason}: {failed.detail}"},
                "locations": [{"physicalLocation": self._physical(failed.path)}],
            }
            for failed in summary.failed
        ]
        driver = {
            "name": "codemlm",
            "semanticVersion": __version__,
            "rules": [self._rule(rule) for rule in RULES.values()],
        }
        run = {
            "tool": {"driver": driver},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                _ROOT: {"description": {"text": "The root of the repository that was scanned."}}
            },
            "invocations": [
                {
                    "executionSuccessful": not summary.failed,
                    "toolExecutionNotifications": notifications,
                }
            ],
            "results": self.results,
        }
        log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
        self.out.write(json_text(log, indent=1) + "\n")
        self.out.flush()

    def _rule(self, rule: Rule) -> dict[str, Any]:
        properties: dict[str, Any] = {"problem.severity": "warning", "tags": ["correctness"]}
        measured = self.precision.get(rule.code)
        if measured is not None:
            properties["precision"] = next(name for low, name in _PRECISIONS if measured >= low)
        return {
            "id": rule.code,
            "name": rule.name,
            "shortDescription": {"text": rule.summary},
            "fullDescription": {"text": f"{rule.summary} {rule.why}"},
            "help": {"text": rule_text(rule), "markdown": rule_markdown(rule)},
            "defaultConfiguration": {"level": "warning"},
            "properties": properties,
        }

    def _result(
        self, result: FileResult, index: LineIndex, finding: Finding, name: str
    ) -> dict[str, Any]:
        snippet = {"snippet": {"text": finding.text}} if result.cell is None else {}
        where = {"region": region(result, index, finding.span) | snippet}
        made: dict[str, Any] = {
            "ruleId": finding.rule,
            "ruleIndex": self.rule_index[finding.rule],
            "level": "warning" if finding.confidence >= SURE else "note",
            "message": {"text": message_of(result, index, finding)},
            "locations": [{"physicalLocation": self._physical(result.path) | where}],
            "partialFingerprints": {FINGERPRINT: name},
            "rank": number(100 * finding.confidence),
            "properties": {
                "likelihood": number(finding.likelihood),
                "suggestions": [
                    {"text": shown_text(finding, s), "likelihood": number(s.likelihood)}
                    for s in finding.suggestions
                ],
            },
        }
        if result.cell is not None:
            return made
        if finding.other is not None:
            other = {"region": region(result, index, finding.other)}
            text = "The other place of the swap."
            made["relatedLocations"] = [
                {
                    "physicalLocation": self._physical(result.path) | other,
                    "message": {"text": text},
                }
            ]
        if finding.edits:
            made["fixes"] = [self._fix(result, index, finding)]
        return made

    def _fix(self, result: FileResult, index: LineIndex, finding: Finding) -> dict[str, Any]:
        replacements = [
            {
                "deletedRegion": region(result, index, span),
                "insertedContent": {"text": new.decode("utf-8")},
            }
            for span, new in finding.edits
        ]
        change = {**self._physical(result.path), "replacements": replacements}
        return {
            "description": {"text": "The suggested change: look before you apply it."},
            "artifactChanges": [change],
        }

    def _physical(self, path: str) -> dict[str, Any]:
        """The file's part of a location."""
        uri = self.paths.uri(path)
        base = {} if uri.startswith("file:") else {"uriBaseId": _ROOT}
        return {"artifactLocation": {"uri": uri, **base}}
