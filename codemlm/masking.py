"""Windows of units, shown as they are or with masks and wrong leaves in them.

``corrupt`` (training) and ``show`` (scanning) both give ``WindowUnits``, which ``codemlm.batches``
turns into the model's inputs the same way for both.

Source: BERT (arXiv 1810.04805, section 3.1), 80/10/10 and loss on the selected positions alone.
Differs in that whole leaves are selected, by role; a masked leaf is one [MASK] whatever its length;
and the 10 % replaced ones take a plausible wrong leaf from the injection sites, not a random
subtoken. ``MaskPolicy.pieces`` is BERT's own recipe, to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from codemlm.injection import KIND_WEIGHTS, Kind
from codemlm.tokenizer import MASK, SPECIALS
from codemlm.types import Role
from codemlm.units import EncodedFile

PLAIN, MASKED, WRONG, KEPT, TORN = range(5)
"""States of a unit: shown as it is; masked; replaced by a wrong leaf; selected, but shown; some of
its subtokens masked or replaced (``MaskPolicy.pieces``)."""

NO_TARGET, TARGET_DELETE, TARGET_NEGATE = -1, -2, -3
"""Targets that are no text: none; nothing should stand here; a negation is missing before this."""

SCORED_ROLES = frozenset(
    {
        Role.READ,
        Role.UPDATE,
        Role.ATTRIBUTE,
        Role.ATTRIBUTE_BINDING,
        Role.METHOD,
        Role.CALL,
        Role.KEYWORD_ARGUMENT,
        Role.OPERATOR,
        Role.NUMBER,
        Role.CONSTANT,
    }
)
"""Roles that the gate judges: leaves that could be a finding."""

MASK_WEIGHTS: dict[Role, float] = {
    Role.READ: 1.0,
    Role.UPDATE: 1.0,
    Role.ATTRIBUTE: 1.0,
    Role.ATTRIBUTE_BINDING: 1.0,
    Role.METHOD: 1.0,
    Role.CALL: 1.0,
    Role.KEYWORD_ARGUMENT: 1.0,
    Role.OPERATOR: 1.5,
    Role.CONSTANT: 1.5,
    Role.NUMBER: 1.0,
    Role.BINDING: 0.5,
    Role.PARAMETER: 0.3,
    Role.DEFINITION: 0.2,
    Role.IMPORT: 0.2,
    Role.TYPE: 0.5,
    Role.STRING: 0.2,
    Role.KEYWORD: 0.15,
}
"""How often a role is selected, relative to ``MaskPolicy.mask_rate``; absent roles never are."""

_OPERATOR_KINDS = (
    Kind.COMPARISON,
    Kind.IDENTITY,
    Kind.MEMBERSHIP,
    Kind.BOOLEAN_OPERATOR,
    Kind.ARITHMETIC,
    Kind.AUGMENTED,
)
_WRONG_GROUPS: tuple[tuple[tuple[Role, ...], float], ...] = (
    ((Role.READ, Role.UPDATE), KIND_WEIGHTS[Kind.VARIABLE]),
    ((Role.ATTRIBUTE, Role.ATTRIBUTE_BINDING), KIND_WEIGHTS[Kind.ATTRIBUTE]),
    ((Role.METHOD, Role.CALL), KIND_WEIGHTS[Kind.FUNCTION]),
    ((Role.KEYWORD_ARGUMENT,), KIND_WEIGHTS[Kind.KEYWORD_ARGUMENT]),
    ((Role.OPERATOR,), sum(KIND_WEIGHTS[k] for k in _OPERATOR_KINDS)),
    ((Role.CONSTANT,), KIND_WEIGHTS[Kind.CONSTANT]),
    ((Role.NUMBER,), KIND_WEIGHTS[Kind.NUMBER]),
)
_STRUCTURAL_GROUPS = (
    ("swap", KIND_WEIGHTS[Kind.ARGUMENT_SWAP] + KIND_WEIGHTS[Kind.OPERAND_SWAP]),
    ("negate", KIND_WEIGHTS[Kind.NEGATION_ADDED]),
    ("negated", KIND_WEIGHTS[Kind.NEGATION_DROPPED]),
)
_NUM_ROLES = 32


def _role_table(weights: Mapping[Role, float]) -> np.ndarray:
    table = np.zeros(_NUM_ROLES)
    for role, weight in weights.items():
        table[role] = weight
    return table


_MASK_TABLE = _role_table(MASK_WEIGHTS)
_SCORED_TABLE = _role_table(dict.fromkeys(SCORED_ROLES, 1.0)) > 0


def is_scored(roles: np.ndarray) -> np.ndarray:
    """Which roles the gate judges: bool of the shape of ``roles``."""
    found: np.ndarray = _SCORED_TABLE[roles]
    return found


def mask_weights(roles: np.ndarray) -> np.ndarray:
    """``MASK_WEIGHTS`` of roles: float64 of the shape of ``roles``, 0 for those never masked."""
    weights: np.ndarray = _MASK_TABLE[roles]
    return weights


def is_maskable(role: Role) -> bool:
    """Whether training ever masks leaves of the role, so that masked scoring means something."""
    return role in MASK_WEIGHTS


@dataclass(frozen=True, slots=True)
class MaskPolicy:
    """How a training window is corrupted.

    Attributes:
        mask_rate: chance that a leaf of weight 1 is selected.
        masked, wrong: shares of the selected that are masked and replaced; the rest is kept.
        clear_windows: share of windows without masks, as a scan sees them.
        wrong_rate: further wrong leaves, as an expected share of the judged ones; their number is
            uniform between none and twice that.
        near: chance that a wrong leaf comes from its site's near choices.
        pieces: 0, or the size of the vocabulary: then subtokens are selected instead of leaves, see
            ``_Corruptor.tear``.
    """

    mask_rate: float = 0.2
    masked: float = 0.8
    wrong: float = 0.1
    clear_windows: float = 0.3
    wrong_rate: float = 0.06
    near: float = 0.75
    pieces: int = 0


@dataclass(slots=True)
class WindowUnits:
    """The units of one window, possibly corrupted. Arrays of equal length (n,).

    Attributes:
        text, role, parent, grandparent: as shown.
        state: PLAIN, MASKED, WRONG, KEPT or TORN.
        target: text index that is meant where selected; NO_TARGET, TARGET_DELETE, TARGET_NEGATE.
        leaf: leaf index in the file, -1 for runs and for leaves that corruption put in.
        subtokens: int64, what is shown of all units in a row, None: their texts' subtokens. From
            then on, units may only be left out at the end.
    """

    text: np.ndarray
    role: np.ndarray
    parent: np.ndarray
    grandparent: np.ndarray
    state: np.ndarray
    target: np.ndarray
    leaf: np.ndarray
    subtokens: np.ndarray | None = None

    def take(self, keep: np.ndarray | slice) -> WindowUnits:
        """The units that ``keep`` selects."""
        return WindowUnits(
            self.text[keep],
            self.role[keep],
            self.parent[keep],
            self.grandparent[keep],
            self.state[keep],
            self.target[keep],
            self.leaf[keep],
            self.subtokens,
        )

    def insert(
        self,
        at: int,
        *,
        text: int,
        role: int,
        parent: int,
        grandparent: int,
        state: int,
        target: int,
    ) -> WindowUnits:
        """The units with one more before position ``at``."""
        return WindowUnits(
            np.insert(self.text, at, text),
            np.insert(self.role, at, role),
            np.insert(self.parent, at, parent),
            np.insert(self.grandparent, at, grandparent),
            np.insert(self.state, at, state),
            np.insert(self.target, at, target),
            np.insert(self.leaf, at, -1),
        )


def show(file: EncodedFile, start: int, stop: int) -> WindowUnits:
    """Units ``[start, stop)`` of a file as they are."""
    part = slice(start, stop)
    count = len(file.unit_text[part])
    return WindowUnits(
        file.unit_text[part].astype(np.int64),
        file.unit_role[part].astype(np.int64),
        file.unit_parent[part].astype(np.int64),
        file.unit_grandparent[part].astype(np.int64),
        np.zeros(count, dtype=np.int64),
        np.full(count, NO_TARGET, dtype=np.int64),
        file.unit_leaf[part].astype(np.int64),
    )


def corrupt(
    file: EncodedFile, start: int, stop: int, policy: MaskPolicy, rng: np.random.Generator
) -> WindowUnits:
    """Units ``[start, stop)`` with masks and wrong leaves by ``policy``."""
    window = show(file, start, stop)
    corruptor = _Corruptor(file, start, stop, policy, rng, window)
    return corruptor.run()


@dataclass(slots=True)
class _Corruptor:
    file: EncodedFile
    start: int
    stop: int
    policy: MaskPolicy
    rng: np.random.Generator
    window: WindowUnits
    inserts: list[tuple[int, int, int]] = field(default_factory=list)
    deletes: list[int] = field(default_factory=list)

    def run(self) -> WindowUnits:
        policy, rng, window = self.policy, self.rng, self.window
        clear = rng.random() < policy.clear_windows
        most = 2 * policy.wrong_rate * int(is_scored(window.role).sum())
        for _ in range(round(rng.random() * most)):
            self._make_wrong()
        if policy.pieces:
            return self.tear(self._restructure(), clear=clear)
        self._select(clear=clear)
        return self._restructure()

    def _select(self, *, clear: bool) -> None:
        """Masks, replaces and keeps whole leaves; no masks in a clear window."""
        policy, rng, window = self.policy, self.rng, self.window
        rate = mask_weights(window.role) * policy.mask_rate
        selected = (rng.random(len(rate)) < rate) & (window.state == PLAIN)
        fate = rng.random(len(rate))
        kept = selected & (fate >= policy.masked + policy.wrong)
        wrong = selected & (fate >= policy.masked) & ~kept
        masked = selected & (fate < policy.masked) & (not clear)
        for unit in np.flatnonzero(wrong):
            if not self._substitute(int(unit)):
                (kept if clear else masked)[unit] = True
        for flags, state in ((masked, MASKED), (kept, KEPT)):
            free = flags & (window.state == PLAIN)
            window.state[free] = state
            window.target[free] = window.text[free]

    def tear(self, window: WindowUnits, *, clear: bool) -> WindowUnits:
        """The window with single subtokens hidden, the bounds of leaves ignored.

        As BERT does it: of the selected, 80 % become [MASK], 10 % a random subtoken, 10 % stay. As
        many are selected as masks of whole leaves would hide. Those of runs never are: no leaf
        stands there to predict.

        Differs in the targets, since the output is over leaves: whichever of its subtokens were
        selected, a leaf is predicted once and whole, from its first. What is left of it is in sight
        as in BERT, but not its slot, which would tell the rest.
        """
        policy, rng, file = self.policy, self.rng, self.file
        widths = np.diff(file.text_offsets)[window.text].astype(np.int64)
        unit = np.repeat(np.arange(len(widths)), widths)
        begins = file.text_offsets[window.text] - np.cumsum(widths) + widths
        subtokens = file.text_pieces[begins[unit] + np.arange(len(unit))].astype(np.int64)
        free = ((window.state == PLAIN) & ~file.text_is_run[window.text])[unit]
        expected = policy.mask_rate * float((mask_weights(window.role) * widths).sum())
        selected = free & (rng.random(len(unit)) < expected / max(1, int(free.sum())))
        fate = rng.random(len(unit))
        kept = selected & (fate >= policy.masked + policy.wrong)
        window.state[unit[kept]] = KEPT
        if not clear:
            masked = selected & (fate < policy.masked)
            wrong = selected & ~masked & ~kept
            subtokens[masked] = MASK
            subtokens[wrong] = rng.integers(len(SPECIALS), policy.pieces, int(wrong.sum()))
            window.state[unit[masked | wrong]] = TORN
        chosen = np.unique(unit[selected if not clear else kept])
        window.target[chosen] = window.text[chosen]
        window.subtokens = subtokens
        return window

    def _make_wrong(self) -> None:
        """One wrong leaf (two for a swap) of a kind drawn by weight among those possible here."""
        options: list[tuple[str, np.ndarray]] = []
        weights: list[float] = []
        plain = self.window.state == PLAIN
        sites = (self.file.near[self.start : self.stop] >= 0) | (
            self.file.far[self.start : self.stop] >= 0
        )
        for roles, weight in _WRONG_GROUPS:
            units = np.flatnonzero(sites & plain & np.isin(self.window.role, roles))
            if len(units):
                options.append(("leaf", units))
                weights.append(weight)
        for name, weight in _STRUCTURAL_GROUPS:
            table = getattr(self.file, name + "s" if name == "swap" else name)
            units = table if table.ndim == 1 else table[:, 0]
            last = units if name != "swap" else table.max(axis=1, initial=-1)
            inside = np.flatnonzero((units > self.start) & (last + 8 < self.stop))
            if len(inside):
                options.append((name, table[inside]))
                weights.append(weight)
        if not options:
            return
        p = np.array(weights)
        name, units = options[int(self.rng.choice(len(options), p=p / p.sum()))]
        pick = units[int(self.rng.integers(len(units)))]
        if name == "leaf":
            self._substitute(int(pick))
        elif name == "swap":
            self._swap(int(pick[0]) - self.start, int(pick[1]) - self.start)
        elif name == "negate":
            self._add_negation(pick)
        else:
            self._drop_negation(int(pick))

    def _substitute(self, unit: int) -> bool:
        """Replaces the leaf by a text from its site's choices; False if there is none."""
        file, window = self.file, self.window
        near, far = int(file.near[self.start + unit]), int(file.far[self.start + unit])
        order = (near, far) if self.rng.random() < self.policy.near else (far, near)
        for choice in order:
            if choice < 0:
                continue
            members = file.set_members[file.set_offsets[choice] : file.set_offsets[choice + 1]]
            members = members[members != window.text[unit]]
            if len(members):
                window.target[unit] = window.text[unit]
                window.text[unit] = members[int(self.rng.integers(len(members)))]
                window.state[unit] = WRONG
                return True
        return False

    def _swap(self, first: int, second: int) -> None:
        window = self.window
        pair = [first, second]
        if (window.state[pair] != PLAIN).any():
            return
        window.target[pair] = window.text[pair]
        window.text[pair] = window.text[pair[::-1]]
        window.role[pair] = window.role[pair[::-1]]
        window.state[pair] = WRONG

    def _patch(self, site: int) -> bool:
        """Gives leaves around a negation the syntax they would have; False if they are cut off."""
        patches = self.file.patches[self.file.patches[:, 0] == site]
        units = patches[:, 1] - self.start
        if len(units) and (units.max() >= len(self.window.text) or units.min() < 0):
            return False
        self.window.parent[units] = patches[:, 2]
        self.window.grandparent[units] = patches[:, 3]
        return True

    def _add_negation(self, site: np.ndarray) -> None:
        unit = int(site[0]) - self.start
        if self.window.state[unit] == PLAIN and self._patch(int(site[0])):
            self.inserts.append((unit, int(site[1]), int(site[2])))
            self.window.state[unit] = KEPT  # one structural mistake a place
            self.window.target[unit] = self.window.text[unit]

    def _drop_negation(self, site: int) -> None:
        unit = site - self.start
        if (self.window.state[[unit, unit + 1]] == PLAIN).all() and self._patch(site):
            self.deletes.append(unit)
            self.window.state[[unit, unit + 1]] = WRONG
            self.window.target[unit + 1] = TARGET_NEGATE

    def _restructure(self) -> WindowUnits:
        window = self.window
        edits: list[tuple[int, tuple[int, int] | None]] = [(unit, None) for unit in self.deletes]
        edits += [(unit, (parent, above)) for unit, parent, above in self.inserts]
        for unit, syntax in sorted(edits, key=lambda edit: -edit[0]):
            if syntax is None:
                window = window.take(np.delete(np.arange(len(window.text)), unit))
            else:
                window = window.insert(
                    unit,
                    text=0,
                    role=int(Role.OPERATOR),
                    parent=syntax[0],
                    grandparent=syntax[1],
                    state=WRONG,
                    target=TARGET_DELETE,
                )
        return window
