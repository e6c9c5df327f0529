"""Undefined names: certain ones are found, doubtful ones are not."""

from __future__ import annotations

import sysconfig
import tokenize
from pathlib import Path

import pytest

from codemlm.similarity import MAX_CANDIDATES
from codemlm.syntax import parse
from codemlm.undefined import Reason, undefined_names

# Each case: source, then its undefined names in source order.
UNDEFINED = [
    ("import os\nprnt(os)", "prnt"),
    ("def f(rows): return row", "row"),
    ("def f():\n    a.b = c[d](e)", "a c d e"),
    ("import a.b as c, d.e\na, b, c, d, e", "a b e"),
    ("import m\ndef f(x: A, *y: B, z: C = D) -> E: pass", "A B C D E"),
    ("import m\nclass A(B, metaclass=C): pass\n@d\ndef f(): pass", "B C d"),
    ("import m\nf'{x!r:>{y}} {z=}'", "x y z"),
    ("import m\nlambda a, b=c: a + b + d", "c d"),
    ("import m\nprint(*args, **kwargs)", "args kwargs"),
    ("import m\ntry: pass\nexcept (A, B) as e: raise C from e", "A B C"),
    ("def f(v):\n    match v:\n        case P(x) if q: x\n        case {'k': r, **s}: r, s", "P q"),
    ("import m\n__all__ += []", "__all__"),
    ("import m\nx: T = 1\ny: 'U' = 2", "T"),
    ("import m\ndel x", "x"),
    # scopes
    ("class A:\n    x = 1\n    def f(self): return x", "x"),
    ("class A:\n    x = 1\n    y = lambda: x", "x"),
    ("class A:\n    class B: pass\n    def f(self) -> B: return B()", "B"),
    ("def f(): x = 1\ndef g(): return x", "x"),
    ("import m\n[x for x in m]\nx", "x"),
    ("import m\n[x for x in x]", "x"),
    ("import m\n[y for y in z for z in m]", "z"),
    # order
    ("import m\nx = x + 1", "x"),
    ("def f():\n    print(x)\n    x = 1", "x"),
    ("n = 0\ndef f():\n    n += 1\n    return n", "n"),
    ("n = 0\ndef f():\n    print(n)\n    n += 1", "n n"),
    ("def f(xs):\n    for x in xs:\n        s = s + x\n    return s", "s"),
    ("import m\nclass A:\n    b = A()", "A"),
    ("from m import *\ndef f():\n    print(x)\n    x = 1", "x"),
    # bindings that end
    ("import m\ntry: m()\nexcept OSError as e: pass\nprint(e)", "e"),
    ("def f(m):\n    try: m()\n    except OSError as e: x = e\n    return x, e", "e"),
    ("import m\ndel m\nm.x", "m"),
    ("def f(a):\n    del a\n    return a", "a"),
    # namespaces that are only read
    ("import m\nprint(globals())\nx", "x"),
    ("import m\n'a' in globals()\nx", "x"),
    ("import m\na = globals()['b']\nx", "x"),
    ("import m\nf = '%(y)s' % locals()\nx", "x"),
    ("def f(ns):\n    exec('x = 1', ns)\n    return x", "x"),
    # handlers that do not mean the name
    ("def f(m):\n    try: return x\n    except Exception: pass", "x"),
    ("import m\ntry: pass\nexcept NameError: pass\nelse: x", "x"),
    ("import m\nx  # noqa: E501", "x"),
    ("async def f(): return unicode", "unicode"),
]


@pytest.mark.parametrize(("source", "expected"), UNDEFINED)
def test_undefined(source: str, expected: str) -> None:
    parsed = parse(source.encode() + b"\n")
    found = undefined_names(parsed)
    assert [name.text for name in found] == expected.split()
    assert [parsed.text(name.leaf) for name in found] == expected.split()


