"""Likelihoods of leaves from a model's logits: the single pass, and masking leaf by leaf.

Pure numpy; the model stands behind ``LeafModel``, so tests use a table. Probabilities are over
leaves: ``P(leaf) = keep`` for the leaf that is shown, and ``(1 - keep) * softmax(leaf)`` for every
other candidate, the shown one left out of the softmax.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar
from zlib import crc32

import numpy as np

from codemlm.batches import Batch, WindowShape
from codemlm.masking import MASKED, is_scored, show
from codemlm.similarity import Spellings
from codemlm.tokenizer import DEDENT, INDENT, LeafTokenizer
from codemlm.types import Role
from codemlm.units import EncodedFile
from codemlm.windows import ScanWindow, plan_windows, shifted_window, window_around

NUM_ALTERNATIVES = 8
_FLOOR = -1e9
_SHIFTED = 1
"""Seeds slots of second windows apart from those of first ones."""
_T = TypeVar("_T")


class LeafModel(Protocol):
    """One forward pass.

    Attributes:
        num_global: G.
        window: longest window in subtokens that it was trained for.
    """

    num_global: int
    window: int

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Keep logits float32 (B, L) and leaf logits float32 (B, L, G + C) at leaf_positions."""
        ...


@dataclass(frozen=True, slots=True)
class Alternative:
    """A candidate other than the shown leaf, and its probability in that place."""

    text: str
    likelihood: float


@dataclass(frozen=True, slots=True)
class LeafScore:
    """What the model says of one leaf.

    Attributes:
        leaf: index into the parsed file's leaves.
        keep_logit: the gate's logit that the shown leaf is meant; NaN from masked scoring.
        likelihood: probability of the shown leaf; 0.0 where it is no candidate (masked scoring).
        alternatives: best other candidates, best first.
        logp_shown: natural log of the shown leaf's share of the plain softmax.
        logp_best: the same for the best other candidate.
    """

    leaf: int
    keep_logit: float
    likelihood: float
    alternatives: tuple[Alternative, ...]
    logp_shown: float
    logp_best: float

    def at(self, leaf: int) -> LeafScore:
        """The same of another leaf."""
        if leaf == self.leaf:
            return self
        rest = (self.keep_logit, self.likelihood, self.alternatives, self.logp_shown)
        return LeafScore(leaf, *rest, self.logp_best)


_MEMBER_ROLES = [
    int(role)
    for role in (Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING, Role.KEYWORD_ARGUMENT)
]
_LASTING_ROLES = [
    int(role) for role in (Role.PARAMETER, Role.DEFINITION, Role.IMPORT, Role.ATTRIBUTE_BINDING)
]


@dataclass(slots=True)
class FileToScore:
    """A file with its text table's strings, ready to be scored.

    Attributes:
        encoded: its columns.
        texts: the text table's strings.
        hashes: uint32 (N,) of the texts, the same in every file.
        outside: texts that may be meant in windows that do not show them: names bound outside
            functions, parameters, and members used more than once. Not local variables: they are
            out of reach, and what is being typed would change the candidates of every window.
    """

    encoded: EncodedFile
    texts: list[str]
    hashes: np.ndarray = field(init=False)
    outside: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.hashes = np.array([crc32(t.encode("utf-8")) for t in self.texts], dtype=np.uint32)
        encoded = self.encoded
        number, role = encoded.unit_text, encoded.unit_role
        members = np.bincount(number[np.isin(role, _MEMBER_ROLES)], minlength=len(self.texts)) > 1
        layout = zip(self.texts, encoded.text_is_run.tolist(), strict=True)
        steps = np.array([t.count(INDENT) - t.count(DEDENT) if run else 0 for t, run in layout])
        depth = np.cumsum(steps[number]) if len(number) else number
        lasting = np.isin(role, _LASTING_ROLES) | ((role == int(Role.BINDING)) & (depth == 0))
        members[number[lasting]] = True
        self.outside = np.flatnonzero(members & encoded.text_is_name)

    def seed_of(self, start: int, stop: int) -> int:
        """A number that depends on the texts of units [start, stop) alone."""
        return crc32(self.hashes[self.encoded.unit_text[start:stop]].tobytes())

    def names_for(self, seed: int) -> np.ndarray:
        """The texts ``outside``, in an order that another text in the file does not change."""
        mixed = (self.hashes[self.outside] ^ np.uint32(seed)) * np.uint32(2654435761)
        return self.outside[np.argsort(mixed, kind="stable")]


