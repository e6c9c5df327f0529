"""Subtokens: a BPE over leaves, runs of punctuation and layout, and the table of frequent leaves.

Three tables share one id space ``[0, vocab_size)``: special subtokens, BPE pieces (byte-level,
never across a leaf), and runs. The *frequent* table is the model's list of global candidates:
leaves that may be meant anywhere (operators, literals, keywords, common names), each spelt in
subtokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from codemlm.bpe import SPLIT, Bpe
from codemlm.errors import ModelError
from codemlm.types import DELETE_TEXT, NEGATE_TEXT

PAD, MASK, UNKNOWN, CUT, DELETE, INSERT_NEGATION = range(6)
SPECIALS = ("[PAD]", "[MASK]", "[UNK]", "[CUT]", DELETE_TEXT, NEGATE_TEXT, "[FREE6]", "[FREE7]")
"""[CUT] ends a truncated leaf. [DELETE] and [NEGATE] are candidates that are no leaves: "nothing
should stand here" and "a negation is missing before this leaf"."""

MAX_PIECES = 8
"""Subtokens of a candidate; the rest of a longer text does not count towards its vector."""
MAX_LEAF_PIECES = 12
"""Subtokens of a leaf in a window; a longer one (strings, comments) ends in [CUT]."""

NEWLINE, INDENT, DEDENT = "\n", "\u21e5", "\u21e4"
"""Layout elements: a logical line's end, one level in, one level out."""

_ALWAYS_RUNS = [NEWLINE, INDENT, DEDENT, *"()[]{}.,:;=*@&|^~<>+-/%!", "->", "**", ":=", "..."]


class LeafTokenizer:
    """Texts of leaves and runs to subtoken ids, with a cache by text.

    Args:
        bpe: a byte-level BPE whose first ids are ``SPECIALS``.
        runs: texts of runs with an id of their own, in id order after the BPE's pieces.
        frequent: texts of the global candidates; ids are positions. The first two stand for
            [DELETE] and [NEGATE].
    """

    def __init__(self, bpe: Bpe, runs: list[str], frequent: list[str]) -> None:
        self.bpe = bpe
        self.runs = runs
        self.frequent = frequent
        base = len(bpe)
        self.run_ids = {run: base + i for i, run in enumerate(runs)}
        self.vocab_size = base + len(runs)
        self.frequent_ids = {text: i for i, text in enumerate(frequent)}
        self._cache: dict[str, tuple[int, ...]] = {}
        self._longest_run = max(map(len, runs))

    def pieces(self, text: str) -> tuple[int, ...]:
        """Subtoken ids of a leaf, at most ``MAX_LEAF_PIECES``."""
        found = self._cache.get(text)
        if found is None:
            ids = self.bpe.encode(text[:200])
            if len(ids) > MAX_LEAF_PIECES:
                ids = [*ids[: MAX_LEAF_PIECES - 1], CUT]
            found = self._cache[text] = tuple(ids) or (UNKNOWN,)
            if len(self._cache) > 1_000_000:  # long-lived servers and corpus builds stay bounded
                self._cache.clear()
        return found

    def run_pieces(self, text: str) -> tuple[int, ...]:
        """Subtoken ids of a run: one if it is in the table, else its longest known prefixes."""
        whole = self.run_ids.get(text)
        if whole is not None:
            return (whole,)
        ids: list[int] = []
        position = 0
        while position < len(text) and len(ids) < MAX_LEAF_PIECES:
            for size in range(min(self._longest_run, len(text) - position), 0, -1):
                found = self.run_ids.get(text[position : position + size])
                if found is not None:
                    break
            else:
                found, size = UNKNOWN, 1
            ids.append(found)
            position += size
        return tuple(ids)

    def frequent_id(self, text: str) -> int:
        """Index of ``text`` among the global candidates, -1 if it is none."""
        return self.frequent_ids.get(text, -1)

    def frequent_pieces(self) -> np.ndarray:
        """Subtokens of the global candidates: int64 (G, MAX_PIECES), 0 = pad."""
        table = np.zeros((len(self.frequent), MAX_PIECES), dtype=np.int64)
        table[0, 0], table[1, 0] = DELETE, INSERT_NEGATION
        for i, text in enumerate(self.frequent[2:], start=2):
            ids = self.pieces(text)[:MAX_PIECES]
            table[i, : len(ids)] = ids
        return table

    def save(self, path: Path) -> None:
        """Writes the tokenizer as one JSON file."""
        data = {
            "version": 1,
            "bpe": self.bpe.facts,
            "runs": self.runs,
            "frequent": self.frequent,
        }
        path.write_text(json.dumps(data, ensure_ascii=True, separators=(",", ":")), "utf-8")

    @classmethod
    def load(cls, path: Path) -> LeafTokenizer:
        """Reads what ``save`` wrote.

        Raises:
            ModelError: if the file is missing or is no tokenizer.
        """
        try:
            data = json.loads(path.read_text("utf-8"))
            return cls(Bpe(data["bpe"]), data["runs"], data["frequent"])
        except OSError as error:
            raise ModelError(
                f"{path}: cannot read the tokenizer ({error}); reinstall codemlm"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path}: not a codemlm tokenizer ({error}); reinstall codemlm"
            ) from error


def train_tokenizer(
    leaf_counts: Mapping[str, int],
    run_counts: Mapping[str, int],
    frequent: Iterable[str],
    *,
    vocab_size: int = 12_288,
    num_runs: int = 512,
) -> LeafTokenizer:
    """A tokenizer of ``vocab_size`` subtokens from counts of leaf and run texts.

    Args:
        leaf_counts: how often each leaf text occurs (runs not included).
        run_counts: how often each run occurs.
        frequent: texts of the global candidates, most frequent first.
        vocab_size: ids in all, runs included.
        num_runs: ids for runs.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    runs = list(dict.fromkeys(_ALWAYS_RUNS))
    for run, _ in sorted(run_counts.items(), key=lambda item: (-item[1], item[0])):
        if len(runs) >= num_runs:
            break
        if run not in runs:
            runs.append(run)
    bpe = Tokenizer(models.BPE(unk_token=SPECIALS[UNKNOWN]))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(runs),
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=24,
        show_progress=False,
    )
    # Counts reach the trainer as repetitions; square roots keep the ranking and the time bounded.
    ordered = sorted(leaf_counts.items())
    texts = (text for text, count in ordered for _ in range(max(1, int(count**0.75))))
    bpe.train_from_iterator(texts, trainer)
    table = list(dict.fromkeys([SPECIALS[DELETE], SPECIALS[INSERT_NEGATION], *frequent]))
    return LeafTokenizer(Bpe(json.loads(bpe.to_str())), runs, table)
