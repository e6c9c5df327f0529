"""The exact rules of forms: expressions that cannot be meant, and others that look like them."""

from __future__ import annotations

import pytest

from codemlm.alternatives import Context
from codemlm.calibration import Calibration
from codemlm.confidence import Doubts
from codemlm.exact import CONFIDENCE, DOUBTFUL, exact_findings
from codemlm.findings import Finding, judge
from codemlm.rules import (
    ACCIDENTAL_TUPLE,
    ASSERTION_MESSAGE,
    BUILTIN_VALUE,
    COMPARISON_STATEMENT,
    CONSTANT_CONDITION,
    CONTRADICTION,
    COPIED_ARGUMENT,
    CROSSED_ARGUMENTS,
    FOREIGN_SUPER,
    LITERAL_IDENTITY,
    LOG_ARGUMENTS,
    MISSING_COMMA,
    MISSING_F_PREFIX,
    RAISED_VALUE,
    REPEATED_CONDITION,
    REPEATED_OPERAND,
    RETURNED_EXCEPTION,
    RULES,
    TEXT_MEMBERSHIP,
    UNCALLED_METHOD,
    UNFORMATTED_EXCEPTION,
    UNKNOWN,
    UNRAISED_EXCEPTION,
)
from codemlm.syntax import parse
from codemlm.types import DELETE_TEXT


def found(source: str) -> list[tuple[str, str, tuple[str, ...] | None]]:
    """Rule, leaf and candidates of what the rules of forms find, in source order."""
    parsed = parse(source.encode() + b"\n")
    exact = sorted(exact_findings(parsed).items())
    return [
        (one.rule, parsed.text(leaf), one.candidates)
        for leaf, one in exact
        if one.rule not in UNKNOWN
    ]


CLASSES = "from m import Row, Base\nclass Cell(Base):\n    def f(self, x):\n        "
FUNCTION = "def move(source, target, depth=1): pass\n"
METHOD = "class A:\n    def ready(self): pass\n    def f(self, x):\n        "
OWN_ERROR = "class BaseError(Exception): pass\nclass LateError(BaseError):\n    code = 1\n"

