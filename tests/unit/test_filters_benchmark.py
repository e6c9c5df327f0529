"""The script that measures filters: figures by hand, and a run with a fake model."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from codemlm.filters import ALL_FILTERS
from codemlm.scoring import Scorer
from tests.cli.fake import DOUBT_ALONE, FakeModel
from tests.unit.fakes import tiny_tokenizer
from tests.unit.test_real import pair_of, write_pairs

from .benchmark_scripts import load_script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load_script("filters", monkeypatch)


def test_figures_by_hand(script: ModuleType) -> None:
    outcomes = script.Outcomes(alarms=[0.2, 0.9, 0.5, 0.4], bugs=[0.9, 0.45, 0.3, -float("inf")])
    assert outcomes.figures(2000, 0.4) == {
        "recall": 0.5,
        "alarms_per_kloc": 1.5,
        "low_recall": 0.75,
        "low_alarms_per_kloc": 2.0,
        "recall_at_0.5": 0.25,  # one alarm, 0.9, and so above 0.5
        "recall_at_1": 0.5,  # two, and so above 0.4
    }
    nothing = script.Outcomes(alarms=[], bugs=[0.1, -float("inf")])
    assert nothing.figures(1000, 0.4)["recall_at_1"] == 0.5


def test_the_sets_are_all_but_one(script: ModuleType) -> None:
    sizes = [len(filters) for filters in script.SETS.values()]
    count = len(ALL_FILTERS)
    assert sizes == [count, *[count - 1] * count, 0]


def test_a_run(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeModel(tiny_tokenizer())
    repositories = {"train": ["x/other"]}
    model.manifest = SimpleNamespace(  # type: ignore[attr-defined]
        name="fake", version="1", repositories=repositories
    )
    scorer = Scorer(model, tiny_tokenizer())
    monkeypatch.setattr(script, "load_model", lambda folder, threads: (scorer, DOUBT_ALONE))
    bug = "def area(rows, cols):\n    return rows\n\n\ndef g(rows, cols): return rows  # noqa\n"
    path = write_pairs(
        tmp_path / "pairs.jsonl.gz",
        [
            pair_of(bug, "variable", "rows", "cols", nth=1),
            pair_of(bug, "variable", "rows", "cols", nth=3, repo="b/two"),
        ],
    )
    script.main(["--pairs", str(path), "--out", str(tmp_path / "out")])
    result = json.loads((tmp_path / "out" / "filters.json").read_text("utf-8"))
    rows = result["rows"]
    assert result["data"] == {"bugs": 2, "files": 2, "lines": 10}
    found = {name: (row["recall"], row["alarms_per_kloc"]) for name, row in rows.items()}
    assert found["all"] == (0.5, 100.0)  # the bug of a told line is missed, as is its alarm
    assert found["without told-already"] == found["none"] == (1.0, 200.0)
    assert {v for n, v in found.items() if n not in ("without told-already", "none")} == {
        found["all"]
    }
    page = (tmp_path / "out" / "filters.md").read_text("utf-8")
    assert "| none | 100.0 % | 200.00 |" in page
    assert str(tmp_path) not in page


def test_models_that_have_seen_the_bugs_are_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeModel(tiny_tokenizer())
    repositories = {"train": ["fork/one"]}
    model.manifest = SimpleNamespace(  # type: ignore[attr-defined]
        name="fake", version="1", repositories=repositories
    )
    scorer = Scorer(model, tiny_tokenizer())
    monkeypatch.setattr(script, "load_model", lambda folder, threads: (scorer, DOUBT_ALONE))
    path = write_pairs(tmp_path / "p.jsonl.gz", [pair_of("a = b\n", "variable", "b", "c")])
    with pytest.raises(SystemExit, match="one"):
        script.main(["--pairs", str(path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
