r"""Byte offsets to lines and columns, in bytes, code points and UTF-16 units.

Lines end at ``\n``, ``\r\n`` or a lone ``\r``, as in editors; the form feed, U+2028 and their
like, at which ``str.splitlines`` also breaks, do not end one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Position:
    """A place: 1-based line, 1-based column in code points, 0-based column in UTF-16 units."""

    line: int
    column: int
    column_utf16: int


class LineIndex:
    """Line starts of a UTF-8 text, for conversions in both directions."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.starts = [0] + [m.end() for m in _LINE_END.finditer(source)]

    def line_of(self, offset: int) -> int:
        """1-based line of byte ``offset``."""
        return bisect_right(self.starts, offset)

    def position(self, offset: int) -> Position:
        """Line and columns of byte ``offset``, which must not be inside a code point."""
        line = self.line_of(offset)
        before = self.source[self.starts[line - 1] : offset].decode("utf-8")
        wide = sum(1 for c in before if ord(c) > 0xFFFF)
        return Position(line, len(before) + 1, len(before) + wide)

    def line_bytes(self, line: int) -> bytes:
        """Bytes of 1-based ``line`` without its end."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.source)
        return self.source[start:end].rstrip(b"\r\n")

    def offset(self, line: int, column: int) -> int:
        """Byte offset of a 1-based line and code point column; past the end of a line: its end."""
        text = self.line_bytes(line).decode("utf-8")
        return self.starts[line - 1] + len(text[: column - 1].encode("utf-8"))

    def offset_utf16(self, line: int, column_utf16: int) -> int:
        """Byte offset of a 1-based line and a 0-based UTF-16 column, clamped to the line."""
        units = 0
        offset = self.starts[line - 1]
        for char in self.line_bytes(line).decode("utf-8"):
            if units >= column_utf16:
                break
            units += 2 if ord(char) > 0xFFFF else 1
            offset += len(char.encode("utf-8"))
        return offset
