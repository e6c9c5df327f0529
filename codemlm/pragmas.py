"""Comments that silence findings: ``# codemlm: ignore[CM101]`` and their like."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from codemlm.findings import Finding
from codemlm.positions import LineIndex
from codemlm.rules import RULES, UNUSED_PRAGMA
from codemlm.syntax import ParsedFile
from codemlm.types import Role, Span

_PRAGMA = re.compile(
    rb"#?[ \t]*codemlm:[ \t]*(?P<verb>ignore-file|ignore)\b(?:[ \t]*\[(?P<codes>[^\]]*)\])?",
    re.IGNORECASE,
)

Codes = tuple[str, ...]
"""Prefixes of rule codes; the empty prefix stands for every rule."""

ANY_LINE = 0


@dataclass(slots=True)
class Pragma:
    """One pragma.

    Attributes:
        leaf: the comment's index among the file's leaves.
        span: of the pragma, from its `#` if it has one of its own.
        comment_end: where the comment ends.
        line: 1-based line that it silences; ANY_LINE for a whole file.
        codes: prefixes that it silences.
        used: those that did silence something.
    """

    leaf: int
    span: Span
    comment_end: int
    line: int
    codes: Codes
    used: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Pragmas:
    """What a file's comments silence."""

    found: list[Pragma] = field(default_factory=list)

    def silence(self, rule: str, line: int) -> bool:
        """Whether a finding of ``rule`` on ``line`` is silenced; notes which pragmas do it."""
        silenced = False
        for pragma in self.found:
            if pragma.line in (ANY_LINE, line):
                fitting = [code for code in pragma.codes if rule.startswith(code)]
                pragma.used.update(fitting)
                silenced = silenced or bool(fitting)
        return silenced

    @property
    def whole_file(self) -> bool:
        """Whether every rule is silenced everywhere."""
        return any(pragma.line == ANY_LINE and "" in pragma.codes for pragma in self.found)

    def unused(self, source: bytes, wants: Callable[[str], bool]) -> list[Finding]:
        """A finding for each pragma of which a code silenced nothing.

        Args:
            source: of the file.
            wants: whether a rule is looked for; codes of other rules are not judged.
        """
        found = []
        for pragma in self.found:
            idle = [c for c in pragma.codes if c not in pragma.used and _is_judged(c, wants)]
            if idle or not pragma.codes:
                found.append(_finding(source, pragma, idle))
        return found


def _is_judged(code: str, wants: Callable[[str], bool]) -> bool:
    """Whether all rules that a prefix covers are looked for; so they are where there are none."""
    return all(wants(rule) for rule in RULES if rule.startswith(code) and rule != UNUSED_PRAGMA)


def _finding(source: bytes, pragma: Pragma, idle: list[str]) -> Finding:
    text = source[pragma.span.start : pragma.span.end].decode("utf-8")
    named = ", ".join(code for code in idle if code)
    what = f"{named} is" if named and len(idle) < len(pragma.codes) else "the comment is"
    return Finding(
        rule=UNUSED_PRAGMA,
        leaf=pragma.leaf,
        span=pragma.span,
        text=text,
        role=Role.COMMENT,
        confidence=1.0,
        likelihood=float("nan"),
        keep=float("nan"),
        suggestions=(),
        edits=_edits(source, pragma, idle),
        message=f"{what} not needed: nothing is found here that it could silence",
        verified=True,
    )


def _edits(source: bytes, pragma: Pragma, idle: list[str]) -> tuple[tuple[Span, bytes], ...]:
    """Takes the pragma away, or the idle ones of its codes; other words of the comment stay."""
    start, end = pragma.span.start, pragma.span.end
    kept = [code for code in pragma.codes if code not in idle]
    if kept:
        bracket = source.index(b"[", start, end)
        return ((Span(bracket + 1, end - 1), ", ".join(kept).encode()),)
    if not source.startswith(b"#", start) or source[end : pragma.comment_end].strip():
        return ()
    while start > 0 and source[start - 1] in b" \t":
        start -= 1
    return ((Span(start, pragma.comment_end), b""),)


def pragmas_of(parsed: ParsedFile) -> Pragmas:
    """The pragmas in the comments of a file."""
    source, found = parsed.source, Pragmas()
    if b"codemlm:" not in source.lower():
        return found
    index = LineIndex(source)
    for leaf in np.flatnonzero(parsed.roles == Role.COMMENT).tolist():
        start, end = int(parsed.starts[leaf]), int(parsed.ends[leaf])
        for match in _PRAGMA.finditer(source, start, end):
            listed = match["codes"]
            codes = ("",) if listed is None else _codes(listed.decode("utf-8"))
            line = ANY_LINE if match["verb"].lower() == b"ignore-file" else index.line_of(start)
            found.found.append(Pragma(leaf, Span(*match.span()), end, line, codes))
    return found


def _codes(listed: str) -> Codes:
    return tuple(code.strip().upper() for code in listed.split(",") if code.strip())
