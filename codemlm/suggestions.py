"""What was probably meant at a leaf: ranked suggestions, their edits, rules and messages."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codemlm.alternatives import FLOOR, Context
from codemlm.injection import KIND_OF_ROLE, Kind, operator_kind
from codemlm.rules import ADDED_PREFIX, CODE_OF_KIND, MISSING_PREFIX
from codemlm.scopes import reads_of, role_table
from codemlm.scoring import Alternative, LeafScore
from codemlm.similarity import is_near_spelling, similarity
from codemlm.syntax import ParsedFile
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, VARIABLE_ROLES, Role, Span

MAX_SUGGESTIONS = 5
_MOST_SIMILAR = 10
"""Names in reach that an undefined one is compared with, besides what the model thinks of."""
_SURE, _POSSIBLE = 1.0, 0.5
"""How sure it is that a bare name is a member: of `self` or a module, or of any other name."""
_LEAST_ALIKE, _LEAST_LIKELY = 0.5, 0.05
"""Likeness or likelihood from which a member may have been meant: others would be silly."""
_READS = role_table(VARIABLE_ROLES)

UNDEFINED_WEIGHTS = (5.45, 1.0, 0.38, 0.72, 5.55, 4.04, 0.28, 1.49, -2.43, -0.65, 0.6, 1.54)
"""Weights of what speaks for a candidate for an undefined name, see ``UndefinedFeatures``: those of
a softmax over the candidates, fitted on 414 mined fixes of undefined names, of the splits
`train` and `calibration`."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What was probably meant, and its probability in that place.

    The texts ``[DELETE]`` and ``[NEGATE]`` stand for taking a ``not`` away and putting one before.
    A text with a dot is the leaf's name with what it is a member of; the leaf's own text stands
    for the bare name, without the receiver that it has.
    """

    text: str
    likelihood: float


def combine(
    score: LeafScore,
    possible: Sequence[Alternative],
    context: Context,
    masked: LeafScore | None,
) -> tuple[float, tuple[Suggestion, ...]]:
    """Likelihoods of the shown leaf and of the suggestions.

    The mean of both passes where there are two, scaled so that shown leaf and possible alternatives
    make one whole. Of one pass, the suggestions are in the order of ``possible``, of two by their
    likelihoods.
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
    ranked = list(weights.items())
    if masked is not None:
        ranked.sort(key=lambda item: (-item[1], item[0]))
    ranked = ranked[:MAX_SUGGESTIONS]
    return shown / total, tuple(Suggestion(text, value / total) for text, value in ranked)


def undefined_suggestions(
    context: Context, leaf: int, score: LeafScore | None, candidates: Sequence[str]
) -> tuple[Suggestion, ...]:
    """What an undefined name probably is, best first.

    None for a module of the standard library that is used and not imported: an import is missing,
    and any other name would be silly.

    Args:
        context: of the file.
        leaf: the name.
        score: what the model says of it, if it was asked.
        candidates: names in reach, most similar first.
    """
    likelihoods: dict[str, float] = {}
    for alternative in score.alternatives if score else ():
        for text in context.readings(leaf, alternative.text):
            if text != NEGATE_TEXT:
                likelihoods.setdefault(text, alternative.likelihood)
    prefixed = _prefixed(context, leaf)
    if not prefixed and _is_module(context.parsed, leaf):
        return ()
    pool = dict.fromkeys([*prefixed, *candidates[:_MOST_SIMILAR], *likelihoods])
    features = UndefinedFeatures(context, leaf, likelihoods, prefixed)
    scores = {t: float(np.dot(UNDEFINED_WEIGHTS, features.of(t))) for t in pool}
    ranked = sorted(scores, key=lambda text: -scores[text])
    return tuple(Suggestion(t, likelihoods.get(t, 0.0)) for t in ranked[:MAX_SUGGESTIONS])


