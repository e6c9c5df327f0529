"""Stand-ins shared by the tests: a tiny tokenizer, and a model that is a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from codemlm import findings
from codemlm.alternatives import Context
from codemlm.calibration import Calibration
from codemlm.confidence import Doubts
from codemlm.exact import Exact
from codemlm.filters import FILTERS, Filter
from codemlm.findings import Finding
from codemlm.injection import Sites
from codemlm.languages import PYTHON
from codemlm.rules import UNDEFINED_NAME
from codemlm.scoring import FileToScore, LeafScore
from codemlm.syntax import ParsedFile, parse
from codemlm.tokenizer import LeafTokenizer, train_tokenizer
from codemlm.units import encode_with_texts

SAMPLE = '''\
import os
from math import sqrt as root


class Grid:
    """A grid of cells."""

    def __init__(self, rows, cols, fill=None):
        self.rows = rows
        self.cols = cols
        self.cells = [[fill] * cols for _ in range(rows)]

    def area(self):
        return self.rows * self.cols

    def get(self, row, col, default=0):
        if row < 0 or row >= self.rows:
            return default
        if not self.cells or col is None:
            return default
        return self.cells[row][col]

    def diagonal(self, limit=10):
        total = 0
        for i in range(min(self.rows, self.cols)):
            value = self.get(i, i, default=1)
            if value is not None and value != 0:
                total += value
            elif value in (1, 2):
                total -= limit
        return root(total), os.path.join("a", "b")


def resize(grid, width, height):
    made = Grid(height, width, fill=True)
    if made.area() == width * height:
        made.get(width, height, default=False)
    return made
'''


@lru_cache(maxsize=1)
def tiny_tokenizer() -> LeafTokenizer:
    """A tokenizer trained on the sample alone."""
    parsed = parse(SAMPLE.encode())
    leaves = Counter(parsed.texts[i] for i in parsed.text_ids)
    frequent = [op for ops in PYTHON.operator_classes.values() for op in ops]
    frequent += ["not", *PYTHON.constants, "0", "1", "2", "self", "len", "range", "if", "return"]
    runs = Counter({"):\n\u21e5": 9, "()": 5, ")\n": 5, "().": 1})
    return train_tokenizer(leaves, runs, frequent, vocab_size=700, num_runs=64)


def to_score(source: str) -> tuple[ParsedFile, FileToScore]:
    """A file parsed and encoded as a scan does it."""
    parsed = parse(source.encode())
    return parsed, FileToScore(*encode_with_texts(parsed, tiny_tokenizer(), Sites()))


class TableModel:
    """A model whose answers a function gives: (arrays, number of candidates) -> (keep, logits)."""

    def __init__(
        self,
        answer: Callable[[Mapping[str, np.ndarray], int], tuple[np.ndarray, np.ndarray]]
        | None = None,
        window: int = 64,
    ) -> None:
        self.num_global = len(tiny_tokenizer().frequent)
        self.window = window
        self.answer = answer
        self.calls: list[tuple[int, ...]] = []

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        count = self.num_global + arrays["candidate_ids"].shape[1]
        self.calls.append(arrays["input_ids"].shape)
        if self.answer is not None:
            return self.answer(arrays, count)
        shape = arrays["leaf_positions"].shape
        return np.full(shape, 3.0, np.float32), np.zeros((*shape, count), np.float32)


def judge(
    parsed: ParsedFile,
    scores: Sequence[LeafScore],
    masked: Mapping[int, LeafScore],
    undefined: Mapping[int, Sequence[str]],
    calibration: Calibration,
    filters: Sequence[Filter] = FILTERS,
) -> list[Finding]:
    """Findings of a file by its scores and its undefined names, without evidence."""
    exact = {
        leaf: Exact(UNDEFINED_NAME, f"`{parsed.text(leaf)}` is undefined", tuple(names))
        for leaf, names in undefined.items()
    }
    doubts = Doubts(Context(parsed), scores, exact=exact, with_evidence=False)
    return findings.judge(doubts, masked, exact, calibration, filters)
