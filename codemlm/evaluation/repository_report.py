"""What `codemlm calibrate` prints: a reliability diagram, thresholds, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from codemlm.evaluation.thresholds import interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Result = Mapping[str, Any]

BAR_CELLS = 24
FEW_FINDINGS = 5
"""A threshold that rests on fewer findings is hardly measured."""

MEANING = (
    (
        "Injected bugs are no real ones. They are drawn by chance, and most are easier than what "
        "people overlook: compare thresholds by the share of them that is found, and do not take "
        "it for the share of your bugs."
    ),
    (
        "Findings in 1,000 lines are what a scan of this code would report now, without a "
        "baseline. Some may be real bugs: here they all count as wrong, so more is right than it "
        "says."
    ),
    (
        "Confidence is a probability for code with one bug in {lines_per_bug:,.0f} lines, and so "
        "is the diagram: injected bugs count as if they were as rare as that."
    ),
)
"""What the figures mean, and what they do not."""


def meaning(result: Result) -> list[str]:
    """What the figures of a result mean, one paragraph each."""
    return [text.format(lines_per_bug=result["lines_per_bug"]) for text in MEANING]


def introduction(result: Result) -> str:
    """What was measured."""
    left = ""
    if result["skipped"]:
        left = f" Passed over: {counts(result['skipped'])}."
    return (
        f"{result['files']} files, {result['lines']:,} lines; {result['bugs']:,} injected bugs, "
        f"one in each copy of a file. Seed {result['settings']['seed']}. In brackets: 95 % "
        f"intervals, by a bootstrap over files.{left}"
    )


def counts(skipped: Mapping[str, int]) -> str:
    """Why files were passed over, and how many."""
    return ", ".join(f"{name} ({count})" for name, count in skipped.items())


def conclusion(result: Result) -> list[str]:
    """Which threshold to take, and how far to trust it, in sentences."""
    wanted = result["wanted"]
    rate = f"{wanted['per_kloc']:g} findings in 1,000 lines"
    figures = wanted["figures"]
    if figures is None:
        return [
            (
                f"No least confidence keeps this code to {rate}: rules with a least confidence of "
                "their own report more."
            )
        ]
    said = [
        (
            f"For at most {rate}: min-confidence = {figures['threshold']:g} "
            f"(95 %: {wanted['threshold']['low']:.2f} to {wanted['threshold']['high']:.2f}). A "
            f"scan then reports {figures['findings']} findings in {result['lines']:,} lines, and "
            f"finds {interval(figures['found'], '.0f', 100)} % of the injected bugs."
        )
    ]
    if result["lines"] * wanted["per_kloc"] < 1000 * FEW_FINDINGS:
        said.append(
            f"That rests on few findings: {result['lines']:,} lines allow "
            f"{result['lines'] * wanted['per_kloc'] / 1000:.1f}. More files (--files) would narrow "
            "the interval."
        )
    return said


def print_result(result: Result, out: TextIO, *, color: bool, width: int) -> None:
    """Prints a result for people."""
    from rich.console import Console

    console = Console(
        file=out,
        width=width,
        no_color=not color,
        force_terminal=color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(introduction(result))
    console.print()
    _print_reliability(console, result)
    _print_thresholds(console, result)
    _print_rules(console, result)
    for text in conclusion(result):
        console.print(text, style="bold")
    console.print()
    for text in meaning(result):
        console.print(f"- {text}")


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        made.add_column(column, justify="right" if place else "left", no_wrap=True)
    return made


def _print_reliability(console: Console, result: Result) -> None:
    from rich.text import Text

    made = _table("Reliability", "confidence", "findings", "bugs", "said", "right, %")
    made.add_column("0 %" + "100 %".rjust(BAR_CELLS - 3), no_wrap=True)
    for row in bins(result):
        bar = Text(bar_of(row["right"]["value"], row["mean_confidence"]))
        bar.highlight_regex(r"[|]", "bold magenta")
        bar.highlight_regex(r"█+", "bright_blue")
        made.add_row(
            f"{row['low']:.2f}-{row['high']:.2f}",
            str(row["findings"]),
            str(row["bugs_found"]),
            f"{100 * row['mean_confidence']:.0f}",
            interval(row["right"], ".0f", 100),
            bar,
        )
    console.print(made)
    console.print(
        "Bars: the share that is right. | is what the confidence says. No interval: too few.\n"
    )


def bins(result: Result) -> Sequence[Mapping[str, Any]]:
    """The ranges of confidence that hold a finding."""
    return [row for row in result["reliability"] if row["mean_confidence"] is not None]


def bar_of(share: float | None, said: float) -> str:
    """A bar of a share, with a mark at what was said."""
    full = 0 if share is None else round(share * BAR_CELLS)
    cells = ["█"] * full + ["·"] * (BAR_CELLS - full)
    cells[min(BAR_CELLS - 1, int(said * BAR_CELLS))] = "|"
    return "".join(cells)


def threshold_rows(result: Result) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and figures of all thresholds, the highest first."""
    named = [("", figures) for figures in result["thresholds"]] + [("now", result["now"])]
    if result["wanted"]["figures"] is not None:
        named.append((f"{result['wanted']['per_kloc']:g} wanted", result["wanted"]["figures"]))
    return sorted(named, key=lambda row: -row[1]["threshold"])


def _print_thresholds(console: Console, result: Result) -> None:
    title = "Least confidence (min-confidence)"
    made = _table(title, "from", "findings", "in 1,000 lines", "found, %", "repaired, %")
    for name, figures in threshold_rows(result):
        label = f"{figures['threshold']:.4g}{f'  {name}' if name else ''}"
        made.add_row(
            label,
            str(figures["findings"]),
            interval(figures["per_kloc"], ".2f"),
            interval(figures["found"], ".0f", 100),
            interval(figures["repaired"], ".0f", 100),
            style="bold" if name else "",
        )
    console.print(made)


def _print_rules(console: Console, result: Result) -> None:
    figures = result["wanted"]["figures"] or result["now"]
    made = _table(f"Bugs by rule, from {figures['threshold']:.4g}", "rule", "bugs", "found")
    for row in result["by_rule"]:
        made.add_row(f"{row['rule']} {row['name']}", str(row["bugs"]), str(row["found"]))
    console.print(made)
