"""Commit mode: the leaves of changed lines ranked, with a model that is a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from codemlm.calibration import Calibration
from codemlm.evaluation import commits
from codemlm.evaluation.injected import scored_leaves
from codemlm.evaluation.metrics import Standing
from codemlm.evaluation.rankers import CHANCE, GATE, NGRAM, PRODUCT
from codemlm.evaluation.real import TOO_LONG
from codemlm.evaluation.rescoring import WindowScorer
from codemlm.evaluation.run import Evaluation
from codemlm.fixes import Fix, FixPair, Introduction
from codemlm.syntax import parse
from codemlm.types import DELETE_TEXT

from .fakes import SAMPLE, TableModel, tiny_tokenizer

LINE = SAMPLE.split("\n").index("        return self.cells[row][col]") + 1


@pytest.fixture(autouse=True)
def quick_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemlm.evaluation.metrics.RESAMPLES", 40)


def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Doubts a leaf by its subtoken alone: the highest id is the most suspicious."""
    ids, positions = arrays["input_ids"], arrays["leaf_positions"]
    shown = np.take_along_axis(ids, np.maximum(positions, 0), 1)
    keep = 5.0 - shown.astype(np.float32) / 100
    logits = np.cos(shown[..., None] * np.arange(1, count + 1)).astype(np.float32)
    return keep, logits


def evaluation(threshold: float = 0.5) -> Evaluation:
    scorer = WindowScorer(TableModel(answer), tiny_tokenizer())
    return Evaluation(scorer, replace(Calibration(), threshold=threshold))


def pair(
    around: str = "self.cells[row][col]",
    wrong: str = "row",
    meant: str = "col",
    *,
    repo: str = "a/b",
    lines: tuple[int, ...] = (LINE,),
    kind: str = "variable",
    text: str = SAMPLE,
) -> FixPair:
    """A fix of one word of the sample, whose introduction is the sample too."""
    start = text.index(around) + around.index(wrong)
    edits = ((start, start + len(wrong), meant),)
    fix = Fix(
        *(repo, "f" * 40, "e" * 40, "m.py", "m.py", "get", LINE, kind, edits),
        *(wrong, meant, False, "", "Fix", 0, "validation"),
    )
    after = text[:start] + meant + text[start + len(wrong) :]
    return FixPair(fix, text, after, Introduction("d" * 40, "m.py", text, lines, edits))


def outcome(given: FixPair, threshold: float = 0.5) -> commits.CommitOutcome:
    found = commits.judge_commit(given, evaluation(threshold), 3000)
    assert isinstance(found, commits.CommitOutcome), found
    return found


def figures(found: commits.CommitOutcome, ranker: str) -> dict[str, float]:
    return dict(zip(commits.FIGURES, found.figures[ranker], strict=True))


