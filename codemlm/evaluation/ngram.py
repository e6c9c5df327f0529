"""The baseline: an n-gram model over leaves, in both directions, with a cache of the file.

Source: interpolated Witten-Bell smoothing (Chen & Goodman, "An empirical study of smoothing
techniques", 1998, eq. 17); the file's own n-grams nested over the corpus's, as in Hellendoorn &
Devanbu, "Are deep neural networks the best choice for modeling source code?" (FSE 2017).
Differs in that a file's counts leave out the place that is being judged, and that both directions
are averaged.

The tokens of the model are leaves, and runs of punctuation and layout, so that four of them reach
about as far as six or seven leaves. Strings are one word, and comments are left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codemlm.errors import CorpusError
from codemlm.evaluation.injected import read_rows, repositories
from codemlm.syntax import ParsedFile, parse
from codemlm.types import Role
from codemlm.units import units_of

ORDER = 4
_EDGE, _STRING = "\x00", '""'
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A file as words.

    Attributes:
        keys: uint64 (N,) hashes of the words, with ``ORDER - 1`` edge words at both ends.
        leaves: int64 (N,) leaf behind each word, -1 for runs and edges.
    """

    keys: np.ndarray
    leaves: np.ndarray


def word_key(text: str) -> int:
    """Hash of a word: 64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Words:
    """Hashes of words, remembered by text."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def key(self, text: str) -> int:
        """Hash of a word."""
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = word_key(text)
        return found

    def sequence(self, parsed: ParsedFile) -> Sequenced:
        """A file as words."""
        units = units_of(parsed)
        edge = [self.key(_EDGE)] * (ORDER - 1)
        keys, leaves = list(edge), [-1] * (ORDER - 1)
        for number, role, leaf in zip(
            units.unit_text, units.unit_role, units.unit_leaf, strict=True
        ):
            if role == Role.COMMENT:
                continue
            text = units.texts[number]
            if role in (Role.STRING, Role.FSTRING):
                text = _STRING
            keys.append(self.key(" " + text if units.is_run[number] else text))
            leaves.append(leaf)
        return Sequenced(
            np.array(keys + edge, dtype=np.uint64),
            np.array(leaves + [-1] * len(edge), dtype=np.int64),
        )


def gram_keys(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Hashes of n-grams from the hashes of their words, one array a position: uint64."""
    key = np.full(np.shape(columns[0]), len(columns), dtype=np.uint64)
    for column in columns:
        key = (key ^ column) * _MULTIPLIER
        key ^= key >> np.uint64(29)
    return key


@dataclass(frozen=True, slots=True)
class Grams:
    """All n-grams of one length.

    Attributes:
        keys: uint64 (M,), sorted.
        counts: int32 (M,).
        after, before: int32 (M,) distinct words that follow and precede the n-gram.
    """

    keys: np.ndarray
    counts: np.ndarray
    after: np.ndarray
    before: np.ndarray

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of n-grams, and which of them are there at all (the rest have row 0)."""
        if not len(self.keys):
            return np.zeros(keys.shape, dtype=np.int64), np.zeros(keys.shape, dtype=bool)
        rows = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[rows] == keys
        return np.where(known, rows, 0), known


def count_grams(words: np.ndarray) -> list[Grams]:
    """Tables of the n-grams of a run of words, of lengths 1 to ``ORDER``."""
    tables: list[Grams] = []
    longer: tuple[np.ndarray, np.ndarray] | None = None
    for length in range(ORDER, 0, -1):
        count = max(0, len(words) - length + 1)
        columns = [words[i : i + count] for i in range(length)]
        every = gram_keys(columns)
        keys, first, counts = np.unique(every, return_index=True, return_counts=True)
        types = [np.zeros(len(keys), dtype=np.int32)] * 2
        if longer is not None:  # every part of a longer n-gram is in the table
            found = [np.searchsorted(keys, part) for part in longer]
            types = [np.bincount(rows, minlength=len(keys)).astype(np.int32) for rows in found]
        tables.append(Grams(keys, counts.astype(np.int32), *types))
        if length > 1:  # the n-grams inside each distinct one: all but its last, all but its first
            parts = [column[first] for column in columns]
            longer = gram_keys(parts[:-1]), gram_keys(parts[1:])
    return tables[::-1]


class NgramModel:
    """Log-probabilities of words given those before, or those after them.

    Args:
        tables: ``count_grams`` of the training text, lengths 1 to ``ORDER``.
    """

    def __init__(self, tables: list[Grams]) -> None:
        self.tables = tables
        self.total = int(tables[0].counts.sum())
        self.types = len(tables[0].keys) + 1

    def logp(
        self, file: FileGrams, places: np.ndarray, words: np.ndarray, *, left: bool
    ) -> np.ndarray:
        """Natural logs of P(word | context at a place).

        Args:
            file: the file, whose own n-grams count too, but for those with the place's own word.
            places: int64 (Q,), indices into ``file.sequenced.keys``.
            words: uint64 (Q,), the words to judge there.
            left: whether the context is what comes before; else what comes after.
        """
        keys = file.sequenced.keys
        unseen = self.types / (self.total + self.types)
        rows, known = self.tables[0].find(gram_keys([words]))
        p = np.where(known, self.tables[0].counts[rows], 0) / (self.total + self.types)
        p += unseen / self.types
        step = -1 if left else 1
        context = [keys[places + step * n] for n in range(1, ORDER)]

        def interpolate(p: np.ndarray, tables: list[Grams], length: int, own: bool) -> np.ndarray:
            near = context[: length - 1]
            gram = [*near[::-1], words] if left else [words, *near]
            rows, known = tables[length - 1].find(gram_keys(gram))
            count = np.where(known, tables[length - 1].counts[rows], 0)
            total, types = file.totals(tables, gram[:-1] if left else gram[1:], left)
            if own:  # leave out the place's own n-gram
                shown = keys[places]
                there = [*near[::-1], shown] if left else [shown, *near]
                rows, known = tables[length - 1].find(gram_keys(there))
                once = known & (tables[length - 1].counts[rows] == 1)
                count = count - (known & (words == shown))
                total, types = np.maximum(total - 1, 0), np.maximum(types - once, 0)
            mixed = (count + types * p) / np.maximum(total + types, 1)
            return np.where(total + types > 0, mixed, p)

        for length in range(2, ORDER + 1):
            p = interpolate(p, self.tables, length, own=False)
        for length in range(1, ORDER + 1):
            p = interpolate(p, file.tables, length, own=True)
        logp: np.ndarray = np.log(np.maximum(p, 1e-30))
        return logp

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """Writes the tables, with the facts that they were made from."""
        arrays = {"facts": np.array(json.dumps(facts))}
        for length, table in enumerate(self.tables, start=1):
            arrays |= {f"{name}{length}": getattr(table, name) for name in Grams.__slots__}
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # numpy types its other options
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, facts: dict[str, object]) -> NgramModel | None:
        """The tables, or None where they are missing, damaged or made from something else."""
        try:
            with np.load(path, allow_pickle=False) as data:
                if json.loads(str(data["facts"])) != facts:
                    return None
                return cls(
                    [
                        Grams(*(data[f"{name}{length}"] for name in Grams.__slots__))
                        for length in range(1, ORDER + 1)
                    ]
                )
        except (OSError, ValueError, KeyError):
            return None


