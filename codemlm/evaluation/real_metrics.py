"""Figures of real bugs: what a ranker made of each, and of the code that their fixes left.

Differs from ``metrics`` in that lines are ranked too, that a bug is compared with the same place
once it is fixed, that recall is taken within functions as well, and that the bootstrap draws
repositories: the bugs of one resemble each other.

Source: joint localisation and repair within functions, at a share of correct functions alarmed, as
RealiT has it (arXiv 2207.00301, section 4). Differs in that the share is set by the threshold, and
that a function's leaves compete with the rest of the file in view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codemlm.evaluation.injected import SampledFile
from codemlm.evaluation.metrics import TOPS, Pooled, Standing, resamples, with_intervals
from codemlm.evaluation.rankers import Opinion
from codemlm.evaluation.real import RealBug
from codemlm.positions import LineIndex

BUDGETS = (0.1, 0.5, 1.0, 2.0)
"""Alarms in 1,000 lines of clean code."""
FUNCTION_SHARE = 0.165
"""Share of clean functions alarmed, at which RealiT is measured."""
MAX_PER_KLOC = 100
"""Suspicions that are kept of 1,000 lines: all that alarm rates of practice can reach."""
LEAST_KEPT = 50
CURVE_POINTS = 200
CURVE_ALARMS = 50.0
"""Alarms in 1,000 lines at which a curve ends; less than ``MAX_PER_KLOC``, so that long files
whose share of alarms is greater are whole, too."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class RealOutcome:
    """What a ranker made of one bug.

    Attributes:
        key: of the fix.
        group: number of the repository.
        kind: kind of the mistake.
        lines: of the file.
        hits, line_hits: chance that the bug is among the first 1, 3 and 5 leaves, or lines.
        repaired: whether what was meant is the first suggestion there, and whether it is among the
            first five.
        suspicion: of the most suspicious wrong leaf; -inf where the ranker cannot find it.
        paired: whether that is more than what the same leaves have after the fix; half for a tie,
            and where one of the two is no leaf that is judged.
        in_function: chance that it is the most suspicious leaf of its function; NaN outside.
        rank: expected rank among all leaves.
        elsewhere: float64, the highest suspicions of other leaves.
    """

    key: str
    group: int
    kind: str
    lines: int
    hits: tuple[float, ...]
    line_hits: tuple[float, ...]
    repaired: tuple[bool, bool]
    suspicion: float
    paired: float
    in_function: float
    rank: float
    elsewhere: np.ndarray


@dataclass(frozen=True, slots=True)
class CleanFile:
    """What a ranker made of a file without a mistake.

    Attributes:
        group: number of the repository.
        lines: of the file.
        suspicions: float64, the highest of its leaves.
        functions: float64 (F,), the highest in each of its functions.
    """

    group: int
    lines: int
    suspicions: np.ndarray
    functions: np.ndarray


@dataclass(slots=True)
class Places:
    """Lines and functions of the file with a bug, the same for every ranker.

    Attributes:
        lines: int64 (N,) line of each leaf of the file.
        bounds: first and last byte of the innermost function around the bug; None in a module.
    """

    lines: np.ndarray
    bounds: tuple[int, int] | None

    @classmethod
    def of(cls, bug: RealBug, functions: np.ndarray) -> Places:
        """The places of a bug's file; ``functions`` as ``SampledFile`` has them."""
        starts = np.array(LineIndex(bug.parsed.source).starts, dtype=np.int64)
        lines = np.searchsorted(starts, bug.parsed.starts, side="right")
        where = int(bug.parsed.starts[min(bug.meant)])
        around = [(int(a), int(b)) for a, b in functions if a <= where < b]
        return cls(lines, max(around, default=None))


