"""Applies what findings suggest to their files: previewed as a diff, or written whole.

A file keeps its encoding, byte order mark, line ends and mode. If the result would parse worse than
what is there, nothing is written.
"""

from __future__ import annotations

import ast
import codecs
import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from codemlm.files import write_whole
from codemlm.findings import Finding
from codemlm.languages import PYTHON, language_for_path
from codemlm.rules import UNUSED_PRAGMA
from codemlm.scanner import FileResult
from codemlm.source import Failure, decode_source
from codemlm.syntax import parse
from codemlm.terminal import utf8_path, visible
from codemlm.types import Span


@dataclass(frozen=True, slots=True)
class Fixed:
    """A file with edits applied.

    Attributes:
        before, after: its text as UTF-8, line ends as on disk.
        applied: findings whose edits are in ``after``.
    """

    before: bytes
    after: bytes
    applied: tuple[Finding, ...]


def is_safe(finding: Finding) -> bool:
    """Whether an edit cannot change what the program does: of the model's, none is."""
    return finding.rule == UNUSED_PRAGMA


def choose(findings: Sequence[Finding]) -> list[Finding]:
    """The findings whose edits can be made together, the surest first."""
    taken: list[Span] = []
    chosen = []
    for finding in sorted(findings, key=lambda f: (-f.confidence, f.leaf)):
        spans = [span for span, _ in finding.edits]
        if spans and not any(_overlap(one, two) for one in spans for two in taken):
            taken += spans
            chosen.append(finding)
    return chosen


def _overlap(one: Span, two: Span) -> bool:
    """Whether two edits meet; where they touch, their order would be left to chance."""
    return one.start <= two.end and two.start <= one.end


def apply(text: bytes, findings: Sequence[Finding]) -> bytes:
    """``text`` with the edits of findings that do not overlap."""
    edits = sorted((edit for f in findings for edit in f.edits), key=lambda edit: edit[0].start)
    for span, new in reversed(edits):
        text = text[: span.start] + new + text[span.end :]
    return text


def fix(result: FileResult, data: bytes, *, unsafe: bool) -> Fixed | str:
    """A file with the edits of its findings, or why it is left alone.

    Args:
        result: of its scan.
        data: its content now.
        unsafe: whether edits that may change what the program does are made too.
    """
    if result.cells:
        return "edits of notebooks are not made"
    read = decode_source(data, result.path)
    if isinstance(read, Failure) or read.source != result.source:
        return "it has changed since it was scanned"
    body = data.removeprefix(codecs.BOM_UTF8) if read.has_bom else data
    before = body if read.encoding == "utf-8" else body.decode(read.encoding).encode("utf-8")
    chosen = choose([f for f in result.findings if unsafe or is_safe(f)])
    after = apply(before, chosen)
    if not _parses_as_well(result, apply(result.source, chosen)):
        return "with the suggested edits it would not parse"
    return Fixed(before, after, tuple(chosen))


def _parses_as_well(result: FileResult, after: bytes) -> bool:
    language = language_for_path(result.path) or PYTHON
    if len(parse(after, language).error_spans) > len(parse(result.source, language).error_spans):
        return False
    return language is not PYTHON or _is_python(after) or not _is_python(result.source)


def _is_python(source: bytes) -> bool:
    """Whether the Python that runs can parse it; the grammar alone is lenient."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def write(result: FileResult, data: bytes, fixed: Fixed) -> str | None:
    """Writes a fixed file; returns why it could not be written, or None.

    Args:
        result: of its scan.
        data: its content before.
        fixed: what becomes of it.
    """
    read = decode_source(data, result.path)
    assert not isinstance(read, Failure)
    try:
        body = fixed.after
        if read.encoding != "utf-8":
            body = body.decode("utf-8").encode(read.encoding)
        write_whole(result.path, (codecs.BOM_UTF8 if read.has_bom else b"") + body)
    except UnicodeEncodeError as error:
        return f"its encoding, {read.encoding}, has no {error.object[error.start]!r}"
    except OSError as error:
        return f"it cannot be written ({error.strerror})"
    return None


_DIFF_STYLES = (("+++", "1"), ("---", "1"), ("@@", "94"), ("+", "32"), ("-", "31"))
"""Of lines by how they begin; as git colours them."""


def colored(text: str) -> str:
    """A diff for a terminal: coloured, and with what would steer the terminal shown."""
    found = []
    for line in text.split("\n"):
        style = next((style for start, style in _DIFF_STYLES if line.startswith(start)), None)
        # A tab stays, and so does the one after a name with a space.
        shown = "\t".join(map(visible, line.split("\t")))
        found.append(shown if style is None else f"\x1b[{style}m{shown}\x1b[0m")
    return "\n".join(found)


def diff(path: str, fixed: Fixed) -> str:
    """What changes, as a unified diff; empty if nothing does."""
    name = utf8_path(path)
    if any(char.isspace() for char in name):
        name += "\t"  # which tells `patch` and git where it ends
    # Only \n ends a line here: the other ends that Python knows stand within lines for `patch`.
    before, after = (
        [f"{line}\n" for line in text.decode("utf-8").split("\n")]
        for text in (fixed.before, fixed.after)
    )
    for lines in (before, after):
        last = lines.pop()[:-1]
        if last:
            lines.append(f"{last}\n\\ No newline at end of file\n")
    return "".join(difflib.unified_diff(before, after, name, name))
