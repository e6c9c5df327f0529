"""Pictures of an evaluation on real bugs, as PNG files.

They are drawn from the result's JSON alone, so that they can be drawn again without a model.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemlm.errors import UsageError
from codemlm.evaluation.rankers import (
    CHANCE,
    GATE,
    GATE_RATIO,
    MASKED_LIKELIHOOD,
    MASKED_RATIO,
    NGRAM,
    PRODUCT,
    PRODUCT_READ,
)
from codemlm.evaluation.reading import (
    BUDGETS,
    bins_of,
    by_size,
    calibration_error,
    figures_of,
    interval,
    linter_precision,
    points_of,
    prevalence,
    wilson,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTIONS = {
    "precision-recall.png": (
        "Precision and recall of every ranker, over all thresholds. Every file holds one known "
        "bug; a finding elsewhere counts as false, so precision is a lower bound. Linters have no "
        "threshold: each is a point."
    ),
    "recall-alarms.png": (
        "Share of the bugs found against the findings in 1,000 lines of clean code that it costs. "
        "Dotted lines: the budgets of the tables; whiskers: 95 % intervals of the product there."
    ),
    "reliability.png": (
        "Is the confidence a probability? Above, for findings of like confidence, the share that "
        "is the known bug; on the diagonal, confidence keeps its word. Below, how many they are."
    ),
    "kinds.png": "Share of the bugs that the product finds, by kind of mistake, commonest first.",
    "localisation.png": (
        "Share of the bugs whose line is among the first one, three and five lines of its file, "
        "with 95 % intervals."
    ),
}
"""The pictures, in order, with what they show."""

_SIZE, _DPI = (8.0, 5.2), 200  # inches: at 800 pixels, text of 10 points is 14 pixels high
_WRAP = 118
_INK, _FAINT = "#222222", "#777777"
# Okabe and Ito's colours, told apart by people with any of the usual colour blindnesses
# (https://jfly.uni-koeln.de/color/); the dashes tell curves apart in black and white.
_BLUE, _RED, _GREEN, _PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_ORANGE, _SKY = "#E69F00", "#56B4E9"
_STYLES = {
    PRODUCT: (_BLUE, "-", 2.6),
    PRODUCT_READ: (_BLUE, ":", 2.0),
    GATE: (_RED, "--", 1.7),
    GATE_RATIO: (_GREEN, "-.", 1.7),
    NGRAM: (_PINK, (0, (5, 1, 1, 1, 1, 1)), 1.7),
    MASKED_LIKELIHOOD: (_ORANGE, "--", 1.7),
    MASKED_RATIO: (_SKY, "-.", 1.7),
    CHANCE: (_FAINT, ":", 1.7),
}
_OTHERS = ((_SKY, "-", 1.4), (_ORANGE, "-", 1.4), (_INK, "--", 1.4))
_MARKERS = "os^DvPX"


def write_figures(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws the pictures of a result, all of ``CAPTIONS``, and returns their paths in that order.

    Equal results give equal bytes, as long as matplotlib is the same.

    Args:
        result: of an evaluation on real bugs. What it lacks, a picture says was not measured.
        folder: where the pictures go; made if it is missing.

    Raises:
        UsageError: if matplotlib is not installed, or the folder cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        needs = "pictures need matplotlib: pip install 'codemlm[benchmarks]'"
        raise UsageError(needs) from error
    draw = (_precision_recall, _recall_alarms, _reliability, _kinds, _localisation)
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, drawn in zip(CAPTIONS, draw, strict=True):
            figure = Figure(figsize=_SIZE, layout="constrained")
            FigureCanvasAgg(figure)  # no pyplot: it would keep the figure, and look for a display
            drawn(figure, result)
            path = folder / name
            # The library's version, which it would write, is no part of the picture.
            figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})
            paths.append(path)
    except OSError as error:
        raise UsageError(f"{folder}: cannot write the pictures there ({error})") from error
    return paths


def _precision_recall(figure: Figure, result: Mapping[str, Any]) -> None:
    axes = _axes(figure, "Precision and recall")
    drawn = [0.0]
    for name, ranker, style in _rankers(result):
        points = points_of(ranker, "recall", "precision")
        if points:
            _line(axes, name, points, style)
            drawn += [y for _, y in points]
    for name, tool, marker in _linters(result):
        found = _figure(tool, "found")
        precision = linter_precision(tool, result.get("data") or {})
        if found and precision is not None:
            _point(axes, name, found, precision, marker)
            drawn.append(precision)
    if len(drawn) == 1:
        _nothing(axes)
        return
    axes.set_xscale("log")
    axes.set_xlim(1e-3, 1.0)
    _percents(axes, "x", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0))
    axes.set_ylim(0, _ceiling(max(drawn)))
    _percents(axes, "y")
    axes.set_xlabel("recall: share of the bugs found (logarithmic)")
    axes.set_ylabel("precision: share of the findings that are the bug")
    if any(_figure(tool, "precision") is None for _, tool, _ in _linters(result)):
        _note(figure, "Linters: precision estimated from the rate of their messages on clean code.")
    _legend(figure, axes)


def _recall_alarms(figure: Figure, result: Mapping[str, Any]) -> None:
    axes = _axes(figure, "Recall at a rate of findings on clean code")
    left, right, drawn = 0.03, 30.0, [0.0]
    linters = []
    for name, tool, marker in _linters(result):
        found, rate = _figure(tool, "found"), _figure(tool, "messages_per_kloc")
        if found is not None and rate is not None:
            linters.append((name, rate, found, marker))
            right = max(right, rate * 1.5)
    for name, ranker, style in _rankers(result):
        points = points_of(ranker, "alarms_per_kloc", "recall")
        if points:
            _line(axes, name, points, style)
            drawn += [y for x, y in points if x <= right]
    for name, rate, found, marker in linters:
        _point(axes, name, max(rate, left), found, marker)
        drawn.append(found)
    if len(drawn) == 1:
        _nothing(axes)
        return
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(0, _ceiling(max(drawn)))
    _percents(axes, "y")
    product = (result.get("rankers") or {}).get(PRODUCT)
    for budget in BUDGETS:
        axes.axvline(budget, color=_FAINT, linestyle=":", linewidth=1, zorder=1)
        value, low, high = interval(figures_of(product).get(f"recall_at_{budget:g}"))
        if value is not None:
            _whisker(axes, budget, value, low, high, vertical=True)
    ticks = [*BUDGETS, *(tick for tick in (5, 10, 30, 100, 300, 1000) if tick <= right)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("findings in 1,000 lines of clean code (logarithmic)")
    axes.set_ylabel("recall: share of the bugs found")
    _legend(figure, axes)


def _reliability(figure: Figure, result: Mapping[str, Any]) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.3))
    _dress(upper, "Confidence and measured precision")
    _dress(lower, "")
    bins = list(bins_of(result.get("reliability") or ()))
    upper.plot(
        (0, 1),
        (0, 1),
        color=_FAINT,
        linestyle="--",
        linewidth=1.2,
        label="well calibrated",
    )
    upper.set_xlim(0, 1)
    if not bins:
        _nothing(upper)
        return
    for (low, high), confidence, precision, count in bins:
        bottom, top = wilson(precision, count)
        _whisker(upper, confidence, precision, bottom, top, vertical=True)
        middle, width = (low + high) / 2, (high - low) * 0.9
        lower.bar(middle, count, width=width, color=_BLUE, alpha=0.75)
        size = 8 if len(bins) <= 12 else 6
        lower.text(middle, count * 1.2, f"{count:,}", ha="center", fontsize=size, color=_INK)
    confidences, precisions = [b[1] for b in bins], [b[2] for b in bins]
    upper.plot(confidences, precisions, color=_BLUE, marker="o", label="findings of the product")
    read = list(bins_of(result.get("reliability_read") or ()))
    if read:
        label = "others read, counted as right"
        points = [b[1] for b in read], [b[2] for b in read]
        upper.plot(*points, color=_RED, marker="s", linestyle="-.", label=label)
    upper.set_ylim(0, 1.15 if read else 1)  # room for a legend of three
    columns = 3 if read else 1
    upper.legend(loc="upper left", frameon=False, ncols=columns, columnspacing=1.0)
    upper.set_ylabel("measured precision")
    _percents(upper, "x")
    _percents(upper, "y")
    lower.set_yscale("log")
    lower.set_ylim(0.7, max(b[3] for b in bins) * 8)  # room for the numbers above the bars
    lower.set_ylabel("findings")
    lower.set_xlabel("confidence (points stand at the mean of their bin)")
    error = calibration_error(result["reliability"])
    note = f"Expected calibration error (ECE): {error:.3f}, {sum(b[3] for b in bins):,} findings. "
    _note(figure, note + prevalence(result.get("data") or {}) + " Whiskers: 95 %, by Wilson.")


def _kinds(figure: Figure, result: Mapping[str, Any]) -> None:
    axes = _axes(figure, "Recall by kind of mistake")
    by_kind = ((result.get("rankers") or {}).get(PRODUCT) or {}).get("all") or {}
    kinds = by_size(by_kind.get("by_kind") or {})
    if not kinds:
        _nothing(axes)
        return
    shown = (
        ("recall_at_1", "found at 1 finding in 1,000 clean lines", _BLUE, -0.2),
        ("line_top5", "right line among the first five", _SKY, 0.2),
    )
    ends = [0.0]
    for name, label, color, shift in shown:
        for row, (_, figures, count) in enumerate(kinds):
            value, *_ = interval(figures.get(name))
            if value is None:
                continue
            place = row + shift
            axes.barh(place, value, height=0.38, color=color, label="" if row else label)
            low, high = wilson(value, count)
            _whisker(axes, value, place, low, high, vertical=False, marker="")
            ends.append(high)
    figure.set_size_inches(_SIZE[0], max(_SIZE[1], 2 + 0.5 * len(kinds)))
    axes.set_yticks(range(len(kinds)), [f"{_plain(kind)}  (n = {n:,})" for kind, _, n in kinds])
    axes.invert_yaxis()
    axes.set_xlim(0, min(1.0, _ceiling(max(ends))))
    _percents(axes, "x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the bugs")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
    _note(figure, "Whiskers: 95 % intervals by Wilson, bugs taken as independent.")


def _localisation(figure: Figure, result: Mapping[str, Any]) -> None:
    axes = _axes(figure, "Localisation by line, in whole files")
    rankers = [(name, r) for name, r, _ in _rankers(result)]
    shown = (
        ("line_top1", "first line", _BLUE, "o", -0.22),
        ("line_top3", "first three", _RED, "s", 0.0),
        ("line_top5", "first five", _GREEN, "^", 0.22),
    )
    ends = [0.0]
    for key, label, color, marker, shift in shown:
        named = label
        for row, (_, ranker) in enumerate(rankers):
            value, low, high = interval(figures_of(ranker).get(key))
            if value is None:
                continue
            look = {"color": color, "marker": marker, "label": named}
            _whisker(axes, value, row + shift, low, high, vertical=False, **look)
            named = "_"  # matplotlib's word for "not in the legend"
            ends.append(value if high is None else high)
    if len(ends) == 1:
        _nothing(axes)
        return
    axes.set_yticks(range(len(rankers)), [_plain(name) for name, _ in rankers])
    axes.set_ylim(len(rankers) - 0.5, -0.5)
    axes.set_xlim(0, _ceiling(max(ends)))
    _percents(axes, "x")
    axes.set_xlabel("share of the bugs whose line is among the first")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)


def _rankers(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Name, figures and style of each ranker."""
    others = 0
    for name, ranker in (result.get("rankers") or {}).items():
        style = _STYLES.get(name)
        if style is None:
            style = _OTHERS[others % len(_OTHERS)]
            others += 1
        yield name, ranker or {}, style


