"""Shards to batches, each a pure function of (seed, step, rank): resuming loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codemlm.batches import NUM_SLOTS, Batch, WindowShape
from codemlm.errors import CorpusError
from codemlm.masking import MaskPolicy, corrupt
from codemlm.syntax import MAX_NODE_TYPES
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.shards import Shard, hash_tokenizer
from codemlm.types import Role
from codemlm.units import EncodedFile

if TYPE_CHECKING:
    from codemlm.train.config import TrainConfig


class WindowSource:
    """Random windows of a folder of shards.

    A window starts at a logical line, drawn uniformly over the corpus's subtokens.

    Args:
        folder: shards of the training split.
        validation: shards of the validation split, None for none.
        shape: sizes of the arrays.
        tokenizer: whose frequent leaves are the global candidates.
        batch_windows: windows a step, over all processes.
        policy: the mask policy.
        wrong_rate: its wrong_rate by step, None for a constant one.
        seed: of everything random.
        tokenizer_sha256: of the tokenizer's file, None not to compare it with the shards'.

    Raises:
        CorpusError: there are no shards, one is damaged, or another tokenizer made them.
    """

    def __init__(
        self,
        folder: Path,
        validation: Path | None,
        *,
        shape: WindowShape,
        tokenizer: LeafTokenizer,
        batch_windows: int,
        policy: MaskPolicy,
        wrong_rate: Callable[[int], float] | None = None,
        seed: int = 0,
        tokenizer_sha256: str | None = None,
    ) -> None:
        self.shards = load_shards(folder, tokenizer_sha256)
        self.tokenizer_sha256 = tokenizer_sha256
        self.validation_folder = validation
        self.shape = shape
        self.tokenizer = tokenizer
        self.num_global = len(tokenizer.frequent)
        self.batch_windows = batch_windows
        self.policy = policy
        self.seed = seed
        self.wrong_rate = wrong_rate
        sizes = np.array([int(shard.tokens[-1]) for shard in self.shards], dtype=np.int64)
        self.shares = sizes / sizes.sum()
        self.total_subtokens = int(sizes.sum())

    @classmethod
    def from_train_config(cls, config: TrainConfig) -> WindowSource:
        """The source of a run; ``data`` holds ``tokenizer.json``, ``train/``, ``validation/``."""
        validation = config.data / "validation"
        path = config.data / "tokenizer.json"
        digest = hash_tokenizer(path)
        return cls(
            config.data / "train",
            validation if validation.is_dir() else None,
            tokenizer=LeafTokenizer.load(path),
            shape=WindowShape.for_window(config.window),
            batch_windows=config.batch_windows,
            policy=MaskPolicy(mask_rate=config.mask_rate),
            wrong_rate=config.wrong_rate_at,
            seed=config.seed,
            tokenizer_sha256=digest,
        )

    def model_fields(self) -> dict[str, Any]:
        """Fields of ``CodeMLMConfig`` that the tokenizer and the masking decide."""
        return {
            "vocab_size": self.tokenizer.vocab_size,
            "num_slots": NUM_SLOTS,
            "num_node_types": MAX_NODE_TYPES,
        }

    def global_candidates(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Pieces of the frequent leaves, int64 (G, P); their biases are learnt from zero."""
        return self.tokenizer.frequent_pieces(), None

    def policy_at(self, step: int) -> MaskPolicy:
        """The mask policy of a step."""
        if self.wrong_rate is None:
            return self.policy
        return replace(self.policy, wrong_rate=self.wrong_rate(step))

    def batch_at(self, step: int, rank: int = 0, world: int = 1) -> dict[str, np.ndarray]:
        """Arrays of step ``step`` for one process: its share of the windows."""
        rows = range(rank, self.batch_windows, world)
        policy = self.policy_at(step)
        batch = Batch(len(rows), self.shape, self.num_global)
        for row, window in enumerate(rows):
            rng = np.random.default_rng((self.seed, 1, step, window))  # as good as independent
            shard = int(rng.choice(len(self.shards), p=self.shares))
            fill_random(batch, row, self.shards[shard], self.shape, policy, rng)
        return batch.arrays

    def validation_batches(self, count: int = 8) -> list[dict[str, np.ndarray]]:
        """Fixed batches of the validation split, the same for every run."""
        if self.validation_folder is None:
            return []
        shards = load_shards(self.validation_folder, self.tokenizer_sha256)
        sizes = np.array([shard.tokens[-1] for shard in shards], dtype=float)
        batches = []
        for number in range(count):
            batch = Batch(self.batch_windows, self.shape, self.num_global)
            for row in range(self.batch_windows):
                rng = np.random.default_rng((7, number, row))
                shard = shards[int(rng.choice(len(shards), p=sizes / sizes.sum()))]
                fill_random(batch, row, shard, self.shape, self.policy, rng)
            batches.append(batch.arrays)
        return batches


def load_shards(folder: Path, tokenizer_sha256: str | None = None) -> list[Shard]:
    """The shards of a folder, in name order.

    Raises:
        CorpusError: there are none, one is damaged, or was packed with another tokenizer.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise CorpusError(
            f"{folder}: no shards (.npz); make them with 'python -m codemlm.train pack'"
        )
    shards = [Shard(path) for path in paths]
    for path, shard in zip(paths, shards, strict=True):
        if tokenizer_sha256 and shard.tokenizer_sha256 not in ("", tokenizer_sha256):
            raise CorpusError(
                f"{path}: packed with another tokenizer.json than this folder's; run "
                "'python -m codemlm.train pack' again, or put the old tokenizer.json back"
            )
    return shards


def fill_random(
    batch: Batch,
    row: int,
    shard: Shard,
    shape: WindowShape,
    policy: MaskPolicy,
    rng: np.random.Generator,
) -> None:
    """Fills one row with a random corrupted window of a shard."""
    position = int(rng.integers(shard.tokens[-1]))
    index = int(np.searchsorted(shard.tokens, position, side="right")) - 1
    file = shard.file(index)
    start, stop = window_at(file, position - int(shard.tokens[index]), shape.subtokens)
    batch.fill(row, file, corrupt(file, start, stop, policy, rng), rng)


def window_at(file: EncodedFile, offset: int, size: int) -> tuple[int, int]:
    """Units [start, stop) of a window around subtoken ``offset``, about ``size`` subtokens long.

    The window begins at a run of punctuation or layout, and is moved back from a file's end so that
    it is full. Masks shorten leaves, so it reaches a little past ``size``; ``Batch.fill`` cuts it.
    """
    ends = np.cumsum(file.unit_lengths)
    first = max(0, min(offset, int(ends[-1]) - size))
    start = int(np.searchsorted(ends, first, side="right"))
    layout = (file.unit_role[: start + 1] == Role.LAYOUT) | file.text_is_run[
        file.unit_text[: start + 1]
    ]
    breaks = np.flatnonzero(layout)
    if start and len(breaks):
        start = int(breaks[-1])
    base = int(ends[start - 1]) if start else 0
    stop = int(np.searchsorted(ends, base + size + size // 4, side="left")) + 1
    return start, min(stop, len(file))