DEFINED = [
    "",
    "import a.b, c.d as e\na, e",
    "def f(): return g()\ndef g(): return later\nlater = 1",
    "def f(a, *b, c=1, **d): return a, b, c, d, f",
    "print(__file__, __name__, __doc__, __path__, __builtins__, WindowsError)",
    "class A:\n    def f(self): return __class__, super()",
    "for a, (b, *c) in []: pass\na, b, c",
    "with open('f') as (a, [b, *c]), open('g') as (d): a, b, c, d",
    "import m\nif (x := m): x\n[y for z in m if (y := z)]\ny",
    "try: import a\nexcept ImportError: a = None\na",
    "if 0: x = 1\nx",
    "def f(m):\n    while m:\n        if m: print(x)\n        x = m",
    "def f():\n    global g\n    g = 1\ng",
    "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    return g",
    "def f():\n    def g(): return x\n    x = 1\n    return g",
    "def f(): return (x for _ in g)\ng = x = 1",
    "def f(m): return (y if (y := m) else 0)",
    "import m\nx, m[x] = 1, 2",
    # class scopes
    "class A:\n    x = 1\n    y = [x for _ in [1] if x]",
    "class A:\n    class B: pass\n    def f(self, b: B, *c: list[B]) -> 'D': pass",
    "class A:\n    x = 1\n    def f(self, a=x): return a",
    "x = 1\nclass A:\n    x = x",
    # type parameters
    "def f[T: int, *Ts, **P](x: T, *y: *Ts) -> P: pass",
    "class A:\n    class B[T]:\n        def f(self, x: T): pass",
    "type X[T] = list[T] | X\nX",
    "class Node:\n    next: Node",
    # names that end, and do not
    "def f(m):\n    try: m()\n    except OSError as e: e\n    except ValueError as e: e",
    "def f(m):\n    e = None\n    try: m()\n    except OSError as e: pass\n    return e",
    "def f(m, x):\n    if m: del x\n    return x",
    "def f(x):\n    del x\n    x = 1\n    return x",
    # what may bind unseen
    "from m import *\nx",
    "def f():\n    from m import *\n    return x",
    "import m\nexec(m)\nx",
    "def f(m):\n    exec(m)\n    return x",
    "def f(m): exec(m, globals())\nx",
    "globals()['a' + 'b'] = 1\nx",
    "globals().update(a=1)\nx",
    "import m\nm.fill(globals())\nx",
    "import m\nclass A:\n    locals()[m] = 1\n    x",
    "import sys\nsetattr(sys.modules[__name__], 'a', 1)\nx",
    "import builtins\nbuiltins.x = 1\nx",
    "import builtins\nbuiltins.__dict__['a'] = 1\nx",
    "import enum\n@enum.global_enum\nclass A(enum.Enum):\n    X = 1\nX",
    "import m\nif 'm' in locals(): m.reload(x)\nelse: import x",
    "import m\nif 'x' in dir(m): x",
    # names that hosts bring
    "import m\n_('text')",
    "import m\nget_ipython()",
    "env = Environment()\nenv.Program('x')",
    "{{ template }}",
    "from .sub import a\nsub.b",
    # the author knows
    "try: unicode\nexcept NameError: unicode = str",
    "try: x\nexcept NameError: y = 1\nelse: y = 2\nx",
    "import m\ntry:\n    profile\nexcept: pass",
    "def f(m):\n    with m.raises(NameError): x",
    "import m\nx  # noqa",
    "import m\nx  # noqa: E501, F821",
    "import m\nx  # type: ignore[name-defined]",
    "import m\nx  # pylint: disable=undefined-variable",
    "# flake8: noqa\nimport m\nx",
    # Python 2
    "import m\nif m.PY2: x = unicode(raw_input())",
    "import sys\nif sys.version_info < (3,): xrange(1)\nasync def f(): pass",
    "def f(x): return unicode(x)",
    "print 'x', unicode, [y for y in 'ab'], y",
    "import m\ntry: m()\nexcept m.E, e: print(e)",
    "def f(a, (b, c)): return b + c",
    # strings and comments
    "import m\ndef f(a: 'X') -> 'Y':\n    # type: (Z) -> W\n    return m",
    # syntax errors
    "def f(:\n    return x",
    "x = = 1\ny",
]


@pytest.mark.parametrize("source", DEFINED)
def test_not_undefined(source: str) -> None:
    assert undefined_names(parse(source.encode() + b"\n")) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(): return x", Reason.UNBOUND),
        ("class A:\n    x = 1\n    def f(self): return x", Reason.CLASS_SCOPE),
        ("def f():\n    print(x)\n    x = 1", Reason.TOO_EARLY),
        ("try: pass\nexcept OSError as x: pass\nx", Reason.HANDLER_ENDED),
        ("def f(x):\n    del x\n    return x", Reason.DELETED),
    ],
)
def test_reason(source: str, reason: Reason) -> None:
    assert [(n.text, n.reason) for n in undefined_names(parse(source.encode()))] == [("x", reason)]


def test_builtins_of_the_host_are_defined() -> None:
    parsed = parse(b"import m\nIn[1]\ndisplay(x)\n")
    assert [n.text for n in undefined_names(parsed, builtins={"In", "display"})] == ["x"]


def test_order_means_nothing_in_a_stub() -> None:
    parsed = parse(b"import m\nclass A(B): ...\nclass B: ...\nx: C\n")
    assert [n.text for n in undefined_names(parsed)] == ["B", "C"]
    assert [n.text for n in undefined_names(parsed, stub=True)] == ["C"]


def test_candidates_are_names_in_reach_most_similar_first() -> None:
    source = b"import os\nlengths = 1\ndef f(width, length):\n    lenght\ndef g(lenghts): pass\n"
    (name,) = undefined_names(parse(source))
    assert name.candidates[:2] == ("length", "lengths")
    assert {"os", "width", "f", "len"} <= set(name.candidates)
    assert not {"lenght", "lenghts"} & set(name.candidates)
    assert len(name.candidates) <= MAX_CANDIDATES


def test_offsets_are_of_bytes_and_names_of_any_script() -> None:
    parsed = parse("import m\nnäme = '😀'; nähme\n".encode())
    (name,) = undefined_names(parsed)
    assert (name.text, name.candidates[0]) == ("nähme", "näme")
    span = parsed.leaf(name.leaf).span
    assert parsed.source[span.start : span.end].decode() == "nähme"


# Modules with the strangest namespaces, and some packages.
STDLIB = (
    *("ast", "collections", "copy", "dataclasses", "enum", "functools", "heapq", "http"),
    *("importlib", "inspect", "json", "locale", "logging", "opcode", "os", "plistlib"),
    *("posixpath", "re", "signal", "site", "socket", "ssl", "subprocess", "sysconfig"),
    *("tokenize", "turtle", "unittest", "urllib", "xmlrpc"),
)


def test_the_standard_library_has_none() -> None:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        p for name in STDLIB for p in (root / f"{name}.py", *sorted(root.glob(f"{name}/*.py")))
    ]
    paths = [p for p in paths if p.is_file()]
    assert len(paths) > 50
    found = []
    for path in paths:
        with tokenize.open(path) as file:
            parsed = parse(file.read().encode())
        found += [(path.name, name.text) for name in undefined_names(parsed)]
    assert found == []
