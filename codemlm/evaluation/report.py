"""Tables of an evaluation, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from codemlm.evaluation.metrics import BUDGETS, RECALLS, TOPS
from codemlm.evaluation.rankers import DESCRIPTIONS, GATE, NGRAM, PRODUCT

if TYPE_CHECKING:
    from rich.table import Table as RichTable

_ALARMS = "Recall at n alarms in 1,000 clean lines, functions alarmed, and alarms for a recall"
_KINDS_OF = (PRODUCT, GATE, NGRAM)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; the first column names the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table, its title above it."""
        lines = [f"### {self.title}", "", _row(self.columns), _row(["---"] * len(self.columns))]
        return "\n".join([*lines, *map(_row, self.rows)]) + "\n"


def tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of an evaluation's result."""
    compared = result["compared"]
    found = [_localisation(f"Localisation and repair, {_size(result)}", result["rankers"])]
    found.append(_alarms(f"{_ALARMS}, {_size(result)}", result["rankers"]))
    if compared["rankers"]:
        title = f"All rankers on the same {compared['files']} files"
        found.append(_localisation(f"{title}: localisation and repair", compared["rankers"]))
        found.append(_alarms(f"{title}: {_ALARMS.lower()}", compared["rankers"]))
    found += [
        _kinds(name, result["rankers"][name]) for name in _KINDS_OF if name in result["rankers"]
    ]
    return found


def markdown(result: Mapping[str, Any]) -> str:
    """An evaluation's result as Markdown, for `benchmarks/runs`."""
    parts = ["## Injected mistakes", ""]
    parts += [*(f"**{line}**\n" for line in result.get("warnings", ())), _introduction(result)]
    parts += [table.markdown() for table in tables(result)]
    notes = [f"- {name}: {text}." for name, text in DESCRIPTIONS.items() if name in _shown(result)]
    return "\n".join([*parts, "Rankers:", "", *notes, ""])


def print_tables(result: Mapping[str, Any], out: TextIO, *, color: bool, width: int) -> None:
    """Prints an evaluation's result."""
    print_all(_introduction(result), tables(result), out, color=color, width=width)


def print_all(
    introduction: str, found: Sequence[Table], out: TextIO, *, color: bool, width: int
) -> None:
    """Prints a text and tables."""
    from rich.console import Console

    console = Console(
        file=out, width=width, no_color=not color, force_terminal=color, highlight=False
    )
    console.print(introduction, soft_wrap=True, markup=False)
    for table in found:
        console.print()
        console.print(_rich(table))


def _introduction(result: Mapping[str, Any]) -> str:
    settings = result["settings"]
    return (
        f"{result['files']} files, {result['lines']:,} lines, {result['leaves']:,} leaves that "
        f"compete, {result['functions']:,} functions; {result['bugs']:,} mistakes, one a copy of a "
        f"file, {result['natural_bugs']:,} of them of kinds drawn as they occur (the others count "
        f"by kind alone); {result['unreachable_bugs']} at leaves that no ranker judges. "
        f"Seed {settings['seed']}. In brackets: 95 % intervals by a bootstrap over files.\n"
    )


def _size(result: Mapping[str, Any]) -> str:
    return f"{result['files']} files, {result['natural_bugs']:,} mistakes"


def _shown(result: Mapping[str, Any]) -> set[str]:
    return {*result["rankers"], *result["compared"]["rankers"]}


def _localisation(title: str, rankers: Mapping[str, Any]) -> Table:
    names = [*(f"top{k}" for k in TOPS), "repair", "top1_repaired"]
    columns = ["ranker", *(f"top {k}" for k in TOPS), "repair", "top 1 and repaired"]
    rows = [[name, *cells(r["figures"], names, percent)] for name, r in rankers.items()]
    return Table(title, columns, rows)


def _alarms(title: str, rankers: Mapping[str, Any]) -> Table:
    budgets = [f"recall_at_{budget:g}" for budget in BUDGETS]
    levels = [f"alarms_at_recall_{recall * 100:g}" for recall in RECALLS]
    columns = [
        "ranker",
        *(f"recall at {budget:g}" for budget in BUDGETS),
        "functions at 1",
        *(f"alarms for {recall:.0%}" for recall in RECALLS),
    ]
    rows = [
        [
            name,
            *cells(r["figures"], budgets, percent),
            *cells(r["figures"], ["functions_at_1"], percent),
            *cells(r["figures"], levels, rate),
        ]
        for name, r in rankers.items()
    ]
    return Table(title, columns, rows)


def _kinds(name: str, ranker: Mapping[str, Any]) -> Table:
    names = [*(f"top{k}" for k in TOPS), "repair", "top1_repaired", "recall_at_1"]
    columns = ["kind", "mistakes", *(f"top {k}" for k in TOPS), "repair", "top 1 and repaired"]
    columns.append("recall at 1")
    rows = [
        [kind, str(figures["bugs"]), *(percent(figures[n]) for n in names)]
        for kind, figures in ranker["by_kind"].items()
    ]
    return Table(f"By kind: {name}", columns, rows)


def cells(
    figures: Mapping[str, Any], names: Sequence[str], shape: Callable[[float], str]
) -> list[str]:
    """Figures as texts, with their intervals in brackets; ``-`` for what is missing."""
    texts = []
    for name in names:
        figure = figures.get(name) or {"value": None}
        if figure["value"] is None:
            texts.append("-")
        elif figure["low"] is None:
            texts.append(shape(figure["value"]))
        else:
            low, high = shape(figure["low"]), shape(figure["high"])
            texts.append(f"{shape(figure['value'])} [{low}, {high}]")
    return texts


def percent(value: float) -> str:
    """A share."""
    return f"{value * 100:.1f}"


def rate(value: float) -> str:
    """A number of alarms."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rich(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD)
    for place, column in enumerate(table.columns):
        made.add_column(column, justify="right" if place else "left", no_wrap=not place)
    for row in table.rows:
        made.add_row(*(Text(cell.replace(" [", "\n[")) for cell in row))
    return made
