"""Linters on real bugs: what they report of each, and how much they say of clean code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from codemlm.evaluation.linters import InstalledLinters, LinterMessage, available, given_up
from codemlm.evaluation.metrics import TOPS, chance_within, resamples, with_intervals
from codemlm.evaluation.real import Plan, fixed_source
from codemlm.fixes import FixPair

DECIDING = ("pyflakes", "ruff")
"""Linters that decide whether a bug is one that linters report."""
_PAIRS_AT_ONCE = 100
Progress = Callable[[int, int], None]


class Linters(Protocol):
    """What runs linters; `codemlm.evaluation.linters` does."""

    @property
    def tools(self) -> Sequence[str]:
        """Their names."""
        ...

    def facts(self, tool: str) -> Mapping[str, Any]:
        """Version and options of a linter."""
        ...

    def run(self, files: Mapping[str, str]) -> Mapping[str, Mapping[str, Sequence[LinterMessage]]]:
        """Messages by linter and key of the file."""
        ...

    def reported(
        self, before: Sequence[LinterMessage], after: Sequence[LinterMessage], pair: FixPair
    ) -> bool:
        """Whether the messages of the file before a fix name its bug: they are gone after it."""
        ...


@dataclass(frozen=True, slots=True)
class LinterOutcome:
    """What a linter made of one bug.

    Attributes:
        key: of the fix.
        group: number of the repository.
        kind: kind of the mistake.
        found: whether a message names the bug.
        line_hits: chance that the bug's line is among the first 1, 3 and 5 lines with messages:
            a linter does not rank them.
        messages: of the file with the bug.
    """

    key: str
    group: int
    kind: str
    found: bool
    line_hits: tuple[float, ...]
    messages: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bug comes from.

    Attributes:
        group: number of the repository.
        lines: of the file.
        is_clean: whether the file after the fix counts as clean code.
    """

    group: int
    lines: int
    is_clean: bool


@dataclass(slots=True)
class LinterOutcomes:
    """What one linter made of everything.

    Attributes:
        bugs: by bug.
        clean: (repository, lines, messages) of each file without a mistake.
        given_up: files that it could not read, of both kinds; it reports nothing of them.
    """

    bugs: list[LinterOutcome] = field(default_factory=list)
    clean: list[tuple[int, int, int]] = field(default_factory=list)
    given_up: int = 0

    def add(
        self,
        pair: FixPair,
        place: Place,
        before: Sequence[LinterMessage],
        after: Sequence[LinterMessage],
        *,
        named: bool,
    ) -> None:
        """Counts the messages of the file before and after a fix; ``named``: of its bug."""
        self.given_up += sum(given_up(messages) is not None for messages in (before, after))
        if given_up(before) is not None:
            before = ()
        self.bugs.append(_outcome(pair, place.group, before, named))
        if place.is_clean and given_up(after) is None:
            self.clean.append((place.group, place.lines, len(after)))


def lint(
    plan: Plan,
    groups: Mapping[str, int],
    linters: Linters,
    progress: Progress | None = None,
) -> dict[str, LinterOutcomes]:
    """Runs linters on the files before and after fixes, some at a time.

    Args:
        plan: with the pairs.
        groups: numbers of the repositories, by key of the bugs that were judged.
        linters: which.
        progress: called with the bugs done and the bugs in all.
    """
    newest = plan.newest(list(groups))
    found = {tool: LinterOutcomes() for tool in linters.tools}
    done = 0
    for pairs in _chunks(pair for pair in plan.pairs() if pair.fix.key in groups):
        files: dict[str, str] = {}
        for pair in pairs:
            after = fixed_source(pair)
            assert after is not None  # else it was not judged
            files[_name(pair, "before")] = pair.before
            files[_name(pair, "after")] = after.decode()
        messages = linters.run(files)
        for pair in pairs:
            key = pair.fix.key
            place = Place(groups[key], plan.chosen[key].lines, key in newest)
            for tool, of_tool in found.items():
                before = messages[tool].get(_name(pair, "before"), ())
                fixed = messages[tool].get(_name(pair, "after"), ())
                named = linters.reported(before, fixed, pair)
                of_tool.add(pair, place, before, fixed, named=named)
        done += len(pairs)
        if progress is not None:
            progress(done, len(groups))
    return found


