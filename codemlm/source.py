"""Reads source files: bytes on disk to the UTF-8 that the parser takes, or why not.

Trouble with a file is data (``Failure``), never an exception: one bad file cannot stop a scan.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from dataclasses import dataclass
from enum import StrEnum

MAX_BYTES = 1_000_000
"""Default size above which a file is left out: such files are data or generated."""

_FIRST_TWO_LINES = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)?[^\r\n]*")
_LONE_CR = re.compile(rb"\r(?!\n)")


class Reason(StrEnum):
    """Why a file was not scanned; the values are what the summary counts."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not a regular file"
    TOO_LARGE = "too large"
    BINARY = "binary"
    UNDECODABLE = "undecodable"
    LANGUAGE = "in another language"
    CONFIGURATION = "configuration"
    INTERNAL = "internal error"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file ready for the parser.

    Attributes:
        path: as the user would write it.
        source: UTF-8 without a byte order mark; a lone CR, which Python reads as a line end, is LF.
            For a UTF-8 file without mark, offsets in it are offsets in the file.
        encoding: of the file on disk.
        has_bom: whether the file on disk begins with a byte order mark.
    """

    path: str
    source: bytes
    encoding: str
    has_bom: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that was not scanned.

    Attributes:
        path: as the user would write it.
        reason: class of trouble.
        detail: one line for people.
        explicit: whether the user named the path, rather than a folder above it.
    """

    path: str
    reason: Reason
    detail: str
    explicit: bool = False

    @property
    def is_error(self) -> bool:
        """Whether the failure must not go unnoticed: it makes the exit code 2."""
        return self.reason in (Reason.INTERNAL, Reason.CONFIGURATION) or (
            self.explicit and self.reason not in (Reason.TOO_LARGE, Reason.LANGUAGE)
        )


def read_source(
    path: str, *, explicit: bool = False, limit: int = MAX_BYTES
) -> SourceFile | Failure:
    """The file's text as UTF-8, or why it cannot be had.

    Args:
        path: of the file.
        explicit: goes into the failure.
        limit: largest size in bytes.
    """

    def failure(reason: Reason, detail: str) -> Failure:
        return Failure(path, reason, detail, explicit)

    try:
        # Opening a FIFO would wait for a writer, and opening some devices has effects: ask first.
        mode = os.stat(path).st_mode  # noqa: PTH116  # paths may hold bytes that are no text
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            return failure(Reason.NOT_A_FILE, kind)
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read(limit + 1)
    except FileNotFoundError:
        dangling = os.path.islink(path)  # noqa: PTH114
        return failure(Reason.MISSING, "broken symbolic link" if dangling else "no such file")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        text = getattr(error, "strerror", None) or str(error)
        return failure(Reason.UNREADABLE, text[:1].lower() + text[1:])
    if len(data) > limit:
        return failure(Reason.TOO_LARGE, f"larger than {limit:,} bytes")
    return decode_source(data, path, explicit=explicit)


def decode_source(data: bytes, path: str, *, explicit: bool = False) -> SourceFile | Failure:
    """``data`` as UTF-8, by its byte order mark or PEP 263 declaration.

    Args:
        data: contents of a file.
        path: goes into the result.
        explicit: goes into the failure.
    """
    if b"\0" in data:
        return Failure(path, Reason.BINARY, "holds a NUL byte", explicit)
    has_bom = data.startswith(codecs.BOM_UTF8)
    body = data[len(codecs.BOM_UTF8) :] if has_bom else data
    encoding = "utf-8"
    try:
        head = _FIRST_TWO_LINES.match(data)
        if head is not None and b"coding" in head[0]:
            encoding = _declared(head[0])
        # Valid UTF-8 only: `surrogatepass` and the like are never wanted.
        text = body.decode("utf-8" if has_bom else encoding)
        source = body if encoding == "utf-8" else text.encode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        detail = f"line {line}: byte 0x{body[error.start]:02x} is not {encoding}"
        return Failure(path, Reason.UNDECODABLE, detail, explicit)
    except (LookupError, SyntaxError, ValueError) as error:
        return Failure(path, Reason.UNDECODABLE, str(error) or "unknown encoding", explicit)
    if b"\r" in source:
        source = _LONE_CR.sub(b"\n", source)
    return SourceFile(path, source, encoding, has_bom)


def _declared(head: bytes) -> str:
    """The encoding that ``head``, the first two lines, declares, under its usual name.

    Raises:
        SyntaxError: if there is no such encoding, or a byte order mark says otherwise.
    """
    import tokenize

    lines = iter(head.splitlines(keepends=True))
    found = tokenize.detect_encoding(lambda: next(lines, b""))[0]
    return "utf-8" if found == "utf-8-sig" else codecs.lookup(found).name
