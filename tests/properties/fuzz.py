"""Folders of bad input, for fuzzing: mutated real files, bytes, odd names, what is no file.

A folder always holds one file with a bug that the fake model finds, so that a scan which loses its
way is noticed.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from codemlm import cli, commands
from codemlm.source import Failure, SourceFile, read_source
from tests.cli import fake

ANCHOR = "zz anchor.py"
LINKED = "zz linked.py"
ANCHOR_TEXT = "def area(rows, cols): return rows\n"
ANCHOR_FOUND = f"{ANCHOR}:1:30: CM101 "

PATIENCE_S = 120
_DEEP = 3_000
NASTY = (
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # a surrogate in UTF-8
    b"\xf0\x9f\x98\x80",
    b"\r",
    b"\r\n",
    b"\x0c",
    b"\x1a",
    b"\x1b[2J",
    "\u2028\u202e\u0301".encode(),
    b"# coding: latin-1\n",
    b"# coding: utf-16\n",
    b"# coding: rot13\n",
    b"# codemlm: ignore[CM101, nonsense]\n",
    b"# codemlm: ignore-file\n",
    b"# codemlm: ignore[",
    b'"""',
    b"'",
    b"\\",
    b"\\\n",
    b"\t",
    b"    ",
    b"(",
    b"]}",
    b":=",
    b"not " * 50,
    b"(" * _DEEP,
    b"[" * _DEEP + b"]" * _DEEP,
    b"-" * _DEEP + b"1",
    b"x" + b".a" * _DEEP,
    b"f(" * 500 + b")" * 500,
    b"lambda: " * 300,
    b"f'{" * 60,
    b"f'{x!r:>{y}}'",
    b"".join(b" " * depth + b"if x:\n" for depth in range(120)),
    b"rows, cols = cols, rows\n",
    b"del rows\n",
    b"from x import *\n",
    b"match rows:\n  case [cols, *_]: pass\n",
    b"print rows\n",
    b"exec 'rows'\n",
    b"async def f(): return [await rows async for cols in low if not empty]\n",
    b"@\n",
    b"x = 1" + b"0" * 5_000 + b"\n",
    b"'" + b"a" * 5_000 + b"'\n",
    b"a" * 5_000,
)
"""What is put into files, besides pieces of other files."""

NAMES = (
    "a.py",
    "b b.py",
    "c.pyi",
    "d.ipynb",
    "e\n.py",
    "\x1b[2J.py",
    "日本\u202e.py",
    os.fsdecode(b"\xff\xfe.py"),
    "'; rm -rf x #.py",
    "-o.py",
    "%25:,.py",
    "codemlm.toml",
    "pyproject.toml",
    ".gitignore",
    "sub/pyproject.toml",
    "sub/f.py",
    "sub/deep/g.py",
    "sub/.gitignore",
    f"{'n' * 240}.py",
)
THINGS = ("folder", "fifo", "loop", "dangling", "link", "above", "unreadable", "vanishing")
"""What may be under a name that is no file with content; ``vanishing`` is gone when it is read."""

Content = bytes | str
"""Of a file, or one of `THINGS`."""


@lru_cache(maxsize=1)
def real_files() -> tuple[bytes, ...]:
    """Short files of the standard library of this Python, and a notebook."""
    folder = Path(sysconfig.get_path("stdlib"))
    found = [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    notebook = (
        b'{"cells": [{"cell_type": "code", "source": ["%time\\n", "def f(rows, cols):\\n", '
        b'"    return rows"]}], "metadata": {"kernelspec": {"language": "python"}}}'
    )
    return (notebook, *(data for data in found if 200 < len(data) < 12_000))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Some lines of a real file with a few mutations."""
    data = draw(st.sampled_from(real_files()))
    lines = data.splitlines(keepends=True)
    start = draw(st.integers(0, max(0, len(lines) - 1)))
    data = b"".join(lines[start : start + draw(st.integers(1, 40))])
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(
            st.sampled_from(("insert", "insert", "delete", "flip", "double", "cut", "move"))
        )
        end = min(len(data), at + draw(st.integers(1, 200)))
        if kind == "insert":
            data = data[:at] + draw(st.sampled_from(NASTY)) + data[at:]
        elif kind == "delete":
            data = data[:at] + data[end:]
        elif kind == "flip" and at < len(data):
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif kind == "double":
            data = data[:end] + data[at:]
        elif kind == "cut":
            data = data[:at]
        else:
            data = data[at:end] + data[:at] + data[end:]
    ends = draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\x0c\n")))
    mark = draw(st.sampled_from((b"", b"", b"", b"\xef\xbb\xbf")))
    return mark + data.replace(b"\n", ends)


contents: st.SearchStrategy[Content] = st.one_of(
    mutated(),
    mutated(),
    mutated(),
    st.binary(max_size=200),
    st.lists(st.sampled_from(NASTY), max_size=6).map(b"".join),
    st.sampled_from((b"", b"\n", b"# coding: latin-1\nx = '\xe9'\n", b"x = 1\n" * 3_000)),
    st.sampled_from(THINGS),
)
folders = st.dictionaries(st.sampled_from(NAMES), contents, min_size=1, max_size=4)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the command line gave."""

    code: int
    out: str
    err: str


def make_folder(files: dict[str, Content]) -> set[str]:
    """Makes files in the working directory; returns the paths of those that will vanish."""
    vanishing = set()
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content == "folder":
            path.mkdir()
            (path / "inner.py").write_text(ANCHOR_TEXT, "utf-8")
        elif content == "fifo":
            os.mkfifo(path)
        elif content in ("loop", "dangling", "link", "above"):
            targets = {"loop": path.name, "dangling": "nowhere.py", "link": LINKED, "above": ".."}
            path.symlink_to(targets[content])
        else:
            path.write_text(ANCHOR_TEXT, "utf-8")
            if content == "unreadable":
                path.chmod(0)
            else:
                vanishing.add(name)
    Path(ANCHOR).write_text(ANCHOR_TEXT, "utf-8")
    Path(LINKED).write_text("x = 1\n", "utf-8")
    return vanishing


@contextlib.contextmanager
def vanishing(names: set[str]) -> Iterator[None]:
    """Removes files when they are about to be read."""
    from codemlm import scanner

    def read_too_late(path: str, **options: Any) -> SourceFile | Failure:
        if path.removeprefix("./") in names:
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
        return read_source(path, **options)

    with mock.patch.object(scanner, "read_source", read_too_late):
        yield


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Fails what hangs: a FIFO without a writer would be waited for until the end of time."""

    def fail(*_: object) -> None:
        raise AssertionError(f"no answer within {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(args: list[str], stdin: bytes = b"") -> Ran:
    """The command line with the fake model, in the working directory."""
    with (
        mock.patch.object(commands, "load_model", fake.load),
        mock.patch.object(commands, "identify_model", fake.identify),
    ):
        return run_real(args, stdin)


def run_real(args: list[str], stdin: bytes = b"") -> Ran:
    """The command line with the model that it asks for."""
    buffers = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(buffer, "utf-8") for buffer in buffers)
    with contextlib.ExitStack() as stack:
        given = io.TextIOWrapper(io.BytesIO(stdin))
        for name, stream in (("stdin", given), ("stdout", out), ("stderr", err)):
            stack.enter_context(mock.patch.object(sys, name, stream))
        stack.enter_context(impatient())
        code = cli.main(args)
    out.flush()
    err.flush()
    return Ran(code, *(buffer.getvalue().decode("utf-8") for buffer in buffers))
