"""A scorer that remembers what the model said of each window, by what the model read.

Since a window reads the same wherever it stands in its file (``scoring.fill_window``), scores of a
text that was edited cost the windows that hold the edit, and the few until the old ones fit again.
For a first look even those few can wait, and leaves of theirs keep what was said of them before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b

import numpy as np

from codemlm.batches import Batch
from codemlm.scoring import FileToScore, LeafScore, Row, Scorer, chunks

_READ = (
    "input_ids",
    "role_ids",
    "slot_ids",
    "parent_ids",
    "grandparent_ids",
    "leaf_positions",
    "candidate_ids",
    "candidate_slots",
    "candidate_global",
)
"""Arrays of a batch that decide what is said of a window."""

_GENERATIONS = 4
"""Windows that are remembered, by those of one scan: a bracket that is opened changes all windows
below, and closing it a few edits later brings the old ones back."""
_WORTH_WAITING = 3
"""Windows that have to be left for a first look to be worth it: a look has its own price."""


class SavingScorer(Scorer):
    """A scorer that spares the model windows that it has seen.

    Args:
        scorer: what it scores with.

    Attributes:
        passes: windows that went through the model so far.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(
            scorer.model,
            scorer.tokenizer,
            batch_windows=scorer.batch_windows,
            margin=scorer.margin,
        )
        self.common = scorer.common
        self.passes = 0


class RememberingScorer(SavingScorer):
    """A scorer of one text's versions, which scores a window once as long as it stays in use.

    Args:
        scorer: what it scores with; windows that it remembers are known from the start.

    Attributes:
        file: what it scored last.
        scores, masked: what it found there, by leaf.
        check: called before each forward pass; what it raises ends the scan.
        hurried: whether leaves may keep the scores of the last version, but for those that are
            judged together with the edit.
        put_off: windows of the last scan whose leaves did.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer)
        self.file: FileToScore | None = None
        self.scores: dict[int, LeafScore] = {}
        self.masked: dict[int, LeafScore] = {}
        self.check: Callable[[], None] = lambda: None
        self.hurried = False
        self.put_off = 0
        self._known: dict[bytes, list[LeafScore]] = {}
        if isinstance(scorer, RememberingScorer):
            self._known |= scorer._known
        self._filled_as: dict[bytes, bytes] = {}
        self._used: set[bytes] = set()
        self._version: _Version | None = None
        self._stand_in: _StandIn | None = None

    def start(self, *, hurried: bool = False) -> None:
        """Begins a scan."""
        self.hurried, self.put_off = hurried, 0
        self._used = set()
        self.file, self.scores, self.masked = None, {}, {}

    def forget(self) -> None:
        """Forgets windows that were not in use for long, once a scan is complete."""
        room = _GENERATIONS * len(self._used)
        for key in list(self._known)[: max(0, len(self._known) - room)]:
            del self._known[key]
        self._filled_as = {u: key for u, key in self._filled_as.items() if key in self._known}

    def score(self, files: Sequence[FileToScore]) -> list[list[LeafScore]]:
        """As the scorer's, of the one file that it is for."""
        (file,) = files
        former, self._version = self._version, _Version(file)
        self._stand_in = _StandIn(former, self._version) if self.hurried and former else None
        try:
            (found,) = super().score(files)
        except BaseException:
            self._version = former  # of this one nothing is known
            raise
        self._version.note_scores(found)
        self.file = file
        self.scores = {score.leaf: score for score in found}
        return [found]

    def score_masked(self, file: FileToScore, leaves: Sequence[int]) -> list[LeafScore]:
        """As the scorer's."""
        found = super().score_masked(file, leaves)
        self.masked |= {score.leaf: score for score in found}
        return found

    def score_shifted(self, places: Sequence[tuple[FileToScore, int]]) -> list[LeafScore]:
        """As the scorer's; a leaf that kept its score keeps its second one, too."""
        version, stand_in = self._version, self._stand_in
        known = [stand_in.vote(leaf) if stand_in else None for _, leaf in places]
        pairs = list(zip(places, known, strict=True))
        again = iter(super().score_shifted([place for place, vote in pairs if vote is None]))
        found = [next(again) if vote is None else vote for vote in known]
        if version is not None:
            version.note_votes(found)
        return found

    def _score_rows(self, rows: Sequence[Row]) -> Iterator[tuple[Row, list[LeafScore]]]:
        """As the scorer's; windows whose units are known are not even filled in."""
        assert self._version is not None
        new: list[tuple[Row, bytes]] = []
        for row in rows:
            key = self._version.key(row)
            known = self._recall(self._filled_as.get(key))
            if known is None:
                new.append((row, key))
            else:
                yield row, numbered(known, self._leaves(row))
        if self._stand_in is not None:
            waiting = [row for row, _ in new if self._stand_in.is_possible(row)]
            if len(waiting) >= _WORTH_WAITING:
                self.put_off = len(waiting)
                new = [pair for pair in new if pair[0] not in waiting]
                for row in waiting:
                    yield row, self._stand_in.scores(self._leaves(row).tolist())
        for chunk in chunks(new, self.batch_windows):
            batch, files = self._filled([row for row, _ in chunk]), [row.file for row, _ in chunk]
            for index, scores in self._run(batch, files):
                yield chunk[index][0], scores
            for index, (row, key) in enumerate(chunk):
                self._filled_as[key] = window_key(batch, index, row.file, masked=False)

    @staticmethod
    def _leaves(row: Row) -> np.ndarray:
        """Leaves that are judged in a window."""
        units = slice(row.window.start, row.window.stop)
        leaves: np.ndarray = row.file.encoded.unit_leaf[units][row.judged()]
        return leaves

    def _recall(self, key: bytes | None) -> list[LeafScore] | None:
        """What is known of a window, which is in use again."""
        found = None if key is None else self._known.pop(key, None)
        if key is not None and found is not None:
            self._known[key] = found  # put back: the dictionary stays in the order of use
            self._used.add(key)
        return found

    def _run(
        self, batch: Batch, files: Sequence[FileToScore], *, masked: bool = False
    ) -> Iterator[tuple[int, list[LeafScore]]]:
        self.check()
        keys = [window_key(batch, row, file, masked=masked) for row, file in enumerate(files)]
        missing = [keys.index(key) for key in dict.fromkeys(keys) if self._recall(key) is None]
        if missing:
            self.passes += len(missing)
            new: dict[bytes, list[LeafScore]] = {keys[row]: [] for row in missing}
            part = batch.take(missing)
            for place, scores in super()._run(part, [files[r] for r in missing], masked=masked):
                new[keys[missing[place]]] = scores
            self._known |= new
            self._used |= new.keys()
        for row, key in enumerate(keys):
            yield row, numbered(self._known[key], batch.leaf_index[row])


