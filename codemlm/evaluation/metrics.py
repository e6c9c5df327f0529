"""Figures from suspicions: localisation, repair, recall at an alarm rate, and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from codemlm.evaluation.injected import Bug, SampledFile
from codemlm.evaluation.rankers import Opinion
from codemlm.syntax import ParsedFile

TOPS = (1, 3, 5)
BUDGETS = (0.5, 1.0, 2.0, 5.0)
"""Alarms per 1,000 lines of clean code."""
RECALLS = (0.1, 0.25, 0.5)
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class BugOutcome:
    """What a ranker made of one mistake.

    Attributes:
        file: index of the file.
        kind: kind of the mistake.
        natural: see ``Bug``.
        hits: chance that the mistake is among the first 1, 3 and 5 leaves; between 0 and 1 only
            where suspicions tie.
        repaired: whether the text put in place of the most suspicious wrong leaf is what was meant.
        suspicion: of that leaf; -inf where the ranker cannot find it.
    """

    file: int
    kind: str
    natural: bool
    hits: tuple[float, ...]
    repaired: bool
    suspicion: float


@dataclass(frozen=True, slots=True)
class CleanOutcome:
    """What a ranker made of a file without a mistake.

    Attributes:
        lines: of the file.
        suspicions: float64 (N,), of its leaves.
        functions: float64 (F,), the highest suspicion in each of its functions.
    """

    lines: int
    suspicions: np.ndarray
    functions: np.ndarray


class Mistake(Protocol):
    """A file with a mistake in it, and what was meant, by leaf (see ``injected.Bug``)."""

    @property
    def parsed(self) -> ParsedFile:
        """The leaves of the file."""
        ...

    @property
    def meant(self) -> Mapping[int, str]:
        """What was meant, by leaf."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ranker puts a mistake among all items that compete.

    Attributes:
        place: index of the most suspicious wrong item.
        suspicion: of it.
        above: right items that are more suspicious.
        equal: right items that are as suspicious.
        wrong: wrong items that are as suspicious.
    """

    place: int
    suspicion: float
    above: int
    equal: int
    wrong: int

    @classmethod
    def of(cls, suspicion: np.ndarray, wrong: np.ndarray) -> Standing | None:
        """Where the wrong items stand; None if the ranker has no opinion of any.

        Args:
            suspicion: float64 (N,).
            wrong: bool (N,).
        """
        places = np.flatnonzero(wrong)
        if not (suspicion[places] > -np.inf).any():
            return None
        best = int(places[int(np.argmax(suspicion[places]))])
        top = suspicion[best]
        others = suspicion[~wrong]
        above, equal = int((others > top).sum()), int((others == top).sum())
        return cls(best, float(top), above, equal, int((suspicion[places] == top).sum()))

    def hits(self) -> tuple[float, ...]:
        """Chance that a wrong item is among the first of ``TOPS``, ties in random order."""
        return tuple(chance_within(k - self.above, self.equal, self.wrong) for k in TOPS)

    def rank(self) -> float:
        """Expected rank of the first wrong item, from 1 on, ties in random order."""
        return 1 + self.above + self.equal / (self.wrong + 1)


def bug_outcome(bug: Bug, opinion: Opinion) -> BugOutcome:
    """Ranks the mistake among all leaves of its file."""
    found = Standing.of(opinion.suspicion, np.isin(opinion.leaves, list(bug.meant)))
    if found is None:
        return BugOutcome(bug.file, bug.kind.value, bug.natural, (0.0,) * len(TOPS), False, -np.inf)
    repaired = opinion.repairs[found.place] == bug.meant[int(opinion.leaves[found.place])]
    return BugOutcome(
        bug.file, bug.kind.value, bug.natural, found.hits(), repaired, found.suspicion
    )


def chance_within(room: int, others: int, right: int) -> float:
    """Chance that one of ``right`` items is among the first ``room``, shuffled with ``others``."""
    if room <= 0:
        return 0.0
    missed, total = 1.0, others + right
    for drawn in range(min(room, total)):
        missed *= max(0, others - drawn) / (total - drawn)
    return 1.0 - missed


def clean_outcome(file: SampledFile, opinion: Opinion) -> CleanOutcome:
    """Suspicions of a file without a mistake, by leaf and by function."""
    starts = file.parsed.starts[opinion.leaves]
    bounds = np.searchsorted(starts, file.functions)
    functions = [opinion.suspicion[a:b].max(initial=-np.inf) for a, b in bounds]
    return CleanOutcome(file.lines, opinion.suspicion, np.array(functions, dtype=np.float64))


class Pooled:
    """Suspicions of all files, the highest first.

    Args:
        values: float64 (N,), one array a file.
        groups: number of what each file is weighed with; None: the file's own number.
    """

    def __init__(self, values: Sequence[np.ndarray], groups: np.ndarray | None = None) -> None:
        every = np.concatenate([*values, np.zeros(0)])
        numbers = np.arange(len(values)) if groups is None else groups
        file = np.repeat(numbers, [len(v) for v in values])
        order = np.argsort(-every, kind="stable")
        self.values, self._file = every[order], file[order]

    def running(self, weights: np.ndarray) -> np.ndarray:
        """Weight of the first n values, n from 0 on; weights by file or group."""
        return np.concatenate([[0.0], np.cumsum(weights[self._file])])

    def at_least(self, threshold: float) -> int:
        """How many values reach the threshold."""
        return int(np.searchsorted(-self.values, -threshold, side="right"))

    def above(self, threshold: float) -> int:
        """How many values exceed the threshold."""
        return int(np.searchsorted(-self.values, -threshold, side="left"))

    def threshold(self, allowed: float, running: np.ndarray) -> float:
        """The value above which lie values of at most ``allowed`` weight.

        Args:
            allowed: weight.
            running: of all values, as ``running`` gives it.
        """
        first = int(np.searchsorted(running[1:], allowed, side="right"))
        return float(self.values[first]) if first < len(self.values) else -np.inf


def resamples(count: int, seed: int) -> np.ndarray:
    """How often each of ``count`` files or groups is drawn by a bootstrap: (RESAMPLES, count)."""
    rng = np.random.default_rng(seed)
    drawn: np.ndarray = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return drawn


def with_intervals(
    value: Mapping[str, float], resampled: Sequence[Mapping[str, float]]
) -> dict[str, dict[str, float | None]]:
    """Figures with their 95 % intervals: percentiles of the same figures of the resamples."""
    figures: dict[str, dict[str, float | None]] = {}
    for name, number in value.items():
        others = np.array([figure.get(name, np.nan) for figure in resampled])
        others = others[~np.isnan(others)]
        low, high = np.percentile(others, [2.5, 97.5]) if len(others) else (np.nan, np.nan)
        figures[name] = {"value": plain(number), "low": plain(low), "high": plain(high)}
    return figures


class Summary:
    """Figures of one ranker over all files.

    Args:
        bugs: outcomes of the mistakes, with a natural one among them.
        clean: outcomes of the files themselves, by file.
        seed: of the bootstrap.
    """

    def __init__(
        self, bugs: Sequence[BugOutcome], clean: Sequence[CleanOutcome], seed: int
    ) -> None:
        self.bugs = bugs
        natural = [bug for bug in bugs if bug.natural]
        if not natural:
            raise ValueError("no mistake of a kind that was drawn as it occurs")
        self.lines = np.array([c.lines for c in clean], dtype=np.float64)
        self._leaves = Pooled([c.suspicions for c in clean])
        self._functions = Pooled([c.functions for c in clean])
        self._file = np.array([bug.file for bug in natural], dtype=np.int64)
        self._suspicion = np.array([bug.suspicion for bug in natural])
        self._repaired = np.array([bug.repaired for bug in natural], dtype=bool)
        self._hits = np.array([bug.hits for bug in natural])
        self._by_suspicion = np.argsort(-self._suspicion, kind="stable")
        self._resamples = resamples(len(clean), seed)

    def as_json(self) -> dict[str, Any]:
        """Every figure: ``value``, and its 95 % interval by a bootstrap over files."""
        value = self._figures(np.ones(len(self.lines)))
        resampled = [self._figures(weights.astype(np.float64)) for weights in self._resamples]
        figures = with_intervals(value, resampled)
        return {"bugs": len(self._file), "figures": figures, "by_kind": self._by_kind()}

    def _threshold(self, budget: float, alarms: np.ndarray, lines: float) -> float:
        """The suspicion above which clean code gives at most ``budget`` alarms in 1,000 lines."""
        return self._leaves.threshold(budget * lines / 1000, alarms)

    def _figures(self, weights: np.ndarray) -> dict[str, float]:
        """Figures with every file counted so many times; none if that leaves no mistake."""
        share = weights[self._file]
        total = share.sum()
        if not total:
            return {}
        lines = float(weights @ self.lines)
        alarms, functions = self._leaves.running(weights), self._functions.running(weights)
        all_functions = max(float(functions[-1]), 1e-9)
        found = dict(zip((f"top{k}" for k in TOPS), share @ self._hits / total, strict=True))
        found["repair"] = share @ self._repaired / total
        found["top1_repaired"] = share @ (self._hits[:, 0] * self._repaired) / total
        for budget in BUDGETS:
            threshold = self._threshold(budget, alarms, lines)
            caught = self._suspicion > threshold
            found[f"recall_at_{budget:g}"] = share @ caught / total
            found[f"repaired_at_{budget:g}"] = share @ (caught & self._repaired) / total
            above = functions[self._functions.above(threshold)]
            found[f"functions_at_{budget:g}"] = above / all_functions
        reached = np.cumsum(share[self._by_suspicion]) / total
        for recall in RECALLS:
            place = min(int(np.searchsorted(reached, recall - 1e-12)), len(reached) - 1)
            threshold = float(self._suspicion[self._by_suspicion[place]])
            name, known = f"recall_{recall * 100:g}", threshold > -np.inf
            count = alarms[self._leaves.at_least(threshold)]
            found[f"alarms_at_{name}"] = count / lines * 1000 if known else np.nan
            share_alarmed = functions[self._functions.at_least(threshold)] / all_functions
            found[f"functions_at_{name}"] = share_alarmed if known else np.nan
        return {name: float(number) for name, number in found.items()}

    def _by_kind(self) -> dict[str, dict[str, float]]:
        alarms = self._leaves.running(np.ones(len(self.lines)))
        threshold = self._threshold(1.0, alarms, float(self.lines.sum()))
        table: dict[str, dict[str, float]] = {}
        for kind in sorted({bug.kind for bug in self.bugs}):
            bugs = [bug for bug in self.bugs if bug.kind == kind]
            hits = np.array([bug.hits for bug in bugs]).mean(axis=0)
            repaired = [bug.repaired for bug in bugs]
            joint = [bug.hits[0] * bug.repaired for bug in bugs]
            table[kind] = {
                "bugs": len(bugs),
                **{f"top{k}": float(hits[i]) for i, k in enumerate(TOPS)},
                "repair": float(np.mean(repaired)),
                "top1_repaired": float(np.mean(joint)),
                "recall_at_1": float(np.mean([bug.suspicion > threshold for bug in bugs])),
            }
        return table


def plain(number: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if np.isnan(number) else round(float(number), 6)
