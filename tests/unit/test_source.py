"""Reading files: encodings, sizes, and everything that is no readable text file."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from codemlm import source
from codemlm.source import Failure, Reason, SourceFile, decode_source, read_source


@pytest.mark.parametrize(
    ("data", "expected", "encoding"),
    [
        (b"", b"", "utf-8"),
        (b"x = 1\n", b"x = 1\n", "utf-8"),
        (b"\xef\xbb\xbfx = 1\n", b"x = 1\n", "utf-8"),
        ("é = 1\n".encode(), "é = 1\n".encode(), "utf-8"),
        (b"# coding: latin-1\n'\xe9'", "# coding: latin-1\n'é'".encode(), "iso8859-1"),
        (
            b"#!x\n# -*- coding: cp1252 -*-\n'\x80'",
            "#!x\n# -*- coding: cp1252 -*-\n'€'".encode(),
            "cp1252",
        ),
        (b"#\n#\n# coding: latin-1\n'\xc3\xa9'", "#\n#\n# coding: latin-1\n'é'".encode(), "utf-8"),
        (b"# vim: set fileencoding=utf8 :\n", b"# vim: set fileencoding=utf8 :\n", "utf-8"),
        (b"# coding: utf-8\r\nx\r\n", b"# coding: utf-8\r\nx\r\n", "utf-8"),
        (b"a\rb\r\nc\r\r\n", b"a\nb\r\nc\n\r\n", "utf-8"),  # lone CRs end lines, as in Python
        (b"a\r", b"a\n", "utf-8"),
        (b"# coding: shift_jis\n'\x93\xfa'", "# coding: shift_jis\n'日'".encode(), "shift_jis"),
    ],
)
def test_decodes(data: bytes, expected: bytes, encoding: str) -> None:
    read = decode_source(data, "a.py")
    assert isinstance(read, SourceFile)
    assert (read.source, read.encoding) == (expected, encoding)
    assert read.has_bom == data.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"x\0", Reason.BINARY, "NUL"),
        (b"a\nb\xe9", Reason.UNDECODABLE, "line 2: byte 0xe9 is not utf-8"),
        (b"# coding: no-such\n", Reason.UNDECODABLE, "unknown encoding: no-such"),
        (b"# coding: rot13\n", Reason.UNDECODABLE, "not a text encoding"),
        (b"# coding: undefined\n", Reason.UNDECODABLE, "undefined"),
        (b"# coding: ascii\n\xff", Reason.UNDECODABLE, "byte 0xff is not ascii"),
        (b"\xef\xbb\xbf# coding: latin-1\n", Reason.UNDECODABLE, "encoding problem"),
        (b"# coding: utf-7\n+2AA-", Reason.UNDECODABLE, "surrogates"),
        (b"\xed\xa0\x80", Reason.UNDECODABLE, "0xed"),  # a surrogate spelt in UTF-8
    ],
)
def test_refuses(data: bytes, reason: Reason, detail: str) -> None:
    read = decode_source(data, "a.py", explicit=True)
    assert isinstance(read, Failure)
    assert (read.reason, read.path, read.explicit) == (reason, "a.py", True)
    assert detail in read.detail


def failure(path: object, **settings: Any) -> Failure:
    read = read_source(str(path), **settings)
    assert isinstance(read, Failure)
    return read


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"x = 1\r\n")
    assert read_source(str(path)) == SourceFile(str(path), b"x = 1\r\n", "utf-8", has_bom=False)


def test_things_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to("gone.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    os.mkfifo(tmp_path / "fifo.py")
    assert failure(tmp_path).detail == "a folder"
    assert failure(tmp_path / "gone.py").reason is Reason.MISSING
    assert failure(tmp_path / "link.py").detail == "broken symbolic link"
    assert failure(tmp_path / "loop.py").reason is Reason.UNREADABLE
    assert failure(tmp_path / "fifo.py").reason is Reason.NOT_A_FILE
    assert failure("/dev/null").reason is Reason.NOT_A_FILE
    assert failure("a\0b").reason is Reason.UNREADABLE
    assert failure(tmp_path / ("n" * 300)).reason is Reason.UNREADABLE
    assert failure(tmp_path / "gone.py" / "x").reason is Reason.MISSING


def test_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"#" * 100)
    assert isinstance(read_source(str(path), limit=100), SourceFile)
    assert failure(path, limit=99).reason is Reason.TOO_LARGE


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.touch()

    def refuse(*_: object) -> io.BytesIO:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(source, "open", refuse, raising=False)  # root may read anything
    found = failure(path)
    assert (found.reason, found.detail) == (Reason.UNREADABLE, "permission denied")


def test_deleted_between_look_and_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.touch()

    def gone(*_: object) -> io.BytesIO:
        path.unlink()
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(source, "open", gone, raising=False)
    assert failure(path).reason is Reason.MISSING


@pytest.mark.parametrize(
    ("reason", "explicit", "is_error"),
    [
        (Reason.BINARY, True, True),
        (Reason.BINARY, False, False),
        (Reason.TOO_LARGE, True, False),
        (Reason.INTERNAL, False, True),
    ],
)
def test_which_failures_are_errors(reason: Reason, explicit: bool, is_error: bool) -> None:
    assert Failure("a.py", reason, "", explicit).is_error is is_error
