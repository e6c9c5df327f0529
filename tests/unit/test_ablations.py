"""The script that runs the ablations: what each variant is run with, resuming, and its table."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from codemlm.evaluation.probe import RANKERS
from codemlm.train.config import TrainConfig

from .benchmark_scripts import load_script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load_script("ablations", monkeypatch)


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def probed() -> dict[str, Any]:
    names = ("auc", "recall_at_0.1", "top1", "repair_top1")
    rankers = {ranker: {name: figure(0.5) for name in names} for ranker in RANKERS}
    real = {"masked": {"accuracy": figure(0.25), "loss": figure(1.5)}, "rankers": rankers}
    return {"parameters": 1_250_000, "real": real}


@pytest.fixture
def calls(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for the commands: notes them, and writes what they would."""
    made: list[list[str]] = []

    def call(command: Sequence[str]) -> None:
        words = list(command)
        made.append(words)
        if "probe" in words:
            Path(words[words.index("--json") + 1]).write_text(json.dumps(probed()), "utf-8")
        else:
            run = Path(words[words.index("--out") + 1])
            run.mkdir(parents=True, exist_ok=True)
            rows = [{"kind": "train", "tokens_per_s": speed} for speed in (100.0, 900.0, 1000.0)]
            (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")

    monkeypatch.setattr(script, "call", call)
    return made


def arguments(out: Path, *more: str) -> list[str]:
    return ["--data", "D", "--pairs", "P", "--out", str(out), "--tokens", "1000", *more]


def test_every_variant_differs_from_the_full_one_in_its_options_alone(
    script: ModuleType, calls: list[list[str]], tmp_path: Path
) -> None:
    script.main(arguments(tmp_path, "--", "--window", "64"))
    trained = {Path(c[c.index("--out") + 1]).parent.name: c for c in calls if "pretrain" in c}
    full = trained["full"]
    assert full[full.index("--total-tokens") + 1] == "1000"
    assert full[-2:] == ["--window", "64"]
    assert set(trained) == {v.name for v in script.VARIANTS} - {"no-fixes"}
    for variant in script.VARIANTS:
        if variant.name in trained:
            words = [w for w in trained[variant.name] if str(tmp_path) not in w]
            common = [w for w in full if str(tmp_path) not in w]
            assert words == [*common, *variant.options]
    table = (tmp_path / "ablations.md").read_text("utf-8")
    assert table.count("\n| ") == len(trained) + 2  # the heading, the rule
    assert "| 1.25 M | 900 | 25.0 (15-35) | 1.500 (1.40-1.60) |" in table
    assert str(tmp_path) not in table


def test_what_is_finished_is_not_run_again_nor_taken_for_another(
    script: ModuleType, calls: list[list[str]], tmp_path: Path
) -> None:
    script.main(arguments(tmp_path, "--only", "full"))
    script.main(arguments(tmp_path, "--only", "full", "bert"))
    assert len(calls) == 4
    results = json.loads((tmp_path / "ablations.json").read_text("utf-8"))
    assert [result["variant"] for result in results] == ["full", "bert"]
    with pytest.raises(SystemExit, match="other options"):
        script.main([*arguments(tmp_path, "--only", "full"), "--", "--window", "9"])


def test_a_second_stage_without_real_fixes_starts_from_the_full_model(
    script: ModuleType, calls: list[list[str]], tmp_path: Path
) -> None:
    tune = "--fixes F --fixes-share 0.4 --proposals Q --total-tokens 1500"
    script.main(arguments(tmp_path, "--only", "no-fixes", "--tune", tune, "--processes", "2"))
    tuned = [c for c in calls if "--init-from" in c]
    assert [Path(c[c.index("--init-from") + 1]) for c in tuned] == [
        tmp_path / "full" / "pretrain"
    ] * 2
    assert "--fixes" in tuned[0]
    assert not {"--fixes", "F", "--fixes-share", "0.4"} & set(tuned[1])
    assert tuned[1][-4:] == ["--proposals", "Q", "--total-tokens", "1500"]
    assert all("torch.distributed.run" in c for c in calls if "pretrain" in c)


def test_options_are_taken_out_in_both_spellings(script: ModuleType) -> None:
    words = ["--fixes=F", "--a", "1", "--fixes", "G", "--b"]
    assert script.without(words, ("--fixes",)) == ["--a", "1", "--b"]


def test_failed_commands_end_the_script(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="failed with 3"):
        script.call([sys.executable, "-c", "raise SystemExit(3)"])


def test_options_of_variants_exist(script: ModuleType) -> None:
    known = {"--" + field.name.replace("_", "-") for field in fields(TrainConfig)}
    given = {w for v in script.VARIANTS for w in v.options if w.startswith("--")}
    assert given <= known
