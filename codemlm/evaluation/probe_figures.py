"""Figures of a probe: how well each ranker tells real bugs from clean leaves, and mends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codemlm.evaluation.metrics import Pooled, plain, resamples, with_intervals
from codemlm.evaluation.probe import RANKERS, Outcome
from codemlm.evaluation.rankers import GATE
from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING
from codemlm.injection import Kind

CLEAN_SHARES = (0.01, 0.001)
"""Shares of clean leaves alarmed, at which recall is taken."""

GROUPS: dict[str, tuple[str, ...]] = {
    "variable": (Kind.VARIABLE,),
    "function": (Kind.FUNCTION,),
    "attribute": (Kind.ATTRIBUTE,),
    "keyword": (Kind.KEYWORD_ARGUMENT,),
    "operator": (
        Kind.COMPARISON,
        Kind.IDENTITY,
        Kind.MEMBERSHIP,
        Kind.BOOLEAN_OPERATOR,
        Kind.ARITHMETIC,
        Kind.AUGMENTED,
    ),
    "literal": (Kind.CONSTANT, Kind.NUMBER),
    "prefix": (PREFIX_MISSING, PREFIX_ADDED),
    "structural": (
        Kind.ARGUMENT_SWAP,
        Kind.OPERAND_SWAP,
        Kind.NEGATION_ADDED,
        Kind.NEGATION_DROPPED,
    ),
}
"""Kinds of mistakes that are reported together."""

COLUMNS = {
    "auc": "AUC",
    "top1": "top-1",
    "top3": "top-3",
    "recall_at_1": "at 1 %",
    "recall_at_0.1": "at 0.1 %",
    "paired": "paired",
    "repair_top1": "repair-1",
    "repair_top5": "repair-5",
    "joint": "joint",
}
"""Figures in the order of the table: name, heading."""


def summarise(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """Every figure of a probe, as plain JSON values.

    Args:
        outcomes: of all cases, at least one.
        seed: of the bootstrap, which draws repositories: the bugs of one resemble each other.

    Returns:
        ``bugs``, ``repositories``, ``clean_leaves``, ``masked_leaves``; ``masked``: accuracy and
        loss (nats) of masked leaves; ``rankers``: by ranker and figure, with 95 % intervals;
        ``groups``: by group of kinds the count of bugs, and the same figures without intervals.
    """
    names = sorted({outcome.repo for outcome in outcomes})
    number = {name: index for index, name in enumerate(names)}
    group = np.array([number[outcome.repo] for outcome in outcomes], dtype=np.int64)
    weights = [np.ones(len(names)), *resamples(len(names), seed).astype(np.float64)]
    found: dict[str, Any] = {
        "bugs": len(outcomes),
        "repositories": len(names),
        "clean_leaves": int(sum(len(outcome.clean[GATE]) for outcome in outcomes)),
        "masked_leaves": int(sum(len(outcome.logp) for outcome in outcomes)),
    }
    masked = [_masked_figures(outcomes, group, some) for some in weights]
    found["masked"] = with_intervals(masked[0], masked[1:])
    found["rankers"], found["groups"] = {}, {}
    kinds = np.array([outcome.kind for outcome in outcomes])
    for ranker in RANKERS:
        table = RankerTable(ranker, outcomes, group)
        every = [table.figures(some, np.ones(len(group), dtype=bool)) for some in weights]
        found["rankers"][ranker] = with_intervals(every[0], every[1:])
        for name, members in GROUPS.items():
            chosen = np.isin(kinds, [str(kind) for kind in members])
            row = found["groups"].setdefault(name, {"bugs": int(chosen.sum())})
            some_figures = table.figures(weights[0], chosen)
            row[ranker] = {key: plain(value) for key, value in some_figures.items()}
    return found


def _masked_figures(
    outcomes: Sequence[Outcome], group: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """Accuracy and mean loss of masked leaves, repositories counted so many times."""
    share = weights[group]
    total = float(share @ [len(outcome.logp) for outcome in outcomes])
    if not total:
        return {}
    correct = float(share @ [outcome.correct.sum() for outcome in outcomes])
    logp = float(share @ [outcome.logp.sum() for outcome in outcomes])
    return {"accuracy": correct / total, "loss": -logp / total}


class RankerTable:
    """What one ranker made of all cases, as columns.

    Args:
        ranker: which.
        outcomes: of all cases.
        group: int64 (N,), number of each case's repository.
    """

    def __init__(self, ranker: str, outcomes: Sequence[Outcome], group: np.ndarray) -> None:
        verdicts = [outcome.verdicts[ranker] for outcome in outcomes]
        self.group = group
        self.clean = Pooled([outcome.clean[ranker] for outcome in outcomes], group)
        self.suspicion = np.array([verdict.suspicion for verdict in verdicts])
        self.hits = np.array([verdict.hits for verdict in verdicts])
        self.paired = np.array([verdict.paired for verdict in verdicts])
        self.repaired = np.array([verdict.repaired for verdict in verdicts], dtype=np.float64)
        values = -self.clean.values
        self._above = np.searchsorted(values, -self.suspicion, side="left")
        self._reached = np.searchsorted(values, -self.suspicion, side="right")

    def figures(self, weights: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
        """Figures of some cases against the clean leaves of all.

        Args:
            weights: float64 (R,), how often each repository counts.
            chosen: bool (N,), the cases.

        Returns:
            By name; none where no case is left; NaN where the ranker cannot tell.
        """
        share = weights[self.group] * chosen
        if not share.sum():
            return {}
        share = share / share.sum()
        running = self.clean.running(weights)
        higher = (running[self._above] + running[self._reached]) / 2
        found = {"auc": float(share @ (1 - higher / max(running[-1], 1e-9)))}
        found["top1"], found["top3"] = (float(share @ self.hits[:, i]) for i in (0, 1))
        for allowed in CLEAN_SHARES:
            threshold = self.clean.threshold(allowed * running[-1], running)
            found[f"recall_at_{allowed * 100:g}"] = float(share @ (self.suspicion > threshold))
        found["paired"] = float(share @ self.paired)
        found["repair_top1"], found["repair_top5"] = (share @ self.repaired).tolist()
        found["joint"] = float(share @ (self.hits[:, 0] * self.repaired[:, 0]))
        return found


def table(found: Mapping[str, Any]) -> str:
    """A probe's figures for people, a line each; ``found`` as `summarise` gives it."""
    accuracy = _with_interval(found["masked"].get("accuracy"), 100, 1)
    loss = _with_interval(found["masked"].get("loss"), 1, 3)
    counts = f"{found['bugs']} bugs of {found['repositories']} repositories"
    lines = [
        f"{counts}, {found['clean_leaves']:,} clean leaves",
        f"{found['masked_leaves']:,} masked leaves: accuracy {accuracy} %, loss {loss} nats",
        "",
        f"{'':24}" + "".join(f"{heading:>10}" for heading in COLUMNS.values()),
    ]
    for ranker, figures in found["rankers"].items():
        values = [(figures.get(name) or {}).get("value") for name in COLUMNS]
        lines.append(f"{ranker:24}" + "".join(map(_cell, values)))
        bounds = [(figures.get(name) or {}) for name in COLUMNS]
        lines.append(f"{'':24}" + "".join(f"{_range(bound):>10}" for bound in bounds))
    for ranker in RANKERS:
        lines += ["", f"by kind, {ranker}"]
        for name, row in found["groups"].items():
            if row["bugs"]:
                cells = "".join(_cell(row[ranker].get(figure)) for figure in COLUMNS)
                lines.append(f"  {name:14}{row['bugs']:>6}  {cells}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else f'{100 * value:.1f}':>10}"


def _range(figure: Mapping[str, float | None]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return "" if low is None or high is None else f"{100 * low:.0f}-{100 * high:.0f}"


def _with_interval(figure: Mapping[str, float | None] | None, scale: float, digits: int) -> str:
    if not figure or figure["value"] is None:
        return "-"
    numbers = [f"{scale * (figure[name] or 0.0):.{digits}f}" for name in ("value", "low", "high")]
    return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"
