"""Scores of windows on disk: of a file that was changed, only what sees the change is scored again.

The store keeps what ``remembering`` keeps within a process, by the same keys.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Protocol

from codemlm.batches import Batch
from codemlm.remembering import SavingScorer, numbered, window_key
from codemlm.scoring import Alternative, FileToScore, LeafScore, Scorer


class WindowStore(Protocol):
    """What keeps windows from one run to the next."""

    def get_window(self, key: bytes) -> bytes | None:
        """What is kept under a key."""
        ...

    def put_window(self, key: bytes, data: bytes) -> None:
        """Keeps something, if there is room."""
        ...


class StoringScorer(SavingScorer):
    """A scorer that asks the model only of windows that its store does not know.

    Args:
        scorer: what it scores with.
        store: its memory, of one model and one version of this code.
    """

    def __init__(self, scorer: Scorer, store: WindowStore) -> None:
        super().__init__(scorer)
        self._store = store

    def _run(
        self, batch: Batch, files: Sequence[FileToScore], *, masked: bool = False
    ) -> Iterator[tuple[int, list[LeafScore]]]:
        keys = [window_key(batch, row, file, masked=masked) for row, file in enumerate(files)]
        known = {key: self._recalled(key) for key in dict.fromkeys(keys)}
        missing = [keys.index(key) for key, scores in known.items() if scores is None]
        if missing:
            self.passes += len(missing)
            new: dict[bytes, list[LeafScore]] = {keys[row]: [] for row in missing}
            part = batch.take(missing)
            for place, scores in super()._run(part, [files[r] for r in missing], masked=masked):
                new[keys[missing[place]]] = scores
            for key, scores in new.items():
                self._store.put_window(key, pack_scores(scores))
            known |= new
        for row, key in enumerate(keys):
            yield row, numbered(known[key] or [], batch.leaf_index[row])

    def _recalled(self, key: bytes) -> list[LeafScore] | None:
        data = self._store.get_window(key)
        return None if data is None else unpack_scores(data)


def pack_scores(scores: Sequence[LeafScore]) -> bytes:
    """Scores as bytes, without the numbers of their leaves: these are others in another text."""
    numbers = array("d")
    texts = []
    for score in scores:
        numbers.extend((score.keep_logit, score.likelihood, score.logp_shown, score.logp_best))
        numbers.extend(one.likelihood for one in score.alternatives)
        texts.append([one.text for one in score.alternatives])
    listed = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    return zlib.compress(len(listed).to_bytes(4, "big") + listed + numbers.tobytes(), 1)


def unpack_scores(data: bytes) -> list[LeafScore] | None:
    """The scores again, with leaves to be numbered; None if these are none."""
    try:
        plain = zlib.decompress(data)
        end = 4 + int.from_bytes(plain[:4], "big")
        numbers, found, at = array("d", plain[end:]), [], 0
        for texts in json.loads(plain[4:end]):
            keep_logit, likelihood, logp_shown, logp_best = numbers[at : at + 4]
            shares = numbers[at + 4 : at + 4 + len(texts)]
            at += 4 + len(texts)
            alternatives = tuple(map(Alternative, texts, shares))
            found.append(LeafScore(-1, keep_logit, likelihood, alternatives, logp_shown, logp_best))
    except (ValueError, TypeError, zlib.error):
        return None
    return found if at == len(numbers) else None
