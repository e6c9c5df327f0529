"""Fits boosted trees with LightGBM, and takes them over into `codemlm.trees`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codemlm.calibration import Boosted
from codemlm.errors import ModelError
from codemlm.trees import Ensemble, Tree

_DIGITS = 6
"""Significant digits of the leaves' values: enough for margins to 0.0001, and a short JSON."""


@dataclass(frozen=True, slots=True)
class BoostSettings:
    """How trees are fitted.

    Attributes:
        rounds: trees at the most, of one seed.
        seeds: ensembles that are averaged: with so few mistakes, chance has a large say in each.
        folds: parts of the repositories, each held out once.
        leaves: of a tree.
        rate: learning rate.
        least: leaves of code in a leaf of a tree, at least.
        penalty: of the squares of margins (lambda_l2).
        columns: share of the features that each tree sees.
        seed: of the columns and rows that each tree sees, and of the folds.
    """

    rounds: int = 150
    seeds: int = 2
    folds: int = 5
    leaves: int = 12
    rate: float = 0.05
    least: int = 50
    penalty: float = 10.0
    columns: float = 0.5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """Trees, and what each feature adds.

    Attributes:
        trees: the ensemble.
        gains: share of the loss that splits by each feature took away.
        margins: of every row, by trees of other repositories: float64 (N,).
    """

    trees: Ensemble
    gains: dict[str, float]
    margins: np.ndarray


def fit_trees(
    rows: np.ndarray,
    wrong: np.ndarray,
    weight: np.ndarray,
    group: np.ndarray,
    features: Sequence[str],
    settings: BoostSettings,
) -> Fitted:
    """Trees that tell wrong leaves from right ones.

    Args:
        rows: float32 (N, F), NaN where a feature has no meaning.
        wrong: bool (N,).
        weight: float64 (N,).
        group: number of the repository, int64 (N,): folds never part one.
        features: their names.
        settings: how.
    """
    margins = np.zeros(len(rows))
    for inside, outside in _folds(group, settings):
        part = _grown(rows[inside], wrong[inside], weight[inside], features, settings)[0]
        margins[outside] = part.margins(rows[outside])
    trees, gains = _grown(rows, wrong, weight, features, settings)
    shares = gains / max(gains.sum(), 1e-12)
    order = np.argsort(-shares, kind="stable")
    return Fitted(
        trees,
        {features[i]: round(float(shares[i]), 5) for i in order.tolist() if shares[i] > 0},
        margins,
    )


def _grown(
    rows: np.ndarray,
    wrong: np.ndarray,
    weight: np.ndarray,
    features: Sequence[str],
    settings: BoostSettings,
) -> tuple[Ensemble, np.ndarray]:
    """Ensembles of all seeds as one whose margins are their mean, and the features' gains."""
    import lightgbm

    parameters = {
        "objective": "binary",
        "num_leaves": settings.leaves,
        "learning_rate": settings.rate,
        "min_data_in_leaf": settings.least,
        "lambda_l2": settings.penalty,
        "feature_fraction": settings.columns,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(
        rows, wrong.astype(np.float64), weight=weight, feature_name=list(features)
    )
    trees: list[Tree] = []
    gains = np.zeros(len(features))
    for number in range(settings.seeds):
        seeded = {**parameters, "seed": settings.seed + number}
        booster = lightgbm.train(seeded, data, settings.rounds)
        gains += booster.feature_importance("gain")
        grown = from_lightgbm(booster.dump_model()).trees
        trees += [dataclasses.replace(t, values=t.values / settings.seeds) for t in grown]
    return rounded(Ensemble(tuple(trees), len(features))), gains


def _folds(group: np.ndarray, settings: BoostSettings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to measure on, by repository."""
    names = np.unique(group)
    rng = np.random.default_rng(settings.seed)
    fold_of = dict(zip(rng.permutation(names).tolist(), range(len(names)), strict=True))
    fold = np.array([fold_of[g] % settings.folds for g in group.tolist()])
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]
    return [(inside, outside) for inside, outside in parts if len(inside)]


def from_lightgbm(dump: Mapping[str, Any]) -> Ensemble:
    """The ensemble that LightGBM's ``Booster.dump_model()`` describes.

    Raises:
        ModelError: if a tree splits in a way that is not known here (categories, zero as missing).
    """
    trees = tuple(_tree(entry["tree_structure"]) for entry in dump["tree_info"])
    return Ensemble(trees, len(dump["feature_names"]))


def _tree(root: Mapping[str, Any]) -> Tree:
    nodes: list[Mapping[str, Any]] = []
    values: list[float] = []
    children: list[list[int]] = []
    waiting: list[tuple[Mapping[str, Any], int, int]] = [(root, -1, 0)]
    while waiting:
        entry, parent, side = waiting.pop()
        if "split_feature" in entry:
            number = len(nodes)
            nodes.append(entry)
            children.append([0, 0])
            waiting += [(entry["right_child"], number, 1), (entry["left_child"], number, 0)]
        else:
            values.append(float(entry["leaf_value"]))
            number = -len(values)
        if parent >= 0:
            children[parent][side] = number
    table = np.array(children, dtype=np.int64).reshape(-1, 2)
    return Tree(
        features=np.array([int(node["split_feature"]) for node in nodes], dtype=np.int64),
        thresholds=np.array([float(node["threshold"]) for node in nodes], dtype=np.float64),
        missing_left=np.array([_missing_left(node) for node in nodes], dtype=bool),
        left=table[:, 0].copy(),
        right=table[:, 1].copy(),
        values=np.array(values, dtype=np.float64),
    )


def _missing_left(node: Mapping[str, Any]) -> bool:
    if node["decision_type"] != "<=" or node["missing_type"] not in ("NaN", "None"):
        raise ModelError(f"cannot use a split by {node['decision_type']} {node['missing_type']}")
    if node["missing_type"] == "None":  # trained without NaN, which then counts as zero
        return bool(float(node["threshold"]) >= 0)
    return bool(node["default_left"])


def rounded(ensemble: Ensemble, digits: int = _DIGITS) -> Ensemble:
    """The ensemble with values of so many significant digits, which makes its JSON short."""
    trees = tuple(
        Tree(
            tree.features,
            _rounded(tree.thresholds, 2 * digits),
            tree.missing_left,
            tree.left,
            tree.right,
            _rounded(tree.values, digits),
        )
        for tree in ensemble.trees
    )
    return Ensemble(trees, ensemble.num_features)


def _rounded(values: Sequence[float] | np.ndarray, digits: int) -> np.ndarray:
    return np.array([float(f"{value:.{digits}g}") for value in values], dtype=np.float64)


def pruned(boosted: Boosted, names: Collection[str]) -> Boosted:
    """The map with those features alone; no tree asks for another."""
    used = [i for i, name in enumerate(boosted.features) if name in names]
    place = {old: new for new, old in enumerate(used)}
    trees = tuple(
        dataclasses.replace(
            tree, features=np.array([place[f] for f in tree.features.tolist()], dtype=np.int64)
        )
        for tree in boosted.trees.trees
    )
    return dataclasses.replace(
        boosted,
        features=tuple(boosted.features[i] for i in used),
        trees=dataclasses.replace(boosted.trees, trees=trees, num_features=len(used)),
    )
