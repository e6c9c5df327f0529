"""Answers to the client's messages: each reads the server's state, or changes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from lsprotocol import types
from pygls.uris import from_fs_path

from codemlm.config_files import OWN_FILE, SHARED_FILE
from codemlm.names_file import FOLDER, NAME
from codemlm.types import Span
from codemlm_lsp.actions import FIX_ALL, actions_for
from codemlm_lsp.analysis import Known
from codemlm_lsp.commands import COMMANDS, scan_workspace
from codemlm_lsp.diagnostics import Client, diagnostics_of
from codemlm_lsp.documents import path_of
from codemlm_lsp.hover import hints_of, hover_text, leaf_at, lenses_of, score_of
from codemlm_lsp.server import CodemlmServer

VISIBLE = "codemlm/visible"
SECTION = "codemlm"


# Beginning and end


def initialize(ls: CodemlmServer, params: types.InitializeParams) -> None:
    """Notes what the client can do and where its folders are."""
    capabilities = params.capabilities
    text = capabilities.text_document
    shown = None if text is None else text.publish_diagnostics
    ls.pulls = text is not None and text.diagnostic is not None
    pulled = text.diagnostic if text is not None and text.diagnostic is not None else shown
    tags = getattr(pulled, "tag_support", None)
    formats = None if text is None or text.hover is None else text.hover.content_format
    plain = formats is not None and types.MarkupKind.Markdown not in formats
    ls.client = Client(
        related=bool(getattr(pulled, "related_information", None)),
        links=bool(getattr(pulled, "code_description_support", None)),
        tags=tags is not None and types.DiagnosticTag.Unnecessary in tags.value_set,
        versioned_edits=ls.supports("workspace", "workspace_edit", "document_changes"),
        encoding=ls.workspace.position_encoding or types.PositionEncodingKind.Utf16.value,
        markup=types.MarkupKind.PlainText if plain else types.MarkupKind.Markdown,
    )
    ls.store.encoding = ls.client.encoding
    settings = ls.read_settings(params.initialization_options, ls.base)
    ls.settings = ls.initial = settings
    ls.heat_map = settings.heat_map
    roots = [folder.uri for folder in params.workspace_folders or []]
    if not roots and params.root_uri is not None:
        roots = [params.root_uri]
    ls.folders = {path: settings for path in map(path_of, roots) if path is not None}
    if ls.pulls:
        options = types.DiagnosticOptions(
            inter_file_dependencies=False,
            workspace_diagnostics=settings.workspace_diagnostics,
            identifier="codemlm",
        )
        ls.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, options)(document_diagnostic)
        if settings.workspace_diagnostics:  # else pygls would offer them, and clients ask for them
            ls.feature(types.WORKSPACE_DIAGNOSTIC)(workspace_diagnostic)


async def initialized(ls: CodemlmServer, params: types.InitializedParams) -> None:
    """Asks to be told of changes, and for the settings of each folder."""
    wanted = []
    if ls.supports("workspace", "did_change_configuration", "dynamic_registration"):
        options: Any = types.DidChangeConfigurationRegistrationOptions(section=SECTION)
        wanted.append((types.WORKSPACE_DID_CHANGE_CONFIGURATION, options))
    if ls.supports("workspace", "did_change_watched_files", "dynamic_registration"):
        options = types.DidChangeWatchedFilesRegistrationOptions(
            [
                types.FileSystemWatcher(glob_pattern="**/*.{py,pyi}"),
                types.FileSystemWatcher(glob_pattern="**/{codemlm,pyproject}.toml"),
                types.FileSystemWatcher(glob_pattern="**/*baseline*.json"),
                types.FileSystemWatcher(glob_pattern=f"**/{FOLDER}/{NAME}"),
            ]
        )
        wanted.append((types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options))
    if wanted:
        registrations = [types.Registration(name, name, options) for name, options in wanted]
        await ls.client_register_capability_async(types.RegistrationParams(registrations))
    await _ask_settings(ls)
    if ls.settings.workspace_diagnostics and not ls.pulls:
        await scan_workspace(ls)


async def _ask_settings(ls: CodemlmServer) -> None:
    """Settings of each folder and of what lies outside, from a client that can be asked."""
    if not ls.supports("workspace", "configuration"):
        return
    scopes: list[str | None] = [None, *ls.folders]
    items = [
        types.ConfigurationItem(
            scope_uri=None if scope is None else from_fs_path(scope), section=SECTION
        )
        for scope in scopes
    ]
    given = await ls.workspace_configuration_async(types.ConfigurationParams(items))
    found = [ls.read_settings(one, ls.initial) for one in given]
    if len(found) == len(scopes):
        ls.apply_settings(found[0], dict(zip(list(ls.folders), found[1:], strict=True)))


def exit_(ls: CodemlmServer, *_: object) -> None:
    """Notes whether the client shut the server down before it left, as it should."""
    ls.exit_code = 0 if ls.protocol._shutdown else 1


async def configuration_changed(
    ls: CodemlmServer, params: types.DidChangeConfigurationParams
) -> None:
    """Takes new settings, whether they are sent or only announced."""
    if ls.supports("workspace", "configuration"):
        await _ask_settings(ls)
        return
    settings = ls.read_settings(params.settings, ls.initial)
    ls.apply_settings(settings, dict.fromkeys(ls.folders, settings))


async def folders_changed(ls: CodemlmServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
    """Takes folders in and out."""
    folders = dict(ls.folders)
    for gone in params.event.removed:
        folders.pop(path_of(gone.uri) or "", None)
    for added in params.event.added:
        path = path_of(added.uri)
        if path is not None:
            folders[path] = ls.settings
    ls.apply_settings(ls.settings, folders)
    await _ask_settings(ls)


async def files_changed(ls: CodemlmServer, params: types.DidChangeWatchedFilesParams) -> None:
    """Scans files again that changed on disk and whose findings are on show."""
    names = {PurePath(path_of(change.uri) or "").name for change in params.changes}
    if names & {OWN_FILE, SHARED_FILE, NAME}:
        ls.read_config_again()
    elif ls.analyst.baselines.paths & {path_of(change.uri) for change in params.changes}:
        ls.analyst.restart()
        ls.refresh()
    for change in params.changes:
        await ls.files.changed(change.uri)


# Texts


def opened(ls: CodemlmServer, params: types.DidOpenTextDocumentParams) -> None:
    """Takes a text and scans it."""
    ls.files.take_back(params.text_document.uri)
    ls.analyst.changed(ls.store.open(params.text_document), at_once=True)


def changed(ls: CodemlmServer, params: types.DidChangeTextDocumentParams) -> None:
    """Edits a text; it is scanned when its user pauses."""
    document = params.text_document
    unit = ls.store.change(document.uri, document.version, params.content_changes)
    if unit is not None:
        ls.analyst.changed(unit)


def saved(ls: CodemlmServer, params: types.DidSaveTextDocumentParams) -> None:
    """Scans at once, if the text's last version was not scanned yet."""
    unit = ls.store.unit_of(params.text_document.uri)
    if unit in ls.store.units() and ls.analyst.latest(unit) is None:
        ls.analyst.changed(unit, at_once=True)


