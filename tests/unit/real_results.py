"""A made-up result of an evaluation on real bugs, as the pictures and the page read it."""

from __future__ import annotations

import math
from typing import Any

RANKERS = ("product", "keep gate", "keep gate x alternative", "n-gram", "chance")
BUDGETS = (0.1, 0.5, 1.0, 2.0)
KINDS = {"variable": 310, "attribute": 140, "swapped-arguments": 22, "prefix-missing": 1}


def figure(value: float, spread: float = 0.25) -> dict[str, float | None]:
    """A figure with an interval around it."""
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread)}


def figures(skill: float) -> dict[str, Any]:
    """All figures of a ranker; the higher the skill the better."""
    found = {}
    for place, top in enumerate((1, 3, 5)):
        found[f"top{top}"] = figure(skill * (0.1 + 0.05 * place))
        found[f"line_top{top}"] = figure(skill * (0.12 + 0.06 * place))
    for name, share in (("repair_top1", 0.3), ("repair_top5", 0.5), ("joint", 0.06)):
        found[name] = figure(skill * share)
    found["paired"] = figure(0.5 + 0.3 * skill, 0.05)
    for budget in BUDGETS:
        found[f"recall_at_{budget:g}"] = figure(skill * 0.05 * budget**0.5)
        found[f"repaired_at_{budget:g}"] = figure(skill * 0.03 * budget**0.5)
        found[f"functions_at_{budget:g}"] = figure(0.012 * budget)
    for name, share in (("joint", 0.21), ("localised", 0.3)):
        found[f"{name}_at_functions_16.5"] = figure(skill * share)
    return found


def curve(skill: float) -> list[dict[str, float]]:
    """A curve from a strict threshold to none."""
    points = []
    for step in range(60):
        alarms = 0.01 * math.exp(step * 0.19)
        recall = min(1.0, skill * 0.05 * alarms**0.5)
        precision = recall / (recall + 0.4 * alarms)
        point = {"threshold": 1 - step / 60, "precision": precision, "recall": recall}
        points.append({**point, "alarms_per_kloc": alarms})
    return points


def ranker(skill: float) -> dict[str, Any]:
    """A ranker over both populations."""
    kinds = {
        kind: {"bugs": bugs, **{n: f["value"] for n, f in figures(skill).items()}}
        for kind, bugs in KINDS.items()
    }
    own = {"functions_alarmed": figure(0.013), "alarms_per_kloc": figure(0.71)}
    everything: dict[str, Any] = {"bugs": 473, "figures": figures(skill), "by_kind": kinds}
    if skill == 1.0:  # the product
        everything["figures"] |= {**own, "recall_at_default": figure(0.041)}
    rest = {"bugs": 402, "figures": figures(skill * 0.8), "by_kind": kinds}
    return {"all": everything, "unreported": rest, "parsed": rest, "curve": curve(skill)}


def linter(found: float, rate: float) -> dict[str, Any]:
    """A linter over both populations."""
    shares = {"found": figure(found), "found_anywhere": figure(found * 1.2)}
    shares |= {"recall": figure(found * 1.5), "precision": figure(found / rate)}
    for place, top in enumerate((1, 3, 5)):
        shares[f"line_top{top}"] = figure(found * (0.7 + 0.1 * place))
    costs = {"messages_per_kloc": figure(rate), "functions_alarmed": figure(rate / 100)}
    measured = {"bugs": 473, "figures": {**shares, **costs}}
    return {
        "version": "3.4.0",
        "options": "--select F,E9",
        "all": measured,
        "unreported": {**measured, "bugs": 402},
        "parsed": {**measured, "bugs": 380},
        "by_kind": {"variable": {"bugs": 310, **{n: f["value"] for n, f in shares.items()}}},
        "given_up": {"bugs": {"unparsed": 3}, "files": {}},
    }


def reviewed(skill: float) -> dict[str, Any]:
    """A ranker of the lines that commits changed."""
    found = {f"top{k}": figure(skill * 0.2 * k**0.5) for k in (1, 3, 5)}
    sizes = {"1-20": 0.3 * skill, "21-100": 0.11 * skill, "more": None}
    by_size = {size: {"bugs": 100, "top1": top} for size, top in sizes.items()}
    return {"figures": {**found, "mrr": figure(skill * 0.31)}, "by_size": by_size}


def place(number: int) -> dict[str, Any]:
    """Where a finding stands."""
    return {
        "repo": f"owner/project{number}",
        "commit": f"{number:x}" * 40,
        "path": f"package/part/module_{number}.py",
        "line": 100 + 7 * number,
    }


def real_result() -> dict[str, Any]:
    """A result with every part in it."""
    skills = dict(zip(RANKERS, (1.0, 0.7, 0.8, 0.3, 0.02), strict=True))
    rankers = {name: ranker(skill) for name, skill in skills.items()}
    bins = [
        {
            "low": n / 10,
            "high": (n + 1) / 10,
            "mean_confidence": n / 10 + 0.04,
            "precision": max(0.0, n / 12 - 0.02),
            "count": 2400 // (n + 1) ** 2,
        }
        for n in range(10)
    ]
    told = {"rule": "CM101", "text": "rows", "suggestion": "columns"}
    return {
        "codemlm": "0.2.0",
        "model": {"name": "leafy", "version": "3", "calibration": "none"},
        "settings": {"seed": 0, "max_lines": 3000, "masked_files": 40},
        "data": {
            "bugs": 473,
            "repositories": 61,
            "files": 420,
            "lines": 183_211,
            "functions": 9_120,
            "unreported": 402,
            "parsed": 380,
            "skipped": {"too long": 31, "syntax": 2},
            "kinds": KINDS,
        },
        "rankers": rankers,
        "compared": {
            "bugs": 44,
            "files": 40,
            "rankers": {**rankers, "masked likelihood": ranker(0.25), "masked ratio": ranker(0.5)},
        },
        "reliability": bins,
        "linters": {
            "pyflakes": linter(0.15, 3.1),
            "ruff": linter(0.16, 5.2),
            "pylint": linter(0.18, 41.0),
            "mypy": linter(0.11, 20.0),
        },
        "commits": {
            "bugs": 301,
            "sizes": {"1-20": 101, "21-100": 200, "more": 0},
            "product": {
                "threshold": 0.4,
                "figures": {"silent": figure(0.9, 0.05), "alarms": figure(1)},
            },
            "rankers": {name: reviewed(skill) for name, skill in skills.items()},
        },
        "alarms": [{**place(n), **told, "confidence": 0.97 - n / 100} for n in range(10)],
        "misses": [
            {
                **place(n),
                "rank": 900 - n,
                "kind": "variable",
                "before": "row",
                "after": "column",
                "message": "Fix the wrong axis",
            }
            for n in range(10)
        ],
    }
