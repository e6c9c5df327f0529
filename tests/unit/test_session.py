"""Sessions: what they find is what a fresh scan finds, at the price of a few windows."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemlm.alternatives import Context
from codemlm.calibration import Calibration, model_features
from codemlm.scanner import FileResult, Scanner, ScanOptions
from codemlm.scoring import Scorer
from codemlm.session import Session, SupersededError, View
from codemlm.source import Failure, SourceFile
from codemlm.tokenizer import LeafTokenizer
from tests.unit.fakes import SAMPLE, TableModel, tiny_tokenizer

PIECES = ["rows", "x", "(", ")", " ", "\n", "    ", "'", "#", "def f(a):\n", ".", "= 1", "é", ":"]


def near(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers that depend on all that a window shows near a leaf, and on its candidates."""
    shown = sum(
        arrays[name] * factor
        for name, factor in [
            ("input_ids", 1),
            ("role_ids", 3),
            ("slot_ids", 7),
            ("parent_ids", 13),
            ("grandparent_ids", 29),
        ]
    )
    around = np.pad(np.asarray(shown) * arrays["attention_mask"], ((0, 0), (20, 20)))
    places = np.maximum(arrays["leaf_positions"], 0)
    total = np.zeros(places.shape, np.int64)
    for step in range(41):
        total += (step + 1) * np.take_along_axis(around, places + step, axis=1)
    keep = (total % 10_007 / 1000 - 4).astype(np.float32)
    pieces = arrays["candidate_ids"]
    local = (pieces * np.arange(1, 9)).sum(axis=2) + 5 * arrays["candidate_slots"]
    padding = np.where(pieces[:, :, 0] == 0, -1e4, 0.0)
    logits = np.zeros((*places.shape, count), np.float32)
    width = local.shape[1]
    weights = 0.001 * (1 + total % 97)[:, :, None]
    logits[:, :, : count - width] = weights * (np.arange(count - width) * 17 % 1009)
    logits[:, :, count - width :] = weights * (local % 10_007)[:, None, :] + padding[:, None, :]
    return keep, logits


def make_scanner(tokenizer: LeafTokenizer | None = None) -> Scanner:
    scorer = Scorer(TableModel(near), tokenizer or tiny_tokenizer())
    return Scanner(scorer, Calibration(), ScanOptions(min_confidence=0.0))


def text_of(source: str) -> SourceFile:
    return SourceFile("a.py", source.encode("utf-8"), "utf-8", has_bom=False)


def essence(result: FileResult | Failure) -> list[object]:
    """The findings without the last digits, which depend on how windows share a pass."""
    assert isinstance(result, FileResult)
    return [
        (
            *(f.rule, f.span, f.leaf, f.text, f.edits, f.verified, f.other),
            *(round(value, 4) for value in (f.confidence, f.likelihood)),
            [(s.text, round(s.likelihood, 4)) for s in f.suggestions],
        )
        for f in sorted(result.findings, key=lambda f: f.leaf)
    ]


def edit(source: str, where: int, length: int, put: str) -> str:
    where %= len(source) + 1
    return source[:where] + put + source[where + length :]


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 30), st.sampled_from(PIECES)), max_size=8
    )
)
def test_after_any_edits_a_session_finds_what_a_fresh_scan_finds(
    edits: list[tuple[int, int, str]],
) -> None:
    session, source = Session(make_scanner()), SAMPLE
    for change in [None, *edits]:
        source = source if change is None else edit(source, *change)
        view = session.scan(text_of(source))
        assert isinstance(view, View)
        fresh = make_scanner()
        assert essence(view.result) == essence(fresh.scan_source(text_of(source)))
        assert all(leaf == score.leaf for leaf, score in view.scores.items())


