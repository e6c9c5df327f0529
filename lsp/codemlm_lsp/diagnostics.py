"""Findings as diagnostics: where, how serious, why, and what to put there instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lsprotocol import types

from codemlm.findings import Finding, Suggestion, percent
from codemlm.members import MEMBER_ROLES
from codemlm.positions import LineIndex
from codemlm.report import number
from codemlm.rules import UNKNOWN, UNUSED_PRAGMA
from codemlm.scopes import lookup_order
from codemlm.suggestions import edits_of
from codemlm.syntax import ParsedFile
from codemlm.types import BINDING_ROLES, DELETE_TEXT, NAME_ROLES, NEGATE_TEXT, Role, Span
from codemlm_lsp.analysis import Known, findings_of
from codemlm_lsp.documents import Snapshot

SOURCE = "codemlm"
MAX_EVIDENCE = 3
SURE = 0.8
"""Confidence from which a finding is a warning."""
CLEAR = 0.9
"""Likelihood from which the first of several suggestions needs no look at the others."""
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
        markup: how hovers are written: in Markdown, which can be read as it is, too.
    """

    encoding: str = types.PositionEncodingKind.Utf16.value
    related: bool = False
    links: bool = False
    tags: bool = False
    versioned_edits: bool = False
    markup: types.MarkupKind = types.MarkupKind.Markdown


@dataclass(frozen=True, slots=True)
class Edit:
    """One way to mend a finding.

    Attributes:
        title: for people.
        changes: what is replaced, in source order.
        is_preferred: whether a key that applies fixes unseen may apply this one.
    """

    title: str
    changes: tuple[tuple[Span, bytes], ...]
    is_preferred: bool = False


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
    superfluous = any(s.text == DELETE_TEXT for s in finding.suggestions[:1])
    superfluous |= finding.rule == UNUSED_PRAGMA
    return types.Diagnostic(
        range=where,
        message=finding.message,
        severity=severity(finding),
        code=finding.rule,
        code_description=types.CodeDescription(link) if link else None,
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if superfluous and client.tags else None,
        data={
            "rule": finding.rule,
            "confidence": number(finding.confidence),
            "likelihood": number(finding.likelihood),
            "suggestions": [
                {
                    "text": suggestion.text,
                    "likelihood": number(suggestion.likelihood),
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
    if finding.rule == UNUSED_PRAGMA:
        return types.DiagnosticSeverity.Information
    if finding.rule in UNKNOWN:
        return types.DiagnosticSeverity.Error
    if finding.confidence >= SURE:
        return types.DiagnosticSeverity.Warning
    if finding.confidence >= 0.5:
        return types.DiagnosticSeverity.Information
    return types.DiagnosticSeverity.Hint


def fixes(parsed: ParsedFile, finding: Finding) -> list[Edit]:
    """One edit a suggestion, best first; a swap has one in all."""
    if finding.other is not None:
        other = parsed.source[finding.other.start : finding.other.end].decode("utf-8")
        return [Edit(f"Swap `{finding.text}` and `{other}`", finding.edits)]
    if finding.rule == UNUSED_PRAGMA:
        some_stay = any(new for _, new in finding.edits)
        title = "Remove the codes that are not needed" if some_stay else "Remove the comment"
        return [Edit(title, finding.edits, is_preferred=True)] if finding.edits else []
    return [
        Edit(
            _title(finding.text, suggestion),
            edits_of(parsed, finding.leaf, suggestion.text),
            is_preferred=place == 0 and is_clear(finding),
        )
        for place, suggestion in enumerate(finding.suggestions)
    ]


def is_clear(finding: Finding) -> bool:
    """Whether the first suggestion may be applied without a look at the others.

    Of the model's findings none may, as on the command line: what stands there runs, and means
    something. What is unknown ends the program, so that a good guess is no loss.
    """
    if finding.rule not in UNKNOWN or finding.confidence < SURE:
        return False
    return len(finding.suggestions) == 1 or finding.suggestions[0].likelihood >= CLEAR


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
    """Places that speak for the suggestion: where its name is bound, and its nearest uses.

    What means the same name at the finding's place goes first: names of other functions may only
    be spelt alike.
    """
    found: list[tuple[Span, str]] = []
    if finding.other is not None:
        found.append((finding.other, "would change places with this"))
    uses = _uses(parsed, finding)
    index = LineIndex(parsed.source)
    seen = {index.line_of(finding.span.start)}
    # The nearest binding first, then what is nearest.
    bindings = [use for use in uses if use.is_binding and not use.is_elsewhere]
    first = min(bindings, default=None)
    for use in [*([first] if first else []), *sorted(uses)]:
        span = Span(int(parsed.starts[use.leaf]), int(parsed.ends[use.leaf]))
        line = index.line_of(span.start)
        if line in seen or len(found) >= MAX_EVIDENCE:
            continue
        seen.add(line)
        verb = "bound" if use.is_binding else "used"
        found.append((span, f"`{parsed.text(use.leaf)}` is {verb} here"))
    return found


class _Use(NamedTuple):
    """An occurrence of a name; the best evidence first."""

    is_elsewhere: bool
    distance: int
    leaf: int
    is_binding: bool


def _uses(parsed: ParsedFile, finding: Finding) -> list[_Use]:
    """Occurrences of the name that is suggested; members are none of a variable, nor vice versa."""
    if not finding.suggestions:
        return []
    owner, dot, name = finding.suggestions[0].text.rpartition(parsed.language.member_access)
    if name not in parsed.texts or (dot and not owner):
        return []
    is_member = bool(dot) or finding.role in MEMBER_ROLES
    same = (parsed.text_ids == parsed.texts.index(name)) & np.isin(parsed.roles, _NAMES)
    home = _Homes(parsed, name, is_member=is_member)
    scopes = parsed.scopes_of.tolist()
    here = home.of(scopes[finding.leaf])
    found = []
    for leaf in np.flatnonzero(same).tolist():
        role = Role(parsed.leaf_roles[leaf])
        if (role in MEMBER_ROLES) != is_member and finding.role != Role.KEYWORD_ARGUMENT:
            continue
        is_elsewhere = home.of(scopes[leaf]) != here
        distance = abs(leaf - finding.leaf)
        is_binding = role in BINDING_ROLES or role is Role.ATTRIBUTE_BINDING
        found.append(_Use(is_elsewhere, distance, leaf, is_binding))
    return found


class _Homes:
    """The scope whose name is meant where a name is read, or the class whose member is.

    Args:
        parsed: the file.
        name: the name.
        is_member: whether it is a member's.
    """

    def __init__(self, parsed: ParsedFile, name: str, *, is_member: bool) -> None:
        self._parsed, self._text, self._is_member = parsed, parsed.texts.index(name), is_member

    def of(self, scope: int) -> int:
        """Of a use in a scope; -1: no scope of the file."""
        scopes = self._parsed.scopes
        if self._is_member:
            while scope >= 0 and scopes[scope].kind != "class":
                scope = scopes[scope].parent
            return scope
        order = lookup_order(self._parsed, scope)
        return next((one for one in order if self._text in scopes[one].bindings), -1)


def finding_at(known: Known, span: tuple[int, int]) -> Sequence[Finding]:
    """Findings that a range of the source touches."""
    first, last = span
    return [f for f in findings_of(known) if f.span.start <= last and f.span.end >= first]
