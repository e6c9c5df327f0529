"""Surprising leaves in the terminal."""

from __future__ import annotations

from typing import TextIO

from rich.text import Text

from codemlm.findings import percent
from codemlm.frames import (
    MARGIN,
    SURE_STYLE,
    UNSURE_STYLE,
    CodeFrame,
    Mark,
    crop,
    make_console,
)
from codemlm.positions import LineIndex
from codemlm.surprise import Surprise
from codemlm.terminal import utf8_path, visible

_STRONG = 5.0
"""Nats above the usual that are shown as hot."""
_LONGEST_TEXT = 80
_WHOSE = {"file": "in the old text", "diff": "in the old texts of the diff", "": "in no old text"}


class SurprisePrinter:
    """Prints surprising leaves.

    Args:
        out: where to.
        color: whether colours may be used.
        width: columns that lines are cropped to.
    """

    def __init__(self, out: TextIO, *, color: bool, width: int) -> None:
        self.console = make_console(out, color=color)
        self.width = width

    def print_one(self, one: Surprise) -> None:
        """Prints one leaf."""
        index = LineIndex(one.text.source)
        where = index.position(one.leaf.span.start)
        style = SURE_STYLE if one.excess >= _STRONG else UNSURE_STYLE
        role = one.leaf.role.name.lower().replace("_", " ")
        self.console.print(
            Text.assemble(
                (visible(utf8_path(one.text.path)), "bold"),
                f":{where.line}:{where.column} {role}, ",
                (f"{one.excess:.1f} nats more surprising than usual", style),
            )
        )
        frame = CodeFrame(index, [Mark(one.leaf.span, "^", style)], self.width)
        rows = frame.rows(Text(_label(one), style))
        for row in rows:
            self.console.print(row)
        usual = f"{one.usual:.1f} {_WHOSE[one.usual_of]}" if one.usual_of else _WHOSE[""]
        note = Text.assemble(
            " " * (frame.gutter + 1),
            ("= usual: ", MARGIN),
            f"{one.surprisal:.1f} nats here; of this role {usual}",
        )
        self.console.print(crop(note, 0, self.width))
        self.console.print()


def _label(one: Surprise) -> str:
    shown = visible(one.leaf.text)[:_LONGEST_TEXT]
    label = f"`{shown}` here is {percent(one.likelihood)}"
    if one.alternatives:
        best = one.alternatives[0]
        meant = f"`{visible(best.text)[:_LONGEST_TEXT]}`" if best.text else f"no `{shown}`"
        label += f"; {meant} is {percent(best.likelihood)}"
    return label
