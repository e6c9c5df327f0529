"""Whatever files a folder holds: no traceback, the right exit code, and all others are scanned.

A few hundred cases in every run of the tests; ten thousand, drawn anew, by

    HYPOTHESIS_PROFILE=fuzz pytest tests/properties/test_fuzz.py
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemlm import cli
from codemlm.backend import default_model_path
from codemlm.config_kinds import FORMATS
from tests.properties import fuzz
from tests.properties.fuzz import ANCHOR, ANCHOR_FOUND, ANCHOR_TEXT, Content, Ran

WHOLE = settings.default is not None and settings.default.max_examples >= 1_000
"""Whether this is the long run."""


def cases(fast: int, share: float = 1.0) -> settings:
    """So many cases in every run, and a share of the profile's in the long one."""
    assert settings.default is not None
    return settings(max_examples=int(share * settings.default.max_examples) if WHOLE else fast)


@contextlib.contextmanager
def folder_of(files: dict[str, Content]) -> Iterator[set[str]]:
    """A working directory with files; gives the names of those that vanish."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above, "inside")  # links may lead to what is above it
        folder.mkdir()
        with contextlib.chdir(folder):
            gone = fuzz.make_folder(files)
            with fuzz.vanishing(gone):
                yield gone


def check(ran: Ran) -> None:
    """Checks what holds for every run."""
    assert ran.code in (0, 1, cli.ERROR), ran
    assert "Traceback" not in ran.err and "internal error" not in ran.err, ran.err
    assert (ran.code == cli.ERROR) is bool(
        re.search("^(error|Error|Usage): ?", ran.err, re.MULTILINE)
    ), ran


def parse_output(kind: str, text: str) -> None:
    """Reads what a format printed as the programs do that it is for."""
    if kind == "json":
        for line in text.splitlines():
            json.loads(line)
    elif kind in ("sarif", "gitlab", "rdjson"):
        json.loads(text)
    elif kind == "junit":
        ElementTree.fromstring(text)


SHARE = re.compile(r"[\d.]+ %")
CONFIGURATIONS = {"codemlm.toml", "pyproject.toml", ".gitignore"}
OPTIONS: tuple[list[str], ...] = (
    [],
    ["--min-confidence", "0"],
    ["--include-generated"],
    ["--statistics"],
    ["--no-cache"],
    ["--max-per-kloc", "1"],
    ["--force-exclude"],
    ["--isolated"],
)


@cases(150, 0.5)
@given(files=fuzz.folders, options=st.sampled_from(OPTIONS), kind=st.sampled_from(list(FORMATS)))
def test_any_files(files: dict[str, Content], options: list[str], kind: str) -> None:
    with folder_of(files):
        steered = any(Path(name).name in CONFIGURATIONS for name in files)
        ran = fuzz.run(["scan", "--format", kind, *options, "."])
        check(ran)
        if ran.out and "--statistics" not in options:
            parse_output(kind, ran.out)
        concise = fuzz.run(["scan", "--format", "concise", "--isolated", "--no-cache", "."])
        check(concise)
        assert steered or ANCHOR_FOUND in concise.out, concise
        # What is found in the cache, by the run above or this one, is what a fresh scan finds; but
        # a probability's last digit may be another one where other files share the pass.
        cached = fuzz.run(["scan", "--format", "concise", "--isolated", "."])
        assert SHARE.sub("%", cached.out) == SHARE.sub("%", concise.out)


@cases(60, 0.2)
@given(files=fuzz.folders, kind=st.sampled_from(list(FORMATS)))
def test_files_that_are_named(files: dict[str, Content], kind: str) -> None:
    with folder_of(files):
        named = [name for name in files if not name.startswith("-")]
        ran = fuzz.run(["scan", "--format", kind, "--isolated", *named, ANCHOR])
        check(ran)
        if ran.out:
            parse_output(kind, ran.out)
        if kind == "concise":
            assert ANCHOR_FOUND in ran.out, ran
        things = {str(files[name]) for name in named}
        if {"fifo", "dangling", "loop", "vanishing"} & things and "above" not in things:
            assert ran.code == cli.ERROR  # through a link, they may come as files of a folder


@cases(60, 0.2)
@given(files=fuzz.folders, how=st.sampled_from(["--diff", "--fix", "--write-baseline"]))
def test_edits_and_baselines_of_any_files(files: dict[str, Content], how: str) -> None:
    """What was parsed before parses after a fix; nothing but what is fixed changes."""
    with folder_of(files) as gone:
        kept = {name: data for name, data in files.items() if isinstance(data, bytes)}
        options = ["--unsafe-fixes"] if how != "--write-baseline" else []
        ran = fuzz.run(["scan", "--isolated", "--no-cache", how, *options, "."])
        check(ran)
        if how == "--fix":
            assert Path(ANCHOR).read_text("utf-8") == ANCHOR_TEXT.replace(
                "return rows", "return cols"
            )
        else:
            assert {name: Path(name).read_bytes() for name in kept} == kept
        if how == "--write-baseline":
            again = fuzz.run(["scan", "--isolated", "--baseline", "codemlm-baseline.json", "."])
            check(again)
            assert not again.out and again.code == 0
        assert not list(Path.cwd().rglob(".codemlm-*"))
        assert not gone & {str(path) for path in Path.cwd().rglob("*")}


@cases(40, 0.08)
@given(
    data=fuzz.contents.filter(lambda content: isinstance(content, bytes)),
    command=st.sampled_from(["scan", "score", "explain"]),
    line=st.integers(0, 60),
)
def test_any_text_of_any_command(data: bytes, command: str, line: int) -> None:
    with folder_of({"a.py": data}):
        if command == "explain":
            check(fuzz.run(["explain", f"a.py:{line}"]))
        else:
            check(fuzz.run([command, "-", "--stdin-filename", "a.py"], stdin=data))


@cases(15, 0.02)
@given(
    name=st.sampled_from(["manifest.json", "tokenizer.json", "model.onnx"]),
    how=st.sampled_from(["gone", "empty", "cut", "folder", "garbage", "byte"]),
    place=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
)
def test_a_corrupt_model(name: str, how: str, place: float, byte: int) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("a.py").write_text(ANCHOR_TEXT, "utf-8")
        shutil.copytree(default_model_path(), "model")
        path = Path("model", name)
        data = path.read_bytes()
        path.unlink()
        at = int(place * len(data))
        changed = {
            "empty": b"",
            "cut": data[:at],
            "garbage": bytes([byte]) * 1_000,
            "byte": data[:at] + bytes([byte]) + data[at + 1 :],
        }
        if how == "folder":
            path.mkdir()
        elif how != "gone":
            path.write_bytes(changed[how])
        ran = fuzz.run_real(["scan", "--isolated", "--no-cache", "--model", "model", "a.py"])
        check(ran)
        if ran.code == cli.ERROR:
            assert ran.err.startswith("error: model"), ran.err
        elif name != "manifest.json":
            assert changed[how] == data


@pytest.mark.skipif(os.name == "nt", reason="a root user and modes are of POSIX")
def test_the_fuzz_notices() -> None:
    """Each check can fail: it does on what it is there for."""
    for ran in (
        Ran(3, "", ""),
        Ran(2, "", ""),
        Ran(1, "", "error: x\n"),
        Ran(2, "", "error: x\nTraceback (most recent call last)"),
        Ran(2, "", "error: internal error: x"),
    ):
        with pytest.raises(AssertionError):
            check(ran)
    check(Ran(2, "", "error: gone.py: no such file\n"))
