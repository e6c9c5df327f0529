"""Scores of leaves to findings: which suggestions are possible, how sure, and under which rule.

Pure. The single pass proposes leaves (``propose``), masking verifies them, and ``judge`` makes a
finding of every leaf that has a possible alternative, with a calibrated confidence; the caller
picks a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codemlm.alternatives import Context, is_informative
from codemlm.calibration import LOWEST, Calibration, MaskedView
from codemlm.filters import FILTERS, Filter, drops_any
from codemlm.injection import Kind
from codemlm.rules import CODE_OF_KIND, UNDEFINED_NAME
from codemlm.scoring import LeafScore
from codemlm.similarity import Spellings
from codemlm.suggestions import (
    Suggestion,
    combine,
    edits_of,
    message,
    percent,
    rule_of,
    undefined_suggestions,
)
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role, Span

__all__ = ["Finding", "Suggestion", "judge", "masked_view", "percent", "propose"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A leaf that is probably not what its author meant.

    Attributes:
        rule: rule code.
        leaf: index among the file's leaves.
        span, text, role: of the leaf.
        confidence: calibrated probability in [0, 1] that the leaf is wrong.
        likelihood: probability of the shown leaf in its place.
        keep: what the gate alone gave the shown leaf; NaN if it never judged it.
        suggestions: best first.
        edits: what the first suggestion changes, in source order; empty without suggestions.
        message: one line for people, with both probabilities.
        other: the second place of a swap.
        verified: whether masking looked at it too.
    """

    rule: str
    leaf: int
    span: Span
    text: str
    role: Role
    confidence: float
    likelihood: float
    keep: float
    suggestions: tuple[Suggestion, ...]
    edits: tuple[tuple[Span, bytes], ...]
    message: str
    other: Span | None = None
    verified: bool = False


def propose(
    parsed: ParsedFile,
    scores: Sequence[LeafScore],
    limit: int,
    common: Spellings | None = None,
) -> list[int]:
    """Leaves worth masking: the most suspicious ones that have a possible alternative.

    Args:
        parsed: the file.
        scores: of the single pass.
        limit: how many at the most.
        common: names that are common everywhere.

    Returns:
        Leaf indices, most suspicious first.
    """
    context = Context(parsed, common)
    ranked: list[tuple[float, int]] = []
    for score in scores:
        if not is_informative(parsed, score.leaf):
            continue
        possible = context.possible(score.leaf, score.alternatives)
        if possible:
            ranked.append((-possible[0].likelihood / max(score.likelihood, 1e-9), score.leaf))
    return [leaf for _, leaf in sorted(ranked)[:limit]]


def judge(
    parsed: ParsedFile,
    scores: Sequence[LeafScore],
    masked: Mapping[int, LeafScore],
    undefined: Mapping[int, Sequence[str]],
    calibration: Calibration,
    common: Spellings | None = None,
    filters: Sequence[Filter] = FILTERS,
) -> list[Finding]:
    """Every leaf that could be a finding, most confident first.

    Args:
        parsed: the file.
        scores: of the single pass.
        masked: scores of verified leaves by masking.
        undefined: leaves whose names are bound nowhere, with fallback suggestions.
        calibration: maps features to confidence.
        common: names that are common everywhere; members may be misspellings of them.
        filters: what is no finding, whatever the model says; undefined names are certain.
    """
    context = Context(parsed, common)
    found: list[Finding] = []
    for score in scores:
        if score.leaf in undefined:
            continue
        finding = _judge_leaf(context, score, masked.get(score.leaf), calibration)
        if finding is not None:
            found.append(finding)
    drops = drops_any(parsed, filters)
    found = [finding for finding in found if not drops(finding)]
    by_leaf = {score.leaf: score for score in scores}
    for leaf, candidates in undefined.items():
        found.append(_undefined(context, leaf, by_leaf.get(leaf), candidates, calibration))
    merged = _merge_swaps(parsed, found)
    found = [f for f in merged if f.other is None or not drops(f)]
    return sorted(found, key=lambda f: (-f.confidence, f.leaf))


