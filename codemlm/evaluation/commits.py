"""Commit mode: real bugs as a reviewer met them, in the commit that brought them in.

The whole file as the commit left it is read, and only the leaves on the lines that the commit
added or changed are ranked. What else a ranker puts first there counts as false, though it may be
a bug that nobody has reported: the figures are lower bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codemlm.errors import CorpusError
from codemlm.evaluation.injected import SampledFile, line_count
from codemlm.evaluation.metrics import TOPS, Standing, plain, resamples, with_intervals
from codemlm.evaluation.rankers import DESCRIPTIONS, PRODUCT, Opinion, from_findings
from codemlm.evaluation.real import NO_FIX, TOO_LONG, RealBug, real_bug
from codemlm.evaluation.report import Table
from codemlm.evaluation.run import Evaluation, Judged
from codemlm.fixes import FixPair
from codemlm.syntax import ParsedFile, parse

POSITION = "first in the commit"
"""The ranker that takes the leaves of the changed lines as they come."""
NO_INTRODUCTION = "no introduction"

SIZES: tuple[tuple[str, int], ...] = (
    ("1-20", 20),
    ("21-100", 100),
    ("101-400", 400),
    ("over 400", -1),
)
"""Sizes of commits: their names, and how many judged leaves on changed lines at most."""
FIGURES = (
    *(f"top{k}" for k in TOPS),
    *(f"line_top{k}" for k in TOPS),
    "repair_top1",
    "joint",
    "mrr",
)
"""``mrr`` is the mean of 1 / rank by leaf, 0 where a ranker has no opinion of the wrong leaf."""
_FIRST = ("first_is_bug", "first_is_false", "silent", "alarms")


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """What the rankers made of one commit.

    Attributes:
        repo: its repository.
        leaves: judged leaves on the changed lines.
        lines: changed lines.
        figures: by ranker, in the order of ``FIGURES``.
        first: what the product reports on the changed lines at its threshold, as ``_FIRST``.
    """

    repo: str
    leaves: int
    lines: int
    figures: dict[str, tuple[float, ...]]
    first: tuple[float, ...]

    @property
    def size(self) -> str:
        """Name of the commit's size."""
        return next(name for name, most in SIZES if self.leaves <= most or most < 0)


