"""Tables of an evaluation on real bugs, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from codemlm.evaluation.commits import commit_tables
from codemlm.evaluation.metrics import TOPS
from codemlm.evaluation.rankers import DESCRIPTIONS, GATE, NGRAM, PRODUCT
from codemlm.evaluation.real_metrics import BUDGETS, FUNCTION_SHARE, FUNCTIONS_LEVEL
from codemlm.evaluation.report import Table, cells, percent, print_all, rate

_POPULATIONS = {
    "all": "all bugs",
    "unreported": "bugs that pyflakes and ruff do not report",
    "parsed": "those of them in files that pyflakes and ruff can parse",
}
_KINDS_OF = (PRODUCT, GATE, NGRAM)

Figure = tuple[str, str, Callable[[float], str]]
"""Heading of a column, name of the figure, and how it is written."""

_LOCALISATION: Sequence[Figure] = (
    *((f"top {k}", f"top{k}", percent) for k in TOPS),
    *((f"line top {k}", f"line_top{k}", percent) for k in TOPS),
)
_REPAIR: Sequence[Figure] = (
    ("repair", "repair_top1", percent),
    ("repair in 5", "repair_top5", percent),
    ("top 1 and repaired", "joint", percent),
    ("more suspicious than fixed", "paired", percent),
)
_SHARE = f"{FUNCTION_SHARE * 100:g} %"
_FUNCTIONS: Sequence[Figure] = (
    (f"in its function, {_SHARE} alarmed", f"localised_{FUNCTIONS_LEVEL}", percent),
    ("and repaired", f"joint_{FUNCTIONS_LEVEL}", percent),
    *((f"functions alarmed at {b:g}", f"functions_at_{b:g}", percent) for b in BUDGETS),
    ("functions alarmed as reported", "functions_alarmed", percent),
)
_ALARMS: Sequence[Figure] = (
    *((f"recall at {b:g}", f"recall_at_{b:g}", percent) for b in BUDGETS),
    *((f"repaired at {b:g}", f"repaired_at_{b:g}", percent) for b in BUDGETS),
)
_REPORTED: Sequence[Figure] = (
    ("bugs reported", "recall_at_default", percent),
    ("and repaired", "repaired_at_default", percent),
    ("reports in 1,000 clean lines", "alarms_per_kloc", rate),
    ("share of reports that are the bug, files with one each", "precision", percent),
)
_SAME = {"recall_at_default": "found", "alarms_per_kloc": "messages_per_kloc"}
"""What linters call it."""


def real_tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of a result."""
    found: list[Table] = []
    linters = result["linters"]
    for population, said in _POPULATIONS.items():
        rows = {name: r[population] for name, r in result["rankers"].items() if r.get(population)}
        rows |= {name: r[population] for name, r in linters.items() if r.get(population)}
        found += _population(said, rows)
    compared = result["compared"]
    rows = {name: r["all"] for name, r in compared["rankers"].items()}
    found += _population(f"all rankers on the same {compared['files']:,} files", rows)
    for name in _KINDS_OF:
        if name in result["rankers"]:
            found.append(_kinds(name, result["rankers"][name]["all"]["by_kind"]))
    if linters:
        found.append(_linter_kinds(linters))
    found.append(_reliability(result["reliability"], "all else counted as false"))
    if result.get("reliability_read"):
        said = "other mistakes that were read counted as right"
        found.append(_reliability(result["reliability_read"], said))
    found += commit_tables(result)
    found += [_alarms(result["alarms"]), _misses(result["misses"])]
    return found


def _population(said: str, rows: Mapping[str, Any]) -> Iterator[Table]:
    """The tables of figures of rankers and linters over the same bugs."""
    if not any(row["bugs"] for row in rows.values()):
        return
    bugs = max(row["bugs"] for row in rows.values())
    title = f"{said[0].upper()}{said[1:]} ({bugs:,})"
    yield _figures(f"{title}: localisation in the file", rows, _LOCALISATION)
    yield _figures(f"{title}: repair", rows, _REPAIR)
    yield _figures(f"{title}: recall at n alarms in 1,000 clean lines", rows, _ALARMS)
    yield _figures(f"{title}: functions", rows, _FUNCTIONS)
    yield _figures(f"{title}: as reported by default", rows, _REPORTED)


def _figures(title: str, rows: Mapping[str, Any], columns: Sequence[Figure]) -> Table:
    """A table of what has at least one of the figures."""
    lines = []
    for name, row in rows.items():
        figures = dict(row["figures"])
        figures |= {ours: figures[own] for ours, own in _SAME.items() if own in figures}
        texts = [cells(figures, [figure], shape)[0] for _, figure, shape in columns]
        if any(text != "-" for text in texts):
            lines.append([name, *texts])
    return Table(title, ["", *(heading for heading, _, _ in columns)], lines)