def test_only_judged_leaves_of_changed_lines_compete() -> None:
    one = outcome(pair())
    assert (one.leaves, one.lines, one.size) == (4, 1, "1-20")  # self, cells, row, col
    assert figures(one, CHANCE)["top1"] == pytest.approx(1 / 4)
    assert figures(one, CHANCE)["line_top1"] == 1.0
    assert figures(one, CHANCE)["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    order = figures(one, commits.POSITION)
    assert (order["top1"], order["top3"]) == (0.0, 1.0)
    assert order["mrr"] == pytest.approx(1 / 3)
    two = outcome(pair(lines=(LINE - 1, LINE)))
    assert two.leaves == 5  # and `default` of the line above
    assert figures(two, commits.POSITION)["line_top1"] == 0.0
    assert figures(two, commits.POSITION)["line_top3"] == 1.0
    every = outcome(pair(lines=tuple(range(1, 99))))
    assert every.leaves == len(scored_leaves(parse(SAMPLE.encode())))
    assert every.size == "21-100"
    assert figures(every, GATE)["top1"] <= figures(two, GATE)["top1"]


def test_the_gate_ranks_by_its_doubt_in_the_whole_file() -> None:
    ids = {text: tiny_tokenizer().pieces(text)[0] for text in ("self", "cells", "row", "col")}
    doubted = max(ids, key=lambda text: ids[text])
    assert figures(outcome(pair(wrong=doubted, meant="zzz")), GATE)["top1"] == 1.0
    other = next(text for text in ids if text != doubted)
    found = figures(outcome(pair(wrong=other, meant="zzz")), GATE)
    assert (found["top1"], found["repair_top1"], found["joint"]) == (0.0, 0.0, 0.0)


def test_a_wrong_leaf_off_the_changed_lines_or_without_a_role_is_missed() -> None:
    off = outcome(pair(lines=(1,)))
    assert figures(off, CHANCE) == dict.fromkeys(commits.FIGURES, 0.0)
    none = outcome(pair(lines=()))
    assert (none.leaves, none.first[2]) == (0, 1.0)


def test_what_the_product_reports_first() -> None:
    silent = outcome(pair(), threshold=1.1)
    assert silent.first == (0.0, 0.0, 1.0, 0.0)
    loud = outcome(pair(), threshold=0.0)
    right = figures(loud, PRODUCT)["top1"]
    assert loud.first[:3] == (right, 1.0 - right, 0.0)
    assert 0 < loud.first[3] <= loud.leaves


def test_a_swap_is_right_at_either_place_and_a_negation_is_deleted() -> None:
    made = pair()
    start = SAMPLE.index("[row][col]") + 1
    edits = ((start, start + 3, "col"), (start + 5, start + 8, "row"))
    assert made.introduction is not None
    origin = replace(made.introduction, edits=edits)
    fix = replace(made.fix, kind="operand-swap", edits=edits)
    swap = commits.introduced(replace(made, fix=fix, introduction=origin))
    assert not isinstance(swap, str)
    assert sorted(swap.meant.values()) == ["col", "row"]
    negation = pair("if not self.cells", "not ", "", kind="negation-added")
    bug = commits.introduced(negation)
    assert not isinstance(bug, str)
    assert list(bug.meant.values()) == [DELETE_TEXT]


def test_figures_with_intervals_by_size_and_what_was_skipped() -> None:
    some = [
        pair(),
        pair(wrong="cells", repo="c/d", lines=tuple(range(1, 99))),
        replace(pair(), introduction=None),
        pair(text=SAMPLE + "\ndef ("),
        pair(text=SAMPLE + "\n" * 3000),
    ]
    broken = pair()
    assert broken.introduction is not None
    far = replace(broken.introduction, edits=((9**6, 9**6 + 1, "x"),))
    some.append(replace(broken, introduction=far))
    seen: list[int] = []
    result = commits.judge_commits(some, evaluation(), progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert (result["bugs"], result["repositories"]) == (2, 2)
    assert sum(result["skipped"].values()) == 4
    assert result["skipped"][commits.NO_INTRODUCTION] == result["skipped"][TOO_LONG] == 1
    assert result["sizes"] == {"1-20": 1, "21-100": 1, "101-400": 0, "over 400": 0}
    again = commits.judge_commits(some, evaluation())
    assert json.dumps(result, allow_nan=False) == json.dumps(again)
    chance = result["rankers"][CHANCE]
    assert chance["by_size"]["1-20"]["top1"] == 0.25
    assert chance["by_size"]["over 400"] == {"bugs": 0, **dict.fromkeys(commits.FIGURES)}
    figure = chance["figures"]["top1"]
    small = chance["by_size"]["21-100"]["top1"]
    assert figure["value"] == pytest.approx((0.25 + small) / 2, abs=1e-5)
    assert (figure["low"], figure["high"]) == (small, 0.25)  # one repository drawn twice
    assert NGRAM not in result["rankers"]
    leaves, sizes, reported = commits.commit_tables({"commits": result})
    assert [row[0] for row in leaves.rows] == list(result["rankers"])
    assert leaves.columns[1] == "top 1" and leaves.rows[-2][1].endswith("25.0]")
    assert sizes.columns == ["ranker", "1-20 leaves (1)", "21-100 leaves (1)"]
    assert "confidence 0.50" in reported.title


def test_no_commits_give_no_tables() -> None:
    result = commits.judge_commits([replace(pair(), introduction=None)], evaluation())
    assert (result["bugs"], result["rankers"]) == (0, {})
    json.dumps(result, allow_nan=False)
    assert commits.commit_tables({"commits": result}) == []
    assert commits.commit_tables({"commits": None}) == commits.commit_tables({}) == []


def test_expected_reciprocal_rank() -> None:
    assert commits.reciprocal_rank(Standing(0, 1.0, 2, 0, 1)) == pytest.approx(1 / 3)
    assert commits.reciprocal_rank(Standing(0, 1.0, 0, 2, 2)) == pytest.approx(
        1 / 2 + 1 / 2 * 2 / 3 / 2 + 1 / 2 * 1 / 3 / 3
    )
