"""The server as an editor sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lsprotocol import types

from tests.lsp.harness import BUG, PATIENCE_S, capabilities, server_command, serving

pytestmark = pytest.mark.asyncio
URI = "file:///outside/area.py"


async def test_diagnostics_are_sent_with_all_that_the_client_can_show() -> None:
    async with serving() as editor:
        editor.open(URI, BUG)
        (found,) = await editor.shown(URI)
    assert found.range == types.Range(types.Position(1, 11), types.Position(1, 15))
    assert (found.code, found.source) == ("CM101", "codemlm")
    assert found.severity == types.DiagnosticSeverity.Warning
    assert found.message.startswith("`rows` here is ") and "`cols` is " in found.message
    assert found.code_description is not None
    assert found.code_description.href.endswith("CM101.md")
    assert found.related_information is not None
    (evidence,) = found.related_information
    assert evidence.message == "`cols` is bound here"
    assert evidence.location.range.start == types.Position(0, 15)
    assert found.data is not None
    assert found.data["suggestions"][0]["text"] == "cols"
    assert "%" in found.data["suggestions"][0]["title"]


async def test_an_edit_is_answered_for_its_version_and_a_close_takes_back() -> None:
    async with serving() as editor:
        editor.open(URI, BUG)
        assert len(await editor.shown(URI)) == 1
        for version in range(2, 30):  # all but the last are superseded while they wait
            editor.change(URI, version, ((1, 0), (1, 0), " "))
        editor.change(URI, 30, BUG.replace("return rows", "return cols"))
        versions: list[int | None] = []

        def last(params: types.PublishDiagnosticsParams) -> bool:
            versions.append(params.version)
            return params.version == 30

        assert await editor.shown(URI, last) == []
        assert versions == sorted(versions, key=lambda v: v or 0)
        closed = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(URI))
        editor.text_document_did_close(closed)
        assert await editor.shown(URI) == []


async def test_diagnostics_are_pulled_and_never_sent_to_a_client_that_pulls() -> None:
    async with serving(capabilities(pull=True)) as editor:
        editor.open(URI, BUG)
        report = await editor.pull(URI)
        assert [d.code for d in report.items] == ["CM101"]
        again = await editor.pull(URI, report.result_id)
        assert (again.kind, again.result_id) == ("unchanged", report.result_id)
        editor.change(URI, 2, ((1, 11), (1, 15), "cols"))
        changed = await editor.pull(URI, report.result_id)
        assert (changed.kind, list(changed.items)) == ("full", [])
        assert list((await editor.pull("file:///not/open.py")).items) == []
        assert editor.published.empty()


async def test_a_pull_that_is_overtaken_by_an_edit_shows_the_new_text() -> None:
    async with serving(capabilities(pull=True), options={"debounceMs": 60_000}) as editor:
        editor.open(URI, BUG)
        await editor.pull(URI)
        editor.change(URI, 2, "x = 1\n")
        waiting = asyncio.create_task(editor.pull(URI))
        saved = types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(URI))
        editor.text_document_did_save(saved)  # ends the wait for a pause in typing
        assert list((await waiting).items) == []


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 25), ("utf-16", 20), ("utf-32", 18)])
async def test_columns_are_those_of_the_client(encoding: str, column: int) -> None:
    text = 'def area(rows, cols):\n    return "\U0001f600é\U0001f600", rows\n'
    async with serving(capabilities(encoding=encoding)) as editor:
        editor.open(URI, text)
        (found,) = await editor.shown(URI)
        start = found.range.start
        assert (start.line, start.character) == (1, column)
        editor.change(URI, 2, (found.range.start, found.range.end, "cols"))
        assert await editor.shown(URI, lambda p: p.version == 2) == []


async def test_every_suggestion_is_a_fix_and_findings_can_be_silenced() -> None:
    can = capabilities(workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True))
    async with serving(can) as editor:
        editor.open(URI, BUG, version=7)
        found = await editor.shown(URI)
        actions = await editor.actions(URI, found)
        titles = [action.title for action in actions]
        assert titles[0].startswith("Replace `rows` with `cols` (") and titles[0].endswith("%)")
        assert titles[-3:] == [
            "Ignore CM101 here",
            "Ignore CM101 in this file",
            "Explain CM101 here",
        ]
        assert all(action.kind == "quickfix" for action in actions[:-1])
        assert list(actions[0].diagnostics) == found
        (change,) = actions[0].edit.document_changes
        assert change.text_document.version == 7
        assert [(e.range, e.new_text) for e in change.edits] == [(found[0].range, "cols")]
        (line,) = actions[-3].edit.document_changes[0].edits
        assert (line.range.start, line.new_text) == (
            types.Position(1, 15),
            "  # codemlm: ignore[CM101]",
        )
        editor.change(URI, 8, ((1, 15), (1, 15), line.new_text))
        assert await editor.shown(URI) == []


async def test_hover_shows_the_distribution() -> None:
    async with serving() as editor:
        editor.open(URI, BUG)
        shown = await editor.hover_at(URI, 1, 13)
        assert shown is not None and isinstance(shown.contents, types.MarkupContent)
        table = [line for line in shown.contents.value.splitlines() if line.startswith("|")]
        assert "| `cols`                |" in shown.contents.value
        assert "| `rows` (as it stands) |" in shown.contents.value
        assert len(set(map(len, table))) == 1  # its columns are padded
        assert "variable-misuse" in shown.contents.value
        masked = await editor.hover_at(URI, 0, 5)  # a definition: masked for this hover
        assert masked is not None and "`area` (as it stands)" in str(masked.contents)
        for line, character in [(0, 21), (1, 2), (5, 0), (0, 10**6), (10**6, 10**6)]:
            assert await editor.hover_at(URI, line, character) is None


async def test_heat_map_and_lens_are_off_until_asked_for() -> None:
    everything = types.Range(types.Position(0, 0), types.Position(9, 0))
    document = types.TextDocumentIdentifier(URI)
    hints = types.InlayHintParams(document, everything)
    refresh = types.InlayHintWorkspaceClientCapabilities(refresh_support=True)
    async with serving(capabilities(inlay_hint=refresh), options={"codeLens": True}) as editor:
        editor.open(URI, BUG)
        assert await editor.text_document_inlay_hint_async(hints) is None
        assert await editor.command("codemlm.toggleHeatMap") is True
        assert await editor.asked.get() == types.WORKSPACE_INLAY_HINT_REFRESH
        (hint,) = await editor.text_document_inlay_hint_async(hints) or []
        assert (hint.position, hint.label) == (types.Position(1, 15), "4.7 %")
        lens = types.CodeLensParams(document)
        (one,) = await editor.text_document_code_lens_async(lens) or []
        assert one.command is not None and "`rows` is 4.7 % here" in one.command.title
        assert await editor.command(one.command.command, *(one.command.arguments or []))
        assert editor.revealed[0].selection is not None
        assert editor.revealed[0].selection.start == types.Position(1, 11)
    async with serving() as editor:
        editor.open(URI, BUG)
        assert await editor.text_document_code_lens_async(lens) is None


async def test_the_workspace_is_scanned_with_progress(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        folder.mkdir()
        (folder / "bug.py").write_text(BUG)
    (first / "clean.py").write_text("x = 1\n")
    (second / "binary.py").write_bytes(b"\0\1\2")
    async with serving(capabilities(), folders=(first, second)) as editor:
        answer = await editor.command("codemlm.scanWorkspace")
        assert answer == {"findings": 2, "files": 4}
        assert await editor.said.get() == "codemlm: 2 findings in 4 files"
        found = {p.uri: p.diagnostics for p in [await editor.published.get() for _ in range(2)]}
        assert set(found) == {(f / "bug.py").as_uri() for f in (first, second)}
        kinds = [value["kind"] for value in editor.progressed]
        assert (kinds[0], kinds[-1]) == ("begin", "end") and "report" in kinds
        (first / "bug.py").write_text("x = 1\n")
        (second / "bug.py").unlink()
        changes = [
            types.FileEvent((f / "bug.py").as_uri(), types.FileChangeType.Changed)
            for f in (first, second)
        ]
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(changes))
        for folder in (first, second):
            assert await editor.shown((folder / "bug.py").as_uri()) == []


async def test_the_workspace_can_be_pulled(tmp_path: Path) -> None:
    (tmp_path / "bug.py").write_text(BUG)
    can, options = capabilities(pull=True), {"workspaceDiagnostics": True}
    async with serving(can, options=options, folders=(tmp_path,)) as editor:
        params = types.WorkspaceDiagnosticParams(previous_result_ids=[])
        (report,) = (await editor.workspace_diagnostic_async(params)).items
        assert isinstance(report, types.WorkspaceFullDocumentDiagnosticReport)
        assert [d.code for d in report.items] == ["CM101"]
        known = types.PreviousResultId(report.uri, str(report.result_id))
        params = types.WorkspaceDiagnosticParams(previous_result_ids=[known])
        (again,) = (await editor.workspace_diagnostic_async(params)).items
        assert again.kind == "unchanged"


async def test_settings_come_from_the_client_and_may_change(tmp_path: Path) -> None:
    uri = (tmp_path / "a.py").as_uri()
    async with serving(folders=(tmp_path,), options={"ignor": [], "minConfidence": 7}) as editor:
        assert await editor.said.get() == (
            "codemlm settings: there is no setting 'ignor'; did you mean 'ignore'?"
        )
        assert "the editor's settings: min-confidence" in await editor.said.get()
        editor.open(uri, BUG)
        assert len(await editor.shown(uri)) == 1
        settings = {"codemlm": {"ignore": ["cm1"]}}
        editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))
        assert await editor.shown(uri) == []
    can = capabilities(configuration=True)
    async with serving(can, folders=(tmp_path,), config={"select": ["CM2"]}) as editor:
        editor.open(uri, BUG)
        assert await editor.shown(uri, lambda p: not p.diagnostics) == []
        editor.config = {"minConfidence": 0}
        editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
        assert await editor.shown(uri, lambda p: len(p.diagnostics) == 1)


NOTEBOOK = "file:///outside/grid.ipynb"


async def test_a_notebook_is_one_text() -> None:
    cells = [types.NotebookCell(types.NotebookCellKind.Code, f"cell:{n}") for n in range(3)]
    cells[1].kind = types.NotebookCellKind.Markup
    texts = [
        "%matplotlib inline\ncount = 1\ndef area(rows, cols):\n    return rows",
        "# T",
        "area(1, coutn)",
    ]
    items = [
        types.TextDocumentItem(cell.document, "markdown" if n == 1 else "python", 1, text)
        for n, (cell, text) in enumerate(zip(cells, texts, strict=True))
    ]
    async with serving(capabilities()) as editor:
        book = types.NotebookDocument(NOTEBOOK, "jupyter-notebook", 1, cells)
        editor.notebook_document_did_open(types.DidOpenNotebookDocumentParams(book, items))
        (found,) = await editor.shown("cell:0")
        assert found.range.start == types.Position(3, 11)
        (undefined,) = await editor.shown("cell:2")
        assert (undefined.code, undefined.range.start) == ("CM201", types.Position(0, 8))
        (fix, *_) = await editor.actions("cell:0", [found])
        assert list(fix.edit.changes) == ["cell:0"]
        content = types.NotebookDocumentCellContentChanges(
            types.VersionedTextDocumentIdentifier(2, "cell:2"),
            [types.TextDocumentContentChangeWholeDocument("display(area(1, 2))")],
        )
        changed = types.NotebookDocumentChangeEvent(
            cells=types.NotebookDocumentCellChanges(text_content=[content])
        )
        editor.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(2, NOTEBOOK), changed
            )
        )
        assert await editor.shown("cell:2") == []
        gone = types.NotebookDocumentCellChangeStructure(
            types.NotebookCellArrayChange(0, 1, []),
            did_close=[types.TextDocumentIdentifier("cell:0")],
        )
        changed = types.NotebookDocumentChangeEvent(
            cells=types.NotebookDocumentCellChanges(structure=gone)
        )
        editor.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(3, NOTEBOOK), changed
            )
        )
        assert await editor.shown("cell:0", lambda p: not p.diagnostics) == []


async def test_untitled_and_foreign_and_excluded_texts(tmp_path: Path) -> None:
    async with serving(folders=(tmp_path,)) as editor:
        editor.open("untitled:Untitled-1", BUG)
        assert len(await editor.shown("untitled:Untitled-1")) == 1
        editor.open("file:///a.rs", BUG, language="rust")
        assert await editor.shown("file:///a.rs") == []
        library = (tmp_path / "venv" / "a.py").as_uri()
        editor.open(library, BUG)
        assert await editor.shown(library) == []
        editor.open("file:///huge.py", BUG + "#" * 1_000_001)
        assert await editor.shown("file:///huge.py") == []
        editor.open("file:///binary.py", "\0" + BUG)
        assert await editor.shown("file:///binary.py") == []
        editor.open("file:///bom.py", "\ufeff" + BUG)
        assert len(await editor.shown("file:///bom.py")) == 1
        editor.open("file:///half.py", "x = '\ud800'\n" + BUG)
        assert len(await editor.shown("file:///half.py")) == 1


async def test_configuration_files_hold_and_may_change(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (one / "codemlm.toml").write_text('ignore = ["CM101"]\n')
    (two / "codemlm.toml").write_text('extend-exclude = ["old"]\n')
    async with serving(folders=(one, two)) as editor:
        first, second = (folder / "a.py" for folder in (one, two))
        editor.open(first.as_uri(), BUG)
        assert await editor.shown(first.as_uri()) == []
        editor.open((two / "old" / "a.py").as_uri(), BUG)
        assert await editor.shown((two / "old" / "a.py").as_uri()) == []
        editor.open(second.as_uri(), BUG)
        assert len(await editor.shown(second.as_uri())) == 1
        (one / "codemlm.toml").write_text("ignore = []\n")
        change = types.FileEvent((one / "codemlm.toml").as_uri(), types.FileChangeType.Changed)
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        assert len(await editor.shown(first.as_uri())) == 1
        (one / "codemlm.toml").write_text("ignores = []\n")
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        assert "unknown key 'ignores'; did you mean 'ignore'?" in await editor.said.get()
        assert len(await editor.shown(first.as_uri())) == 1


async def test_status_is_told_to_clients_that_want_it(tmp_path: Path) -> None:
    can = capabilities()
    can.experimental = {"codemlmStatus": True}
    async with serving(can) as editor:
        editor.open(URI, BUG)
        assert await asyncio.wait_for(editor.states.get(), PATIENCE_S) == "ready"
        editor.protocol.notify("codemlm/visible", {"uris": [URI, 7]})
        editor.change(URI, 2, "x = 1\n")
        assert await asyncio.wait_for(editor.states.get(), PATIENCE_S) == "ready"
    command = server_command("codemlm", "--model", str(tmp_path))
    async with serving(can, command=command) as editor:
        editor.open(URI, BUG)
        assert await asyncio.wait_for(editor.states.get(), PATIENCE_S) == "error"


async def test_the_model_is_shown() -> None:
    async with serving() as editor:
        facts = await editor.command("codemlm.showModel")
        assert "error" not in facts
        said = await asyncio.wait_for(editor.said.get(), PATIENCE_S)
        assert all(f"{name}: {value}" in said for name, value in facts.items())


async def test_a_scan_of_the_workspace_can_be_cancelled(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"bug{number}.py").write_text(BUG)
    async with serving(capabilities(), folders=(tmp_path,)) as editor:
        editor.cancels = True
        answer = await editor.command("codemlm.scanWorkspace")
        assert answer["files"] < 300
        assert editor.progressed[-1]["kind"] == "end"


async def test_settings_of_a_restart_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "codemlm.toml").write_text('ignore = ["CM101"]\n')
    uri = (tmp_path / "a.py").as_uri()
    async with serving(folders=(tmp_path,)) as editor:
        editor.open(uri, BUG)
        assert await editor.shown(uri) == []
        (tmp_path / "codemlm.toml").unlink()
        await editor.command("codemlm.restart")
        assert len(await editor.shown(uri)) == 1
