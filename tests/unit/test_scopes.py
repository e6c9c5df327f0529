"""Which names a place can see, and which bindings come before it."""

from __future__ import annotations

import pytest

from codemlm.scopes import Bindings, evaluation_scopes, lookup_order, names_in_reach
from codemlm.similarity import similarity
from codemlm.syntax import ParsedFile, parse
from codemlm.types import Role


def scope_at(parsed: ParsedFile, text: str) -> int:
    """Scope of the last leaf with a text."""
    return int(parsed.scopes_of[[i for i in range(len(parsed)) if parsed.text(i) == text][-1]])


# Each case: source with a last use of HERE, then the names in reach of it.
REACH = [
    ("import a\nb = 1\nHERE", "a b"),
    ("b = 1\ndef f(x, y):\n    z = 1\n    HERE\na = 2", "x y z b f a"),
    ("class A:\n    x = 1\n    HERE", "x A"),
    ("class A:\n    x = 1\n    def f(self):\n        HERE", "self A"),
    ("class A:\n    x = 1\n    y = [HERE for z in x]", "z x y A"),
    ("def f():\n    a = 1\n    class A:\n        b = 1\n        def g(c): HERE", "c a A f"),
    (
        "def f():\n    a = 1\n    def g(b):\n        return lambda c: [HERE for d in c]",
        "d c b a g f",
    ),
    ("def f():\n    global g\n    g = 1\ndef h(): HERE", "f h g"),
    ("def f():\n    n = 0\n    def i():\n        nonlocal n\n        n = 1\nHERE", "f"),
    ("[x for y in z if (x := y)]\nHERE", "x"),
    ("with a as (b, [c, *d]), e as (f): pass\nHERE", "b c d f"),
    ("def f[T: int](x): HERE", "T x f"),
]


@pytest.mark.parametrize(("source", "expected"), REACH)
def test_names_in_reach_innermost_first(source: str, expected: str) -> None:
    parsed = parse(source.encode())
    assert names_in_reach(parsed, scope_at(parsed, "HERE")) == expected.split()


def test_lookup_skips_class_bodies_around_functions() -> None:
    parsed = parse(b"class A:\n    def f(self):\n        HERE")
    assert [parsed.scopes[i].kind for i in lookup_order(parsed, scope_at(parsed, "HERE"))] == [
        "function",
        "module",
    ]


# Each case: source, then the kind of scope that each read is evaluated in.
EVALUATED = [
    ("[a for b in c if d]", "a:comprehension c:module d:comprehension"),
    ("[a for b in c for d in e]", "a:comprehension c:module e:comprehension"),
    ("[a for b in [c for d in e]]", "a:comprehension c:comprehension e:module"),
    ("def f(): return {a: b for c in d}", "a:comprehension b:comprehension d:function"),
    ("class A:\n    x = list(b for b in c)", "list:class b:comprehension c:class"),
    ("def f(a=b): c", "b:module c:function"),
]


@pytest.mark.parametrize(("source", "expected"), EVALUATED)
def test_first_iterable_is_evaluated_outside(source: str, expected: str) -> None:
    parsed = parse(source.encode())
    scopes = evaluation_scopes(parsed)
    reads = [i for i in range(len(parsed)) if parsed.roles[i] in (Role.READ, Role.CALL)]
    found = [f"{parsed.text(i)}:{parsed.scopes[scopes[i]].kind}" for i in reads]
    assert " ".join(found) == expected


# Each case: source in which READ is bound and read; whether no binding can come before the read.
ORDER = [
    ("READ\nREAD = 1", True),
    ("READ = 1\nREAD", False),
    ("READ = READ + 1", True),
    ("READ = x = READ", True),
    ("READ, a[READ] = 1, 2", False),
    ("for READ in READ: pass", True),
    ("for READ in x: READ", False),
    ("for i in x:\n    READ\n    READ = i", False),
    ("for i in x:\n    READ = READ + i", True),
    ("for i in x:\n    READ = READ if i else 0", False),
    ("while x:\n    READ\nREAD = 1", True),
    ("class READ(READ): pass", True),
    ("def READ(x=READ): pass", True),
    ("READ if (READ := x) else y", False),
    ("x: READ = 1\nREAD = 1", False),
    ("with READ as READ: pass", True),
    ("global READ\nREAD\nREAD = 1", False),
]


@pytest.mark.parametrize(("source", "expected"), ORDER)
def test_whether_a_read_is_before_every_binding(source: str, expected: bool) -> None:
    parsed = parse(source.encode())
    reads = [i for i in range(len(parsed)) if parsed.text(i) == "READ"]
    reads = [i for i in reads if parsed.roles[i] in (Role.READ, Role.TYPE)]
    text = int(parsed.text_ids[reads[0]])
    assert Bindings(parsed).always_before(reads[0], 0, text) is expected


def test_generators_and_functions_run_later() -> None:
    parsed = parse(b"[A for x in y]; (B for x in y); lambda: C\nclass K: D")
    bindings = Bindings(parsed)
    in_place = [t for t in "ABCD" if bindings.runs_in_place(scope_at(parsed, t), 0)]
    assert in_place == ["A", "D"]


@pytest.mark.parametrize(
    ("name", "nearer", "farther"),
    [
        ("lenght", "length", "light"),
        ("userName", "user_name", "username_list"),
        ("confg", "config", "count"),
        ("max_rows", "rows_max", "min_cols"),
        ("prnt", "print", "path"),
    ],
)
def test_similarity_orders_names(name: str, nearer: str, farther: str) -> None:
    assert similarity(name, nearer) > similarity(name, farther)
    assert similarity(name, name) == 1.0