def closed(ls: CodemlmServer, params: types.DidCloseTextDocumentParams) -> None:
    """Forgets a text, and takes its diagnostics back."""
    uri = params.text_document.uri
    ls.store.close(uri)
    ls.analyst.closed(uri)
    ls.take_back(uri)


def notebook_opened(ls: CodemlmServer, params: types.DidOpenNotebookDocumentParams) -> None:
    """Takes a notebook and scans it."""
    ls.analyst.changed(ls.store.open_notebook(params), at_once=True)


def notebook_changed(ls: CodemlmServer, params: types.DidChangeNotebookDocumentParams) -> None:
    """Edits a notebook; it is scanned when its user pauses."""
    unit = ls.store.change_notebook(params)
    if unit is not None:
        ls.analyst.changed(unit)


def notebook_closed(ls: CodemlmServer, params: types.DidCloseNotebookDocumentParams) -> None:
    """Forgets a notebook, and takes its diagnostics back."""
    ls.store.close_notebook(params)
    ls.analyst.closed(params.notebook_document.uri)
    ls.take_back(params.notebook_document.uri)


def visible(ls: CodemlmServer, params: Any) -> None:
    """Notes what is on screen, from a client that says so: ``{"uris": [...]}``."""
    uris = params.get("uris") if isinstance(params, dict) else getattr(params, "uris", None)
    uris = uris if isinstance(uris, list) else []
    ls.analyst.visible({ls.store.unit_of(uri) for uri in uris if isinstance(uri, str)})


# Diagnostics on demand


async def document_diagnostic(
    ls: CodemlmServer, params: types.DocumentDiagnosticParams
) -> types.DocumentDiagnosticReport:
    """The diagnostics of a text's current version."""
    uri = params.text_document.uri
    # A first look will do where the client can be told to ask again.
    final = not ls.can_refresh_diagnostics
    known = await ls.analyst.current(ls.store.unit_of(uri), final=final)
    if known is None:
        return types.RelatedFullDocumentDiagnosticReport([])
    name = f"{known.generation}-{known.snapshot.version}" + ("" if known.is_final else "-early")
    if name == params.previous_result_id:
        return types.RelatedUnchangedDocumentDiagnosticReport(name)
    found = diagnostics_of(known, ls.client, ls.links).get(uri, [])
    return types.RelatedFullDocumentDiagnosticReport(found, result_id=name)


