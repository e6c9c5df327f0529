"""Baselines: what is known stays known when lines move, and what is gone is taken out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from codemlm.baseline import IN_BASELINE, Baseline
from codemlm.errors import UsageError
from codemlm.scanner import FileResult
from codemlm.source import Failure, Reason
from tests.unit.test_scanner import BUG, scan_text


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def new_findings(baseline: Baseline, text: str, path: str = "a.py") -> int:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    (result,) = baseline.only_new([scan_text(text, path=path)])
    assert isinstance(result, FileResult)
    assert sum(count for _, count in result.held_back) + len(result.findings) == len(
        scan_text(text, path=path).findings
    )
    return len(result.findings)


def made_of(text: str, path: str = "a.py") -> None:
    baseline = Baseline.read("base.json", missing_ok=True)
    new_findings(baseline, text, path)
    baseline.replace()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (BUG, 0),
        ("import os\n\n\n" + BUG, 0),
        (BUG.replace("    return", "\treturn"), 0),
        (BUG + "\n\ndef f(rows, cols):\n    return rows\n", 1),
        ("def f(rows, cols):\n    return rows\n\n\n" + BUG, 1),
        (BUG + "    return rows\n", 1),
        (BUG.replace("return rows", "return rows or 0"), 1),
        (BUG.replace("area", "surface"), 1),
    ],
)
def test_fingerprints_have_no_lines(text: str, count: int) -> None:
    made_of(BUG)
    assert new_findings(Baseline.read("base.json"), text) == count


def test_held_back_findings_are_counted() -> None:
    made_of(BUG)
    (result,) = Baseline.read("base.json").only_new([scan_text(BUG)])
    assert isinstance(result, FileResult)
    assert result.held_back == ((IN_BASELINE, 1),)


def test_it_shrinks_by_what_is_gone_and_by_nothing_else() -> None:
    for path in ("a.py", "b.py", "c.py", "d.py"):
        made_of(BUG, path)
    before = Path("base.json").read_text()
    baseline = Baseline.read("base.json")
    list(baseline.only_new([Failure("b.py", Reason.UNREADABLE, "")]))
    assert baseline.shrink() == 0
    assert Path("base.json").read_text() == before
    Path("c.py").unlink()
    assert new_findings(baseline, "x = 1\n") == 0
    assert baseline.shrink() == 2
    known = Baseline.read("base.json").known
    assert sorted(known) == ["b.py", "d.py"]
    assert new_findings(Baseline.read("base.json"), BUG) == 1


def test_paths_are_relative_to_the_baseline() -> None:
    Path("sub").mkdir()
    made_of(BUG, "sub/é b.py")
    os.chdir("sub")
    assert new_findings(Baseline.read("../base.json"), BUG, "é b.py") == 0
    assert json.loads(Path("../base.json").read_text())["findings"][0]["path"] == "sub/é b.py"


def test_writing_keeps_what_was_not_scanned() -> None:
    made_of(BUG, "a.py")
    made_of(BUG, "b.py")
    made_of("x = 1\n", "a.py")
    assert sorted(n for n, table in Baseline.read("base.json").known.items() if table) == ["b.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a baseline"),
        ("{}", "not a baseline"),
        ('{"format": 9, "findings": []}', "its format is 9, not 1"),
        ('{"format": 1, "findings": [{}]}', "not a baseline"),
        ('{"format": 1, "findings": 3}', "not a baseline"),
    ],
)
def test_what_is_no_baseline(text: str, message: str) -> None:
    Path("base.json").write_text(text)
    with pytest.raises(UsageError, match=rf"^base.json: {message}.*--write-baseline"):
        Baseline.read("base.json")


def test_a_missing_baseline() -> None:
    with pytest.raises(UsageError, match=r"^gone.json: there is no such baseline"):
        Baseline.read("gone.json")


def test_a_failed_write_leaves_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made_of(BUG)
    before = Path("base.json").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codemlm.files.os.replace", fail)
    with pytest.raises(UsageError, match="No space left"):
        made_of("x = 1\n")
    assert Path("base.json").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["a.py", "base.json"]