def exact_suggestions(
    context: Context, leaf: int, score: LeafScore | None, candidates: Sequence[str]
) -> tuple[Suggestion, ...]:
    """What an unknown member or keyword probably is, best first.

    Args:
        context: of the file.
        leaf: the member or keyword.
        score: what the model says of it, if it was asked.
        candidates: what the object, module or function has, most similar first; with a dot, what a
            part of it has by the same name.
    """
    shown = context.parsed.text(leaf)
    likelihoods: dict[str, float] = {}
    for alternative in score.alternatives if score else ():
        for text in context.readings(leaf, alternative.text):
            if text in candidates or text == shown:
                likelihoods.setdefault(text, alternative.likelihood)
    alike, near, ratio, likely, sure = UNDEFINED_WEIGHTS[:5]
    scores: dict[str, float] = {}
    for text in dict.fromkeys((*candidates[:_MOST_SIMILAR], *likelihoods)):
        likelihood = likelihoods.get(text, 0.0)
        same = text == shown or is_prefixed(context.parsed, leaf, text)
        likeness = 1.0 if same else similarity(shown, text)
        if likeness < _LEAST_ALIKE and likelihood < _LEAST_LIKELY:
            continue
        scores[text] = sure * likeness if same else alike * likeness
        scores[text] += near * (not same and is_near_spelling(shown, text))
        scores[text] += ratio * math.log(max(likelihood, FLOOR) / FLOOR) + likely * likelihood
    ranked = sorted(scores, key=lambda text: -scores[text])[:MAX_SUGGESTIONS]
    return tuple(Suggestion(text, likelihoods.get(text, 0.0)) for text in ranked)


def likely_suggestions(
    context: Context, leaf: int, score: LeafScore | None
) -> tuple[Suggestion, ...]:
    """What the model finds likeliest for a leaf of which only is known that it is wrong."""
    possible = context.possible(leaf, score.alternatives) if score else ()
    return tuple(Suggestion(a.text, a.likelihood) for a in possible[:MAX_SUGGESTIONS])


def given_suggestions(
    context: Context, leaf: int, score: LeafScore | None, candidates: Sequence[str]
) -> tuple[Suggestion, ...]:
    """What a rule knows to have been meant, as likely as the model finds it."""
    likelihoods = {a.text: a.likelihood for a in score.alternatives} if score else {}
    return tuple(Suggestion(text, likelihoods.get(text, 0.0)) for text in candidates)


def _prefixed(context: Context, leaf: int) -> dict[str, float]:
    """The leaf's name as a member of what is in reach there, each with how sure that is."""
    parsed, members, reach = context.parsed, context.members, context.reach_at(leaf)
    shown, found = parsed.text(leaf), {}
    for owner in dict.fromkeys((*sorted(context.spec.self_names), *members.owners.get(shown, ()))):
        if owner not in reach or not members.belongs(leaf, owner):
            continue
        sure = owner in context.spec.self_names or owner in members.imported
        found[f"{owner}{context.spec.member_access}{shown}"] = _SURE if sure else _POSSIBLE
    return found


def _is_module(parsed: ParsedFile, leaf: int) -> bool:
    """Whether the leaf is a module of the standard library, of which a member is used."""
    used = leaf + 1 < len(parsed) and parsed.text(leaf + 1) == parsed.language.member_access
    return used and parsed.text(leaf) in sys.stdlib_module_names


class UndefinedFeatures:
    """What speaks for each candidate for an undefined name.

    Args:
        context: of the file.
        leaf: the name.
        likelihoods: the model's, by candidate.
        prefixed: candidates that are the name with a prefix, each with how sure that is.
    """

    def __init__(
        self,
        context: Context,
        leaf: int,
        likelihoods: Mapping[str, float],
        prefixed: Mapping[str, float],
    ) -> None:
        parsed, scopes = context.parsed, context.parsed.scopes
        self.context, self.parsed = context, parsed
        self.shown = parsed.text(leaf)
        self.likelihoods, self.prefixed = likelihoods, prefixed
        self.is_call = parsed.roles[leaf] == Role.CALL
        dotted = leaf + 2 < len(parsed) and parsed.text(leaf + 1) == context.spec.member_access
        self.member = parsed.text(leaf + 2) if dotted else ""
        scope = int(parsed.scopes_of[leaf])
        while scopes[scope].kind == "comprehension":
            scope = scopes[scope].parent
        local = scopes[scope].bindings if scopes[scope].kind == "function" else {}
        self.local = {parsed.texts[text] for text in local}
        inside = (parsed.scopes_of == scope) & _READS[parsed.roles]
        self.read = {parsed.texts[text] for text in set(parsed.text_ids[inside].tolist())}
        called = np.isin(parsed.roles, (Role.CALL, Role.DEFINITION))
        self.called = {parsed.texts[text] for text in set(parsed.text_ids[called].tolist())}

    def of(self, text: str) -> tuple[float, ...]:
        """Of one candidate, in the order of ``UNDEFINED_WEIGHTS``."""
        context, owner = self.context, self.prefixed.get(text)
        likelihood = self.likelihoods.get(text, 0.0)
        members = context.members.of.get(text)
        return (
            0.0 if owner is not None else similarity(self.shown, text),
            float(is_near_spelling(self.shown, text)),
            math.log(max(likelihood, FLOOR) / FLOOR),
            likelihood,
            float(owner == _SURE),
            float(owner == _POSSIBLE),
            float(text in self.local),
            float(text in self.local and text not in self.read),
            float(text in context.spec.builtins),
            float(text in context.members.imported),
            float(self.is_call and text in self.called),
            float(bool(self.member) and members is not None and self.member in members),
        )


