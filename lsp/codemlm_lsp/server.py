"""The server's state, and how it is run."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from lsprotocol import types
from pygls.exceptions import FeatureRequestError, PyglsError
from pygls.io_ import StdoutWriter, run_async
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter
from pygls.uris import from_fs_path

from codemlm import __version__
from codemlm.config import Config, combine
from codemlm.config import Settings as Effective
from codemlm.config_files import ConfigFiles, environment_layers
from codemlm.discovery import WalkRules
from codemlm.errors import CodemlmError, ConfigError
from codemlm.rule_pages import rule_markdown
from codemlm.rules import RULES
from codemlm_lsp.analysis import Analyst, Known
from codemlm_lsp.diagnostics import Client, diagnostics_of
from codemlm_lsp.documents import Snapshot, Store, path_of
from codemlm_lsp.protocol import Protocol, Reader
from codemlm_lsp.settings import Settings, parse_settings
from codemlm_lsp.worker import Clock, Debouncer, LoopClock, Worker
from codemlm_lsp.workspace import Workspace

PARENT_CHECK_S = 5.0
SWITCH_S = 0.001
"""How long a thread that scans may keep the one that answers waiting: a fifth of what is usual."""
YOUNG = 20_000
"""New objects before a look for cycles: a scan makes many, and no cycles. At the usual 700, such
looks took up to 44 ms of an edit."""
STATUS = "codemlm/status"

NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithCells(
            cells=[types.NotebookCellLanguage(language="python")], notebook="jupyter-notebook"
        ),
        types.NotebookDocumentFilterWithCells(
            cells=[types.NotebookCellLanguage(language="python")], notebook="interactive"
        ),
    ],
)


class CodemlmServer(LanguageServer):
    """One client's server.

    Args:
        clock: what debounces; None: the event loop's.
        base: settings before those of the client.

    Attributes:
        store: what the client has open.
        analyst: scans it.
        client: what the client can show.
        pulls: whether the client asks for diagnostics, rather than being sent them.
        base, initial: settings of the command line, and with what the client said at the start.
        settings: of everything outside the workspace's folders.
        folders: workspace folders (absolute paths) and their settings.
        heat_map: whether inlay hints are shown.
        files: the workspace's files that are not open.
        pages: folder of pages that the client may show; it goes with the server.
        links: addresses of the rules' descriptions, by code.
        exit_code: of the process.
    """

    protocol: Protocol

    def __init__(self, clock: Clock | None = None, base: Settings | None = None) -> None:
        super().__init__(
            "codemlm",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            notebook_document_sync=NOTEBOOKS,
            protocol_cls=Protocol,
            converter_factory=default_converter,
        )
        self.base = base or Settings()
        self.initial = self.settings = self.base
        self.folders: dict[str, Settings] = {}
        self.store = Store()
        self.client = Client()
        self.pulls = False
        self.heat_map = False
        self.exit_code = 1  # until the client says goodbye
        self.worker, self.asker = Worker("codemlm-scan"), Worker("codemlm-ask")
        self.analyst = Analyst(
            self.store,
            self.worker,
            self.asker,
            Debouncer(clock or LoopClock()),
            settings_for=self.settings_for,
            config_for=self.config_for,
            path_of=path_of,
            folder_of=self.folder_of,
            tell=self.publish,
            warn=lambda text: self.tell_once(types.MessageType.Warning, f"codemlm: {text}"),
        )
        self.files = Workspace(self)
        self._configs: dict[str | None, ConfigFiles] = {}
        self._shown: dict[str, set[str]] = {}
        self._early: dict[str, tuple[Snapshot, dict[str, list[types.Diagnostic]]]] = {}
        self._told: set[str] = set()
        self._pages = tempfile.TemporaryDirectory(prefix="codemlm-")
        self.pages = self._pages.name
        self.links = _rule_pages(Path(self.pages))

    # What the client can do, and what it wants

    def supports(self, *path: str) -> bool:
        """Whether a capability of the client is there and not false."""
        value: Any = self.client_capabilities
        for name in path:
            value = getattr(value, name, None)
            if value is None:
                return False
        return value is not False

    @property
    def can_refresh_diagnostics(self) -> bool:
        """Whether the client asks for diagnostics, and can be told to ask again."""
        return self.pulls and self.supports("workspace", "diagnostics", "refresh_support")

    def folder_of(self, path: str | None) -> str | None:
        """The innermost workspace folder that holds a path."""
        if path is None:
            return None
        holding = [f for f in self.folders if PurePath(path).is_relative_to(f)]
        return max(holding, key=len, default=None)

    def settings_for(self, path: str | None) -> Settings:
        """The settings that hold for a path."""
        folder = self.folder_of(path)
        return self.settings if folder is None else self.folders[folder]

    def config_for(self, path: str | None) -> Config:
        """As ``effective_for``, without where the values are from."""
        return self.effective_for(path).config

    def effective_for(self, path: str | None) -> Effective:
        """The configuration for a path: the nearest file's, below what the client set.

        One that cannot be used is shown as a message, and left out.
        """
        folder = self.folder_of(path)
        layers = [*environment_layers(os.environ), self.settings_for(path).layer]
        try:
            if folder not in self._configs:
                self._configs[folder] = ConfigFiles(layers)
            return self._configs[folder].of_file(path or os.path.join(folder or "", "x.py"))  # noqa: PTH118
        except ConfigError as error:
            self.tell_once(types.MessageType.Error, f"codemlm: {error}")
            return combine(layers[-1:])

    def walk_rules(self, folder: str) -> WalkRules:
        """What a scan of the workspace leaves out in a folder."""
        return self.config_for(os.path.join(folder, "x.py")).walk_rules()  # noqa: PTH118

    def read_config_again(self, *, models: bool = False) -> None:
        """Takes note that configuration files changed; with ``models``, models may have, too."""
        self._configs.clear()
        self.forget_messages()
        self.analyst.restart(models=models)
        self.refresh()

    def read_settings(self, given: object, base: Settings) -> Settings:
        """Settings out of what the client sent; what is wrong with them is shown."""
        settings, problems = parse_settings(given, base)
        for problem in problems:
            self.tell_once(types.MessageType.Warning, f"codemlm settings: {problem}")
        return settings

    def apply_settings(self, settings: Settings, folders: Mapping[str, Settings]) -> None:
        """Takes new settings; everything is scanned again if they differ."""
        before = (self.settings, self.folders)
        self.settings, self.folders = settings, dict(folders)
        if before == (self.settings, self.folders):
            return
        self.heat_map = any(s.heat_map for s in (settings, *folders.values()))
        old = _models_of(before[0], *before[1].values())
        new = _models_of(settings, *folders.values())
        self._configs.clear()
        self.analyst.restart(models=old != new)
        self.refresh()

    # What the client is told

    def publish(self, known: Known) -> None:
        """Sends a result to a client that does not ask for it; says what is wrong otherwise."""
        if isinstance(known.outcome, CodemlmError):
            self.tell_once(types.MessageType.Error, f"codemlm: {known.outcome}")
        if known.is_final:
            self.status("error" if isinstance(known.outcome, CodemlmError) else "ready")
        unit = known.snapshot.uri
        early = self._early.pop(unit, None)
        if self.pulls and known.is_final and early is None:
            return
        found = diagnostics_of(known, self.client, self.links)
        if not known.is_final:
            self._early[unit] = (known.snapshot, found)
        elif early is not None and early[0] is known.snapshot:
            if early[1] == found:
                return  # the first look has shown it all
            if self.can_refresh_diagnostics:
                self.workspace_diagnostic_refresh(None)
        if self.pulls:
            return
        for uri in self._shown.get(unit, set()) - found.keys():
            self.show(uri, None, [])
        for uri, diagnostics in found.items():
            document = self.store.documents.get(uri)
            self.show(uri, None if document is None else document.version, diagnostics)
        self._shown[unit] = set(found)

    def show(self, uri: str, version: int | None, diagnostics: list[types.Diagnostic]) -> None:
        """Sends the diagnostics of a document."""
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, diagnostics, version)
        )

    def take_back(self, unit: str) -> None:
        """Takes back what was sent for a unit that was closed."""
        self._early.pop(unit, None)
        for uri in self._shown.pop(unit, set()):
            self.show(uri, None, [])

    def refresh(self) -> None:
        """Asks the client to ask again."""
        if self.can_refresh_diagnostics:
            self.workspace_diagnostic_refresh(None)
        if self.supports("workspace", "inlay_hint", "refresh_support"):
            self.workspace_inlay_hint_refresh(None)
        if self.supports("workspace", "code_lens", "refresh_support"):
            self.workspace_code_lens_refresh(None)

    def tell_once(self, kind: types.MessageType, message: str) -> None:
        """Shows a message, unless it was shown before."""
        if message not in self._told:
            self._told.add(message)
            self.window_show_message(types.ShowMessageParams(kind, message))

    def forget_messages(self) -> None:
        """Lets messages be shown again."""
        self._told.clear()

    def status(self, state: str) -> None:
        """Tells a client that wants to know what the server is about."""
        experimental = self.client_capabilities.experimental
        if isinstance(experimental, dict) and experimental.get("codemlmStatus"):
            self.protocol.notify(STATUS, {"state": state})

    def report_server_error(self, error: Exception, source: type[PyglsError | Exception]) -> None:
        """Logs what went wrong; the server goes on. Requests are answered with the error."""
        if source is FeatureRequestError:
            return
        text = f"codemlm: {type(error).__name__}: {error}"
        sys.stderr.write(" ".join(text.split())[:500] + "\n")

    # Running

    def run_stdio(self) -> int:
        """Serves standard input and output until the client leaves; returns the exit code."""
        stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
        sys.stdout = sys.stderr  # what is printed by mistake must not look like a message
        self.protocol.set_writer(StdoutWriter(stdout))

        async def serve() -> None:
            watch = asyncio.create_task(_watch_parent(lambda: self.process_id))
            await run_async(
                threading.Event(), Reader(stdin), self.protocol, _quiet(), _report(self)
            )
            watch.cancel()

        return self._run(serve())

    def run_tcp(self, host: str, port: int) -> int:
        """Serves one client on a port; returns the exit code.

        Raises:
            OSError: if the port cannot be had.
        """

        async def serve() -> None:
            left = asyncio.Event()

            async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                listener.close()
                self.protocol.set_writer(_SocketWriter(writer))
                try:
                    await run_async(
                        threading.Event(), reader, self.protocol, _quiet(), _report(self)
                    )
                except (ConnectionError, asyncio.IncompleteReadError):
                    pass  # the client is gone
                finally:
                    left.set()

            listener = await asyncio.start_server(connected, host, port, limit=2**26)
            name, number = listener.sockets[0].getsockname()[:2]
            sys.stderr.write(f"codemlm: listening on {name}:{number}\n")
            sys.stderr.flush()
            await left.wait()

        return self._run(serve())

    def _run(self, serving: Any) -> int:
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(YOUNG)
        try:
            asyncio.run(serving)
        except (BrokenPipeError, ConnectionError):
            pass  # the client is gone
        except SystemExit:  # pygls's way to leave
            pass
        finally:
            self.worker.stop()
            self.asker.stop()
            self._pages.cleanup()
        return self.exit_code


class _SocketWriter:
    """A writer that pygls need not wait for."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Queues bytes."""
        self._writer.write(data)

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()


def _models_of(*settings: Settings) -> list[object]:
    return [one.table.get(key) for one in settings for key in ("model", "threads")]


def _rule_pages(folder: Path) -> dict[str, str]:
    """Writes a page for each rule; returns their addresses by code."""
    links = {}
    for code, rule in RULES.items():
        page = folder / f"{code}.md"
        page.write_text(rule_markdown(rule), encoding="utf-8")
        links[code] = str(from_fs_path(str(page)))
    return links


def _quiet() -> logging.Logger:
    """A logger for pygls, whose tracebacks of bad input would fill the client's log."""
    logger = logging.getLogger("pygls")
    if not os.environ.get("CODEMLM_DEBUG"):
        logger.setLevel(logging.CRITICAL + 1)
    return logger


def _report(server: CodemlmServer) -> Callable[[Exception, type[Exception]], None]:
    return server.report_server_error


async def _watch_parent(process: Callable[[], int | None]) -> None:
    """Ends the server once the process that started it is gone, whoever else holds the pipe."""
    while True:
        await asyncio.sleep(PARENT_CHECK_S)
        number = process()
        if number is not None and not _is_alive(number):
            os._exit(1)


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        return True  # there, the pipe breaks with the client
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
