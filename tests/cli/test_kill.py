"""A scan that is killed at any call leaves cache, baseline and sources whole; see `killed`.

Some points of each scan in every run of the tests, all of them with KILL_POINTS=1000.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.killed import SCENARIOS, SOURCES

ROOT = Path(__file__).parents[2]
POINTS = os.environ.get("KILL_POINTS", "12")
FIXED = {name: text.replace("return rows", "return cols") for name, text in SOURCES.items()}
BASELINE = "codemlm-baseline.json"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children of its own")


def killed(scenario: str) -> list[dict[str, Any]]:
    """What was left at each point; the last scan lived."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.killed", scenario, POINTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *dead, alive = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(dead) >= 8
    assert {point["code"] for point in dead} == {-signal.SIGKILL}
    assert alive["code"] >= 0
    assert alive["again"] in (0, 1)
    return [*dead, alive]


def test_a_scan_killed_at_any_call_leaves_the_cache_whole() -> None:
    points = killed("cache")
    for point in points:
        assert point["left"] == SOURCES
        assert (point["again"], point["integrity"]) == (1, "ok"), point
        assert point["printed"].count(": CM101 ") == len(SOURCES)
        assert "note:" not in point["printed"]


def test_a_scan_killed_at_any_call_leaves_the_baseline_whole() -> None:
    points = killed("baseline")
    old, new = SCENARIOS["baseline"][0][BASELINE], points[-1]["left"][BASELINE]
    assert new.count('"CM101"') == len(SOURCES)
    assert {point["left"].pop(BASELINE) for point in points} == {old, new}
    for point in points:
        assert point["left"] == SOURCES
        assert (point["again"], point["then"].pop(BASELINE)) == (0, new), point


def test_a_scan_killed_at_any_call_leaves_sources_whole() -> None:
    points = killed("fixes")
    for point in points:
        left = point["left"]
        assert left.keys() == SOURCES.keys()
        assert all(left[name] in (SOURCES[name], FIXED[name]) for name in SOURCES), point
        assert (point["again"], point["integrity"]) == (0, "ok"), point
        assert point["then"] == FIXED
    fixed = [sum(p["left"][n] == FIXED[n] for n in SOURCES) for p in points]
    assert fixed[0] == 0
    assert fixed[-1] == len(SOURCES)
    assert fixed == sorted(fixed)  # the kills are spread over the work
