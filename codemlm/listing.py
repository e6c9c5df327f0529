"""The heat map in the terminal: text coloured by likelihood, doubts noted below their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TextIO

from rich.text import Text

from codemlm.findings import percent
from codemlm.frames import MARGIN, crop, lay_out, make_console
from codemlm.heatmap import LEVELS, LeafHeat, level_of, worst
from codemlm.positions import LineIndex
from codemlm.terminal import utf8_path, visible

STYLES = (
    "bold #ffffff on #b91c1c",
    "bold #000000 on #f97316",
    "#000000 on #f59e0b",
    "#000000 on #fde68a",
)
"""Of the LEVELS. Each sets both colours, as numbers: what a palette calls white may be grey."""

LEAST_REGRET = 0.05
"""Leaves whose best alternative is not so much likelier get no note."""

_MAX_LINE = 4_000
_LONGEST_TEXT = 40


def style_of(likelihood: float | None) -> str:
    """Style of a leaf of the likelihood; empty for a likely one."""
    level = level_of(likelihood)
    return "" if level is None else STYLES[level]


class Listing:
    """Prints files as heat maps.

    Args:
        out: where to.
        color: whether colours may be used; without them the notes say it all.
        width: columns that lines are cropped to.
    """

    def __init__(self, out: TextIO, *, color: bool, width: int) -> None:
        self.console = make_console(out, color=color)
        self.color = color
        self.width = width

    def print_file(self, path: str, source: bytes, heat: Sequence[LeafHeat], top: int) -> None:
        """Prints one file, with notes on the ``top`` most doubtful leaves."""
        index = LineIndex(source)
        noted = [h for h in worst(heat, top) if h.regret >= LEAST_REGRET]
        notes: dict[int, list[LeafHeat]] = defaultdict(list)
        for one in noted:
            notes[index.line_of(one.leaf.span.start)].append(one)
        styled = _styles_by_line(index, heat)
        count = len(index.starts) - (source.endswith((b"\n", b"\r")) or not source)
        gutter = len(str(max(1, count)))
        self.console.print(Text(visible(utf8_path(path)), "bold"))
        for line in range(1, count + 1):
            text = index.line_bytes(line).decode("utf-8")[:_MAX_LINE]
            row = lay_out(text)
            code = Text(row.text)
            for start, end, style in styled.get(line, ()):
                last = len(row.begins) - 1
                code.stylize(style, row.begins[min(start, last)], row.begins[min(end, last)])
            self._print_row(str(line), gutter, code)
            for one in sorted(notes.get(line, ()), key=lambda h: h.leaf.index):
                column = index.position(one.leaf.span.start).column - 1
                self._print_note(gutter, row.cell(column), one)
        if self.color:
            self.console.print(_legend())

    def _print_row(self, number: str, gutter: int, code: Text) -> None:
        margin = Text(f"{number:>{gutter}} | ", MARGIN)
        cropped = crop(code, 0, max(16, self.width - gutter - 3))
        self.console.print(
            Text.assemble(margin, cropped) if code else Text(margin.plain[:-1], MARGIN)
        )

    def _print_note(self, gutter: int, cell: int, heat: LeafHeat) -> None:
        room = max(16, self.width - gutter - 3)
        assert heat.likelihood is not None
        shown = visible(heat.leaf.text)[:_LONGEST_TEXT]
        best = heat.alternatives[0]
        meant = f"`{visible(best.text)[:_LONGEST_TEXT]}`" if best.text else "nothing"
        note = f"^ `{shown}` {percent(heat.likelihood)}; {meant} {percent(best.likelihood)}"
        indent = max(0, min(cell, room - len(note)))
        text = Text(" " * indent + note, "magenta")
        self.console.print(Text.assemble((f"{'':>{gutter}} | ", MARGIN), crop(text, 0, room)))


def _styles_by_line(
    index: LineIndex, heat: Sequence[LeafHeat]
) -> dict[int, list[tuple[int, int, str]]]:
    """Styles by line as (code point, code point, style); leaves of several lines are on each."""
    found: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for one in heat:
        style = style_of(one.likelihood)
        if not style:
            continue
        start, end = index.position(one.leaf.span.start), index.position(one.leaf.span.end)
        for line in range(start.line, end.line + 1):
            first = start.column - 1 if line == start.line else 0
            last = end.column - 1 if line == end.line else _MAX_LINE
            found[line].append((first, last, style))
    return found


def _legend() -> Text:
    parts = [Text("likelihood: ")]
    for (_, name), style in reversed(list(zip(LEVELS, STYLES, strict=True))):
        parts += [Text(f" {name} ", style), Text(" ")]
    return Text.assemble(*parts)
