"""What the model says of a place: hovers, the heat map as inlay hints, and code lenses."""

from __future__ import annotations

import math
import unicodedata

import numpy as np
from lsprotocol import types

from codemlm.findings import Finding, percent
from codemlm.rules import RULES
from codemlm.scoring import Alternative, LeafScore
from codemlm.session import View
from codemlm.syntax import ParsedFile
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, Role, Span
from codemlm_lsp.analysis import Known, findings_of

MAX_ROWS = 5
HEAT_BELOW = 0.5
"""Leaves that are likelier than this get no inlay hint."""
REVEAL = "codemlm.reveal"


def leaf_at(parsed: ParsedFile, offset: int) -> int | None:
    """The leaf that holds byte ``offset``, or ends there."""
    leaf = int(np.searchsorted(parsed.starts, offset, side="right")) - 1
    if leaf < 0 or int(parsed.ends[leaf]) < offset:
        return None
    return leaf


def score_of(view: View, leaf: int) -> LeafScore | None:
    """What the scan says of a leaf; of a verified one, what masking says."""
    return view.masked.get(leaf) or view.scores.get(leaf)


def hover_text(known: Known, leaf: int, score: LeafScore | None) -> str | None:
    """A finding with its rule, or the distribution at a leaf, in Markdown; None for neither.

    Args:
        known: the result for the current version.
        leaf: number of the leaf.
        score: what the model says of it.
    """
    view = known.view
    if view is None:
        return None
    shown = view.parsed.text(leaf)
    finding = next((f for f in findings_of(known) if f.leaf == leaf), None)
    if finding is not None:
        rule = RULES[finding.rule]
        about = f"**{rule.code} {rule.name}**: {rule.summary} {rule.why}"
        table = f"{_of_finding(finding)}\n\n" if finding.suggestions else ""
        return f"{_message(finding)}\n\n{table}{about}"
    if score is None or not score.alternatives:
        return None
    return _table(shown, score.likelihood, score.alternatives)


def _message(finding: Finding) -> str:
    return f"{finding.message} (confidence {percent(finding.confidence)})"


def _of_finding(finding: Finding) -> str:
    alternatives = [Alternative(s.text, s.likelihood) for s in finding.suggestions]
    return _table(finding.text, finding.likelihood, alternatives)


def _table(
    shown: str, likelihood: float, alternatives: list[Alternative] | tuple[Alternative, ...]
) -> str:
    rows = [(f"{_code(shown)} (as it stands)", likelihood)]
    rows += [(_meant(shown, a.text), a.likelihood) for a in alternatives]
    ranked = sorted(rows, key=lambda row: -row[1])
    kept = ranked[:MAX_ROWS]
    if rows[0] not in kept:
        kept.append(rows[0])
    return _padded([("here", "likelihood"), *((text, percent(value)) for text, value in kept)])


def _padded(rows: list[tuple[str, str]]) -> str:
    """A Markdown table that can be read as it is, too: its second column is of numbers."""
    left, right = (max(_width(cell) for cell in column) for column in zip(*rows, strict=True))
    lines = [
        f"| {text}{' ' * (left - _width(text))} | {' ' * (right - _width(value))}{value} |"
        for text, value in rows
    ]
    return "\n".join([lines[0], f"| :{'-' * (left - 1)} | {'-' * (right - 1)}: |", *lines[1:]])


def _width(text: str) -> int:
    """Columns that a text takes on a screen of fixed width."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _meant(shown: str, text: str) -> str:
    if text == NEGATE_TEXT:
        return _code(f"not {shown}")
    if text == DELETE_TEXT:
        return f"no {_code(shown)}"
    return _code(text)


def _code(text: str) -> str:
    """Text in a cell of a Markdown table: one short line, with its bars and backticks kept."""
    text = " ".join(text.split())
    text = text if len(text) <= 60 else text[:57] + "..."
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def hints_of(known: Known, uri: str, where: types.Range, encoding: str) -> list[types.InlayHint]:
    """The likelihood after each doubtful leaf in a range."""
    view, snapshot = known.view, known.snapshot
    first = snapshot.offset(uri, where.start, encoding)
    last = snapshot.offset(uri, where.end, encoding)
    if view is None or first is None or last is None:
        return []
    hints = []
    for leaf, score in view.scores.items():
        span = Span(int(view.parsed.starts[leaf]), int(view.parsed.ends[leaf]))
        if score.likelihood >= HEAT_BELOW or not first <= span.start <= last:
            continue
        text = hover_text(known, leaf, score)
        tip = types.MarkupContent(types.MarkupKind.Markdown, text) if text else None
        hints.append(
            types.InlayHint(
                position=snapshot.place(span, encoding).range.end,
                label=percent(score.likelihood),
                tooltip=tip,
                padding_left=True,
            )
        )
    return hints


def lenses_of(known: Known, uri: str, encoding: str) -> list[types.CodeLens]:
    """For each function, its most surprising leaf, and a way to it."""
    view, snapshot = known.view, known.snapshot
    if view is None or not view.scores:
        return []
    parsed = view.parsed
    leaves = np.array(sorted(view.scores))
    likelihoods = np.array([view.scores[leaf].likelihood for leaf in leaves.tolist()])
    starts = parsed.starts[leaves]
    names = np.flatnonzero(parsed.roles == int(Role.DEFINITION))
    lenses = []
    for scope in parsed.scopes:
        inside = np.flatnonzero((starts >= scope.start) & (starts < scope.end))
        name = int(np.searchsorted(parsed.starts[names], scope.start))
        if scope.kind != "function" or not len(inside) or name >= len(names):
            continue
        leaf = int(leaves[inside[int(np.argmin(likelihoods[inside]))]])
        score = view.scores[leaf]
        head = Span(*(int(column[names[name]]) for column in (parsed.starts, parsed.ends)))
        span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
        place, target = (snapshot.place(s, encoding) for s in (head, span))
        if place.uri != uri or head.start >= scope.end:
            continue
        surprise = -math.log2(max(score.likelihood, 1e-6))
        title = f"{surprise:.1f} bits: `{parsed.text(leaf)}` is {percent(score.likelihood)} here"
        at = target.range.start
        command = types.Command(title, REVEAL, arguments=[target.uri, at.line, at.character])
        lenses.append(types.CodeLens(place.range, command))
    return lenses
