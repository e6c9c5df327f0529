r"""Texts that the client has open: edits, and positions in each encoding.

Positions count UTF-8 bytes, UTF-16 units or code points, as client and server agreed. Lines end at
``\n``, ``\r\n`` or a lone ``\r`` only. Positions past the end of a line or of the text mean its
end, as the protocol says, and so do those that make no sense.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.uris import to_fs_path

from codemlm.positions import LineIndex
from codemlm.source import Failure, Reason, SourceFile

if TYPE_CHECKING:
    from codemlm.types import Span

_LONE_CR = re.compile(rb"\r(?!\n)")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

MAGIC_CELLS_WITH_PYTHON = (b"%%time", b"%%timeit", b"%%capture", b"%%prun")
"""Cell magics below which a cell is Python after all."""
_MAGIC_LINE = re.compile(rb"^[%!?]", re.MULTILINE)


def path_of(uri: str) -> str | None:
    """The file system path of a URI; None if it has none."""
    return to_fs_path(uri) if uri.startswith("file:") else None


class Text:
    """One version of a text.

    Args:
        text: as the client sent it; a lone surrogate becomes U+FFFD.
    """

    def __init__(self, text: str | bytes) -> None:
        if isinstance(text, str):
            text = _LONE_SURROGATE.sub("\ufffd", text).encode("utf-8")
        self.source = text
        self.index = LineIndex(text)

    def position(self, offset: int, encoding: str) -> types.Position:
        """Line and column of byte ``offset``."""
        offset = max(0, min(offset, len(self.source)))
        if encoding == types.PositionEncodingKind.Utf8:
            line = self.index.line_of(offset)
            return types.Position(line - 1, offset - self.index.starts[line - 1])
        place = self.index.position(offset)
        wide = encoding == types.PositionEncodingKind.Utf16
        return types.Position(place.line - 1, place.column_utf16 if wide else place.column - 1)

    def offset(self, position: types.Position, encoding: str) -> int:
        """Byte offset of a position, never inside a code point."""
        line, column = position.line + 1, max(0, position.character)
        if line < 1:
            return 0
        if line > len(self.index.starts):
            return len(self.source)
        if encoding == types.PositionEncodingKind.Utf16:
            return self.index.offset_utf16(line, column)
        if encoding == types.PositionEncodingKind.Utf32:
            return self.index.offset(line, column + 1)
        start, content = self.index.starts[line - 1], self.index.line_bytes(line)
        column = min(column, len(content))
        while column and column < len(content) and content[column] & 0xC0 == 0x80:
            column -= 1
        return start + column

    def range(self, span: Span, encoding: str) -> types.Range:
        """Start and end of a span."""
        return types.Range(self.position(span.start, encoding), self.position(span.end, encoding))

    def offsets(self, given: types.Range, encoding: str) -> tuple[int, int]:
        """Byte offsets of a range, in order."""
        first, last = (self.offset(p, encoding) for p in (given.start, given.end))
        return min(first, last), max(first, last)

    def edited(self, change: types.TextDocumentContentChangeEvent, encoding: str) -> Text:
        """The text after a change."""
        if isinstance(change, types.TextDocumentContentChangeWholeDocument):
            return Text(change.text)
        start, end = self.offsets(change.range, encoding)
        put = _LONE_SURROGATE.sub("\ufffd", change.text).encode("utf-8")
        return Text(self.source[:start] + put + self.source[end:])


@dataclass(slots=True)
class Document:
    """A text document, or a cell of a notebook.

    Attributes:
        uri: as the client spells it.
        language: the client's id of its language.
        version: of the client.
        text: the current one.
    """

    uri: str
    language: str
    version: int
    text: Text


@dataclass(frozen=True, slots=True)
class Place:
    """A range in a document."""

    uri: str
    range: types.Range


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of what is scanned as one file: a document, or a notebook's code cells.

    Attributes:
        uri: of the document or notebook.
        path: in the file system; of an untitled one, a name that tells its language.
        version: grows with each change.
        parts: documents in order, each with the offset where it begins in ``source``.
        source: what is scanned; of a notebook, its code cells one below the other.
        is_notebook: whether ``uri`` is one.
    """

    uri: str
    path: str
    version: int
    parts: tuple[tuple[int, str, Text], ...]
    source: bytes
    is_notebook: bool = False

    def part_of(self, offset: int) -> tuple[int, str, Text]:
        """The document that holds byte ``offset`` of the source, and where it begins."""
        starts = [start for start, _, _ in self.parts]
        return self.parts[max(0, bisect_right(starts, offset) - 1)]

    def place(self, span: Span, encoding: str) -> Place:
        """Where a span of the source is for the client."""
        begin, uri, text = self.part_of(span.start)
        inside = (span.start - begin, min(span.end - begin, len(text.source)))
        return Place(uri, types.Range(*(text.position(o, encoding) for o in inside)))

    def offset(self, uri: str, position: types.Position, encoding: str) -> int | None:
        """Byte offset in the source of a position in a document; None if it is no part."""
        for begin, part, text in self.parts:
            if part == uri:
                return begin + text.offset(position, encoding)
        return None

    def file(self, limit: int) -> SourceFile | Failure:
        """The text as the parser takes it.

        Args:
            limit: largest size in bytes.
        """
        if len(self.source) > limit:
            return Failure(self.path, Reason.TOO_LARGE, f"larger than {limit:,} bytes")
        if b"\0" in self.source:
            return Failure(self.path, Reason.BINARY, "holds a NUL byte")
        source = self.source
        if b"\r" in source:
            source = _LONE_CR.sub(b"\n", source)  # what Python reads, at the same offsets
        if source.startswith(b"\xef\xbb\xbf"):
            source = b"\n\n\n" + source[3:]  # a byte order mark that the editor left in
        return SourceFile(self.path, source, "utf-8", has_bom=False)


