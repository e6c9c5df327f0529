"""What is no finding, whatever the model says: one table of named filters.

Each says what it drops and why, and can be left out alone, so that its worth can be measured.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from codemlm.alternatives import is_informative
from codemlm.guards import TOLD
from codemlm.injection import Kind, Rewrite
from codemlm.syntax import ParsedFile, node_type_names, parses
from codemlm.types import Span

_RAISES = re.compile(rb"\b(?:raises|assertRaises(?:Regexp?)?|assertWarns(?:Regex)?|warns)\s*\(")
_SYMMETRICAL = frozenset({"==", "!=", "is", "is not", "and", "or", "*", "&", "|", "^"})
_EITHER_ORDER = frozenset(
    {
        *("min", "max", "gcd", "lcm", "hypot", "isclose", "allclose", "array_equal"),
        *("assertEqual", "assertNotEqual", "assertIs", "assertIsNot", "assertEquals"),
        *("assertAlmostEqual", "assertNotAlmostEqual", "assertCountEqual", "assertListEqual"),
        *("assertDictEqual", "assertSetEqual", "assertTupleEqual", "assert_equal"),
        *("assert_allclose", "assert_array_equal", "assert_almost_equal"),
        *("assert_array_almost_equal", "logical_and", "logical_or", "maximum", "minimum"),
    }
)


class Judged(Protocol):
    """What filters look at of a finding."""

    @property
    def leaf(self) -> int:
        """Index among the file's leaves."""
        ...

    @property
    def span(self) -> Span:
        """Of the leaf."""
        ...

    @property
    def other(self) -> Span | None:
        """The second place of a swap."""
        ...

    @property
    def edits(self) -> tuple[tuple[Span, bytes], ...]:
        """What the first suggestion changes."""
        ...


Drops = Callable[[Judged], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """A reason why something is no finding.

    Attributes:
        name: stable name.
        drops: what it drops, in words.
        why: why that is no loss.
        prepare: looks at a file once, and gives the test of its findings; None: it takes the model.
    """

    name: str
    drops: str
    why: str
    prepare: Callable[[ParsedFile], Drops] | None


def _low_information(parsed: ParsedFile) -> Drops:
    return lambda finding: not is_informative(parsed, finding.leaf)


def _either_order(parsed: ParsedFile) -> Drops:
    names, language = node_type_names(parsed.language), parsed.language

    def drops(finding: Judged) -> bool:
        if finding.other is None:
            return False
        node = int(parsed.parent_nodes[finding.leaf])
        if names[parsed.node_kinds[node]] != language.argument_list:
            after = finding.leaf + 1
            return after < len(parsed) and parsed.text(after) in _SYMMETRICAL
        opening = int(parsed.starts.searchsorted(parsed.node_starts[node]))
        return opening > 0 and parsed.text(opening - 1) in _EITHER_ORDER

    return drops


def _expected_failure(parsed: ParsedFile) -> Drops:
    names = node_type_names(parsed.language)
    spans: list[tuple[int, int]] = []
    for match in _RAISES.finditer(parsed.source):
        leaf = int(parsed.starts.searchsorted(match.start()))
        node = int(parsed.parent_nodes[leaf]) if leaf < len(parsed) else -1
        # out of the access to the call, or to the whole `with` statement that it opens
        while node >= 0 and names[parsed.node_kinds[node]] in _AROUND_CALL:
            spans.append((parsed.node_starts[node], parsed.node_ends[node]))
            node = parsed.node_parents[node]
    return _inside(spans)


_AROUND_CALL = frozenset({"attribute", "call", "with_item", "as_pattern", "with_clause"}) | {
    "with_statement"
}


def _told_already(parsed: ParsedFile) -> Drops:
    return _inside([match.span() for match in TOLD.finditer(parsed.source)])


def _no_change(parsed: ParsedFile) -> Drops:
    source = parsed.source
    return lambda finding: (
        bool(finding.edits)
        and all(source[span.start : span.end] == text for span, text in finding.edits)
    )


def _inside(spans: Sequence[tuple[int, int]]) -> Drops:
    """Whether a finding begins inside one of the spans."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    starts = [start for start, _ in merged]

    def drops(finding: Judged) -> bool:
        place = bisect_right(starts, finding.span.start) - 1
        return place >= 0 and finding.span.start < merged[place][1]

    return drops


FILTERS: tuple[Filter, ...] = (
    Filter(
        "low-information",
        "`_`, receivers by convention, operators of assertions, and assertion methods",
        "Their text says too little, or states an expectation that a run would have refuted.",
        _low_information,
    ),
    Filter(
        "either-order",
        "swaps of symmetrical operands, and of arguments of `max`, `assertEqual` and their like",
        "Both orders mean the same.",
        _either_order,
    ),
    Filter(
        "expected-failure",
        "what stands inside `pytest.raises`, `assertRaises` and their like",
        "A test makes the mistake on purpose.",
        _expected_failure,
    ),
    Filter(
        "told-already",
        "lines on which a linter or type checker was told to accept what stands there",
        "Somebody has looked at the line, and knows.",
        _told_already,
    ),
    Filter(
        "no-change",
        "suggestions that change nothing",
        "There is nothing to do.",
        _no_change,
    ),
)
"""Filters of `codemlm.findings.judge`, cheapest first."""

BROKEN = Filter(
    "broken",
    "suggestions after which the file no longer parses",
    "What was meant did parse.",
    lambda parsed: lambda finding: breaks_syntax(parsed, finding),
)
SECOND_WINDOW = Filter(
    "second-window",
    "findings of which a second window, with another offset and other slots, is not as sure",
    "What depends on where a window happens to begin says little of the code.",
    None,
)
ALL_FILTERS = (*FILTERS, BROKEN, SECOND_WINDOW)
"""Every filter; the last two look at what would be reported, as they cost the most."""


def drops_any(parsed: ParsedFile, filters: Sequence[Filter]) -> Drops:
    """Whether any of the filters drops a finding of the file."""
    tests = [one.prepare(parsed) for one in filters if one.prepare is not None]
    return lambda finding: any(test(finding) for test in tests)


def breaks_syntax(parsed: ParsedFile, finding: Judged) -> bool:
    """Whether the file no longer parses with the first suggestion in it.

    It parses the whole file: for findings that are reported, not for every leaf.
    """
    if parsed.has_error or not finding.edits:
        return False
    fixed = Rewrite(Kind.VARIABLE, finding.edits).apply(parsed.source)  # the kind plays no part
    return not parses(fixed, parsed.language)