def rule_of(context: Context, leaf: int, suggested: str) -> str:
    """The rule for the mistake that turned ``suggested`` into what the leaf shows."""
    role, shown = Role(int(context.parsed.roles[leaf])), context.parsed.text(leaf)
    if suggested == shown:
        return ADDED_PREFIX
    if is_prefixed(context.parsed, leaf, suggested):
        return MISSING_PREFIX
    return CODE_OF_KIND[_kind(context, role, shown, suggested)]


def is_prefixed(parsed: ParsedFile, leaf: int, text: str) -> bool:
    """Whether ``text`` is the leaf's own name with something before it, as `self.rows`."""
    return text.endswith(f"{parsed.language.member_access}{parsed.text(leaf)}")


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
    return KIND_OF_ROLE[role]


def edits_of(parsed: ParsedFile, leaf: int, text: str) -> tuple[tuple[Span, bytes], ...]:
    """What the suggestion ``text`` changes at the leaf, in source order."""
    span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
    if text == NEGATE_TEXT:
        word = parsed.language.negation.encode() + b" "
        return ((Span(span.start, span.start), word),)
    if text == DELETE_TEXT:
        end = int(parsed.starts[leaf + 1]) if leaf + 1 < len(parsed) else span.end
        gap = parsed.source[span.end : end]
        return ((Span(span.start, span.end if gap.strip(b" \t") else end), b""),)
    if text == parsed.text(leaf):
        return ((Span(int(parsed.starts[leaf - 2]), span.start), b""),)
    if is_prefixed(parsed, leaf, text):
        return ((Span(span.start, span.start), text.encode()[: -len(span)]),)
    if parsed.roles[leaf] == Role.IMPORT:  # what reads the name changes with it
        leaves = sorted((leaf, *reads_of(parsed, leaf)))
        spans = (Span(int(parsed.starts[one]), int(parsed.ends[one])) for one in leaves)
        return tuple((one, text.encode()) for one in spans)
    gap = b" " if parsed.roles[leaf] == Role.PUNCTUATION else b""  # a comma has none before it
    return ((span, gap + text.encode()),)


def message(parsed: ParsedFile, leaf: int, likelihood: float, best: Suggestion) -> str:
    """One line for people, with the probabilities of what stands there and of what was meant."""
    shown = parsed.text(leaf)
    if best.text == NEGATE_TEXT:
        meant = f"`not {shown}`"
    elif best.text == DELETE_TEXT:
        meant = f"no `{shown}`"
    else:
        meant = f"`{best.text}`"
    if best.text == shown:
        shown = f"{parsed.text(leaf - 2)}{parsed.language.member_access}{shown}"
    return f"`{shown}` here is {percent(likelihood)}; {meant} is {percent(best.likelihood)}"


def percent(value: float) -> str:
    """A probability for people: enough digits to tell small ones apart."""
    value *= 100
    if value >= 99.95 or value >= 9.95:
        return f"{min(value, 99.9):.0f} %" if value < 99.5 else f"{min(value, 99.9):.1f} %"
    return f"{value:.1f} %" if value >= 0.1 else "under 0.1 %"
