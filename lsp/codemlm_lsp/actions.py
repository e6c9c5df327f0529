"""The lightbulb: put a suggestion in place, silence a finding, or explain it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from lsprotocol import types

from codemlm.edits import choose, is_safe
from codemlm.findings import Finding
from codemlm.pragmas import ANY_LINE, pragmas_of
from codemlm.rules import UNUSED_PRAGMA
from codemlm.syntax import ParsedFile
from codemlm.types import Role, Span
from codemlm_lsp.analysis import Known, findings_of
from codemlm_lsp.baselines import names_of
from codemlm_lsp.diagnostics import Client, Edit, finding_at, fixes
from codemlm_lsp.documents import Snapshot, Store

EXPLAIN, ADD_TO_BASELINE = "codemlm.explain", "codemlm.addToBaseline"
FIX_ALL = f"{types.CodeActionKind.SourceFixAll.value}.codemlm"
_CODES = re.compile(rb"codemlm:[ \t]*ignore[ \t]*\[([^\]\r\n]*)\]", re.IGNORECASE)
_HEAD = re.compile(rb"(?:#![^\r\n]*(?:\r\n|\r|\n))?(?:#[^\r\n]*coding[:=][^\r\n]*(?:\r\n|\r|\n))?")
_MULTILINE = (int(Role.STRING), int(Role.FSTRING))


def actions_for(
    known: Known,
    uri: str,
    where: types.Range,
    context: types.CodeActionContext,
    store: Store,
    client: Client,
) -> list[types.CodeAction]:
    """What can be done about the findings in a range.

    Args:
        known: the result for the current version.
        uri: of the document.
        where: the range in it.
        context: the client's diagnostics there, and the kinds it wants.
        store: for the documents' versions.
        client: what the client can take.
    """
    view, snapshot = known.view, known.snapshot
    first = snapshot.offset(uri, where.start, client.encoding)
    last = snapshot.offset(uri, where.end, client.encoding)
    wanted = context.only
    if view is None or first is None or last is None:
        return []
    found: list[types.CodeAction] = []
    if wanted is not None and any(_covers(kind, FIX_ALL) for kind in wanted):
        found += _fix_all(known, store, client)
    quick = types.CodeActionKind.QuickFix
    if wanted is not None and not any(_covers(kind, quick) for kind in wanted):
        return found
    for finding in finding_at(known, (min(first, last), max(first, last))):
        shown = _shown(snapshot, finding, context.diagnostics, client.encoding)
        edits = [*fixes(view.parsed, finding), *_silencing(view.parsed, snapshot, finding)]
        found += [
            types.CodeAction(
                title=edit.title,
                kind=quick,
                diagnostics=shown or None,
                edit=_workspace_edit(edit, snapshot, store, client),
                is_preferred=edit.is_preferred or None,
            )
            for edit in edits
        ]
        place = snapshot.place(finding.span, client.encoding)
        at = place.range.start
        explained = [finding.rule, place.uri, at.line, at.character]
        commands: list[tuple[str, str, list[Any]]] = []
        commands.append((f"Explain {finding.rule} here", EXPLAIN, explained))
        if known.baseline is not None and known.whole is not None:
            name = names_of(known.whole)[finding.rule, finding.leaf]
            commands.insert(0, ("Add to the baseline", ADD_TO_BASELINE, [uri, name]))
        found += [
            types.CodeAction(
                title, quick, shown or None, command=types.Command(title, name, arguments=given)
            )
            for title, name, given in commands
        ]
    return found


def _fix_all(known: Known, store: Store, client: Client) -> list[types.CodeAction]:
    """All edits that cannot change what the program does, as one; none where there are none."""
    chosen = choose([f for f in findings_of(known) if is_safe(f)])
    if not chosen:
        return []
    title = "codemlm: remove comments that are not needed"
    changes = tuple(change for finding in chosen for change in finding.edits)
    edit = _workspace_edit(Edit(title, changes), known.snapshot, store, client)
    return [types.CodeAction(title, FIX_ALL, edit=edit)]


def _covers(kind: str, other: str) -> bool:
    """Whether asking for a kind asks for another one, too: for what is below it."""
    return kind in ("", other) or other.startswith(f"{kind}.")


def _shown(
    snapshot: Snapshot, finding: Finding, given: Sequence[types.Diagnostic], encoding: str
) -> list[types.Diagnostic]:
    """The client's diagnostics that show a finding."""
    where = snapshot.place(finding.span, encoding).range
    return [d for d in given if d.code == finding.rule and d.range == where]


def _silencing(parsed: ParsedFile, snapshot: Snapshot, finding: Finding) -> Iterator[Edit]:
    """Edits that add a comment on the finding's line, and at the file's head."""
    begin, _, text = snapshot.part_of(finding.span.start)
    line = text.index.line_of(finding.span.start - begin)
    start = text.index.starts[line - 1]
    content = text.index.line_bytes(line)
    end = begin + start + len(content)
    pragma = _CODES.search(content)
    title = f"Ignore {finding.rule} here"
    if finding.rule == UNUSED_PRAGMA:
        pass  # it is about a comment, which is easier taken away than silenced
    elif pragma is not None:
        place = begin + start + pragma.end(1)
        codes = b", " if pragma[1].strip() else b""
        yield Edit(title, ((Span(place, place), codes + finding.rule.encode()),))
    elif not content.endswith(b"\\") and not _inside_string(parsed, end):
        comment = f"  # codemlm: ignore[{finding.rule}]".encode()
        yield Edit(title, ((Span(end, end), comment),))
    if any(pragma.line == ANY_LINE for pragma in pragmas_of(parsed).found):
        return  # one such comment at the head is enough; its codes are edited by hand
    part = begin if snapshot.is_notebook else 0
    head = _HEAD.match(text.source)
    place = part + (0 if head is None else head.end())
    newline = b"\r\n" if b"\r\n" in text.source else b"\n"
    comment = f"# codemlm: ignore-file[{finding.rule}]".encode() + newline
    where = "notebook" if snapshot.is_notebook else "file"
    yield Edit(f"Ignore {finding.rule} in this {where}", ((Span(place, place), comment),))


def _inside_string(parsed: ParsedFile, offset: int) -> bool:
    """Whether a comment at ``offset`` would be part of a string."""
    inside = (parsed.starts < offset) & (parsed.ends > offset)
    return bool(np.isin(parsed.roles[inside], _MULTILINE).any())


def _workspace_edit(
    edit: Edit, snapshot: Snapshot, store: Store, client: Client
) -> types.WorkspaceEdit:
    by_uri: dict[str, list[types.TextEdit]] = {}
    for span, put in edit.changes:
        place = snapshot.place(span, client.encoding)
        by_uri.setdefault(place.uri, []).append(types.TextEdit(place.range, put.decode("utf-8")))
    if not client.versioned_edits:
        return types.WorkspaceEdit(changes=by_uri)
    return types.WorkspaceEdit(
        document_changes=[
            types.TextDocumentEdit(
                types.OptionalVersionedTextDocumentIdentifier(uri, store.documents[uri].version),
                edits,
            )
            for uri, edits in by_uri.items()
            if uri in store.documents
        ]
    )
