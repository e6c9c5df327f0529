"""What is known of a leaf: why it is a finding, or why it is none; and the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codemlm.context_lines import ContextLines
from codemlm.feature_words import feature_words
from codemlm.findings import Finding
from codemlm.positions import LineIndex
from codemlm.report import number, place, shown_text
from codemlm.rules import RULES
from codemlm.terminal import utf8_path
from codemlm.types import Leaf


@dataclass(frozen=True, slots=True)
class Option:
    """Another text for a leaf.

    Attributes:
        text: code; empty: nothing would stand there.
        single, masked: its probabilities by the single pass and with the leaf masked; None where it
            is not among the best, or there was no such pass.
        stands_for: code that it would make of the leaf, which may be more than its text; None
            where it cannot stand there.
    """

    text: str
    single: float | None
    masked: float | None
    stands_for: str | None


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a feature adds to the logit of the confidence.

    Attributes:
        feature: name.
        value: of the leaf.
        nats: added, in comparison with the other leaves of the file.
    """

    feature: str
    value: float
    nats: float


@dataclass(frozen=True, slots=True)
class Shares:
    """How a confidence comes about.

    Attributes:
        base: logit that the leaves have on average which it is compared with.
        parts: what each feature adds, the strongest first. The sum of all is the logit.
        against: the text that features compare the leaf's with.
    """

    base: float
    parts: tuple[Contribution, ...]
    against: str

    @property
    def logit(self) -> float:
        """The logit of the confidence."""
        return self.base + sum(part.nats for part in self.parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of what a leaf could be.

    Attributes:
        finding: what it could be.
        least: least confidence of findings of its rule.
        least_of: where that is from.
        if_masked: confidence if it had been masked, where a scan does not do so; else None.
        filters: names, and whether the finding passes; None: not asked.
        shares: how the confidence comes about; None where the rule has one confidence for all.
    """

    finding: Finding
    least: float
    least_of: str
    if_masked: float | None
    filters: tuple[tuple[str, bool | None], ...]
    shares: Shares | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a leaf.

    Attributes:
        leaf: the leaf.
        single, masked: probabilities of the shown text by the single pass and with the leaf masked;
            None without such a pass.
        options: other texts, best first.
        verdict: what becomes of what it could be; None: it could be nothing.
        reported: whether a scan reports it.
        reasons: why it does not; of a reported one, what may still hold it back.
        against: what the context lines compare the leaf with; empty: nothing would stand there.
        context: the context lines; None where there is nothing to compare.
    """

    leaf: Leaf
    single: float | None
    masked: float | None
    options: tuple[Option, ...]
    verdict: Verdict | None
    reported: bool
    reasons: tuple[str, ...]
    against: str
    context: ContextLines | None


def explanation_record(path: str, index: LineIndex, one: Explanation) -> dict[str, Any]:
    """An explanation as the JSON object that ``codemlm explain --output-format json`` prints."""
    record: dict[str, Any] = {
        "path": utf8_path(path),
        **place(index, one.leaf.span),
        "text": one.leaf.text,
        "role": one.leaf.role.name.lower(),
        "likelihood": {"single_pass": _or_none(one.single), "masked": _or_none(one.masked)},
        "alternatives": [
            {
                "text": option.text,
                "single_pass": _or_none(option.single),
                "masked": _or_none(option.masked),
                "stands_for": option.stands_for,
            }
            for option in one.options
        ],
        "reported": one.reported,
        "reasons": list(one.reasons),
        "finding": None if one.verdict is None else _verdict_record(one.leaf, one.verdict),
        "context": None,
    }
    if one.context is not None:
        record["context"] = {
            "against": one.against,
            "log_odds": number(one.context.log_odds),
            "noise": number(one.context.noise),
            "lines": [
                {
                    "line": line.line,
                    "change": number(line.change),
                    "text": index.line_bytes(line.line).decode("utf-8"),
                }
                for line in one.context.lines
            ],
        }
    return record


def _verdict_record(leaf: Leaf, verdict: Verdict) -> dict[str, Any]:
    finding, shares = verdict.finding, verdict.shares
    record: dict[str, Any] = {
        "rule": finding.rule,
        "name": RULES[finding.rule].name,
        "confidence": number(finding.confidence),
        "least_confidence": number(verdict.least),
        "verified": finding.verified,
        "confidence_if_masked": _or_none(verdict.if_masked),
        "suggestions": [
            {"text": shown_text(finding, s), "likelihood": number(s.likelihood)}
            for s in finding.suggestions
        ],
        "filters": dict(verdict.filters),
        "features": None,
    }
    if shares is not None:
        record["features"] = {
            "base": number(shares.base),
            "logit": number(shares.logit),
            "contributions": [
                {
                    "name": part.feature,
                    "words": feature_words(part.feature, part.value, leaf.text, shares.against),
                    "value": number(part.value),
                    "nats": number(part.nats),
                }
                for part in shares.parts
            ],
        }
    return record


def _or_none(value: float | None) -> float | None:
    return None if value is None else number(value)
