"""Second windows: which they are, and that what they do not agree with is no finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from codemlm.alternatives import Context
from codemlm.filters import ALL_FILTERS, BROKEN, SECOND_WINDOW
from codemlm.scanner import FileResult, Scanner
from codemlm.scoring import Alternative, Scorer
from codemlm.source import SourceFile
from codemlm.syntax import parse
from codemlm.tokenizer import MASK
from codemlm.votes import AMONG, DOUBT_MARGIN, agrees, outvoted
from codemlm.windows import plan_windows, shifted_window
from tests.cli.fake import DOUBT_ALONE, FakeModel
from tests.unit.fakes import SAMPLE, TableModel, tiny_tokenizer, to_score
from tests.unit.test_findings import score

BUG = "def area(rows, cols):\n    return rows\n"
SOURCE = SourceFile("a.py", f"{BUG * 3}print(lost)\n".encode(), "utf-8", has_bom=False)


class Wavering(FakeModel):
    """Is sure in the windows of a scan, and not in second ones, where one leaf is judged."""

    def __init__(self, gate: float) -> None:
        super().__init__(tiny_tokenizer())
        self.gate = gate
        self.second: list[np.ndarray] = []

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        keep, logits = super().run(arrays)
        if arrays["leaf_positions"].shape[1] == 1 and not (arrays["input_ids"] == MASK).any():
            self.second.append(arrays["slot_ids"])
            keep = np.full_like(keep, self.gate)
        return keep, logits


def rules(model: Wavering, without: str = "") -> list[str]:
    filters = [one for one in ALL_FILTERS if one.name != without]
    scanner = Scanner(Scorer(model, model.tokenizer), DOUBT_ALONE, filters=filters)
    result = scanner.scan_source(SOURCE)
    assert isinstance(result, FileResult)
    return [finding.rule for finding in result.findings]


def test_findings_stand_if_the_second_window_agrees() -> None:
    sure, unsure = Wavering(-3.0), Wavering(2.0)
    assert rules(sure) == ["CM101"] * 3 + ["CM201"]
    assert rules(unsure) == ["CM201"]  # an undefined name needs no model
    assert rules(unsure, without=SECOND_WINDOW.name) == ["CM101"] * 3 + ["CM201"]
    assert [len(rows) for rows in sure.second] == [3]  # one window a finding, in one batch


def test_agreement_is_on_the_suggestion_and_the_doubt() -> None:
    parsed = parse(b"def f(rows, cols, size, left, top, a, b, c, d, e):\n    return rows\n")
    context = Context(parsed)
    first = score(parsed, "rows", "cols", which=1)
    scanner = Scanner(Scorer(FakeModel(tiny_tokenizer()), tiny_tokenizer()), DOUBT_ALONE)
    finding = replace(scanner.findings([parse(BUG.encode())])[0][0], leaf=first.leaf)
    gate = float(np.log(finding.keep / (1 - finding.keep)))

    def again(texts: str, logit: float) -> bool:
        other = tuple(Alternative(text, 0.1) for text in texts.split())
        return agrees(context, finding, replace(first, keep_logit=logit, alternatives=other))

    assert finding.suggestions[0].text == "cols"
    names = ["size", "left", "top", "a", "b", "c", "d", "e"]
    assert again(" ".join([*names[: AMONG - 1], "cols"]), gate)
    assert not again(" ".join([*names[:AMONG], "cols"]), gate)
    assert again("cols", gate + 0.9 * DOUBT_MARGIN)
    assert not again("cols", gate + 1.1 * DOUBT_MARGIN)


def test_what_breaks_the_file_does_not_stand() -> None:
    parsed = parse(BUG.encode())
    scorer = Scorer(FakeModel(tiny_tokenizer()), tiny_tokenizer())
    finding = Scanner(scorer, DOUBT_ALONE).findings([parsed])[0][0]
    broken = replace(finding, edits=((finding.span, b"rows +"),))
    assert outvoted(scorer, [(parsed, [finding]), (parsed, [broken])], [BROKEN]) == [[], [broken]]
    assert outvoted(scorer, [(parsed, [broken])], []) == [[]]


@pytest.mark.parametrize("margin", [0, 10, 20])
def test_second_windows_are_elsewhere_and_have_context(margin: int) -> None:
    _, file = to_score(SAMPLE * 2)
    encoded, size = file.encoded, 64
    ends = np.cumsum(encoded.unit_lengths)
    begins = ends - encoded.unit_lengths
    moved: list[bool] = []
    for window in plan_windows(encoded, size, margin):
        for unit in range(window.first, window.last):
            start, stop = shifted_window(encoded, unit, window, size, margin)
            assert start <= unit < stop
            assert ends[stop - 1] - begins[start] <= size
            assert start == unit or begins[unit] - begins[start] >= min(margin, begins[unit]) - 16
            assert ends[stop - 1] - ends[unit] >= min(margin, ends[-1] - ends[unit]) - 16
            moved.append(bool(abs(begins[start] - begins[window.start]) > size // 8))
    assert np.mean(moved) > 0.7  # there is no elsewhere at the ends of a file


def test_second_windows_judge_the_leaf_that_is_asked_for() -> None:
    model = TableModel()
    scorer = Scorer(model, tiny_tokenizer())
    (_, long), (_, short) = to_score(SAMPLE), to_score("x = y")
    leaves = [s.leaf for s in scorer.score([long])[0]]
    places = [(long, leaf) for leaf in leaves] + [(short, 2)]
    assert [s.leaf for s in scorer.score_shifted(places)] == [*leaves, 2]
    assert scorer.score_shifted([]) == []


def test_second_windows_of_short_files_have_other_slots() -> None:
    seen: list[np.ndarray] = []

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append(arrays["slot_ids"].copy())
        shape = arrays["leaf_positions"].shape
        return np.zeros(shape, np.float32), np.zeros((*shape, count), np.float32)

    scorer = Scorer(TableModel(answer), tiny_tokenizer())
    _, short = to_score("x = y")
    scorer.score([short])
    scorer.score_shifted([(short, 2)])
    first, second = seen
    assert first.shape == second.shape
    assert (first > 0).tolist() == (second > 0).tolist()
    assert (first != second).any()
