"""The file that `codemlm adapt` writes, and the project on the disk around it.

The file holds what each module of the project showed, with a digest of its content: what has
changed since is read anew, so that nothing is taken from it that no longer holds. It has no times,
so that the same modules make the same bytes: to read a module and compare it costs a hundredth of
parsing it. It is a gzip of lines: one of JSON about the whole, then one a module. Trouble with it
is a note, and a scan goes on without it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codemlm.errors import NamesError, SourceError
from codemlm.files import read_regular, write_whole
from codemlm.interface_reader import interface_of
from codemlm.interfaces import Interface, decode, encode
from codemlm.project import Index
from codemlm.source import MAX_BYTES, SourceFile, decode_source
from codemlm.surroundings import Surroundings
from codemlm.syntax import parse

FOLDER, NAME = ".codemlm", "names.gz"
STDIN_NAME = "<stdin>"
"""Name of what standard input holds, unless it is given another."""
FORMAT = 1
"""Changes whenever what is kept of a module, or how, does."""

_MOST_BYTES = 1 << 29
_FRESH_NS = 2_000_000_000
"""A file that was written so shortly before it was read may have been written again since, without
another time or size (git calls that racy)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A module in the file of names.

    Attributes:
        digest: of its content.
        lines: that it has.
        interface: what it shows, as text (``codemlm.interfaces.encode``).
    """

    digest: str
    lines: int
    interface: str


Rows = Mapping[str, Row]
"""Modules by path from the root, with ``/``."""


class DiskTree:
    """The files of a project on the disk; what they show is taken from its rows where that holds.

    Args:
        root: of the project.
        rows: of its file of names.
    """

    def __init__(self, root: str, rows: Rows) -> None:
        self.root, self.rows = root, rows
        self._known: dict[str, tuple[tuple[int, int], int, tuple[Interface, str] | None]] = {}
        self._index: Index | None = None

    def is_file(self, path: str) -> bool:
        """Whether a file is there."""
        return os.path.isfile(self._full(path))  # noqa: PTH113

    def listing(self, folder: str) -> frozenset[str]:
        """Names in a folder; none if it is none."""
        try:
            return frozenset(os.listdir(self._full(folder)))  # noqa: PTH208
        except (OSError, ValueError):
            return frozenset()

    def interface(self, path: str) -> tuple[Interface, str] | None:
        """What a module shows now, with a digest of it; None if it cannot be read."""
        try:
            status = os.stat(self._full(path))  # noqa: PTH116
        except (OSError, ValueError):
            return None
        stamp = status.st_mtime_ns, status.st_size
        known = self._known.get(path)
        if known is None or known[0] != stamp or known[1] - stamp[0] < _FRESH_NS:
            now = time.time_ns()
            found = self._read(path) if status.st_size <= MAX_BYTES else None
            known = self._known[path] = stamp, now, found
        return known[2]

    def index(self) -> Index:
        """What the modules of the file of names do with members and classes."""
        if self._index is None:
            self._index = Index(self._all())
        return self._index

    def _all(self) -> Iterator[tuple[str, Interface]]:
        for path, row in self.rows.items():
            try:
                yield path, decode(row.interface)
            except ValueError:
                continue

    def _read(self, path: str) -> tuple[Interface, str] | None:
        try:
            data = read_regular(self._full(path))
        except (OSError, ValueError):
            return None
        row = self.rows.get(path)
        if row is None or row.digest != digest_of(data):
            row = row_of(data)
        if row is None:
            return None
        try:
            return decode(row.interface), digest_of(row.interface.encode())
        except ValueError:
            return None

    def _full(self, path: str) -> str:
        return os.path.join(self.root, *path.split("/"))  # noqa: PTH118


class NameFinder:
    """Finds the project around a file: that of the nearest folder above with a file of names.

    A file of names is read again once it has changed.

    Args:
        tell: is told, once, what is wrong with each file of names that cannot be used.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._known: dict[str, tuple[tuple[int, int], DiskTree | None]] = {}

    def around(self, path: str, own: Callable[[], Interface]) -> Surroundings | None:
        """The project around the file ``path``, which need not exist; None: nothing is known of it.

        Args:
            path: of the file.
            own: gives what it shows now, which need not be what the disk has.
        """
        if not path or os.path.basename(path) == STDIN_NAME:  # noqa: PTH119
            return None
        folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
        while True:
            tree = self._in(folder)
            if tree is not None:
                return Surroundings(tree, relative(path, folder), own)
            parent = os.path.dirname(folder)  # noqa: PTH120
            if parent == folder:
                return None
            folder = parent

    def _in(self, root: str) -> DiskTree | None:
        path = path_in(root)
        try:
            status = os.stat(path)  # noqa: PTH116  # paths may hold bytes that are no text
        except (OSError, ValueError):
            return None
        stamp = status.st_mtime_ns, status.st_size
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            found: DiskTree | None = None
            try:
                found = DiskTree(root, read(path))
            except NamesError as error:
                self._tell(f"{error}; it is left out: `codemlm adapt` makes it anew")
            known = self._known[path] = stamp, found
        return known[1]


