"""Boosted decision trees as arrays: margins for rows of features, in numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codemlm.errors import ModelError

_MOST_LEAVES = 64
"""Leaves of the trees of which ``_Masks`` can be made."""
_CHUNK_ROWS = 2048
_MOST_KNOWN = 1 << 15
"""Rows whose margins are remembered, twice over."""


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

    def explain(self, columns: np.ndarray, missing: np.ndarray, found: np.ndarray) -> None:
        """Adds what each feature contributes to the first row's margin to ``found``.

        Args:
            columns: features by column: (F, N); the first row is explained, the others are what it
                is compared with.
            missing: which of them are NaN: bool (F, N).
            found: float64 (F + 1,), changed in place; the last is what the others have on average.
        """
        weights = np.full(len(self.values), 1.0 / len(self.values))
        np.add.at(weights, self._leaves(columns[:, 1:], missing[:, 1:]), 1.0)
        totals, sums = self._averages(weights)
        node, value = 0, sums[0] / totals[0]
        found[-1] += value
        while node >= 0 and len(self.features):
            feature = self.features[node]
            goes_left = columns[feature, 0] <= self.thresholds[node]
            goes_left |= self.missing_left[node] & missing[feature, 0]
            node = int(self.left[node] if goes_left else self.right[node])
            following = self.values[-1 - node] if node < 0 else sums[node] / totals[node]
            found[feature] += following - value
            value = following

    def _leaves(self, columns: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """The leaf that each row falls into: int64 (N,)."""
        count = columns.shape[1]
        nodes = np.zeros(count, dtype=np.int64) if len(self.features) else np.full(count, -1)
        rows = np.flatnonzero(nodes >= 0)
        while len(rows):
            at = nodes[rows]
            feature = self.features[at]
            goes_left = columns[feature, rows] <= self.thresholds[at]
            goes_left |= self.missing_left[at] & missing[feature, rows]
            nodes[rows] = np.where(goes_left, self.left[at], self.right[at])
            rows = rows[nodes[rows] >= 0]
        return -1 - nodes

    def _averages(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight below each inner node, and its sum of weighted margins; of a lone leaf: its own.

        Args:
            weights: of the leaves.
        """
        size = max(1, len(self.features))
        totals, sums = np.zeros(size), np.zeros(size)
        if not len(self.features):
            return weights, weights * self.values
        for node in range(size - 1, -1, -1):  # children come after their parents
            for child in (int(self.left[node]), int(self.right[node])):
                below = child >= 0
                weight = totals[child] if below else weights[-1 - child]
                totals[node] += weight
                sums[node] += sums[child] if below else weight * self.values[-1 - child]
        return totals, sums


