"""Windows of units to model inputs: subtokens, slots, candidates, targets."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codemlm.masking import (
    MASKED,
    NO_TARGET,
    TARGET_DELETE,
    TARGET_NEGATE,
    TORN,
    WRONG,
    WindowUnits,
    is_scored,
)
from codemlm.tokenizer import MASK, MAX_PIECES
from codemlm.types import NAME_ROLES, Role
from codemlm.units import EncodedFile

DELETE_CANDIDATE, NEGATE_CANDIDATE = 0, 1
"""Indices among the global candidates of the targets that are no text."""

NUM_SLOTS = 512

_CANDIDATE_ROLES = [int(role) for role in NAME_ROLES | {Role.NUMBER, Role.STRING}]
"""Roles whose texts become local candidates; operators, constants and keywords are global ones."""

_HIDDEN = (MASKED, TORN)
"""States of leaves that are not shown, or not whole."""


@dataclass(frozen=True, slots=True)
class WindowShape:
    """Sizes of a batch's arrays; what does not fit is left out of the loss, never truncated midway.

    Attributes:
        subtokens: T. leaves: L. selected: K. candidates: C. See ``Batch``.
    """

    subtokens: int = 256
    leaves: int = 96
    selected: int = 32
    candidates: int = 96

    @classmethod
    def for_window(cls, subtokens: int) -> WindowShape:
        """Room for what a window of so many subtokens holds.

        Measured maxima on the corpus are 0.33 judged and 0.1 selected leaves a subtoken.
        """
        return cls(subtokens, subtokens * 3 // 8, subtokens // 8, max(32, subtokens * 3 // 8))


class Batch:
    """Model inputs for B windows, as numpy arrays.

    B windows, T subtokens, L judged leaves, K selected leaves, C local candidates, P pieces a
    candidate, G global candidates. Positions are indices into a window's T subtokens; candidate
    numbers are in [0, G) for global ones and G + c for local ones.

    Attributes:
        arrays: by name: input_ids, role_ids, slot_ids, parent_ids, grandparent_ids int64 (B, T);
            attention_mask bool (B, T); leaf_positions int64 (B, L), -1 = pad; keep_targets float32
            (B, L); selected_positions int64 (B, K), -1 = pad; targets int64 (B, K), -100 = pad;
            shown int64 (B, K), -1 where masked or torn; candidate_ids int64 (B, C, P), 0 = pad;
            candidate_slots, candidate_global int64 (B, C).
        leaf_index: int64 (B, L): leaf numbers behind leaf_positions, -1 = pad.
        leaf_text: int64 (B, L): text indices behind leaf_positions.
        leaf_shown: int64 (B, L): candidate numbers of those texts, -1 where they are none.
        candidate_text: int64 (B, C): text indices of the local candidates, -1 = pad.
    """

    def __init__(self, size: int, shape: WindowShape, num_global: int) -> None:
        self.shape = shape
        self.num_global = num_global
        t, n, k, c = shape.subtokens, shape.leaves, shape.selected, shape.candidates

        def zeros(*dims: int) -> np.ndarray:
            return np.zeros((size, *dims), dtype=np.int64)

        self.arrays: dict[str, np.ndarray] = {
            "input_ids": zeros(t),
            "role_ids": zeros(t),
            "slot_ids": zeros(t),
            "parent_ids": zeros(t),
            "grandparent_ids": zeros(t),
            "attention_mask": np.zeros((size, t), dtype=bool),
            "leaf_positions": zeros(n) - 1,
            "keep_targets": np.zeros((size, n), dtype=np.float32),
            "selected_positions": zeros(k) - 1,
            "targets": zeros(k) - 100,
            "shown": zeros(k) - 1,
            "candidate_ids": zeros(c, MAX_PIECES),
            "candidate_slots": zeros(c),
            "candidate_global": zeros(c) - 1,
        }
        self.leaf_index = zeros(n) - 1
        self.leaf_text = zeros(n) - 1
        self.leaf_shown = zeros(n) - 1
        self.candidate_text = zeros(c) - 1

    def take(self, rows: Sequence[int]) -> Batch:
        """A batch of some of the rows."""
        part = copy.copy(self)
        chosen = list(rows)
        part.arrays = {name: array[chosen] for name, array in self.arrays.items()}
        for name in ("leaf_index", "leaf_text", "leaf_shown", "candidate_text"):
            setattr(part, name, getattr(self, name)[chosen])
        return part

    def fill(
        self,
        row: int,
        file: EncodedFile,
        window: WindowUnits,
        rng: np.random.Generator,
        judge: np.ndarray | None = None,
        names: np.ndarray | None = None,
    ) -> int:
        """Writes ``window`` into ``row``; units past T subtokens are left out.

        Args:
            row: of the batch.
            file: whose text table the window refers to.
            window: the units.
            rng: for slots and for filling up the candidates.
            judge: bool (n,), units whose positions go into ``leaf_positions``; None: those shown
                whose role is scored.
            names: texts that fill up the candidates, those to prefer first; None: names of the
                file, drawn.

        Returns:
            How many units fitted.
        """
        a, size = self.arrays, self.shape.subtokens
        widths = np.diff(file.text_offsets)[window.text].astype(np.int64)
        widths[window.state == MASKED] = 1
        ends = np.cumsum(widths)
        count = int(np.searchsorted(ends, size, side="right"))
        if judge is None:
            judge = ~np.isin(window.state, _HIDDEN) & is_scored(window.role)
        if count < len(ends):
            window, widths, ends = window.take(slice(0, count)), widths[:count], ends[:count]
        total = int(ends[-1]) if count else 0
        positions = ends - widths
        masked = window.state == MASKED
        gather = np.repeat(file.text_offsets[window.text] - positions, widths) + np.arange(total)
        shown = file.text_pieces[gather] if window.subtokens is None else window.subtokens[:total]
        a["input_ids"][row, :total] = shown
        a["input_ids"][row, positions[masked]] = MASK
        a["role_ids"][row, :total] = np.repeat(window.role, widths)
        a["parent_ids"][row, :total] = np.repeat(window.parent, widths)
        a["grandparent_ids"][row, :total] = np.repeat(window.grandparent, widths)
        a["attention_mask"][row, :total] = True
        slots, local = self._candidates(row, file, window, rng, names)
        hidden = np.isin(window.state, _HIDDEN)
        a["slot_ids"][row, :total] = np.repeat(np.where(hidden, 0, slots[window.text]), widths)
        self._leaves(row, file, window, positions, local, judge[:count])
        self._selected(row, file, window, positions, local, rng)
        return count

    def _candidates(
        self,
        row: int,
        file: EncodedFile,
        window: WindowUnits,
        rng: np.random.Generator,
        names: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Chooses local candidates and slots; returns slot and local candidate by text index."""
        a, limit = self.arrays, self.shape.candidates
        shown = ~np.isin(window.state, _HIDDEN) & np.isin(window.role, _CANDIDATE_ROLES)
        # In order of appearance: text numbers depend on what the file holds outside the window.
        visible, places = np.unique(window.text[shown], return_index=True)
        visible = visible[np.argsort(places)]
        wanted = window.target[window.target >= 0]
        wanted = np.unique(wanted[file.text_is_name[wanted]])
        first = np.concatenate([visible, np.setdiff1d(wanted, visible)])[:limit]
        if names is None:
            names = rng.permutation(np.setdiff1d(np.flatnonzero(file.text_is_name), first))
        others = names[~np.isin(names, first)][: limit - len(first)]
        texts = np.concatenate([first, others]).astype(np.int64)
        slots = np.zeros(len(file.text_global), dtype=np.int64)
        slotted = texts[file.text_is_name[texts]]
        slots[slotted] = 1 + rng.permutation(NUM_SLOTS - 1)[: len(slotted)]
        local = np.full(len(file.text_global), -1, dtype=np.int64)
        local[texts] = np.arange(len(texts))
        begin = file.text_offsets[texts]
        length = file.text_offsets[texts + 1] - begin
        for piece in range(MAX_PIECES):
            inside = length > piece
            a["candidate_ids"][row, : len(texts), piece][inside] = file.text_pieces[
                begin[inside] + piece
            ]
        a["candidate_slots"][row, : len(texts)] = slots[texts]
        a["candidate_global"][row, : len(texts)] = file.text_global[texts]
        self.candidate_text[row, : len(texts)] = texts
        return slots, local

    def _leaves(
        self,
        row: int,
        file: EncodedFile,
        window: WindowUnits,
        positions: np.ndarray,
        local: np.ndarray,
        judge: np.ndarray,
    ) -> None:
        judged = np.flatnonzero(judge)[: self.shape.leaves]
        count = len(judged)
        self.arrays["leaf_positions"][row, :count] = positions[judged]
        self.arrays["keep_targets"][row, :count] = window.state[judged] != WRONG
        self.leaf_index[row, :count] = window.leaf[judged]
        self.leaf_text[row, :count] = window.text[judged]
        self.leaf_shown[row, :count] = self.number(file, local, window.text[judged])

    def _selected(
        self,
        row: int,
        file: EncodedFile,
        window: WindowUnits,
        positions: np.ndarray,
        local: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        chosen = np.flatnonzero(window.target != NO_TARGET)
        targets = self.number(file, local, window.target[chosen])
        chosen, targets = chosen[targets >= 0], targets[targets >= 0]
        limit = self.shape.selected
        if len(chosen) > limit:  # wrong leaves are few and matter most: keep them
            order = np.argsort(rng.random(len(chosen)) - 2.0 * (window.state[chosen] == WRONG))
            chosen, targets = chosen[order[:limit]], targets[order[:limit]]
        shown = self.number(file, local, window.text[chosen])
        shown[np.isin(window.state[chosen], _HIDDEN)] = -1
        count = len(chosen)
        self.arrays["selected_positions"][row, :count] = positions[chosen]
        self.arrays["targets"][row, :count] = targets
        self.arrays["shown"][row, :count] = shown

    def number(self, file: EncodedFile, local: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Candidate numbers of text indices (or special targets), -1 for what is no candidate."""
        real = np.maximum(texts, 0)
        numbers = np.where(local[real] >= 0, self.num_global + local[real], file.text_global[real])
        numbers[texts == TARGET_DELETE] = DELETE_CANDIDATE
        numbers[texts == TARGET_NEGATE] = NEGATE_CANDIDATE
        return np.asarray(numbers, dtype=np.int64)
