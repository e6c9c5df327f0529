"""An evaluation on real bugs as one HTML file that needs nothing else, and no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codemlm.evaluation.figures import CAPTIONS
from codemlm.evaluation.page import (
    MISSING,
    NOTHING,
    Group,
    Row,
    Section,
    code_cell,
    count_cell,
    join,
    number_cell,
    page,
    paragraph,
    picture,
    place_cell,
    rate_cell,
    share_cell,
    table,
    terms,
    text_cell,
    warning,
)
from codemlm.evaluation.rankers import DESCRIPTIONS, PRODUCT
from codemlm.evaluation.reading import (
    FIGURE_GROUPS,
    bins_of,
    by_size,
    calibration_error,
    figures_of,
    finite,
    interval,
    prevalence,
)
from codemlm.page import Markup

Result = Mapping[str, Any]

_LABELS = {name: label for _, figures in FIGURE_GROUPS for name, label in figures}
_RATES = ("alarms", "mrr")
_KINDS = ("line_top1", "line_top5", "top1", "repair_top1", "joint", "recall_at_1", "recall_at_2")
_KIND_HEADS = ("line first", "line of five", "leaf first", "repair", "leaf first, repaired")
_POPULATIONS = (
    ("all", "all bugs"),
    ("unreported", "bugs that neither pyflakes nor ruff reports"),
    ("parsed", "those of them in files that pyflakes and ruff can parse"),
)


def html_report(result: Result, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page of a result. What the result lacks, the page says was not measured.

    Args:
        result: of an evaluation on real bugs.
        pictures: PNG files by name, those of ``figures.CAPTIONS`` or others; None: none were drawn.
    """
    model = result.get("model") or {}
    name = " ".join(str(model[key]) for key in ("name", "version") if model.get(key))
    title = f"Real bugs: codemlm {result.get('codemlm') or ''}{f', model {name}' if name else ''}"
    drawn = {file.removesuffix(".png"): data for file, data in (pictures or {}).items()}
    sections = [
        Section("data", "The bugs", _data(result.get("data") or {})),
        Section("rankers", "Rankers", _rankers(result, drawn)),
        Section("linters", "Linters", _linters(result)),
        Section("kinds", "Kinds of mistakes", _kinds(result, drawn)),
        Section("commits", "Commits that brought the bugs in", _commits(result.get("commits"))),
        Section("curves", "Curves", _curves(drawn)),
        Section("reliability", "Confidence", _reliability(result, drawn)),
        Section("alarms", "Highest false alarms", _alarms(result.get("alarms") or ())),
        Section("misses", "Worst misses", _misses(result.get("misses") or ())),
        Section("compared", "With every leaf masked", _compared(result.get("compared") or {})),
        Section("settings", "How it was measured", _settings(result)),
    ]
    return page(title, _introduction(result.get("warnings") or ()), sections)


def _introduction(warnings: Sequence[str]) -> Markup:
    text = (
        "Every bug is one that somebody mended: a wrong token in a file, as it was before its fix. "
        "Clean code is those files after their fixes. A finding elsewhere in a file counts as "
        "false, though it may be a bug that nobody has mended yet: precision is a lower bound. In "
        "small type: 95 % intervals, by a bootstrap over repositories."
    )
    return join(*(warning(str(each)) for each in warnings), paragraph(text))


def _data(data: Result) -> Markup:
    if not data:
        return MISSING
    names = {
        "bugs": "bugs",
        "unreported": "bugs that neither pyflakes nor ruff reports",
        "parsed": "those of them in files that pyflakes and ruff can parse",
        "repositories": "repositories",
        "files": "clean files",
        "lines": "clean lines",
        "functions": "clean functions",
        "in_functions": "bugs inside a function",
        "unreachable": "bugs at leaves that no ranker judges",
        "lines_per_bug": "lines of a file with a bug, on average",
        "threshold": "confidence from which the product reports",
    }
    counts = {**dict.fromkeys(list(names)[:7]), **data}  # these seven are of every result
    parts = [
        terms([(names.get(key, key), _plain(v)) for key, v in counts.items() if not _is_table(v)])
    ]
    total = finite(data.get("bugs"))
    for key, caption in (("kinds", "Bugs by kind"), ("skipped", "Bugs left out, by reason")):
        counted = data.get(key) or {}
        rows = [
            Row(str(name), [count_cell(n), _share_of(n, total if key == "kinds" else None)])
            for name, n in sorted(counted.items(), key=lambda item: (-(finite(item[1]) or 0), item))
        ]
        if key == "skipped":
            rows = [Row(row.name, row.cells[:1]) for row in rows]
        heads = ["kind", "bugs", "share"] if key == "kinds" else ["reason", "bugs"]
        parts.append(table(caption, heads, [Group("", rows)]) if rows else NOTHING)
    return join(*parts)


