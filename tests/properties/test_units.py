"""Units cover the leaves, and their subtokens spell them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codemlm.syntax import parse
from codemlm.tokenizer import (
    CUT,
    DEDENT,
    INDENT,
    MAX_LEAF_PIECES,
    NEWLINE,
    SPECIALS,
    UNKNOWN,
)
from codemlm.types import RUN_ROLES
from codemlm.units import encode_with_texts, units_of
from tests.unit.fakes import tiny_tokenizer

from .strategies import any_text, examples, python_like

TOKENIZER = tiny_tokenizer()
SPELLING = {number: text for text, number in TOKENIZER.run_ids.items()}
runs = st.text(
    alphabet=st.sampled_from(f"{NEWLINE}{INDENT}{DEDENT}()[]{{}}.,:;=*@&|^~<>+-/%!\"'f`é"),
    max_size=16,
)


@examples(120)
@given(any_text)
def test_every_leaf_is_in_one_unit(text: str) -> None:
    parsed = parse(text.encode())
    units = units_of(parsed)
    merged = np.isin(parsed.roles, [int(role) for role in RUN_ROLES])
    assert [leaf for leaf in units.unit_leaf if leaf >= 0] == np.flatnonzero(~merged).tolist()
    shown = [units.texts[number] for number in units.unit_text]
    between = [""]  # what is merged before each leaf that stands alone, and after the last
    for index in range(len(parsed)):
        if merged[index]:
            between[-1] += parsed.text(index)
        else:
            between.append("")
    spelt = [""]
    for run, leaf, role in zip(shown, units.unit_leaf, units.unit_role, strict=True):
        if leaf >= 0:
            assert (run, role) == (parsed.text(leaf), parsed.roles[leaf])
            spelt.append("")
        else:
            assert role in RUN_ROLES
            assert not spelt[-1]  # two runs are never neighbours
            spelt[-1] = run
    layout = str.maketrans("", "", f"{NEWLINE}{INDENT}{DEDENT}")
    # A leaf may hold a line break itself; none of these characters is a leaf of its own.
    assert [run.translate(layout) for run in spelt] == [run.translate(layout) for run in between]
    assert units.unit_line == sorted(units.unit_line)
    everything = "".join(spelt)
    assert everything.count(DEDENT) <= everything.count(INDENT)


@examples(120)
@given(any_text)
def test_encoded_units_have_subtokens(text: str) -> None:
    parsed = parse(text.encode())
    encoded, texts = encode_with_texts(parsed, TOKENIZER)
    widths = np.diff(encoded.text_offsets)
    assert len(widths) == len(texts) == len(encoded.text_global) == len(encoded.text_is_name)
    assert (widths >= 1).all() and (widths <= MAX_LEAF_PIECES).all()
    assert (encoded.text_pieces < TOKENIZER.vocab_size).all()
    for leaf, number in zip(encoded.unit_leaf, encoded.unit_text, strict=True):
        assert leaf < 0 or texts[number] == parsed.text(leaf)
    for number, frequent in enumerate(encoded.text_global):
        assert frequent < 0 or TOKENIZER.frequent[frequent] == texts[number]
        assert not (encoded.text_is_run[number] and frequent >= 0)
    sets = np.diff(encoded.set_offsets)
    assert (sets > 0).all() and encoded.set_offsets[-1] == len(encoded.set_members)
    for column in (encoded.near, encoded.far):
        assert ((column >= -1) & (column < len(sets))).all()
        assert (encoded.unit_leaf[column >= 0] >= 0).all()
    for table in (encoded.swaps, encoded.negate[:, :1], encoded.negated, encoded.patches[:, :2]):
        assert ((table >= 0) & (table < len(encoded))).all()


@examples(200)
@given(runs)
def test_runs_are_spelt_by_their_subtokens(run: str) -> None:
    ids = TOKENIZER.run_pieces(run)
    assert len(ids) <= MAX_LEAF_PIECES
    assert bool(ids) == bool(run)
    position = 0
    for number in ids:
        piece = SPELLING.get(number, run[position])  # an unknown one stands for one character
        assert number == UNKNOWN or number in SPELLING
        assert run.startswith(piece, position)
        position += len(piece)
    assert position == len(run) or len(ids) == MAX_LEAF_PIECES


@examples(200)
@given(st.one_of(st.text(max_size=40), python_like))
def test_leaves_are_spelt_by_their_subtokens(text: str) -> None:
    ids = TOKENIZER.pieces(text)
    assert 1 <= len(ids) <= MAX_LEAF_PIECES
    assert ids == TOKENIZER.pieces(text)
    assert all(0 <= number < len(TOKENIZER.bpe) for number in ids)
    if not text:
        assert ids == (UNKNOWN,)
    elif ids[-1] == CUT:
        assert min(ids) >= CUT
    else:
        assert min(ids) >= len(SPECIALS)
        assert TOKENIZER.bpe.decode(list(ids)) == text
