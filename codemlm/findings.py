"""Scores of leaves to findings: which suggestions are possible, how sure, and under which rule.

Pure. The single pass proposes leaves (``Doubts.propose``), masking verifies them, and ``judge``
makes a finding of every leaf that has a possible alternative, with a calibrated confidence; the
caller picks a threshold.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codemlm.alternatives import Context
from codemlm.calibration import LOWEST, Calibration, MaskedView
from codemlm.confidence import Doubts
from codemlm.exact import Exact
from codemlm.filters import FILTERS, Filter, drops_any
from codemlm.injection import Kind
from codemlm.rules import (
    ADDED_PREFIX,
    CODE_OF_KIND,
    CROSSED_ARGUMENTS,
    EXACT,
    UNDEFINED_NAME,
    UNKNOWN,
)
from codemlm.scoring import LeafScore
from codemlm.suggestions import (
    Suggestion,
    combine,
    edits_of,
    exact_suggestions,
    given_suggestions,
    likely_suggestions,
    message,
    percent,
    rule_of,
    undefined_suggestions,
)
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import DELETE_TEXT, Role, Span

__all__ = ["Finding", "Suggestion", "judge", "least_by_default", "masked_views", "percent"]


MOST_UNDEFINED = 3
"""Different texts that an exact rule may report in a file, and findings of one of them. Where there
are more, what runs the file probably gives it names (SConstruct, templates, scripts of a shell),
and each is less sure: of 151 real bugs that are undefined names, 148 were in files with at most
three names, and 150 were read once."""


SURE = 0.95
"""Probability of the shown leaf from which the gate contradicts a finding."""
LEAST_AGAINST_GATE = 0.5
"""Least confidence, by default, of findings that the gate contradicts."""
LEAST_AMONG_TWINS = 0.75
"""Least confidence, by default, where a name is to be put in the place of its twin."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")


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
        function: dotted name of the classes and functions around it; empty at the top.
        rests_on: files of the project's other modules that show it, from its root.
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
    function: str = ""
    rests_on: tuple[str, ...] = ()


_LONGEST_QUESTION = 80
"""Characters of a question that is put at the end of a message."""


def judge(
    doubts: Doubts,
    masked: Mapping[int, LeafScore],
    exact: Mapping[int, Exact],
    calibration: Calibration,
    filters: Sequence[Filter] = FILTERS,
    floor: float = 0.0,
) -> list[Finding]:
    """Every leaf that could be a finding, most confident first.

    Args:
        doubts: leaves of the file, by the single pass.
        masked: scores of verified leaves by masking.
        exact: what the exact rules find, by leaf.
        calibration: maps features to confidence.
        filters: what is no finding, whatever the model says; what the exact rules find is certain.
        floor: findings that are less confident are of no interest: nearly all of them.
    """
    suspected, certain = suspect(doubts, masked, exact, calibration, floor)
    found = settle(doubts.context.parsed, suspected, certain, filters)
    return found if floor <= 0 else [f for f in found if f.confidence >= floor]


def suspect(
    doubts: Doubts,
    masked: Mapping[int, LeafScore],
    exact: Mapping[int, Exact],
    calibration: Calibration,
    floor: float = 0.0,
) -> tuple[list[Finding], list[Finding]]:
    """A finding for every leaf that has a possible alternative, and for all that is certain.

    The first half of ``judge``: what ``settle`` takes. With a ``floor``, leaves below it are left
    out, unless they could change places with one above it.
    """
    context = doubts.context
    views = masked_views(doubts, masked)
    confidences = doubts.confidences(calibration, views)
    found: list[Finding] = []
    # A swap is of leaves with the same parent, and may chain: A with B, else B with C.
    nodes = context.parsed.parent_nodes[[score.leaf for score in doubts.scores]]
    wanted = np.isin(nodes, nodes[confidences >= floor])
    for place in np.flatnonzero(wanted).tolist():
        score = doubts.scores[place]
        possible, again = doubts.possible[place], masked.get(score.leaf)
        likelihood, suggestions = combine(score, possible, context, again)
        confidence, verified = float(confidences[place]), score.leaf in views
        found.append(
            _finding(context, score, confidence, likelihood, suggestions, verified=verified)
        )
    reads = Counter((one.rule, context.parsed.text(leaf)) for leaf, one in exact.items())
    rules = Counter(rule for rule, _ in reads)
    certain: list[Finding] = []
    for leaf, one in exact.items():
        many = max(rules[one.rule], reads[one.rule, context.parsed.text(leaf)])
        sure = calibration.undefined if one.confidence is None else one.confidence
        confidence = sure * (share_in_crowd(many) if one.rule in UNKNOWN else 1.0)
        certain.append(_certain(context, leaf, doubts.by_leaf.get(leaf), one, confidence))
    return found, certain


def share_in_crowd(many: int) -> float:
    """What is left of the confidence in a name where so many are like it."""
    return min(1.0, MOST_UNDEFINED / many) ** 2


def least_by_default(finding: Finding, calibration: Calibration) -> float:
    """The confidence from which a finding is reported where nobody asked for another.

    What the file says can outweigh a gate that is sure of what is shown, and on bugs of histories
    it does; on mature code such findings are hardly ever right, and they read like a contradiction
    (`dev/LOG.md`). So they have to be very confident; and so have those of which the same was
    found: that would drop a prefix, or put a name in the place of its twin.
    """
    return max([calibration.threshold, *(least for least, _ in more_asked(finding))])


