"""The script that measures real bugs: what it runs, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from .benchmark_scripts import load_script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load_script("real", monkeypatch)


def recorder(calls: list[list[str]]) -> Callable[..., None]:
    """Stands in for codemlm: notes its arguments, and writes the pages that they ask for."""

    def codemlm(*arguments: object) -> None:
        words = [str(argument) for argument in arguments]
        calls.append(words)
        for option in ("--out", "--markdown"):
            if option in words:
                Path(words[words.index(option) + 1]).write_text("## Real bugs\n", "utf-8")

    return codemlm


def test_pairs_are_made_once_and_the_run_says_how(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(script, "codemlm", recorder(calls))
    pairs = tmp_path / "pairs.jsonl.gz"
    own = ["--pairs", pairs, "--records", "r", "--repos", "t", "--name", "run", "--out", tmp_path]
    arguments = [*map(str, own), "--", "--limit", "9"]
    script.main(arguments)
    script.main(arguments)
    assert [call[0] for call in calls] == ["corpus", "eval", "eval"]
    assert "--introductions" in calls[0]
    assert calls[1][-2:] == ["--limit", "9"]
    page = (tmp_path / "run" / "real.md").read_text("utf-8")
    assert page.startswith("# Real bugs, ")
    assert "-- --limit 9" in page
    assert "## Real bugs" in page
    assert str(tmp_path) not in page


def test_a_failure_or_nothing_to_make_pairs_of_ends_it(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--records"):
        script.main(["--pairs", str(tmp_path / "x"), "--name", "n", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="failed with 2"):
        script.codemlm("eval")
