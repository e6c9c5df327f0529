"""`codemlm adapt` and what scans make of it, one command after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from codemlm import cli, commands
from tests.cli import fake

FILES = {
    ".git/HEAD": "",
    "pkg/__init__.py": "",
    "pkg/util.py": "class Row:\n    size = 1\n    def cut(self, at): pass\n"
    "def parse_row(line, sep): pass\nimport os\n",
    "tests/test_a.py": "from pkg.util import prase_row\nprase_row(1, sep=2)\n",
}


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEMLM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(commands, "load_model", fake.load)
    monkeypatch.setattr(commands, "identify_model", fake.identify)

    def run_one(*args: str, code: int = 0) -> str:
        assert cli.main(list(args)) == code
        return capsys.readouterr().out

    return run_one


SCAN = ("scan", "tests", "--output-format", "json")


def test_a_project_from_adapting_to_deleting(run: Run, tmp_path: Path) -> None:
    assert run(*SCAN) == ""
    assert "/.codemlm/names.gz: 3 modules, 7 lines; " in run("adapt")
    found = json.loads(run(*SCAN, code=1))
    assert found["message"] == "the module `pkg.util` has no `prase_row`; did you mean `parse_row`?"
    assert found["rests_on"] == ["pkg/util.py"]
    assert json.loads(run(*SCAN, code=1)) == found  # from the cache
    assert "it rests on pkg/util.py" in run("explain", "tests/test_a.py:1:22")
    assert run(*SCAN, "--no-adapt") == run(*SCAN, "--isolated") == ""
    run("scan", "tests", "--fix", "--unsafe-fixes")
    mended = FILES["tests/test_a.py"].replace("prase_row", "parse_row")
    assert (tmp_path / "tests" / "test_a.py").read_text() == mended
    (tmp_path / "pkg" / "util.py").write_text("def parse(line): pass\n")
    assert json.loads(run(*SCAN, code=1))["text"] == "parse_row"
    assert "3 modules, 3 lines; 2 of them read anew; " in run("adapt")
    assert "3 modules, 3 lines; 0 of them read anew; " in run("adapt")
    assert run("adapt", "--delete").startswith("Removed ")
    assert not (tmp_path / ".codemlm").exists()
    assert run(*SCAN) == ""


def test_what_is_known_of_names_is_told(run: Run) -> None:
    run("adapt")
    names = [
        part for name in ("parse_row", "Row", "os", "cut", "gone") for part in ("--about", name)
    ]
    told = run("adapt", "--show", *names).splitlines()
    assert told[1:5] == [
        "          4  names",
        "          1  functions",
        "          1  classes",
        "          0  modules that may hold other names",
    ]
    assert told[5:] == [
        "parse_row",
        "  pkg/util.py: function, takes line, sep",
        "Row",
        "  pkg/util.py: class, holds cut, size",
        "os",
        "  pkg/util.py: imported, os",
        "cut",
        "  pkg/util.py: method of Row, takes self, at",
        "gone",
        "  no module defines it",
    ]
    assert run("adapt", "--show", "--about", "a.b", code=2) == ""
