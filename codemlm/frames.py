"""Code frames for people: source lines with the doubtful leaf underlined, laid out in screen cells.

Text of a source file is never trusted: control characters and bidirectional overrides are shown as
symbols, so that a file can neither steer the terminal nor hide what it holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from codemlm.findings import Finding, percent
from codemlm.positions import LineIndex
from codemlm.report import LEAST_ADVICE, shown_text
from codemlm.rules import EXACT, RULES, UNKNOWN
from codemlm.terminal import symbol, utf8_path, visible
from codemlm.types import Span

CONTEXT_LINES = 2
TAB_CELLS = 4
# Colours of the palette that can be read on dark and on light backgrounds, with the defaults of the
# usual terminals: yellow, green and cyan are lost on white, plain blue on black.
MARGIN = "bright_blue"
SURE_STYLE, UNSURE_STYLE = "bold red", "bold magenta"
_ELLIPSIS = "…"
_LOOK_BACK = 1_000  # code points before a mark that are laid out; lines can be megabytes long
_FAR_APART = 6  # lines between the places of a swap that still make one frame
_LONGEST_MESSAGE = 240


@dataclass(frozen=True, slots=True)
class Mark:
    """A span to be underlined."""

    span: Span
    symbol: str
    style: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A line laid out: its text on the screen, and where each of its code points begins there."""

    text: str
    begins: list[int]

    def cell(self, column: int) -> int:
        """Screen cell at which 0-based code point ``column`` begins."""
        return cell_len(self.text[: self.begins[min(column, len(self.begins) - 1)]])


def lay_out(line: str, skip: int = 0) -> _Row:
    """``line`` from code point ``skip`` on, tabs expanded and control characters visible."""
    shown: list[str] = []
    begins: list[int] = [0] * skip
    length = cells = 0
    for char in line[skip:]:
        begins.append(length)
        if char == "\t":
            piece = " " * (TAB_CELLS - cells % TAB_CELLS)
        else:
            piece = char if char.isprintable() else symbol(char)
        cells += 1 if piece.isascii() and len(piece) == 1 else cell_len(piece)
        length += len(piece)
        shown.append(piece)
    begins.append(length)
    return _Row("".join(shown), begins)


def crop(row: Text, left: int, width: int) -> Text:
    """The cells ``[left, left + width)`` of a row, with an ellipsis at each end that is cut."""
    plain = row.plain
    if left == 0 and cell_len(plain) <= width:
        return row
    begin = _reach(plain, left + 1) if left else 0
    end = _fit(plain, left + width)
    cut_right = end < len(plain)
    if cut_right:
        end = _fit(plain, left + width - 1)
    cropped = row[begin:end] if end > begin else Text()
    if left:
        lost = cell_len(plain[:begin]) - left - 1  # half of a wide character at the cut
        cropped = Text.assemble((_ELLIPSIS, "dim"), " " * max(0, lost), cropped)
    return Text.assemble(cropped, (_ELLIPSIS, "dim")) if cut_right else cropped


