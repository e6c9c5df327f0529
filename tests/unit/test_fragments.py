"""Parts of a text that are known from its last version: a parse with them is one without."""

from __future__ import annotations

import random
from dataclasses import fields

import numpy as np
import pytest

from codemlm.fragments import Fragment, Fragments, Key
from codemlm.syntax import ParsedFile, parse

from .fakes import SAMPLE

SOURCE = (
    SAMPLE
    + '''
LIMIT = 3

class Outer:
    size = 1

    @property
    def area(self, rows=[n for n in range(LIMIT)], *, cols: int = LIMIT):
        """A table."""
        global total, made
        total = [row.width for row in rows if not row.empty]
        made = {(last := name): size for name, size in self.pairs}

        def inner(cols):
            nonlocal rows
            return lambda rows, cols=cols: rows is not cols and f"{rows!r:>{cols}} is it"

        if (count := len(rows)) > LIMIT and not inner(count):
            print(rows, sep="", end=last)
        return rows

    async def wait(self):
        async with self.lock as held, open(self.path) as file:
            await held.wait(file)

print((lambda first, second=[x for x in (1, 2)]: (first, second))(1))
'''
)
PIECES = ["rows", "x", "(", ")", " ", "\n", "    ", "'", "#", "def f(a):\n", ".", "= 1", "é", ":"]


def columns(parsed: ParsedFile) -> dict[str, object]:
    """Everything that a parse gives, to be compared."""
    found = {f.name: getattr(parsed, f.name) for f in fields(parsed)}
    found["scopes"] = [(s, list(s.bindings), list(s.outer)) for s in parsed.scopes]
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_parse_with_known_parts_is_one_without(seed: int) -> None:
    fragments, drawn, source = Fragments(), random.Random(seed), SOURCE
    for _ in range(60):
        fragments.turn()
        assert columns(parse(source.encode(), fragments=fragments)) == columns(
            parse(source.encode())
        )
        if drawn.random() < 0.1:
            source = SOURCE  # as by an undo
        where, gone = drawn.randrange(len(source)), drawn.choice([0, 0, 0, 1, 20])
        source = source[:where] + drawn.choice(PIECES) + source[where + gone :]


def test_what_stays_the_same_is_not_walked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fragments, new = Fragments(), list[bytes]()
    put = fragments.put

    def note(key: Key, one: Fragment) -> None:
        new.append(key[3])
        put(key, one)

    monkeypatch.setattr(fragments, "put", note)
    parse(SOURCE.encode(), fragments=fragments)
    assert len(new) > 5
    new.clear()
    fragments.turn()
    parse(SOURCE.replace("self.lock", "self.locks").encode(), fragments=fragments)
    assert [b"self.locks" in text for text in new] == [True]
    new.clear()
    fragments.turn()
    fragments.turn()  # two versions later, nothing is known
    parse(SOURCE.encode(), fragments=fragments)
    assert len(new) > 5
