"""Explanations: the same figures as a scan's, every reason by name, and the lines that count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codemlm.calibration import (
    SINGLE_FEATURES,
    VERIFIED_FEATURES,
    Boosted,
    Calibration,
    Logistic,
)
from codemlm.config import KEYS, Layer, combine
from codemlm.context_lines import context_lines
from codemlm.explain import Explainer
from codemlm.explanation import Explanation
from codemlm.feature_words import feature_words
from codemlm.filters import ALL_FILTERS
from codemlm.scanner import Scanner, ScanOptions
from codemlm.scoring import Scorer
from codemlm.source import SourceFile
from codemlm.trees import Ensemble
from tests.cli.fake import DOUBT_ALONE, FakeModel
from tests.unit.fakes import TableModel, tiny_tokenizer, to_score
from tests.unit.test_trees import random_tree

SOURCE = """\
def area(rows, cols, height, width):
    total = rows * 2
    if height < cols:
        total += cols
    return span(total, width)
"""


def scorer() -> Scorer:
    return Scorer(FakeModel(tiny_tokenizer()), tiny_tokenizer())


def explainer(
    text: str = SOURCE,
    calibration: Calibration = DOUBT_ALONE,
    path: str = "a.py",
    **table: Any,
) -> Explainer:
    values = {name.replace("_", "-"): value for name, value in table.items()}
    assert values.keys() <= KEYS.keys()
    settings = combine([Layer(values, "a.toml", "")])
    scanner = Scanner(scorer(), calibration, ScanOptions.of(settings.config, path))
    source = SourceFile(path, text.encode(), "utf-8", has_bom=False)
    return Explainer(scanner, source, settings)


def at(one: Explainer, text: str, number: int = 0) -> Explanation:
    """Of an occurrence of a text that could be a finding."""
    lines = range(1, len(one.index.starts) + 1)
    judged = [leaf for line in lines for leaf in one.judged_on(line)]
    return one.explain([leaf for leaf in judged if one.parsed.text(leaf) == text][number])


def boosted(names: tuple[str, ...]) -> Boosted:
    tree = random_tree(np.random.default_rng(3), 9, len(names))
    return Boosted(names, Ensemble.from_json(tree, len(names)), -0.5, 1.5)


TREES = Calibration(boosted(SINGLE_FEATURES), boosted(VERIFIED_FEATURES), 0.5, 0.9)


@pytest.mark.parametrize("calibration", [DOUBT_ALONE, TREES, Calibration()])
def test_the_figures_are_those_of_a_scan(calibration: Calibration) -> None:
    one = explainer(SOURCE * 3, calibration)
    (found,) = Scanner(scorer(), calibration, filters=()).findings([one.parsed], ["a.py"])
    assert len(found) > 9
    stages = set()
    for finding in found:
        told = one.explain(finding.leaf)
        assert told.verdict is not None
        same = told.verdict.finding
        assert (same.rule, same.confidence) == (finding.rule, finding.confidence)
        shares = told.verdict.shares
        if finding.rule == "CM201":
            assert shares is None
            continue
        assert shares is not None
        confidence = 1 / (1 + np.exp(-shares.logit))
        assert confidence == pytest.approx(finding.confidence, abs=1e-6)
        strengths = [abs(part.nats) for part in shares.parts]
        assert strengths == sorted(strengths, reverse=True)
        assert (told.verdict.if_masked is None) == finding.verified
        stages.add(finding.verified)
    assert stages == {True, False}


def test_what_a_leaf_is_compared_with_are_the_others() -> None:
    one = explainer(SOURCE * 3)
    doubts = one.known.doubts
    logits = doubts.rows[:, SINGLE_FEATURES.index("doubt")]
    for place, score in enumerate(doubts.scores):
        verdict = one.explain(score.leaf).verdict
        if verdict is not None and verdict.shares and score.leaf not in one.known.masked:
            others = np.delete(logits, place)
            assert verdict.shares.base == pytest.approx(others.mean(), abs=1e-5)
    line = Logistic(("doubt", "gap"), 1.0, (2.0, -1.0))
    found = line.contributions(np.array([3.0, 1.0]), np.array([[1.0, 0.0], [2.0, 4.0]]))
    assert found.tolist() == [3.0, 1.0, 2.0]
    assert found.sum() == line.logits(np.array([[3.0, 1.0]]))[0]
    assert line.contributions(np.array([3.0, 1.0]), np.zeros((0, 2))).tolist() == [6.0, -1.0, 1.0]


def test_a_reported_leaf() -> None:
    told = at(explainer(), "rows")
    assert told.reported and told.reasons == ()
    assert told.verdict is not None and told.verdict.finding.rule == "CM101"
    assert dict(told.verdict.filters) == {one.name: True for one in ALL_FILTERS}
    assert told.single == pytest.approx(0.047, abs=1e-3) and told.masked is not None
    best = told.options[0]
    assert (best.text, best.stands_for) == ("cols", "cols")
    assert best.single == pytest.approx(0.95, abs=0.01) and best.masked is not None


def test_an_undefined_name() -> None:
    told = at(explainer(), "span")
    assert told.reported and told.verdict is not None
    assert (told.verdict.finding.rule, told.verdict.shares) == ("CM201", None)
    assert dict(told.verdict.filters)["low-information"] is None


def test_leaves_that_are_not_judged() -> None:
    one = explainer()
    leaf = one.leaf_at(2, 5)
    assert leaf is not None
    told = one.explain(leaf)
    assert (told.leaf.text, told.verdict, told.reported) == ("total", None, False)
    assert told.reasons == ("leaves of this role (binding) are not judged",)
    assert told.single is None and told.masked is not None
    bracket = one.leaf_at(1, 9)
    assert bracket is not None
    told = one.explain(bracket)
    assert (told.leaf.text, told.masked, told.options, told.context) == ("(", None, (), None)
    assert one.leaf_at(2, 1) is None
    assert one.leaf_at(2, 10) == leaf  # where it ends


def test_more_leaves_than_a_window_judges() -> None:
    one = explainer("x = y = 1\nz = " + "+".join("x" * 99) + "\n")
    reasons = {reason for leaf in one.judged_on(2) for reason in one.explain(leaf).reasons}
    assert any("too many leaves" in reason for reason in reasons)


def test_places_that_do_not_parse() -> None:
    one = explainer("x = 1\nx = (x + = ] 1\ny = x\n")
    assert [one.parses_at(line) for line in (1, 2, 3)] == [True, False, False]
    assert one.leaf_at(2, 6) is None


@pytest.mark.parametrize(
    ("text", "table", "reason"),
    [
        (SOURCE, {"min_confidence": 0.99}, "its confidence, 95 %, is below 99 %: min-confidence"),
        (SOURCE, {"min_confidence": {"CM1": 0.96}}, "min-confidence of CM1, by a.toml"),
        (SOURCE, {"ignore": ["CM101"]}, "CM101 is ignored (ignore)"),
        (SOURCE, {"select": ["CM2"]}, "CM101 is not selected (select)"),
        (SOURCE, {"per_file_ignores": {"a.py": ["CM1"]}}, "not reported in this file (per-file"),
        (SOURCE.replace("2", "2  # noqa"), {}, "the filter told-already drops it"),
        (SOURCE.replace("2", "2  # codemlm: ignore"), {}, "line 2, the pragma of the line"),
        (SOURCE + "# codemlm: ignore-file[CM1]\n", {}, "line 6, the pragma of the file"),
        (SOURCE + "# codemlm: ignore-file\n", {}, "line 6, the pragma of the file"),
    ],
)
def test_why_a_leaf_is_not_reported(text: str, table: dict[str, Any], reason: str) -> None:
    told = at(explainer(text, **table), "rows")
    assert not told.reported
    assert any(reason in one for one in told.reasons), told.reasons


def test_a_known_leaf_is_in_the_baseline(tmp_path: Path) -> None:
    from codemlm.baseline import Baseline

    one = explainer()
    known = Baseline(str(tmp_path / "known.json"), {})
    source = SourceFile("a.py", SOURCE.encode(), "utf-8", has_bom=False)
    list(known.only_new([Scanner(scorer(), DOUBT_ALONE).scan_source(source)]))
    known.replace()
    assert at(one, "rows").reported
    told = at(explainer(baseline=known.path), "rows")
    assert not told.reported
    assert told.reasons == (f"it is in the baseline, {known.path}",)


def test_what_may_hold_a_reported_leaf_back() -> None:
    generated = "# Generated by tool. DO NOT EDIT.\n" + SOURCE
    told = at(explainer(generated, max_per_kloc=2), "rows")
    assert told.reported
    assert [reason.partition(":")[0] for reason in told.reasons] == [
        "a tool wrote the file",
        "only the surest are told",
    ]


def test_a_swap_is_explained_at_both_places() -> None:
    text = "def f(low, high):\n    return span(high - low, low)\n"
    one = explainer(text)
    first, second = at(one, "high"), at(one, "low")
    assert first.verdict is not None and second.verdict is not None
    assert first.verdict.finding.rule == second.verdict.finding.rule == "CM114"
    assert (first.against, second.against) == ("low", "high")


def test_lines_that_move_the_score() -> None:
    """A model that wants `cols` wherever it can see `deep`, whose line is thus the evidence."""
    source = "def area(flat):\n    deep = 1\n    print(rows)\n    cols = rows = 3\n"
    parsed, file = to_score(source)
    tokenizer = tiny_tokenizer()
    seen, wanted = tokenizer.pieces("deep"), tokenizer.pieces("cols")

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        logits = np.zeros((*arrays["leaf_positions"].shape, count), np.float32)
        for row, ids in enumerate(arrays["input_ids"].tolist()):
            same = (arrays["candidate_ids"][row, :, : len(wanted)] == wanted).all(axis=1)
            assert same.any()  # although one of the lines that are masked has its only use
            if any(ids[i : i + len(seen)] == list(seen) for i in range(len(ids))):
                logits[row, 0, len(tokenizer.frequent) + np.flatnonzero(same)] = 4.0
        return np.zeros(logits.shape[:2], np.float32), logits

    model = TableModel(answer, window=128)
    leaf = next(i for i in range(len(parsed)) if parsed.text(i) == "rows")
    told: list[tuple[int, int]] = []
    found = context_lines(
        Scorer(model, tokenizer, batch_windows=2),
        parsed,
        file,
        leaf,
        "cols",
        advance=lambda done, total: told.append((done, total)),
    )
    assert (found.log_odds, found.noise) == (-4.0, 0.0)
    assert [(one.line, one.change) for one in found.lines] == [(2, -4.0)]
    assert told == [(2, 6), (4, 6), (6, 6)]
    nothing = context_lines(Scorer(model, tokenizer), parsed, file, leaf, "unheard")
    assert np.isnan(nothing.log_odds) and nothing.lines == ()


def test_lines_that_change_no_more_than_other_slots_do_are_not_told() -> None:
    """A model that looks at nothing but the slot of `cols`."""
    parsed, file = to_score("cols = deep = flat = 1\nprint(rows, cols)\nrows = deep\n")
    tokenizer = tiny_tokenizer()
    wanted = tokenizer.pieces("cols")

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        logits = np.zeros((*arrays["leaf_positions"].shape, count), np.float32)
        same = (arrays["candidate_ids"][:, :, : len(wanted)] == wanted).all(axis=2)
        slots = np.where(same, arrays["candidate_slots"], 0)
        logits[:, 0, len(tokenizer.frequent) :] = slots
        return np.zeros(logits.shape[:2], np.float32), logits

    scorer = Scorer(TableModel(answer, window=128), tokenizer)
    leaf = next(i for i in range(len(parsed)) if parsed.text(i) == "rows")
    found = context_lines(scorer, parsed, file, leaf, "cols")
    assert found.noise > 0
    assert all(abs(line.change) > found.noise for line in found.lines)


@pytest.mark.parametrize("name", VERIFIED_FEATURES)
def test_every_feature_has_words(name: str) -> None:
    words = feature_words(name, 1.0, "rows", "cols")
    assert ": " in words and "{" not in words
    if name.endswith(("_shown", "_suggested")) and not name.startswith("masked"):
        assert ("`rows`" in words) == name.endswith("_shown")
    assert feature_words(name, float("nan"), "rows", "cols").endswith(": not applicable")


def test_values_in_words() -> None:
    assert feature_words("count_shown", np.log1p(3), "a", "b") == "other uses of `a` in the file: 3"
    assert feature_words("role", 10, "a", "b") == "role: operator"
    assert feature_words("doubt", 0.0, "a", "b").endswith(": 50 %")
