"""Known findings: those of a baseline are not shown, and what is shown can be put into it."""

from __future__ import annotations

from pathlib import Path

from codemlm.baseline import Baseline
from codemlm.fingerprints import fingerprints
from codemlm.positions import LineIndex
from codemlm.scanner import FileResult


class Baselines:
    """The baselines that configurations name, each read again when its file has changed."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[tuple[int, int], Baseline]] = {}

    @property
    def paths(self) -> set[str | None]:
        """Paths of those that were read."""
        return set(self._read)

    def only_new(self, path: str | None, result: FileResult) -> FileResult:
        """A result without the findings that the baseline of a path knows.

        Raises:
            UsageError: if the baseline cannot be read.
        """
        if path is None:
            return result
        new = next(self._at(path).only_new([result]))
        return new if isinstance(new, FileResult) else result

    def add(self, path: str, result: FileResult, name: str) -> bool:
        """Puts a finding into a baseline; whether the result has such a finding.

        Args:
            path: of the baseline, which is made if it is not there.
            result: of the file, known findings included.
            name: the finding's fingerprint.

        Raises:
            UsageError: if the baseline cannot be read or written.
        """
        self._read.pop(path, None)  # two editors may write it
        return Baseline.read(path, missing_ok=True).add(result, name)

    def _at(self, path: str) -> Baseline:
        try:
            entry = Path(path).stat()
            state = (entry.st_mtime_ns, entry.st_size)
        except (OSError, ValueError):
            state = (0, 0)
        known = self._read.get(path)
        if known is None or known[0] != state:
            known = self._read[path] = (state, Baseline.read(path, missing_ok=True))
        return known[1]


def names_of(result: FileResult) -> dict[tuple[str, int], str]:
    """Fingerprints of a file's findings, by rule and leaf."""
    names = fingerprints(LineIndex(result.source), result.findings)
    pairs = zip(result.findings, names, strict=True)
    return {(finding.rule, finding.leaf): name for finding, name in pairs}
