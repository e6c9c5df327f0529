"""Strategies: Python modules, Python-like nonsense, and text of every kind."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from tests.unit.fakes import SAMPLE


def examples(count: int) -> Callable[[Any], Any]:
    """Settings of a property: so many examples, the same in every run, however slow the machine."""
    return settings(max_examples=count, derandomize=True, deadline=None)


SNIPPETS = (
    SAMPLE,
    """\
def outer(first, *rest, key=None, **options):
    count = 0
    def inner(step=1):
        nonlocal count
        count += step
        total = count
        total += first
        return total
    for number, value in enumerate(rest):
        if not value and key is None:
            continue
        count -= inner(step=number)
    return count if count > 0 else options.get(key, first)
""",
    """\
async def fetch(session, url: str, *, retries: int = 3) -> bytes | None:
    async with session.get(url, timeout=10) as response, session.lock:
        if response.status == 200 and not response.closed:
            return await response.read()
        elif retries > 0 or session.open:
            return await fetch(session, url, retries=retries - 1)
    raise ValueError(f"{url!r}: {response.status:>5} {retries + 1}") from None
""",
    """\
def table(rows, columns):
    made = {row: [cell for cell in columns if cell != row] for row in rows}
    seen = {value for row in rows for value in made[row] if value not in columns}
    best = max((len(made[row]), row) for row in rows if (size := len(made[row])) > 1)
    made.update(sorted(made.items(), key=lambda pair: pair[1] - pair[0], reverse=True))
    return made, seen, best, size
""",
    """\
try:
    import json as codec
    from os.path import join, exists
except (ImportError, AttributeError) as error:
    codec = None
    assert error is not None, "no codec"
else:
    text = codec.dumps({"a": 1, "b": [1, 2]}, indent=2)
finally:
    del text[0], codec
while True:
    break
