"""Whether a linter reports a bug: its messages before a fix, and those that are left after it.

A message has gone if the file after the fix has fewer with the same code and the same text, digits
aside: these may be lines or counts. Where it must stand is generous to linters: anywhere in the
statement that the fix changes, or in the header of a compound one, because some linters name the
start of a call or of a statement and not the argument that is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from codemlm.evaluation.linter_tools import LinterMessage, given_up
from codemlm.injection import Kind, Rewrite
from codemlm.positions import LineIndex
from codemlm.syntax import ParsedFile, node_type_names, parse
from codemlm.types import Span

_DIGITS = re.compile(r"\d+")
_NODES = node_type_names()
_OTHER_STATEMENTS = ("decorator", "class_definition", "function_definition", "block", "module")
_CLAUSES = ("elif_clause", "else_clause", "except_clause", "finally_clause", "case_clause")
_STATEMENT = frozenset(
    number
    for number, name in enumerate(_NODES)
    if name.endswith("_statement") or name in (*_OTHER_STATEMENTS, *_CLAUSES)
)
_BODY = frozenset(number for number, name in enumerate(_NODES) if name in ("block", "module"))


def bug_lines(before: str, edits: Sequence[tuple[int, int, str]]) -> tuple[range, range]:
    """1-based lines of the statements that a fix changes, before it and after it.

    Args:
        before: the file before the fix.
        edits: of the fix, as ``codemlm.fixes.Fix`` has them.
    """
    rewrite = tuple((Span(start, end), text.encode()) for start, end, text in edits)
    source = before.encode()
    fixed = Rewrite(Kind.VARIABLE, rewrite).apply(source)  # the kind plays no part
    starts: list[int] = []
    shift = 0
    for span, text in rewrite:
        starts.append(span.start + shift)
        shift += len(text) - (span.end - span.start)
    return _statement_lines(source, [edit[0] for edit in edits]), _statement_lines(fixed, starts)


def _statement_lines(source: bytes, offsets: Iterable[int]) -> range:
    """Lines from the first to the last of the statements around some bytes."""
    parsed, index = parse(source), LineIndex(source)
    ends: list[int] = []
    for offset in offsets:
        ends += [index.line_of(offset), *_statement(parsed, index, offset)]
    return range(min(ends), max(ends) + 1)


def _statement(parsed: ParsedFile, index: LineIndex, offset: int) -> tuple[int, ...]:
    """First and last line of the innermost statement, without its body; () if there is none."""
    leaf = int(np.searchsorted(parsed.ends, offset, side="right"))
    if leaf == len(parsed):
        return ()
    below, node = -1, int(parsed.parent_nodes[leaf])
    while node >= 0 and parsed.node_kinds[node] not in _STATEMENT:
        below, node = node, parsed.node_parents[node]
    if node < 0 or parsed.node_kinds[node] in _BODY:  # a comment, or what belongs to none
        return () if below < 0 else (index.line_of(parsed.node_starts[below]),)
    start, end = parsed.node_starts[node], parsed.node_ends[node]
    bodies = [
        parsed.node_starts[inner]
        for inner in range(node + 1, len(parsed.node_kinds))
        if parsed.node_parents[inner] == node and parsed.node_kinds[inner] in _BODY
    ]
    first, last = index.line_of(start), index.line_of(max(start, end - 1))
    if bodies:
        last = max(first, index.line_of(min(bodies)) - 1)
    return first, last


def _kept(messages: Iterable[LinterMessage]) -> Counter[tuple[str, str]]:
    return Counter((m.code, _DIGITS.sub("0", m.text)) for m in messages)


def at_lines(messages: Sequence[LinterMessage], lines: range) -> list[LinterMessage]:
    """The messages that stand on some lines."""
    return [message for message in messages if message.line in lines]


def reported(
    before: Sequence[LinterMessage],
    after: Sequence[LinterMessage],
    lines_before: range,
    lines_after: range,
) -> bool:
    """Whether a message stands at the bug, and none like it at the same place after the fix.

    A file that the linter gave up on, before or after, counts as not reported.

    Args:
        before, after: messages on the file before and after the fix.
        lines_before, lines_after: of the bug, 1-based; see ``bug_lines``.
    """
    if given_up(before) or given_up(after):
        return False
    gone = _kept(at_lines(before, lines_before)) - _kept(at_lines(after, lines_after))
    return bool(gone)


def reported_anywhere(
    before: Sequence[LinterMessage],
    after: Sequence[LinterMessage],
    lines_before: range,
    lines_after: range,
) -> bool:
    """Whether a message at the bug is gone after the fix, or any message of the file.

    A name in the wrong place may leave another unused, or an import, far from the bug.
    """
    if given_up(before) or given_up(after):
        return False
    anywhere = bool(_kept(before) - _kept(after))
    return anywhere or reported(before, after, lines_before, lines_after)
