"""Rows of real bugs, and the confidence that is fitted to them, with a model that is a table."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from codemlm.alternatives import Context
from codemlm.calibration import SINGLE_FEATURES, VERIFIED_FEATURES, Boosted, Calibration
from codemlm.confidence import Doubts
from codemlm.errors import UsageError
from codemlm.evaluation.rescoring import WindowScorer
from codemlm.injection import Kind
from codemlm.scoring import Alternative, LeafScore
from codemlm.syntax import parse
from codemlm.train import collect
from codemlm.train.boost import BoostSettings
from codemlm.train.calibrate import (
    FitSettings,
    _false_alarms,
    _threshold,
    confidences,
    fit,
    weights,
)
from codemlm.train.fit_commands import collect_command, fit_command
from codemlm.train.rows import BESIDE, CLEAN, WRONG, Rows, gathered, merged
from codemlm.types import Role

from .fakes import SAMPLE, TableModel, tiny_tokenizer
from .test_evaluation import near_sum, variations
from .test_real import pair_of, write_pairs

pytest.importorskip("lightgbm")


def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    keep, logits = near_sum(arrays, count)
    logits[..., : TableModel().num_global] -= 5.0  # names of the file are what may be meant
    return keep, logits


def collector() -> collect.Collector:
    return collect.Collector(WindowScorer(TableModel(answer), tiny_tokenizer()), Calibration())


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two mistakes of one file, and one of a file of another repository."""
    head = SAMPLE + "def area(width, height):\n    return "
    first, second = f"{head}width * width\n", f"{head}height * height\n"
    made = [
        pair_of(first, Kind.VARIABLE, "width", "height", first.count("width") - 1, repo="a/one"),
        pair_of(second, Kind.VARIABLE, "height", "width", second.count("height") - 2,
                repo="a/one", commit="c1"),
        pair_of("x = y\n", Kind.VARIABLE, "y", "x", repo="b/two"),
    ]  # fmt: skip
    return write_pairs(tmp_path / "pairs.jsonl.gz", made)


def test_wrong_leaves_are_in_the_file_before_the_fix_alone(pairs: Path, tmp_path: Path) -> None:
    jobs = collect.pair_jobs(pairs, collect.CollectSettings(exclude=frozenset({"b/two"})))
    assert [len(job.pairs) for job in jobs] == [2]
    rows = collect.collect(collector, jobs)
    assert rows.repositories == ("a/one",)
    assert rows.lines.tolist() == [SAMPLE.count("\n") + 3]
    assert rows.bugs.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert set(rows.bug[rows.kind == WRONG]) == {0, 1}
    assert (rows.bug[rows.kind == CLEAN] == -1).all()
    assert set(rows.bug[rows.kind == BESIDE]) == {0, 1}
    assert rows.single.shape == (len(rows.kind), len(SINGLE_FEATURES))
    assert rows.verified.shape == (len(rows.verified_of), len(VERIFIED_FEATURES))
    shared = rows.single[rows.verified_of][:, : SINGLE_FEATURES.index("likeness")]
    np.testing.assert_array_equal(rows.verified[:, : shared.shape[1]], shared)
    rows.write(tmp_path / "rows.npz")
    again = Rows.read(tmp_path / "rows.npz")
    np.testing.assert_array_equal(again.single, rows.single)
    assert again.repositories == rows.repositories
    twice = merged([rows, again])
    assert (len(twice.kind), len(twice.bugs)) == (2 * len(rows.kind), 4)
    assert twice.lines.tolist() == [2 * rows.lines[0]]
    assert set(twice.bug[twice.kind == WRONG]) == {0, 1, 2, 3}
    mixed = gathered([tmp_path / "rows.npz"], [tmp_path / "rows.npz"], 0.25)
    assert mixed.lines.tolist() == [1.25 * rows.lines[0]]
    assert mixed.weight.tolist() == [*rows.weight, *(rows.weight / 4)]


def test_an_undefined_name_is_a_mistake_of_its_own(tmp_path: Path) -> None:
    source = "def area(width, height):\n    return width * heigth\n"
    made = [pair_of(source, Kind.VARIABLE, "heigth", "height")]
    path = write_pairs(tmp_path / "pairs.jsonl.gz", made)
    rows = collect.collect(collector, collect.pair_jobs(path, collect.CollectSettings()))
    assert rows.exact[:, :3].tolist() == [[WRONG, 0, 0]]
    assert np.isnan(rows.exact[0, 3])  # of the model's manifest
    assert rows.bugs.tolist() == [[1, 0, 1]]
    assert not (rows.kind == WRONG).any()


