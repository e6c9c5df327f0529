"""Scores of files with a mistake in them, at the price of the windows that see it.

A mistake changes what the model reads in two or three windows of its file. The rest of the file was
scored already, without the mistake, and those scores are taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codemlm.batches import Batch
from codemlm.injection import Sites
from codemlm.masking import is_scored
from codemlm.scoring import FileToScore, LeafScore, Scorer, fill_window
from codemlm.syntax import ParsedFile
from codemlm.tokenizer import LeafTokenizer
from codemlm.units import encode_with_texts
from codemlm.windows import ScanWindow, plan_windows, window_around

SPACING = 16
"""Subtokens a masked leaf where several are masked at once: a window of 256 has 16 masks, about as
many as in training (a leaf is masked there every 10 to 15 subtokens)."""

LeafScores = dict[int, LeafScore]
"""Scores by leaf."""


@dataclass(frozen=True, slots=True)
class Change:
    """Where two files differ, in units: ``[first, old_stop)`` became ``[first, new_stop)``."""

    first: int
    old_stop: int
    new_stop: int


def to_score(parsed: ParsedFile, tokenizer: LeafTokenizer) -> FileToScore:
    """A parsed file, encoded without injection sites."""
    return FileToScore(*encode_with_texts(parsed, tokenizer, Sites()))


def find_change(old: FileToScore, new: FileToScore) -> Change:
    """The units between the longest common beginning and end of two files."""

    def rows(file: FileToScore) -> list[tuple[object, ...]]:
        encoded = file.encoded
        texts = [file.texts[text] for text in encoded.unit_text]
        columns = (encoded.unit_role, encoded.unit_parent, encoded.unit_grandparent)
        return list(zip(texts, *(column.tolist() for column in columns), strict=True))

    before, after = rows(old), rows(new)
    shortest, first, end = min(len(before), len(after)), 0, 0
    while first < shortest and before[first] == after[first]:
        first += 1
    while end < shortest - first and before[-1 - end] == after[-1 - end]:
        end += 1
    return Change(first, len(before) - end, len(after) - end)


def windows_that_see(file: FileToScore, change: Change, scorer: Scorer) -> list[ScanWindow]:
    """The file's windows that hold a changed unit, or the place where one is missing."""
    windows = plan_windows(file.encoded, scorer.model.window, scorer.margin)
    return [w for w in windows if _is_seen(w.start, w.stop, change)]


def _is_seen(start: int, stop: int, change: Change) -> bool:
    """Whether units [start, stop) hold a changed one, or the place where one is missing."""
    return start < max(change.new_stop, change.first + 1) and stop > change.first - 1


class WindowScorer(Scorer):
    """Scores single windows of files, in batches across files."""

    def whole(self, file: FileToScore, *, masked: bool) -> LeafScores:
        """Every judged leaf of a file."""
        windows = plan_windows(file.encoded, self.model.window, self.margin)
        return self.of_windows(file, windows, masked=masked)

    def of_windows(
        self, file: FileToScore, windows: Sequence[ScanWindow], *, masked: bool
    ) -> LeafScores:
        """The judged leaves of some windows of a file."""
        found = self._by_file([(file, window) for window in windows], masked=masked)
        return found[0][1] if found else {}

    def changed(
        self, old: FileToScore, known: LeafScores, files: Sequence[FileToScore], *, masked: bool
    ) -> list[LeafScores]:
        """Every judged leaf of variants of a file.

        Args:
            old: the file.
            known: its scores.
            files: the variants.
            masked: whether each leaf is masked when it is judged.
        """
        changes = [find_change(old, file) for file in files]
        jobs = [
            (file, window)
            for file, change in zip(files, changes, strict=True)
            for window in windows_that_see(file, change, self)
        ]
        fresh = {id(file): scores for file, scores in self._by_file(jobs, masked=masked)}
        return [
            taken_over(old, known, file, change) | fresh.get(id(file), {})
            for file, change in zip(files, changes, strict=True)
        ]

    def verify(
        self, file: FileToScore, leaves: Sequence[int], known: LeafScores | None = None
    ) -> LeafScores:
        """Leaves of a file, each masked alone; those in ``known`` are not scored again."""
        found = {leaf: known[leaf] for leaf in leaves if leaf in known} if known else {}
        rest = [leaf for leaf in leaves if leaf not in found]
        return found | {score.leaf: score for score in self.score_masked(file, rest)}

    def unchanged(
        self, old: FileToScore, known: LeafScores, new: FileToScore, change: Change
    ) -> LeafScores:
        """The scores of leaves masked alone, in a changed file: those whose window is unchanged."""
        unit_of = {int(leaf): unit for unit, leaf in enumerate(new.encoded.unit_leaf) if leaf >= 0}
        kept: LeafScores = {}
        for leaf, score in taken_over(old, known, new, change).items():
            start, stop = window_around(new.encoded, unit_of[leaf], self.model.window)
            if not _is_seen(start, stop, change):
                kept[leaf] = score
        return kept

    def _by_file(
        self, jobs: Sequence[tuple[FileToScore, ScanWindow]], *, masked: bool
    ) -> list[tuple[FileToScore, LeafScores]]:
        found: dict[int, tuple[FileToScore, LeafScores]] = {id(f): (f, {}) for f, _ in jobs}
        rows = [
            (file, window, mask)
            for file, window in jobs
            for mask in self._masks(file, window, masked)
        ]
        size = self.batch_windows
        for begin in range(0, len(rows), size):
            chunk = rows[begin : begin + size]
            batch = Batch(len(chunk), self.shape, self.model.num_global)
            for index, (file, window, mask) in enumerate(chunk):
                fill_window(batch, index, file, window.start, window.stop, mask, masked=masked)
            for index, scores in self._run(batch, [file for file, _, _ in chunk], masked=masked):
                found[id(chunk[index][0])][1].update({score.leaf: score for score in scores})
        return list(found.values())

    def _masks(self, file: FileToScore, window: ScanWindow, masked: bool) -> Iterator[np.ndarray]:
        """Which units of a window are judged, for each pass over it: bool (n,)."""
        inside = np.arange(window.start, window.stop)
        judge = is_scored(file.encoded.unit_role[window.start : window.stop])
        judge &= (inside >= window.first) & (inside < window.last)
        if not masked:
            yield judge
            return
        widths = file.encoded.unit_lengths[window.first : window.last]
        judged = np.flatnonzero(judge)
        together = max(1, int(widths.sum()) // SPACING)
        passes = -(-len(judged) // together)
        for number in range(passes):
            mask = np.zeros(len(judge), dtype=bool)
            mask[judged[number::passes]] = True
            yield mask


def taken_over(old: FileToScore, known: LeafScores, new: FileToScore, change: Change) -> LeafScores:
    """Scores of a file's leaves that a change of it left as they were, by their new numbers."""
    scores: LeafScores = {}
    shift = change.new_stop - change.old_stop
    leaves = old.encoded.unit_leaf.tolist()
    for unit, leaf in enumerate(leaves):
        if leaf not in known or change.first <= unit < change.old_stop:
            continue
        moved = unit if unit < change.first else unit + shift
        number = int(new.encoded.unit_leaf[moved])
        score = known[leaf]
        scores[number] = score if number == leaf else _renumbered(score, number)
    return scores


def _renumbered(score: LeafScore, leaf: int) -> LeafScore:
    return LeafScore(
        leaf,
        score.keep_logit,
        score.likelihood,
        score.alternatives,
        score.logp_shown,
        score.logp_best,
    )