async def workspace_diagnostic(
    ls: CodemlmServer, params: types.WorkspaceDiagnosticParams
) -> types.WorkspaceDiagnosticReport:
    """The diagnostics of all files that are not open, piece by piece where the client can."""
    previous = {given.uri: given.value for given in params.previous_result_ids}
    items: list[types.WorkspaceDocumentDiagnosticReport] = []
    async for uri, found in ls.files.scan(params.work_done_token):
        name = found.result_id
        one: types.WorkspaceDocumentDiagnosticReport
        if previous.get(uri) == name:
            one = types.WorkspaceUnchangedDocumentDiagnosticReport(uri, name)
        else:
            one = types.WorkspaceFullDocumentDiagnosticReport(
                uri, found.diagnostics, result_id=name
            )
        if params.partial_result_token is None:
            items.append(one)
        else:
            part = types.WorkspaceDiagnosticReportPartialResult([one])
            value = ls.protocol._converter.unstructure(part)
            ls.progress(types.ProgressParams(params.partial_result_token, value))
    return types.WorkspaceDiagnosticReport(items)


# At a place


async def hover(ls: CodemlmServer, params: types.HoverParams) -> types.Hover | None:
    """The finding or the distribution at a leaf."""
    known = await _known(ls, params.text_document.uri)
    view = None if known is None else known.view
    if known is None or view is None:
        return None
    encoding = ls.client.encoding
    offset = known.snapshot.offset(params.text_document.uri, params.position, encoding)
    leaf = None if offset is None else leaf_at(view.parsed, offset)
    if leaf is None:
        return None
    score = score_of(view, leaf) or await ls.analyst.mask(known, leaf)
    text = hover_text(known, leaf, score)
    if text is None:
        return None
    span = Span(int(view.parsed.starts[leaf]), int(view.parsed.ends[leaf]))
    content = types.MarkupContent(ls.client.markup, text)
    return types.Hover(content, known.snapshot.place(span, encoding).range)


async def code_action(
    ls: CodemlmServer, params: types.CodeActionParams
) -> list[types.CodeAction] | None:
    """What can be done about the findings in a range."""
    uri = params.text_document.uri
    known = await _known(ls, uri)
    if known is None:
        return None
    return actions_for(known, uri, params.range, params.context, ls.store, ls.client) or None


async def inlay_hint(
    ls: CodemlmServer, params: types.InlayHintParams
) -> list[types.InlayHint] | None:
    """The heat map, while it is on."""
    uri = params.text_document.uri
    known = await _known(ls, uri) if ls.heat_map else None
    return None if known is None else hints_of(known, uri, params.range, ls.client.encoding)


async def code_lens(ls: CodemlmServer, params: types.CodeLensParams) -> list[types.CodeLens] | None:
    """Each function's most surprising leaf, if the settings want it."""
    uri = params.text_document.uri
    if not ls.settings_for(path_of(uri)).code_lens:
        return None
    known = await _known(ls, uri)
    return None if known is None else lenses_of(known, uri, ls.client.encoding)


async def _known(ls: CodemlmServer, uri: str) -> Known | None:
    return await ls.analyst.current(ls.store.unit_of(uri))


FEATURES: dict[str, tuple[Callable[..., Any], Any]] = {
    types.INITIALIZE: (initialize, None),
    types.INITIALIZED: (initialized, None),
    types.EXIT: (exit_, None),
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: (configuration_changed, None),
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: (folders_changed, None),
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: (files_changed, None),
    types.TEXT_DOCUMENT_DID_OPEN: (opened, None),
    types.TEXT_DOCUMENT_DID_CHANGE: (changed, None),
    types.TEXT_DOCUMENT_DID_SAVE: (saved, None),
    types.TEXT_DOCUMENT_DID_CLOSE: (closed, None),
    types.NOTEBOOK_DOCUMENT_DID_OPEN: (notebook_opened, None),
    types.NOTEBOOK_DOCUMENT_DID_CHANGE: (notebook_changed, None),
    types.NOTEBOOK_DOCUMENT_DID_CLOSE: (notebook_closed, None),
    types.TEXT_DOCUMENT_HOVER: (hover, None),
    types.TEXT_DOCUMENT_CODE_ACTION: (
        code_action,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL]),
    ),
    types.TEXT_DOCUMENT_INLAY_HINT: (inlay_hint, None),
    types.TEXT_DOCUMENT_CODE_LENS: (code_lens, None),
    VISIBLE: (visible, None),
}


def make_server(**arguments: Any) -> CodemlmServer:
    """A server with all its answers; arguments as of ``CodemlmServer``."""
    server = CodemlmServer(**arguments)
    for method, (handler, options) in FEATURES.items():
        server.feature(method, options)(handler)
    for name, command in COMMANDS.items():
        server.command(name)(command)
    return server
