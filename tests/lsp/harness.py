"""A real client for the real server, in its own process; it awaits messages and never sleeps."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.protocol import default_converter
from pytest_lsp import LanguageClient

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""Only a server that hangs takes so long."""
BUG = "def area(rows, cols):\n    return rows\n"
"""Of which the fake model dislikes the second ``rows``, and the first is no candidate."""


class Editor(LanguageClient):
    """A client that keeps what it was sent in order."""

    def __init__(self) -> None:
        super().__init__(converter_factory=default_converter)
        self.published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.states: asyncio.Queue[str] = asyncio.Queue()
        self.cancels = False
        self.progressed: list[dict[str, Any]] = []
        self.config: object = None
        self.revealed: list[types.ShowDocumentParams] = []
        self.offered = types.ServerCapabilities()

    async def shown(
        self, uri: str, wanted: Callable[[types.PublishDiagnosticsParams], bool] = lambda _: True
    ) -> list[types.Diagnostic]:
        """Those of the next publication for a document that is as wanted."""
        while True:
            params = await asyncio.wait_for(self.published.get(), PATIENCE_S)
            if params.uri == uri and wanted(params):
                return list(params.diagnostics)

    def open(self, uri: str, text: str, version: int = 1, language: str = "python") -> None:
        """Opens a document."""
        item = types.TextDocumentItem(uri, language, version, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, uri: str, version: int, *changes: Any) -> None:
        """Edits a document: a string is the whole text, else (start, end, text)."""
        events: list[Any] = [
            types.TextDocumentContentChangeWholeDocument(change)
            if isinstance(change, str)
            else types.TextDocumentContentChangePartial(
                types.Range(_position(change[0]), _position(change[1])), change[2]
            )
            for change in changes
        ]
        document = types.VersionedTextDocumentIdentifier(version, uri)
        self.text_document_did_change(types.DidChangeTextDocumentParams(document, events))

    async def pull(self, uri: str, previous: str | None = None) -> Any:
        """The answer to a request for diagnostics."""
        document = types.TextDocumentIdentifier(uri)
        params = types.DocumentDiagnosticParams(document, previous_result_id=previous)
        return await asyncio.wait_for(self.text_document_diagnostic_async(params), PATIENCE_S)

    async def actions(self, uri: str, diagnostics: list[types.Diagnostic]) -> list[Any]:
        """Code actions for the first of the diagnostics."""
        params = types.CodeActionParams(
            types.TextDocumentIdentifier(uri),
            diagnostics[0].range,
            types.CodeActionContext(diagnostics),
        )
        found = await asyncio.wait_for(self.text_document_code_action_async(params), PATIENCE_S)
        return [_action(one) for one in found or []]

    async def actions_at(self, uri: str, line: int, character: int) -> list[Any]:
        """Code actions at a place, of which the client knows no diagnostics."""
        at = types.Position(line, character)
        params = types.CodeActionParams(
            types.TextDocumentIdentifier(uri), types.Range(at, at), types.CodeActionContext([])
        )
        found = await asyncio.wait_for(self.text_document_code_action_async(params), PATIENCE_S)
        return [_action(one) for one in found or []]

    async def hover_at(self, uri: str, line: int, character: int) -> types.Hover | None:
        """What a hover shows."""
        params = types.HoverParams(
            types.TextDocumentIdentifier(uri), types.Position(line, character)
        )
        return await asyncio.wait_for(self.text_document_hover_async(params), PATIENCE_S)

    async def command(self, name: str, *arguments: Any) -> Any:
        """The answer to a command."""
        params = types.ExecuteCommandParams(name, list(arguments))
        return await asyncio.wait_for(self.workspace_execute_command_async(params), PATIENCE_S)


def _action(given: Any) -> types.CodeAction:
    """A code action; the client's library takes one that holds a command for a command."""
    if isinstance(given, types.CodeAction):
        return given
    command = types.Command(**ast.literal_eval(given.command))
    return types.CodeAction(given.title, types.CodeActionKind.QuickFix, command=command)


def _position(place: Any) -> types.Position:
    return place if isinstance(place, types.Position) else types.Position(*place)