FOUND = [
    (FOREIGN_SUPER, CLASSES + "super(Row, self).f(x)", "Row", ("Cell",)),
    (FOREIGN_SUPER, CLASSES + "return [super( Row, self ).f(y) for y in x]", "Row", ("Cell",)),
    (FOREIGN_SUPER, CLASSES + "super(Base, self).f(x)", "Base", ("Cell",)),
    (LITERAL_IDENTITY, "if mode is 'fast': pass", "is", ("==",)),
    (LITERAL_IDENTITY, "if 3 is not count: pass", "is not", ("!=",)),
    (LITERAL_IDENTITY, "assert rows is not []", "is not", ("!=",)),
    (LITERAL_IDENTITY, "a = x < y is 'b'", "is", ("==",)),
    (LITERAL_IDENTITY, "a = x is 'b' 'c'", "is", ("==",)),
    (RAISED_VALUE, "raise NotImplemented", "NotImplemented", ("NotImplementedError",)),
    (RAISED_VALUE, "raise NotImplemented('x')", "NotImplemented", ("NotImplementedError",)),
    (REPEATED_OPERAND, "if rows in rows: pass", "rows", None),
    (REPEATED_OPERAND, "if a.b < a . b: pass", "b", None),
    (REPEATED_OPERAND, "if (rows) in rows: pass", "rows", None),
    (REPEATED_OPERAND, "if x.shape[-2:] == x.shape[-2:]: pass", "shape", None),
    (REPEATED_OPERAND, "c = a.b and d and a.b", "b", None),
    (REPEATED_OPERAND, "c = a.b or (a.b)", "b", None),
    (REPEATED_OPERAND, "c = a == 1 or b or a == 1", "a", None),
    (REPEATED_CONDITION, "if k == A: pass\nelif k == B: pass\nelif k == A: pass", "A", None),
    (REPEATED_CONDITION, "x = Agent if old else Agent", "Agent", None),
    (CONTRADICTION, "if a != 1 or a != 2: pass", "or", ("and",)),
    (CONTRADICTION, "if a.b == 'x' and (a.b == 'y'): pass", "and", ("or",)),
    (CONTRADICTION, "if a is None and a.b: pass", "is", ("is not",)),
    (CONTRADICTION, "if a.b is not None or not a.b.c: pass", "is not", ("is",)),
    (CONTRADICTION, "if x and a is None and len(a[0]): pass", "is", ("is not",)),
    (COMPARISON_STATEMENT, "self.mode == 'fast'", "==", ("=",)),
    (COMPARISON_STATEMENT, "def f(x):\n    x[1] == 2\n    return x", "==", ("=",)),
    (
        COPIED_ARGUMENT,
        "def f(low_1, low_2):\n    return g(low_1=low_1, low_2=low_1)",
        "low_1",
        ("low_2",),
    ),
    (UNFORMATTED_EXCEPTION, "raise ValueError('no %s', name)", ",", ("%",)),
    (
        UNFORMATTED_EXCEPTION,
        "raise ValueError(\n    'no %s'\n    'at all', a.b[0],\n)",
        ",",
        ("%",),
    ),
    (UNFORMATTED_EXCEPTION, "raise KeyError('%s of 5 %%', a)", ",", ("%",)),
    (UNFORMATTED_EXCEPTION, "raise TypeError('%d of %-5.2f', a, b)", ",", ()),
    (UNFORMATTED_EXCEPTION, "raise TypeError('no %r', a or b) from error", ",", ()),
    (UNFORMATTED_EXCEPTION, OWN_ERROR + "raise LateError('no %s', a)", ",", ("%",)),
    (UNFORMATTED_EXCEPTION, "raise ValueError('no %s') % name", "%", ()),
    (UNFORMATTED_EXCEPTION, "raise ValueError('no {}').format(name)", "format", ()),
    (UNRAISED_EXCEPTION, "if not rows: ValueError(x)", "ValueError", ("raise ValueError",)),
    (UNRAISED_EXCEPTION, OWN_ERROR + "LateError()", "LateError", ("raise LateError",)),
    (UNRAISED_EXCEPTION, "from m import MyError\nMyError('x')", "MyError", ("raise MyError",)),
    (
        RETURNED_EXCEPTION,
        "def f(x):\n    if x: return ValueError('x')\n    return 1",
        "return",
        ("raise",),
    ),
    (RETURNED_EXCEPTION, "def f(x): return NotImplementedError", "return", ("raise",)),
    (RETURNED_EXCEPTION, "def f(x): return NotImplementedError(x)", "return", ("raise",)),
    (CONSTANT_CONDITION, "if a.b == 'x' or 'y': pass", "'y'", ("a.b == 'y'",)),
    (CONSTANT_CONDITION, "while not (a != 1 or 2): pass", "2", ()),
    (CONSTANT_CONDITION, "x = [a for a in b if a == 'x' or 'y' or c]", "'y'", ("a == 'y'",)),
    (CONSTANT_CONDITION, "assert 'a' and 'b' in rows", "'a'", ("'a' in rows",)),
    (CONSTANT_CONDITION, "x = 1 if 'a' or 'b' not in rows else 2", "'a'", ("'a' not in rows",)),
    (CONSTANT_CONDITION, "assert a.shape == shape or (3,)", "or", ()),
    (UNCALLED_METHOD, METHOD + "if self.ready: pass", "ready", ("ready()",)),
    (UNCALLED_METHOD, METHOD + "return not self.ready", "ready", ("ready()",)),
    (UNCALLED_METHOD, METHOD + "x = 1 if x and self.ready else 2", "ready", ("ready()",)),
    (UNCALLED_METHOD, METHOD.replace("(self)", "(self, a)") + "if self.ready: pass", "ready", ()),
    (BUILTIN_VALUE, "x = 'no %s' % id", "id", None),
    (BUILTIN_VALUE, "x = 'no %s %s' % (type, ip)", "type", None),
    (BUILTIN_VALUE, "x = offset + len", "len", None),
    (BUILTIN_VALUE, "if format == 'json': pass", "format", None),
    (BUILTIN_VALUE, "if 3 < max: pass", "max", None),
    (BUILTIN_VALUE, "if x in vars: pass", "vars", None),
    (BUILTIN_VALUE, "x = input[0]", "input", None),
    (MISSING_F_PREFIX, "def f(a): raise ValueError('no {a}')", "'no {a}'", ("f'no {a}'",)),
    (
        MISSING_F_PREFIX,
        "def f(a): raise E('no {a.b[0]!r:>9}')",
        "'no {a.b[0]!r:>9}'",
        ("f'no {a.b[0]!r:>9}'",),
    ),
    (
        MISSING_F_PREFIX,
        "def f(self): self._log.error('no {self.x()}')",
        "'no {self.x()}'",
        ("f'no {self.x()}'",),
    ),
    (
        MISSING_F_PREFIX,
        "def f(a): raise E(f'no {a}, '\n    'nor {a}.')",
        "'nor {a}.'",
        ("f'nor {a}.'",),
    ),
    (MISSING_COMMA, "x = ['a', 'b', 'c' 'd']", "'c'", ("'c',",)),
    (MISSING_COMMA, "x = ['-a', '-b', '-c' '-d']", "'-c'", ("'-c',",)),
    (MISSING_COMMA, "x = ('a.b', 'c'  # the last\n    'd', 'e')", "'c'", ("'c',",)),
    (TEXT_MEMBERSHIP, "if a in ('fast'): pass", "'fast'", ("'fast',",)),
    (TEXT_MEMBERSHIP, "x = a.b not in ( 'fast' )", "'fast'", ("'fast',",)),
    (LOG_ARGUMENTS, "log.info('%s of %s', a)", "'%s of %s'", ()),
    (LOG_ARGUMENTS, "self._logger.warning('read' ' it', a)", "'read'", ()),
    (LOG_ARGUMENTS, "LOG.error('%*d', a)", "'%*d'", ()),
    (ACCIDENTAL_TUPLE, "self.name = name,", ",", (DELETE_TEXT,)),
    (ACCIDENTAL_TUPLE, "row['a'] = 'a',\nx = 1", ",", (DELETE_TEXT,)),
    (ASSERTION_MESSAGE, "self.assertTrue(len(a), 3)", "assertTrue", ("assertEqual",)),
    (ASSERTION_MESSAGE, "self.assertTrue(a, [1, 2])", "assertTrue", ("assertEqual",)),
    (ASSERTION_MESSAGE, "self.assertFalse(a, True)", "assertFalse", ("assertEqual",)),
]

