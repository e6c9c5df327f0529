"""Shards to batches, each a pure function of (seed, step, rank): resuming loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from codemlm.batches import NUM_SLOTS, Batch, WindowShape
from codemlm.errors import CorpusError
from codemlm.masking import MaskPolicy, corrupt
from codemlm.syntax import MAX_NODE_TYPES
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.marked import MarkedShard, window_with_marks
from codemlm.train.shards import Shard, hash_tokenizer
from codemlm.types import Role
from codemlm.units import EncodedFile

if TYPE_CHECKING:
    from codemlm.train.config import TrainConfig

S = TypeVar("S", bound=Shard)


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
        mixture: what fine-tuning adds; None: plain windows alone.

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
        mixture: Mixture | None = None,
    ) -> None:
        self.mixture = mixture
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
        tokenizer = LeafTokenizer.load(path)
        return cls(
            config.data / "train",
            validation if validation.is_dir() else None,
            tokenizer=tokenizer,
            shape=WindowShape.for_window(config.window),
            batch_windows=config.batch_windows,
            policy=MaskPolicy(
                mask_rate=config.mask_rate,
                masked=0.9 - config.replaced_share,
                wrong=config.replaced_share,
                pieces=tokenizer.vocab_size if config.masking == "piece" else 0,
            ),
            wrong_rate=config.wrong_rate_at,
            seed=config.seed,
            tokenizer_sha256=digest,
            mixture=Mixture.from_train_config(config, digest),
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
            if self.mixture is not None and self.mixture.fill(batch, row, self.shape, policy, rng):
                continue
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


class Mixture:
    """What fine-tuning adds to the plain windows of pre-training.

    Args:
        fixes: shards of real mistakes and their fixes (`codemlm.train.fixes`).
        fixes_share: share of windows around one of those.
        proposals: shards with the model's own wrong leaves (`codemlm.train.proposals`).
        proposals_share: share of windows of those; half of them around an alarm.
    """

    def __init__(
        self,
        fixes: Sequence[MarkedShard],
        fixes_share: float,
        proposals: Sequence[MarkedShard],
        proposals_share: float,
    ) -> None:
        self.fixes, self.fixes_share = fixes, fixes_share
        self.proposals, self.proposals_share = proposals, proposals_share

    @classmethod
    def from_train_config(cls, config: TrainConfig, tokenizer_sha256: str) -> Mixture | None:
        """The mixture that a run asks for, if any.

        Raises:
            CorpusError: the shards are not there, are damaged, or another tokenizer made them.
        """
        if config.fixes is None and config.proposals is None:
            return None
        fixes = load_marked(config.fixes, tokenizer_sha256) if config.fixes else []
        proposals = load_marked(config.proposals, tokenizer_sha256) if config.proposals else []
        return cls(
            fixes,
            config.fixes_share if fixes else 0.0,
            proposals,
            config.proposals_share if proposals else 0.0,
        )

    def fill(
        self,
        batch: Batch,
        row: int,
        shape: WindowShape,
        policy: MaskPolicy,
        rng: np.random.Generator,
    ) -> bool:
        """Fills the row with a window of the mixture; False if it is to be a plain one."""
        drawn = rng.random() - self.fixes_share
        if drawn < 0:
            # As a scan sees it: hardly any other mistake, and no mask in half of the windows.
            calm = replace(policy, clear_windows=0.5, wrong=0.0, wrong_rate=0.0)
            self._fill_around(batch, row, self.fixes, shape, calm, rng)
        elif drawn < self.proposals_share:
            lively = replace(policy, clear_windows=0.5)
            if rng.random() < 0.5:
                self._fill_around(batch, row, self.proposals, shape, lively, rng)
            else:
                shard = self.proposals[int(rng.integers(len(self.proposals)))]
                fill_random(batch, row, shard, shape, lively, rng)
        else:
            return False
        return True

    @staticmethod
    def _fill_around(
        batch: Batch,
        row: int,
        shards: Sequence[MarkedShard],
        shape: WindowShape,
        policy: MaskPolicy,
        rng: np.random.Generator,
    ) -> None:
        """A window that holds a mark, anywhere but at its very ends."""
        sizes = np.array([len(shard) for shard in shards], dtype=float)
        shard = shards[int(rng.choice(len(shards), p=sizes / sizes.sum()))]
        index = int(rng.integers(len(shard)))
        file, marks = shard.file(index), shard.marks(index)
        unit = int(marks[int(rng.integers(len(marks))), 0])
        at = int(file.unit_lengths[:unit].sum())
        before = int(rng.integers(shape.subtokens // 8, shape.subtokens * 7 // 8))
        bounds = window_at(file, max(0, at - before), shape.subtokens)
        if len(file.swaps) or len(file.negate) or len(file.negated):
            window = corrupt(file, *bounds, policy, rng)  # here marks only say where to look
        else:
            window = window_with_marks(file, marks, bounds, policy, rng)
        batch.fill(row, file, window, rng)


def load_marked(folder: Path, tokenizer_sha256: str) -> list[MarkedShard]:
    """The marked shards of a folder, in name order.

    Raises:
        CorpusError: there are none, one is damaged, or was packed with another tokenizer.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise CorpusError(
            f"{folder}: no shards (.npz); 'python -m codemlm.train fixes' and 'propose' make them"
        )
    return [_checked(MarkedShard(path), path, tokenizer_sha256) for path in paths]


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
    return [_checked(Shard(path), path, tokenizer_sha256) for path in paths]


def _checked(shard: S, path: Path, tokenizer_sha256: str | None) -> S:
    """The shard, if the tokenizer of the run packed it."""
    if tokenizer_sha256 and shard.tokenizer_sha256 not in ("", tokenizer_sha256):
        raise CorpusError(
            f"{path}: packed with another tokenizer.json than this folder's; run "
            "'python -m codemlm.train pack' again, or put the old tokenizer.json back"
        )
    return shard


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
