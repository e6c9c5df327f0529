"""A baseline: findings that are known and not reported, by fingerprints without line numbers.

It shrinks by itself: what a full scan no longer finds is taken out, so it cannot come back unseen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from codemlm.errors import UsageError
from codemlm.files import write_whole
from codemlm.fingerprints import fingerprints
from codemlm.positions import LineIndex
from codemlm.scanner import FileResult
from codemlm.source import Failure
from codemlm.terminal import utf8_path

DEFAULT_BASELINE = "codemlm-baseline.json"
IN_BASELINE = "in the baseline"
FORMAT = 1


class Baseline:
    """Known findings.

    Args:
        path: of the file; paths in it are relative to its folder.
        known: fingerprints by path.
    """

    def __init__(self, path: str, known: dict[str, dict[str, str]]) -> None:
        self.path = path
        self.known = known
        self._folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120
        self._found: dict[str, dict[str, str]] = {}

    @classmethod
    def read(cls, path: str, *, missing_ok: bool = False) -> Baseline:
        """The baseline of a file.

        Args:
            path: of the file.
            missing_ok: whether a file that is not there is an empty baseline.

        Raises:
            UsageError: if it cannot be read, or is none.
        """
        try:
            data = json.loads(Path(path).read_text("utf-8"))
        except FileNotFoundError as error:
            if missing_ok:
                return cls(path, {})
            raise UsageError(
                f"{path}: there is no such baseline; --write-baseline makes it"
            ) from error
        except OSError as error:
            raise UsageError(f"{path}: cannot read the baseline ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise _broken(path, f"not JSON: {error}") from error
        known: dict[str, dict[str, str]] = {}
        try:
            if data["format"] != FORMAT:
                raise _broken(path, f"its format is {data['format']!r}, not {FORMAT}")
            for entry in data["findings"]:
                name, rule = str(entry["fingerprint"]), str(entry["rule"])
                known.setdefault(str(entry["path"]), {})[name] = rule
        except (KeyError, TypeError) as error:
            raise _broken(path, f"not a baseline: {error!r}") from error
        return cls(path, known)

    def only_new(self, results: Iterable[FileResult | Failure]) -> Iterator[FileResult | Failure]:
        """The results without known findings; notes what was found where."""
        for result in results:
            if isinstance(result, Failure) or result.is_generated:
                yield result
                continue
            name = self._name(result.path)
            names = fingerprints(LineIndex(result.source), result.findings)
            pairs = list(zip(names, result.findings, strict=True))
            self._found[name] = {one: finding.rule for one, finding in pairs}
            known = self.known.get(name, {})
            yield result.keep(IN_BASELINE, [f for one, f in pairs if one not in known])

    def add(self, result: FileResult, name: str) -> bool:
        """Makes a finding known, and writes the file; whether the result has the finding.

        Args:
            result: of a file, with known findings and new ones.
            name: the finding's fingerprint.

        Raises:
            UsageError: if the file cannot be written.
        """
        names = fingerprints(LineIndex(result.source), result.findings)
        rules = dict(zip(names, (finding.rule for finding in result.findings), strict=True))
        if name in rules:
            self.known.setdefault(self._name(result.path), {})[name] = rules[name]
            self._write()
        return name in rules

    def replace(self) -> int:
        """Makes what was found the known findings of the files that were scanned; returns how many.

        Raises:
            UsageError: if the file cannot be written.
        """
        kept = {name: table for name, table in self.known.items() if self._exists(name)}
        self.known = {**kept, **self._found}
        self._write()
        return sum(map(len, self.known.values()))

    def shrink(self) -> int:
        """Takes out what was not found again; returns how many findings are gone.

        Raises:
            UsageError: if the file cannot be written.
        """
        before = sum(map(len, self.known.values()))
        for name, table in self.known.items():
            found = self._found.get(name)
            if found is not None:
                self.known[name] = {one: rule for one, rule in table.items() if one in found}
            elif not self._exists(name):
                self.known[name] = {}
        gone = before - sum(map(len, self.known.values()))
        if gone:
            self._write()
        return gone

    def _name(self, path: str) -> str:
        relative = os.path.relpath(os.path.realpath(path), self._folder)
        return utf8_path(relative.replace(os.sep, "/"))

    def _exists(self, name: str) -> bool:
        path = os.path.join(self._folder, name)  # noqa: PTH118
        try:
            return os.path.exists(os.fsencode(path))  # noqa: PTH110
        except ValueError:  # not a name that a file can have
            return False

    def _write(self) -> None:
        entries = [
            json.dumps({"path": name, "rule": rule, "fingerprint": one})
            for name, table in sorted(self.known.items())
            for one, rule in sorted(table.items(), key=lambda item: (item[1], item[0]))
        ]
        listed = ",\n".join(f"    {entry}" for entry in entries)
        text = f'{{\n  "format": {FORMAT},\n  "findings": [\n{listed}\n  ]\n}}\n'
        try:
            write_whole(self.path, text.encode("utf-8"))
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot write the baseline ({error.strerror})"
            ) from error


def _broken(path: str, reason: str) -> UsageError:
    return UsageError(f"{path}: {reason}; make it anew with --write-baseline")