def make_editor() -> Editor:
    """An editor that answers what a server may ask."""
    editor = Editor()

    def published(params: types.PublishDiagnosticsParams) -> None:
        editor.published.put_nowait(params)

    def said(params: types.ShowMessageParams) -> None:
        editor.said.put_nowait(params.message)

    def configuration(params: types.ConfigurationParams) -> list[object]:
        return [editor.config for _ in params.items]

    def progress(params: types.ProgressParams) -> None:
        assert isinstance(params.value, dict)
        editor.progressed.append(params.value)
        if editor.cancels and params.value["kind"] == "report":
            editor.window_work_done_progress_cancel(
                types.WorkDoneProgressCancelParams(token=params.token)
            )

    def status(params: Any) -> None:
        editor.states.put_nowait(params.state)

    def refreshed(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            editor.asked.put_nowait(name)

        return note

    def show(params: types.ShowDocumentParams) -> types.ShowDocumentResult:
        editor.revealed.append(params)
        return types.ShowDocumentResult(success=True)

    def nothing(*_: object) -> None:
        return None

    editor.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(published)
    editor.feature(types.WINDOW_SHOW_MESSAGE)(said)
    editor.feature(types.WORKSPACE_CONFIGURATION)(configuration)
    editor.feature(types.PROGRESS)(progress)
    editor.feature("codemlm/status")(status)
    editor.feature(types.WINDOW_SHOW_DOCUMENT)(show)
    editor.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)(nothing)
    editor.feature(types.CLIENT_REGISTER_CAPABILITY)(nothing)
    for name in (
        types.WORKSPACE_DIAGNOSTIC_REFRESH,
        types.WORKSPACE_INLAY_HINT_REFRESH,
        types.WORKSPACE_CODE_LENS_REFRESH,
    ):
        editor.feature(name)(refreshed(name))
    return editor


def environment(**more: str) -> dict[str, str]:
    """Variables of the server's process."""
    paths = [str(ROOT), str(ROOT / "lsp"), str(ROOT / "corpus")]
    kept = {n: v for n, v in os.environ.items() if not n.startswith("CODEMLM_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **more}


def server_command(module: str = "tests.cli.fake", *arguments: str) -> list[str]:
    """How the server is started; by default with a model that is a table."""
    return [sys.executable, "-m", module, "server", *arguments]


PUSH = types.ClientCapabilities(
    text_document=types.TextDocumentClientCapabilities(
        publish_diagnostics=types.PublishDiagnosticsClientCapabilities(
            related_information=True,
            code_description_support=True,
            version_support=True,
            tag_support=types.ClientDiagnosticsTagOptions([types.DiagnosticTag.Unnecessary]),
        ),
        code_action=types.CodeActionClientCapabilities(
            code_action_literal_support=types.ClientCodeActionLiteralOptions(
                types.ClientCodeActionKindOptions([types.CodeActionKind.QuickFix])
            )
        ),
        hover=types.HoverClientCapabilities(content_format=[types.MarkupKind.Markdown]),
    )
)


def capabilities(
    *, pull: bool = False, encoding: str | None = None, **workspace: Any
) -> types.ClientCapabilities:
    """Those of an editor, with one or the other way of diagnostics."""
    assert PUSH.text_document is not None
    text = types.TextDocumentClientCapabilities(
        publish_diagnostics=PUSH.text_document.publish_diagnostics,
        code_action=PUSH.text_document.code_action,
        hover=PUSH.text_document.hover,
        inlay_hint=types.InlayHintClientCapabilities(),
        code_lens=types.CodeLensClientCapabilities(),
        diagnostic=types.DiagnosticClientCapabilities() if pull else None,
    )
    general = types.GeneralClientCapabilities(position_encodings=[encoding] if encoding else None)
    return types.ClientCapabilities(
        text_document=text,
        general=general,
        workspace=types.WorkspaceClientCapabilities(**workspace) if workspace else None,
        window=types.WindowClientCapabilities(
            work_done_progress=True,
            show_document=types.ShowDocumentClientCapabilities(support=True),
        ),
        notebook_document=types.NotebookDocumentClientCapabilities(
            types.NotebookDocumentSyncClientCapabilities()
        ),
    )


@asynccontextmanager
async def serving(
    can: types.ClientCapabilities = PUSH,
    *,
    options: Mapping[str, Any] | None = None,
    folders: tuple[Path, ...] = (),
    config: object = None,
    command: list[str] | None = None,
    cache: Path | None = None,
) -> AsyncIterator[Editor]:
    """An editor whose server is started, and shut down in the end; the cache is the tests' own."""
    editor = make_editor()
    editor.config = config
    folder = os.environ["CODEMLM_CACHE_DIR"] if cache is None else str(cache)
    await editor.start_io(*(command or server_command()), env=environment(CODEMLM_CACHE_DIR=folder))
    params = types.InitializeParams(
        capabilities=can,
        initialization_options={"debounceMs": 0, **(options or {})},
        workspace_folders=[types.WorkspaceFolder(f.as_uri(), f.name) for f in folders],
    )
    answer = await asyncio.wait_for(editor.initialize_session(params), PATIENCE_S)
    editor.offered = answer.capabilities
    try:
        yield editor
    finally:
        await asyncio.wait_for(editor.shutdown_session(), PATIENCE_S)
        await editor.stop()
