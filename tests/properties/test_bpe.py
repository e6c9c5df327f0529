"""The BPE in plain Python gives what the tokenizers library gives."""

from __future__ import annotations

import json
import keyword
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from codemlm.backend import default_model_path
from codemlm.bpe import ALPHABET, Bpe
from codemlm.manifest import TOKENIZER as FILE
from codemlm.tokenizer import MASK, SPECIALS
from tests.unit.fakes import SAMPLE, tiny_tokenizer

TINY = tiny_tokenizer().bpe
LIBRARY = Tokenizer.from_str(json.dumps(TINY.facts))
WORDS = st.sampled_from(
    [*SAMPLE.split(), *keyword.kwlist, "日本語", "éé", "\U0001d518", "\u2028", "\x1c \x85"]
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(WORDS, max_size=12).flatmap(
        lambda w: st.sampled_from(["", " "]).map(lambda s: s.join(w))
    ),
)


@given(TEXTS)
def test_encoding_is_the_librarys(text: str) -> None:
    if not any(special in text for special in SPECIALS):
        assert TINY.encode(text) == LIBRARY.encode(text, add_special_tokens=False).ids


@given(TEXTS)
def test_decoding_gives_the_text_back(text: str) -> None:
    assert TINY.decode(TINY.encode(text)) == text


def test_names_of_special_pieces_are_text() -> None:
    assert MASK not in TINY.encode("'[MASK]'")
    assert TINY.decode(TINY.encode("'[MASK]'")) == "'[MASK]'"
    assert TINY.decode([MASK]) == "[MASK]"


def test_the_shipped_table_encodes_as_the_library_does() -> None:
    facts = json.loads((default_model_path() / FILE).read_text("utf-8"))["bpe"]
    ours, library = Bpe(facts), Tokenizer.from_str(json.dumps(facts))
    names = sorted({name for module in list(sys.modules.values()) for name in dir(module)})
    for text in [*names, SAMPLE, *ALPHABET, __doc__ or "", "日本" * 100, "=" * 200, "é" * 201]:
        assert ours.encode(text) == library.encode(text, add_special_tokens=False).ids, text


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"model": {}},
        {**TINY.facts, "pre_tokenizer": {"pretokenizers": [{"pattern": {"Regex": "x"}}]}},
        {**TINY.facts, "model": {**TINY.facts["model"], "type": "Unigram"}},
        {**TINY.facts, "model": {**TINY.facts["model"], "merges": [["a"]]}},
        {**TINY.facts, "model": {**TINY.facts["model"], "merges": [["zz", "zz"]]}},
        {**TINY.facts, "model": {**TINY.facts["model"], "vocab": {"a": 0}}},
    ],
)
def test_what_is_no_table_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"merges|BPE|unpack"):
        Bpe(facts)
