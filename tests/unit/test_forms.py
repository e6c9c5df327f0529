"""The exact rules of forms: expressions that cannot be meant, and others that look like them."""

from __future__ import annotations

import pytest

from codemlm.alternatives import Context
from codemlm.calibration import Calibration
from codemlm.confidence import Doubts
from codemlm.exact import CONFIDENCE, DOUBTFUL, exact_findings
from codemlm.findings import Finding, judge
from codemlm.rules import (
    COMPARISON_STATEMENT,
    CONTRADICTION,
    COPIED_ARGUMENT,
    CROSSED_ARGUMENTS,
    FOREIGN_SUPER,
    LITERAL_IDENTITY,
    RAISED_VALUE,
    REPEATED_CONDITION,
    REPEATED_OPERAND,
    RULES,
    UNKNOWN,
)
from codemlm.syntax import parse


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


def test_super_of_a_base_is_less_sure() -> None:
    source = "class A(B): pass\nclass C(A):\n    def f(self): super(B, self).f()\n"
    bound = "from m import B, D\n" + source
    (one,) = exact_findings(parse(bound.encode())).values()
    assert (one.rule, one.confidence) == (FOREIGN_SUPER, DOUBTFUL)
    (other,) = exact_findings(parse(bound.replace("C(A)", "C(D)").encode())).values()
    assert (other.rule, other.confidence) == (FOREIGN_SUPER, CONFIDENCE[FOREIGN_SUPER])


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
