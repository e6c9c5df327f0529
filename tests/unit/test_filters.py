"""Filters: what each drops, and that it drops nothing once it is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codemlm.calibration import Calibration
from codemlm.filters import FILTERS, breaks_syntax
from codemlm.findings import Finding
from codemlm.syntax import ParsedFile, parse
from tests.unit.fakes import judge
from tests.unit.test_findings import score


def found(
    parsed: ParsedFile, pairs: list[tuple[str, str, int]], without: str = ""
) -> list[Finding]:
    """Findings of suggested texts at the which-th leaf with a shown one."""
    scores = [score(parsed, shown, meant, which=which) for shown, meant, which in pairs]
    filters = [one for one in FILTERS if one.name != without]
    return judge(parsed, scores, {}, {}, Calibration(), filters=filters)


@pytest.mark.parametrize(
    ("name", "source", "pairs"),
    [
        ("low-information", "assert a < b", [("<", "<=", 0)]),
        ("either-order", "def f(a, b): return max(a, b)", [("a", "b", 1), ("b", "a", 1)]),
        ("either-order", "def f(a, b): return a == b", [("a", "b", 1), ("b", "a", 1)]),
        ("expected-failure", "def f(a, b):\n  with pytest.raises(E):\n    g(a)", [("a", "b", 1)]),
        ("expected-failure", "def f(s, a, b): s.assertRaises(E, g, a)", [("a", "b", 1)]),
        ("told-already", "def f(a, b): return a  # noqa", [("a", "b", 1)]),
        ("told-already", "def f(a, b): return a  # type: ignore[x]", [("a", "b", 1)]),
    ],
)
def test_each_filter_drops_what_it_says(
    name: str, source: str, pairs: list[tuple[str, str, int]]
) -> None:
    parsed = parse(source.encode())
    assert found(parsed, pairs) == []
    assert len(found(parsed, pairs, without=name)) >= 1


@pytest.mark.parametrize(
    ("source", "pairs"),
    [
        ("def f(a, b): return g(a, b)", [("a", "b", 1), ("b", "a", 1)]),
        ("def f(a, b): return a - b", [("a", "b", 1), ("b", "a", 1)]),
        ("def f(a, b): return a  # noqa: E501", [("a", "b", 1)]),
        ("def f(a, b):\n  with raises(E):\n    g()\n  return a", [("a", "b", 1)]),
    ],
)
def test_what_no_filter_drops(source: str, pairs: list[tuple[str, str, int]]) -> None:
    assert len(found(parse(source.encode()), pairs)) == 1


def test_a_suggestion_that_does_not_parse_is_seen() -> None:
    parsed = parse(b"def f(a, b): return a")
    (finding,) = found(parsed, [("a", "b", 1)])
    assert not breaks_syntax(parsed, finding)
    broken = replace(finding, edits=((finding.span, b"b +"),))
    assert breaks_syntax(parsed, broken)


def test_names_of_filters_are_unique_and_told() -> None:
    assert len({one.name for one in FILTERS}) == len(FILTERS)
    assert all(one.drops and one.why for one in FILTERS)


def test_undefined_names_are_never_dropped() -> None:
    parsed = parse(b"def f(a): return self.a  # noqa")
    leaf = next(i for i in range(len(parsed)) if parsed.text(i) == "self")
    (finding,) = judge(parsed, [], {}, {leaf: ["a"]}, Calibration())
    assert finding.rule == "CM201"
