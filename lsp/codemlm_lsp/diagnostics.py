"""Findings as diagnostics: where, how serious, why, and what to put there instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lsprotocol import types

from codemlm.findings import Finding, Suggestion, percent
from codemlm.positions import LineIndex
from codemlm.rules import UNKNOWN
from codemlm.scoring import DELETE_TEXT, NEGATE_TEXT
from codemlm.suggestions import edits_of
from codemlm.syntax import ParsedFile
from codemlm.types import BINDING_ROLES, NAME_ROLES, Role, Span
from codemlm_lsp.analysis import Known, findings_of
from codemlm_lsp.documents import Snapshot

SOURCE = "codemlm"
MAX_EVIDENCE = 3
_BINDS = [int(role) for role in BINDING_ROLES]
_NAMES = [int(role) for role in NAME_ROLES]


@dataclass(frozen=True, slots=True)
class Client:
    """What the client can show.

    Attributes:
        encoding: of positions.
        related: whether diagnostics may point to other places.
        links: whether rule codes may be links.
        tags: whether superfluous code may be marked.
        versioned_edits: whether edits may name the version they are for.
    """

    encoding: str = types.PositionEncodingKind.Utf16.value
    related: bool = False
    links: bool = False
    tags: bool = False
    versioned_edits: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """One way to mend a finding.

    Attributes:
        title: for people.
        changes: what is replaced, in source order.
    """

    title: str
    changes: tuple[tuple[Span, bytes], ...]


def diagnostics_of(
    known: Known, client: Client, links: Mapping[str, str]
) -> dict[str, list[types.Diagnostic]]:
    """The diagnostics of each document that belongs to a result, in source order.

    Args:
        known: the result.
        client: what the client can show.
        links: addresses of rules' descriptions, by code.
    """
    snapshot = known.snapshot
    found: dict[str, list[types.Diagnostic]] = {uri: [] for _, uri, _ in snapshot.parts}
    if not snapshot.is_notebook:
        found.setdefault(snapshot.uri, [])
    view = known.view
    if view is None:
        return found
    for finding in sorted(findings_of(known), key=lambda f: f.span.start):
        place = snapshot.place(finding.span, client.encoding)
        related = None
        if client.related:
            places = list(_related(view.parsed, finding, snapshot, client.encoding))
            related = places or None
        one = diagnostic(view.parsed, finding, place.range, client, links)
        one.related_information = related
        found[place.uri].append(one)
    return found


def diagnostic(
    parsed: ParsedFile,
    finding: Finding,
    where: types.Range,
    client: Client,
    links: Mapping[str, str],
) -> types.Diagnostic:
    """A finding as a diagnostic, without other places."""
    link = links.get(finding.rule) if client.links else None
    superfluous = client.tags and any(s.text == DELETE_TEXT for s in finding.suggestions[:1])
    return types.Diagnostic(
        range=where,
        message=finding.message,
        severity=severity(finding),
        code=finding.rule,
        code_description=types.CodeDescription(link) if link else None,
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if superfluous else None,
        data={
            "rule": finding.rule,
            "confidence": round(finding.confidence, 4),
            "likelihood": round(finding.likelihood, 6),
            "suggestions": [
                {
                    "text": suggestion.text,
                    "likelihood": round(suggestion.likelihood, 6),
                    "title": edit.title,
                }
                for suggestion, edit in zip(
                    finding.suggestions, fixes(parsed, finding), strict=False
                )
            ],
        },
    )


def severity(finding: Finding) -> types.DiagnosticSeverity:
    """How loudly to say it: what ends the program is an error; the rest goes by confidence."""
    if finding.rule in UNKNOWN:
        return types.DiagnosticSeverity.Error
    if finding.confidence >= 0.8:
        return types.DiagnosticSeverity.Warning
    if finding.confidence >= 0.5:
        return types.DiagnosticSeverity.Information
    return types.DiagnosticSeverity.Hint


def fixes(parsed: ParsedFile, finding: Finding) -> list[Edit]:
    """One edit a suggestion, best first; a swap has one in all."""
    if finding.other is not None:
        other = parsed.source[finding.other.start : finding.other.end].decode("utf-8")
        return [Edit(f"Swap `{finding.text}` and `{other}`", finding.edits)]
    return [
        Edit(
            _title(finding.text, suggestion),
            edits_of(parsed, finding.leaf, suggestion.text),
        )
        for suggestion in finding.suggestions
    ]


def _title(shown: str, suggestion: Suggestion) -> str:
    chance = f" ({percent(suggestion.likelihood)})" if suggestion.likelihood > 0 else ""
    if suggestion.text == NEGATE_TEXT:
        return f"Put `not` before `{shown}`{chance}"
    if suggestion.text == DELETE_TEXT:
        return f"Remove `{shown}`{chance}"
    return f"Replace `{shown}` with `{suggestion.text}`{chance}"


def _related(
    parsed: ParsedFile, finding: Finding, snapshot: Snapshot, encoding: str
) -> Iterator[types.DiagnosticRelatedInformation]:
    for span, message in evidence(parsed, finding):
        place = snapshot.place(span, encoding)
        location = types.Location(place.uri, place.range)
        yield types.DiagnosticRelatedInformation(location, message)


def evidence(parsed: ParsedFile, finding: Finding) -> list[tuple[Span, str]]:
    """Places that speak for the suggestion: where its name is bound, and its nearest uses."""
    found: list[tuple[Span, str]] = []
    if finding.other is not None:
        found.append((finding.other, "would change places with this"))
    if not finding.suggestions or finding.suggestions[0].text not in parsed.texts:
        return found
    name = finding.suggestions[0].text
    same = parsed.text_ids == parsed.texts.index(name)
    uses = np.flatnonzero(same & np.isin(parsed.roles, _NAMES))
    index = LineIndex(parsed.source)
    seen = {index.line_of(finding.span.start)}
    binding = np.isin(parsed.roles[uses], _BINDS)
    # The nearest binding first, then what is nearest.
    by_distance = np.abs(uses - finding.leaf)
    order = sorted(range(len(uses)), key=lambda i: (not binding[i], by_distance[i]))
    if order and binding[order[0]]:
        order = [order[0], *sorted(order[1:], key=lambda i: by_distance[i])]
    for place in order:
        leaf = int(uses[place])
        line = index.line_of(int(parsed.starts[leaf]))
        if line in seen or len(found) >= MAX_EVIDENCE:
            continue
        seen.add(line)
        span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
        found.append((span, f"`{name}` is {_verb(Role(int(parsed.roles[leaf])))} here"))
    return found


def _verb(role: Role) -> str:
    return "bound" if role in BINDING_ROLES else "used"


def finding_at(known: Known, span: tuple[int, int]) -> Sequence[Finding]:
    """Findings that a range of the source touches."""
    first, last = span
    return [f for f in findings_of(known) if f.span.start <= last and f.span.end >= first]