def numbered(scores: Sequence[LeafScore], leaves: np.ndarray) -> list[LeafScore]:
    """The scores of a window whose leaves have these numbers now."""
    return [score.at(leaf) for score, leaf in zip(scores, leaves.tolist(), strict=False)]


def window_key(batch: Batch, row: int, file: FileToScore, *, masked: bool) -> bytes:
    """A digest of all that decides what is said of a row, except its leaves' numbers."""
    digest = blake2b(b"masked" if masked else b"plain", digest_size=16)
    for name in _READ:
        digest.update(batch.arrays[name][row].tobytes())
    digest.update(batch.leaf_shown[row].tobytes())
    # Long names share their pieces, so the candidates' texts count too.
    numbers = batch.candidate_text[row]
    digest.update("\0".join([file.texts[n] for n in numbers.tolist() if n >= 0]).encode())
    return digest.digest()


class _Version:
    """One version of the text: its units as the model sees them, and what was said of them.

    Attributes:
        columns: what the model sees of each unit: int64 (U, 5).
        unit_of: number of the unit of each leaf.
        scores, votes: by unit: of the single pass, and of second windows.
    """

    def __init__(self, file: FileToScore) -> None:
        encoded = file.encoded
        # Hashes of 64 bits, which serve in this process only.
        hashes = np.fromiter(map(hash, file.texts), dtype=np.int64, count=len(file.texts))
        seen = (encoded.unit_role, encoded.unit_parent, encoded.unit_grandparent)
        names = encoded.text_is_name[encoded.unit_text]
        self.columns = np.column_stack([hashes[encoded.unit_text], names, *seen])
        self._outside = np.sort(hashes[file.outside]).tobytes()
        units = np.flatnonzero(encoded.unit_leaf >= 0)
        leaves = encoded.unit_leaf[units].tolist()
        self.unit_of = dict(zip(leaves, units.tolist(), strict=True))
        self.scores: dict[int, LeafScore] = {}
        self.votes: dict[int, LeafScore] = {}

    def key(self, row: Row) -> bytes:
        """A digest of all that decides what a window is filled with."""
        window = row.window
        digest = blake2b(self._outside, digest_size=16)
        digest.update(self.columns[window.start : window.stop].tobytes())
        digest.update(b"%d %d" % (window.first - window.start, window.last - window.start))
        return digest.digest()

    def note_scores(self, scores: Sequence[LeafScore]) -> None:
        """Keeps what the single pass says."""
        self.scores = {self.unit_of[score.leaf]: score for score in scores}

    def note_votes(self, scores: Sequence[LeafScore]) -> None:
        """Keeps what second windows say."""
        self.votes |= {self.unit_of[score.leaf]: score for score in scores}


class _StandIn:
    """What was said of the last version, for leaves of this one that are the same.

    Args:
        before: the last version.
        now: this one.
    """

    def __init__(self, before: _Version, now: _Version) -> None:
        self._before, self._now = before, now
        old, new = before.columns, now.columns
        size = min(len(old), len(new))
        differ = (old[:size] != new[:size]).any(axis=1)
        self._head = int(differ.argmax()) if differ.any() else size
        rest = size - self._head
        differ = (old[len(old) - rest :] != new[len(new) - rest :]).any(axis=1)[::-1]
        tail = int(differ.argmax()) if differ.any() else rest
        self._tail = len(new) - tail
        self._moved = len(old) - len(new)
        self._kept: set[int] = set()

    def is_possible(self, row: Row) -> bool:
        """Whether the leaves that are judged in a window may wait: none of them was edited.

        The edit may stand around them.
        """
        return row.window.last <= self._head or row.window.first >= self._tail

    def scores(self, leaves: Sequence[int]) -> list[LeafScore]:
        """What was said of leaves of a window that may wait."""
        found = [self._former(self._before.scores, leaf) for leaf in leaves]
        self._kept.update(score.leaf for score in found if score is not None)
        return [score for score in found if score is not None]

    def vote(self, leaf: int) -> LeafScore | None:
        """What a second window said of a leaf that has kept its score."""
        return self._former(self._before.votes, leaf) if leaf in self._kept else None

    def _former(self, known: Mapping[int, LeafScore], leaf: int) -> LeafScore | None:
        unit = self._now.unit_of[leaf]
        score = known.get(unit if unit < self._head else unit + self._moved)
        return None if score is None else score.at(leaf)