@dataclass(slots=True)
class Notebook:
    """A notebook: the URIs of its cells, in order, and which of them hold code."""

    uri: str
    cells: list[tuple[str, bool]]


@dataclass(slots=True)
class Store:
    """Everything that the client has open.

    Attributes:
        encoding: of positions.
        documents: by URI, cells included.
        notebooks: by URI.
    """

    encoding: str = types.PositionEncodingKind.Utf16.value
    documents: dict[str, Document] = field(default_factory=dict)
    notebooks: dict[str, Notebook] = field(default_factory=dict)
    _owner: dict[str, str] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)

    def open(self, item: types.TextDocumentItem) -> str:
        """Takes a document; returns the URI of what is scanned for it."""
        self.documents[item.uri] = Document(
            item.uri, item.language_id, item.version, Text(item.text)
        )
        return self._changed(item.uri)

    def change(
        self,
        uri: str,
        version: int,
        changes: Sequence[types.TextDocumentContentChangeEvent],
    ) -> str | None:
        """Edits a document; returns the URI of what is scanned for it, None if it is not open."""
        document = self.documents.get(uri)
        if document is None:
            return None
        for change in changes:
            document.text = document.text.edited(change, self.encoding)
        document.version = version
        return self._changed(uri)

    def close(self, uri: str) -> None:
        """Forgets a document."""
        self.documents.pop(uri, None)
        self._versions.pop(uri, None)

    def open_notebook(self, params: types.DidOpenNotebookDocumentParams) -> str:
        """Takes a notebook; returns its URI."""
        notebook = params.notebook_document
        self.notebooks[notebook.uri] = Notebook(notebook.uri, [])
        self._splice(self.notebooks[notebook.uri], 0, 0, notebook.cells)
        for item in params.cell_text_documents:
            self.open(item)
        return notebook.uri

    def change_notebook(self, params: types.DidChangeNotebookDocumentParams) -> str | None:
        """Edits a notebook; returns its URI, None if it is not open."""
        notebook = self.notebooks.get(params.notebook_document.uri)
        cells = params.change.cells
        if notebook is None or cells is None:
            return None if notebook is None else notebook.uri
        if cells.structure is not None:
            array = cells.structure.array
            self._splice(notebook, array.start, array.delete_count, array.cells or [])
            for item in cells.structure.did_open or []:
                self.open(item)
            for closed in cells.structure.did_close or []:
                self.close(closed.uri)
        for cell in cells.data or []:
            is_code = cell.kind == types.NotebookCellKind.Code
            notebook.cells = [
                (uri, is_code if uri == cell.document else was) for uri, was in notebook.cells
            ]
        for content in cells.text_content or []:
            self.change(content.document.uri, content.document.version, content.changes)
        return self._changed(notebook.uri)

    def close_notebook(self, params: types.DidCloseNotebookDocumentParams) -> None:
        """Forgets a notebook and its cells."""
        uri = params.notebook_document.uri
        notebook = self.notebooks.pop(uri, None)
        for cell, _ in notebook.cells if notebook else []:
            self._owner.pop(cell, None)
            self.close(cell)
        self._versions.pop(uri, None)

    def _splice(
        self, notebook: Notebook, start: int, count: int, cells: Sequence[types.NotebookCell]
    ) -> None:
        for uri, _ in notebook.cells[start : start + count]:
            self._owner.pop(uri, None)
        put = [(cell.document, cell.kind == types.NotebookCellKind.Code) for cell in cells]
        notebook.cells[start : start + count] = put
        self._owner.update((uri, notebook.uri) for uri, _ in put)

    def _changed(self, uri: str) -> str:
        unit = self.unit_of(uri)
        self._versions[unit] = self._versions.get(unit, 0) + 1
        return unit

    def unit_of(self, uri: str) -> str:
        """The URI of what is scanned for a document: its own, or its notebook's."""
        return self._owner.get(uri, uri)

    def version_of(self, unit: str) -> int:
        """Of what is scanned; 0 if it is not open."""
        return self._versions.get(unit, 0)

    def units(self) -> list[str]:
        """URIs of everything that is scanned."""
        return [*self.notebooks, *(uri for uri in self.documents if uri not in self._owner)]

    def snapshot(self, unit: str, path: str | None) -> Snapshot | None:
        """The current version of a unit; None if it is not open, or no Python.

        Args:
            unit: its URI.
            path: in the file system; None if it has none.
        """
        version = self.version_of(unit)
        notebook = self.notebooks.get(unit)
        if notebook is not None:
            return self._of_notebook(notebook, path or "untitled.ipynb", version)
        document = self.documents.get(unit)
        if document is None or not _is_python(document, path):
            return None
        parts = ((0, unit, document.text),)
        return Snapshot(unit, path or "untitled.py", version, parts, document.text.source)

    def _of_notebook(self, notebook: Notebook, path: str, version: int) -> Snapshot | None:
        parts: list[tuple[int, str, Text]] = []
        source = b""
        for uri, is_code in notebook.cells:
            document = self.documents.get(uri)
            if document is None or not is_code or document.language != "python":
                continue
            parts.append((len(source), uri, document.text))
            source += _without_magics(document.text.source) + b"\n"
        return Snapshot(notebook.uri, path, version, tuple(parts), source, True) if parts else None


def _is_python(document: Document, path: str | None) -> bool:
    if path is not None and PurePath(path).suffix in (".py", ".pyi", ".pyw"):
        return True
    return document.language == "python"


def _without_magics(source: bytes) -> bytes:
    """A cell with what only IPython understands turned into comments of the same length."""
    if source.startswith(b"%%") and not source.startswith(MAGIC_CELLS_WITH_PYTHON):
        return re.sub(rb"[^\r\n]", b"#", source)
    return _MAGIC_LINE.sub(b"#", source)
