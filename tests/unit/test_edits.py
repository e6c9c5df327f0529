"""Edits: chosen, applied, previewed and written."""

from __future__ import annotations

import codecs
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from codemlm import files
from codemlm.edits import Fixed, apply, choose, colored, diff, fix
from codemlm.findings import Finding
from codemlm.fixer import Fixer
from codemlm.scanner import FileResult
from codemlm.types import Span
from tests.unit.test_scanner import BUG, scan_text

FIXED = BUG.replace("return rows", "return cols")


def edited(data: bytes, path: str = "a.py") -> Fixed | str:
    return fix(scan_text(data, path=path), data, unsafe=True)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: ("# coding: latin-1\n\nx = 'é'\n" + text).encode("latin-1"),
        lambda text: ("# 日本𝔘\n" + text).encode(),
    ],
)
def test_files_keep_all_but_what_is_edited(tmp_path: Path, encode: object) -> None:
    assert callable(encode)
    path = tmp_path / "a b é.py"
    path.write_bytes(encode(BUG))
    path.chmod(0o750)
    result = scan_text(encode(BUG), path=str(path))
    told: list[str] = []
    left = Fixer(None, unsafe=True, say=told.append).take(result)
    assert (left.findings, told) == ((), [])
    assert path.read_bytes() == encode(FIXED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert list(tmp_path.iterdir()) == [path]


def finding(*edits: tuple[int, int, bytes], confidence: float = 0.5) -> Finding:
    (base,) = scan_text(BUG).findings
    spans = tuple((Span(start, end), text) for start, end, text in edits)
    return replace(base, edits=spans, confidence=confidence, leaf=edits[0][0] if edits else 0)


def test_the_surest_of_overlapping_edits_are_made() -> None:
    first = finding((0, 2, b"X"), (8, 9, b"Y"), confidence=0.9)
    second = finding((8, 10, b"Z"), confidence=0.8)
    third = finding((4, 5, b"W"), confidence=0.7)
    insertion = finding((5, 5, b"not "), confidence=0.6)
    assert choose([insertion, third, second, first, finding()]) == [first, third]
    assert apply(b"0123456789", [third, first]) == b"X23W567Y9"


def test_what_would_not_parse_is_left_alone() -> None:
    data = BUG.encode()
    result = scan_text(data)
    bad = replace(result.findings[0], edits=((result.findings[0].span, b"cols cols"),))
    assert fix(replace(result, findings=(bad,)), data, unsafe=True) == (
        "with the suggested edits it would not parse"
    )
    lenient = replace(bad, edits=((Span(0, 0), b"print 1\n"),))  # the grammar knows Python 2 too
    assert isinstance(fix(replace(result, findings=(lenient,)), data, unsafe=True), str)
    assert edited(b"x = = 3\n" + data) != "with the suggested edits it would not parse"


def test_what_has_changed_is_left_alone() -> None:
    assert fix(scan_text(BUG), BUG.encode() + b"\n", unsafe=True) == (
        "it has changed since it was scanned"
    )


def test_what_cannot_be_encoded_or_written_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.py"
    data = b"# coding: ascii\n" + BUG.encode()
    path.write_bytes(data)
    result = scan_text(data, path=str(path))
    greek = replace(result.findings[0], edits=((result.findings[0].span, "λ".encode()),))
    told: list[str] = []
    fixer = Fixer(None, unsafe=True, say=told.append)
    assert fixer.take(replace(result, findings=(greek,))).findings == (greek,)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codemlm.files.os.replace", fail)
    assert fixer.take(result) == result
    monkeypatch.undo()
    path.unlink()
    assert fixer.take(result) == result
    assert [line.partition("left alone: ")[2] for line in told] == [
        "its encoding, ascii, has no 'λ'\n",
        "it cannot be written (No space left on device)\n",
        "it cannot be read (No such file or directory)\n",
    ]
    assert list(tmp_path.iterdir()) == []


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "real.py").write_text("x")
    (tmp_path / "link.py").symlink_to("real.py")
    files.write_whole(str(tmp_path / "link.py"), b"y")
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "real.py").read_text() == "y"


def test_only_safe_edits_without_leave() -> None:
    text = BUG + "x = 1  # codemlm: ignore[CM101]\n"
    result = scan_text(text)
    safe = fix(result, text.encode(), unsafe=False)
    assert isinstance(safe, Fixed)
    assert safe.after.decode() == BUG + "x = 1\n"
    everything = fix(result, text.encode(), unsafe=True)
    assert isinstance(everything, Fixed)
    assert everything.after.decode() == FIXED + "x = 1\n"


def test_notebooks_are_left_alone() -> None:
    notebook = b'{"cells": [{"cell_type": "code", "source": "def f(rows, cols): return rows"}]}'
    assert edited(notebook, "a.ipynb") == "edits of notebooks are not made"


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("a\nb\n", "a\nc\n", ["-b", "+c"]),
        ("a", "b", ["-a", "\\ No newline at end of file", "+b", "\\ No newline at end of file"]),
        ("a\r\nb\x0c1\n", "c\r\nb\x0c1\n", ["-a\r", "+c\r"]),
    ],
)
def test_diffs(before: str, after: str, rows: list[str]) -> None:
    text = diff("d/a b.py", Fixed(before.encode(), after.encode(), ()))
    lines = text.split("\n")
    assert lines[:2] == ["--- d/a b.py\t", "+++ d/a b.py\t"]
    assert [line for line in lines[3:] if line[:1] in "-+\\" and line] == rows
    assert diff("a", Fixed(b"a", b"a", ())) == ""


def test_diffs_on_a_terminal_are_coloured_and_steer_nothing() -> None:
    text = diff("a b.py", Fixed(b"x\x1b[2J\ty\nrows\n", b"x\x1b[2J\ty\ncols\n", ()))
    assert colored(text).split("\n") == [
        "\x1b[1m--- a b.py\t\x1b[0m",
        "\x1b[1m+++ a b.py\t\x1b[0m",
        "\x1b[94m@@ -1,2 +1,2 @@\x1b[0m",
        " x␛[2J\ty",
        "\x1b[31m-rows\x1b[0m",
        "\x1b[32m+cols\x1b[0m",
        "",
    ]


def test_a_diff_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(BUG)
    result = scan_text(BUG, path=str(path))
    assert isinstance(result, FileResult)
    import io

    out = io.StringIO()
    assert Fixer(out, unsafe=True, say=print).take(result) is result
    assert "-    return rows\n+    return cols\n" in out.getvalue()
    assert path.read_text() == BUG
