"""Windows over a file, and likelihoods from logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from codemlm.masking import SCORED_ROLES
from codemlm.scoring import Scorer
from codemlm.tokenizer import MASK
from codemlm.types import Role
from codemlm.windows import plan_windows, window_around

from .fakes import SAMPLE, TableModel, tiny_tokenizer, to_score


@pytest.mark.parametrize(("size", "margin"), [(64, 16), (64, 0), (48, 20), (10_000, 100)])
def test_windows_judge_every_unit_once_with_context(size: int, margin: int) -> None:
    _, file = to_score(SAMPLE * 5)
    encoded = file.encoded
    ends = np.cumsum(encoded.unit_lengths)
    begins = ends - encoded.unit_lengths
    windows = plan_windows(encoded, size, margin)
    judged = np.concatenate([np.arange(w.first, w.last) for w in windows])
    assert (judged == np.arange(len(encoded))).all()
    for window in windows:
        assert window.start <= window.first < window.last <= window.stop
        assert ends[window.stop - 1] - begins[window.start] <= size
        widest = int(encoded.unit_lengths.max())
        if window.start:
            assert begins[window.first] - begins[window.start] >= margin // 2 - widest
        if window.stop < len(encoded):
            assert ends[window.stop - 1] - ends[window.last - 1] >= margin


def test_windows_of_an_empty_file() -> None:
    _, file = to_score("")
    assert plan_windows(file.encoded, 64, 16) == []
    with pytest.raises(ValueError, match="margin"):
        plan_windows(file.encoded, 64, 32)


def test_window_around_holds_its_unit_and_fits() -> None:
    _, file = to_score(SAMPLE * 3)
    ends = np.cumsum(file.encoded.unit_lengths)
    for unit in range(0, len(file.encoded), 7):
        start, stop = window_around(file.encoded, unit, 64)
        assert start <= unit < stop
        assert ends[stop - 1] - (ends[start - 1] if start else 0) <= 64


def favour(*candidates: int) -> TableModel:
    """A model that gives the i-th candidate a logit of -i, all others -20, and keep 1/4."""

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        shape = arrays["leaf_positions"].shape
        logits = np.full((*shape, count), -20.0, np.float32)
        for rank, candidate in enumerate(candidates):
            logits[..., candidate] = -rank
        return np.full(shape, -np.log(3.0), np.float32), logits

    return TableModel(answer)


def test_scores_are_a_distribution_over_leaves() -> None:
    parsed, file = to_score("def f(a, b):\n    return a < b\n")
    tokenizer = tiny_tokenizer()
    less, equal = tokenizer.frequent_id("<"), tokenizer.frequent_id("==")
    scores = Scorer(favour(less, equal), tokenizer).score([file])[0]
    assert [s.leaf for s in scores] == sorted(s.leaf for s in scores)
    judged = {parsed.text(s.leaf): s for s in scores}
    assert set(judged) == {"a", "b", "<"}
    operator = judged["<"]
    assert operator.likelihood == pytest.approx(0.25)
    assert operator.alternatives[0].text == "=="
    # == is all but alone once < is left out, so it has nearly all of 1 - keep.
    assert operator.alternatives[0].likelihood == pytest.approx(0.75, abs=1e-3)
    assert operator.logp_shown == pytest.approx(-np.log1p(np.exp(-1)), abs=1e-3)
    for score in scores:
        total = score.likelihood + sum(a.likelihood for a in score.alternatives)
        assert total <= 1 + 1e-6


def test_masked_scores_hide_the_leaf_and_are_its_softmax() -> None:
    parsed, file = to_score("def f(a, b):\n    return a < b\n")
    tokenizer = tiny_tokenizer()
    seen: list[int] = []
    inner = favour(tokenizer.frequent_id("<"), tokenizer.frequent_id("=="))

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        positions = arrays["leaf_positions"][:, 0]
        seen.extend(arrays["input_ids"][np.arange(len(positions)), positions].tolist())
        assert inner.answer is not None
        return inner.answer(arrays, count)

    leaf = next(i for i in range(len(parsed)) if parsed.text(i) == "<")
    score = Scorer(TableModel(answer), tokenizer).score_masked(file, [leaf])[0]
    assert seen == [MASK]
    assert score.leaf == leaf
    assert score.likelihood == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-3)
    assert np.isnan(score.keep_logit)


def test_many_files_share_passes_and_keep_their_scores_apart() -> None:
    sources = [SAMPLE, "x = y\n", "", "def f(a):\n    return a\n"]
    files = [to_score(source) for source in sources]

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        shape = arrays["leaf_positions"].shape
        logits = np.full((*shape, count), -1e4, np.float32)
        known = count - arrays["candidate_ids"].shape[1]
        logits[..., :known] = -np.arange(known) / 8  # padding gets nothing, as in the real model
        return np.full(shape, 1.0, np.float32), logits

    scorer = Scorer(TableModel(answer), tiny_tokenizer(), batch_windows=3)
    together = scorer.score([file for _, file in files])
    for (parsed, file), scores in zip(files, together, strict=True):
        assert scores == scorer.score([file])[0]
        expected = [i for i in range(len(parsed)) if Role(int(parsed.roles[i])) in SCORED_ROLES]
        assert [s.leaf for s in scores] == expected


def test_padding_is_trimmed_to_the_batch() -> None:
    _, file = to_score("x = y\n")
    model = TableModel()
    Scorer(model, tiny_tokenizer()).score([file])
    assert model.calls == [(1, int(file.encoded.unit_lengths.sum()))]