def test_an_edit_costs_the_windows_that_see_it() -> None:
    session = Session(make_scanner())
    source = "\n".join(
        SAMPLE.replace("Grid", f"Grid{n}").replace("resize", f"resize{n}") for n in range(8)
    )
    session.scan(text_of(source))
    whole = session.scorer.passes
    place = source.index("total += value", len(source) // 2)
    costs = []
    for text in ["print()", "print(v)", "print(va)", "print(value)"]:
        before = session.scorer.passes
        typed = source[:place] + text + "\n                " + source[place:]
        session.scan(text_of(typed))
        costs.append(session.scorer.passes - before)
    assert sum(costs) < whole, (costs, whole)
    before = session.scorer.passes
    session.scan(text_of(source))  # undone: everything is remembered
    assert session.scorer.passes == before


def test_what_was_forgotten_is_scored_again() -> None:
    session, random_source = Session(make_scanner()), random.Random(0)
    session.scan(text_of(SAMPLE))
    first = session.scorer.passes
    for _ in range(6):
        name = "".join(random_source.choices("abcdefgh", k=9))
        session.scan(text_of(SAMPLE.replace("self", name)))
    before = session.scorer.passes
    session.scan(text_of(SAMPLE))
    assert session.scorer.passes == before + first


def test_a_scan_that_is_superseded_leaves_the_session_whole() -> None:
    session, calls = Session(make_scanner()), 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise SupersededError("a newer version")

    with pytest.raises(SupersededError):
        session.scan(text_of(SAMPLE), check)
    view = session.scan(text_of(SAMPLE))
    assert isinstance(view, View)
    assert essence(view.result) == essence(make_scanner().scan_source(text_of(SAMPLE)))


LONG = "import os\n\n" + "\n".join(
    SAMPLE.replace("Grid", f"Grid{n}").replace("resize", f"resize{n}") for n in range(6)
)


def test_a_first_look_comes_before_windows_that_only_moved() -> None:
    session = Session(make_scanner())
    early: list[View] = []
    session.scan(text_of(LONG), early=early.append)
    assert early == []  # there is nothing to go by yet
    edited = LONG.replace("import os\n", "import os\nLIMIT = 10\n", 1)
    passes: list[int] = []

    def look(first: View) -> None:
        early.append(first)
        passes.append(session.scorer.passes)

    view = session.scan(text_of(edited), early=look)
    assert isinstance(view, View)
    (first,) = early
    assert session.scorer.passes > passes[0], "a name in the reach of all concerns every window"
    assert first.parsed.source == view.parsed.source == edited.encode()
    assert first.scores.keys() == view.scores.keys()
    place = edited.encode().index(b"LIMIT")
    for leaf, score in view.scores.items():
        if abs(int(view.parsed.starts[leaf]) - place) < 40:
            assert first.scores[leaf] == score, "what holds the edit is not put off"
    assert essence(view.result) == essence(make_scanner().scan_source(text_of(edited)))


def test_without_much_to_wait_for_there_is_no_first_look() -> None:
    session, early = Session(make_scanner()), list[View]()
    session.scan(text_of(LONG), early=early.append)
    session.scan(text_of(LONG.replace("return default", "return row", 1)), early=early.append)
    assert early == []


def test_what_is_recalled_of_a_leaf_is_what_is_possible_there() -> None:
    session, drawn = Session(make_scanner()), random.Random(3)
    source = SAMPLE
    for _ in range(40):
        word = drawn.choice(["cols", "import cols\n", "self.total\n", "rows.limit\n", "fill=1, "])
        source = edit(source, drawn.randrange(len(source)), drawn.choice([0, 0, 4]), word)
        view = session.scan(text_of(source))
        assert isinstance(view, View)
        context = Context(view.parsed, session.scorer.common)
        scores = list(view.scores.values())
        recalled = session.scanner.recollection.of(context, scores)  # type: ignore[union-attr]
        for score, (found, features) in zip(scores, recalled, strict=True):
            assert found == context.possible(score.leaf, score.alternatives)
            role = view.parsed.leaf_roles[score.leaf]
            assert features == (model_features(role, score, found) if found else ())