def row_of(data: bytes) -> Row | None:
    """What is kept of a module's content; None if that is no source, or too much."""
    if len(data) > MAX_BYTES:
        return None
    read = decode_source(data, "")
    if not isinstance(read, SourceFile):
        return None
    try:
        interface = interface_of(parse(read.source))
    except (SourceError, RecursionError):
        return None
    return Row(digest_of(data), read.source.count(b"\n"), encode(interface))


def digest_of(data: bytes) -> str:
    """What tells content from other content."""
    return hashlib.sha256(data).hexdigest()[:32]


def relative(path: str, root: str) -> str:
    """A file's path from a root, as the file of names has it."""
    found = os.path.relpath(os.path.abspath(path), root)  # noqa: PTH100
    return found.replace(os.sep, "/").encode("utf-8", "backslashreplace").decode()


def encoded(rows: Rows) -> bytes:
    """The bytes of a file of names."""
    lines = [json.dumps({"format": FORMAT, "modules": len(rows)})]
    for path, row in sorted(rows.items()):
        lines.append(f"{json.dumps([path, row.digest, row.lines])}\t{row.interface}")
    return gzip.compress("\n".join(lines).encode(), 6, mtime=0)


def decoded(data: bytes, path: str) -> dict[str, Row]:
    """The rows of a file's bytes.

    Args:
        data: the bytes.
        path: of the file, for messages.

    Raises:
        NamesError: if they are damaged, or of another version.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            plain = stream.read(_MOST_BYTES + 1)
        first, *lines = plain.decode().split("\n")
        head: Mapping[str, Any] = json.loads(first)
        version = head["format"]
        if version != FORMAT:
            raise NamesError(
                f"{path}: written by another version of codemlm (format {version!r}, not {FORMAT})"
            )
        if len(lines) != head["modules"] or len(plain) > _MOST_BYTES:
            raise NamesError(f"{path}: damaged: {len(lines):,} modules, not {head['modules']:,}")
        rows = {}
        for line in lines:
            start, _, interface = line.partition("\t")
            name, digest, count = json.loads(start)
            rows[str(name)] = Row(str(digest), int(count), interface)
        return rows
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as e:
        raise NamesError(f"{path}: damaged ({str(e) or type(e).__name__})") from e


def read(path: str) -> dict[str, Row]:
    """The rows of a file of names.

    Raises:
        NamesError: if it cannot be read, is damaged, or is of another version.
    """
    try:
        data = read_regular(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NamesError(f"{path}: cannot be read ({reason})") from error
    return decoded(data, path)


def write(root: str, rows: Rows) -> tuple[str, int]:
    """Writes the file of names of the project at ``root``; returns its path and size.

    Raises:
        NamesError: if it cannot be written.
    """
    path, data = path_in(root), encoded(rows)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        write_whole(path, data)
    except OSError as error:
        raise NamesError(f"{path}: cannot be written ({error.strerror})") from error
    return path, len(data)


def path_in(root: str) -> str:
    """Where the file of names of the project at ``root`` is."""
    return os.path.join(root, FOLDER, NAME)  # noqa: PTH118