""",
    '''\
@decorator(order=1)
class Point(Base, metaclass=Meta):
    """A point."""

    count: int = 0

    @property
    def norm(self):
        return self.x * self.x + self.y * self.y - self.count

    def move(self, by, to):
        match by:
            case [x, y, *_] if x and y:
                self.x, self.y = x, y
            case {"x": 1, **others} | Point(x=0, y=others):
                self.x += others
            case _:
                global_count = self.count << 1
                self.move(to, by)
        return not to.norm
''',
)
"""Modules that use what Python has."""

GRAMMAR: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "name": (("a", "b", "c", "item", "größe", "𐐀𐐁"), ()),
    "attribute": (("x", "y", "get", "append"), ()),
    "function": (("f", "g", "len", "print", "$name.$attribute"), ()),
    "number": (("0", "1", "2", "10", "0x1F", "1.5", "2j", "1_000"), ()),
    "constant": (("True", "False", "None", "..."), ()),
    "string": (("''", '"a"', "'%s'", '"""d\n  e"""', "r'\\d'", "b'x'", "'🐍 é'", '"a" "b"'), ()),
    "word": ((" is ", " is not ", " in ", " not in ", " and ", " or "), ()),
    "sign": (
        ("==", "!=", "<", ">=", "+", "-", "*", "%", "**", "|", "<<"),
        (" == ", " != ", " < ", " - ", " % ", "  >=  "),
    ),
    "update": (("+=", "-=", "//=", "|=", "**="), ()),
    "atom": (("$name", "$name", "$number", "$constant", "$string"), ()),
    "operator": (("$sign", "$word"), ()),
    # Binds tightly: may stand anywhere in an expression.
    "value": (
        ("$name", "$name", "$atom"),
        (
            "$call",
            "($binary)",
            "(not $value)",
            "(-$value)",
            "($value if $binary else $value)",
            "[$value, $binary]",
            "($value, *$value)",
            "{$value: $value, **$value}",
            "[$binary for $name in $value if $value]",
            "{$value for $name in $value if not $value}",
            "(lambda $name, *rest: $binary)",
            "($name := $value)",
            "$name.$attribute",
            "$name[$value:$value]",
            "f'{$name} {$name!r:>4} {$name.$attribute}'",
        ),
    ),
    "binary": (("$value$operator$value", "$atom$sign$atom", "$name - $name", "$name<=$number"), ()),
    "call": (
        ("$function($value)", "$function($value, $value)", "$function($value,$name)"),
        (
            "$function()",
            "$function($binary, \n  $value)",
            "$function($value, item=$value)",
            "$function(item=$value, key=$binary)",
            "$function(*$value, **$value)",
            "$function($value for $name in $value)",
        ),
    ),
    "expression": (
        ("$value", "$binary", "not $value"),
        ("$value, $value", "$value if $value else $value"),
    ),
    "target": (("$name", "$name.$attribute", "$name[$value]", "$name, *$name"), ()),
    # After a keyword: with and without parentheses, spaces and a negation.
    "condition": (
        (" $value", " not $value", "($value)", " ($binary)", " $value and not $value"),
        (),
    ),
    "parameters": (
        ("", "self", "a, b", "a, b=$atom, *args, **kw", "c, *, item: a = $atom", "größe, /, a"),
        (),
    ),
    "simple": (
        (
            "$target = $expression",
            "$name = $atom",
            "$name $update $value",
            "$expression",
            "return$condition",
            "assert$condition",
            "$expression; $expression",
            "pass",
            "global a, b",
            "$name: $name = $value",
            "$expression  # $name",
            "$name + \\\n  $value",
            "import $name.$name as $name",
            "from $name import $name, $name",
            "del item",
            '"""A docstring."""',
        ),
        (),
    ),
    "statement": (
        ("$simple", "$simple\n$simple"),
        (
            "def $name($parameters):\n$block",
            "def $name($parameters):\n$block",
            "if$condition:\n$block",
            "if$condition:\n${block}elif$condition:\n${block}else:\n$block",
            "while$condition:\n$block",
            "for $name in $expression:\n$block",
            "with $value as $name:\n$block",
            "async def $name($parameters):\n$block",
            "@$name\nclass $name($name):\n$block",
            "try:\n${block}except a as b:\n$block",
            "if$condition: $simple",
        ),
    ),
    "end": (("\n", "\n", "\n\n", "\n# a comment\n"), ()),
    "lines": (("$statement$end", "$statement$end$statement$end"), ("$lines$lines",)),
}
"""Templates by symbol, the simplest first; those of the second group hold more of the same kind."""

_SYMBOL = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def _expand(draw: st.DrawFn, symbol: str, depth: int) -> str:
    """A text of a symbol of the grammar, nested so deep at most."""
    if symbol == "block":
        return textwrap.indent(_expand(draw, "lines", depth - 1), "    ")
    flat, nested = GRAMMAR[symbol]
    template = draw(st.sampled_from(flat + nested if depth > 0 else flat))
    deeper = depth - (template in nested)
    return _SYMBOL.sub(lambda found: _expand(draw, found[1] or found[2], deeper), template)


@st.composite
def python(draw: st.DrawFn, symbol: str, depth: int = 2) -> str:
    """Python of a symbol of the grammar."""
    return _expand(draw, symbol, depth)


def _tight(source: str) -> str:
    """The source without the spaces that it can do without."""
    source = re.sub(r" ([-+*/%|<>]|//|<<|[=!<>]=) ", r"\1", source)
    return re.sub(r"\b(if|elif|while|return|assert|not|and|or|in) \(", r"\1(", source)


@st.composite
def snippets(draw: st.DrawFn) -> str:
    """A snippet with some of its lines, or two swapped, where that leaves Python."""
    source = draw(st.sampled_from(SNIPPETS))
    lines = (_tight(source) if draw(st.booleans()) else source).splitlines(keepends=True)
    places = st.integers(0, len(lines) - 1)
    first, second = sorted((draw(places), draw(places)))
    if draw(st.booleans()):
        changed = [*lines[:first], *lines[second:]]
    else:
        changed = list(lines)
        changed[first], changed[second] = lines[second], lines[first]
    try:
        ast.parse("".join(changed))
    except SyntaxError:
        changed = lines
    return "".join(changed)


@st.composite
def modules(draw: st.DrawFn, max_size: int = 4) -> str:
    """Small modules that Python parses."""
    one = st.one_of(python("lines"), python("lines"), snippets())
    text = "".join(draw(st.lists(one, max_size=max_size)))
    return text.replace("\n", "\r\n") if draw(st.integers(0, 9)) == 0 else text


_fragments = st.one_of(
    python("atom"),
    python("operator"),
    python("simple"),
    st.sampled_from(
        (
            *("if", "else", "def", "class", "for", "in", "not", "lambda", "match", "case", "print"),
            *("(", ")", "[", "]", "{", "}", ":", ",", ".", "->", ":=", "@", "*", "**", ";", "!"),
            *(
                "\n",
                "\r\n",
                "\r",
                "\n    ",
                "\n\t",
                "\\\n",
                " ",
                "\f",
                "#",
                "'",
                '"""',
                "f'{",
                "\\",
            ),
            *("\x00", "\ufeff", "\u2028", "\x85", "😀", "\u0301", "`", "$", "?", "<>", "0b", "1e"),
        )
    ),
)
python_like = st.lists(_fragments, max_size=30).map("".join)
"""Text that looks like Python and mostly is none."""

any_text = st.one_of(st.text(max_size=60), python_like, modules(max_size=3))