class _Masks:
    """All trees at once, by feature: for so many trees five times as fast as one after the other.

    A node that a row fails rules out the leaves on its left. So of each tree the exit leaf is the
    first, from the left, that no node rules out, in whatever order nodes are looked at: here those
    of one feature together, as one look-up by where the row's value stands among their thresholds.

    Source: QuickScorer (Lucchese et al., SIGIR 2015) - differs in that rows are looked at together.

    Args:
        trees: of at most ``_MOST_LEAVES`` leaves each.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        width = max(len(tree.values) for tree in trees)
        self._type = np.dtype(next(f"uint{b}" for b in (8, 16, 32, 64) if b >= width))
        self._full = np.array([(1 << len(tree.values)) - 1 for tree in trees], dtype=self._type)
        self._values = np.zeros((len(trees), width))
        nodes: dict[int, list[tuple[float, int, int, bool]]] = {}
        for number, tree in enumerate(trees):
            order, cleared = _in_order(tree)
            self._values[number, : len(order)] = tree.values[order]
            columns = (tree.features, tree.thresholds, tree.missing_left)
            rows = zip(*(column.tolist() for column in columns), cleared, strict=True)
            for feature, threshold, missing_left, clears in rows:
                nodes.setdefault(feature, []).append((threshold, number, clears, missing_left))
        self._features = [(f, *self._table(of_feature)) for f, of_feature in nodes.items()]
        most = max([len(thresholds) for _, thresholds, _, _ in self._features], default=0) + 1
        self._place_type = np.min_scalar_type(most)
        self._known: dict[bytes, float] = {}
        self._known_before: dict[bytes, float] = {}

    def _table(
        self, nodes: list[tuple[float, int, int, bool]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of one feature's nodes: thresholds, trees, and what is left of each tree's leaves.

        The last by tree and by how many thresholds are below a value; last of all stands NaN.
        """
        thresholds = np.unique([node[0] for node in nodes])
        trees = np.unique([node[1] for node in nodes])
        left = np.repeat(self._full[trees][:, None], len(thresholds) + 2, axis=1)
        places = np.searchsorted(thresholds, [node[0] for node in nodes]).tolist()
        rows = np.searchsorted(trees, [node[1] for node in nodes]).tolist()
        for place, row, (_, _, clears, missing_left) in zip(places, rows, nodes, strict=True):
            kept = self._type.type(int(self._full[trees[row]]) & ~clears)
            left[row, place + 1 : -1] &= kept
            if not missing_left:
                left[row, -1] &= kept
        return thresholds, trees, left

    def margins(self, rows: np.ndarray) -> np.ndarray:
        """Margins of rows of features: float64 (N,), to the last bit those of ``Tree.add_to``.

        A row that stands among the thresholds as an earlier one did has that one's margin: when a
        text is scanned again after an edit, nearly all rows do.
        """
        places = self._places(rows)
        data, width = places.T.tobytes(), places.itemsize * len(places)
        keys = [data[start : start + width] for start in range(0, len(data), width)]
        if len(self._known) > _MOST_KNOWN:
            self._known_before, self._known = self._known, {}
        now, before = self._known, self._known_before
        known = [now.get(key, before.get(key)) for key in keys]
        new = [row for row, margin in enumerate(known) if margin is None]
        found = np.array(known, dtype=np.float64)
        if new:
            found[new] = self._evaluate(places[:, new])
        now.update(zip(keys, found.tolist(), strict=True))
        return found

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Where values stand among the thresholds of each feature that is asked for: (G, N).

        Of trees that ask for none: zeros.
        """
        shape = (max(1, len(self._features)), len(rows))
        places = np.zeros(shape, dtype=self._place_type)
        for own, (feature, thresholds, _, _) in zip(places, self._features, strict=False):
            column = rows[:, feature]
            own[:] = np.searchsorted(thresholds, column)
            own[np.isnan(column)] = len(thresholds) + 1
        return places

    def _evaluate(self, places: np.ndarray) -> np.ndarray:
        """Margins of rows by ``_places``: float64 (N,)."""
        left = np.repeat(self._full[:, None], places.shape[1], axis=1)
        for place, (_, _, trees, table) in zip(places, self._features, strict=False):
            left[trees] &= table[:, place]
        first = left & (~left + self._type.type(1))  # the lowest bit that is set
        leaves = np.frexp(first.astype(np.float64))[1] - 1
        found = np.zeros(places.shape[1])
        for margins in np.take_along_axis(self._values, leaves, axis=1):
            found += margins
        return found


def _in_order(tree: Tree) -> tuple[list[int], list[int]]:
    """A tree's leaves from left to right; for each node a bit for each of those on its left."""
    left, right = tree.left.tolist(), tree.right.tolist()
    counts = [1] * max(1, len(left))
    for node in range(len(left) - 1, -1, -1):  # children come after their parents
        counts[node] = sum(counts[c] if c >= 0 else 1 for c in (left[node], right[node]))
    order, cleared, begins = [0] * len(tree.values), [0] * len(left), [0] * len(left)
    for node, first in enumerate(left):
        begin = begins[node]
        middle = begin + (counts[first] if first >= 0 else 1)
        cleared[node] = (1 << middle) - (1 << begin)
        for child, start in ((first, begin), (right[node], middle)):
            if child >= 0:
                begins[child] = start
            else:
                order[start] = -1 - child
    return order, cleared


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trees whose margins add up.

    Attributes:
        trees: the trees.
        num_features: columns of a row.
    """

    trees: tuple[Tree, ...]
    num_features: int
    _masks: list[_Masks] = field(default_factory=list, init=False, repr=False, compare=False)

    def margins(self, rows: np.ndarray) -> np.ndarray:
        """Margins of rows of features (N, F), in nats: float64 (N,).

        Raises:
            ValueError: if the rows have another number of columns.
        """
        columns = self._columns(rows)
        found = np.zeros(len(rows))
        if any(len(tree.values) > _MOST_LEAVES for tree in self.trees):
            missing = np.isnan(columns)
            for tree in self.trees:
                tree.add_to(found, columns, missing)
        elif self.trees:
            if not self._masks:
                self._masks.append(_Masks(self.trees))
            for start in range(0, len(rows), _CHUNK_ROWS):
                part = slice(start, start + _CHUNK_ROWS)
                found[part] = self._masks[0].margins(columns.T[part])
        return found

    def contributions(self, row: np.ndarray, others: np.ndarray) -> np.ndarray:
        """What each feature adds to a row's margin, and last what others have: float64 (F + 1,).

        They sum to the margin. Each step down a tree moves the margin to be expected, and is put
        down to the feature that the node asks for. What is to be expected below a node is the mean
        over ``others`` and one row more, which counts for all leaves alike.

        Source: path attribution (Saabas, "Interpreting random forests", 2014) - differs in that
        the means are over given rows, not over those of training.

        Args:
            row: features (F,).
            others: rows to compare with (N, F).

        Raises:
            ValueError: if the rows have another number of columns.
        """
        columns = self._columns(np.concatenate([row[None], others]))
        missing = np.isnan(columns)
        found = np.zeros(self.num_features + 1)
        for tree in self.trees:
            tree.explain(columns, missing, found)
        return found

    def _columns(self, rows: np.ndarray) -> np.ndarray:
        """Features by column: (F, N)."""
        if rows.ndim != 2 or rows.shape[1] != self.num_features:
            raise ValueError(f"rows of {self.num_features} features, not {rows.shape}")
        return np.ascontiguousarray(rows.T)

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
