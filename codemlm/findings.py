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
from codemlm.injection import Kind, operator_kind
from codemlm.rules import CODE_OF_KIND, UNDEFINED_NAME
from codemlm.scoring import DELETE_TEXT, NEGATE_TEXT, Alternative, LeafScore
from codemlm.similarity import similarity
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role, Span

_KIND_OF_ROLE = {
    Role.READ: Kind.VARIABLE,
    Role.UPDATE: Kind.VARIABLE,
    Role.CALL: Kind.FUNCTION,
    Role.METHOD: Kind.FUNCTION,
    Role.ATTRIBUTE: Kind.ATTRIBUTE,
    Role.ATTRIBUTE_BINDING: Kind.ATTRIBUTE,
    Role.KEYWORD_ARGUMENT: Kind.KEYWORD_ARGUMENT,
    Role.NUMBER: Kind.NUMBER,
    Role.CONSTANT: Kind.CONSTANT,
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What was probably meant, and its probability in that place.

    The texts ``[DELETE]`` and ``[NEGATE]`` stand for taking a ``not`` away and putting one before.
    """

    text: str
    likelihood: float


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


def propose(parsed: ParsedFile, scores: Sequence[LeafScore], limit: int) -> list[int]:
    """Leaves worth masking: the most suspicious ones that have a possible alternative.

    Args:
        parsed: the file.
        scores: of the single pass.
        limit: how many at the most.

    Returns:
        Leaf indices, most suspicious first.
    """
    context = Context(parsed)
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
) -> list[Finding]:
    """Every leaf that could be a finding, most confident first.

    Args:
        parsed: the file.
        scores: of the single pass.
        masked: scores of verified leaves by masking.
        undefined: leaves whose names are bound nowhere, with fallback suggestions.
        calibration: maps features to confidence.
    """
    context = Context(parsed)
    found: list[Finding] = []
    for score in scores:
        if score.leaf in undefined or not is_informative(parsed, score.leaf):
            continue
        finding = _judge_leaf(context, score, masked.get(score.leaf), calibration)
        if finding is not None:
            found.append(finding)
    by_leaf = {score.leaf: score for score in scores}
    for leaf, candidates in undefined.items():
        found.append(_undefined(context, leaf, by_leaf.get(leaf), candidates, calibration))
    found = _merge_swaps(parsed, found)
    return sorted(found, key=lambda f: (-f.confidence, f.leaf))


def _judge_leaf(
    context: Context, score: LeafScore, masked: LeafScore | None, calibration: Calibration
) -> Finding | None:
    possible = context.possible(score.leaf, score.alternatives)
    if not possible:
        return None
    role = Role(int(context.parsed.roles[score.leaf]))
    view = _masked_view(context, masked)
    confidence = calibration.confidence(role, score, possible[0], view)
    likelihood, suggestions = _combine(score, possible, context, masked)
    return _finding(
        context, score, role, confidence, likelihood, suggestions, verified=view is not None
    )


def _masked_view(context: Context, masked: LeafScore | None) -> MaskedView | None:
    if masked is None:
        return None
    possible = context.possible(masked.leaf, masked.alternatives)
    if not possible:
        return MaskedView(masked.logp_shown, LOWEST, "")
    return MaskedView(
        masked.logp_shown, math.log(max(possible[0].likelihood, 1e-12)), possible[0].text
    )


def masked_view(parsed: ParsedFile, masked: LeafScore) -> MaskedView:
    """What masking says of a leaf once impossible alternatives are left out."""
    view = _masked_view(Context(parsed), masked)
    assert view is not None
    return view


def _combine(
    score: LeafScore,
    possible: Sequence[Alternative],
    context: Context,
    masked: LeafScore | None,
) -> tuple[float, tuple[Suggestion, ...]]:
    """Likelihoods of the shown leaf and of the suggestions.

    The mean of both passes where there are two, scaled so that shown leaf and possible alternatives
    make one whole.
    """
    weights: dict[str, float] = {a.text: a.likelihood for a in possible}
    shown = score.likelihood
    if masked is not None:
        weights = {text: value / 2 for text, value in weights.items()}
        shown = (shown + masked.likelihood) / 2
        for alternative in context.possible(score.leaf, masked.alternatives):
            weights[alternative.text] = (
                weights.get(alternative.text, 0.0) + alternative.likelihood / 2
            )
    total = shown + sum(weights.values())
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:5]
    return shown / total, tuple(Suggestion(text, value / total) for text, value in ranked)


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
    shown, best = parsed.text(leaf), suggestions[0]
    return Finding(
        rule=CODE_OF_KIND[_kind(context, role, shown, best.text)],
        leaf=leaf,
        span=span,
        text=shown,
        role=role,
        confidence=confidence,
        likelihood=likelihood,
        keep=score.likelihood,
        suggestions=suggestions,
        edits=_edits(parsed, leaf, span, best.text),
        message=_message(shown, likelihood, best),
        verified=verified,
    )


def _kind(context: Context, role: Role, shown: str, suggested: str) -> Kind:
    """The kind of mistake that turned ``suggested`` into ``shown``."""
    if suggested == NEGATE_TEXT:
        return Kind.NEGATION_DROPPED
    if suggested == DELETE_TEXT:
        return Kind.NEGATION_ADDED
    if role is Role.OPERATOR:
        kinds = {operator_kind(context.spec, shown), operator_kind(context.spec, suggested)}
        for kind in (Kind.IDENTITY, Kind.MEMBERSHIP):  # named by the rarer class, as in injection
            if kind in kinds:
                return kind
        return operator_kind(context.spec, shown) or Kind.COMPARISON
    return _KIND_OF_ROLE[role]


def _edits(parsed: ParsedFile, leaf: int, span: Span, text: str) -> tuple[tuple[Span, bytes], ...]:
    if text == NEGATE_TEXT:
        word = parsed.language.negation.encode() + b" "
        return ((Span(span.start, span.start), word),)
    if text == DELETE_TEXT:
        end = int(parsed.starts[leaf + 1]) if leaf + 1 < len(parsed) else span.end
        return ((Span(span.start, end), b""),)
    return ((span, text.encode()),)


def _message(shown: str, likelihood: float, best: Suggestion) -> str:
    if best.text == NEGATE_TEXT:
        meant = f"`not {shown}`"
    elif best.text == DELETE_TEXT:
        meant = f"no `{shown}`"
    else:
        meant = f"`{best.text}`"
    return f"`{shown}` here is {percent(likelihood)}; {meant} is {percent(best.likelihood)}"


def percent(value: float) -> str:
    """A probability for people: enough digits to tell small ones apart."""
    value *= 100
    if value >= 99.95 or value >= 9.95:
        return f"{min(value, 99.9):.0f} %" if value < 99.5 else f"{min(value, 99.9):.1f} %"
    return f"{value:.1f} %" if value >= 0.1 else "under 0.1 %"


def _undefined(
    context: Context,
    leaf: int,
    score: LeafScore | None,
    candidates: Sequence[str],
    calibration: Calibration,
) -> Finding:
    """An undefined name: certain by scope analysis; the model ranks what was meant.

    A misspelling says more than what usually stands here, so likeness counts in full and the
    model's likelihood by half: it decides among names that are about equally alike.
    """
    parsed = context.parsed
    likelihoods = {a.text: a.likelihood for a in score.alternatives} if score else {}
    shown = parsed.text(leaf)
    pool = dict.fromkeys([*candidates[:5], *(t for t in likelihoods if context.allows(leaf, t))])
    ranked = sorted(pool, key=lambda t: -similarity(shown, t) - likelihoods.get(t, 0.0) / 2)
    suggestions = tuple(Suggestion(t, likelihoods.get(t, 0.0)) for t in ranked[:5])
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
        edits=((span, suggestions[0].text.encode()),) if suggestions else (),
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
