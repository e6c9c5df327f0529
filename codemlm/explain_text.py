"""An explanation in the terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import TextIO

from rich.text import Text

from codemlm.explanation import Explanation, Option, Verdict
from codemlm.feature_words import feature_words
from codemlm.findings import percent
from codemlm.frames import MARGIN, CodeFrame, Mark, certainty_style, crop, lay_out, make_console
from codemlm.positions import LineIndex
from codemlm.rules import RULES
from codemlm.terminal import utf8_path, visible

NUM_FEATURES = 8
NUM_LINES = 6
"""Features and context lines that are told; JSON has all."""
LEAST_NATS = 0.005
"""Features that add less are not told one by one."""
_LONGEST_TEXT = 40


class ExplanationPrinter:
    """Prints explanations of leaves of a text.

    Args:
        out: where to.
        color: whether colours may be used.
        width: columns that lines are cropped to.
    """

    def __init__(self, out: TextIO, *, color: bool, width: int) -> None:
        self.console = make_console(out, color=color)
        self.width = width
        self._wrapper = textwrap.TextWrapper(
            width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )

    def print_one(self, path: str, index: LineIndex, one: Explanation) -> None:
        """Prints one explanation."""
        style = MARGIN if one.verdict is None else certainty_style(one.verdict.finding.confidence)
        self.console.print(_header(path, index, one, style))
        for row in CodeFrame(index, [Mark(one.leaf.span, "^", style)], self.width).rows():
            self.console.print(row)
        for told in self._rows(index, one):
            if isinstance(told, str):
                self.console.print(self._wrapper.fill(told))
            else:
                self.console.print(crop(told, 0, self.width))
        self.console.print()

    def _rows(self, index: LineIndex, one: Explanation) -> Iterator[Text | str]:
        if one.verdict is not None:
            yield from _confidence(one.verdict)
        yield from _reasons(one)
        if one.options:
            yield from _distribution(one)
        if one.verdict is not None:
            yield from _features(one, one.verdict)
            yield from _filters(one.verdict)
        yield from _lines(index, one)


def _code(text: str) -> str:
    shown = visible(text)
    shown = shown if len(shown) <= _LONGEST_TEXT else shown[: _LONGEST_TEXT - 1] + "…"
    return f"`{shown}`" if text else "nothing"


def _title(text: str) -> Text:
    return Text(text, "bold")


def _header(path: str, index: LineIndex, one: Explanation, style: str) -> Text:
    where = index.position(one.leaf.span.start)
    role = one.leaf.role.name.lower().replace("_", " ")
    header = Text.assemble(
        (visible(utf8_path(path)), "bold"),
        f":{where.line}:{where.column} {_code(one.leaf.text)}, {role}: ",
    )
    if one.verdict is None:
        return header.append("no finding")
    finding = one.verdict.finding
    header.append(f"{finding.rule} {RULES[finding.rule].name} {percent(finding.confidence)}", style)
    return header.append(", reported" if one.reported else ", not reported")


def _reasons(one: Explanation) -> Iterator[Text | str]:
    if not one.reasons:
        return
    yield _title("What may still hold it back" if one.reported else "Why it is not reported")
    yield from map(visible, one.reasons)


def _confidence(verdict: Verdict) -> Iterator[Text | str]:
    finding = verdict.finding
    yield _title("Confidence")
    sign = "at least" if finding.confidence >= verdict.least else "below"
    yield (
        f"{percent(finding.confidence)}, {sign} {percent(verdict.least)}: "
        f"{visible(verdict.least_of)}"
    )
    if verdict.if_masked is not None:
        yield (
            "by the single pass alone: a scan masks only the most suspicious leaves; masked, "
            f"it would be {percent(verdict.if_masked)}"
        )


def _distribution(one: Explanation) -> Iterator[Text]:
    yield _title("Likelihood             single pass     masked")
    shown = Option(one.leaf.text, one.single, one.masked, one.leaf.text)
    for option in (shown, *one.options):
        cells = f"{_cell(option.single):>11}  {_cell(option.masked):>9}"
        row = Text(f"  {_code(option.text):<21}{cells}")
        if option is shown:
            row.append("  as shown", "bold")
        elif option.stands_for is None and one.single is not None:
            row.append("  cannot stand here", "dim")
        elif option.stands_for is not None and option.stands_for != option.text:
            row.append(f"  stands for {_code(option.stands_for)}", "dim")
        yield row


def _cell(value: float | None) -> str:
    return "-" if value is None else percent(value)


def _features(one: Explanation, verdict: Verdict) -> Iterator[Text | str]:
    shares = verdict.shares
    if shares is None:
        yield _title("What makes the confidence")
        yield (
            "an exact rule found it: it is the precision that such findings were measured "
            "to have, less where a file has many"
        )
        if verdict.finding.rests_on:
            yield f"it rests on {', '.join(map(visible, verdict.finding.rests_on))}"
        return
    stage = "masked leaves" if verdict.finding.verified else "leaves"
    yield _title(f"What makes the confidence, in nats, beside the other {stage} of the file")
    yield Text(f"  {shares.base:+6.2f}  what they have on average")
    told = [part for part in shares.parts[:NUM_FEATURES] if abs(part.nats) >= LEAST_NATS]
    for part in told:
        words = feature_words(part.feature, part.value, one.leaf.text, shares.against)
        style = "red" if part.nats > 0 else MARGIN
        yield Text.assemble("  ", (f"{part.nats:+6.2f}", style), f"  {visible(words)}")
    rest = shares.parts[len(told) :]
    if rest:
        yield Text(f"  {sum(p.nats for p in rest):+6.2f}  {len(rest)} other features")
    chance = percent(1 / (1 + math.exp(-max(-40.0, min(40.0, shares.logit)))))
    yield Text(f"  {shares.logit:+6.2f}  in all: {chance}")


def _filters(verdict: Verdict) -> Iterator[Text | str]:
    yield _title("Filters")
    for passed, words in ((False, "failed"), (True, "passed"), (None, "not asked")):
        names = [name for name, value in verdict.filters if value is passed]
        if names:
            yield f"{words}: {', '.join(names)}"


def _lines(index: LineIndex, one: Explanation) -> Iterator[Text]:
    context = one.context
    if context is None or math.isnan(context.log_odds):
        return
    shown, against = _code(one.leaf.text), _code(one.against)
    yield _title("Evidence lines: what they add to the log odds, in nats")
    yield Text(f"  {context.log_odds:+6.2f}  of {shown} against {against}, by all of the context")
    if not context.lines:
        yield Text(f"  no line changes them by more than chance does ({context.noise:.2f})")
    gutter = len(str(max((line.line for line in context.lines), default=0)))
    for line in context.lines[:NUM_LINES]:
        style = MARGIN if line.change > 0 else "red"
        code = lay_out(index.line_bytes(line.line).decode("utf-8")).text
        yield Text.assemble(
            "  ", (f"{line.change:+6.2f}", style), (f"  {line.line:>{gutter}} | ", MARGIN), code
        )
    if context.lines:
        yield Text(f"  above 0 a line speaks for {shown}, below for {against}", "dim")