def _kinds(name: str, kinds: Mapping[str, Any]) -> Table:
    columns = (*_LOCALISATION[:4], *_REPAIR, ("recall at 1", "recall_at_1", percent))
    rows = [
        [
            kind,
            f"{row['bugs']:,}",
            *("-" if row[f] is None else shape(row[f]) for _, f, shape in columns),
        ]
        for kind, row in sorted(kinds.items(), key=lambda item: -item[1]["bugs"])
    ]
    return Table(
        f"By kind: {name}", ["kind", "bugs", *(heading for heading, _, _ in columns)], rows
    )


def _linter_kinds(linters: Mapping[str, Any]) -> Table:
    kinds = {k: row["bugs"] for tool in linters.values() for k, row in tool["by_kind"].items()}
    rows = [
        [kind, f"{bugs:,}", *(percent(tool["by_kind"][kind]["found"]) for tool in linters.values())]
        for kind, bugs in sorted(kinds.items(), key=lambda item: -item[1])
    ]
    return Table("By kind: bugs that linters report", ["kind", "bugs", *linters], rows)


def _reliability(bins: Sequence[Mapping[str, Any]], said: str) -> Table:
    rows = [
        [
            f"{row['low']:g} to {row['high']:g}",
            f"{row['count']:,}",
            percent(row["mean_confidence"]),
            percent(row["precision"]),
        ]
        for row in bins
    ]
    title = f"Findings of the product by confidence, one bug a file, {said}"
    return Table(title, ["confidence", "findings", "mean confidence", "precision"], rows)


def _alarms(alarms: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            f"{row['confidence']:.2f}",
            row["rule"],
            _code(row["text"]),
            _code(row["suggestion"]),
            f"{row['repo']}@{row['commit'][:8]} {row['path']}:{row['line']}",
        ]
        for row in alarms
    ]
    columns = ["confidence", "rule", "text", "suggestion", "place"]
    return Table("The most confident findings on clean code", columns, rows)


def _misses(misses: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            f"{row['rank']:g}",
            f"{row['gate_rank']:g}",
            row["kind"],
            _code(row["before"]),
            _code(row["after"]),
            f"{row['repo']}@{row['commit'][:8]} {row['path']}:{row['line']}",
        ]
        for row in misses
    ]
    columns = ["rank", "rank by the gate", "kind", "wrong", "meant", "place"]
    return Table("The worst misses: bugs that the product ranks last", columns, rows)


def _code(text: str) -> str:
    """A text in backquotes, for a cell."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return f"`{plain}`" if plain else "-"


def real_markdown(result: Mapping[str, Any]) -> str:
    """A result as Markdown, for `benchmarks/runs`."""
    parts = ["## Real bugs", "", *(f"**{line}**\n" for line in result["warnings"])]
    parts += [introduction(result)]
    parts += [table.markdown() for table in real_tables(result)]
    shown = {*result["rankers"], *result["compared"]["rankers"]}
    notes = [f"- {name}: {text}." for name, text in DESCRIPTIONS.items() if name in shown]
    for name, tool in result["linters"].items():
        notes.append(f"- {name} {tool['version']}: {_options(tool.get('options'))}.")
    return "\n".join([*parts, "Rankers and linters:", "", *notes, ""])


def _options(options: object) -> str:
    return f"`{options}`" if options else "as it comes"


def print_real(result: Mapping[str, Any], out: TextIO, *, color: bool, width: int) -> None:
    """Prints a result."""
    text = "\n".join([*(f"WARNING: {line}" for line in result["warnings"]), introduction(result)])
    print_all(text, real_tables(result), out, color=color, width=width)


def introduction(result: Mapping[str, Any]) -> str:
    """What was evaluated, in a few sentences."""
    data = result["data"]
    skipped = ", ".join(f"{reason} {count}" for reason, count in data["skipped"].items())
    unreported = (
        f"pyflakes and ruff do not report {data['unreported']:,} of them, "
        f"{data['parsed']:,} in files that they can parse; "
        if data["unreported"] is not None
        else ""
    )
    return (
        f"{data['bugs']:,} bugs of {data['repositories']:,} repositories (split "
        f"{', '.join(data['splits'])}), each in its whole file "
        f"before the fix (one in {data['lines_per_bug']:,.0f} lines); {unreported}"
        f"{data['in_functions']:,} stand in a function; {data['unreachable']} are at leaves that "
        f"no ranker judges. Left out: {skipped or 'none'}. Clean code: {data['files']:,} files "
        f"after their fixes, {data['lines']:,} lines, {data['functions']:,} functions. "
        f"Seed {result['settings']['seed']}. In brackets: 95 % intervals by a bootstrap over "
        "repositories.\n"
    )
