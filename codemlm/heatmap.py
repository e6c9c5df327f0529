"""The likelihood of every leaf of a file, and what the model would rather see in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from codemlm.injection import Sites
from codemlm.masking import is_maskable
from codemlm.positions import LineIndex
from codemlm.report import number, place
from codemlm.scoring import Alternative, FileToScore, LeafScore, Scorer
from codemlm.syntax import ParsedFile
from codemlm.terminal import utf8_path
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, Leaf, Role, Span
from codemlm.units import encode_with_texts

_MASKED_AT_ONCE = 64


LEVELS = ((0.001, "under 0.1 %"), (0.01, "under 1 %"), (0.1, "under 10 %"), (0.5, "under 50 %"))
"""Likelihoods below which a leaf is coloured, hottest first, and their names."""


def level_of(likelihood: float | None) -> int | None:
    """Which of LEVELS colours a leaf; None for a likely one.

    Texts that cannot be predicted (a docstring is no candidate) say nothing by being unlikely.
    """
    if not likelihood:
        return None
    return next((at for at, (limit, _) in enumerate(LEVELS) if likelihood < limit), None)


@dataclass(frozen=True, slots=True)
class LeafHeat:
    """A leaf and what the model says of it.

    Attributes:
        leaf: the leaf.
        likelihood: probability of the leaf in its place; None for roles that the model never
            predicts (punctuation, comments), 0.0 for texts that it could not predict.
        alternatives: best other leaves, best first.
        masked: whether the leaf was masked for it, rather than judged by the gate.
    """

    leaf: Leaf
    likelihood: float | None
    alternatives: tuple[Alternative, ...] = ()
    masked: bool = False

    @property
    def regret(self) -> float:
        """How much likelier the best alternative is than the leaf; 0 where it is not.

        A rare leaf is no surprise where everything is rare: what counts is this leaf against the
        best one in its place.
        """
        if not self.likelihood or not self.alternatives:
            return 0.0
        return max(0.0, self.alternatives[0].likelihood - self.likelihood)


def heat_of(
    parsed: ParsedFile,
    scorer: Scorer,
    *,
    exact: bool = False,
    gate_only: bool = False,
    advance: Callable[[int, int], None] | None = None,
) -> list[LeafHeat]:
    """Every leaf of the file, in source order.

    Args:
        parsed: the file.
        scorer: the model's scorer.
        exact: mask every leaf that can be masked, instead of asking the gate where it judges.
        gate_only: leave the roles that the gate does not judge without likelihood.
        advance: called with how many leaves are masked so far, and of how many.
    """
    file = FileToScore(*encode_with_texts(parsed, scorer.tokenizer, Sites()))
    gate = {} if exact else {score.leaf: score for score in scorer.score([file])[0]}
    masked: dict[int, LeafScore] = {}
    if exact or not gate_only:
        units = {int(leaf) for leaf in file.encoded.unit_leaf if leaf >= 0}
        wanted = [
            leaf
            for leaf, role in enumerate(parsed.roles.tolist())
            if leaf not in gate and leaf in units and is_maskable(Role(role))
        ]
        for start in range(0, len(wanted), _MASKED_AT_ONCE):
            part = wanted[start : start + _MASKED_AT_ONCE]
            masked.update((s.leaf, s) for s in scorer.score_masked(file, part))
            if advance is not None:
                advance(start + len(part), len(wanted))
    found = []
    for leaf in parsed.leaves():
        score = gate.get(leaf.index) or masked.get(leaf.index)
        if score is None:
            found.append(LeafHeat(leaf, None))
        else:
            alternatives = tuple(
                Alternative(readable(a.text, leaf.text), a.likelihood) for a in score.alternatives
            )
            found.append(LeafHeat(leaf, score.likelihood, alternatives, leaf.index in masked))
    return found


def readable(text: str, shown: str) -> str:
    """A candidate as the code it stands for, at a leaf that shows ``shown``."""
    return {DELETE_TEXT: "", NEGATE_TEXT: f"not {shown}"}.get(text, text)


def worst(heat: Iterable[LeafHeat], count: int) -> list[LeafHeat]:
    """The ``count`` leaves that lose most to their best alternative, worst first."""
    doubtful = [h for h in heat if h.regret > 0]
    return sorted(doubtful, key=lambda h: (-h.regret, h.leaf.index))[:count]


def heat_record(path: str, index: LineIndex, heat: LeafHeat) -> dict[str, Any]:
    """A leaf as the JSON object that ``score --format json`` prints."""
    span: Span = heat.leaf.span
    return {
        "path": utf8_path(path),
        **place(index, span),
        "text": heat.leaf.text,
        "role": heat.leaf.role.name.lower(),
        "likelihood": None if heat.likelihood is None else number(heat.likelihood),
        "masked": heat.masked,
        "alternatives": [
            {"text": a.text, "likelihood": number(a.likelihood)} for a in heat.alternatives
        ],
    }