def _share_of(count: object, total: float | None) -> Markup:
    number = finite(count)
    return share_cell(None if number is None or not total else number / total)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _rankers(result: Result, drawn: dict[str, bytes]) -> Markup:
    rankers = result.get("rankers") or {}
    parts = [_by_population("Rankers", rankers), _picture(drawn, "localisation")]
    known = [(name, DESCRIPTIONS[name]) for name in rankers if name in DESCRIPTIONS]
    return join(*parts, terms(known) if known else NOTHING)


def _by_population(title: str, measured: Result) -> Markup:
    """A table for each population: figures by row, rankers or linters by column."""
    if not measured:
        return MISSING
    parts = []
    for population, name in _POPULATIONS:
        found = {who: figures_of(of, population) for who, of in measured.items()}
        if not any(found.values()):
            parts.append(paragraph(f"{title}, {name}: not measured."))
            continue
        bugs = max(_bugs(of, population) for of in measured.values())
        parts.append(_figures(f"{title}: {name} ({bugs:,})", found))
    return join(*parts)


def _bugs(measured: Result | None, population: str) -> int:
    of = (measured or {}).get(population) or {}
    return int(finite(of.get("bugs")) or 0)


def _figures(caption: str, found: Mapping[str, Result]) -> Markup:
    """Figures by row, by group; those that this page does not know come last."""
    present = list(dict.fromkeys(name for figures in found.values() for name in figures))
    groups = [
        (title, [name for name, _ in figures if name in present])
        for title, figures in FIGURE_GROUPS
    ]
    groups.append(("Others", [name for name in present if not any(name in g for _, g in groups)]))
    rows = [Group(title, [_row(n, found) for n in names]) for title, names in groups if names]
    note = "Bold: the best of the row." if len(found) > 1 else ""
    return table(caption, ["", *found], rows, note=note)


def _row(name: str, found: Mapping[str, Result]) -> Row:
    values = [interval(figures.get(name))[0] for figures in found.values()]
    known = [value for value in values if value is not None]
    cell = rate_cell if _is_rate(name, known) else share_cell
    costs = "alarm" in name or name.startswith("functions_") or "per_kloc" in name
    # The threshold of a budget decides the functions alarmed: fewer of them is no merit there.
    best = None if costs or len(known) < 2 else max(known)
    cells = [
        cell(figures.get(name), strong=value is not None and value == best)
        for figures, value in zip(found.values(), values, strict=True)
    ]
    return Row(_LABELS.get(name, name.replace("_", " ")), cells)


def _is_rate(name: str, values: Iterable[float]) -> bool:
    return name in _RATES or name.endswith("_per_kloc") or any(abs(value) > 1 for value in values)


def _linters(result: Result) -> Markup:
    linters = result.get("linters") or {}
    if not linters:
        return MISSING
    rows = [
        Row(name, [text_cell(_plain(tool.get(key))) for key in ("version", "options")])
        for name, tool in ((name, tool or {}) for name, tool in linters.items())
    ]
    versions = table("Versions", ["linter", "version", "options"], [Group("", rows)], texts=2)
    kinds = {name: (tool or {}).get("by_kind") or {} for name, tool in linters.items()}
    bugs = {kind: (row or {}).get("bugs") for rows in kinds.values() for kind, row in rows.items()}
    found = [
        Row(
            kind,
            [
                count_cell(count),
                *(share_cell((rows.get(kind) or {}).get("found")) for rows in kinds.values()),
            ],
        )
        for kind, count in sorted(bugs.items(), key=lambda item: (-(finite(item[1]) or 0), item[0]))
    ]
    caption = "Bugs that linters report, by kind"
    by_kind = table(caption, ["kind", "bugs", *kinds], [Group("", found)]) if found else NOTHING
    return join(_by_population("Linters", linters), by_kind, versions)


def _kinds(result: Result, drawn: dict[str, bytes]) -> Markup:
    product = (result.get("rankers") or {}).get(PRODUCT) or {}
    heads = ["kind", "bugs", *_KIND_HEADS, "found at 1", "found at 2"]
    parts = []
    for population, name in _POPULATIONS:
        kinds = by_size((product.get(population) or {}).get("by_kind") or {})
        rows = [
            Row(kind, [count_cell(count), *(share_cell(figures.get(key)) for key in _KINDS)])
            for kind, figures, count in kinds
        ]
        if rows:
            parts.append(table(f"The product: {name}", heads, [Group("", rows)]))
    return join(*parts, _picture(drawn, "kinds")) if parts else MISSING


