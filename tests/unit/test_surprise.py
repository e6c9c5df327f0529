"""The most surprising leaves of a change, against what was usual in the old text."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codemlm import cli, commands, surprise
from codemlm.changes import old_contents
from codemlm.scoring import Scorer
from codemlm.surprise import ChangedText, Surprise, surprises
from codemlm.types import Role
from tests.cli import fake
from tests.unit.fakes import TableModel, tiny_tokenizer
from tests.unit.test_changes import ODD, change_all, git, repository

__all__ = ["repository"]

LIKELIHOODS = {"cols": 0.001, "rows": 0.02, "width": 0.3, "height": 0.5}

NAMES = "cols = rows = width = height = 1\n"


def scorer() -> Scorer:
    """A model that gives masked leaves the likelihoods above, whatever is there."""
    tokenizer = tiny_tokenizer()

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        logits = np.full((*arrays["leaf_positions"].shape, count), -40.0, np.float32)
        logits[..., 2] = math.log(1 - sum(LIKELIHOODS.values()))
        for text, likelihood in LIKELIHOODS.items():
            wanted = tokenizer.pieces(text)
            for row, ids in enumerate(arrays["candidate_ids"]):
                same = (ids[:, : len(wanted)] == wanted).all(axis=1)
                same &= (ids[:, len(wanted) :] == 0).all(axis=1)
                logits[row, :, len(tokenizer.frequent) + np.flatnonzero(same)] = math.log(
                    likelihood
                )
        return np.zeros(logits.shape[:2], np.float32), logits

    return Scorer(TableModel(answer, window=128), tokenizer)


def text(source: str, old: str | None, *lines: int, path: str = "a.py") -> ChangedText:
    before = None if old is None else old.encode()
    return ChangedText(path, source.encode(), before, lambda line: line in lines)


def told(found: list[Surprise]) -> list[tuple[str, float, float, str]]:
    return [
        (s.leaf.text, round(s.surprisal, 2), round(s.usual, 2), s.usual_of)
        for s in found
        if s.leaf.role == Role.READ
    ]


def bits(text: str) -> float:
    return round(-math.log(LIKELIHOODS[text]), 2)


def test_the_old_text_says_what_is_usual() -> None:
    odd = NAMES + "cols\n" * 8
    plain = NAMES + "height\n" * 8
    changed = [
        text(odd + "rows\n", odd, 10),
        text(plain + "rows\nwidth\n", plain, 10, 11, path="b.py"),
    ]
    found = surprises(scorer(), changed)
    assert told(found) == [
        ("rows", bits("rows"), bits("height"), "file"),
        ("width", bits("width"), bits("height"), "file"),
        ("rows", bits("rows"), bits("cols"), "file"),
    ]
    assert found[0].text.path == "b.py" and found[0].excess > 0 > found[-1].excess
    assert found[0].likelihood == pytest.approx(LIKELIHOODS["rows"], rel=1e-4)
    assert found[0].alternatives[0].likelihood > LIKELIHOODS["rows"]


def test_new_files_are_measured_by_the_rest_of_the_diff() -> None:
    plain = NAMES + "height\n" * 8
    new = NAMES + "rows\n"
    alone = surprises(scorer(), [text(new, None, 1, 2)])
    assert told(alone) == [("rows", bits("rows"), 0.0, "")]
    both = surprises(scorer(), [text(new, None, 1, 2), text(plain, plain, 2, path="b.py")])
    assert told(both)[0] == ("rows", bits("rows"), bits("height"), "diff")
    few = NAMES + "height\n"
    assert told(surprises(scorer(), [text(few + "rows\n", few, 3)])) == [
        ("rows", bits("rows"), bits("height"), "diff")
    ]


def test_many_leaves_cost_no_more_than_a_few_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surprise, "MOST_LEAVES", 3)
    monkeypatch.setattr(surprise, "SAMPLE", 2)
    source = "height = rows = 1\n" + "rows\n" * 9
    counts: list[tuple[int, int]] = []
    found = surprises(
        scorer(),
        [text(source, source, *range(2, 11))],
        lambda path, done, total: counts.append((done, total)),
    )
    assert len(found) == 3
    assert counts == [(3, 3), (2, 2)]


def test_texts_that_the_model_cannot_know_are_left_out() -> None:
    found = surprises(scorer(), [text("width = 1\nprint(width, 98765)\n", None, 2)])
    assert "98765" not in {s.leaf.text for s in found}


def test_old_contents(repository: Path) -> None:
    change_all()
    git("add", "-A")
    here = os.path.realpath(".")
    found = {os.path.relpath(path, here): data for path, data in old_contents(None).items()}
    first = b"one\ntwo\nthree\nfour\n"
    assert found == dict.fromkeys(("a.py", ODD, "new näme.py", "sub/b.py"), first)
    assert old_contents("HEAD") == old_contents(None)
    git("commit", "-qm", "second")
    assert old_contents(None) == {}
    assert {os.path.relpath(path, here) for path in old_contents("HEAD~1")} == found.keys()


OLD = "def area(rows, cols, height, width):\n    return cols * width\n"
NEW = OLD.replace("cols * width", "rows * width")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["surprise", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def faked(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(commands, "load_model", fake.load)
    Path("area.py").write_text(OLD)
    git("add", "-A")
    git("commit", "-qm", "area")
    return repository


def test_a_diff_in_frames_and_as_json(faked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("area.py").write_text(NEW)
    code, out, err = run(capsys, "-n", "1")
    assert (code, err) == (0, "1 of 3 leaves of changed lines in 1 file.\n")
    assert out.startswith("area.py:2:")
    assert "nats more surprising than usual\n  |\n1 | def area" in out
    code, out, err = run(capsys, "--format", "json", "-n", "9")
    records: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert all(r["excess"] > 0 and r["path"] == "area.py" and r["line"] == 2 for r in records)
    assert [r["excess"] for r in records] == sorted((r["excess"] for r in records), reverse=True)
    assert records[0]["usual_of"] == "diff"
    assert run(capsys, "--staged")[1:] == ("", "No source file is staged.\n")
    git("add", "-A")
    staged = run(capsys, "--staged", "--format", "json", "-n", "9")
    assert staged[:2] == (0, out)
    assert run(capsys, "sub")[2] == "No source file is changed since HEAD.\n"


def test_nothing_to_show(faked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys) == (0, "", "No source file is changed since HEAD.\n")
    Path("area.py").write_text("# new\n" + OLD)
    assert run(capsys)[2] == "No leaf that is judged stands on lines changed since HEAD.\n"
    Path("n.ipynb").write_text("{}")
    code, _, err = run(capsys)
    assert code == 0 and err.startswith("note: n.ipynb: in another language: a notebook")


def test_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert err.startswith("error: --since needs a git repository, and ")
    assert run(capsys, "--staged", "--since", "HEAD")[0] == 2
    monkeypatch.setenv("PATH", "")
    assert "git cannot be run" in run(capsys, "--staged")[2]


def test_no_model_is_loaded_in_vain(faked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sys.modules.pop("onnxruntime", None)
    assert run(capsys, "--config", 'model="nowhere"')[0] == 0
    Path("area.py").write_text(NEW)
    code, _, err = run(capsys, "--config", 'model="nowhere"')
    assert code == 2 and "no such model" in err