def _chunks(pairs: Iterator[FixPair]) -> Iterator[list[FixPair]]:
    chunk: list[FixPair] = []
    for pair in pairs:
        chunk.append(pair)
        if len(chunk) == _PAIRS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _name(pair: FixPair, side: str) -> str:
    return f"{side}:{pair.fix.key}:{pair.fix.path}"  # linters treat an `__init__.py` as such


def _outcome(
    pair: FixPair, group: int, before: Sequence[LinterMessage], named: bool
) -> LinterOutcome:
    lines = len({message.line for message in before})
    hits = tuple(chance_within(k, lines - 1, 1) if named else 0.0 for k in TOPS)
    return LinterOutcome(pair.fix.key, group, pair.fix.kind, named, hits, len(before))


def unreported(outcomes: Mapping[str, LinterOutcomes]) -> set[str] | None:
    """Keys of the bugs that no deciding linter reports; None if one of those did not run."""
    if any(tool not in outcomes for tool in DECIDING):
        return None
    keys = {bug.key for bug in outcomes[DECIDING[0]].bugs}
    return keys - {bug.key for tool in DECIDING for bug in outcomes[tool].bugs if bug.found}


def summary(
    outcomes: LinterOutcomes, keys: set[str] | None, groups: int, seed: int
) -> dict[str, Any]:
    """Figures of a linter, with their intervals by a bootstrap over repositories.

    Args:
        outcomes: of the linter.
        keys: the bugs that count; None: all.
        groups: how many repositories there are.
        seed: of the bootstrap.
    """
    bugs = [bug for bug in outcomes.bugs if keys is None or bug.key in keys]
    if not bugs:
        return {"bugs": 0, "figures": {}}
    group = np.array([bug.group for bug in bugs], dtype=np.int64)
    found = np.array([bug.found for bug in bugs], dtype=np.float64)
    hits = np.array([bug.line_hits for bug in bugs])
    messages = np.array([bug.messages for bug in bugs], dtype=np.float64)
    clean = np.array(outcomes.clean, dtype=np.float64).reshape(-1, 3)
    own = clean[:, 0].astype(np.int64)

    def figures(weights: np.ndarray) -> dict[str, float]:
        share, lines = weights[group], float(weights[own] @ clean[:, 1])
        total, said = float(share.sum()), float(share @ messages)
        if not total:
            return {}
        values = {"found": float(share @ found) / total}
        values["precision"] = float(share @ found) / said if said else np.nan
        for column, k in enumerate(TOPS):
            values[f"line_top{k}"] = float(share @ hits[:, column]) / total
        rate = float(weights[own] @ clean[:, 2]) / lines * 1000 if lines else np.nan
        values["messages_per_kloc"] = rate
        return values

    drawn = [figures(weights.astype(np.float64)) for weights in resamples(groups, seed)]
    return {"bugs": len(bugs), "figures": with_intervals(figures(np.ones(groups)), drawn)}


def by_kind(outcomes: LinterOutcomes) -> dict[str, dict[str, float]]:
    """Share of the bugs of each kind that a linter reports."""
    table: dict[str, dict[str, float]] = {}
    for kind in sorted({bug.kind for bug in outcomes.bugs}):
        found = [bug.found for bug in outcomes.bugs if bug.kind == kind]
        table[kind] = {"bugs": len(found), "found": round(float(np.mean(found)), 6)}
    return table


def as_json(
    outcomes: Mapping[str, LinterOutcomes], linters: Linters, groups: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Everything of every linter, for the result."""
    missed = unreported(outcomes)
    return {
        tool: {
            **linters.facts(tool),
            "all": summary(found, None, groups, seed),
            "unreported": None if missed is None else summary(found, missed, groups, seed),
            "by_kind": by_kind(found),
            "given_up": found.given_up,
        }
        for tool, found in outcomes.items()
    }


def installed(cache: Path | None, jobs: int = 1) -> Linters | None:
    """The linters of this environment; None where there is none.

    Args:
        cache: file that keeps their messages for the next time; None keeps nothing.
        jobs: processes at a time.
    """
    tools = available()
    return InstalledLinters(tools, cache, jobs) if tools else None
