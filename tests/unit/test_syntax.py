"""Leaves, roles, scopes and positions of Python."""

from __future__ import annotations

import itertools

import pytest

from codemlm.errors import SourceError
from codemlm.positions import LineIndex
from codemlm.syntax import parse
from codemlm.types import Role, Span

# Each case: source, then the leaves whose role is of interest as text:role in source order.
CASES = [
    ("import a.b as c, d.e", "a:MODULE b:MODULE c:IMPORT d:IMPORT e:MODULE"),
    ("from a import b as c, d", "a:MODULE b:MODULE c:IMPORT d:IMPORT"),
    ("x = y", "x:BINDING y:READ"),
    ("x += y", "x:UPDATE +=:OPERATOR y:READ"),
    ("x: T = y", "x:BINDING T:TYPE y:READ"),
    ("(a, *b), c[i] = d", "a:BINDING b:BINDING c:READ i:READ d:READ"),
    ("o.x = o.y.z(p)", "o:READ x:ATTRIBUTE_BINDING o:READ y:ATTRIBUTE z:METHOD p:READ"),
    ("f(x, k=v)", "f:CALL x:READ k:KEYWORD_ARGUMENT v:READ"),
    ("def f(a, b: T = 1, *c, **d) -> R: pass", ("f:DEFINITION a:PARAMETER b:PARAMETER T:TYPE "
     "1:NUMBER c:PARAMETER d:PARAMETER R:TYPE")),
    ("class A(B, metaclass=M): pass", "A:DEFINITION B:READ metaclass:KEYWORD_ARGUMENT M:READ"),
    ("lambda p, q=r: p", "p:PARAMETER q:PARAMETER r:READ p:READ"),
    ("[y for x in z if x]", "y:READ x:BINDING z:READ x:READ"),
    ("with a as b: pass", "a:READ b:BINDING"),
    ("try: pass\nexcept E as e: pass", "E:READ e:BINDING"),
    ("a is not b", "a:READ is not:OPERATOR b:READ"),
    ("a not in b", "a:READ not in:OPERATOR b:READ"),
    ("not a and b", "not:OPERATOR a:READ and:OPERATOR b:READ"),
    ("x = -1 if True else None", "x:BINDING -:OPERATOR 1:NUMBER True:CONSTANT None:CONSTANT"),
    ("global g", "g:GLOBAL"),
    ("print(*a, **b)", "print:CALL a:READ b:READ"),
    ("(w := 3)", "w:BINDING 3:NUMBER"),
    ("match v:\n  case P(x=y) | [z, *w]: pass\n  case A.B: pass",
     "v:READ P:CALL x:KEYWORD_ARGUMENT y:BINDING z:BINDING w:BINDING A:READ B:ATTRIBUTE"),
    ("'a' 'b'", "'a':STRING 'b':STRING"),
    ("f'x{y!r:>{z}}'", "x:FSTRING y:READ z:READ"),
    ("# note\nx", "# note:COMMENT x:READ"),
]  # fmt: skip
QUIET = {Role.PUNCTUATION, Role.KEYWORD}


@pytest.mark.parametrize(("source", "expected"), CASES)
def test_roles(source: str, expected: str) -> None:
    leaves = [leaf for leaf in parse(source.encode()).leaves() if leaf.role not in QUIET]
    assert " ".join(f"{leaf.text}:{leaf.role.name}" for leaf in leaves) == expected


def test_scopes_hold_what_is_bound_in_them() -> None:
    source = (
        "import m\ndef f(a, *b):\n    c = [d for d in a if (e := d)]\n    global g\n    g = 1\n"
    )
    parsed = parse(source.encode())
    bound = [(s.kind, sorted(parsed.texts[t] for t in s.bindings)) for s in parsed.scopes]
    assert bound == [
        ("module", ["f", "m"]),
        ("function", ["a", "b", "c", "e", "g"]),
        ("comprehension", ["d"]),
    ]
    assert [parsed.texts[t] for t in parsed.scopes[1].outer] == ["g"]


def test_leaves_are_sorted_disjoint_and_inside() -> None:
    source = "def f(é, 名前='ß'):\n    return {é: f'{名前}'}  # ½\n".encode()
    leaves = parse(source).leaves()
    for leaf in leaves:
        assert source[leaf.span.start : leaf.span.end].decode() == leaf.text
    for left, right in itertools.pairwise(leaves):
        assert left.span.end <= right.span.start


def test_leaves_outside_an_error_remain() -> None:
    parsed = parse(b"x = 1\ny = = 2\nz = 3\n")
    assert parsed.has_error
    texts = [leaf.text for leaf in parsed.leaves()]
    assert texts[:3] == ["x", "=", "1"]
    assert texts[-3:] == ["z", "=", "3"]


def test_not_utf8_is_refused_with_the_place() -> None:
    with pytest.raises(SourceError, match="byte 5"):
        parse(b"x = '\xff'")


@pytest.mark.parametrize("source", [b"", b"\n\n", b"\xef\xbb\xbf", b"# only a comment"])
def test_files_without_code(source: bytes) -> None:
    assert all(leaf.role is Role.COMMENT for leaf in parse(source).leaves())


def test_deep_nesting_does_not_overflow() -> None:
    parsed = parse(b"x = " + b"(" * 3000 + b"1" + b")" * 3000)
    assert len(parsed) == 6003


def test_positions_count_code_points_and_utf16() -> None:
    source = "a\r\nx = '😀é' + y\rz\n".encode()
    index = LineIndex(source)
    at = source.index(b"y")
    position = index.position(at)
    assert (position.line, position.column, position.column_utf16) == (2, 12, 12)
    assert index.offset(2, 12) == at
    assert index.offset_utf16(2, 12) == at
    assert index.line_of(source.index(b"z")) == 3
    assert index.line_bytes(2) == "x = '😀é' + y".encode()


def test_span_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="not a span"):
        Span(3, 2)
