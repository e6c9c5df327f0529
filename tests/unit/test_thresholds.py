"""Figures of a repository with injected bugs, on files made by hand."""

from __future__ import annotations

import math

import pytest

from codemlm.cache import FLOOR
from codemlm.calibration import Calibration
from codemlm.evaluation.repository import Found, InjectedBug, JudgedFile
from codemlm.evaluation.thresholds import Thresholds, between, figures, lines_per_bug


def found(confidence: float, *, always: bool = False, repaired: bool = False) -> Found:
    return Found("CM101", confidence, math.inf if always else confidence, repaired)


def file(lines: int, findings: list[Found], bugs: list[Found | None]) -> JudgedFile:
    made = tuple(InjectedBug("CM101", bug) for bug in bugs)
    return JudgedFile("a.py", lines, tuple(findings), made)


FILES = [
    file(100, [found(0.3), found(0.1)], [found(0.8, repaired=True), None]),
    file(300, [found(0.3)], [found(0.2)]),
    file(600, [], [found(0.4), None, None]),
]


def test_what_a_scan_reports_and_finds() -> None:
    made = Thresholds(FILES, seed=0)
    low, high = made.at(0.05), made.at(0.4)
    assert (low["findings"], low["per_kloc"]["value"]) == (3, 3.0)
    assert low["found"]["value"] == 0.5
    assert low["repaired"]["value"] == pytest.approx(1 / 6, abs=1e-6)
    assert high["found"]["value"] == pytest.approx(2 / 6, abs=1e-6)  # from 0.4 on means with it
    assert low["per_kloc"]["low"] < 3.0 < low["per_kloc"]["high"]


def test_no_findings_do_not_mean_that_there_never_are_any() -> None:
    figure = Thresholds(FILES, seed=0).at(0.9)["per_kloc"]
    assert figure == {"value": 0.0, "low": 0.0, "high": 3.0}


@pytest.mark.parametrize(
    ("per_kloc", "threshold"),
    [
        (5.0, FLOOR),  # all that was looked at
        (3.0, FLOOR),
        (2.9, 0.11),  # the one at 0.1 goes
        (2.0, 0.11),
        (1.9, 0.31),  # of two alike, neither stays
        (0.0, 0.31),
    ],
)
def test_the_threshold_for_a_rate(per_kloc: float, threshold: float) -> None:
    made = Thresholds(FILES, seed=0)
    chosen = made.for_rate(per_kloc)
    assert chosen["value"] == threshold
    assert made.at(threshold)["per_kloc"]["value"] <= per_kloc
    low, high = chosen["low"], chosen["high"]
    assert low is not None and high is not None and low <= threshold <= high


def test_rules_with_a_threshold_of_their_own_may_leave_no_room() -> None:
    files = [file(1000, [found(0.3, always=True), found(0.2)], [found(0.9)])]
    made = Thresholds(files, seed=0)
    assert made.for_rate(1.0)["value"] == 0.21
    assert made.for_rate(0.5)["value"] is None
    assert made.at(0.99)["findings"] == 1


def test_reliability_counts_bugs_as_if_they_were_rare() -> None:
    rows = Thresholds(FILES, seed=0).reliability(lines_per_bug=500)
    by_low = {row["low"]: row for row in rows}
    # 1,000 lines have two bugs, and six were injected: each counts a third.
    row = by_low[0.2]
    assert (row["findings"], row["bugs_found"]) == (2, 1)
    assert row["right"]["value"] == pytest.approx(1 / 7, abs=1e-6)
    assert row["mean_confidence"] == pytest.approx((0.6 + 0.2 / 3) / (2 + 1 / 3), abs=1e-6)
    assert row["right"]["low"] is None  # too few for an interval
    assert by_low[0.8]["right"]["value"] == 1.0
    assert by_low[0.9]["mean_confidence"] is None


def test_many_findings_have_an_interval() -> None:
    files = [file(100, [found(0.6)], [found(0.6), None]) for _ in range(8)]
    files += [file(100, [], [found(0.6), None]) for _ in range(8)]
    (row,) = (r for r in Thresholds(files, seed=0).reliability(50) if r["low"] == 0.5)
    right = row["right"]
    assert right["low"] < right["value"] < right["high"]


@pytest.mark.parametrize(
    ("above", "highest", "number"),
    [
        (0.1, 0.5, 0.11),
        (0.1234, 0.5, 0.13),
        (0.1234, 0.125, 0.124),
        (0.1234, 0.12341, 0.12341),
        (0.9334, 1.0, 0.94),
        (0.999, 1.0, 1.0),
        (0.1, 0.1 + 1e-9, 0.1 + 1e-9),
    ],
)
def test_a_round_number_between_two(above: float, highest: float, number: float) -> None:
    assert between(above, highest) == number


def test_above_one_there_is_nothing() -> None:
    assert math.isnan(between(1.0, 1.0))
    assert math.isnan(between(math.inf, math.inf))


def test_the_rate_of_bugs_is_the_calibrations() -> None:
    assert lines_per_bug(Calibration(notes={"rate": "one mistake in 1,200 lines"})) == 1200
    assert lines_per_bug(Calibration()) == 500


def test_the_threshold_that_holds_now_is_among_the_figures() -> None:
    result = figures(FILES, per_kloc=2, threshold=0.35, calibration=Calibration(), seed=0)
    assert result["now"]["threshold"] == 0.35 and result["now"]["findings"] == 0
    assert result["wanted"]["figures"]["threshold"] == 0.11
    assert result["by_rule"] == [
        {"rule": "CM101", "name": "variable-misuse", "bugs": 6, "found": 3}
    ]