NOT_FOUND = [
    CLASSES + "super(Cell, self).f(x)",
    CLASSES + "super(x, self).f(x)",
    CLASSES + "super(Row, x).f(x)",
    CLASSES + "super(Row).f(x)",
    "class Cell(B):\n    def f(self): super(Old, self).f()\nOld = Cell",
    "class A(B):\n    class C(D):\n        def f(self): super(C, self).f()",
    "super(Row, self).f()",
    "if mode is None or mode is True or mode is ...: pass",
    "if mode == 'fast' or mode is FAST: pass",
    "if mode is not f(1): pass",
    "return NotImplemented",
    "raise NotImplementedError",
    "if x != x or x.value == x.value: pass",
    "assert rows <= rows",
    "self.assertTrue(rows <= rows)",
    "if f() < f(): pass",
    "if next(a) and next(a): pass",
    "if a and b or a and c: pass",
    "c = a.b and d or a.b",
    "if k == A: pass\nelif k == B: pass",
    "if k: pass\nif k: pass",
    "if read(): pass\nelif read(): pass",
    "x = a if b else c",
    "if a != 1 and a != 2: pass",
    "if a == 1 or a == 2: pass",
    "if a != 1 or b != 2: pass",
    "if a != 1 or a != c: pass",
    "if f() != 1 or f() != 2: pass",
    "if a is None or a.b: pass",
    "if a is not None and a.b: pass",
    "if a is None and b.a.c: pass",
    "if a is None and b: pass",
    "if a is None and a(1): pass",
    "x = a == b",
    "f() == 1",
    "a < b",
    "with pytest.raises(KeyError):\n    a['x'] == 1",
    "try:\n    a.b == 1\nexcept AttributeError: pass",
    "def test_it(a):\n    a['x'] == 1",
    "def f(low_1, low_2):\n    g(low_2)\n    return g(low_1=low_1, low_2=low_1)",
    "def f(low_1):\n    return g(low_1=low_1, low_2=low_1)",
    "def f(low):\n    return g(low=low, unlike=low)",
    FUNCTION + "def f(source, target): move(source, target)",
    "raise ValueError('no %s' % name)",
    "raise ValueError('no {}'.format(name))",
    "x = 5 % ValueError('x').code",
    "raise my.ValueError('no {}').format(name)",
    "raise ValueError('no %s', name, other)",
    "raise ValueError('no %(a)s', name)",
    "raise ValueError('100 %%', name)",
    "raise ValueError(b'no %s', name)",
    "raise ValueError('no %s', *names)",
    "raise ValueError('no %s', name=name)",
    "raise ValueError(text, name)",
    "raise errors.ValueError('no %s', name)",
    "from m import LateError\nraise LateError('no %s', name)",
    "class LateError(m.Base): pass\nraise LateError('no %s', name)",
    (
        "class A(Exception):\n    def __init__(self, *a): pass\nclass LateError(A): pass\n"
        "raise LateError('no %s', name)"
    ),
    "class LateError(LateError): pass\nraise LateError('no %s', name)",
    "log.error('no %s', name)\nx = ValueError('no %s', name)",
    "x = ValueError('x')",
    "UserWarning('x')",
    "from m import make_error\nmake_error('x')",
    "def LateError(): pass\nLateError()",
    "from m import LateError\nLateError()",
    "def test_it(): ValueError('x')",
    "with pytest.raises(TypeError): ValueError()",
    "def f(x): return ValueError(x)",
    "class A:\n    def f(self): return NotImplementedError()\n    def g(self): raise self.f()",
    "if mode is 'fast':  # pylint: disable=literal-comparison\n    pass",
    "if mode is 'fast':  # noqa: F632\n    pass",
    "def make_error(x):\n    if x: return ValueError('x')\n    return 1",
    "def f(x) -> int | ValueError:\n    if x: return ValueError('x')\n    return 1",
    "def f(x):\n    def g():\n        if x: return ValueError('x')\n        return 1\n    return g",
    "def f(x):\n    try: return x()\n    except KeyError as e: return ValueError(e)",
    "def f(x):\n    if x: return ValueError\n    return 1",
    "x = a == 'x' or 'y'",
    "f(a == 'x' or 'y')",
    "if (a == 'x' or 'y') == 'y': pass",
    "if a == 'x' or '': pass",
    "if a == 1 or 0: pass",
    "if a or 'x': pass",
    "x = a and 'b' or 'c'",
    "if 0 and 'b' in rows: pass",
    "if a == 'x' and 'y': pass",
    "x = 'y' if a else b == 'x' or 'y'",
    "assert a, b == 'x' or 'y'",
    METHOD + "if self.ready(): pass",
    METHOD + "if self.ready: self.ready()",
    METHOD + "x = self.ready and 1",
    METHOD + "if self.ready is None: pass",
    METHOD + "if x.ready: pass",
    METHOD + "if self.ready: pass\n        self.ready = 1",
    METHOD + "if self.ready: pass\n    ready = None",
    METHOD + "if self.ready: pass\nclass B(A):\n    ready = None",
    METHOD.replace("    def ready", "    @property\n    def ready") + "if self.ready: pass",
    "id = 3\nx = 'no %s' % id",
    "from m import *\nx = 'no %s' % id",
    "def f(id): return 'no %s' % id",
    "x = 'no %s' % str",
    "x = any | None",
    "x = list[int]",
    "x = type[int]",
    "if f == len: pass",
    "if len in (a, b): pass",
    "if type == a.type: pass",
    "print >> out",
    "def f(a): raise ValueError('no {b}')",
    "def f(a): raise ValueError('no {{a}}')",
    "def f(a): raise ValueError('no {a}'.format(a=a))",
    "def f(a): raise ValueError('no {a} in {a b}')",
    "def f(a): raise ValueError('no {a, b}')",
    "def f(a): raise ValueError('no {}')",
    "def f(a): raise ValueError('no {a: b}')",
    "def f(a): raise ValueError(f'no {a}')",
    "def f(a): raise ValueError('no {a} %s' % a)",
    "def f(a): log.error('no {a}', a)",
    "def f(a): log.error('no {a}', a=a)",
    "def f(a): render('no {a}')",
    "a = 1\ndef f(): raise ValueError('no {a}')",
    "x = ['a', 'b' 'c']",
    "x = ['a', 'b', 'c/' 'd']",
    "x = ['a', 'b', 'http://c' '/d']",
    "x = ['a', 'b', 'c d' 'e']",
    "x = ['a', 'b', 'c', d, 'e' 'f']",
    "x = ['a' 'b', 'c' 'd', 'e']",
    "x = f('a', 'b', 'c' 'd')",
    "if a in ('fast',): pass",
    "if a in (fast): pass",
    "if a in 'fast': pass",
    "if a in ('/\\\\'): pass",
    "if a in (' ,;'): pass",
    "if a == ('fast'): pass",
    "log.info('%s of %s', a, b)",
    "log.info('100 %%')",
    "log.info('%(a)s', a)",
    "log.info('%s of %s', *a)",
    "log.info('{} of %s', a, b)",
    "log.info(a, b)",
    "log.log('%s', a, b)",
    "self.report.info('%s', a, b)",
    "name = name,",
    "self.args = name,",
    "f.__defaults__ = 2,",
    "self.name = (name,)",
    "self.name = (name),",
    "self.name = name, other",
    "self.name = other, name,",
    "self.a, self.b = name,",
    "self.assertTrue(a, 'no a')",
    "self.assertTrue(a, None)",
    "self.assertTrue(a, (1, 2))",
    "self.assertTrue(a, msg)",
    "self.assertTrue(a, msg=3)",
    "self.assertEqual(a, 3)",
]


