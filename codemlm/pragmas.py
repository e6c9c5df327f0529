"""Comments that silence findings: ``# codemlm: ignore[CM101]`` and their like."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from codemlm.positions import LineIndex
from codemlm.syntax import ParsedFile
from codemlm.types import Role

_PRAGMA = re.compile(
    r"codemlm:[ \t]*(?P<verb>ignore-file|ignore)\b(?:[ \t]*\[(?P<codes>[^\]]*)\])?", re.IGNORECASE
)

Codes = tuple[str, ...]
"""Prefixes of rule codes; the empty prefix stands for every rule."""


@dataclass(slots=True)
class Pragmas:
    """What a file's comments silence.

    Attributes:
        file: prefixes silenced in the whole file.
        lines: prefixes silenced by 1-based line.
    """

    file: Codes = ()
    lines: dict[int, Codes] = field(default_factory=dict)

    def silence(self, rule: str, line: int) -> bool:
        """Whether a finding of ``rule`` on ``line`` is silenced."""
        return rule.startswith((*self.file, *self.lines.get(line, ())))

    @property
    def whole_file(self) -> bool:
        """Whether every rule is silenced everywhere."""
        return "" in self.file


def pragmas_of(parsed: ParsedFile) -> Pragmas:
    """The pragmas in the comments of a file."""
    found = Pragmas()
    if b"codemlm:" not in parsed.source.lower():
        return found
    index = LineIndex(parsed.source)
    for leaf in np.flatnonzero(parsed.roles == Role.COMMENT).tolist():
        for match in _PRAGMA.finditer(parsed.text(leaf)):
            listed = match["codes"]
            codes = ("",) if listed is None else _codes(listed)
            if match["verb"].lower() == "ignore-file":
                found.file += codes
            else:
                line = index.line_of(int(parsed.starts[leaf]))
                found.lines[line] = found.lines.get(line, ()) + codes
    return found


def _codes(listed: str) -> Codes:
    return tuple(code.strip().upper() for code in listed.split(",") if code.strip())
