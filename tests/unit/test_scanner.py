"""Scanning with a fake model: chunks, batches, failures, pragmas, rules, and odd texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codemlm import scanner as module
from codemlm.discovery import Target
from codemlm.errors import ModelError
from codemlm.positions import LineIndex
from codemlm.scanner import FileResult, Scanner, ScanOptions
from codemlm.scoring import FileToScore, LeafScore, Scorer
from codemlm.source import Failure, Reason, SourceFile, decode_source
from tests.cli.fake import DOUBT_ALONE, FakeModel
from tests.unit.fakes import tiny_tokenizer

BUG = "def area(rows, cols):\n    return rows\n"
"""The fake model takes the second ``rows`` for ``cols``."""


class CountingModel(FakeModel):
    """Counts forward passes."""

    def __init__(self) -> None:
        super().__init__(tiny_tokenizer())
        self.passes = 0

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        self.passes += 1
        return super().run(arrays)


class BadScorer(Scorer):
    """Fails whenever a file with the text ``poison`` is among those it is given."""

    error: Exception = RuntimeError("poisoned")

    def score(self, files: Sequence[FileToScore]) -> list[list[LeafScore]]:
        if any("poison" in file.texts for file in files):
            raise self.error
        return super().score(files)


def make_scanner(model: FakeModel | None = None, **options: Any) -> Scanner:
    tokenizer = tiny_tokenizer()
    scorer = Scorer(model or FakeModel(tokenizer), tokenizer)
    return Scanner(scorer, DOUBT_ALONE, ScanOptions(**options))


def scan_text(text: str | bytes, path: str = "a.py", **options: Any) -> FileResult:
    data = text.encode() if isinstance(text, str) else text
    read = decode_source(data, path)
    assert isinstance(read, SourceFile)
    result = make_scanner(**options).scan_source(read)
    assert isinstance(result, FileResult)
    return result


def places(result: FileResult) -> list[tuple[str, int, int, str]]:
    """Rule, line, column and text of each finding, in source order."""
    index = LineIndex(result.source)
    found = [(index.position(f.span.start), f) for f in result.findings]
    return sorted((f.rule, at.line, at.column, f.text) for at, f in found)


def write(folder: Path, count: int, text: str = BUG) -> list[Target]:
    targets = []
    for number in range(count):
        path = folder / f"{number:04}.py"
        path.write_text(text)
        targets.append(Target(str(path), explicit=False))
    return targets


def test_finds() -> None:
    result = scan_text(BUG)
    assert places(result) == [("CM101", 2, 12, "rows")]
    finding = result.findings[0]
    assert finding.suggestions[0].text == "cols"
    assert finding.verified
    assert finding.confidence == pytest.approx(0.9526, abs=1e-4)


def test_results_keep_the_order_of_the_targets(tmp_path: Path) -> None:
    targets = write(tmp_path, 70)
    gone = Target(str(tmp_path / "gone.py"), explicit=True)
    mixed = [*targets[:3], gone, *targets[3:]]
    results = list(make_scanner().scan(mixed))
    assert [r.path for r in results] == [t.path for t in mixed]
    assert results[3] == Failure(gone.path, Reason.MISSING, "no such file", explicit=True)
    assert all(isinstance(r, FileResult) and r.findings for r in results if r is not results[3])


def test_small_files_share_forward_passes(tmp_path: Path) -> None:
    model = CountingModel()
    list(make_scanner(model).scan(write(tmp_path, 32, "x = 1\n")))
    assert model.passes <= 2 + 2  # 32 windows by 16, and what is masked


def test_the_first_result_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    read: list[str] = []

    def targets() -> Iterator[Target]:
        for target in write(tmp_path, 40, BUG * 40):
            read.append(target.path)
            yield target

    results = make_scanner().scan(targets())
    next(results)
    first = len(read)
    assert first * len(BUG * 40) <= 2 * module.FIRST_CHUNK_BYTES
    results.close()  # type: ignore[attr-defined]
    assert len(read) == first


def test_chunks_grow_but_stay_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    score = Scorer.score

    def spy(self: Scorer, files: Sequence[FileToScore]) -> list[list[LeafScore]]:
        sizes.append(len(files))
        return score(self, files)

    monkeypatch.setattr(Scorer, "score", spy)
    monkeypatch.setattr(module, "FIRST_CHUNK_BYTES", 2 * len(BUG))
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * len(BUG))
    list(make_scanner().scan(write(tmp_path, 25)))
    assert sizes == [2, 4, 8, 8, 3]


def test_one_bad_file_costs_only_itself(tmp_path: Path) -> None:
    targets = write(tmp_path, 5)
    Path(targets[2].path).write_text("poison = 1\n")
    scanner = make_scanner()
    scanner.scorer = BadScorer(scanner.scorer.model, scanner.scorer.tokenizer)
    results = list(scanner.scan(targets))
    assert [len(r.findings) if isinstance(r, FileResult) else r for r in results] == [
        1,
        1,
        Failure(targets[2].path, Reason.INTERNAL, "RuntimeError: poisoned"),
        1,
        1,
    ]
    scanner.options = ScanOptions(debug=True)
    with pytest.raises(RuntimeError, match="poisoned"):
        list(scanner.scan(targets))


def test_a_bad_model_stops_the_scan(tmp_path: Path) -> None:
    scanner = make_scanner()
    scanner.scorer = BadScorer(scanner.scorer.model, scanner.scorer.tokenizer)
    scanner.scorer.error = ModelError("broken")
    with pytest.raises(ModelError, match="broken"):
        list(scanner.scan(write(tmp_path, 2, "poison = 1\n")))


@pytest.mark.parametrize(
    ("select", "ignore", "wanted"),
    [
        (("",), (), True),
        (("CM1",), (), True),
        (("CM2",), (), False),
        (("CM101",), ("CM1",), True),
        (("",), ("CM101",), False),
        (("CM1",), ("CM1",), False),
        (("CM2", "CM101"), (), True),
    ],
)
def test_select_and_ignore(select: tuple[str, ...], ignore: tuple[str, ...], wanted: bool) -> None:
    assert ScanOptions(select=select, ignore=ignore).wants("CM101") is wanted
    assert bool(scan_text(BUG, select=select, ignore=ignore).findings) is wanted


def test_least_confidence() -> None:
    everything = scan_text(BUG, min_confidence=0.0).findings
    assert len(everything) >= 1
    best = everything[0].confidence
    assert scan_text(BUG, min_confidence=best).findings == everything[:1]
    assert not scan_text(BUG, min_confidence=best + 1e-9).findings
    assert scan_text(BUG, min_confidence=None).findings == everything[:1]


@pytest.mark.parametrize(
    ("comment", "silenced"),
    [
        ("# codemlm: ignore", True),
        ("#codemlm:ignore", True),
        ("# x # codemlm: ignore[CM101]", True),
        ("# codemlm: ignore[cm2, CM1]", True),
        ("# Codemlm: Ignore [CM101] because", True),
        ("# codemlm: ignore[CM2]", False),
        ("# codemlm: ignore[]", False),
        ("# codemlm: ignored", False),
        ("# noqa: E501", False),
    ],
)
def test_pragmas_on_a_line(comment: str, silenced: bool) -> None:
    result = scan_text(BUG.rstrip() + f"  {comment}\n", ignore=("CM901",))
    assert (len(result.findings), result.num_silenced) == ((0, 1) if silenced else (1, 0))
    elsewhere = scan_text(f"x = 1  {comment}\n{BUG}", ignore=("CM901",))
    assert len(elsewhere.findings) == 1


def test_pragmas_for_a_file() -> None:
    model = CountingModel()
    scanner = make_scanner(model)
    whole = SourceFile("a.py", f"# codemlm: ignore-file\n{BUG}".encode(), "utf-8", has_bom=False)
    result = scanner.scan_source(whole)
    assert isinstance(result, FileResult)
    assert (result.findings, model.passes) == ((), 0)
    assert scan_text(f"{BUG}# codemlm: ignore-file[CM101]\n").num_silenced == 1
    assert scan_text(f"{BUG}# codemlm: ignore-file[CM2]\n").findings
    assert scan_text(f"{BUG}x = 'codemlm: ignore-file'\n").findings


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1  # codemlm: ignore\n", "x = 1\n"),
        ("x = 1  # é # codemlm: ignore[CM101]\n", "x = 1  # é\n"),
        ("x = 1  # codemlm: ignore[CM999]\n", "x = 1\n"),
        ("x = 1  # codemlm: ignore[]\n", "x = 1\n"),
        ("# codemlm: ignore-file[CM2]\n", "\n"),
        ("x = 1  # codemlm: ignore[CM101] because\n", None),
        (f"{BUG[:-1]}  # codemlm: ignore[CM2, CM101]\n", f"{BUG[:-1]}  # codemlm: ignore[CM101]\n"),
    ],
)
def test_unused_pragmas_are_reported(before: str, after: str | None) -> None:
    (finding,) = scan_text(before).findings
    assert (finding.rule, finding.confidence) == ("CM901", 1.0)
    if after is None:
        assert finding.edits == ()
        return
    ((span, text),) = finding.edits
    data = before.encode()
    assert (data[: span.start] + text + data[span.end :]).decode() == after


def test_pragmas_that_may_be_needed_are_not_reported() -> None:
    silenced = f"{BUG[:-1]}  # codemlm: ignore[CM101]\n"
    confidence = scan_text(BUG).findings[0].confidence
    assert not scan_text(silenced, min_confidence=min(1.0, 1.9 * confidence)).findings
    assert not scan_text("x = 1  # codemlm: ignore[CM101]\n", ignore=("CM101",)).findings
    assert not scan_text("x = 1  # codemlm: ignore\n", select=("CM1", "CM901")).findings
    assert not scan_text("x = 1  # codemlm: ignore\n", ignore=("CM901",)).findings


def test_notebooks_are_told_by_cell() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["rows"]},
        {"cell_type": "code", "source": ["import os\n", "%matplotlib inline"]},
        {"cell_type": "code", "source": "x = 1\n" + BUG},
        {"cell_type": "code", "source": "def f(low, high): return pow(low, high)"},
    ]
    notebook = json.dumps({"cells": cells, "metadata": {}})
    result = scan_text(notebook, path="a.ipynb")
    parts = list(result.parts())
    assert [(part.label, part.cell) for part in parts] == [
        ("a.ipynb:cell 3", 3),
        ("a.ipynb:cell 4", 4),
    ]
    assert places(parts[0]) == [("CM101", 3, 12, "rows")]
    (swap,) = parts[1].findings
    assert swap.other is not None
    assert [parts[1].source[s.start : s.end] for s in (swap.span, swap.other)] == [b"low", b"high"]
    assert [parts[1].source[s.start : s.end] for s, _ in swap.edits] == [b"low", b"high"]


def test_generated_files_are_passed_over_unless_named(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(f"# Generated by a tool. DO NOT EDIT.\n{BUG}")
    walked, named = Target(str(path), explicit=False), Target(str(path), explicit=True)
    cases: list[tuple[Target, dict[str, Any], bool]] = [
        (walked, {}, True),
        (named, {}, False),
        (walked, {"include_generated": True}, False),
    ]
    for target, options, is_generated in cases:
        (result,) = make_scanner(**options).scan([target])
        assert isinstance(result, FileResult)
        assert (result.is_generated, not result.findings) == (is_generated, is_generated)


def test_notebooks_are_no_tables_of_data(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [{"cell_type": "code", "source": BUG, "outputs": ["1"] * 2000}]
    path.write_text(json.dumps({"cells": cells, "metadata": {}}))
    (result,) = make_scanner().scan([Target(str(path), explicit=False)])
    assert isinstance(result, FileResult)
    assert result.findings and not result.is_generated


def test_nothing_is_said_of_what_does_not_parse() -> None:
    result = scan_text(f"def f(:\n    x = 1\n\n\n{BUG}rows = rows = )\n")
    assert result.num_errors
    assert ("CM101", 6, 12, "rows") in places(result)
    inside = scan_text("def f(rows, cols):\n    (rows rows\n")
    assert inside.num_errors
    assert not inside.findings


def test_undefined_names_need_a_module() -> None:
    text = "class A(B): ...\n\nclass B: ...\n"
    assert [p[0] for p in places(scan_text(text))] == ["CM201"]
    assert places(scan_text(text, path="a.pyi")) == []


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", None),
        (b"\n", None),
        (b"# only a comment", None),
        (b"\xef\xbb\xbf" + BUG.encode(), (2, 12)),
        (BUG.replace("\n", "\r\n").encode(), (2, 12)),
        (BUG.replace("\n", "\r").encode(), (2, 12)),
        (b"def f(rows, cols):\n\treturn rows", (2, 9)),
        (b"def f(rows, cols):\x0c\n    return rows\n", (2, 12)),
        ("# coding: latin-1\ndef f(rows, cols): return 'éé', rows".encode("latin-1"), (2, 33)),
        ("def f(rows, cols): return '日本𝔘', rows".encode(), (1, 34)),
        ("def f(rows, cols):\n  '\u2028\x85\x1c'\n  return rows".encode(), (3, 10)),
    ],
)
def test_columns_count_code_points(data: bytes, place: tuple[int, int] | None) -> None:
    found = [(line, column) for _, line, column, _ in places(scan_text(data))]
    assert found == ([] if place is None else [place])


@pytest.mark.parametrize(
    "text",
    [
        f"x = {'(' * 10_000}1{')' * 10_000}\n",
        "[" * 10_000,
        f"x = {'-' * 10_000}1\n",
        f"x = ''{'.strip()' * 1_000}\n",
        "".join(" " * depth + "if x:\n" for depth in range(300)),
        f"x = '{'a' * 100_000}'\n",
        f"x = {'1' * 10_000}\n",
    ],
)
def test_extreme_texts(text: str) -> None:
    scan_text(text, select=("CM1",))
