"""Marked files: shards of files in which some leaves are known to be wrong, right, or worth a look.

Fine-tuning reads them beside the plain shards of pre-training. A *mark* is a row (unit, target,
state) of a file: what is meant at the unit (a text index, or ``TARGET_DELETE``,
``TARGET_NEGATE``, ``NO_TARGET``), and its state in a window (``WRONG``: what stands there is a real
mistake; ``KEPT``: it is what the fix left; ``PLAIN``: nothing is known, but windows are to be drawn
around it).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from codemlm.errors import CorpusError
from codemlm.masking import NO_TARGET, PLAIN, MaskPolicy, WindowUnits, corrupt
from codemlm.train.shards import Origin, Shard, ShardWriter, Size
from codemlm.units import EncodedFile

REACH = 640
"""Units on either side of its marks that a file is cut to: a window of 512 subtokens fits
anywhere around a mark."""


class MarkedWriter(ShardWriter):
    """A shard writer whose files have marks."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[np.ndarray] = []

    def add_marked(self, file: EncodedFile, marks: np.ndarray) -> None:
        """Adds a file; ``marks``: int (M, 3), at least one row."""
        self.add(file)
        self.marks.append(marks.astype(np.int32).reshape(-1, 3))

    def extra_arrays(self) -> dict[str, np.ndarray]:
        """The marks of all files, and where each file's begin."""
        counts = [len(marks) for marks in self.marks]
        return {
            "marks": np.concatenate(self.marks),
            "offsets_marks": np.cumsum([0, *counts], dtype=np.int64),
        }

    def save(self, path: Path, origin: Origin) -> Size:
        """As in `ShardWriter`."""
        return self.write(path, origin, self.extra_arrays())


class MarkedShard(Shard):
    """A packed shard with marks.

    Raises:
        CorpusError: the file is missing, damaged, or holds no marks.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if not {"marks", "offsets_marks"} <= self.arrays.keys():
            raise CorpusError(
                f"{path}: a shard without marks; 'python -m codemlm.train fixes' and 'propose' "
                "make such shards"
            )

    def marks(self, index: int) -> np.ndarray:
        """The marks of file ``index``: int32 (M, 3)."""
        start, stop = self.arrays["offsets_marks"][index : index + 2]
        found: np.ndarray = self.arrays["marks"][start:stop]
        return found


def cut(file: EncodedFile, marks: np.ndarray, reach: int = REACH) -> tuple[EncodedFile, np.ndarray]:
    """The units around the marks, with the whole file's text table; and the marks in them.

    Negations and swaps to inject are left out: they refer to units by number.
    """
    start = max(0, int(marks[:, 0].min()) - reach)
    stop = min(len(file), int(marks[:, 0].max()) + reach + 1)
    part = slice(start, stop)
    columns = {
        name: getattr(file, name)[part]
        for name in (
            "unit_text",
            "unit_role",
            "unit_parent",
            "unit_grandparent",
            "unit_leaf",
            "unit_line",
            "near",
            "far",
        )
    }
    nothing = {name: getattr(file, name)[:0] for name in ("swaps", "negate", "negated", "patches")}
    moved = marks.copy()
    moved[:, 0] -= start
    return dataclasses.replace(file, **columns, **nothing), moved


def window_with_marks(
    file: EncodedFile,
    marks: np.ndarray,
    bounds: tuple[int, int],
    policy: MaskPolicy,
    rng: np.random.Generator,
) -> WindowUnits:
    """Units ``[start, stop)`` corrupted by ``policy``, except that marked leaves are as marked.

    Only for files without structural sites (see ``cut``): units must keep their numbers.
    """
    start, stop = bounds
    window = corrupt(file, start, stop, policy, rng)
    for unit, target, state in marks.tolist():
        place = unit - start
        if state == PLAIN or not 0 <= place < len(window.text):
            continue
        window.text[place] = file.unit_text[unit]
        window.role[place] = file.unit_role[unit]
        window.state[place] = state
        window.target[place] = target
    return window


def mark(unit: int, state: int, target: int = NO_TARGET) -> tuple[int, int, int]:
    """One row of marks."""
    return unit, target, state