def more_asked(finding: Finding) -> Iterator[tuple[float, str]]:
    """The confidences that a finding is asked for beyond the default, each with the reason."""
    if finding.rule in EXACT:
        return
    if finding.keep > SURE:
        yield LEAST_AGAINST_GATE, "the gate is sure of what stands here"
    if finding.rule == ADDED_PREFIX:
        yield LEAST_AGAINST_GATE, "the prefix is hardly ever one too many"
    if finding.suggestions and are_twins(finding.text, finding.suggestions[0].text):
        yield LEAST_AMONG_TWINS, "files are full of such pairs of names"


def are_twins(first: str, second: str) -> bool:
    """Whether two names differ by underscores alone (`_size`, `size`), or are one and many.

    Files are full of such pairs, and both are right in most places.
    """
    if first == second:
        return False
    if first.replace("_", "") == second.replace("_", ""):
        return True
    words, others = _words(first), _words(second)
    return len(words) == len(others) and all(map(_is_plural_of, words, others))


def _words(name: str) -> list[str]:
    """The words of a name: `RowsView` has `Rows` and `View`."""
    return _WORDS.findall(name)


def _is_plural_of(one: str, other: str) -> bool:
    """Whether two words are the same, or one of them is the plural of the other."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter) and longer[len(shorter) :].lower() in ("", "s", "es")


def settle(
    parsed: ParsedFile,
    suspected: Sequence[Finding],
    certain: Sequence[Finding],
    filters: Sequence[Filter],
) -> list[Finding]:
    """What filters leave, swaps made one, most confident first.

    Args:
        parsed: the file.
        suspected: findings that filters look at.
        certain: findings that they do not.
        filters: of ``codemlm.filters.FILTERS``.
    """
    drops = drops_any(parsed, filters)
    merged = _merge_swaps(parsed, [*(f for f in suspected if not drops(f)), *certain])
    found = [f for f in merged if f.other is None or not drops(f)]
    return sorted(found, key=lambda f: (-f.confidence, f.leaf))


def masked_views(doubts: Doubts, masked: Mapping[int, LeafScore]) -> dict[int, MaskedView]:
    """What masking says of leaves, once impossible alternatives are left out."""
    context, found = doubts.context, {}
    for score, possible in zip(doubts.scores, doubts.possible, strict=True):
        again = masked.get(score.leaf)
        if again is not None:
            _, suggestions = combine(score, possible, context, again)
            best, text = LOWEST, ""
            for alternative in context.possible(score.leaf, again.alternatives)[:1]:
                best, text = math.log(max(alternative.likelihood, 1e-12)), alternative.text
            found[score.leaf] = MaskedView(again.logp_shown, best, text, suggestions[0].text)
    return found


def _finding(
    context: Context,
    score: LeafScore,
    confidence: float,
    likelihood: float,
    suggestions: tuple[Suggestion, ...],
    *,
    verified: bool,
) -> Finding:
    parsed, leaf = context.parsed, score.leaf
    role = Role(int(parsed.roles[leaf]))
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


def _certain(
    context: Context,
    leaf: int,
    score: LeafScore | None,
    exact: Exact,
    confidence: float,
) -> Finding:
    """What an exact rule finds; the suggestions are ranked."""
    parsed = context.parsed
    suggestions: tuple[Suggestion, ...] = ()
    if exact.candidates is None:
        suggestions = likely_suggestions(context, leaf, score)
    elif exact.rule in UNKNOWN:
        suggest = undefined_suggestions if exact.rule == UNDEFINED_NAME else exact_suggestions
        suggestions = suggest(context, leaf, score, exact.candidates)
    else:
        suggestions = given_suggestions(context, leaf, score, exact.candidates)
    span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
    meant = f"; did you mean `{suggestions[0].text}`?" if suggestions else ""
    if exact.rule == CROSSED_ARGUMENTS:
        meant = "; did you mean them the other way round?"
    elif suggestions and (suggestions[0].text == DELETE_TEXT or len(meant) > _LONGEST_QUESTION):
        meant = ""  # what is wrong says it already
    return Finding(
        rule=exact.rule,
        leaf=leaf,
        span=span,
        text=parsed.text(leaf),
        role=Role(int(parsed.roles[leaf])),
        confidence=confidence,
        likelihood=score.likelihood if score else 0.0,
        keep=score.likelihood if score else float("nan"),
        suggestions=suggestions,
        edits=edits_of(parsed, leaf, suggestions[0].text) if suggestions else (),
        message=f"{exact.says}{meant}",
        verified=True,
        rests_on=tuple(dict.fromkeys(module.path for module in exact.modules if module.path)),
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
            certain = finding.rule == other.rule == CROSSED_ARGUMENTS
            crossed = other.suggestions and all(
                one.suggestions[0].text == two.text
                and (certain or one.suggestions[0].likelihood > one.likelihood)
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
                    rule=CROSSED_ARGUMENTS if certain else CODE_OF_KIND[kind],
                    confidence=best.confidence,
                    edits=(
                        (finding.span, other.text.encode()),
                        (other.span, finding.text.encode()),
                    ),
                    message=finding.message
                    if certain
                    else f"{finding.message}, swapped with `{other.text}`",
                    other=other.span,
                    verified=finding.verified and other.verified,
                )
            )
            break
    return [f for f in findings if f.leaf not in gone] + merged
