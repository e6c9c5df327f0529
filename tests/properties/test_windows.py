"""Windows of units: plans, masks, and the arrays made from them."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, example, given
from hypothesis import strategies as st

from codemlm.batches import NUM_SLOTS, Batch, WindowShape
from codemlm.masking import (
    KEPT,
    MASKED,
    NO_TARGET,
    PLAIN,
    SCORED_ROLES,
    TARGET_DELETE,
    TARGET_NEGATE,
    WRONG,
    MaskPolicy,
    WindowUnits,
    corrupt,
    show,
)
from codemlm.syntax import parse
from codemlm.tokenizer import MASK, MAX_LEAF_PIECES, MAX_PIECES
from codemlm.train.data import window_at
from codemlm.units import ENCODED_COLUMNS, EncodedFile, encode
from codemlm.windows import plan_windows, window_around
from tests.unit.fakes import tiny_tokenizer

from .strategies import any_text, examples, modules

TOKENIZER = tiny_tokenizer()
G = len(TOKENIZER.frequent)


def file_of(lengths: list[int], is_run: list[bool]) -> EncodedFile:
    """A file of units of such lengths, with nothing else to it."""
    columns = dict.fromkeys(ENCODED_COLUMNS, np.zeros(0, dtype=np.int32))
    columns["unit_text"] = np.arange(len(lengths), dtype=np.int32)
    columns["unit_role"] = np.zeros(len(lengths), dtype=np.uint8)
    columns["text_offsets"] = np.cumsum([0, *lengths], dtype=np.int32)
    columns["text_pieces"] = np.arange(sum(lengths), dtype=np.int32) % 7
    columns["text_is_run"] = np.array(is_run, dtype=bool)
    return EncodedFile(**columns)


units = st.lists(st.tuples(st.integers(1, MAX_LEAF_PIECES), st.booleans()), max_size=150)


@examples(200)
@example([(1, False)] * 10 + [(9, False)], 10, 4)  # the margin leaves no room for the last
@given(units, st.integers(1, 200), st.integers(0, 99))
def test_planned_windows_judge_every_unit_once(
    unit: list[tuple[int, bool]], size: int, margin: int
) -> None:
    assume(2 * margin < size)
    file = file_of([length for length, _ in unit], [run for _, run in unit])
    ends = np.cumsum([0, *(length for length, _ in unit)])
    windows = plan_windows(file, size, margin)
    judged = [number for window in windows for number in range(window.first, window.last)]
    assert judged == list(range(len(unit)))
    for number, window in enumerate(windows):
        assert 0 <= window.start <= window.first < window.last <= window.stop <= len(unit)
        length = ends[window.stop] - ends[window.start]
        assert length <= size or window.stop == window.start + 1
        if number:
            assert window.start > windows[number - 1].start


@examples(200)
@example([(2, False), (1, False), (10, False), (12, False)], 24, 3)  # no room for a part of one
@given(units.filter(len), st.integers(2 * MAX_LEAF_PIECES, 200), st.integers(0, 10_000))
def test_windows_around_units_and_offsets(
    unit: list[tuple[int, bool]], size: int, place: int
) -> None:
    file = file_of([length for length, _ in unit], [run for _, run in unit])
    total = int(file.unit_lengths.sum())
    middle = place % len(unit)
    start, stop = window_around(file, middle, size)
    assert 0 <= start <= middle < stop <= len(file)
    length = file.unit_lengths[start:stop].sum()
    assert min(total, size) - 2 * MAX_LEAF_PIECES < length <= size
    start, stop = window_at(file, place % total, size)
    assert 0 <= start < stop <= len(file)
    assert not start or file.unit_lengths[start:stop].sum() >= size


def restored(window: WindowUnits) -> list[int]:
    """Texts of the units before they were corrupted."""
    texts: list[int] = []
    for text, target in zip(window.text.tolist(), window.target.tolist(), strict=True):
        if target == TARGET_DELETE:
            continue
        if target == TARGET_NEGATE:
            texts.append(0)
        texts.append(target if target >= 0 else text)
    return texts


policies = st.builds(
    MaskPolicy,
    mask_rate=st.sampled_from((0.0, 0.2, 0.6)),
    clear_windows=st.sampled_from((0.0, 0.3, 1.0)),
    wrong_rate=st.sampled_from((0.0, 0.06, 0.5)),
)
seeds = st.integers(0, 2**32)


@examples(80)
@given(st.one_of(any_text, modules()), policies, seeds, st.data())
def test_targets_restore_what_was_there(
    text: str, policy: MaskPolicy, seed: int, data: st.DataObject
) -> None:
    file = encode(parse(text.encode()), TOKENIZER)
    start = data.draw(st.integers(0, len(file)))
    stop = data.draw(st.integers(start, len(file)))
    before = show(file, start, stop)
    window = corrupt(file, start, stop, policy, np.random.default_rng(seed))
    assert restored(window) == before.text.tolist()
    assert ((window.target == NO_TARGET) == (window.state == PLAIN)).all()
    assert (window.text[window.state == KEPT] == window.target[window.state == KEPT]).all()
    assert (window.text[window.state == MASKED] == window.target[window.state == MASKED]).all()
    replaced = (window.state == WRONG) & (window.target >= 0)
    assert (window.text[replaced] != window.target[replaced]).all()
    if policy.clear_windows == 1:
        assert not (window.state == MASKED).any()
    again = corrupt(file, start, stop, policy, np.random.default_rng(seed))
    assert (again.text == window.text).all() and (again.state == window.state).all()


shapes = st.builds(
    WindowShape,
    subtokens=st.integers(1, 300),
    leaves=st.integers(1, 100),
    selected=st.integers(1, 40),
    candidates=st.integers(1, 100),
)


@examples(80)
@given(modules(), policies, shapes, seeds)
def test_batches_hold_what_the_windows_hold(
    source: str, policy: MaskPolicy, shape: WindowShape, seed: int
) -> None:
    file = encode(parse(source.encode()), TOKENIZER)
    rng = np.random.default_rng(seed)
    window = corrupt(file, 0, len(file), policy, rng)
    batch = Batch(1, shape, G)
    fitted = batch.fill(0, file, window, rng)
    row = {name: array[0] for name, array in batch.arrays.items()}
    window = window.take(slice(0, fitted))
    widths = np.diff(file.text_offsets)[window.text]
    widths[window.state == MASKED] = 1
    begins = np.cumsum(widths) - widths
    total = int(widths.sum())
    check_inputs(file, window, row, begins, total)
    check_judged(window, batch, row, begins)
    check_selected(file, window, batch, row, begins)


def check_inputs(
    file: EncodedFile,
    window: WindowUnits,
    row: dict[str, np.ndarray],
    begins: np.ndarray,
    total: int,
) -> None:
    """Subtokens are those of the units, and a masked leaf shows nothing of itself."""
    assert row["attention_mask"].tolist() == [n < total for n in range(len(row["input_ids"]))]
    for name in ("input_ids", "role_ids", "slot_ids", "parent_ids", "grandparent_ids"):
        assert not row[name][total:].any()
    slot_of: dict[int, int] = {}
    for text, state, role, begin in zip(
        window.text.tolist(), window.state, window.role, begins, strict=True
    ):
        pieces = file.text_pieces[file.text_offsets[text] : file.text_offsets[text + 1]]
        if state == MASKED:
            assert (row["input_ids"][begin], row["slot_ids"][begin]) == (MASK, 0)
            pieces = pieces[:1]
        else:
            assert (row["input_ids"][begin : begin + len(pieces)] == pieces).all()
            slots = set(row["slot_ids"][begin : begin + len(pieces)].tolist())
            assert slots == {slot_of.setdefault(text, row["slot_ids"][begin])}
        assert (row["role_ids"][begin : begin + len(pieces)] == role).all()
    assert (row["input_ids"] == MASK).sum() == (window.state == MASKED).sum()
    slotted = [slot for slot in slot_of.values() if slot]
    assert len(slotted) == len(set(slotted))
    assert all(0 < slot < NUM_SLOTS for slot in slotted)


def check_judged(
    window: WindowUnits, batch: Batch, row: dict[str, np.ndarray], begins: np.ndarray
) -> None:
    """The gate is asked about shown leaves, in order, and told which are wrong."""
    scored = np.isin(window.role, list(SCORED_ROLES)) & (window.state != MASKED)
    expected = np.flatnonzero(scored)[: batch.shape.leaves]
    count = len(expected)
    assert row["leaf_positions"][:count].tolist() == begins[expected].tolist()
    assert (row["leaf_positions"][count:] == -1).all()
    assert row["keep_targets"][:count].tolist() == (window.state[expected] != WRONG).tolist()
    assert batch.leaf_text[0, :count].tolist() == window.text[expected].tolist()


def check_selected(
    file: EncodedFile,
    window: WindowUnits,
    batch: Batch,
    row: dict[str, np.ndarray],
    begins: np.ndarray,
) -> None:
    """Targets are candidates that compete, spelt as the leaf that is meant."""
    unit_at = {int(begin): unit for unit, begin in enumerate(begins)}
    frequent = TOKENIZER.frequent_pieces()
    local = batch.candidate_text[0]
    assert ((row["candidate_ids"][:, 0] > 0) == (local >= 0)).all()
    assert len(set(local[local >= 0].tolist())) == (local >= 0).sum()
    given = row["targets"] != -100
    assert (given == (row["selected_positions"] >= 0)).all()
    for target, shown, position in zip(
        row["targets"][given], row["shown"][given], row["selected_positions"][given], strict=True
    ):
        unit = unit_at[int(position)]
        assert window.state[unit] != PLAIN
        assert (shown == -1) or window.state[unit] != MASKED
        assert shown != target or window.state[unit] == KEPT
        meant = int(window.target[unit])
        for number, text in ((target, meant), (shown, int(window.text[unit]))):
            assert number < G + len(local)
            if number >= G:
                assert local[number - G] == text
                pieces = file.text_pieces[file.text_offsets[text] : file.text_offsets[text + 1]]
                spelt = row["candidate_ids"][number - G]
                assert spelt[: len(pieces)].tolist() == pieces[:MAX_PIECES].tolist()
            elif number >= 2:
                pieces = file.text_pieces[file.text_offsets[text] : file.text_offsets[text + 1]]
                assert frequent[number][: len(pieces)].tolist() == pieces[:MAX_PIECES].tolist()
                assert number not in row["candidate_global"]  # each text competes once
            elif number >= 0:
                assert text == (TARGET_DELETE, TARGET_NEGATE)[number]