@pytest.mark.parametrize(("rule", "source", "leaf", "candidates"), FOUND)
def test_what_cannot_be_meant(
    rule: str, source: str, leaf: str, candidates: tuple[str, ...] | None
) -> None:
    assert found(source) == [(rule, leaf, candidates)]


@pytest.mark.parametrize("source", NOT_FOUND)
def test_what_may_be_meant(source: str) -> None:
    assert found(source) == []


CROSSED = [
    FUNCTION + "def f(source, target): move(target, source)",
    FUNCTION + "def f(source, target): return [move(target, source, 2)]",
    (
        "class A:\n    def move(self, source, target=1): pass\n"
        "    def f(self, source, target): self.move(target, source)"
    ),
]

NOT_CROSSED = [
    FUNCTION + "def f(source, target): move(target, other)",
    FUNCTION + "def f(source, target): other.move(target, source)",
    FUNCTION + "def f(source, target): move(*target, source)",
    FUNCTION + "def f(move, source, target): move(target, source)",
    FUNCTION + "def swapped(source, target): move(target, source)",
    FUNCTION + FUNCTION + "def f(source, target): move(target, source)",
    "def move(source, target):\n    if source: return move(target, source)",
    "def move(x, y): pass\ndef f(x, y): move(y, x)",
    "def move_back(source, *, target): pass\ndef f(source, target): move_back(target, source)",
    "def move(source, fold=lambda a, target: a): pass\ndef f(source, target): move(target, source)",
]


