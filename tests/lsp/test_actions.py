"""What the lightbulb offers: which fix is preferred, and what speaks for it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from codemlm.findings import Finding, Suggestion
from codemlm.rules import UNDEFINED_NAME, UNUSED_PRAGMA
from codemlm.syntax import ParsedFile, parse
from codemlm.types import Role, Span
from codemlm_lsp.diagnostics import Client, diagnostic, evidence, fixes, severity
from tests.lsp.harness import BUG, PATIENCE_S, Editor, serving

URI = "file:///outside/area.py"
IDLE = "def area(rows):\n    return 2  # codemlm: ignore\n"


def finding(source: str, shown: str, *suggested: str, nth: int = 0, **more: Any) -> Finding:
    """A finding at the n-th leaf with a text."""
    parsed = parse(source.encode())
    leaf = [i for i in range(len(parsed)) if parsed.text(i) == shown][nth]
    span = Span(int(parsed.starts[leaf]), int(parsed.ends[leaf]))
    suggestions = tuple(Suggestion(text, 0.5 / (i + 1)) for i, text in enumerate(suggested))
    return replace(
        Finding(
            rule="CM101",
            leaf=leaf,
            span=span,
            text=shown,
            role=Role(parsed.leaf_roles[leaf]),
            confidence=0.9,
            likelihood=0.1,
            keep=0.1,
            suggestions=suggestions,
            edits=(),
            message="",
        ),
        **more,
    )


def lines_of(source: str, one: Finding) -> list[tuple[int, str]]:
    """Lines (0-based) of the evidence, and what is said of each."""
    parsed: ParsedFile = parse(source.encode())
    return [
        (parsed.source.count(b"\n", 0, span.start), said) for span, said in evidence(parsed, one)
    ]


def test_evidence_is_of_the_name_that_is_in_reach() -> None:
    source = "cols = 1\n\ndef f(rows):\n    return rows\n\ndef g(cols):\n    return cols\n"
    found = lines_of(source, finding(source, "rows", "cols", nth=1))
    assert found == [
        (0, "`cols` is bound here"),
        (5, "`cols` is bound here"),
        (6, "`cols` is used here"),
    ]
    closer = source.replace("def f(rows):", "def f(rows, cols):")
    assert lines_of(closer, finding(closer, "rows", "cols", nth=1))[0][0] == 2


def test_a_member_is_no_evidence_of_a_variable() -> None:
    source = (
        "class A:\n    def one(self):\n        self.cols = 1\n        self.rows = 2\n\n"
        "def f(rows, cols):\n    g = cols\n    return rows\n"
    )
    found = lines_of(source, finding(source, "rows", "cols", nth=2))
    assert [line for line, _ in found] == [5, 6]
    missing = (
        source + "\nclass B:\n    def two(self):\n        self.rows = 1\n        return rows\n"
    )
    found = lines_of(missing, finding(missing, "rows", "self.rows", nth=4))
    assert found[0] == (11, "`rows` is bound here")


def test_only_what_an_exact_rule_is_sure_of_is_preferred() -> None:
    source = "def area(width):\n    return widht\n"
    parsed = parse(source.encode())
    one = finding(source, "widht", "width", rule=UNDEFINED_NAME)
    assert [edit.is_preferred for edit in fixes(parsed, one)] == [True]
    two = finding(source, "widht", "width", "area", rule=UNDEFINED_NAME)
    assert [edit.is_preferred for edit in fixes(parsed, two)] == [False, False]
    clear = replace(two, suggestions=(Suggestion("width", 0.95), Suggestion("area", 0.01)))
    assert [edit.is_preferred for edit in fixes(parsed, clear)] == [True, False]
    for other in (replace(one, confidence=0.5), replace(one, rule="CM101")):
        assert not any(edit.is_preferred for edit in fixes(parsed, other))


def test_a_comment_that_silences_nothing_has_no_likelihood() -> None:
    source = "x = 1  # codemlm: ignore\n"
    one = finding(source, "# codemlm: ignore", rule=UNUSED_PRAGMA, likelihood=float("nan"))
    where = types.Range(types.Position(0, 7), types.Position(0, 24))
    shown = diagnostic(parse(source.encode()), one, where, Client(tags=True), {})
    assert json.loads(json.dumps(shown.data, allow_nan=False))["likelihood"] is None
    assert shown.tags == [types.DiagnosticTag.Unnecessary]
    assert severity(one) == types.DiagnosticSeverity.Information
    assert fixes(parse(source.encode()), one) == []  # it has no edits


async def asked_for(editor: Editor, *kinds: str) -> list[types.CodeAction]:
    """Code actions of some kinds, for the beginning of a document."""
    at = types.Position(0, 0)
    context = types.CodeActionContext([], only=list(kinds))
    document = types.TextDocumentIdentifier(URI)
    params = types.CodeActionParams(document, types.Range(at, at), context)
    found = await asyncio.wait_for(editor.text_document_code_action_async(params), PATIENCE_S)
    return [one for one in found or [] if isinstance(one, types.CodeAction)]


@pytest.mark.asyncio
async def test_all_that_is_safe_is_fixed_at_once_and_nothing_else() -> None:
    async with serving() as editor:
        offered = editor.offered.code_action_provider
        assert isinstance(offered, types.CodeActionOptions)
        assert "source.fixAll.codemlm" in (offered.code_action_kinds or [])
        editor.open(URI, IDLE + BUG)
        found = await editor.shown(URI)
        assert [d.code for d in found] == ["CM901", "CM101"]
        for kind in ("source", "source.fixAll", "source.fixAll.codemlm"):
            (action,) = await asked_for(editor, kind)
            assert action.edit is not None and action.edit.changes is not None
            (edit,) = action.edit.changes[URI]
            assert (edit.range.start, edit.new_text) == (types.Position(1, 12), "")
        assert await asked_for(editor, "source.organizeImports") == []
        actions = await editor.actions(URI, found)
        assert [a.title for a in actions if a.is_preferred] == ["Remove the comment"]
        assert "Ignore CM901 here" not in [a.title for a in actions]
        hovered = await editor.hover_at(URI, 1, 20)
        assert hovered is not None and "nan" not in str(hovered.contents)
        editor.change(URI, 2, BUG)
        await editor.shown(URI)
        assert await asked_for(editor, "source.fixAll") == []


@pytest.mark.asyncio
async def test_what_the_baseline_knows_is_not_shown_and_the_lightbulb_adds_to_it(
    tmp_path: Path,
) -> None:
    path, baseline = tmp_path / "area.py", tmp_path / "known.json"
    path.write_text(BUG)
    (tmp_path / "codemlm.toml").write_text('baseline = "known.json"\n')
    uri = path.as_uri()
    async with serving(folders=(tmp_path,)) as editor:
        editor.open(uri, BUG + BUG.replace("area", "girth"))
        found = await editor.shown(uri)
        assert len(found) == 2
        actions = await editor.actions(uri, found)
        assert [action.title for action in actions][-2:] == [
            "Add to the baseline",
            "Explain CM101 here",
        ]
        command = actions[-2].command
        assert await editor.command(command.command, *command.arguments) is True
        assert [d.range.start.line for d in await editor.shown(uri)] == [3]
        (entry,) = json.loads(baseline.read_text())["findings"]
        assert (entry["path"], entry["rule"]) == ("area.py", "CM101")
        assert await editor.command(command.command, uri, "no such finding") is False
        assert await editor.command(command.command, uri) is False
        closed = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
        editor.text_document_did_close(closed)
        assert await editor.command("codemlm.scanWorkspace") == {"findings": 0, "files": 1}
        editor.open(uri, BUG)
        assert await editor.shown(uri, lambda p: p.version == 1) == []
        baseline.unlink()  # behind the server
        change = types.FileEvent(baseline.as_uri(), types.FileChangeType.Deleted)
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        assert len(await editor.shown(uri)) == 1
        baseline.write_text("{")
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        await editor.shown(uri, lambda p: not p.diagnostics)
        while "make it anew with --write-baseline" not in await editor.said.get():
            pass


@pytest.mark.asyncio
async def test_without_a_baseline_nothing_is_added_to_one() -> None:
    async with serving() as editor:
        editor.open(URI, BUG)
        found = await editor.shown(URI)
        titles = [action.title for action in await editor.actions(URI, found)]
        assert "Add to the baseline" not in titles
        assert await editor.command("codemlm.addToBaseline", URI, "x") is False
