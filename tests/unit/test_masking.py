"""Tokenizer, units, masks and batches: what training and scanning share."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codemlm.batches import Batch, WindowShape
from codemlm.errors import ModelError
from codemlm.injection import Sites
from codemlm.masking import (
    KEPT,
    MASK_WEIGHTS,
    MASKED,
    NO_TARGET,
    TARGET_DELETE,
    TARGET_NEGATE,
    TORN,
    WRONG,
    MaskPolicy,
    WindowUnits,
    corrupt,
    mask_weights,
    show,
)
from codemlm.syntax import parse
from codemlm.tokenizer import CUT, MASK, MAX_LEAF_PIECES, MAX_PIECES, LeafTokenizer
from codemlm.types import Role
from codemlm.units import EncodedFile, encode, encode_with_texts, units_of

from .fakes import SAMPLE, tiny_tokenizer

QUIET = MaskPolicy(mask_rate=0.0, clear_windows=0.0, wrong_rate=0.0)


@pytest.fixture(scope="module")
def encoded() -> EncodedFile:
    return encode(parse(SAMPLE.encode()), tiny_tokenizer())


def texts_of(source: str) -> list[str]:
    units = units_of(parse(source.encode()))
    return [units.texts[i] for i in units.unit_text]


def test_punctuation_and_layout_merge_into_runs() -> None:
    source = "def f(a):\n    if a:\n        return (a, [\n 1])\nf(1)\n"
    assert texts_of(source) == [
        "def", "f", "(", "a", "):\n\u21e5", "if", "a", ":\n\u21e5", "return", "(", "a", ",[", "1",
        "])\n\u21e4\u21e4", "f", "(", "1", ")",
    ]  # fmt: skip


def test_comments_do_not_move_the_indentation() -> None:
    assert texts_of("if a:\n    b\n# c\n    d\n")[-4:] == ["\n", "# c", "\n", "d"]


def test_pieces_are_cut_cached_and_never_empty() -> None:
    tokenizer = tiny_tokenizer()
    long = tokenizer.pieces("'" + "x1y2z3" * 20 + "'")
    assert len(long) == MAX_LEAF_PIECES
    assert long[-1] == CUT
    assert tokenizer.pieces("self") is tokenizer.pieces("self")
    assert all(tokenizer.pieces(text) for text in ("é", "名前", "\x00", ""))
    assert max(tokenizer.run_ids.values()) == tokenizer.vocab_size - 1


def test_unknown_runs_fall_apart_into_known_ones() -> None:
    tokenizer = tiny_tokenizer()
    runs = {i: run for run, i in tokenizer.run_ids.items()}
    ids = tokenizer.run_pieces("}}):\n\u21e5")
    assert "".join(runs[i] for i in ids) == "}}):\n\u21e5"
    assert len(tokenizer.run_pieces("):\n\u21e5")) == 1


def test_tokenizer_survives_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tiny_tokenizer().save(path)
    again = LeafTokenizer.load(path)
    assert again.pieces("diagonal") == tiny_tokenizer().pieces("diagonal")
    assert again.frequent == tiny_tokenizer().frequent
    assert (again.frequent_pieces() == tiny_tokenizer().frequent_pieces()).all()


@pytest.mark.parametrize("content", [None, "", "{}", '{"bpe": 1, "runs": [], "frequent": []}'])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        LeafTokenizer.load(path)


def test_encoding_without_sites_changes_no_unit(encoded: EncodedFile) -> None:
    bare, texts = encode_with_texts(parse(SAMPLE.encode()), tiny_tokenizer(), Sites())
    for name in ("unit_text", "unit_role", "unit_parent", "unit_grandparent", "unit_leaf"):
        assert (getattr(bare, name) == getattr(encoded, name)).all()
    assert len(texts) == len(bare.text_global)
    assert (bare.near == -1).all()


def test_ratios_of_selection_are_80_10_10(encoded: EncodedFile) -> None:
    policy = MaskPolicy(mask_rate=0.3, clear_windows=0.0, wrong_rate=0.0)
    has_site = (encoded.near >= 0) | (encoded.far >= 0)
    counts = np.zeros(4)
    for seed in range(300):
        window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(seed))
        counts += np.bincount(window.state[has_site], minlength=4)
    masked, wrong, kept = counts[[MASKED, WRONG, KEPT]] / counts[1:].sum()
    # About 11,000 selected leaves: three standard deviations are 0.011 and 0.009.
    assert masked == pytest.approx(0.8, abs=0.02)
    assert wrong == pytest.approx(0.1, abs=0.015)
    assert kept == pytest.approx(0.1, abs=0.015)


def test_rates_of_selection_follow_the_roles(encoded: EncodedFile) -> None:
    policy = MaskPolicy(mask_rate=0.4, clear_windows=0.0, wrong_rate=0.0)
    chosen = np.zeros(len(encoded))
    for seed in range(400):
        window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(seed))
        chosen += window.state != 0
    for role in (Role.READ, Role.OPERATOR, Role.PARAMETER, Role.KEYWORD, Role.PUNCTUATION):
        share = chosen[encoded.unit_role == role].mean() / 400
        assert share == pytest.approx(0.4 * MASK_WEIGHTS.get(role, 0.0), abs=0.03)


def test_clear_windows_hold_no_mask(encoded: EncodedFile) -> None:
    policy = MaskPolicy(clear_windows=1.0, wrong_rate=0.1)
    for seed in range(20):
        window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(seed))
        assert not (window.state == MASKED).any()


def test_unmasking_gives_back_the_original(encoded: EncodedFile) -> None:
    original = show(encoded, 0, len(encoded))
    policy = MaskPolicy(mask_rate=0.5, clear_windows=0.0, wrong_rate=0.0)
    window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(5))
    changed = window.state != 0
    window.text[changed] = window.target[changed]
    assert (window.text == original.text).all()
    assert (window.role == original.role).all()


def test_negations_are_added_and_dropped_with_their_syntax() -> None:
    """A corrupted window looks to the model just as the rewritten file would."""
    plain = "def f(a, b, c):\n    if a.b:\n        return 0\n    return b, a, c, a, b, c, a, b\n"
    negated = plain.replace("if a", "if not a")
    tokenizer = tiny_tokenizer()
    for source, other, target in (
        (plain, negated, TARGET_DELETE),
        (negated, plain, TARGET_NEGATE),
    ):
        file, texts = encode_with_texts(parse(source.encode()), tokenizer)
        goal, goal_texts = encode_with_texts(parse(other.encode()), tokenizer)
        for seed in range(2000):
            window = corrupt(
                file, 0, len(file), dataclasses.replace(QUIET, wrong_rate=0.1),
                np.random.default_rng(seed),
            )  # fmt: skip
            if (window.target == target).any() and (window.state == WRONG).sum() == 1:
                break
        else:
            pytest.fail("no window with this mistake alone")
        assert [texts[t] for t in window.text] == [goal_texts[t] for t in goal.unit_text]
        assert (window.parent == goal.unit_parent).all()
        assert (window.grandparent == goal.unit_grandparent).all()
        assert (window.role == goal.unit_role).all()


def fill(window: WindowUnits, file: EncodedFile, shape: WindowShape) -> Batch:
    batch = Batch(1, shape, len(tiny_tokenizer().frequent))
    batch.fill(0, file, window, np.random.default_rng(0))
    return batch


def test_a_batch_spells_the_window(encoded: EncodedFile) -> None:
    shape = WindowShape(1024, 400, 100, 200)
    batch = fill(show(encoded, 0, len(encoded)), encoded, shape)
    total = int(encoded.unit_lengths.sum())
    pieces = [
        encoded.text_pieces[encoded.text_offsets[t] : encoded.text_offsets[t + 1]]
        for t in encoded.unit_text
    ]
    assert (batch.arrays["input_ids"][0, :total] == np.concatenate(pieces)).all()
    assert not batch.arrays["input_ids"][0, total:].any()
    assert batch.arrays["attention_mask"][0].sum() == total
    assert (batch.arrays["targets"] == -100).all()


def test_masked_leaves_are_one_mask_without_text_or_slot(encoded: EncodedFile) -> None:
    policy = MaskPolicy(mask_rate=0.5, clear_windows=0.0, wrong_rate=0.0, masked=1.0, wrong=0.0)
    window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(1))
    batch = fill(window, encoded, WindowShape(1024, 400, 400, 200))
    masks = batch.arrays["input_ids"][0] == MASK
    assert masks.sum() == (window.state == MASKED).sum()
    assert not batch.arrays["slot_ids"][0, masks].any()
    assert not masks[batch.arrays["leaf_positions"][batch.arrays["leaf_positions"] >= 0]].any()


def test_targets_name_the_true_leaf(encoded: EncodedFile) -> None:
    tokenizer = tiny_tokenizer()
    policy = MaskPolicy(mask_rate=0.5, clear_windows=0.0, wrong_rate=0.05)
    window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(2))
    batch = fill(window, encoded, WindowShape(1024, 400, 400, 200))
    widths = np.diff(encoded.text_offsets)[window.text]
    widths[window.state == MASKED] = 1
    unit_at = {int(p): i for i, p in enumerate(np.cumsum(widths) - widths)}
    frequent = tokenizer.frequent_pieces()
    seen = 0
    for position, target in zip(
        batch.arrays["selected_positions"][0], batch.arrays["targets"][0], strict=True
    ):
        if target < 0:
            continue
        unit = unit_at[int(position)]
        text = int(window.target[unit])
        if text < 0:
            assert (text, target) in ((TARGET_DELETE, 0), (TARGET_NEGATE, 1))
            continue
        begin, end = encoded.text_offsets[text : text + 2]
        spelt = encoded.text_pieces[begin:end][:MAX_PIECES]
        row = frequent[target] if target < len(frequent) else None
        if row is None:
            row = batch.arrays["candidate_ids"][0, target - len(frequent)]
        assert (row[: len(spelt)] == spelt).all()
        seen += 1
    assert seen > 30


def test_a_name_has_one_slot_and_its_candidate_has_it_too(encoded: EncodedFile) -> None:
    window = show(encoded, 0, len(encoded))
    batch = fill(window, encoded, WindowShape(1024, 400, 100, 200))
    widths = np.diff(encoded.text_offsets)[window.text]
    slots = batch.arrays["slot_ids"][0, np.cumsum(widths) - widths]
    for text in np.unique(window.text[encoded.text_is_name[window.text]]):
        used = set(slots[window.text == text].tolist())
        row = int(np.flatnonzero(batch.candidate_text[0] == text)[0])
        assert used == {int(batch.arrays["candidate_slots"][0, row])}
        assert 0 not in used


def test_units_past_the_window_are_left_out(encoded: EncodedFile) -> None:
    batch = fill(show(encoded, 0, len(encoded)), encoded, WindowShape(32, 4, 2, 8))
    assert batch.arrays["leaf_positions"].max() < 32
    assert (batch.arrays["candidate_ids"][0, :, 0] > 0).sum() == 8


def test_targets_are_set_where_units_are_selected(encoded: EncodedFile) -> None:
    policy = MaskPolicy(mask_rate=0.3, wrong_rate=0.1)
    for seed in range(30):
        window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(seed))
        selected = window.target != NO_TARGET
        assert (window.state[selected] != 0).all()
        assert (window.target[window.state == MASKED] == window.text[window.state == MASKED]).all()


PIECES = MaskPolicy(
    mask_rate=0.4, clear_windows=0.0, wrong_rate=0.0, pieces=tiny_tokenizer().vocab_size
)


def test_torn_leaves_hide_as_many_subtokens_as_masked_ones(encoded: EncodedFile) -> None:
    plain = show(encoded, 0, len(encoded))
    widths = np.diff(encoded.text_offsets)[plain.text]
    gather = np.concatenate(
        [np.arange(*encoded.text_offsets[t : t + 2]) for t in plain.text.tolist()]
    )
    original = encoded.text_pieces[gather].astype(np.int64)
    is_run = np.repeat(encoded.text_is_run[plain.text], widths)
    masks = changed = 0
    for seed in range(200):
        window = corrupt(encoded, 0, len(encoded), PIECES, np.random.default_rng(seed))
        assert window.subtokens is not None
        assert len(window.subtokens) == len(original)
        masks += int((window.subtokens == MASK).sum())
        changed += int((window.subtokens != original).sum())
        assert (window.subtokens == original)[is_run].all()
        units = np.unique(np.repeat(np.arange(len(widths)), widths)[window.subtokens == MASK])
        assert (window.state[units] == TORN).all()
        assert (window.target[units] == window.text[units]).all()
    expected = 200 * PIECES.mask_rate * (mask_weights(plain.role) * widths).sum()
    assert masks / expected == pytest.approx(PIECES.masked, abs=0.02)
    assert changed / expected == pytest.approx(PIECES.masked + PIECES.wrong, abs=0.02)


def test_subtokens_of_a_leaf_are_hidden_independently(encoded: EncodedFile) -> None:
    hidden = []
    for seed in range(200):
        window = corrupt(encoded, 0, len(encoded), PIECES, np.random.default_rng(seed))
        assert window.subtokens is not None
        widths = np.diff(encoded.text_offsets)[window.text]
        begins = np.cumsum(widths) - widths
        two = begins[(widths == 2) & ~encoded.text_is_run[window.text]]
        pairs = np.stack([window.subtokens[two], window.subtokens[two + 1]]) == MASK
        hidden.append([*pairs.mean(axis=1).tolist(), pairs.all(axis=0).mean()])
    first, second, both = np.mean(hidden, axis=0)
    assert first == pytest.approx(second, rel=0.15)
    assert both == pytest.approx(first * second, rel=0.3)


def test_torn_leaves_show_no_slot_and_are_not_judged(encoded: EncodedFile) -> None:
    window = corrupt(encoded, 0, len(encoded), PIECES, np.random.default_rng(3))
    batch = fill(window, encoded, WindowShape(1024, 400, 400, 200))
    assert window.subtokens is not None
    total = len(window.subtokens)
    assert (batch.arrays["input_ids"][0, :total] == window.subtokens).all()
    widths = np.diff(encoded.text_offsets)[window.text]
    begins = np.cumsum(widths) - widths
    torn = np.repeat(window.state == TORN, widths)
    assert torn.sum() > 20
    assert not batch.arrays["slot_ids"][0, :total][torn].any()
    judged = batch.arrays["leaf_positions"]
    assert not torn[judged[judged >= 0]].any()
    chosen = batch.arrays["targets"][0] >= 0
    positions = batch.arrays["selected_positions"][0, chosen]
    assert np.isin(positions, begins).all()
    assert ((batch.arrays["shown"][0, chosen] < 0) == torn[positions]).all()


def test_clear_windows_tear_nothing(encoded: EncodedFile) -> None:
    policy = dataclasses.replace(PIECES, clear_windows=1.0)
    window = corrupt(encoded, 0, len(encoded), policy, np.random.default_rng(0))
    assert window.subtokens is not None
    assert not (window.subtokens == MASK).any()
    assert set(window.state.tolist()) == {0, KEPT}
    assert ((window.target != NO_TARGET) == (window.state == KEPT)).all()