@pytest.mark.parametrize("source", CROSSED)
def test_crossed_arguments_are_found_at_both_places(source: str) -> None:
    one = (CROSSED_ARGUMENTS, "target", ("source",))
    other = (CROSSED_ARGUMENTS, "source", ("target",))
    assert found(source) == [one, other]


@pytest.mark.parametrize("source", NOT_CROSSED)
def test_arguments_that_may_be_meant(source: str) -> None:
    assert found(source) == []


@pytest.mark.parametrize(
    ("header", "sure"),
    [
        ("from m import B\nclass A(B): pass\nclass C(A):", DOUBTFUL),
        ("from m import B, D\nclass C(D):", DOUBTFUL),  # for all we know, a base of D
        ("from m import D\nclass B: pass\nclass C(D):", CONFIDENCE[FOREIGN_SUPER]),
        ("from m import B\nclass A: pass\nclass C(A):", CONFIDENCE[FOREIGN_SUPER]),
    ],
)
def test_super_of_a_base_is_less_sure(header: str, sure: float) -> None:
    source = header + "\n    def f(self): super(B, self).f()\n"
    (one,) = exact_findings(parse(source.encode())).values()
    assert (one.rule, one.confidence) == (FOREIGN_SUPER, sure)


@pytest.mark.parametrize("rule", sorted({rule for rule, *_ in FOUND} | {CROSSED_ARGUMENTS}))
def test_examples_of_the_pages(rule: str) -> None:
    shown, meant = (text + " pass" * text.endswith(":") for text in RULES[rule].example)
    if rule == FOREIGN_SUPER:
        shown, meant = (f"class Square(Shape): pass\n{text}" for text in (shown, meant))
    if rule == CROSSED_ARGUMENTS:
        assert {one for one, *_ in found(shown)} == {rule}
    else:
        assert [one for one, *_ in found(shown)] == [rule]
    assert found(meant) == []


def findings_of(source: str) -> list[Finding]:
    """The findings of a file, with a model that thinks of nothing."""
    parsed = parse(source.encode() + b"\n")
    exact = exact_findings(parsed)
    doubts = Doubts(Context(parsed), [], exact=exact, with_evidence=False)
    return judge(doubts, {}, exact, Calibration())


def test_crossed_arguments_are_one_finding_that_swaps_them() -> None:
    source = FUNCTION + "def f(source, target): move(target, source)"
    (one,) = findings_of(source)
    assert (one.rule, one.text) == (CROSSED_ARGUMENTS, "target")
    assert [text for _, text in one.edits] == [b"source", b"target"]
    assert one.message == (
        "`move` takes `source` before `target`; did you mean them the other way round?"
    )


def test_many_in_a_file_are_as_sure_as_one() -> None:
    found = findings_of("".join(f"if a is '{i}': pass\n" for i in range(9)))
    assert {one.confidence for one in found} == {CONFIDENCE[LITERAL_IDENTITY]}
    assert [one.suggestions[0].text for one in found] == ["=="] * 9
