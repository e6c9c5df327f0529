"""Scores of leaves to findings: which suggestions are possible, how sure, and under which rule.

Pure. The single pass proposes leaves (``propose``), masking verifies them, and ``judge`` makes a
finding of every leaf that has a possible alternative, with a calibrated confidence; the caller
picks a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codemlm.errors import ModelError
from codemlm.injection import Kind, operator_kind
from codemlm.rules import CODE_OF_KIND, UNDEFINED_NAME
from codemlm.scoring import DELETE_TEXT, NEGATE_TEXT, Alternative, LeafScore
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role, Span

GROUPS: dict[Role, str] = {
    Role.READ: "variable",
    Role.UPDATE: "variable",
    Role.CALL: "function",
    Role.METHOD: "function",
    Role.ATTRIBUTE: "attribute",
    Role.ATTRIBUTE_BINDING: "attribute",
    Role.KEYWORD_ARGUMENT: "keyword",
    Role.OPERATOR: "operator",
    Role.NUMBER: "literal",
    Role.CONSTANT: "literal",
}
"""Roles that behave alike, for calibration."""

_GROUP_NAMES = ("variable", "function", "attribute", "keyword", "operator", "literal")
SINGLE_FEATURES = ("doubt", "share", "gap", *(f"is_{g}" for g in _GROUP_NAMES))
"""Features of the single pass, in order; see ``single_features``."""
VERIFIED_FEATURES = (*SINGLE_FEATURES, "masked_shown", "masked_best", "agrees")
"""Features once the leaf was masked too; see ``verified_features``."""

_MEMBER_ROLES = frozenset({Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING})
_RECEIVER_ROLES = frozenset({Role.READ, Role.CALL, Role.TYPE, *_MEMBER_ROLES})
_LOWEST = -15.0
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic maps from features to confidence, and the threshold for the alert budget.

    Attributes:
        single: (intercept, coefficients in the order of SINGLE_FEATURES).
        verified: the same for VERIFIED_FEATURES.
        threshold: default least confidence of a finding.
        undefined: confidence of an undefined name (its measured precision).
        notes: where the figures come from; for the model card.
    """

    single: tuple[float, tuple[float, ...]] = (-4.0, (1.0, 0.5, 0.0, *(0.0,) * 6))
    verified: tuple[float, tuple[float, ...]] = (
        -4.0,
        (0.5, 0.25, 0.0, *(0.0,) * 6, -0.25, 0.25, 0.5),
    )
    threshold: float = 0.5
    undefined: float = 0.9
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """A calibration from a manifest.

        Raises:
            ModelError: if features or numbers are not what this version knows.
        """
        try:
            maps = {}
            for name, features in (("single", SINGLE_FEATURES), ("verified", VERIFIED_FEATURES)):
                entry = data[name]
                if tuple(entry["features"]) != features:
                    raise ModelError(
                        f"calibration '{name}' has features {entry['features']}, this codemlm "
                        f"needs {list(features)}; calibrate the model again"
                    )
                maps[name] = (float(entry["intercept"]), tuple(map(float, entry["coefficients"])))
                if len(maps[name][1]) != len(features):
                    raise ModelError(f"calibration '{name}' has the wrong number of coefficients")
            return cls(
                single=maps["single"],
                verified=maps["verified"],
                threshold=float(data["threshold"]),
                undefined=float(data["undefined"]),
                notes=dict(data.get("notes", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"calibration is incomplete ({error!r}); calibrate again") from error

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` reads."""
        maps = {
            "single": (self.single, SINGLE_FEATURES),
            "verified": (self.verified, VERIFIED_FEATURES),
        }
        return {
            **{
                name: {"features": list(names), "intercept": m[0], "coefficients": list(m[1])}
                for name, (m, names) in maps.items()
            },
            "threshold": self.threshold,
            "undefined": self.undefined,
            "notes": dict(self.notes),
        }

    def confidence(
        self, role: Role, score: LeafScore, alternative: Alternative, masked: MaskedView | None
    ) -> float:
        """Probability that the shown leaf is wrong."""
        if masked is None:
            (intercept, weights), values = self.single, single_features(role, score, alternative)
        else:
            intercept, weights = self.verified
            values = verified_features(role, score, alternative, masked)
        z = intercept + sum(w * v for w, v in zip(weights, values, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, z))))


@dataclass(frozen=True, slots=True)
class MaskedView:
    """What masking says of a leaf.

    Natural logs of the shown leaf's and of the best possible alternative's share, and that
    alternative.
    """

    shown: float
    best: float
    alternative: str


def single_features(role: Role, score: LeafScore, alternative: Alternative) -> tuple[float, ...]:
    """Features of the single pass, in the order of SINGLE_FEATURES.

    doubt: the gate's logit that the leaf is wrong. share: log of the alternative's share among what
    may be meant instead. gap: how much likelier than the shown leaf the best alternative is, in
    nats.
    """
    doubt = -score.keep_logit
    wrong = 1.0 / (1.0 + math.exp(max(-40.0, min(40.0, score.keep_logit))))
    share = math.log(max(alternative.likelihood / max(wrong, 1e-12), math.exp(_LOWEST)))
    gap = score.logp_best - max(score.logp_shown, _LOWEST)
    group = GROUPS[role]
    return (doubt, min(share, 0.0), gap, *(float(g == group) for g in _GROUP_NAMES))


def verified_features(
    role: Role, score: LeafScore, alternative: Alternative, masked: MaskedView
) -> tuple[float, ...]:
    """Features once the leaf was masked too, in the order of VERIFIED_FEATURES."""
    return (
        *single_features(role, score, alternative),
        max(masked.shown, _LOWEST),
        max(masked.best, _LOWEST),
        float(masked.alternative == alternative.text),
    )


class Context:
    """What of a file decides which alternatives are possible at a leaf."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.spec = parsed.language
        self.names = node_type_names(parsed.language)
        self._reach: dict[int, frozenset[str]] = {}
        self._keywords: dict[int, set[str]] | None = None
        self._conditions: frozenset[int] | None = None
        self._members: dict[str, set[str]] | None = None

    def possible(self, leaf: int, alternatives: Iterable[Alternative]) -> list[Alternative]:
        """The alternatives that could stand at the leaf: they parse there and resolve."""
        return [a for a in alternatives if self.allows(leaf, a.text)]

    def allows(self, leaf: int, text: str) -> bool:
        """Whether ``text`` could stand in place of the leaf."""
        role, shown = Role(int(self.parsed.roles[leaf])), self.parsed.text(leaf)
        if text == NEGATE_TEXT:
            return int(self.parsed.starts[leaf]) in self.conditions
        if role is Role.OPERATOR:
            return self._allows_operator(leaf, shown, text)
        if role is Role.NUMBER:
            return text.isdigit()
        if role is Role.CONSTANT:
            return shown in self.spec.constants and text in self.spec.constants
        if not text.isidentifier() or text in self.spec.reserved or text == "_":
            return False
        if role in (Role.READ, Role.UPDATE, Role.CALL):
            in_reach = text in self.reach(int(self.parsed.scopes_of[leaf]))
            return in_reach and self._has_member(leaf, text)
        if role is Role.KEYWORD_ARGUMENT:
            return text not in self._sibling_keywords(leaf)
        receiver = self._receiver(leaf)
        return not receiver or text in self.members.get(receiver, ())

    def _has_member(self, leaf: int, text: str) -> bool:
        """Whether ``text`` could be a receiver where ``leaf`` is one: the file uses it with the same
        member elsewhere, or with no member at all."""
        parsed = self.parsed
        if leaf + 2 >= len(parsed) or parsed.text(leaf + 1) != self.spec.member_access:
            return True
        if parsed.roles[leaf + 2] not in _MEMBER_ROLES:
            return True
        known = self.members.get(text)
        if known is None:
            return text not in self.spec.self_names
        return parsed.text(leaf + 2) in known

    def _receiver(self, leaf: int) -> str:
        """The plain name before the dot, "" where the receiver is an expression."""
        if leaf < 2 or self.parsed.roles[leaf - 2] not in _RECEIVER_ROLES:
            return ""
        return self.parsed.text(leaf - 2)

    @property
    def members(self) -> dict[str, set[str]]:
        """Members that each plain name is used with; what classes define belongs to receivers."""
        if self._members is None:
            parsed = self.parsed
            self._members = {}
            for leaf in np.flatnonzero(np.isin(parsed.roles, list(_MEMBER_ROLES))).tolist():
                receiver = self._receiver(leaf)
                if receiver:
                    self._members.setdefault(receiver, set()).add(parsed.text(leaf))
            for scope in parsed.scopes:
                if scope.kind == "class":
                    for name in self.spec.self_names:
                        defined = self._members.setdefault(name, set())
                        defined.update(parsed.texts[t] for t in scope.bindings)
        return self._members

    def _allows_operator(self, leaf: int, shown: str, text: str) -> bool:
        parent = self.names[self.parsed.parents[leaf]]
        if parent in self.spec.unary:
            return shown == self.spec.negation and text == DELETE_TEXT
        kind = operator_kind(self.spec, shown)
        if kind is None:
            return False
        same = any(shown in ops and text in ops for ops in self.spec.operator_classes.values())
        return same or text in self.spec.operator_neighbours.get(shown, ())

    def reach(self, scope: int) -> frozenset[str]:
        """Names that a read in the scope can see, builtins included."""
        found = self._reach.get(scope)
        if found is None:
            names: set[str] = set(self.spec.builtins)
            index, innermost = scope, True
            while index >= 0:
                entry = self.parsed.scopes[index]
                if innermost or entry.kind != "class":
                    names.update(self.parsed.texts[t] for t in entry.bindings)
                innermost = innermost and entry.kind == "comprehension"
                index = entry.parent
            found = self._reach[scope] = frozenset(names)
        return found

    @property
    def conditions(self) -> frozenset[int]:
        """Starts of conditions that a negation may be put before."""
        if self._conditions is None:
            self._conditions = frozenset(
                start
                for start, _, kind, _ in self.parsed.conditions
                if self.names[kind] in self.spec.negatable
            )
        return self._conditions

    def _sibling_keywords(self, leaf: int) -> set[str]:
        parsed = self.parsed
        if self._keywords is None:
            self._keywords = {}
            for index in range(len(parsed)):
                if parsed.roles[index] == Role.KEYWORD_ARGUMENT:
                    call = parsed.node_parents[int(parsed.parent_nodes[index])]
                    self._keywords.setdefault(call, set()).add(parsed.text(index))
        return self._keywords.get(parsed.node_parents[int(parsed.parent_nodes[leaf])], set())


def is_informative(parsed: ParsedFile, leaf: int) -> bool:
    """Whether the leaf's text says enough to be judged: not ``_``, and no receiver.

    Conventional receivers (``self``) are hardly ever mistaken, and where the model doubts one the
    reason is a nested function or a static method.
    """
    text = parsed.text(leaf)
    return text != "_" and text not in parsed.language.self_names


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
        return MaskedView(masked.logp_shown, _LOWEST, "")
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

    Alternatives spelt like the name come first (``candidates`` are sorted by likeness), among them
    the likelier ones; where the model has no opinion, likeness alone decides.
    """
    parsed = context.parsed
    likelihoods = {a.text: a.likelihood for a in score.alternatives} if score else {}
    close = list(candidates[:5])
    ranked = sorted(close, key=lambda t: (-likelihoods.get(t, 0.0), close.index(t)))
    ranked += [t for t in likelihoods if t not in close and context.allows(leaf, t)]
    suggestions = tuple(Suggestion(t, likelihoods.get(t, 0.0)) for t in ranked[:5])
    span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
    shown = parsed.text(leaf)
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
                Finding(
                    rule=CODE_OF_KIND[kind],
                    leaf=finding.leaf,
                    span=finding.span,
                    text=finding.text,
                    role=finding.role,
                    confidence=best.confidence,
                    likelihood=finding.likelihood,
                    keep=finding.keep,
                    suggestions=finding.suggestions,
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
