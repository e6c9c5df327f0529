"""The terminal at the edge of the program: encodings, colours, widths, and the progress line."""

from __future__ import annotations

import io
import os
import queue
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from codemlm.errors import UsageError

PIPED_WIDTH = 120
"""Columns of output that goes to a file or a pipe, so that it does not depend on the terminal."""

_T = TypeVar("_T")


def use_utf8() -> None:
    """Makes standard output and error UTF-8 on every locale; what cannot be encoded is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def utf8_path(path: str) -> str:
    """A path's bytes read as UTF-8, whatever the locale made of them.

    Bytes that are no UTF-8 stay lone surrogates.
    """
    try:
        return os.fsencode(path).decode("utf-8", "surrogateescape")
    except ValueError:
        return path


def visible(text: str) -> str:
    """``text`` with every character shown that would steer the terminal or could not be seen."""
    if text.isprintable():
        return text
    return "".join(symbol(c) for c in text)


def symbol(char: str) -> str:
    """What is shown for a character that is not printable."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if char.isprintable() or char == "\u200d":  # emoji are joined with U+200D
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    return f"<U+{code:04X}>"


def open_output(path: str | None) -> TextIO:
    """Standard output, or a file opened for writing.

    Raises:
        UsageError: if the file cannot be opened.
    """
    if path is None:
        return sys.stdout
    try:
        return Path(path).open("w", encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot write the output there ({error})") from error


def wants_color(choice: str, out: TextIO) -> bool:
    """Whether to colour what goes to ``out``.

    Args:
        choice: "always", "never" or "auto": NO_COLOR and then FORCE_COLOR decide, else whether
            ``out`` is a terminal that can show colours.
        out: the stream.
    """
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return out.isatty() and os.environ.get("TERM") != "dumb"


def width_of(out: TextIO) -> int:
    """Columns of ``out``."""
    if "COLUMNS" in os.environ or out.isatty():
        return max(40, shutil.get_terminal_size((PIPED_WIDTH, 24)).columns)
    return PIPED_WIDTH


def default_threads() -> int:
    """Cores this process may run on, at most 8: windows are too small to use more."""
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


class Prefetch(Generic[_T]):
    """An iterable consumed ahead by a thread, so that its length is known early.

    Attributes:
        found: items so far.
        complete: whether these are all.
    """

    def __init__(self, items: Iterable[_T]) -> None:
        self.found = 0
        self.complete = False
        self._items = items
        self._queue: queue.SimpleQueue[tuple[_T] | BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._fill, daemon=True).start()

    def _fill(self) -> None:
        try:
            for item in self._items:
                self._queue.put((item,))
                self.found += 1
            self.complete = True
            self._queue.put(None)
        except BaseException as error:  # noqa: BLE001  # raised where the items are awaited
            self._queue.put(error)

    def __iter__(self) -> Iterator[_T]:
        while (entry := self._queue.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]


class ProgressLine:
    """One line on standard error that is rewritten in place; nothing where that is no terminal.

    Args:
        verb: what is going on.
        unit: what is counted.
        delay_s: quiet time at the start: short work shows nothing.
    """

    def __init__(self, verb: str, unit: str, delay_s: float = 0.5) -> None:
        self.verb, self.unit = verb, unit
        self.enabled = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + delay_s
        self._shown = False
        self._state: tuple[int, int | None, str] = (0, None, "")

    def update(self, done: int, total: int | None, note: str = "") -> None:
        """Notes how far the work is, and shows it."""
        self._state = (done, total, note)
        self.refresh()

    def refresh(self) -> None:
        """Shows what was noted last, at most ten times a second."""
        now = time.monotonic()
        if not self.enabled or now < self._next:
            return
        self._next = now + 0.1
        done, total, note = self._state
        columns = shutil.get_terminal_size().columns - 1
        if total:
            cells = 20
            full = min(cells, cells * done // total)
            text = (
                f"{self.verb} [{'#' * full}{'.' * (cells - full)}] {done:,}/{total:,} {self.unit}"
            )
        else:
            text = f"{self.verb} {done:,} {self.unit}"
        line = f"{text}  {note}" if note else text
        printable = "".join(c if c.isprintable() else "?" for c in line)
        sys.stderr.write(f"\r\x1b[2K{printable[:columns]}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Removes the line, so that other output can be printed."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = False