def test_a_corpus_gives_clean_code_and_injected_mistakes(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    with gzip.open(corpus / "a__one.jsonl.gz", "wt") as stream:
        for i, text in enumerate(variations(2)):
            stream.write(json.dumps({"path": f"{i}.py", "text": text}) + "\n")
    settings = collect.CollectSettings(files=2, per_file=3)
    rows = collect.collect(collector, collect.corpus_jobs(corpus, settings))
    assert rows.repositories == ("a/one",)
    assert set(rows.bugs[:, 0]) == {collect.INJECTED_WEIGHT}
    assert len(rows.bugs) == 6


NAN = float("nan")


def made_rows(seed: int, repositories: tuple[str, ...]) -> Rows:
    """Leaves of which two features tell the wrong ones, and four undefined names."""
    rng = np.random.default_rng(seed)
    count, of = 4000, 400
    kind = np.where(np.arange(count) < 200, WRONG, CLEAN)
    single = np.full((count, len(SINGLE_FEATURES)), np.nan, dtype=np.float32)
    single[:, SINGLE_FEATURES.index("doubt")] = rng.normal(size=count) + 2 * (kind == WRONG)
    single[:, SINGLE_FEATURES.index("one_edit")] = rng.random(count) < 0.05 + 0.4 * (kind == WRONG)
    verified = np.full((of, len(VERIFIED_FEATURES)), np.nan, dtype=np.float32)
    verified[:, VERIFIED_FEATURES.index("masked_gap")] = rng.normal(size=of) + 3 * (
        np.arange(of) < 200
    )
    return Rows(
        single=single,
        verified=verified,
        verified_of=np.arange(of),
        kind=kind,
        weight=np.ones(count),
        bug=np.where(kind == WRONG, np.arange(count), -1),
        group=np.arange(count) % len(repositories),
        exact=np.array(
            [[WRONG, 200, 0, NAN], [WRONG, 200, 0, NAN], [WRONG, 201, 1, NAN], [CLEAN, -1, 0, NAN]]
        ),
        bugs=np.array([[1.0, i % len(repositories), i >= 200] for i in range(202)]),
        lines=np.full(len(repositories), 20_000.0),
        repositories=repositories,
    )


SETTINGS = FitSettings(budget=2.0, stages=2, boost=BoostSettings(rounds=40))


def test_a_fit_holds_its_budget_and_its_probabilities() -> None:
    train, held_out = made_rows(1, ("a/1", "a/2", "a/3", "a/4")), made_rows(2, ("b/1", "b/2"))
    made = fit(train, held_out, SETTINGS)
    data = json.loads(json.dumps(made.as_json()))
    assert Calibration.from_json(data).as_json() == data
    assert isinstance(made.single, Boosted)
    assert set(made.single.features) <= {"doubt", "one_edit"}
    assert made.verified is not None
    assert made.verified.features == ("masked_gap",)
    assert made.uses_evidence
    notes = made.notes
    assert notes["alarms_per_1000_lines"] <= 2.0
    assert notes["recall_at_threshold"] > 0.1
    assert notes["reliability"]["calibration_error"] < 0.02
    share = weights(train, 800.0)[train.kind == WRONG]
    assert share == pytest.approx(80_000 / 800 / 202)
    found = confidences(held_out, made)
    assert found[:200].mean() > found[200:].mean()
    assert made.undefined == SETTINGS.undefined


def test_with_one_stage_nothing_is_masked() -> None:
    train, held_out = made_rows(1, ("a/1", "a/2", "a/3", "a/4")), made_rows(2, ("b/1", "b/2"))
    made = fit(train, held_out, replace(SETTINGS, stages=1))
    assert made.verified is None
    data = json.loads(json.dumps(made.as_json()))
    assert Calibration.from_json(data).as_json() == data
    assert confidences(held_out, made) == pytest.approx(made.confidences(held_out.single))
    parsed = parse(b"def f(rows, cols): return rows + cols")
    leaf = next(i for i in range(len(parsed)) if parsed.roles[i] == Role.READ)
    score = LeafScore(leaf, 0.0, 0.5, (Alternative("cols", 0.5),), -1.0, -1.0)
    doubts = Doubts(Context(parsed), [score], with_evidence=True)
    assert doubts.propose(Calibration(), 9) == [leaf]
    assert doubts.propose(made, 9) == []


def test_the_budget_is_the_models_own_whatever_exact_rules_find() -> None:
    rows = made_rows(1, ("a/1", "a/2"))  # 40,000 lines, one undefined name in clean code
    confidence = np.linspace(1.0, 0.0, len(rows.kind))
    clean = confidence[rows.kind == CLEAN]
    settings = replace(SETTINGS, budget=3 / 40)
    assert clean[3] < _threshold(rows, confidence, settings) <= clean[2]


def test_findings_of_other_exact_rules_count_by_their_own_confidence() -> None:
    rows = made_rows(1, ("a/1",))
    assert _false_alarms(rows, 0.9) == pytest.approx(0.1)
    own = replace(rows, exact=np.array([[CLEAN, -1, 0, 0.75], [CLEAN, -1, 0, NAN]]))
    assert _false_alarms(own, 0.9) == pytest.approx(0.35)
    assert _false_alarms(own, 0.9, 0.8) == pytest.approx(0.1)


def test_repositories_are_never_fitted_and_calibrated_on() -> None:
    rows = made_rows(1, ("a/1", "a/2"))
    with pytest.raises(UsageError, match="a/2 is among"):
        fit(rows, made_rows(2, ("b/1", "a/2")), SETTINGS)
    few = replace(rows, kind=np.where(rows.kind == WRONG, BESIDE, rows.kind))
    with pytest.raises(UsageError, match="too few"):
        fit(few, made_rows(2, ("b/1",)), SETTINGS)


def test_the_commands_end_with_a_line_where_files_are_at_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"none")
    arguments = ["--model", str(tmp_path), "--rows", str(bad), "--calibration-rows", str(bad)]
    result = CliRunner().invoke(fit_command, arguments)
    assert result.exit_code == 2
    assert "`collect` makes them" in result.stderr
    arguments = ["--model", str(tmp_path), "--pairs", str(bad), "--out", str(tmp_path / "o.npz")]
    result = CliRunner().invoke(collect_command, arguments)
    assert result.exit_code == 2
    assert "no file of pairs" in result.stderr
