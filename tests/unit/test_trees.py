"""Boosted trees in numpy: by hand, and against LightGBM."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from codemlm.errors import ModelError
from codemlm.trees import Ensemble

STUMP: dict[str, Any] = {
    "sizes": [2, 0],
    "features": [1, 0],
    "thresholds": [0.5, 2.0],
    "missing_left": "10",
    "left": [-1, -2],
    "right": [1, -3],
    "values": [1.0, 2.0, 4.0, 0.25],
}


def test_rows_fall_to_their_leaves() -> None:
    trees = Ensemble.from_json(STUMP, 2)
    nan = np.nan
    rows = np.array([[0, 0.5], [0, 0.6], [3, 1], [3, nan], [nan, 1]])
    assert trees.margins(rows).tolist() == [1.25, 2.25, 4.25, 1.25, 4.25]
    assert trees.margins(np.zeros((0, 2))).shape == (0,)
    assert Ensemble.from_json(json.loads(json.dumps(trees.as_json())), 2).as_json() == STUMP
    with pytest.raises(ValueError, match="2 features"):
        trees.margins(np.zeros((1, 3)))


def test_contributions_follow_the_path() -> None:
    trees = Ensemble.from_json(STUMP, 2)
    others = np.array([[0, 0.0], [0, 0.0], [0, 0.6]])
    weights = np.array([2 + 1 / 3, 1 + 1 / 3, 1 / 3])
    top = weights @ [1.0, 2.0, 4.0] / weights.sum()
    right = weights[1:] @ [2.0, 4.0] / weights[1:].sum()
    found = trees.contributions(np.array([3.0, 1.0]), others)
    np.testing.assert_allclose(found, [4.0 - right, right - top, top + 0.25])
    found = trees.contributions(np.array([3.0, np.nan]), others[:0])
    np.testing.assert_allclose(found, [0.0, 1.0 - 7 / 3, 7 / 3 + 0.25])
    with pytest.raises(ValueError, match="2 features"):
        trees.contributions(np.zeros(3), np.zeros((0, 3)))


def random_tree(rng: np.random.Generator, size: int, features: int) -> dict[str, Any]:
    """A random tree whose nodes are numbered as trees are: children after their parents."""
    left, right = [0] * size, [0] * size
    open_: list[tuple[int, list[int]]] = []
    for node in range(size):
        if node:
            parent, side = open_.pop(int(rng.integers(len(open_))))
            side[parent] = node
        open_ += [(node, left), (node, right)]
    for leaf, (node, side) in enumerate(open_):
        side[node] = -1 - leaf
    return {
        "sizes": [size],
        "features": rng.integers(0, features, size).tolist(),
        "thresholds": rng.normal(size=size).tolist(),
        "missing_left": "".join(rng.choice(["0", "1"], size)),
        "left": left,
        "right": right,
        "values": rng.normal(size=size + 1).tolist(),
    }


@pytest.mark.parametrize("seed", range(20))
def test_contributions_sum_to_the_margin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [random_tree(rng, int(rng.integers(0, 12)), 5) for _ in range(7)]
    data = {
        key: "".join(p[key] for p in parts)
        if key == "missing_left"
        else [v for p in parts for v in p[key]]
        for key in parts[0]
    }
    trees = Ensemble.from_json(data, 5)
    rows = rng.normal(size=(40, 5)).astype(np.float32)
    rows[rng.random((40, 5)) < 0.2] = np.nan
    margins = trees.margins(rows)
    for row, margin in zip(rows, margins, strict=True):
        found = trees.contributions(row, rows)
        assert found.sum() == pytest.approx(margin)
    base = [trees.contributions(row, rows)[-1] for row in rows]
    assert np.ptp(base) == pytest.approx(0)
    many = np.repeat(rows, 500, axis=0)  # outweighs the row that counts for all leaves alike
    assert trees.contributions(rows[0], many)[-1] == pytest.approx(margins.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [1]}, "not all of 2 nodes"),
        ({"features": [1, 2]}, "beyond 2"),
        ({"features": [1, -1]}, "beyond 2"),
        ({"values": [1.0, 2.0]}, "values"),
        ({"values": [1.0, 2.0, 4.0, float("nan")]}, "values"),
        ({"left": [-1, 0]}, "make a tree"),
        ({"left": [0, -2]}, "make a tree"),
        ({"right": [1, -9]}, "make a tree"),
        ({"sizes": [-1, 3]}, "not all"),
        ({"sizes": "x"}, "incomplete"),
        ({"left": None}, "not all|incomplete"),
    ],
)
def test_trees_that_are_none_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Ensemble.from_json({**STUMP, **change}, 2)
    with pytest.raises(ModelError, match="incomplete"):
        Ensemble.from_json({}, 2)


def test_margins_are_those_of_lightgbm() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    from codemlm.train.boost import from_lightgbm, rounded

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 6)).astype(np.float32)
    rows[:, 1] = rng.integers(0, 3, 3000)
    wrong = (rows[:, 0] > 0.3) ^ (rows[:, 1] == 1)
    rows[rng.random(3000) < 0.2, 2] = np.nan
    rows[:, 3] = np.where(wrong, np.nan, rows[:, 3])
    parameters = {"objective": "binary", "num_leaves": 9, "verbose": -1, "seed": 0}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, wrong), 20)
    rows[::7, 4] = np.nan  # missing where training had none
    expected = booster.predict(rows, raw_score=True)
    trees = from_lightgbm(booster.dump_model())
    np.testing.assert_allclose(trees.margins(rows), expected, rtol=0, atol=1e-12)
    short = Ensemble.from_json(json.loads(json.dumps(rounded(trees).as_json())), 6)
    np.testing.assert_allclose(short.margins(rows), expected, rtol=0, atol=1e-4)


def test_splits_by_category_are_refused() -> None:
    pytest.importorskip("lightgbm")
    from codemlm.train.boost import from_lightgbm

    leaf = {"leaf_value": 1.0}
    root = {"split_feature": 0, "threshold": "1||2", "decision_type": "==",
            "missing_type": "None", "default_left": True, "left_child": leaf,
            "right_child": leaf}  # fmt: skip
    dump = {"feature_names": ["a"], "tree_info": [{"tree_structure": root}]}
    with pytest.raises((ModelError, ValueError)):
        from_lightgbm(dump)


@pytest.mark.parametrize("leaves", [3, 8, 9, 16, 33, 64, 65])
def test_trees_taken_together_are_trees_one_by_one(leaves: int) -> None:
    rng = np.random.default_rng(leaves)
    parts = [random_tree(rng, int(rng.integers(0, leaves)), 4) for _ in range(30)]
    parts.append(random_tree(rng, leaves - 1, 4))
    trees = [Ensemble.from_json(part, 4).trees[0] for part in parts]
    rows = rng.normal(size=(3000, 4)).astype(np.float32)
    for column in range(4):  # right at the thresholds, too
        near = [t for tree in trees for t in tree.thresholds[tree.features == column]]
        rows[:500, column] = rng.choice(near, 500) if near else 0.0
    rows[rng.random(rows.shape) < 0.1] = np.nan
    expected = np.zeros(len(rows))
    for tree in trees:
        tree.add_to(expected, rows.T, np.isnan(rows.T))
    assert (Ensemble(tuple(trees), 4).margins(rows) == expected).all()
