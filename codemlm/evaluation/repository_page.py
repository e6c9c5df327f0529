"""The result of `codemlm calibrate` as one HTML page, its diagrams drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from codemlm.evaluation.page import (
    Group,
    Row,
    Section,
    count_cell,
    join,
    page,
    paragraph,
    rate_cell,
    share_cell,
    table,
)
from codemlm.evaluation.repository_report import (
    bins,
    conclusion,
    introduction,
    meaning,
    threshold_rows,
)
from codemlm.page import Markup

Result = Mapping[str, Any]

_STYLE = """
svg { display: block; width: 100%; height: auto; max-width: 34rem; }
svg text { fill: var(--ink); font-size: 13px; }
svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .ideal { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none; }
svg .line { stroke: var(--link); stroke-width: 2; fill: none; }
svg .whisker { stroke: var(--link); stroke-width: 2; opacity: .55; }
svg .dot { fill: var(--link); }
svg .now { fill: var(--paper); stroke: var(--link); stroke-width: 2; }
svg .wanted { fill: #d55e00; }
"""
_SIZE, _LEFT, _TOP, _BOTTOM = 400, 62, 14, 52
_WIDTH, _HEIGHT = _LEFT + _SIZE + 20, _TOP + _SIZE + _BOTTOM


def html_result(result: Result) -> str:
    """The page of a result."""
    name = " ".join(str(result["model"].get(key, "")) for key in ("name", "version")).strip()
    title = f"Calibration of codemlm on {', '.join(result['paths'])}"
    about = join(paragraph(introduction(result)), *map(paragraph, conclusion(result)))
    sections = [
        Section("reliability", "Reliability", _reliability(result)),
        Section("thresholds", "Least confidence", _thresholds(result)),
        Section("rules", "Injected bugs by rule", _rules(result)),
        Section("meaning", "What this means", join(*map(paragraph, meaning(result)))),
    ]
    if name:
        about = join(about, paragraph(f"Model: {name}."))
    return page(title, about, sections, style=_STYLE)


def _reliability(result: Result) -> Markup:
    rows = [
        Row(
            f"{row['low']:.2f} to {row['high']:.2f}",
            [
                count_cell(row["findings"]),
                count_cell(row["bugs_found"]),
                share_cell(row["mean_confidence"]),
                share_cell(row["right"]),
            ],
        )
        for row in bins(result)
    ]
    heads = ["confidence", "findings on the code as it is", "injected bugs", "said", "right"]
    caption = (
        "On the dashed line, findings are right as often as their confidence says. Bars: 95 % "
        "intervals, where there are enough findings for one."
    )
    return join(
        _figure(_diagram(bins(result)), caption),
        table("Reliability by confidence", heads, [Group("", rows)]),
    )


def _thresholds(result: Result) -> Markup:
    rows = [
        Row(
            f"{figures['threshold']:.4g}{f' ({name})' if name else ''}",
            [
                count_cell(figures["findings"]),
                rate_cell(figures["per_kloc"]),
                share_cell(figures["found"], strong=bool(name)),
                share_cell(figures["repaired"]),
            ],
        )
        for name, figures in threshold_rows(result)
    ]
    heads = ["min-confidence", "findings", "in 1,000 lines", "bugs found", "found and repaired"]
    caption = (
        "Each point is a least confidence. The open one holds now; the filled one of another "
        "colour gives the wanted number of findings."
    )
    return join(
        _figure(_curve(result), caption),
        table("What a scan reports, and finds", heads, [Group("", rows)]),
    )


def _rules(result: Result) -> Markup:
    figures = result["wanted"]["figures"] or result["now"]
    rows = [
        Row(
            f"{row['rule']} {row['name']}",
            [count_cell(row["bugs"]), count_cell(row["found"])],
        )
        for row in result["by_rule"]
    ]
    caption = f"Found from a confidence of {figures['threshold']:.4g}"
    return table(caption, ["rule", "bugs", "found"], [Group("", rows)])


def _figure(drawing: Markup, caption: str) -> Markup:
    return Markup(f"<figure>\n{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>")


def _x(share: float) -> float:
    return _LEFT + _SIZE * min(1.0, max(0.0, share))


def _y(share: float) -> float:
    return _TOP + _SIZE * (1 - min(1.0, max(0.0, share)))


def _drawing(
    label: str, across: str, up: str, ticks: Sequence[tuple[float, str]], parts: Sequence[str]
) -> Markup:
    """A square diagram; the axis upwards is a share.

    Args:
        label: what it shows, for those who cannot see it.
        across, up: names of the axes.
        ticks: places on the axis across, from 0 to 1, and their texts.
        parts: SVG of what is inside.
    """
    lines = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        lines.append(_line("grid", _x(0), y, _x(1), y))
        lines.append(_text(_LEFT - 8, y + 4, f"{share:.0%}".replace("%", " %"), "end"))
    for share, text in ticks:
        lines.append(_line("grid", _x(share), _y(0), _x(share), _y(1)))
        lines.append(_text(_x(share), _y(0) + 18, text, "middle"))
    lines.append(_text(_x(0.5), _HEIGHT - 10, across, "middle", "soft"))
    middle = _y(0.5)
    lines.append(
        f'<text class="soft" text-anchor="middle" x="14" y="{middle:.1f}" '
        f'transform="rotate(-90 14 {middle:.1f})">{escape(up)}</text>'
    )
    return Markup("\n".join([*lines, *parts, "</svg>"]))


def _diagram(rows: Sequence[Mapping[str, Any]]) -> Markup:
    parts = [_line("ideal", _x(0), _y(0), _x(1), _y(1))]
    points = []
    for row in rows:
        x, right = _x(row["mean_confidence"]), row["right"]
        if right["low"] is not None:
            parts.append(_line("whisker", x, _y(right["low"]), x, _y(right["high"])))
        if right["value"] is not None:
            points.append((x, _y(right["value"])))
    parts += [_path(points), *(_dot("dot", x, y) for x, y in points)]
    told = "; ".join(
        f"said {row['mean_confidence']:.0%}, right {row['right']['value']:.0%}"
        for row in rows
        if row["right"]["value"] is not None
    )
    ticks = [(share, f"{100 * share:.0f} %") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    label = f"Reliability diagram: {told or 'no findings'}"
    return _drawing(label, "confidence", "share that is right", ticks, parts)


def _curve(result: Result) -> Markup:
    rows = [figures for _, figures in threshold_rows(result)]
    # At low thresholds there are many times more findings than anyone wants: the axis is of roots.
    most = max(1.0, *(row["per_kloc"]["value"] for row in rows))

    def point(row: Mapping[str, Any]) -> tuple[float, float]:
        return _x(math.sqrt(row["per_kloc"]["value"] / most)), _y(row["found"]["value"])

    points = [point(row) for row in rows]
    parts = [_path(points), *(_dot("dot", x, y, 3.5) for x, y in points)]
    parts.append(_dot("now", *point(result["now"]), 6))
    wanted = result["wanted"]["figures"]
    if wanted is not None:
        parts.append(_dot("wanted", *point(wanted), 5))
    marks = [most * share**2 for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    ticks = [(math.sqrt(mark / most), f"{mark:.2g}") for mark in marks]
    label = "Share of injected bugs found by findings in 1,000 lines; the table has the figures"
    across = "findings in 1,000 lines (scale of square roots)"
    return _drawing(label, across, "injected bugs found", ticks, parts)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _dot(kind: str, x: float, y: float, radius: float = 5) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line" points="{joined}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
