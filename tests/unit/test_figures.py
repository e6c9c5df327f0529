"""Pictures of an evaluation on real bugs, and the numbers they are drawn from."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codemlm.errors import UsageError
from codemlm.evaluation import figures
from codemlm.evaluation.figures import CAPTIONS, write_figures
from codemlm.evaluation.reading import (
    bins_of,
    calibration_error,
    finite,
    interval,
    linter_precision,
    points_of,
    wilson,
)
from tests.unit.real_results import real_result

Result = dict[str, Any]


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR"
    width, height = struct.unpack(">II", head[16:])
    return width, height


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of the result as it is."""
    pytest.importorskip("matplotlib")
    return write_figures(real_result(), tmp_path_factory.mktemp("pictures") / "new" / "folder")


def test_pictures_are_png_files_of_a_readable_size_and_the_same_each_time(
    tmp_path: Path, unchanged: list[Path]
) -> None:
    assert [p.name for p in unchanged] == list(CAPTIONS)
    assert {size_of(p) for p in unchanged} == {(1600, 1040)}
    again = write_figures(real_result(), tmp_path)
    assert [p.read_bytes() for p in unchanged] == [p.read_bytes() for p in again]
    assert not any(b"Software" in p.read_bytes() for p in unchanged)


def changed_curve(result: Result) -> None:
    result["rankers"]["product"]["curve"][3] |= {"precision": 0.9, "alarms_per_kloc": 0.2}


def changed_bin_and_kind(result: Result) -> None:
    result["reliability"][8]["precision"] = 0.1
    result["rankers"]["product"]["all"]["by_kind"]["attribute"]["recall_at_1"] = 0.5


def changed_linter_and_interval(result: Result) -> None:
    result["linters"]["ruff"]["all"]["figures"]["found"] = 0.02
    result["rankers"]["n-gram"]["all"]["figures"]["line_top3"]["high"] = 0.2


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (changed_curve, {"precision-recall.png", "recall-alarms.png"}),
        (changed_bin_and_kind, {"reliability.png", "kinds.png"}),
        (
            changed_linter_and_interval,
            {"precision-recall.png", "recall-alarms.png", "localisation.png"},
        ),
    ],
)
def test_a_picture_shows_what_it_is_of(
    tmp_path: Path, unchanged: list[Path], change: Callable[[Result], None], names: set[str]
) -> None:
    result = real_result()
    change(result)
    pairs = zip(unchanged, write_figures(result, tmp_path), strict=True)
    assert {a.name for b, a in pairs if b.read_bytes() != a.read_bytes()} == names


def empty(result: Result) -> None:
    result.clear()


def nothing_measured(result: Result) -> None:
    result["rankers"] = {"product": {"all": {"bugs": 0, "figures": {}, "by_kind": {}}}}
    result |= {"linters": None, "commits": None, "reliability": [], "alarms": None, "data": {}}


def without_numbers(result: Result) -> None:
    for ranker in result["rankers"].values():
        for figure in ranker["all"]["figures"].values():
            figure |= {"value": None, "low": None, "high": None}
        for row in ranker["all"]["by_kind"].values():
            row["recall_at_1"] = None
        for point in ranker["curve"]:
            point["precision"] = float("nan")
    for row in result["reliability"]:
        row |= {"precision": None, "count": 0}


def one_of_each(result: Result) -> None:
    for ranker in result["rankers"].values():
        del ranker["curve"][1:]
        ranker["all"]["by_kind"] = {"variable": {"bugs": 1, "recall_at_1": 1.0, "line_top5": 0}}
        ranker["all"]["figures"]["line_top1"] = {"value": 1.0, "low": None, "high": None}
    del result["reliability"][1:]


def odd_names(result: Result) -> None:
    names = ["$\\frac{1}$", "_hidden", "<b>$", "\\$a$b$"]
    for part in (result["rankers"], result["linters"]):
        part |= {name: next(iter(part.values())) for name in names}
    kinds = result["rankers"]["product"]["all"]["by_kind"]
    kinds |= dict.fromkeys(names, kinds["variable"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "change", [empty, nothing_measured, without_numbers, one_of_each, odd_names]
)
def test_what_is_missing_or_odd_stops_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Result], None]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figures, "_DPI", 20)  # few pixels: quicker
    result = real_result()
    change(result)
    assert len(write_figures(result, tmp_path)) == len(CAPTIONS)


def test_no_window_system_and_no_settings_of_the_process_are_touched(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    body = f"""
import json, pathlib, sys, matplotlib
from codemlm.evaluation import figures
from codemlm.evaluation.figures import write_figures
assert "matplotlib.figure" not in sys.modules
settings = matplotlib.rcParams.copy()  # to read the backend would choose one
write_figures(json.loads(sys.stdin.read()), pathlib.Path({str(tmp_path)!r}))
assert "matplotlib.pyplot" not in sys.modules
assert settings == matplotlib.rcParams.copy()
"""
    told = json.dumps(real_result())
    subprocess.run([sys.executable, "-c", body], input=told, text=True, check=True)


def test_without_matplotlib_the_message_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(UsageError, match=r"pip install 'codemlm\[benchmarks\]'"):
        write_figures(real_result(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_the_users_trouble(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write the pictures"):
        write_figures(real_result(), tmp_path / "file")


def test_numbers_that_are_none() -> None:
    assert [finite(v) for v in (1, 0.5, None, "1", True, float("nan"), float("-inf"))] == [
        1.0,
        0.5,
        *(None,) * 5,
    ]
    assert interval({"value": 0.5, "low": None}) == (0.5, None, None)
    assert interval(0.25) == (0.25, None, None)
    assert interval(None) == (None, None, None)


def test_calibration_error_weighs_bins_by_their_findings() -> None:
    bins: list[Result] = [
        {"low": 0.0, "high": 0.5, "mean_confidence": 0.2, "precision": 0.3, "count": 3},
        {"low": 0.5, "high": 1.0, "mean_confidence": 0.9, "precision": 0.4, "count": 1},
        {"low": 0.5, "high": 1.0, "mean_confidence": None, "precision": None, "count": 0},
    ]
    assert calibration_error(bins) == pytest.approx((3 * 0.1 + 0.5) / 4)
    assert len(list(bins_of(bins))) == 2
    assert calibration_error([]) is None


def test_precision_of_a_linter_is_given_or_estimated() -> None:
    data = {"lines": 100_000, "files": 200}  # 500 lines a file
    tool: Result = {"all": {"figures": {"found": {"value": 0.2}, "messages_per_kloc": 1.6}}}
    assert linter_precision(tool, data) == pytest.approx(0.2 / (0.2 + 0.8))
    assert linter_precision(tool, {}) is None
    tool["all"]["figures"]["precision"] = 0.3
    assert linter_precision(tool, {}) == 0.3
    assert linter_precision({}, data) is None


def test_intervals_of_shares() -> None:
    # Brown, Cai and DasGupta 2001 (10.1214/ss/1009213286) and any table of it: 5 of 10.
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson(0.0, 1) == pytest.approx((0.0, 0.7935), abs=1e-3)
    assert wilson(1.0, 1)[1] == 1.0


def test_points_without_a_place_on_the_axis_are_left_out() -> None:
    ranker = {"curve": [{"x": 0.0, "y": 1}, {"x": 2, "y": None}, {"x": 2, "y": 0}, {"y": 1}]}
    assert points_of(ranker, "x", "y") == [(2.0, 0.0)]
