"""The format gitlab: a Code Quality report, which GitLab shows in merge requests.

Source: docs.gitlab.com, "Code Quality report format": a subset of Code Climate's issues.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from codemlm.formats.base import SURE, Fingerprints, RepositoryPaths, Settings, message_of, region
from codemlm.positions import LineIndex
from codemlm.report import Summary, json_text
from codemlm.rules import RULES
from codemlm.scanner import FileResult


class GitlabReporter:
    """One JSON array of issues, at the end."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.paths = RepositoryPaths(Path.cwd())
        self.fingerprints = Fingerprints()
        self.issues: list[dict[str, Any]] = []

    def file(self, result: FileResult) -> None:
        """Keeps the file's findings."""
        index = LineIndex(result.source)
        path = self.paths.relative(result.path) if result.findings else ""
        names = self.fingerprints.of(result, index)
        for finding, name in zip(result.findings, names, strict=True):
            message = message_of(result, index, finding)
            where = region(result, index, finding.span)
            # GitLab shows one issue for each fingerprint of the whole report: the path is in it.
            own = hashlib.sha256(f"{path}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()
            self.issues.append(
                {
                    "type": "issue",
                    "check_name": finding.rule,
                    "description": f"{RULES[finding.rule].name}: {message}",
                    "categories": ["Bug Risk"],
                    "severity": "major" if finding.confidence >= SURE else "minor",
                    "fingerprint": own[:32],
                    "location": {
                        "path": path,
                        "positions": {
                            "begin": {"line": where["startLine"], "column": where["startColumn"]},
                            "end": {"line": where["endLine"], "column": where["endColumn"]},
                        },
                    },
                }
            )

    def finish(self, summary: Summary) -> None:
        """Prints the report: an empty array if nothing was found."""
        self.out.write(json_text(self.issues, indent=1) + "\n")
        self.out.flush()