def _linters(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Name, figures and marker of each linter."""
    for place, (name, tool) in enumerate((result.get("linters") or {}).items()):
        yield name, tool or {}, _MARKERS[place % len(_MARKERS)]


def _figure(measured: Mapping[str, Any], name: str) -> float | None:
    return interval(figures_of(measured).get(name))[0]


def _axes(figure: Figure, title: str) -> Axes:
    axes: Axes = figure.subplots()
    _dress(axes, title)
    return axes


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Axes, name: str, points: Sequence[tuple[float, float]], style: Any) -> None:
    color, dashes, width = style
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, color=color, linestyle=dashes, linewidth=width, label=_plain(name))
    if len(points) == 1:  # a line of one point is none
        axes.plot(xs, ys, color=color, marker=".")


def _point(axes: Axes, name: str, x: float, y: float, marker: str) -> None:
    look: dict[str, Any] = {
        "markeredgecolor": _INK,
        "markeredgewidth": 1.6,
        "markersize": 8.0,
        "zorder": 5.0,
    }
    axes.plot(x, y, marker, color="white", label=_plain(name), clip_on=False, **look)


def _whisker(
    axes: Axes,
    x: float,
    y: float,
    low: float | None,
    high: float | None,
    *,
    vertical: bool,
    color: str = _BLUE,
    marker: str = "o",
    label: str = "_",
) -> None:
    """A point with its interval; the interval's ends are shares, not lengths."""
    value = y if vertical else x
    # Rounding may leave a value a hair outside its interval, which matplotlib refuses.
    below = max(0.0, value - (value if low is None else low))
    above = max(0.0, (value if high is None else high) - value)
    reach = ([below], [above])
    look: dict[str, Any] = {"marker": marker, "capsize": 3, "elinewidth": 1.2, "zorder": 4}
    look |= {"yerr" if vertical else "xerr": reach, "color": color if marker else _INK}
    axes.errorbar(x, y, linestyle="", label=label, **look)


def _percents(axes: Axes, which: str, ticks: Sequence[float] | None = None) -> None:
    from matplotlib.ticker import FuncFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    if ticks is not None:
        axis.set_ticks(ticks)
        axes.minorticks_off()
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.4g} %"))


def _ceiling(value: float) -> float:
    """The end of an axis that shows shares up to ``value``."""
    return 1.0 if value > 0.9 else max(value * 1.12, 0.01)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)


def _note(figure: Figure, text: str) -> None:
    lines = "\n".join(textwrap.wrap(text, _WRAP))
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=8.5, color="#555555")


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=_FAINT)


def _plain(name: str) -> str:
    """A name as matplotlib draws it to the letter: no formulas, no entry hidden from a legend."""
    return (f" {name}" if name.startswith("_") else name).replace("$", r"\$")