@dataclass(slots=True)
class FileGrams:
    """A file as words, and the tables of its own n-grams."""

    sequenced: Sequenced
    tables: list[Grams]

    @classmethod
    def of(cls, parsed: ParsedFile, words: Words) -> FileGrams:
        """The n-grams of a file."""
        sequenced = words.sequence(parsed)
        return cls(sequenced, count_grams(sequenced.keys))

    @staticmethod
    def totals(
        tables: list[Grams], context: Sequence[np.ndarray], left: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """How often a context was seen in the tables, and with how many distinct words."""
        if not context:
            return np.array(int(tables[0].counts.sum())), np.array(len(tables[0].keys))
        table = tables[len(context) - 1]
        rows, known = table.find(gram_keys(context))
        types = table.after if left else table.before
        return np.where(known, table.counts[rows], 0), np.where(known, types[rows], 0)


def train_ngrams(corpus: Path, *, max_words: int, seed: int, cache: Path | None) -> NgramModel:
    """A model of a random sample of a corpus folder's files.

    Args:
        corpus: folder of ``.jsonl.gz`` files, one a repository.
        max_words: size of the sample.
        seed: of the sample.
        cache: folder that keeps the tables for the next time; None keeps nothing.

    Raises:
        CorpusError: if the corpus has no files.
    """
    paths = repositories(corpus)
    listing = [[path.name, path.stat().st_size] for path in paths]
    facts: dict[str, object] = {
        "format": _FORMAT,
        "order": ORDER,
        "words": max_words,
        "seed": seed,
        "corpus": hashlib.blake2b(json.dumps(listing).encode(), digest_size=8).hexdigest(),
    }
    kept = cache / f"ngrams-{facts['corpus']}-{max_words}-{seed}.npz" if cache is not None else None
    if kept is not None and (found := NgramModel.load(kept, facts)) is not None:
        return found
    words, count = Words(), 0
    parts: list[np.ndarray] = []
    share = max_words / len(paths)  # every repository the same share, as far as it goes
    for path in paths:
        rng, taken = np.random.default_rng([seed, len(parts)]), 0
        rows = list(read_rows(path))
        for index in rng.permutation(len(rows)):
            if taken >= share:
                break
            parts.append(words.sequence(parse(rows[index][1].encode())).keys)
            taken += len(parts[-1])
        count += taken
    if not count:
        raise CorpusError(f"{corpus}: its files are empty; build the corpus again")
    model = NgramModel(count_grams(np.concatenate(parts)))
    if kept is not None:
        with contextlib.suppress(OSError):  # a read-only folder costs time, no more
            model.save(kept, facts)
    return model
