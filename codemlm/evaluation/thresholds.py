"""Figures of a repository with injected bugs: reliability, alarms by threshold, and which to take.

Intervals are of 95 %, by a bootstrap over files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from codemlm.cache import FLOOR
from codemlm.calibration import Calibration
from codemlm.evaluation.metrics import plain, resamples
from codemlm.evaluation.repository import Found, JudgedFile
from codemlm.rules import RULES

BINS = (FLOOR, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
LINES_PER_BUG = 500.0
"""Lines of code in which one mistake is assumed, where the model's calibration does not say."""
LEAST_FOR_INTERVAL = 10
"""A share among fewer findings has no interval: a bootstrap of so few says too little."""

Figure = dict[str, float | None]
"""``value``, and the ends of its interval, ``low`` and ``high``."""


def lines_per_bug(calibration: Calibration) -> float:
    """Lines of code in which the calibration assumed one mistake."""
    found = re.search(r"in ([\d,]+) lines", str(calibration.notes.get("rate", "")))
    return float(found[1].replace(",", "")) if found else LINES_PER_BUG


class Thresholds:
    """Figures of judged files.

    Args:
        files: the files, with a bug among them.
        seed: of the bootstrap.

    Attributes:
        lines: of all files.
        num_bugs: in all of them.
    """

    def __init__(self, files: Sequence[JudgedFile], seed: int) -> None:
        self._files = files
        self._lines = np.array([file.lines for file in files], dtype=np.float64)
        self.lines = int(self._lines.sum())
        ones = np.ones((1, len(files)))
        self._weights = np.concatenate([ones, resamples(len(files), seed).astype(np.float64)])
        self._alarms = _Column([(n, f) for n, file in enumerate(files) for f in file.findings])
        bugs = [(n, bug) for n, file in enumerate(files) for bug in file.bugs]
        self._bugs = _Column([(n, b.found) for n, b in bugs if b.found is not None])
        self._bugs_by_file = np.bincount([n for n, _ in bugs], minlength=len(files))
        self.num_bugs = len(bugs)

    def at(self, threshold: float) -> dict[str, Any]:
        """Figures of a scan that reports from ``threshold`` on."""
        alarms, bugs = self._alarms, self._bugs
        reported, found = alarms.until >= threshold, bugs.until >= threshold
        of_bugs, lines = self._weights @ self._bugs_by_file, self._weights @ self._lines
        per_kloc = _figure(1000 * self._sums(alarms, reported) / lines)
        if not reported.any():
            # A bootstrap of nothing is sure of itself. Source: rule of three, Hanley and
            # Lippman-Hand 1983.
            per_kloc["high"] = plain(3000 / self.lines)
        return {
            "threshold": threshold,
            "findings": int(reported.sum()),
            "per_kloc": per_kloc,
            "found": _figure(_ratio(self._sums(bugs, found), of_bugs)),
            "repaired": _figure(_ratio(self._sums(bugs, found & bugs.repaired), of_bugs)),
        }

    def for_rate(self, per_kloc: float) -> Figure:
        """The least confidence with at most so many findings in 1,000 lines.

        None stands for "there is none": rules with a least confidence of their own report more.
        """
        found = np.array([self._for_rate(per_kloc, weights) for weights in self._weights])
        value, others = found[0], found[1:]
        others = np.where(np.isnan(others), 1.0, others)
        low, high = np.percentile(others, [2.5, 97.5])
        return {"value": plain(value), "low": plain(low), "high": plain(high)}

    def _for_rate(self, per_kloc: float, weights: np.ndarray) -> float:
        allowed = per_kloc * float(weights @ self._lines) / 1000
        order = np.argsort(-self._alarms.until, kind="stable")
        values = self._alarms.until[order]
        running = np.cumsum(weights[self._alarms.file[order]])
        first = int(np.searchsorted(running, allowed + 1e-9, side="right"))
        if first == len(values):
            return FLOOR
        above = values[values > values[first]]
        return between(float(values[first]), float(above.min(initial=1.0)))

    def reliability(self, lines_per_bug: float) -> list[dict[str, Any]]:
        """How often findings of each range of confidence are right, where bugs are so rare.

        Every finding on the code as it is counts as wrong. The injected bugs count as many times
        as makes them one in ``lines_per_bug`` lines.
        """
        alarms, bugs, rows = self._alarms, self._bugs, []
        rate = (self._weights @ self._lines) / lines_per_bug
        share = _ratio(rate, self._weights @ self._bugs_by_file)
        for low, high in pairwise(BINS):
            top = math.inf if high == BINS[-1] else high
            wrong = (alarms.confidence >= low) & (alarms.confidence < top)
            right = (bugs.confidence >= low) & (bugs.confidence < top)
            of_right = share * self._sums(bugs, right)
            of_wrong = self._sums(alarms, wrong)
            first = np.concatenate([alarms.confidence[wrong], bugs.confidence[right]])
            weight = np.concatenate([np.ones(wrong.sum()), np.full(right.sum(), share[0])])
            mean = float(weight @ first / weight.sum()) if weight.sum() else math.nan
            count = int(wrong.sum() + right.sum())
            figure = _figure(_ratio(of_right, of_right + of_wrong))
            if count < LEAST_FOR_INTERVAL:
                figure["low"] = figure["high"] = None
            rows.append(
                {
                    "low": low,
                    "high": high,
                    "findings": int(wrong.sum()),
                    "bugs_found": int(right.sum()),
                    "mean_confidence": plain(mean),
                    "right": figure,
                }
            )
        return rows

    def by_rule(self, threshold: float) -> list[dict[str, Any]]:
        """Bugs of each kind, and how many of them a scan from ``threshold`` on finds."""
        every = [bug for file in self._files for bug in file.bugs]
        rows = []
        for code, rule in RULES.items():
            of_rule = [bug for bug in every if bug.rule == code]
            found = sum(b.found is not None and b.found.until >= threshold for b in of_rule)
            if of_rule:
                rows.append({"rule": code, "name": rule.name, "bugs": len(of_rule), "found": found})
        return rows

    def _sums(self, column: _Column, which: np.ndarray) -> np.ndarray:
        """How many of a column's chosen rows there are in each resample; the first is no sample."""
        counts = np.bincount(column.file[which], minlength=len(self._files))
        summed: np.ndarray = self._weights @ counts
        return summed