def outcome(
    bug: RealBug,
    opinion: Opinion,
    fixed: Opinion,
    *,
    group: int,
    places: Places,
    lines: int,
) -> RealOutcome:
    """Ranks a bug among all leaves of its file.

    Args:
        bug: the bug.
        opinion: of the file with it.
        fixed: of the file after the fix.
        group: number of the repository.
        places: of the file.
        lines: of the file.
    """
    leaves, suspicion = opinion.leaves, opinion.suspicion
    wrong = np.isin(leaves, list(bug.meant))
    found = Standing.of(suspicion, wrong)
    suggested: tuple[str, ...] = ()
    meant = ""
    if found is not None:
        suggested = opinion.suggestions(found.place)
        meant = bug.meant[int(leaves[found.place])]
    top = -np.inf if found is None else found.suspicion
    mended = np.isin(fixed.leaves, bug.fixed)
    after = float(fixed.suspicion[mended].max(initial=-np.inf))
    # Where nobody judges one of the two places, there is nothing to compare.
    tied = top == after or not wrong.any() or not mended.any()
    inside = bug_function(bug, leaves, places)
    seen = int((suspicion > -np.inf).sum())  # leaves without an opinion come last, in any order
    return RealOutcome(
        key=bug.fix.key,
        group=group,
        kind=bug.fix.kind,
        lines=lines,
        hits=_hits(found),
        line_hits=_line_hits(suspicion, places.lines[leaves], wrong),
        repaired=(suggested[:1] == (meant,), meant in suggested),
        suspicion=top,
        paired=0.5 if tied else float(top > after),
        in_function=np.nan if inside is None else _first_hit(suspicion[inside], wrong[inside]),
        rank=seen + (len(leaves) - seen + 1) / 2 if found is None else found.rank(),
        elsewhere=highest(suspicion[~wrong], max(LEAST_KEPT, lines * MAX_PER_KLOC // 1000)),
    )


def highest(suspicion: np.ndarray, count: int) -> np.ndarray:
    """The highest suspicions, without those that are no opinion, in descending order."""
    known = suspicion[suspicion > -np.inf]
    if len(known) > count:
        known = np.partition(known, len(known) - count)[len(known) - count :]
    ordered: np.ndarray = -np.sort(-known)
    return ordered


def bug_function(bug: RealBug, leaves: np.ndarray, places: Places) -> np.ndarray | None:
    """Which leaves are in the bug's function: bool (N,); None if it is in none."""
    if places.bounds is None:
        return None
    starts = bug.parsed.starts[leaves]
    inside: np.ndarray = (starts >= places.bounds[0]) & (starts < places.bounds[1])
    return inside


def _line_hits(suspicion: np.ndarray, lines: np.ndarray, wrong: np.ndarray) -> tuple[float, ...]:
    """Chance that a line with a wrong leaf is among the first lines, by their best leaves."""
    numbers, place = np.unique(lines, return_inverse=True)
    best = np.full(len(numbers), -np.inf)
    np.maximum.at(best, place, suspicion)
    return _hits(Standing.of(best, np.isin(numbers, lines[wrong])))


def _first_hit(suspicion: np.ndarray, wrong: np.ndarray) -> float:
    return _hits(Standing.of(suspicion, wrong))[0]


def _hits(found: Standing | None) -> tuple[float, ...]:
    return found.hits() if found is not None else (0.0,) * len(TOPS)


def clean_file(file: SampledFile, opinion: Opinion, group: int) -> CleanFile:
    """What is kept of a ranker's opinion of a file without a mistake."""
    starts = file.parsed.starts[opinion.leaves]
    bounds = np.searchsorted(starts, file.functions)
    functions = [opinion.suspicion[a:b].max(initial=-np.inf) for a, b in bounds]
    kept = max(LEAST_KEPT, file.lines * MAX_PER_KLOC // 1000)
    top = highest(opinion.suspicion, kept)
    return CleanFile(group, file.lines, top, np.array(functions, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Levels:
    """Thresholds that clean code sets, with repositories counted so many times.

    Attributes:
        thresholds: by name of the level: suspicions above which something is an alarm.
        figures: shares of functions alarmed, and alarm rates.
    """

    thresholds: Mapping[str, float]
    figures: Mapping[str, float]


class RealSummary:
    """Figures of one ranker over bugs and clean code.

    Args:
        clean: outcomes of the files without mistakes.
        groups: how many repositories there are.
        seed: of the bootstrap.
        default: the least suspicion that is reported by default; None: there is none.
    """

    def __init__(
        self, clean: Sequence[CleanFile], groups: int, seed: int, default: float | None = None
    ) -> None:
        numbers = np.array([file.group for file in clean], dtype=np.int64)
        self._leaves = Pooled([file.suspicions for file in clean], numbers)
        self._functions = Pooled([file.functions for file in clean], numbers)
        self._lines = np.bincount(numbers, [file.lines for file in clean], minlength=groups)
        self._default = default
        self._weights = [np.ones(groups), *resamples(groups, seed).astype(np.float64)]
        self._levels = [self._level(weights) for weights in self._weights]

    def of(self, bugs: Sequence[RealOutcome]) -> dict[str, Any]:
        """Every figure of some bugs, with its 95 % interval, and the same by kind."""
        if not bugs:
            return {"bugs": 0, "figures": {}, "by_kind": {}}
        columns = _Columns(bugs)
        every = [
            self._figures(columns, weights, levels)
            for weights, levels in zip(self._weights, self._levels, strict=True)
        ]
        by_kind: dict[str, dict[str, float]] = {}
        for kind in sorted({bug.kind for bug in bugs}):
            some = [bug for bug in bugs if bug.kind == kind]
            found = columns_figures(_Columns(some), np.ones(len(some)), self._levels[0])
            by_kind[kind] = {"bugs": len(some), **_rounded(found)}
        figures = with_intervals(every[0], every[1:])
        return {"bugs": len(bugs), "figures": figures, "by_kind": by_kind}

    def _figures(self, columns: _Columns, weights: np.ndarray, levels: Levels) -> Figures:
        share = weights[columns.group]
        if not share.sum():
            return {}
        found = columns_figures(columns, share, levels) | dict(levels.figures)
        if self._default is not None:
            right = float(share @ (columns.suspicion >= self._default))
            other = [(elsewhere >= self._default).sum() for elsewhere in columns.elsewhere]
            reported = right + float(share @ np.array(other))
            found["precision"] = right / reported if reported else np.nan
        return found

    def _level(self, weights: np.ndarray) -> Levels:
        """The thresholds of clean code with every repository counted so many times."""
        lines = max(float(weights @ self._lines), 1e-9)
        alarms, functions = self._leaves.running(weights), self._functions.running(weights)
        all_functions = max(float(functions[-1]), 1e-9)
        thresholds: dict[str, float] = {}
        figures: Figures = {}
        for budget in BUDGETS:
            threshold = self._leaves.threshold(budget * lines / 1000, alarms)
            thresholds[f"at_{budget:g}"] = threshold
            above = functions[self._functions.above(threshold)]
            figures[f"functions_at_{budget:g}"] = float(above / all_functions)
        allowed = FUNCTION_SHARE * all_functions
        thresholds[FUNCTIONS_LEVEL] = self._functions.threshold(allowed, functions)
        if self._default is not None:  # what is as confident is reported
            below = float(np.nextafter(self._default, -np.inf))
            thresholds["at_default"] = below
            figures["alarms_per_kloc"] = float(alarms[self._leaves.above(below)] / lines * 1000)
            above = functions[self._functions.above(below)]
            figures["functions_alarmed"] = float(above / all_functions)
        return Levels(thresholds, figures)


FUNCTIONS_LEVEL = f"at_functions_{FUNCTION_SHARE * 100:g}"


class _Columns:
    """Outcomes as arrays, one row a bug."""

    def __init__(self, bugs: Sequence[RealOutcome]) -> None:
        self.group = np.array([bug.group for bug in bugs], dtype=np.int64)
        self.hits = np.array([bug.hits for bug in bugs])
        self.line_hits = np.array([bug.line_hits for bug in bugs])
        self.repaired = np.array([bug.repaired for bug in bugs], dtype=np.float64)
        self.suspicion = np.array([bug.suspicion for bug in bugs])
        self.paired = np.array([bug.paired for bug in bugs])
        self.in_function = np.array([bug.in_function for bug in bugs])
        self.elsewhere = [bug.elsewhere for bug in bugs]


def columns_figures(columns: _Columns, share: np.ndarray, levels: Levels) -> Figures:
    """Figures of bugs that count so many times each: float64 (N,), not all zero."""
    total = share.sum()
    repaired = columns.repaired[:, 0]
    found: Figures = {}
    for column, k in enumerate(TOPS):
        found[f"top{k}"] = float(share @ columns.hits[:, column] / total)
    for column, k in enumerate(TOPS):
        found[f"line_top{k}"] = float(share @ columns.line_hits[:, column] / total)
    found["repair_top1"] = float(share @ repaired / total)
    found["repair_top5"] = float(share @ columns.repaired[:, 1] / total)
    found["joint"] = float(share @ (columns.hits[:, 0] * repaired) / total)
    found["paired"] = float(share @ columns.paired / total)
    for name, threshold in levels.thresholds.items():
        caught = columns.suspicion > threshold
        if name == FUNCTIONS_LEVEL:
            inside = ~np.isnan(columns.in_function)
            weight = float(share @ inside) or np.nan  # no bug in a function: no figure
            first = np.where(inside, columns.in_function, 0.0) * caught
            found[f"localised_{name}"] = float(share @ first / weight)
            found[f"joint_{name}"] = float(share @ (first * repaired) / weight)
        else:
            found[f"recall_{name}"] = float(share @ caught / total)
            found[f"repaired_{name}"] = float(share @ (caught * repaired) / total)
    return found


def curve(bugs: Sequence[RealOutcome], clean: Sequence[CleanFile]) -> list[dict[str, float]]:
    """Precision and recall of findings above each threshold, every file with its bug.

    A finding elsewhere in the file counts as false, although it may be a bug that nobody mended
    yet: precision is a lower bound.

    Args:
        bugs: outcomes.
        clean: the files without mistakes, for the alarm rate.

    Returns:
        At most ``CURVE_POINTS`` points, the highest threshold first, up to ``CURVE_ALARMS``.
    """
    suspicion = np.array([bug.suspicion for bug in bugs])
    true = -np.sort(-suspicion[suspicion > -np.inf])
    false = -np.sort(-np.concatenate([*(bug.elsewhere for bug in bugs), np.zeros(0)]))
    alarms = -np.sort(-np.concatenate([*(file.suspicions for file in clean), np.zeros(0)]))
    lines = max(sum(file.lines for file in clean), 1)
    thresholds = np.unique(true)[::-1]
    at_least = [np.searchsorted(-some, -thresholds, side="right") for some in (true, false, alarms)]
    rate = at_least[2] / lines * 1000
    wanted = np.flatnonzero(rate <= CURVE_ALARMS)
    if len(wanted) > CURVE_POINTS:
        wanted = wanted[np.linspace(0, len(wanted) - 1, CURVE_POINTS).round().astype(int)]
    points = []
    for i in wanted.tolist():
        found, other = int(at_least[0][i]), int(at_least[1][i])
        point = {
            "threshold": float(thresholds[i]),
            "precision": found / (found + other),
            "recall": found / len(bugs),
            "alarms_per_kloc": float(rate[i]),
        }
        points.append(_rounded(point))
    return points


def _rounded(figures: Mapping[str, float]) -> dict[str, Any]:
    return {k: None if np.isnan(v) else round(float(v), 6) for k, v in figures.items()}
