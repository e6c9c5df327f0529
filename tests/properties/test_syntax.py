"""Leaves of any text, and positions in it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codemlm.errors import SourceError
from codemlm.injection import find_sites
from codemlm.positions import LineIndex
from codemlm.syntax import MAX_NODE_TYPES, ParsedFile, node_type_names, parse
from codemlm.types import Role
from codemlm.units import encode
from tests.unit.fakes import tiny_tokenizer

from .strategies import any_text, examples, modules, python_like

lined = st.text(alphabet=st.sampled_from("ab \té名🐍𐐀\u0301\u2028\x0c\x85\r\n"), max_size=40)


def check(parsed: ParsedFile) -> None:
    """What holds of the leaves of any file."""
    starts, ends, source = parsed.starts, parsed.ends, parsed.source
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    assert len(parsed) == 0 or (starts[0] >= 0 and ends[-1] <= len(source))
    for index in range(len(parsed)):
        assert parsed.text(index).encode() == source[starts[index] : ends[index]]
    for column in (parsed.kinds, parsed.parents, parsed.grandparents):
        assert (column < min(MAX_NODE_TYPES, len(node_type_names()))).all()
    assert set(parsed.roles.tolist()) <= set(Role) - {Role.NONE, Role.LAYOUT}
    assert ((parsed.scopes_of >= 0) & (parsed.scopes_of < len(parsed.scopes))).all()
    for node in np.unique(parsed.parent_nodes):
        inside = parsed.parent_nodes == node
        assert parsed.node_starts[node] <= starts[inside].min()
        assert ends[inside].max() <= parsed.node_ends[node]
    assert all(-1 <= parent < node for node, parent in enumerate(parsed.node_parents))
    assert all(-1 <= scope.parent < n for n, scope in enumerate(parsed.scopes))
    for scope in parsed.scopes:
        assert all(place in starts for place in scope.bindings.values())
    assert all(0 <= span.start <= span.end <= len(source) for span in parsed.error_spans)


@examples(150)
@example("return)0")  # no condition, but an error
@example("9" * 5000)  # more digits than int() takes
@given(st.one_of(st.text(max_size=60), python_like))
def test_leaves_of_any_text(text: str) -> None:
    parsed = parse(text.encode())
    check(parsed)
    encode(parsed, tiny_tokenizer(), find_sites(parsed))  # raises nothing, whatever the text


@examples(40)
@given(modules())
def test_leaves_of_python(source: str) -> None:
    parsed = parse(source.encode())
    check(parsed)
    assert not parsed.has_error
    left = bytearray(parsed.source)
    for start, end in zip(parsed.starts, parsed.ends, strict=True):
        left[start:end] = b" " * (end - start)
    assert not left.replace(b"\\\n", b"").replace(b"\\\r\n", b"").strip()  # leaves miss nothing


@examples(150)
@given(st.one_of(st.binary(max_size=60), lined.map(str.encode)), st.binary(max_size=3))
def test_bytes_are_parsed_or_refused(source: bytes, insert: bytes) -> None:
    source += insert
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        with pytest.raises(SourceError, match="not UTF-8"):
            parse(source)
    else:
        check(parse(source))


@examples(200)
@given(st.one_of(lined, any_text))
def test_positions_there_and_back(text: str) -> None:
    index = LineIndex(text.encode())
    offset = 0
    for number, line in enumerate(re.split("\r\n|\n|\r", text), start=1):
        assert index.line_bytes(number).decode() == line
        for column in range(len(line) + 1):
            place = index.position(offset)
            assert place.line == index.line_of(offset) == number
            assert place.column == column + 1
            assert place.column_utf16 == len(line[:column].encode("utf-16-le")) // 2
            assert index.offset(place.line, place.column) == offset
            assert index.offset_utf16(place.line, place.column_utf16) == offset
            offset += len(line[column : column + 1].encode())
        assert index.offset(number, len(line) + 99) == offset
        assert index.offset_utf16(number, 2 * len(line) + 99) == offset
        offset += 2 if text.encode()[offset : offset + 2] == b"\r\n" else 1
    assert number == len(index.starts)
