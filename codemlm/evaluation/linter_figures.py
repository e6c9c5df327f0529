"""Figures of linters on real bugs and on the code that the fixes left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codemlm.evaluation.injected import SampledFile
from codemlm.evaluation.linter_reports import at_lines, reported, reported_anywhere
from codemlm.evaluation.linter_tools import LinterMessage, given_up
from codemlm.evaluation.metrics import TOPS, chance_within, plain, resamples, with_intervals
from codemlm.positions import LineIndex

DECIDING = ("pyflakes", "ruff")
"""Linters that decide whether a bug is one that linters report."""
UNREPORTED, PARSED = "unreported", "parsed"
POPULATIONS = (UNREPORTED, PARSED)
"""Bugs that no deciding linter reports, and those of them in files that the linters can parse."""

Populations = Mapping[str, set[str]]
"""Keys of bugs by population."""


@dataclass(frozen=True, slots=True)
class LintedBug:
    """What a linter made of one bug.

    Attributes:
        key: of the fix.
        group: number of the repository.
        kind: kind of the mistake.
        found: whether a message at the bug is gone after the fix.
        anywhere: whether that is so of any message of the file.
        recalled: whether a message stands at the bug, gone or not: what recall is of a ranker.
        line_hits: chance that a line of the bug is among the first 1, 3 and 5 lines: those with
            messages tie, those without are never found.
        messages: of the file with the bug.
        given_up: ``UNPARSED`` or ``FAILED`` if the linter says nothing of the file before or after.
    """

    key: str
    group: int
    kind: str
    found: bool
    anywhere: bool
    recalled: bool
    line_hits: tuple[float, ...]
    messages: int
    given_up: str | None


@dataclass(frozen=True, slots=True)
class LintedFile:
    """What a linter made of a file without a bug.

    Attributes:
        group: number of the repository.
        lines: of the file; 0 if the linter gave up on it.
        messages: on it.
        functions: in it; 0 if the linter gave up on it.
        alarmed: of those, how many have a message, nested ones counted by themselves.
        given_up: see ``LintedBug``.
    """

    group: int
    lines: int
    messages: int
    functions: int
    alarmed: int
    given_up: str | None


def linted_bug(
    name: tuple[str, int, str],
    before: Sequence[LinterMessage],
    after: Sequence[LinterMessage],
    lines_before: range,
    lines_after: range,
) -> LintedBug:
    """What a linter made of a bug.

    Args:
        name: key, number of the repository, and kind.
        before, after: its messages before and after the fix.
        lines_before, lines_after: see ``linter_reports.bug_lines``.
    """
    end = given_up(before) or given_up(after)
    said = [] if end else before
    flagged = {message.line for message in said}
    right = len(flagged & set(lines_before))
    hits = tuple(chance_within(k, len(flagged) - right, right) if right else 0.0 for k in TOPS)
    return LintedBug(
        *name,
        found=reported(before, after, lines_before, lines_after),
        anywhere=reported_anywhere(before, after, lines_before, lines_after),
        recalled=bool(at_lines(said, lines_before)),
        line_hits=hits,
        messages=len(said),
        given_up=end,
    )


def linted_file(file: SampledFile, group: int, messages: Sequence[LinterMessage]) -> LintedFile:
    """What a linter made of a file without a bug."""
    end = given_up(messages)
    if end is not None:
        return LintedFile(group, 0, 0, 0, 0, end)
    index = LineIndex(file.parsed.source)
    lines = np.array(sorted(message.line for message in messages), dtype=np.int64)
    alarmed = 0
    for start, stop in file.functions.tolist():
        first, last = index.line_of(start), index.line_of(max(start, stop - 1))
        alarmed += bool(np.searchsorted(lines, first) < np.searchsorted(lines, last, side="right"))
    return LintedFile(group, file.lines, len(messages), len(file.functions), alarmed, None)


def unreported(bugs: Mapping[str, Sequence[LintedBug]]) -> set[str] | None:
    """Keys of the bugs for which no deciding linter has a message less after the fix.

    Anywhere in the file: the stricter reading would leave bugs among those that no linter sees
    although one hints at them.

    Args:
        bugs: by linter.

    Returns:
        None if a deciding linter did not run.
    """
    if any(tool not in bugs for tool in DECIDING):
        return None
    keys = {bug.key for bug in bugs[DECIDING[0]]}
    return keys - {bug.key for tool in DECIDING for bug in bugs[tool] if bug.anywhere}


def populations(bugs: Mapping[str, Sequence[LintedBug]]) -> Populations | None:
    """Keys of the bugs that linters do not report, and of those in files that linters can read.

    A linter says nothing of a file that it cannot parse, such as one of Python 2: what it would
    have said of a modern one is not known, so the second is the fairer comparison.

    Args:
        bugs: by linter.

    Returns:
        None if a deciding linter did not run.
    """
    missed = unreported(bugs)
    if missed is None:
        return None
    unread = {bug.key for tool in DECIDING for bug in bugs[tool] if bug.given_up}
    return {UNREPORTED: missed, PARSED: missed - unread}


def linter_figures(
    bugs: Sequence[LintedBug],
    clean: Sequence[LintedFile],
    few: Populations | None,
    groups: int,
    seed: int,
) -> dict[str, Any]:
    """All figures of a linter, for the result.

    Args:
        bugs: what it made of them.
        clean: what it made of files without a bug, each once.
        few: keys of bugs by population, see ``populations``; None if they are not known.
        groups: how many repositories there are.
        seed: of the bootstrap over repositories.

    Returns:
        ``all`` and each population: figures with 95 % intervals; ``by_kind``; ``given_up``: how
        many files the linter could not parse or failed on, and those do not count as clean code.
    """
    chosen = {
        name: None if few is None else [bug for bug in bugs if bug.key in few[name]]
        for name in POPULATIONS
    }
    return {
        "all": _population(bugs, clean, groups, seed),
        **{
            name: None if some is None else _population(some, clean, groups, seed)
            for name, some in chosen.items()
        },
        "by_kind": _by_kind(bugs),
        "given_up": {
            "bugs": dict(Counter(bug.given_up for bug in bugs if bug.given_up)),
            "files": dict(Counter(file.given_up for file in clean if file.given_up)),
        },
    }


def _population(
    bugs: Sequence[LintedBug], clean: Sequence[LintedFile], groups: int, seed: int
) -> dict[str, Any]:
    if not bugs:
        return {"bugs": 0, "figures": {}}
    group = np.array([bug.group for bug in bugs], dtype=np.int64)
    of_bug = _bug_columns(bugs)
    messages = np.array([bug.messages for bug in bugs], dtype=np.float64)
    own = np.array([file.group for file in clean], dtype=np.int64)
    rows = [(file.lines, file.messages, file.functions, file.alarmed) for file in clean]
    of_file = np.array(rows, dtype=np.float64).reshape(-1, 4)

    def figures(weights: np.ndarray) -> dict[str, float]:
        share = weights[group]
        total, said = float(share.sum()), float(share @ messages)
        if not total:
            return {}
        values = {name: float(share @ column) / total for name, column in of_bug.items()}
        values["precision"] = float(share @ of_bug["found"]) / said if said else np.nan
        lines, alarms, functions, alarmed = (weights[own] @ of_file).tolist()
        values["messages_per_kloc"] = alarms / lines * 1000 if lines else np.nan
        values["functions_alarmed"] = alarmed / functions if functions else np.nan
        return values

    drawn = [figures(weights) for weights in resamples(groups, seed).astype(np.float64)]
    return {"bugs": len(bugs), "figures": with_intervals(figures(np.ones(groups)), drawn)}


def _bug_columns(bugs: Sequence[LintedBug]) -> dict[str, np.ndarray]:
    """Figures that are means over bugs: float64 (N,) each."""
    hits = np.array([bug.line_hits for bug in bugs], dtype=np.float64)
    return {
        "found": np.array([bug.found for bug in bugs], dtype=np.float64),
        "found_anywhere": np.array([bug.anywhere for bug in bugs], dtype=np.float64),
        "recall": np.array([bug.recalled for bug in bugs], dtype=np.float64),
        **{f"line_top{k}": hits[:, column] for column, k in enumerate(TOPS)},
    }


def _by_kind(bugs: Sequence[LintedBug]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for kind in sorted({bug.kind for bug in bugs}):
        some = [bug for bug in bugs if bug.kind == kind]
        means = {name: plain(float(c.mean())) for name, c in _bug_columns(some).items()}
        table[kind] = {"bugs": len(some), **means}
    return table
