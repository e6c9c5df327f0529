"""A text that is scanned again after each edit, at the price of the windows that see it.

A session remembers what the model said of each window, by what the model read. Since a window reads
the same wherever it stands in its file (``scoring.fill_window``), an edit costs the windows that
hold it and the few until the old ones fit again, and the result is that of a fresh scan: there is
nothing to go stale.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from codemlm.batches import Batch
from codemlm.confidence import Recollection
from codemlm.errors import CodemlmError
from codemlm.languages import PYTHON, language_for_path
from codemlm.scanner import FileResult, Scanner
from codemlm.scoring import FileToScore, LeafScore, Row, Scorer, chunks
from codemlm.source import Failure, Reason, SourceFile
from codemlm.syntax import ParsedFile, parse

_READ = (
    "input_ids",
    "role_ids",
    "slot_ids",
    "parent_ids",
    "grandparent_ids",
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


class SupersededError(CodemlmError):
    """A scan was given up, because its text is no longer the current one."""


@dataclass(frozen=True, slots=True)
class View:
    """What is known of one version of a text.

    Attributes:
        parsed: the text's leaves.
        result: its findings.
        scores: of the single pass, by leaf.
        masked: of the leaves that were verified by masking, by leaf.
    """

    parsed: ParsedFile
    result: FileResult
    scores: dict[int, LeafScore]
    masked: dict[int, LeafScore]


class RememberingScorer(Scorer):
    """A scorer that scores a window once as long as it stays in use.

    Args:
        scorer: what it scores with.

    Attributes:
        scores, masked: what it found last, by leaf.
        check: called before each forward pass; what it raises ends the scan.
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
        self.scores: dict[int, LeafScore] = {}
        self.masked: dict[int, LeafScore] = {}
        self.check: Callable[[], None] = lambda: None
        self.passes = 0
        self._known: dict[bytes, list[LeafScore]] = {}
        self._filled_as: dict[bytes, bytes] = {}
        self._used: set[bytes] = set()

    def start(self) -> None:
        """Begins a scan."""
        self._used = set()
        self.scores, self.masked = {}, {}

    def forget(self) -> None:
        """Forgets windows that were not in use for long, once a scan is complete."""
        room = _GENERATIONS * len(self._used)
        for key in list(self._known)[: max(0, len(self._known) - room)]:
            del self._known[key]
        self._filled_as = {u: key for u, key in self._filled_as.items() if key in self._known}

    def score(self, files: Sequence[FileToScore]) -> list[list[LeafScore]]:
        """As the scorer's."""
        found = super().score(files)
        self.scores = {score.leaf: score for of_file in found for score in of_file}
        return found

    def score_masked(self, file: FileToScore, leaves: Sequence[int]) -> list[LeafScore]:
        """As the scorer's."""
        found = super().score_masked(file, leaves)
        self.masked |= {score.leaf: score for score in found}
        return found

    def _score_rows(self, rows: Sequence[Row]) -> Iterator[tuple[Row, list[LeafScore]]]:
        """As the scorer's; windows whose units are known are not even filled in."""
        new: list[tuple[Row, bytes]] = []
        units = {id(file): _Units(file) for file in {id(row.file): row.file for row in rows}.values()}
        for row in rows:
            key = units[id(row.file)].key(row)
            known = self._recall(self._filled_as.get(key))
            if known is None:
                new.append((row, key))
                continue
            leaves = row.file.encoded.unit_leaf[row.window.start : row.window.stop][row.judged()]
            yield row, _at(known, leaves)
        for chunk in chunks(new, self.batch_windows):
            batch, files = self._filled([row for row, _ in chunk]), [row.file for row, _ in chunk]
            for index, scores in self._run(batch, files):
                yield chunk[index][0], scores
            for index, (row, key) in enumerate(chunk):
                self._filled_as[key] = _key(batch, index, row.file, masked=False)

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
        keys = [_key(batch, row, file, masked=masked) for row, file in enumerate(files)]
        missing = [keys.index(key) for key in dict.fromkeys(keys) if self._recall(key) is None]
        if missing:
            self.passes += len(missing)
            self._known |= {keys[row]: [] for row in missing}
            part = batch.take(missing)
            for place, scores in super()._run(part, [files[r] for r in missing], masked=masked):
                self._known[keys[missing[place]]] = scores
            self._used.update(keys[row] for row in missing)
        for row, key in enumerate(keys):
            yield row, _at(self._known[key], batch.leaf_index[row])


def _at(scores: Sequence[LeafScore], leaves: np.ndarray) -> list[LeafScore]:
    """The scores of a window whose leaves have these numbers now."""
    return [score.at(leaf) for score, leaf in zip(scores, leaves.tolist(), strict=False)]


class _Units:
    """The units of a file by what the model can see of them: windows with equal keys read alike."""

    def __init__(self, file: FileToScore) -> None:
        encoded = file.encoded
        # Hashes of 64 bits; those of a process serve only there.
        hashes = np.fromiter(map(hash, file.texts), dtype=np.int64, count=len(file.texts))
        self._columns = np.column_stack(
            [
                hashes[encoded.unit_text],
                encoded.text_is_name[encoded.unit_text],
                *(encoded.unit_role, encoded.unit_parent, encoded.unit_grandparent),
            ]
        )
        self._outside = np.sort(hashes[file.outside]).tobytes()

    def key(self, row: Row) -> bytes:
        """A digest of all that decides what a window is filled with."""
        window = row.window
        digest = blake2b(self._outside, digest_size=16)
        digest.update(self._columns[window.start : window.stop].tobytes())
        digest.update(bytes(f"{window.first - window.start} {window.last - window.start}", "ascii"))
        return digest.digest()


def _key(batch: Batch, row: int, file: FileToScore, *, masked: bool) -> bytes:
    """A digest of all that decides what is said of a row, except its leaves' numbers."""
    digest = blake2b(b"masked" if masked else b"plain", digest_size=16)
    for name in _READ:
        digest.update(batch.arrays[name][row].tobytes())
    digest.update(batch.leaf_shown[row].tobytes())
    # Long names share their pieces, so the candidates' texts count too.
    numbers = batch.candidate_text[row]
    digest.update("\0".join([file.texts[n] for n in numbers.tolist() if n >= 0]).encode())
    return digest.digest()


class Session:
    """One text and its scans.

    Args:
        scanner: what it is scanned with.

    Attributes:
        scanner: the session's own; its options may be replaced between scans.
        scorer: the scanner's.
    """

    def __init__(self, scanner: Scanner) -> None:
        self.scorer = RememberingScorer(scanner.scorer)
        self.scanner = copy.copy(scanner)
        self.scanner.scorer = self.scorer
        self.scanner.cache = None  # the session remembers more
        self.scanner.recollection = self._recollection = Recollection()

    def scan(self, source: SourceFile, check: Callable[[], None] = lambda: None) -> View | Failure:
        """What a scan of the text finds.

        Args:
            source: the text as it is now.
            check: called before each forward pass.

        Raises:
            SupersededError: if ``check`` raised it; what was scored until then is remembered.
            SourceError: if the text is not UTF-8.
        """
        self.scorer.check = check
        self.scorer.start()
        self._recollection.turn()
        try:
            parsed = parse(source.source, language_for_path(source.path) or PYTHON)
            check()
            result = self.scanner.scan_parsed(source.path, parsed)
        except RecursionError as error:  # nested deeper than the walk can follow
            return Failure(source.path, Reason.INTERNAL, str(error))
        if isinstance(result, Failure):
            return result
        self.scorer.forget()
        return View(parsed, result, self.scorer.scores, self.scorer.masked)
