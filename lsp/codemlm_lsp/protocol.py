"""The message layer: what pygls does differently from what this server needs.

It answers requests that cannot be read (pygls only logs them), leaves texts to `documents` (pygls
cuts lines at form feeds and their like), and refuses to wait for a message that cannot be one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.io_ import StdinAsyncReader
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method

MAX_MESSAGE_BYTES = 256_000_000
"""What announces more is no message of an editor."""

Handling = Generator[tuple[Callable[..., Any], tuple[Any, ...], None], Any, None]


class Protocol(LanguageServerProtocol):
    """Messages to handlers, without texts of its own."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        """As pygls's; a request that cannot be read is answered with an error."""
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "method" in data and isinstance(data.get("id"), int | str):
                self._send_response(data["id"], error=error.to_response_error())
            raise

    def _handed(self, method: str, params: Any) -> Handling:
        yield self.fm.features[method], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Handling:
        """Hands it on."""
        yield from self._handed(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Handling:
        """Hands it on."""
        yield from self._handed(types.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> Handling:
        """Hands it on."""
        yield from self._handed(types.TEXT_DOCUMENT_DID_CLOSE, params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(
        self, params: types.DidOpenNotebookDocumentParams
    ) -> Handling:
        """Hands it on."""
        yield from self._handed(types.NOTEBOOK_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(
        self, params: types.DidChangeNotebookDocumentParams
    ) -> Handling:
        """Hands it on."""
        yield from self._handed(types.NOTEBOOK_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(
        self, params: types.DidCloseNotebookDocumentParams
    ) -> Handling:
        """Hands it on."""
        yield from self._handed(types.NOTEBOOK_DOCUMENT_DID_CLOSE, params)


class Reader(StdinAsyncReader):
    """Standard input, read on a thread; what cannot be a message ends it."""

    def readexactly(self, n: int) -> Awaitable[bytes]:
        """The next ``n`` bytes; none if no message is that long."""
        if n > MAX_MESSAGE_BYTES:
            sys.stderr.write(f"codemlm: a message of {n} bytes was announced: giving up\n")
            ended: asyncio.Future[bytes] = self.loop.create_future()
            ended.set_result(b"")
            return ended
        return super().readexactly(n)