class _Column:
    """Findings as arrays, and the numbers of their files."""

    def __init__(self, rows: Sequence[tuple[int, Found]]) -> None:
        self.file = np.array([number for number, _ in rows], dtype=np.int64)
        self.confidence = np.array([f.confidence for _, f in rows], dtype=np.float64)
        self.until = np.array([f.until for _, f in rows], dtype=np.float64)
        self.repaired = np.array([f.repaired for _, f in rows], dtype=bool)


def between(above: float, highest: float) -> float:
    """The roundest number above one and up to another; NaN if ``above`` is 1 or more."""
    if above >= 1:
        return math.nan
    for digits in range(2, 7):
        candidate = round((math.floor(above * 10.0**digits) + 1) / 10.0**digits, digits)
        if above < candidate <= highest:
            return candidate
    return highest


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotients; NaN where there is nothing to divide by."""
    found: np.ndarray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return found


def _figure(values: np.ndarray) -> Figure:
    """The first value, and the interval of the others."""
    others = values[1:][~np.isnan(values[1:])]
    low, high = np.percentile(others, [2.5, 97.5]) if len(others) else (math.nan, math.nan)
    return {"value": plain(values[0]), "low": plain(low), "high": plain(high)}


def figures(
    files: Sequence[JudgedFile],
    *,
    per_kloc: float,
    threshold: float,
    calibration: Calibration,
    seed: int,
) -> dict[str, Any]:
    """Everything that is known of judged files, for JSON.

    Args:
        files: the files, with a bug among them.
        per_kloc: wanted findings in 1,000 lines.
        threshold: least confidence that holds now.
        calibration: of the model.
        seed: of the bootstrap.
    """
    made = Thresholds(files, seed)
    rate = lines_per_bug(calibration)
    chosen = made.for_rate(per_kloc)
    value = chosen["value"]
    return {
        "files": len(files),
        "lines": made.lines,
        "bugs": made.num_bugs,
        "lines_per_bug": rate,
        "reliability": made.reliability(rate),
        "thresholds": [made.at(one) for one in THRESHOLDS],
        "now": made.at(threshold),
        "wanted": {
            "per_kloc": per_kloc,
            "threshold": chosen,
            "figures": None if value is None else made.at(value),
        },
        "by_rule": made.by_rule(threshold if value is None else value),
    }


def interval(figure: Mapping[str, float | None], shape: str, factor: float = 1.0) -> str:
    """A figure as text, with its interval in brackets; "-" if there is none."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "-"
    text = format(value * factor, shape)
    if low is None or high is None:
        return text
    return f"{text} [{format(low * factor, shape)}, {format(high * factor, shape)}]"
