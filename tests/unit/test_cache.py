"""The cache: what it gives back, when it does not, and what becomes of a damaged one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import zlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from codemlm import cache as module
from codemlm.cache import Cache, Judged, clean
from codemlm.filters import FILTERS
from codemlm.findings import Finding, Suggestion
from codemlm.pragmas import Pragma
from codemlm.recall import StoringScorer, pack_scores, unpack_scores
from codemlm.scanner import FileResult, Scanner, ScanOptions
from codemlm.scoring import Alternative, LeafScore, Scorer
from codemlm.source import SourceFile
from codemlm.types import Role, Span
from tests.cli.fake import DOUBT_ALONE
from tests.unit.fakes import SAMPLE, tiny_tokenizer
from tests.unit.test_scanner import BUG, CountingModel, places

FINDING = Finding(
    rule="CM113",
    leaf=3,
    span=Span(1, 2),
    text="é",
    role=Role.READ,
    confidence=0.1 + 0.2,
    likelihood=1e-30,
    keep=0.25,
    suggestions=(Suggestion("a", 0.3), Suggestion("[DELETE]", 0.1)),
    edits=((Span(1, 2), "é".encode()), (Span(4, 4), b"not ")),
    message="m",
    other=Span(3, 4),
    verified=True,
    function="A.f",
    rests_on=("pkg/é.py",),
)
PRAGMA = Pragma(5, Span(6, 7), 9, 1, ("", "CM1"))
JUDGED = Judged(0.01, 2, (FINDING,), (True,), (PRAGMA,), ((("kind", "pkg/é"), "module"),))


def opened(folder: Path, model: str = "m") -> Cache:
    cache = Cache(str(folder), model)
    assert cache.note is None
    return cache


def filled(folder: Path, judged: Judged = JUDGED) -> bytes:
    cache = opened(folder)
    key = cache.key(b"text", "a.py")
    cache.put(key, judged)
    cache.close()
    return key


def test_entries_come_back_whole(tmp_path: Path) -> None:
    assert all(getattr(FINDING, f.name) != f.default for f in fields(Finding))
    key = filled(tmp_path)
    cache = opened(tmp_path)
    assert cache.get(key, 0.5) == JUDGED
    bare = replace(FINDING, other=None, keep=float("nan"), likelihood=float("inf"))
    cache.put(key, replace(JUDGED, findings=(bare,)))
    cache.close()
    found = opened(tmp_path).get(key, 0.5)
    assert found is not None
    (again,) = found.findings
    assert (again.other, again.likelihood) == (None, float("inf")) and again.keep != again.keep


def test_entries_that_keep_too_little_are_none(tmp_path: Path) -> None:
    key = filled(tmp_path)
    assert opened(tmp_path).get(key, 0.01) == JUDGED
    assert opened(tmp_path).get(key, 0.009) is None


def test_keys_tell_apart_what_findings_depend_on(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path, "n")
    keys = {
        one.key(b"text", "a.py"),
        one.key(b"text2", "a.py"),
        one.key(b"text", "a.pyi"),
        one.key(b"ytext", "a.p"),
        one.key(b"text", "\udcff.py"),
        one.key(b"text", "a.py", "/project\na.py"),
        other.key(b"text", "a.py"),
    }
    assert len(keys) == 7
    assert module.code_fingerprint() == module.code_fingerprint()


def scanner(model: CountingModel, folder: Path, **options: Any) -> Scanner:
    tokenizer = tiny_tokenizer()
    cache = opened(folder)
    return Scanner(Scorer(model, tokenizer), DOUBT_ALONE, ScanOptions(**options), cache=cache)


def scanned(text: str, folder: Path, path: str = "a.py", **options: Any) -> tuple[FileResult, int]:
    model = CountingModel()
    with_cache = scanner(model, folder, **options)
    result = with_cache.scan_source(SourceFile(path, text.encode(), "utf-8", has_bom=False))
    assert isinstance(result, FileResult) and with_cache.cache is not None
    with_cache.cache.close()
    return result, model.passes


@pytest.mark.parametrize(
    "text",
    [
        BUG,
        "x = 1\n",
        f"{BUG[:-1]}  # codemlm: ignore[CM101]\nx = 1  # codemlm: ignore\n",
        "def f(:\n" + BUG,
        "class A:\n    def f(self, low, high):\n        return pow(low, high)\n",
    ],
)
def test_a_second_scan_finds_the_same_without_the_model(tmp_path: Path, text: str) -> None:
    first, passes = scanned(text, tmp_path)
    assert passes
    for options in ({}, {"select": ("CM1", "CM9")}, {"min_confidence": 0.6}):
        without = scanned(text, tmp_path / str(len(str(options))), **options)[0]
        assert repr(scanned(text, tmp_path, **options)) == repr((without, 0))  # repr: NaN is NaN
    assert first.findings or text == "x = 1\n"


def test_lower_thresholds_are_judged_anew(tmp_path: Path) -> None:
    few, _ = scanned(SAMPLE, tmp_path)
    everything, _ = scanned(SAMPLE, tmp_path, min_confidence=0.0)
    anew, _ = scanned(SAMPLE, tmp_path / "other", min_confidence=0.0)
    assert places(everything) == places(anew)
    assert len(everything.findings) > len(few.findings)
    assert scanned(SAMPLE, tmp_path, min_confidence=0.0) == (everything, 0)
    assert scanned(SAMPLE, tmp_path)[1] == 0


def test_what_had_no_second_look_is_judged_anew(tmp_path: Path) -> None:
    hidden, _ = scanned(BUG, tmp_path, ignore=("CM101",))
    shown, passes = scanned(BUG, tmp_path)
    assert (len(hidden.findings), len(shown.findings)) == (0, 1) and passes
    assert scanned(BUG, tmp_path, ignore=("CM101",)) == (hidden, 0)


def test_other_filters_take_nothing_from_the_cache(tmp_path: Path) -> None:
    scanned(BUG, tmp_path)
    model, cache = CountingModel(), opened(tmp_path)
    scorer = Scorer(model, tiny_tokenizer())
    source = SourceFile("a.py", BUG.encode(), "utf-8", has_bom=False)
    Scanner(scorer, DOUBT_ALONE, filters=FILTERS, cache=cache).scan_source(source)
    cache.close()
    assert model.passes


def test_functions_are_named(tmp_path: Path) -> None:
    text = "class A:\n    async def f(self, rows, cols):\n        return [rows for _ in cols]\n"
    (finding,) = scanned(text + "g = lambda low: low\n", tmp_path)[0].findings
    assert finding.function == "A.f"


# Few leaves that the fake dislikes: which of many alike are masked hangs on their last digits.
_CALM = SAMPLE.replace("rows", "lines").replace("<", ">").replace("not ", "")
LONG = BUG + "\n".join(
    _CALM.replace("Grid", f"Grid{n}").replace("resize", f"resize{n}") for n in range(4)
)


@pytest.mark.parametrize(
    "edit",
    [
        ("total += value", "print(value)\n                total += value"),
        ("min(self.lines, self.cols)", "min(self.lines, self.lines)"),
        ("    def diagonal(self, limit=10):\n        total = 0\n", "    def diagonal(self):\n"),
    ],
)
def test_an_edit_costs_the_windows_that_see_it(tmp_path: Path, edit: tuple[str, str]) -> None:
    def scan(text: str, folder: Path) -> tuple[FileResult, int]:
        with_cache = scanner(CountingModel(), folder, min_confidence=0.1)
        result = with_cache.scan_source(SourceFile("a.py", text.encode(), "utf-8", has_bom=False))
        assert isinstance(result, FileResult) and with_cache.cache is not None
        with_cache.cache.close()
        assert isinstance(with_cache.scorer, StoringScorer)
        return result, with_cache.scorer.passes

    _, whole = scan(LONG, tmp_path / "a")
    place = LONG.index(edit[0], len(LONG) // 2)
    edited = LONG[:place] + LONG[place:].replace(*edit, 1)
    result, passes = scan(edited, tmp_path / "a")
    # The fake's likelihoods depend on what shares a pass, so places are compared.
    assert places(result) == places(scan(edited, tmp_path / "b")[0])
    assert 0 < passes < whole / 2, (passes, whole)
    assert scanned(edited, tmp_path / "a", path="b.py", min_confidence=0.1)[1] == 0


def test_scores_come_back_whole() -> None:
    scores = [
        LeafScore(-1, float("nan"), 1e-300, (), -1e9, -0.1),
        LeafScore(-1, 0.1 + 0.2, 1 / 3, (Alternative("é\0", 0.1), Alternative("", 1.0)), -2.5, 1.0),
    ]
    assert repr(unpack_scores(pack_scores(scores))) == repr(scores)  # repr: NaN is NaN
    assert unpack_scores(pack_scores([])) == []


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b""), zlib.compress(b"\0\0\0\4[[]]x")])
def test_what_is_no_score_is_none(data: bytes) -> None:
    assert unpack_scores(data) is None
    whole = pack_scores([LeafScore(-1, 1.0, 0.5, (Alternative("a", 0.5),), -1.0, -1.0)])
    assert all(unpack_scores(whole[:end]) is None for end in range(len(whole)))


def test_windows_that_cannot_be_read_are_scored_again(tmp_path: Path) -> None:
    result, _ = scanned(LONG, tmp_path)
    with sqlite3.connect(next(tmp_path.glob("*.db"))) as db:
        db.execute("UPDATE scored SET data = ?", (b"nonsense",))
        db.execute("DELETE FROM entry")
    again, passes = scanned(LONG, tmp_path)
    assert passes and places(again) == places(result)


def test_windows_are_the_first_to_go_and_a_run_adds_only_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("codemlm.cache.time.time", lambda: now[0])
    monkeypatch.setattr(module, "LARGEST_BYTES", 400_000)
    for run in range(8):
        now[0] += 1
        cache = opened(tmp_path)
        for number in range(100):
            cache.put_window(b"%d %d" % (run, number), os.urandom(1_500))
        cache.close()
    key = filled(tmp_path)
    cache = opened(tmp_path)
    kept = [
        sum(cache.get_window(b"%d %d" % (run, number)) is not None for number in range(100))
        for run in range(8)
    ]
    assert kept[-1] in range(50, 67)  # of those that fit into a quarter of the room
    assert sum(kept) < 260 and cache.get(key, 0.5) == JUDGED
    cache.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.db")) < 500_000


def damage(folder: Path) -> None:
    for path in folder.glob("*.db*"):
        path.write_bytes(b"x" * 5000)


def test_a_damaged_store_is_made_anew(tmp_path: Path) -> None:
    key = filled(tmp_path)
    damage(tmp_path)
    cache = Cache(str(tmp_path), "m")
    assert cache.note is not None and "damaged" in cache.note
    assert cache.get(key, 0.5) is None
    cache.put(key, JUDGED)
    cache.close()
    assert opened(tmp_path).get(key, 0.5) == JUDGED


def test_a_store_damaged_while_it_is_used(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    for number in range(300):
        cache.put(cache.key(b"%d" % number, "a.py"), JUDGED)
    cache.close()
    cache = opened(tmp_path)
    path = next(tmp_path.glob("*.db"))
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"y" * (len(data) - 4096))
    assert cache.get(cache.key(b"1", "a.py"), 0.5) is None
    assert cache.note is not None
    cache.put(cache.key(b"1", "a.py"), JUDGED)
    cache.close()
    again = Cache(str(tmp_path), "m")
    assert again.get(again.key(b"1", "a.py"), 0.5) == JUDGED


def test_entries_of_another_kind_are_none(tmp_path: Path) -> None:
    key = filled(tmp_path)
    with sqlite3.connect(next(tmp_path.glob("*.db"))) as db:
        db.execute("UPDATE entry SET data = ?", (b"nonsense",))
    assert opened(tmp_path).get(key, 0.5) is None


def test_a_locked_store_and_one_that_cannot_be_made_cost_the_cache_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(str(tmp_path / "file"), "m")
    assert cache.note is not None and cache.note.startswith("no cache: ")
    cache.put(b"k", JUDGED)
    assert cache.get(b"k", 0.5) is None
    cache.close()


def test_it_stays_bounded_and_forgets_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("codemlm.cache.time.time", lambda: now[0])
    monkeypatch.setattr(module, "LARGEST_BYTES", 100_000)
    long = replace(FINDING, message=os.urandom(3000).hex())
    cache = opened(tmp_path)
    keys = [cache.key(b"%d" % number, "a.py") for number in range(40)]
    for number, key in enumerate(keys):
        now[0] += 1
        cache.put(key, replace(JUDGED, findings=(long,)))
        cache._flush()
        if number == 30:
            now[0] += 100_000
            assert cache.get(keys[0], 0.5) is not None  # used again
    cache.close()
    cache = opened(tmp_path)
    kept = [number for number, key in enumerate(keys) if cache.get(key, 0.5) is not None]
    assert 0 in kept and 39 in kept and 1 not in kept
    assert sum(path.stat().st_size for path in tmp_path.glob("*.db")) < 200_000


def test_clean(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "other").write_text("")
    assert clean(str(tmp_path)) and not clean(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


WRITER = """
import sys
from tests.unit.test_cache import JUDGED, opened
from pathlib import Path
cache = opened(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    cache.put(cache.key(b"%d %s" % (number, sys.argv[2].encode()), "a.py"), JUDGED)
    if number == 200:
        print("ready", flush=True)
cache.close()
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)


def test_parallel_and_killed_writers_leave_it_whole(tmp_path: Path) -> None:
    endless, finite = writer(tmp_path, "a", 10**9), writer(tmp_path, "b", 300)
    with endless, finite:
        assert endless.stdout is not None
        assert endless.stdout.readline() == b"ready\n"
        endless.send_signal(signal.SIGKILL)
        assert finite.wait() == 0
    cache = opened(tmp_path)
    for name, count in ((b"a", 192), (b"b", 300)):
        keys = [cache.key(b"%d %s" % (number, name), "a.py") for number in range(count)]
        assert all(cache.get(key, 0.5) == JUDGED for key in keys)
    with sqlite3.connect(next(tmp_path.glob("*.db"))) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