def judge_commits(
    pairs: Iterable[FixPair],
    evaluation: Evaluation,
    *,
    max_lines: int = 3000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Figures of every ranker on the commits that brought bugs in, ready for JSON.

    Args:
        pairs: fixes; those without an introduction are counted as skipped.
        evaluation: the rankers.
        max_lines: introductions in longer files are skipped.
        seed: of the bootstrap, which draws repositories.
        progress: called with the number of pairs done.
    """
    skipped: Counter[str] = Counter()
    outcomes: list[CommitOutcome] = []
    for done, pair in enumerate(pairs, 1):
        found = judge_commit(pair, evaluation, max_lines)
        if isinstance(found, str):
            skipped[found] += 1
        else:
            outcomes.append(found)
        if progress is not None:
            progress(done)
    return {"skipped": dict(sorted(skipped.items())), **summary(outcomes, evaluation, seed)}


def judge_commit(pair: FixPair, evaluation: Evaluation, max_lines: int) -> CommitOutcome | str:
    """What the rankers make of the commit that brought a bug in; a reason where they cannot."""
    if pair.introduction is None:
        return NO_INTRODUCTION
    bug = introduced(pair)
    if isinstance(bug, str):
        return bug
    parsed, text = bug.parsed, pair.introduction.text
    if line_count(text) > max_lines:
        return TOO_LONG
    file = SampledFile(pair.fix.key, parsed, line_count(text), np.zeros((0, 2), dtype=np.int64))
    judged: Judged[RealBug] = evaluation.judged(file, [], masked=False)
    opinions = {**judged.clean, **from_findings(parsed, judged.findings)}
    any_leaves = opinions[PRODUCT].leaves
    order = -np.arange(len(any_leaves), dtype=np.float64)
    opinions[POSITION] = Opinion(any_leaves, order, [""] * len(any_leaves))
    line_of = _lines(parsed)
    changed = np.isin(line_of[any_leaves], pair.introduction.lines)
    view = _View(bug, any_leaves[changed], line_of[any_leaves[changed]])
    figures = {name: view.figures(_only(opinion, changed)) for name, opinion in opinions.items()}
    threshold = evaluation.calibration.threshold
    alarms = int((judged.clean[PRODUCT].suspicion[changed] >= threshold).sum())
    reported = _only(opinions[PRODUCT], changed).suspicion.max(initial=-np.inf) >= threshold
    right = figures[PRODUCT][0] if reported else 0.0
    first = (right, float(reported) - right, 1.0 - float(reported), float(alarms))
    return CommitOutcome(
        pair.fix.repo, int(changed.sum()), len(pair.introduction.lines), figures, first
    )


def introduced(pair: FixPair) -> RealBug | str:
    """The bug in the file as the commit left it that brought it in; else why it is not there."""
    origin = pair.introduction
    assert origin is not None
    source = origin.text.encode()
    fix = replace(pair.fix, edits=origin.edits)
    try:
        mended = fix.apply(source)
    except CorpusError:
        return NO_FIX
    return real_bug(FixPair(fix, origin.text, mended.decode()), parse(mended))


@dataclass(frozen=True, slots=True)
class _View:
    """The judged leaves of the changed lines: int64 (N,) each, leaf numbers and 1-based lines."""

    bug: RealBug
    leaves: np.ndarray
    lines: np.ndarray

    def figures(self, opinion: Opinion) -> tuple[float, ...]:
        """``FIGURES`` of a ranker whose opinion is of these leaves alone."""
        wrong = np.isin(self.leaves, list(self.bug.meant))
        found = Standing.of(opinion.suspicion, wrong)
        if found is None:
            return (0.0,) * len(FIGURES)
        meant = self.bug.meant[int(self.leaves[found.place])]
        repaired = float(opinion.repairs[found.place] == meant)
        hits = found.hits()
        lines, place = np.unique(self.lines, return_inverse=True)
        best = np.full(len(lines), -np.inf)
        np.maximum.at(best, place, opinion.suspicion)
        by_line = Standing.of(best, np.isin(lines, self.lines[wrong]))
        assert by_line is not None
        return (*hits, *by_line.hits(), repaired, hits[0] * repaired, reciprocal_rank(found))


def reciprocal_rank(standing: Standing) -> float:
    """Expectation of 1 / rank of the first wrong item, ties in random order."""
    expected, missed = 0.0, 1.0
    for drawn in range(standing.equal + 1):
        hit = standing.wrong / (standing.equal + standing.wrong - drawn)
        expected += missed * hit / (standing.above + drawn + 1)
        missed *= 1.0 - hit
    return expected


def _only(opinion: Opinion, chosen: np.ndarray) -> Opinion:
    repairs = [text for text, keep in zip(opinion.repairs, chosen, strict=True) if keep]
    return Opinion(opinion.leaves[chosen], opinion.suspicion[chosen], repairs)


def _lines(parsed: ParsedFile) -> np.ndarray:
    """The 1-based line of each leaf: int64 (N,)."""
    newlines = np.flatnonzero(np.frombuffer(parsed.source, dtype=np.uint8) == ord("\n"))
    found: np.ndarray = np.searchsorted(newlines, parsed.starts) + 1
    return found


# Figures


def summary(
    outcomes: Sequence[CommitOutcome], evaluation: Evaluation, seed: int = 0
) -> dict[str, Any]:
    """Figures with their intervals: a bootstrap over repositories."""
    repositories = sorted({outcome.repo for outcome in outcomes})
    group = np.array([repositories.index(outcome.repo) for outcome in outcomes], dtype=np.int64)
    drawn = resamples(len(repositories), seed)[:, group] if outcomes else np.zeros((0, 0))
    names = [name for name in (*DESCRIPTIONS, POSITION) if outcomes and name in outcomes[0].figures]
    rankers: dict[str, Any] = {}
    for name in names:
        rows = np.array([outcome.figures[name] for outcome in outcomes])
        rankers[name] = {
            "figures": _means(FIGURES, rows, drawn),
            "by_size": {
                size: _plain_means([o.figures[name] for o in outcomes if o.size == size])
                for size, _ in SIZES
            },
        }
    first = np.array([outcome.first for outcome in outcomes]).reshape(-1, len(_FIRST))
    return {
        "bugs": len(outcomes),
        "repositories": len(repositories),
        "lines": sum(outcome.lines for outcome in outcomes),
        "leaves": sum(outcome.leaves for outcome in outcomes),
        "sizes": {size: sum(o.size == size for o in outcomes) for size, _ in SIZES},
        "product": {
            "threshold": evaluation.calibration.threshold,
            "figures": _means(_FIRST, first, drawn) if outcomes else {},
        },
        "rankers": rankers,
    }


def _means(names: Sequence[str], rows: np.ndarray, drawn: np.ndarray) -> dict[str, Any]:
    """Means of columns, and of their resamples.

    Args:
        names: of the columns.
        rows: float64 (bugs, columns).
        drawn: how often each resample has each bug's repository: (resamples, bugs).
    """
    totals = drawn.sum(axis=1, keepdims=True)
    resampled = (drawn @ rows)[totals[:, 0] > 0] / totals[totals[:, 0] > 0]
    value = dict(zip(names, rows.mean(axis=0).tolist(), strict=True))
    return with_intervals(value, [dict(zip(names, row, strict=True)) for row in resampled.tolist()])


def _plain_means(rows: Sequence[tuple[float, ...]]) -> dict[str, float | int | None]:
    means = np.array(rows).mean(axis=0).tolist() if rows else [np.nan] * len(FIGURES)
    return {"bugs": len(rows), **dict(zip(FIGURES, map(plain, means), strict=True))}


# Tables


def commit_tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of an evaluation's result that are of commits; none if it has no such part."""
    commits = result.get("commits")
    if not commits or not commits["bugs"]:
        return []
    title = f"Commits that brought a bug in, {commits['bugs']:,} bugs"
    shown = (*(f"top{k}" for k in TOPS), "line_top1", "line_top5", "repair_top1", "joint", "mrr")
    columns = [
        "ranker",
        *(f"top {k}" for k in TOPS),
        "line top 1",
        "line top 5",
        "repair",
        "top 1 and repaired",
        "mean 1 / rank",
    ]
    rankers = commits["rankers"]
    rows = [[name, *(_cell(r["figures"][f]) for f in shown)] for name, r in rankers.items()]
    sizes = [size for size, count in commits["sizes"].items() if count]
    by_size = [
        [name, *(_percent(r["by_size"][size]["top1"]) for size in sizes)]
        for name, r in rankers.items()
    ]
    heads = [f"{size} leaves ({commits['sizes'][size]:,})" for size in sizes]
    return [
        Table(f"{title}: leaves of the changed lines", columns, rows),
        Table(f"{title}: top 1 by size of the commit", ["ranker", *heads], by_size),
        _reported(title, commits["product"]),
    ]


def _reported(title: str, product: Mapping[str, Any]) -> Table:
    figures = product["figures"]
    rows = [
        ["the bug comes first", _cell(figures["first_is_bug"])],
        ["something else comes first", _cell(figures["first_is_false"])],
        ["nothing is reported", _cell(figures["silent"])],
        ["findings a commit", _cell(figures["alarms"], lambda value: f"{value:.2f}")],
    ]
    return Table(
        f"{title}: what the product reports, at confidence {product['threshold']:.2f}",
        ["of the commits", "%"],
        rows,
    )


def _cell(figure: Mapping[str, Any], shape: Callable[[Any], str] | None = None) -> str:
    shape = shape or _percent
    if figure["low"] is None:
        return shape(figure["value"])
    return f"{shape(figure['value'])} [{shape(figure['low'])}, {shape(figure['high'])}]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f}"
