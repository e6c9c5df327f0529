"""Evidence lines: which lines of the context move the score of a leaf when they are masked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codemlm.batches import Batch
from codemlm.masking import is_maskable
from codemlm.positions import LineIndex
from codemlm.scoring import FileToScore, Scorer, fill_window, trim
from codemlm.syntax import ParsedFile
from codemlm.types import Role
from codemlm.windows import window_around

_OTHER_SLOTS = 1


@dataclass(frozen=True, slots=True)
class ContextLine:
    """A line, and what it says of a leaf.

    Attributes:
        line: 1-based.
        change: log odds of the shown leaf against another text, as they are, less those with the
            line masked, in nats: above 0, the line speaks for what is shown.
    """

    line: int
    change: float


@dataclass(frozen=True, slots=True)
class ContextLines:
    """What the lines around a leaf say of it.

    Attributes:
        log_odds: of the shown leaf against the other text, with the leaf alone masked, in nats; NaN
            where one of the two is no candidate.
        noise: how much the log odds change by themselves when the window's names get other slots.
        lines: those that change them by more, the strongest first.
    """

    log_odds: float
    noise: float
    lines: tuple[ContextLine, ...] = ()


def context_lines(
    scorer: Scorer,
    parsed: ParsedFile,
    file: FileToScore,
    leaf: int,
    other: str,
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> ContextLines:
    """Masks one line of the leaf's window after the other.

    The leaf itself is masked throughout, so that the score is what its context says. Of a line all
    leaves are masked that training ever masks; names that only it shows stay candidates.

    Args:
        scorer: the model's scorer.
        parsed: the file.
        file: the same, encoded.
        leaf: the leaf, of a role that can be masked.
        other: the candidate that it is compared with.
        advance: called with how many windows are scored so far, and of how many.
    """
    encoded = file.encoded
    unit = int(np.flatnonzero(encoded.unit_leaf == leaf)[0])
    start, stop = window_around(encoded, unit, scorer.model.window)
    leaves = encoded.unit_leaf[start:stop]
    index = LineIndex(parsed.source)
    lines = np.zeros(stop - start, dtype=np.int64)
    for at, number in enumerate(leaves.tolist()):
        if number >= 0 and number != leaf and is_maskable(Role(int(parsed.roles[number]))):
            lines[at] = index.line_of(int(parsed.starts[number]))
    numbers = np.unique(lines[lines > 0])
    nothing = np.zeros(stop - start, dtype=bool)
    variants = [(nothing, 0), (nothing, _OTHER_SLOTS), *((lines == n, 0) for n in numbers)]
    judge = np.arange(start, stop) == unit
    odds: list[float] = []
    for first in range(0, len(variants), scorer.batch_windows):
        part = variants[first : first + scorer.batch_windows]
        batch = Batch(len(part), scorer.shape, scorer.model.num_global)
        for row, (hidden, salt) in enumerate(part):
            fill_window(batch, row, file, start, stop, judge, masked=True, salt=salt, hidden=hidden)
        odds += _log_odds(scorer, batch, file, other)
        advance(len(odds), len(variants))
    base, noise = odds[0], abs(odds[1] - odds[0])
    changes = [ContextLine(n, base - o) for n, o in zip(numbers.tolist(), odds[2:], strict=True)]
    found = [one for one in changes if abs(one.change) > noise]
    return ContextLines(base, noise, tuple(sorted(found, key=lambda c: (-abs(c.change), c.line))))


def _log_odds(scorer: Scorer, batch: Batch, file: FileToScore, other: str) -> list[float]:
    """Log odds of the shown text against another in each row, of which each judges one leaf."""
    _, logits = scorer.model.run(trim(batch.arrays))
    number = file.texts.index(other) if other in file.texts else -2  # -1 pads the candidates
    found = []
    for row in range(len(logits)):
        shown = int(batch.leaf_shown[row, 0])
        local = np.flatnonzero(batch.candidate_text[row] == number)
        here = scorer.model.num_global + int(local[0]) if len(local) else -1
        best = here if here >= 0 else scorer.tokenizer.frequent_id(other)
        known = shown >= 0 and best >= 0
        found.append(float(logits[row, 0, shown] - logits[row, 0, best]) if known else math.nan)
    return found
