"""What was possible at a leaf is recalled for as long as nothing that decides it has changed."""

from __future__ import annotations

import pytest

from codemlm.alternatives import Context
from codemlm.calibration import GROUPS
from codemlm.recollection import Recollection, fresh
from codemlm.scoring import Alternative, LeafScore
from codemlm.syntax import parse

SOURCE = """\
import table

class Grid:
    def __init__(self, rows, cols):
        self.rows = rows
        self.cols = cols

    def area(self, width, *, scale=1):
        if width < 2:
            return self.rows * scale
        return area(width, scale=rows) + table.size + self.cols
"""


def scores_of(
    source: str, alternatives: tuple[Alternative, ...], keep: float = 0.5
) -> tuple[Context, list[LeafScore]]:
    """Every judged leaf of a text, all with these alternatives."""
    context = Context(parse(source.encode()))
    roles = context.parsed.leaf_roles
    judged = [leaf for leaf, role in enumerate(roles) if role in GROUPS]
    return context, [LeafScore(leaf, keep, 0.5, alternatives, -1.0, -1.0) for leaf in judged]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("(self, width", "(self, height, width"),
        ("self.cols = cols", "self.height = cols"),
        ("import table", "import height"),
        ("table.size", "height.size"),
        ("width < 2", "width << 2"),
        ("width < 2", "width"),
        ("scale=rows", "scale=rows, height=1"),
        ("class Grid:", "class Grid:\n    height = 1"),
    ],
)
def test_it_is_what_a_fresh_look_says(before: str, after: str) -> None:
    words = "height self table rows cols scale <= [DELETE] [NEGATE] 3 None size"
    some = tuple(Alternative(word, 0.1) for word in words.split())
    recollection = Recollection()
    for source in (SOURCE, SOURCE.replace(before, after, 1), SOURCE):
        recollection.turn()
        context, scores = scores_of(source, some)
        assert recollection.of(context, scores) == [fresh(context, score) for score in scores]


def test_leaves_without_alternatives_are_told_apart() -> None:
    source = "def f(length):\n    return lenght, lenght\n"
    context, scores = scores_of(source, ())
    recollection = Recollection()
    for some in (scores, scores_of(source, (), keep=-2.0)[1]):
        assert recollection.of(context, some) == [fresh(context, score) for score in some]
    assert recollection.of(Context(parse(b"x")), []) == []
