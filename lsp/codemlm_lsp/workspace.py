"""Diagnostics of files that are not open: the whole workspace, with progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.uris import from_fs_path

from codemlm.discovery import Discovery, Target
from codemlm.errors import CodemlmError
from codemlm.scanner import FileResult
from codemlm.syntax import parse
from codemlm_lsp.diagnostics import diagnostic
from codemlm_lsp.documents import Text, path_of
from codemlm_lsp.progress import Progress

if TYPE_CHECKING:
    from codemlm_lsp.server import CodemlmServer


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What was found in a file.

    Attributes:
        state: modification time and size of the file, and generation of the settings.
        diagnostics: to show.
    """

    state: tuple[int, int, int]
    diagnostics: list[types.Diagnostic]

    @property
    def result_id(self) -> str:
        """Names the result: the same for the same file and settings."""
        return "-".join(map(str, self.state))


class Workspace:
    """Scans the files of the workspace's folders.

    Args:
        server: whose client is told.
    """

    def __init__(self, server: CodemlmServer) -> None:
        self._server = server
        self._known: dict[str, OnDisk] = {}
        self._sent: set[str] = set()

    async def scan(
        self, token: types.ProgressToken | None = None
    ) -> AsyncIterator[tuple[str, OnDisk]]:
        """Files that are not open, by URI, with what is found in them.

        Args:
            token: of a progress that the client began; None: one is asked for.
        """
        progress = Progress(self._server, "codemlm: scanning", "file", token)
        paths = await asyncio.to_thread(self._paths)
        await progress.begin(len(paths))
        try:
            for done, path in enumerate(paths, start=1):
                if progress.cancelled:
                    return
                uri = str(from_fs_path(path))
                if uri not in self._server.store.documents:
                    found = await self._of_file(uri, path)
                    if found is not None:
                        yield uri, found
                progress.report(done, len(paths))
        finally:
            self._server.analyst.files_done()
            progress.end()

    async def push(self) -> tuple[int, int]:
        """Scans, and sends what is found to the client; returns how many findings, and files."""
        findings, files, sent = 0, 0, set()
        async for uri, found in self.scan():
            files += 1
            findings += len(found.diagnostics)
            if found.diagnostics or uri in self._sent:
                self._server.show(uri, None, found.diagnostics)
            if found.diagnostics:
                sent.add(uri)
        self._sent = sent
        return findings, files

    def take_back(self, uri: str) -> None:
        """Takes back what was sent for a file that is open now, or gone."""
        if uri in self._sent:
            self._sent.discard(uri)
            if self._server.pulls:  # a client that is sent results gets the new ones soon
                self._server.show(uri, None, [])

    async def changed(self, uri: str) -> None:
        """Scans a file again that changed on disk, if the client was shown the last result."""
        path = path_of(uri)
        if uri not in self._sent or path is None or uri in self._server.store.documents:
            return
        found = await self._of_file(uri, path)
        self._server.analyst.files_done()
        self._server.show(uri, None, [] if found is None else found.diagnostics)

    def _paths(self) -> list[str]:
        folders, rules = list(self._server.folders), self._server.walk_rules
        return [t.path for t in Discovery(rules).files(folders) if isinstance(t, Target)]

    async def _of_file(self, uri: str, path: str) -> OnDisk | None:
        server = self._server
        try:
            entry = Path(path).stat()
        except (OSError, ValueError):
            return None
        state = (entry.st_mtime_ns, entry.st_size, server.analyst.generation)
        known = self._known.get(uri)
        if known is not None and known.state == state:
            return known
        try:
            result = await server.analyst.scan_file(path)
        except CodemlmError as error:
            server.tell_once(types.MessageType.Error, f"codemlm: {error}")
            return None
        diagnostics = []
        if isinstance(result, FileResult) and result.findings:
            text, parsed = Text(result.source), parse(result.source)
            for finding in sorted(result.findings, key=lambda f: f.span.start):
                where = text.range(finding.span, server.client.encoding)
                diagnostics.append(diagnostic(parsed, finding, where, server.client, server.links))
        self._known[uri] = OnDisk(state, diagnostics)
        return self._known[uri]
