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
