"""What every format shares: the protocol, its settings, and paths as CI servers want them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO
from urllib.parse import quote_from_bytes

from codemlm.calibration import Calibration
from codemlm.exact import CONFIDENCE
from codemlm.findings import Finding
from codemlm.fingerprints import fingerprints
from codemlm.heatmap import LeafHeat
from codemlm.positions import LineIndex
from codemlm.report import Summary, place
from codemlm.rules import RULES, UNDEFINED_NAME, UNUSED_PRAGMA
from codemlm.scanner import FileResult
from codemlm.terminal import utf8_path, visible
from codemlm.types import Span

SURE = 0.5
"""Confidence from which a finding is a warning rather than a note."""


class Reporter(Protocol):
    """Receives the results of a scan one by one."""

    def file(self, result: FileResult) -> None:
        """Takes the result of one file."""
        ...

    def finish(self, summary: Summary) -> None:
        """Is called once, after the last file, with the totals."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how a reporter prints.

    Attributes:
        out: the stream.
        color: whether colours may be used.
        width: columns that lines of source are cropped to.
        precision: measured share of right findings by rule, where it was measured.
        heat: the likelihood of every leaf of a file, for formats that show it.
    """

    out: TextIO
    color: bool = False
    width: int = 80
    precision: Mapping[str, float] = field(default_factory=dict)
    heat: Callable[[FileResult], Sequence[LeafHeat]] | None = None


def measured_precision(calibration: Calibration) -> dict[str, float]:
    """Measured share of right findings by rule; without the rules for which it is not known."""
    found = {UNDEFINED_NAME: calibration.undefined, **CONFIDENCE, UNUSED_PRAGMA: 1.0}
    at_threshold = calibration.notes.get("precision_at_threshold")
    if isinstance(at_threshold, float):
        found = dict.fromkeys(RULES, at_threshold) | found
    return found


def repository_root(start: Path) -> Path:
    """The folder of the git repository around ``start``; ``start`` itself where there is none."""
    start = start.resolve()
    return next((p for p in (start, *start.parents) if (p / ".git").exists()), start)


class RepositoryPaths:
    """Paths as the servers of a repository name them: from its root, with ``/``.

    Args:
        working: the folder that relative paths begin at.
    """

    def __init__(self, working: Path) -> None:
        self.root = repository_root(working)
        self._working = working.resolve()

    def relative(self, path: str) -> str:
        """``path`` from the root of the repository; absolute if it lies elsewhere."""
        absolute = os.path.normpath(self._working / path)
        if Path(absolute).is_relative_to(self.root):
            absolute = os.path.relpath(absolute, self.root)
        return utf8_path(absolute.replace(os.sep, "/"))

    def uri(self, path: str) -> str:
        """``path`` as a URI reference: relative to the root, or ``file:`` if it lies elsewhere."""
        name = self.relative(path)
        quoted = quote_from_bytes(name.encode("utf-8", "surrogateescape"))
        return quoted if not Path(name).is_absolute() else f"file://{quoted}"


def region(result: FileResult, index: LineIndex, span: Span) -> dict[str, int]:
    """A span in SARIF's and GitHub's words: lines and columns from 1, the end exclusive.

    Lines of a notebook's cell are none of its file: there, it is the beginning of the file.
    """
    if result.cell is not None:
        return {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}
    where = place(index, span)
    return {
        "startLine": where["line"],
        "startColumn": where["col"],
        "endLine": where["end_line"],
        "endColumn": where["end_col"],
    }


def message_of(result: FileResult, index: LineIndex, finding: Finding) -> str:
    """The finding's message, on one line; in a notebook, with the place in its cell."""
    message = visible(finding.message)
    if result.cell is None:
        return message
    where = index.position(finding.span.start)
    return f"cell {result.cell}, {where.line}:{where.column}: {message}"


class Fingerprints:
    """Fingerprints of findings, unique in each file, although a notebook comes cell by cell."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()

    def of(self, result: FileResult, index: LineIndex) -> list[str]:
        """A name for each finding of ``result``, in their order."""
        names = fingerprints(index, result.findings)
        if result.cell is None:
            return names
        found = []
        for name in names:
            again = self._seen[result.path, name]
            self._seen[result.path, name] += 1
            found.append(hashlib.sha256(f"{name}{again}".encode()).hexdigest()[:32])
        return found
