"""Numbers out of a result's JSON, any of which may be missing.

Shared by what shows a result: pictures and pages are made from its JSON alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

BUDGETS = (0.1, 0.5, 1.0, 2.0)
"""Findings per 1,000 clean lines that results are given at."""

_TOPS = ((1, "first"), (3, "among the first three"), (5, "among the first five"))
_AT = tuple((f"at_{budget:g}", f"at {budget:g}") for budget in BUDGETS)
FIGURE_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("The wrong leaf comes", (*((f"top{k}", t) for k, t in _TOPS), ("mrr", "mean of 1 / rank"))),
    ("Its line comes", tuple((f"line_top{k}", t) for k, t in _TOPS)),
    (
        "Repair, asked at the wrong leaf",
        (
            ("repair_top1", "what was meant comes first"),
            ("repair_top5", "among five suggestions"),
            ("joint", "leaf first, and repaired"),
        ),
    ),
    ("The file before its fix and after it", (("paired", "more suspicious before"),)),
    (
        "Found, at so many findings in 1,000 lines of clean code",
        tuple((f"recall_{at}", label) for at, label in _AT),
    ),
    (
        "Found and repaired, at so many findings in 1,000 lines of clean code",
        tuple((f"repaired_{at}", label) for at, label in _AT),
    ),
    (
        "Clean functions alarmed, at so many findings in 1,000 lines of clean code",
        tuple((f"functions_{at}", label) for at, label in _AT),
    ),
    (
        "Inside the bug's function, with 16.5 % of clean functions alarmed",
        (
            ("localised_at_functions_16.5", "found"),
            ("joint_at_functions_16.5", "found and repaired"),
        ),
    ),
    (
        "As reported by default",
        (
            ("recall_at_default", "found"),
            ("repaired_at_default", "found and repaired"),
            ("alarms_per_kloc", "findings in 1,000 clean lines"),
            ("functions_alarmed", "clean functions alarmed"),
        ),
    ),
    (
        "What the product reports first in the commit",
        (
            ("first_is_bug", "the bug"),
            ("first_is_false", "something else"),
            ("silent", "nothing is reported"),
            ("alarms", "findings in a commit"),
        ),
    ),
    (
        "Messages",
        (
            ("found", "bugs with one at their statement, gone after the fix"),
            ("found_anywhere", "bugs with one in their file, gone after the fix"),
            ("recall", "bugs with one at their statement, gone or not"),
            ("precision", "precision: messages that are the bug"),
            ("messages_per_kloc", "messages in 1,000 clean lines"),
        ),
    ),
)
"""Names of figures and what they are, in groups with a heading, in the order of reports."""


def finite(value: object) -> float | None:
    """A number of a result; None for what is missing or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def interval(figure: object) -> tuple[float | None, float | None, float | None]:
    """Value, low and high end of a figure; a figure may also be a mere number."""
    if isinstance(figure, Mapping):
        value, low, high = (finite(figure.get(key)) for key in ("value", "low", "high"))
        return value, low, high
    return finite(figure), None, None


def calibration_error(bins: Iterable[Mapping[str, Any]]) -> float | None:
    """Expected calibration error; None without findings.

    The mean over findings of how far their bin's precision lies from its mean confidence.
    Source: arXiv 1706.04599, eq. 3.
    """
    total = error = 0.0
    for _, confidence, precision, count in bins_of(bins):
        total += count
        error += count * abs(precision - confidence)
    return error / total if total else None


def linter_precision(tool: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    """Share of a linter's messages on files with a bug that are the bug; None if unknown.

    Where the result does not say, it is estimated from the rate of messages on clean code, for the
    files differ from clean ones in one line.
    """
    figures = figures_of(tool)
    given, *_ = interval(figures.get("precision"))
    if given is not None:
        return given
    found, *_ = interval(figures.get("found"))
    rate, *_ = interval(figures.get("messages_per_kloc"))
    lines, files = finite(data.get("lines")), finite(data.get("files"))
    if found is None or rate is None or not lines or not files:
        return None
    messages = found + rate * lines / files / 1000  # in a file of mean length with one bug in it
    return found / messages if messages else None


def wilson(share: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a share of ``count``, by Wilson's score; it needs no large count."""
    z = 1.96
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(max(0.0, share * (1 - share)) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def prevalence(data: Mapping[str, Any]) -> str:
    """How common bugs are where precision is measured, as a sentence; "" if it is not known."""
    bugs, lines = finite(data.get("bugs")), finite(data.get("lines"))
    mean = finite(data.get("lines_per_bug"))
    if mean:
        return f"Prevalence: one bug in a file, of {mean:,.0f} lines on average."
    if not bugs or not lines:
        return ""
    return f"Prevalence: one bug in a file; {bugs:,.0f} bugs, {lines:,.0f} clean lines."


def bins_of(
    bins: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[tuple[float, float], float, float, int]]:
    """(low, high), mean confidence, precision and count of the bins that hold a finding."""
    for row in bins:
        ends = finite(row.get("low")), finite(row.get("high"))
        confidence, precision = finite(row.get("mean_confidence")), finite(row.get("precision"))
        count = finite(row.get("count"))
        if ends[0] is None or ends[1] is None or confidence is None or precision is None:
            continue
        if count:
            yield (ends[0], ends[1]), confidence, precision, int(count)


def by_size(by_kind: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], int]]:
    """Kinds with their figures and how many bugs they have, commonest first."""
    counted = [(kind, row, int(finite(row.get("bugs")) or 0)) for kind, row in by_kind.items()]
    return sorted((k for k in counted if k[2]), key=lambda k: (-k[2], k[0]))


def points_of(ranker: Mapping[str, Any], x: str, y: str) -> list[tuple[float, float]]:
    """The points of a curve that a logarithmic x axis can show, in the result's order."""
    pairs = ((finite(p.get(x)), finite(p.get(y))) for p in ranker.get("curve") or ())
    return [(a, b) for a, b in pairs if a is not None and b is not None and a > 0]


def figures_of(measured: Mapping[str, Any] | None, population: str = "all") -> Mapping[str, Any]:
    """The figures of a ranker or a linter over a population of bugs; {} if it has none."""
    found: Mapping[str, Any] = ((measured or {}).get(population) or {}).get("figures") or {}
    return found