def _judge_leaf(
    context: Context, score: LeafScore, masked: LeafScore | None, calibration: Calibration
) -> Finding | None:
    possible = context.possible(score.leaf, score.alternatives)
    if not possible:
        return None
    role = Role(int(context.parsed.roles[score.leaf]))
    view = None if masked is None else masked_view(context, masked)
    confidence = calibration.confidence(role, score, possible[0], view)
    likelihood, suggestions = combine(score, possible, context, masked)
    return _finding(
        context, score, role, confidence, likelihood, suggestions, verified=view is not None
    )


def masked_view(context: Context, masked: LeafScore) -> MaskedView:
    """What masking says of a leaf once impossible alternatives are left out."""
    possible = context.possible(masked.leaf, masked.alternatives)
    if not possible:
        return MaskedView(masked.logp_shown, LOWEST, "")
    best = possible[0]
    return MaskedView(masked.logp_shown, math.log(max(best.likelihood, 1e-12)), best.text)


def _finding(
    context: Context,
    score: LeafScore,
    role: Role,
    confidence: float,
    likelihood: float,
    suggestions: tuple[Suggestion, ...],
    *,
    verified: bool,
) -> Finding:
    parsed, leaf = context.parsed, score.leaf
    span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
    best = suggestions[0]
    return Finding(
        rule=rule_of(context, leaf, best.text),
        leaf=leaf,
        span=span,
        text=parsed.text(leaf),
        role=role,
        confidence=confidence,
        likelihood=likelihood,
        keep=score.likelihood,
        suggestions=suggestions,
        edits=edits_of(parsed, leaf, best.text),
        message=message(parsed, leaf, likelihood, best),
        verified=verified,
    )


def _undefined(
    context: Context,
    leaf: int,
    score: LeafScore | None,
    candidates: Sequence[str],
    calibration: Calibration,
) -> Finding:
    """An undefined name: certain by scope analysis; the suggestions are ranked."""
    parsed = context.parsed
    shown = parsed.text(leaf)
    suggestions = undefined_suggestions(context, leaf, score, candidates)
    span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
    meant = f"; did you mean `{suggestions[0].text}`?" if suggestions else ""
    return Finding(
        rule=UNDEFINED_NAME,
        leaf=leaf,
        span=span,
        text=shown,
        role=Role(int(parsed.roles[leaf])),
        confidence=calibration.undefined,
        likelihood=score.likelihood if score else 0.0,
        keep=score.likelihood if score else float("nan"),
        suggestions=suggestions,
        edits=edits_of(parsed, leaf, suggestions[0].text) if suggestions else (),
        message=f"`{shown}` is bound nowhere in reach{meant}",
        verified=True,
    )


def _merge_swaps(parsed: ParsedFile, findings: list[Finding]) -> list[Finding]:
    """Pairs of siblings that each suggest the other's text become one finding."""
    by_leaf = {f.leaf: f for f in findings}
    names = node_type_names(parsed.language)
    gone: set[int] = set()
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda f: f.leaf):
        if finding.leaf in gone or not finding.suggestions:
            continue
        parent = int(parsed.parent_nodes[finding.leaf])
        for other_leaf in range(finding.leaf + 1, min(finding.leaf + 7, len(parsed))):
            other = by_leaf.get(other_leaf)
            if other is None or int(parsed.parent_nodes[other_leaf]) != parent:
                continue
            crossed = other.suggestions and all(
                one.suggestions[0].text == two.text
                and one.suggestions[0].likelihood > one.likelihood
                for one, two in ((finding, other), (other, finding))
            )
            if not crossed:
                continue
            is_argument = names[parsed.node_kinds[parent]] == parsed.language.argument_list
            kind = Kind.ARGUMENT_SWAP if is_argument else Kind.OPERAND_SWAP
            best = max(finding, other, key=lambda f: f.confidence)
            gone |= {finding.leaf, other_leaf}
            merged.append(
                replace(
                    finding,
                    rule=CODE_OF_KIND[kind],
                    confidence=best.confidence,
                    edits=(
                        (finding.span, other.text.encode()),
                        (other.span, finding.text.encode()),
                    ),
                    message=f"{finding.message}, swapped with `{other.text}`",
                    other=other.span,
                    verified=finding.verified and other.verified,
                )
            )
            break
    return [f for f in findings if f.leaf not in gone] + merged
