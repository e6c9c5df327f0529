"""Injection operators: reversible, bug-shaped rewrites at the places that `codemlm.sites` finds.

A *rewrite* is one concrete mistake at a site. Each rewrite is reversible and closed: the finders,
run on the rewritten file, list the rewrite that undoes it (tested). They serve training (wrong
leaves), calibration, mining (a real fix is a rewrite's inverse) and evaluation.

Sources: BugLab (arXiv 2105.12787), whose rewrites and their inverses these follow; the kinds'
shares in real one-token fixes from TSSB-3M (arXiv 2201.12046) and PyPIBugs (in the BugLab paper).
Differs in that identifiers of attributes, methods and keyword arguments are covered too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codemlm.sites import KIND_OF_ROLE, Kind, Site, Sites, find_sites, operator_kind
from codemlm.syntax import ParsedFile
from codemlm.types import Span

__all__ = [
    "KIND_OF_ROLE",
    "KIND_WEIGHTS",
    "Kind",
    "Rewrite",
    "Site",
    "Sites",
    "find_sites",
    "operator_kind",
    "rewrites",
    "sample_rewrite",
]

KIND_WEIGHTS: dict[Kind, float] = {
    Kind.VARIABLE: 40.0,
    Kind.ATTRIBUTE: 13.0,
    Kind.FUNCTION: 12.0,
    Kind.KEYWORD_ARGUMENT: 3.0,
    Kind.COMPARISON: 7.0,
    Kind.IDENTITY: 2.0,
    Kind.MEMBERSHIP: 1.5,
    Kind.BOOLEAN_OPERATOR: 4.0,
    Kind.ARITHMETIC: 2.5,
    Kind.AUGMENTED: 0.5,
    Kind.CONSTANT: 4.0,
    Kind.NUMBER: 7.0,
    Kind.ARGUMENT_SWAP: 4.0,
    Kind.OPERAND_SWAP: 2.0,
    Kind.NEGATION_ADDED: 1.0,
    Kind.NEGATION_DROPPED: 1.5,
}
"""How often each kind is chosen, in per cent: between TSSB-3M's shares (identifier 33, function 19,
attribute 15, number 14, boolean 5, binary operator 4, keyword 3, unary 2, swap 1) and PyPIBugs'
(variable 54, comparison 17, swap 12, boolean operator 8)."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A concrete mistake: edits of disjoint spans in source order.

    Attributes:
        kind: the mistake that ``apply`` makes.
        edits: (span in the old source, new bytes).
    """

    kind: Kind
    edits: tuple[tuple[Span, bytes], ...]

    def apply(self, source: bytes) -> bytes:
        """``source`` with the mistake in it."""
        parts, position = [], 0
        for span, text in self.edits:
            parts += [source[position : span.start], text]
            position = span.end
        return b"".join(parts) + source[position:]

    def inverse(self, source: bytes) -> Rewrite:
        """The rewrite that turns ``apply(source)`` back into ``source``."""
        shift, edits = 0, []
        for span, text in self.edits:
            start = span.start + shift
            edits.append((Span(start, start + len(text)), source[span.start : span.end]))
            shift += len(text) - len(span)
        opposite = {
            Kind.NEGATION_ADDED: Kind.NEGATION_DROPPED,
            Kind.NEGATION_DROPPED: Kind.NEGATION_ADDED,
        }
        return Rewrite(opposite.get(self.kind, self.kind), tuple(edits))


def rewrites(parsed: ParsedFile, sites: Sites, site: Site) -> Iterator[Rewrite]:
    """The rewrites of one site, likelier ones first."""
    span = _span(parsed, site.leaf)
    if site.kind in (Kind.ARGUMENT_SWAP, Kind.OPERAND_SWAP):
        other = _span(parsed, site.other)
        first = parsed.source[span.start : span.end]
        second = parsed.source[other.start : other.end]
        yield Rewrite(site.kind, ((span, second), (other, first)))
    elif site.kind is Kind.NEGATION_ADDED:
        word = parsed.language.negation.encode() + b" "
        yield Rewrite(site.kind, ((Span(span.start, span.start), word),))
    elif site.kind is Kind.NEGATION_DROPPED:
        end = int(parsed.starts[site.leaf + 1])
        yield Rewrite(site.kind, ((Span(span.start, end), b""),))
    else:
        for text in sites.alternatives(site, parsed.text(site.leaf)):
            kind: Kind = site.kind
            if kind is Kind.COMPARISON:  # == for is, or for in, is named by the rarer class
                kind = operator_kind(parsed.language, text) or kind
            yield Rewrite(kind, ((span, text.encode()),))


def sample_rewrite(
    parsed: ParsedFile, sites: Sites, rng: np.random.Generator, kind: Kind | None = None
) -> tuple[Site, Rewrite] | None:
    """One random mistake: a possible kind by ``KIND_WEIGHTS``, then a site, then a text.

    Near choices are taken three times in four where there are any. None if the file has no site.
    """
    by_kind: dict[Kind, list[Site]] = defaultdict(list)
    for site in sites.sites:
        by_kind[site.kind].append(site)
    kinds = [k for k in by_kind if kind is None or k is kind]
    if not kinds:
        return None
    weights = np.array([KIND_WEIGHTS[k] for k in kinds])
    chosen = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    site = by_kind[chosen][int(rng.integers(len(by_kind[chosen])))]
    options = list(rewrites(parsed, sites, site))
    if not options:
        return None
    shown = parsed.text(site.leaf)
    near = [t for t in (sites.choices[site.near] if site.near >= 0 else ()) if t != shown]
    count = len(near) if near and rng.random() < 0.75 else len(options)
    return site, options[int(rng.integers(min(count, len(options))))]


def _span(parsed: ParsedFile, leaf: int) -> Span:
    return Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