def _commits(commits: Result | None) -> Markup:
    if not commits or not commits.get("bugs"):
        return MISSING
    rankers = commits.get("rankers") or {}
    found = {name: (of or {}).get("figures", of) or {} for name, of in rankers.items()}
    text = (
        f"{_plain(commits['bugs'])} bugs, each in the commit that brought it in: only the leaves "
        "of the lines that the commit changed are ranked."
    )
    parts = [paragraph(text), _figures("Leaves of the changed lines", found) if found else MISSING]
    product = commits.get("product") or {}
    if product.get("figures"):
        parts.append(_figures("Reports on the changed lines", {PRODUCT: product["figures"]}))
    sizes = [size for size, count in (commits.get("sizes") or {}).items() if count]
    rows = [
        Row(name, [share_cell((rows.get(size) or {}).get("top1")) for size in sizes])
        for name, rows in ((n, (of or {}).get("by_size") or {}) for n, of in rankers.items())
    ]
    if sizes:
        heads = ["ranker", *(f"{size} ({commits['sizes'][size]:,})" for size in sizes)]
        title = "The wrong leaf comes first, by leaves on the changed lines (commits)"
        parts.append(table(title, heads, [Group("", rows)]))
    return join(*parts)


def _curves(drawn: dict[str, bytes]) -> Markup:
    own = ("localisation", "kinds", "reliability")  # these stand in their sections
    known = [name.removesuffix(".png") for name in CAPTIONS]
    names = [*(n for n in known if n in drawn), *sorted(n for n in drawn if n not in known)]
    shown = [_picture(drawn, name) for name in names if name not in own]
    return join(*shown) if shown else paragraph("No curves were drawn.")


def _picture(drawn: Mapping[str, bytes], name: str) -> Markup:
    if name not in drawn:
        return NOTHING
    return picture(name.replace("-", " "), drawn[name], CAPTIONS.get(f"{name}.png", name))


def _reliability(result: Result, drawn: dict[str, bytes]) -> Markup:
    bins = result.get("reliability") or ()
    error = calibration_error(bins)
    if error is None:
        return MISSING
    groups = [Group("", _bin_rows(bins))]
    if result.get("reliability_read"):
        said = "other mistakes that were read counted as right"
        groups.append(Group(said, _bin_rows(result["reliability_read"])))
    heads = ["confidence", "findings", "mean confidence", "measured precision"]
    text = f"Expected calibration error: {error:.3f}. {prevalence(result.get('data') or {})}"
    shown = table("Findings of the product by confidence", heads, groups)
    return join(paragraph(text), shown, _picture(drawn, "reliability"))


def _bin_rows(bins: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [
        Row(
            f"{low * 100:.0f}\N{EN DASH}{high * 100:.0f} %",
            [count_cell(count), share_cell(confidence), share_cell(precision)],
        )
        for (low, high), confidence, precision, count in bins_of(bins)
    ]


def _alarms(alarms: Sequence[Result]) -> Markup:
    rows = [
        Row(
            str(number),
            [
                share_cell(alarm.get("confidence")),
                _place(alarm),
                text_cell(_plain(alarm.get("rule"))),
                code_cell(alarm.get("text")),
                code_cell(alarm.get("suggestion")),
            ],
        )
        for number, alarm in enumerate(alarms, 1)
    ]
    heads = ["", "confidence", "place", "rule", "text", "suggestion"]
    title = "Findings on clean code, the most confident first"
    return table(title, heads, [Group("", rows)], texts=4) if rows else MISSING


def _misses(misses: Sequence[Result]) -> Markup:
    rows = [
        Row(
            str(number),
            [
                number_cell(None if (rank := finite(miss.get("rank"))) is None else f"{rank:,.5g}"),
                _place(miss),
                text_cell(_plain(miss.get("kind"))),
                code_cell(miss.get("before")),
                code_cell(miss.get("after")),
                text_cell(miss.get("message") or ""),
            ],
        )
        for number, miss in enumerate(misses, 1)
    ]
    heads = ["", "rank", "place", "kind", "before", "after", "fix"]
    title = "Bugs that the product ranks last among the leaves of their files"
    return table(title, heads, [Group("", rows)], texts=5) if rows else MISSING


def _place(row: Result) -> Markup:
    commit = str(row.get("commit") or "")[:12]
    return place_cell(
        f"{row.get('path') or ''}:{_plain(row.get('line'))}", f"{row.get('repo') or ''} @ {commit}"
    )


def _compared(compared: Result) -> Markup:
    rankers = compared.get("rankers") or {}
    if not rankers:
        return MISSING
    sizes = [(name, compared.get(name)) for name in ("bugs", "files", "lines")]
    size = ", ".join(f"{_plain(count)} {name}" for name, count in sizes if count is not None)
    text = f"All rankers, with those that mask each leaf in turn, on a smaller sample: {size}."
    return join(paragraph(text), _by_population("The sample", rankers))


def _settings(result: Result) -> Markup:
    pairs = [("codemlm", _plain(result.get("codemlm")))]
    for part in ("model", "settings"):
        given = result.get(part) or {}
        pairs += [
            (f"{part}: {key}", "none" if v is None else _plain(v)) for key, v in given.items()
        ]
    return terms(pairs)


def _plain(value: object) -> str:
    """A value of a result as text."""
    if value is None:
        return "not measured"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, (int, float)):
        number = finite(value)
        return "not measured" if number is None else f"{number:,.12g}"
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