def _fit(text: str, cells: int) -> int:
    """How many characters of ``text`` fit into ``cells``."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if cell_len(text[:middle]) <= cells:
            low = middle
        else:
            high = middle - 1
    return low


def _reach(text: str, cells: int) -> int:
    """How many characters of ``text`` fill ``cells``, combining ones that follow included."""
    count = _fit(text, cells)
    if count < len(text) and cell_len(text[:count]) < cells:
        count = _fit(text, cells + 1)
    return count


class CodeFrame:
    """Source lines around marks.

    Args:
        index: of the source.
        marks: the first one decides which part of long lines is shown.
        width: cells a line.
    """

    def __init__(self, index: LineIndex, marks: Sequence[Mark], width: int) -> None:
        self.index = index
        self.marks = [m for m in marks if self._is_near(m, marks[0])]
        starts = [index.line_of(m.span.start) for m in self.marks]
        ends = [index.line_of(max(m.span.start, m.span.end - 1)) for m in self.marks]
        count = len(index.starts)
        self.first = max(1, min(starts) - CONTEXT_LINES)
        self.last = min(count, max(ends) + CONTEXT_LINES)
        while self.first < min(starts) and not index.line_bytes(self.first).strip():
            self.first += 1
        while self.last > max(ends) and not index.line_bytes(self.last).strip():
            self.last -= 1
        self.gutter = len(str(self.last))
        self.width = max(16, width - self.gutter - 3)
        self.skip, self.left = self._view(marks[0])

    def _is_near(self, mark: Mark, main: Mark) -> bool:
        lines = self.index.line_of(mark.span.start) - self.index.line_of(main.span.start)
        return abs(lines) <= _FAR_APART

    def _view(self, main: Mark) -> tuple[int, int]:
        """Code points and then cells that every line loses on the left, so that the mark shows."""
        line = self.index.line_of(main.span.start)
        start, end = self._columns(main, line)
        skip = max(0, start - _LOOK_BACK)
        text = self._line(line)[: end + 4 * self.width]
        row = lay_out(text, skip)
        cells = cell_len(row.text)
        if row.cell(end) < self.width or cells <= self.width:
            return skip, 0
        return skip, max(0, min(row.cell(start) - self.width // 3, cells - self.width))

    def _line(self, line: int) -> str:
        return self.index.line_bytes(line).decode("utf-8")

    def _columns(self, mark: Mark, line: int) -> tuple[int, int]:
        """Code points ``[start, end)`` of a mark on one of its lines."""
        begin = self.index.starts[line - 1]
        raw = self.index.line_bytes(line)
        start = min(max(mark.span.start - begin, 0), len(raw))
        end = min(max(mark.span.end - begin, start), len(raw))
        return len(raw[:start].decode("utf-8")), len(raw[:end].decode("utf-8"))

    def rows(self, label: Text | None = None) -> list[Text]:
        """The frame's lines; ``label`` stands beside the first mark, or below it."""
        found = [self._margin()]
        for line in range(self.first, self.last + 1):
            full = self._line(line)
            row = lay_out(full[: self.skip + _LOOK_BACK + 8 * self.width], self.skip)
            code, under = Text(row.text), Text()
            labelled = False
            for mark in sorted(self.marks, key=lambda m: m.span.start):
                first = self.index.line_of(mark.span.start)
                last = self.index.line_of(max(mark.span.start, mark.span.end - 1))
                if not first <= line <= last:
                    continue
                start, end = self._columns(mark, line)
                code.stylize(
                    mark.style, *(row.begins[min(i, len(row.begins) - 1)] for i in (start, end))
                )
                self._underline(under, row.cell(start), row.cell(end), mark)
                labelled |= mark is self.marks[0] and line == last
            found.append(self._margin(str(line), crop(code, self.left, self.width)))
            if under:
                found += self._under(under, label if labelled else None)
        return [*found, self._margin()]

    def _underline(self, under: Text, start: int, end: int, mark: Mark) -> None:
        start, end = start - self.left, max(end, start + 1) - self.left
        if self.left and start < 1:  # behind the ellipsis
            start = 1
        end = min(end, self.width)
        under.pad_right(max(0, start - cell_len(under.plain)))
        under.append(mark.symbol * max(1, end - start), mark.style)

    def _under(self, under: Text, label: Text | None) -> list[Text]:
        if label is None:
            return [self._margin("", under)]
        if under.cell_len + 1 + label.cell_len <= self.width:
            return [self._margin("", Text.assemble(under, " ", label))]
        indent = len(under.plain) - len(under.plain.lstrip())
        indent = max(0, min(indent, self.width - label.cell_len))
        return [
            self._margin("", under),
            self._margin("", Text.assemble(" " * indent, label)),
        ]

    def _margin(self, number: str = "", code: Text | None = None) -> Text:
        margin = Text(f"{number:>{self.gutter}} |", MARGIN)
        return Text.assemble(margin, " ", code) if code else margin


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves the matter to the command line; rich would exit with 1, which means findings."""
        raise BrokenPipeError


def make_console(out: TextIO, *, color: bool) -> Console:
    """A console that prints what it is given: no wrapping, no markup, no highlighting."""
    system = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return _Console(
        file=out,
        force_terminal=color,
        color_system=("truecolor" if system else "256") if color else None,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        legacy_windows=False,
        _environ={},
    )


def certainty_style(confidence: float) -> str:
    """Style of a finding: red for the sure ones."""
    return SURE_STYLE if confidence >= 0.5 else UNSURE_STYLE


def _header(path: str, index: LineIndex, finding: Finding, *, name: bool = False) -> Text:
    where = index.position(finding.span.start)
    rule = f"{finding.rule} {RULES[finding.rule].name}" if name else finding.rule
    return Text.assemble(
        (visible(utf8_path(path)), "bold"),
        (f":{where.line}:{where.column}", "default"),
        " " if name else ": ",
        (rule, certainty_style(finding.confidence)),
        f" {percent(finding.confidence)}",
    )


Rows = Callable[[str, LineIndex, Finding, int], list[Text]]
"""What a finding is printed as, by its path, the source's index, itself, and the width."""


def concise_rows(path: str, index: LineIndex, finding: Finding, width: int) -> list[Text]:
    """A finding on one line, whatever the width: terminals and editors link it to its place."""
    message = visible(finding.message)[:_LONGEST_MESSAGE]
    return [Text.assemble(_header(path, index, finding), " ", message)]


def full_rows(path: str, index: LineIndex, finding: Finding, width: int) -> list[Text]:
    """A finding for people: where, which rule, how sure; the code; what was probably meant.

    The last row is empty: it parts the finding from the next.
    """
    style = certainty_style(finding.confidence)
    marks = [Mark(finding.span, "^", style)]
    if finding.other is not None:
        marks.append(Mark(finding.other, "-", style))
    label = Text(visible(finding.message)[:_LONGEST_MESSAGE], style)
    rows = [_header(path, index, finding, name=True)]
    rows += CodeFrame(index, marks, width).rows(label)
    advice = _help(index, finding)
    if advice:
        gutter = len(rows[1].plain) - 1
        rows.append(Text.assemble(" " * gutter, ("= help: ", MARGIN), advice))
    return [*rows, Text()]


def _help(index: LineIndex, finding: Finding) -> str:
    """What to write instead, and the runners-up; nothing where the model does not know."""
    if not finding.suggestions:
        return ""
    known = finding.rule in EXACT - UNKNOWN  # the rule says it, whatever the model thinks of it
    if not known and finding.suggestions[0].likelihood < LEAST_ADVICE:
        return ""
    best = finding.suggestions[0]
    meant, shown = shown_text(finding, best), visible(finding.text)
    if finding.other is not None:
        other = index.source[finding.other.start : finding.other.end].decode("utf-8")
        advice = f"swap `{shown}` and `{visible(other)}`"
    elif not meant:
        advice = f"take `{shown}` away"
    else:
        advice = f"write `{visible(meant)}`"
    others = [
        f"`{visible(shown_text(finding, s))}` ({percent(s.likelihood)})"
        for s in finding.suggestions[1:3]
        if s.likelihood >= LEAST_ADVICE and shown_text(finding, s)
    ]
    return f"{advice}; or {', '.join(others)}" if others else advice
