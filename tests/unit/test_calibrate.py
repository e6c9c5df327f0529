"""`codemlm calibrate` with the table that stands for a model."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from codemlm import cli, commands
from tests.cli import fake
from tests.unit.browser import CHROMIUM, Browser
from tests.unit.fakes import SAMPLE

ARGS = ["calibrate", "--per-file", "2", "--threads", "1"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "load_model", fake.load)
    for name in ("CODEMLM_MODEL", "CODEMLM_OUTPUT_FORMAT", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "src").mkdir()
    for number in range(5):
        (tmp_path / "src" / f"m{number}.py").write_text(SAMPLE)
    return tmp_path


def result(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert cli.main([*ARGS, "--output-format", "json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_tables(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert cli.main([*ARGS, "--color", "never"]) == 0
    out = capsys.readouterr().out
    assert "5 files, 190 lines; 10 injected bugs" in " ".join(out.split())
    for part in ("Reliability", "min-confidence", "  now", "0.5 wanted", "Bugs by rule", "|"):
        assert part in out
    assert "Injected bugs are no real ones" in out and "rests on few findings" in out
    assert "\x1b" not in out
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("project")
def test_json_is_the_same_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    first = result(capsys)
    assert result(capsys) == first
    assert first["settings"] == {"files": 100, "per_file": 2, "per_kloc": 0.5, "seed": 0}
    assert first["paths"] == ["."] and first["written"] is None
    assert first["wanted"]["figures"]["per_kloc"]["value"] <= 0.5
    counts = [row["findings"] for row in first["thresholds"]]
    assert counts == sorted(counts) and counts[-1] > counts[0]
    assert result(capsys, "--seed", "1")["by_rule"] != first["by_rule"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("codemlm.toml", "# ours\nthreads = 1\n", "# ours\nthreads = 1\nmin-confidence = {}\n"),
        (
            "pyproject.toml",
            "[project]  # it\nname = 'a'\n\n[tool.codemlm]\nmin-confidence = 0.5  # by hand\n",
            "[project]  # it\nname = 'a'\n\n[tool.codemlm]\nmin-confidence = {}  # by hand\n",
        ),
        (
            "pyproject.toml",
            "[tool.codemlm]\nmin-confidence = {CM116 = 0.7}\r\n",
            "[tool.codemlm]\nmin-confidence = { CM = {}, CM116 = 0.7}\r\n",
        ),
    ],
)
def test_write_changes_one_value(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str
) -> None:
    path = project / name
    path.write_bytes(old.encode())
    path.chmod(0o640)
    found = result(capsys, "--write", "--per-kloc", "100", "src")
    value = found["wanted"]["threshold"]["value"]
    assert path.read_bytes().decode() == new.replace("{}", f"{value:g}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert found["written"] == str(path)
    after = result(capsys, "src")
    assert after["now"]["threshold"] == value


def test_write_makes_a_file_where_there_is_none(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "pyproject.toml").write_text("[project]\n")
    found = result(capsys, "--write", "src")
    value = found["wanted"]["threshold"]["value"]
    assert (project / "codemlm.toml").read_text() == f"min-confidence = {value:g}\n"
    assert (project / "pyproject.toml").read_text() == "[project]\n"


def test_write_to_the_file_that_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "other.toml").write_text("threads = 1\n")
    found = result(capsys, "--write", "--config", "other.toml")
    assert found["written"] == "other.toml"
    assert "min-confidence = " in (project / "other.toml").read_text()
    assert not (project / "codemlm.toml").exists()


def test_the_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "<b>").mkdir()
    for number in range(5):
        (project / "<b>" / f"{number}.py").write_text(SAMPLE)
    assert cli.main([*ARGS, "--html", "out.html", "<b>"]) == 0
    capsys.readouterr()
    page = (project / "out.html").read_text("utf-8")
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "prefers-color-scheme: dark" in page and "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#)|url\(|@import| style=", page)
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("aria-label")
        numbers = [float(v) for e in root.iter() for k, v in e.items() if k in ("x", "y", "cx")]
        assert all(0 <= number <= 500 for number in numbers)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_in_a_browser(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*ARGS, "--html", "out.html"]) == 0
    capsys.readouterr()
    papers = []
    with Browser(project / "profile") as browser:
        for dark in (False, True):
            browser.open(project / "out.html", width=420, dark=dark)
            assert browser.complaints() == []
            assert browser.value("document.documentElement.scrollWidth") <= 420
            papers.append(browser.value("getComputedStyle(document.body).backgroundColor"))
            line = "getComputedStyle(document.querySelector('svg .line')).stroke"
            assert browser.value(line) not in ("none", papers[-1])
    assert len(set(papers)) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["src/m0.py"], "too few files: 1 can be judged, and 5 are needed"),
        (["empty"], "no Python files in empty"),
        (["--exclude", "src"], "no Python files in ."),
        (["--select", "CM901"], "no bug could be put into these files"),
        (["--write", "--isolated"], "--isolated reads no configuration file"),
        (["--html", "src"], "src: not writable"),
        (["--html", "no/such.html"], "no/such.html: not writable"),
        (["--files", "4"], "4 is not in the range"),
        (["--model", "none"], "none: no such model"),
        (["--write", "--config", "bad.toml"], "cannot set min-confidence.CM without changing"),
    ],
)
def test_errors_say_what_to_do(
    project: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    (project / "empty").mkdir()
    (project / "bad.toml").write_text('min-confidence = {"\\u0043M" = 0.3}\n')
    assert cli.main([*ARGS, *args]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err
    assert captured.out == ""


def test_too_few_files_says_why(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "src" / "m0.py").write_text("def (:\n")
    assert cli.main(ARGS) == 2
    assert "4 can be judged, and 5 are needed (passed over: does not parse (1))" in (
        capsys.readouterr().err
    )


def test_nothing_is_written_where_no_value_helps(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "[min-confidence]\nCM101 = 0.02\n"
    (project / "codemlm.toml").write_text(text)
    assert cli.main([*ARGS, "--write", "--per-kloc", "0"]) == 2
    captured = capsys.readouterr()
    assert "nothing was written" in captured.err
    assert "No least confidence keeps this code to 0 findings" in " ".join(captured.out.split())
    assert (project / "codemlm.toml").read_text() == text


def test_names_that_are_no_text(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.fsdecode(b"odd\xff")
    Path(folder).mkdir()
    for number in range(5):
        Path(folder, os.fsdecode(b"\xfe%d.py" % number)).write_text(SAMPLE)
    found = result(capsys, folder, "--html", "out.html")
    assert found["files"] == 5 and found["bugs"] == 10
    assert "odd" in (project / "out.html").read_text("utf-8")


def test_a_file_that_cannot_be_written_after_all(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", path)

    (project / "codemlm.toml").write_text("threads = 1\n")
    monkeypatch.setattr("codemlm.config_write.write_whole", refuse)
    assert cli.main([*ARGS, "--write"]) == 2
    assert "codemlm.toml: not writable (Permission denied)" in capsys.readouterr().err
    assert (project / "codemlm.toml").read_text() == "threads = 1\n"