@dataclass(frozen=True, slots=True)
class Row:
    """A window of a file in a batch of windows of several files."""

    number: int
    file: FileToScore
    window: ScanWindow

    def judged(self) -> np.ndarray:
        """Which units of the window are judged in it: bool (stop - start,)."""
        window = self.window
        inside = np.arange(window.start, window.stop)
        judged: np.ndarray = (inside >= window.first) & (inside < window.last)
        judged &= is_scored(self.file.encoded.unit_role[window.start : window.stop])
        return judged


class Scorer:
    """Scores leaves of files with a model.

    Args:
        model: the model.
        tokenizer: the model's tokenizer.
        batch_windows: windows a forward pass.
        margin: subtokens of context on either side of what a window judges; None: a sixth window.

    Attributes:
        masked_window: subtokens that are read around a leaf that is masked.
    """

    def __init__(
        self,
        model: LeafModel,
        tokenizer: LeafTokenizer,
        *,
        batch_windows: int = 16,
        margin: int | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_windows = batch_windows
        self.margin = model.window // 6 if margin is None else margin
        self.masked_window = model.window
        self.shape = WindowShape.for_window(model.window)

    @cached_property
    def common(self) -> Spellings:
        """Names that the model may mean anywhere: members may be misspellings of them."""
        return Spellings(self.tokenizer.frequent)

    def score(self, files: Sequence[FileToScore]) -> list[list[LeafScore]]:
        """Every judged leaf of each file, by one pass over its windows; in leaf order."""
        rows = [
            Row(number, file, window)
            for number, file in enumerate(files)
            for window in plan_windows(file.encoded, self.model.window, self.margin)
        ]
        found: list[list[LeafScore]] = [[] for _ in files]
        for row, scores in self._score_rows(rows):
            found[row.number] += scores
        return [sorted(scores, key=lambda s: s.leaf) for scores in found]

    def _score_rows(self, rows: Sequence[Row]) -> Iterator[tuple[Row, list[LeafScore]]]:
        """Scores of the judged leaves of each window that has some."""
        for chunk in chunks(rows, self.batch_windows):
            for index, scores in self._run(self._filled(chunk), [row.file for row in chunk]):
                yield chunk[index], scores

    def _filled(self, rows: Sequence[Row]) -> Batch:
        """A batch of windows."""
        batch = Batch(len(rows), self.shape, self.model.num_global)
        for index, row in enumerate(rows):
            window = row.window
            fill_window(batch, index, row.file, window.start, window.stop, row.judged())
        return batch

    def score_shifted(self, places: Sequence[tuple[FileToScore, int]]) -> list[LeafScore]:
        """Leaves judged by the single pass once more: each in a window with another offset.

        The slots are others too, and so is the choice of names from outside the window.

        Args:
            places: files, and a leaf of each.

        Returns:
            A score for each place, in order.
        """
        size = self.model.window
        plans: dict[int, list[ScanWindow]] = {}
        found: list[LeafScore] = []
        for chunk in chunks(places, self.batch_windows):
            batch = Batch(len(chunk), self.shape, self.model.num_global)
            for index, (file, leaf) in enumerate(chunk):
                encoded = file.encoded
                if id(file) not in plans:
                    plans[id(file)] = plan_windows(encoded, size, self.margin)
                unit = int(np.flatnonzero(encoded.unit_leaf == leaf)[0])
                window = next(w for w in plans[id(file)] if unit < w.last)
                start, stop = shifted_window(encoded, unit, window, size, self.margin)
                judge = np.arange(start, stop) == unit
                fill_window(batch, index, file, start, stop, judge, salt=_SHIFTED)
            for _, scores in self._run(batch, [file for file, _ in chunk]):
                found += scores
        return found

    def score_masked(self, file: FileToScore, leaves: Sequence[int]) -> list[LeafScore]:
        """The textbook pseudo-likelihood of given leaves: one pass for each, with it masked.

        Source: pseudo-log-likelihood (Salazar et al., arXiv 1910.14659, eq. 1), over leaves instead
        of subtokens: one [MASK] stands for the whole leaf, so no subtoken of it is seen (what Kauf
        & Ivanova, arXiv 2305.10588, mend for subtoken models).
        """
        encoded = file.encoded
        found: list[LeafScore] = []
        for chunk in chunks(list(leaves), self.batch_windows):
            batch = Batch(len(chunk), self.shape, self.model.num_global)
            for index, leaf in enumerate(chunk):
                unit = int(np.flatnonzero(encoded.unit_leaf == leaf)[0])
                start, stop = window_around(encoded, unit, self.masked_window)
                judge = np.zeros(stop - start, dtype=bool)
                judge[unit - start] = True
                fill_window(batch, index, file, start, stop, judge, masked=True)
            for _, scores in self._run(batch, [file] * len(chunk), masked=True):
                found += scores
        return found

    def _run(
        self, batch: Batch, files: Sequence[FileToScore], *, masked: bool = False
    ) -> Iterator[tuple[int, list[LeafScore]]]:
        arrays = trim(batch.arrays)
        keep, logits = self.model.run(arrays)
        width = arrays["leaf_positions"].shape[1]
        for row, file in enumerate(files):
            judged = np.flatnonzero(batch.leaf_index[row, :width] >= 0)
            if not len(judged):
                continue
            shown = batch.leaf_shown[row, judged]
            local = batch.candidate_text[row]
            yield (
                row,
                self._scores(
                    batch.leaf_index[row, judged],
                    shown,
                    keep[row, judged],
                    logits[row, judged].astype(np.float32),
                    [file.texts[t] for t in local if t >= 0],
                    masked,
                ),
            )

    def _scores(
        self,
        leaves: np.ndarray,
        shown: np.ndarray,
        keep_logits: np.ndarray,
        logits: np.ndarray,
        local_texts: list[str],
        masked: bool,
    ) -> list[LeafScore]:
        """Scores of the judged leaves of one window; logits: (N, G + C)."""
        rows = np.arange(len(leaves))
        known = shown >= 0
        top = logits.max(axis=1)
        log_total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        logp_shown = np.full(len(leaves), _FLOOR, dtype=np.float64)
        logp_shown[known] = logits[rows[known], shown[known]] - log_total[known]
        logits[rows[known], shown[known]] = _FLOOR
        rest = np.log1p(-np.minimum(np.exp(logp_shown), 1 - 1e-7))
        best = np.argpartition(-logits, NUM_ALTERNATIVES, axis=1)[:, :NUM_ALTERNATIVES]
        keep = np.exp(logp_shown) if masked else 1.0 / (1.0 + np.exp(-keep_logits.astype(float)))
        found = []
        for i, leaf in enumerate(leaves):
            order = best[i][np.argsort(-logits[i, best[i]], kind="stable")]
            logp = logits[i, order] - log_total[i]
            shares = np.exp(logp - rest[i]) * (1.0 - keep[i])
            alternatives = tuple(
                Alternative(self.text_of(int(c), local_texts), float(p))
                for c, p in zip(order, shares, strict=True)
                if p > 0 and int(c) - self.model.num_global < len(local_texts)
            )
            found.append(
                LeafScore(
                    leaf=int(leaf),
                    keep_logit=float("nan") if masked else float(keep_logits[i]),
                    likelihood=float(keep[i]),
                    alternatives=alternatives,
                    logp_shown=float(logp_shown[i]),
                    logp_best=float(logp[0]),
                )
            )
        return found

    def text_of(self, candidate: int, local_texts: list[str]) -> str:
        """Text of a candidate number; the special ones give their names in ``SPECIALS``."""
        if candidate < self.model.num_global:
            return self.tokenizer.frequent[candidate]
        return local_texts[candidate - self.model.num_global]


def fill_window(
    batch: Batch,
    row: int,
    file: FileToScore,
    start: int,
    stop: int,
    judge: np.ndarray,
    *,
    masked: bool = False,
    salt: int = 0,
    hidden: np.ndarray | None = None,
) -> None:
    """Writes units [start, stop) of a file into a row of a batch.

    What the model reads depends on those units and ``file.outside`` alone, so that a window is
    scored alike wherever it stands in its file, and an edit elsewhere leaves it as it was.

    Args:
        batch: to write to.
        row: of the batch.
        file: the file.
        start, stop: the window.
        judge: bool (stop - start,): units to judge.
        masked: whether those are masked.
        salt: for other slots and another choice of names than without it.
        hidden: bool (stop - start,): units that are masked, too; None: no others.
    """
    units = show(file.encoded, start, stop)
    unseen = judge & masked if hidden is None else hidden | (judge & masked)
    units.state[unseen] = MASKED
    units.target[unseen] = units.text[unseen]  # so that it stays a candidate
    seed = file.seed_of(start, stop) ^ salt
    rng = np.random.default_rng(seed)
    batch.fill(row, file.encoded, units, rng, judge, file.names_for(seed))


def trim(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays without the padding that no row of the batch uses."""
    width = max(1, int(arrays["attention_mask"].sum(axis=1).max()))
    leaves = max(1, int((arrays["leaf_positions"] >= 0).sum(axis=1).max()))
    candidates = max(1, int((arrays["candidate_ids"][:, :, 0] > 0).sum(axis=1).max()))
    cut = {}
    for name, array in arrays.items():
        if name in ("leaf_positions", "keep_targets"):
            cut[name] = array[:, :leaves]
        elif name.startswith("candidate"):
            cut[name] = array[:, :candidates]
        elif name in ("selected_positions", "targets", "shown"):
            cut[name] = array
        else:
            cut[name] = array[:, :width]
    return cut


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """The items, ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
