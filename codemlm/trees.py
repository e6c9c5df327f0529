"""Boosted decision trees as arrays: margins for rows of features, in numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codemlm.errors import ModelError


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree. Children are inner nodes if 0 or more, else leaves: child ``-1 - i`` is leaf i.

    Attributes:
        features: column that each inner node asks for, int64 (M,).
        thresholds: float64 (M,); what is at most as much goes left.
        missing_left: whether NaN goes left: bool (M,).
        left, right: children, int64 (M,).
        values: margins of the leaves, float64 (M + 1,).
    """

    features: np.ndarray
    thresholds: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray

    def add_to(self, margins: np.ndarray, columns: np.ndarray, missing: np.ndarray) -> None:
        """Adds the tree's margins to ``margins``: float64 (N,).

        Args:
            margins: changed in place.
            columns: features by column: (F, N).
            missing: which of them are NaN: bool (F, N).
        """
        if not len(self.features):
            margins += self.values[0]
            return
        waiting = [(0, np.arange(len(margins)))]
        while waiting:
            node, rows = waiting.pop()
            if node < 0:
                margins[rows] += self.values[-1 - node]
                continue
            feature = self.features[node]
            goes_left = columns[feature, rows] <= self.thresholds[node]
            if self.missing_left[node]:  # NaN compares as false
                goes_left |= missing[feature, rows]
            for child, some in ((self.left, rows[goes_left]), (self.right, rows[~goes_left])):
                if len(some):
                    waiting.append((int(child[node]), some))


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trees whose margins add up.

    Attributes:
        trees: the trees.
        num_features: columns of a row.
    """

    trees: tuple[Tree, ...]
    num_features: int

    def margins(self, rows: np.ndarray) -> np.ndarray:
        """Margins of rows of features (N, F), in nats: float64 (N,).

        Raises:
            ValueError: if the rows have another number of columns.
        """
        if rows.ndim != 2 or rows.shape[1] != self.num_features:
            raise ValueError(f"rows of {self.num_features} features, not {rows.shape}")
        columns = np.ascontiguousarray(rows.T)
        missing = np.isnan(columns)
        found = np.zeros(len(rows))
        for tree in self.trees:
            tree.add_to(found, columns, missing)
        return found

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` reads: the nodes of all trees, one tree after the other."""
        trees = self.trees
        return {
            "sizes": [len(tree.features) for tree in trees],
            "features": [int(v) for tree in trees for v in tree.features],
            "thresholds": [float(v) for tree in trees for v in tree.thresholds],
            "missing_left": "".join("01"[int(v)] for tree in trees for v in tree.missing_left),
            "left": [int(v) for tree in trees for v in tree.left],
            "right": [int(v) for tree in trees for v in tree.right],
            "values": [float(v) for tree in trees for v in tree.values],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], num_features: int) -> Ensemble:
        """An ensemble from parsed JSON.

        Raises:
            ModelError: if a column is missing, of the wrong kind or length, or a tree asks for a
                feature or node that there is not.
        """
        try:
            sizes = [int(size) for size in data["sizes"]]
            columns = {
                "features": np.array(data["features"], dtype=np.int64),
                "thresholds": np.array(data["thresholds"], dtype=np.float64),
                "missing_left": np.array([c == "1" for c in data["missing_left"]], dtype=bool),
                "left": np.array(data["left"], dtype=np.int64),
                "right": np.array(data["right"], dtype=np.int64),
            }
            values = np.array(data["values"], dtype=np.float64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"the trees are incomplete ({error!r}); calibrate again") from error
        total = sum(sizes)
        if min(sizes, default=0) < 0 or any(c.shape != (total,) for c in columns.values()):
            raise ModelError(f"the trees' columns are not all of {total} nodes; calibrate again")
        if values.shape != (total + len(sizes),) or not np.isfinite(values).all():
            raise ModelError("the trees' values do not fit their nodes; calibrate again")
        trees: list[Tree] = []
        start = 0
        for number, size in enumerate(sizes):
            part = {name: column[start : start + size] for name, column in columns.items()}
            own = values[start + number : start + number + size + 1]
            _check(part, size, num_features)
            trees.append(Tree(**part, values=own))
            start += size
        return cls(tuple(trees), num_features)


def _check(part: Mapping[str, np.ndarray], size: int, num_features: int) -> None:
    """Whether a tree's nodes are a tree: each child has one parent, and comes after it."""
    features = part["features"]
    if size and not (features.min() >= 0 and features.max() < num_features):
        raise ModelError(f"a tree asks for a feature beyond {num_features}; calibrate again")
    children = np.concatenate([part["left"], part["right"]])
    wanted = [*range(1, size), *range(-size - 1, 0)] if size else []
    parents = np.tile(np.arange(size), 2)
    if (
        sorted(children.tolist()) != sorted(wanted)
        or ((children >= 0) & (children <= parents)).any()
    ):
        raise ModelError("a tree's nodes do not make a tree; calibrate again")
