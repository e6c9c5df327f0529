"""A mine over tiny git repositories, end to end: records, counts, copies, splits, resuming."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("datatrove")

from click.testing import CliRunner

from codemlm.errors import CorpusError
from codemlm.fixes import Fix, FixPair
from codemlm_corpus.cli import corpus
from codemlm_corpus.config import BuildConfig
from codemlm_corpus.engine import Engine
from codemlm_corpus.exclude import read_excluded_paths
from codemlm_corpus.heldout import held_out_from
from codemlm_corpus.mining.pairs import make_pairs, pair_of
from codemlm_corpus.mining.pipeline import head_or_name, mine
from codemlm_corpus.mining.records import read_fixes, read_rows, write_lines
from codemlm_corpus.pipeline import Plan, make_plan
from tests.unit.mining import RIGHT, WRONG, Repository

HELD_OUT = held_out_from(["psf/black"])
PINS = {"a/alpha": "train", "f/alpha-fork": "test", "b/beta": "validation", "g/gpl": "train"}
Rows = list[tuple[str, str, str]]
FIX = "Fix number of columns"


def other(name: str, text: str) -> str:
    """The same mistake in code of other names: no copy."""
    return text.replace("rows", f"{name}_rows").replace("resize", f"resize_{name}")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Repositories with one fix each that counts, and much that does not."""
    base = tmp_path_factory.mktemp("repositories")
    alpha = Repository(base / "alpha", {"pkg/a.py": WRONG, "pkg/b.py": other("b", WRONG)})
    alpha.commit(FIX, {"pkg/a.py": RIGHT, "tests/test_a.py": "", "CHANGES.rst": "x"})
    fork = Repository(base / "fork", {"pkg/a.py": WRONG})
    fork.clock += 3600
    fork.commit(FIX, {"pkg/a.py": RIGHT})
    alpha.clock += 7200
    alpha.git("revert", "--no-edit", "HEAD")
    alpha.commit(FIX + " again", {"pkg/a.py": RIGHT})
    alpha.commit("Rename rows", {"pkg/b.py": other("b", RIGHT)})
    alpha.commit("Fix tests", {"tests/test_a.py": "x = 1\n"})
    alpha.commit("Fix bug", {"pkg/latin.py": "# coding: latin-1\nx = '\u00e9'\n"})
    alpha.commit("Fix bug", {"pkg/latin.py": "\0"})
    alpha.commit("Fix bug", {"pkg/_vendor/v.py": other("v", WRONG)})
    alpha.commit("Fix bug", {"pkg/_vendor/v.py": other("v", RIGHT)})
    alpha.commit("Fix bug", {"pkg/old/o.py": other("o", WRONG)})
    alpha.commit("Fix bug", {"pkg/old/o.py": other("o", RIGHT)})
    alpha.commit("Fix bug", {"pkg/c.py": "# Copied from pandas\n" + other("c", WRONG)})
    alpha.commit("Fix bug", {"pkg/c.py": "# Copied from pandas\n" + other("c", RIGHT)})
    beta = Repository(base / "beta", {"x.py": other("x", WRONG), "y.py": other("y", WRONG)})
    beta.commit("Oops, wrong size (#12)\n\nBody.", {"x.py": None, "z.py": other("x", RIGHT)})
    beta.commit("Wrong columns", {"y.py": other("y", RIGHT)})
    gpl = Repository(base / "gpl", {"a.py": WRONG}, "GNU GENERAL PUBLIC LICENSE\n")
    gpl.commit(FIX, {"a.py": RIGHT})
    broken = Repository(base / "broken", {"a.py": WRONG})
    shutil.rmtree(Path(broken.git_dir) / "objects")
    return [
        ("a/alpha", alpha.git_dir, ""),
        ("f/alpha-fork", fork.git_dir, ""),
        ("b/beta", beta.git_dir, ""),
        ("g/gpl", gpl.git_dir, ""),
        ("h/broken", broken.git_dir, "0" * 40),
        ("i/nowhere", str(base / "nowhere"), ""),
        ("psf/black", str(base / "never-opened"), ""),
    ]


def plan_of(rows: Rows) -> Plan:
    excluded = {"a/alpha": ("pkg/old/",)}
    return make_plan(rows, BuildConfig(), HELD_OUT, PINS, head_or_name, excluded)


@pytest.fixture(scope="module")
def mined(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mine") / "out"
    mine(plan_of(rows), out, Engine())
    return out


def stats_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "stats.json").read_text("utf-8"))
    rows = (out / "manifest.jsonl").read_text("utf-8").splitlines()
    return found | {"repositories": [json.loads(row) for row in rows]}


def fixes_of(out: Path, split: str) -> list[Fix]:
    return list(read_fixes(out / f"{split}.jsonl.gz"))


def test_a_fix_is_mined_once_however_often_it_was_made(mined: Path) -> None:
    (fix,) = fixes_of(mined, "train")
    assert (fix.repo, fix.path, fix.kind, fix.before, fix.after) == (
        "a/alpha",
        "pkg/a.py",
        "variable",
        "rows",
        "cols",
    )
    assert (fix.function, fix.line, fix.message) == ("resize", 8, FIX)
    assert fix.apply(WRONG.encode()) == RIGHT.encode()
    assert fixes_of(mined, "test") == []  # the fork's is a copy, in whatever split
    copies = {row["repo"]: row["dropped"].get("copy", 0) for row in stats_of(mined)["repositories"]}
    assert copies["a/alpha"] == 1 and copies["f/alpha-fork"] == 1


def test_a_fix_in_a_renamed_file_has_both_paths(mined: Path) -> None:
    renamed, plain = fixes_of(mined, "validation")
    assert (renamed.old_path, renamed.path, renamed.message) == (
        "x.py",
        "z.py",
        "Oops, wrong size (#12)",
    )
    assert plain.old_path == plain.path == "y.py"
    assert [renamed.date, plain.date] == sorted([renamed.date, plain.date])


def test_every_commit_is_counted_once(mined: Path) -> None:
    stats = stats_of(mined)
    rows = {row["repo"]: row for row in stats["repositories"]}
    dropped = rows["a/alpha"]["dropped"]
    assert dropped == {
        "copy": 1,
        "excluded-path": 1,
        "file-added-or-deleted": 4,
        "heldout-copy": 1,
        "message-rename": 1,
        "message-revert": 1,
        "no-parent": 1,
        "no-source-file": 1,
        "undecodable": 1,
        "vendored": 1,
    }
    for row in rows.values():
        if "error" not in row and row["licence"] == "MIT":
            assert row["commits"] == row["fixes"] + sum(row["dropped"].values())
    assert stats["splits"]["train"] == {"commits": 14, "fixes": 1, "repositories": 1}
    assert stats["kinds"]["validation"] == {"variable": 2}
    assert stats["dropped"]["copy"] == 2


def test_what_cannot_or_must_not_be_read_is_counted(mined: Path) -> None:
    stats = stats_of(mined)
    rows = {row["repo"]: row for row in stats["repositories"]}
    assert "psf/black" not in rows and stats["excluded_held_out"] == ["psf/black"]
    assert rows["g/gpl"]["dropped"] == {"repository-licence": 1}
    for name in ("h/broken", "i/nowhere"):
        assert rows[name]["dropped"] == {"unreadable-repository": 1} and rows[name]["error"]


def test_missing_objects_and_short_histories_are_counted_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    partial = Repository(tmp_path / "partial", {"a.py": WRONG, "b.py": other("b", WRONG)})
    partial.commit("Fix b", {"b.py": other("b", RIGHT)})
    missing = partial.git("rev-parse", "HEAD:b.py")
    partial.commit("Fix b", {"b.py": other("b", WRONG)})
    partial.commit(FIX, {"a.py": RIGHT})
    short = Repository(tmp_path / "short", {"c.py": other("c", WRONG)})
    start = short.git("rev-parse", "HEAD^{tree}")
    short.commit("Wrong columns", {"c.py": other("c", RIGHT)})
    short.commit("Wrong columns", {"c.py": other("c", WRONG + "\n")})
    for repository, name in ((partial, missing), (short, start)):
        (Path(repository.git_dir) / "objects" / name[:2] / name[2:]).unlink()
    rows = [("p/partial", partial.git_dir, ""), ("s/short", short.git_dir, "")]
    mine(plan_of(rows), tmp_path / "out", Engine())
    partial_row, short_row = stats_of(tmp_path / "out")["repositories"]
    assert partial_row["dropped"]["missing-object"] == 2 and partial_row["fixes"] == 1
    assert short_row["dropped"]["history-cut-short"] == 1 and "failed" in short_row["error"]


def test_a_name_that_was_nowhere_defined_is_a_bug_whatever_the_message_says(tmp_path: Path) -> None:
    undefined = other("u", WRONG).replace("table.cols = u_rows", "table.cols = tabel")
    fixed = undefined.replace("tabel", "table")
    names = Repository(tmp_path / "names", {"a.py": undefined, "b.py": undefined})
    names.commit("Clean up", {"a.py": fixed})
    names.commit("Python 3", {"b.py": fixed})
    mine(plan_of([("n/names", names.git_dir, "")]), tmp_path / "out", Engine())
    (row,) = stats_of(tmp_path / "out")["repositories"]
    assert row["fixes"] == 1 and row["dropped"]["message-port"] == 1
    (fix,) = fixes_of(tmp_path / "out", row["split"])
    assert fix.undefined and fix.message == "Clean up"


def test_equal_input_makes_equal_bytes_on_any_number_of_workers(
    mined: Path, rows: Rows, tmp_path: Path
) -> None:
    mine(plan_of(rows), tmp_path / "two", Engine(workers=2))
    for split in ("train", "validation", "calibration", "test"):
        name = f"{split}.jsonl.gz"
        assert (mined / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert stats_of(mined) == stats_of(tmp_path / "two")


def test_a_mine_goes_on_where_it_was(rows: Rows, tmp_path: Path) -> None:
    out, plan = tmp_path / "out", plan_of(rows)
    mine(plan, out, Engine(), keep_work=True)
    whole = stats_of(out)
    for path in (out / "logs" / "mine" / "completions").iterdir():
        if path.name == "00001":  # b/beta
            path.unlink()
    (out / "logs" / "merge" / "completions" / "00000").unlink()
    kept = sorted(path.stat().st_mtime_ns for path in (out / "work").iterdir())
    mine(plan, out, Engine(), keep_work=True)
    again = sorted(path.stat().st_mtime_ns for path in (out / "work").iterdir())
    assert len(set(kept) & set(again)) == len(kept) - 1
    assert stats_of(out) == whole
    with pytest.raises(CorpusError, match="another"):
        mine(plan_of(rows[:2]), out, Engine())


def test_pairs_have_the_texts(mined: Path, rows: Rows, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl.gz"
    counts = make_pairs(mined / "validation.jsonl.gz", rows, out, Engine(), introductions=True)
    pairs = [FixPair.from_json(row) for row in read_rows(out)]
    assert [pair.fix for pair in pairs] == fixes_of(mined, "validation")
    assert pairs[1].before == other("y", WRONG) and pairs[1].after == other("y", RIGHT)
    assert pairs[1].introduction is not None and pairs[1].introduction.path == "y.py"
    assert json.loads(counts.read_text("utf-8"))["pairs"] == 2
    make_pairs(mined / "validation.jsonl.gz", rows, tmp_path / "b.gz", Engine(workers=2), True)
    assert (tmp_path / "b.gz").read_bytes() == out.read_bytes()


def test_records_without_texts_are_named(mined: Path, rows: Rows, tmp_path: Path) -> None:
    fixes = fixes_of(mined, "validation")
    lines = [json.loads(fix.to_json()) | {"commit": "1" * 40} for fix in fixes]
    lines.append(lines[0] | {"repo": "x/elsewhere"})
    records = tmp_path / "records.jsonl.gz"
    write_lines(records, map(json.dumps, lines))
    counts = make_pairs(records, rows, tmp_path / "pairs.jsonl.gz", Engine())
    found = json.loads(counts.read_text("utf-8"))
    assert found["pairs"] == 0
    assert set(found["skipped"].values()) == {"missing-object", "repository-not-listed"}
    assert "x/elsewhere@111111111111" in found["skipped"]


def test_a_pair_must_be_the_fix(mined: Path) -> None:
    (fix,) = fixes_of(mined, "train")
    before, after = WRONG.encode(), RIGHT.encode()
    assert isinstance(pair_of(fix, before, after), FixPair)
    assert isinstance(pair_of(fix, before, b"# note\n" + after), FixPair)
    assert pair_of(fix, before, before) == "not-the-fix"
    assert pair_of(fix, b"x = 1\n", after) == "edits-beyond-file"
    assert pair_of(fix, b"(" * 400, after) == "syntax-error"
    assert pair_of(fix, before, None) == "missing-object"
    assert pair_of(fix, b"\0", after) == "undecodable"


def test_the_commands(rows: Rows, mined: Path, tmp_path: Path) -> None:
    repos, held, pins = tmp_path / "repos.tsv", tmp_path / "heldout.txt", tmp_path / "pins"
    repos.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    held.write_text("psf/black\n", "utf-8")
    pins.write_text("".join(f"{name} {split}\n" for name, split in PINS.items()), "utf-8")
    excluded = tmp_path / "exclude.tsv"
    excluded.write_text("A/alpha\tpkg/old/\tkept for old users\n", "utf-8")
    arguments = ["--repos", str(repos), "--heldout", str(held), "--pin", str(pins)]
    arguments += ["--exclude-paths", str(excluded), "--out", str(tmp_path / "out")]
    run = CliRunner().invoke(corpus, ["mine", *arguments], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    train = "train.jsonl.gz"
    assert (tmp_path / "out" / train).read_bytes() == (mined / train).read_bytes()
    records = str(tmp_path / "out" / "validation.jsonl.gz")
    arguments = ["--records", records, "--repos", str(repos), "--out", str(tmp_path / "p.jsonl.gz")]
    run = CliRunner().invoke(corpus, ["pairs", *arguments], catch_exceptions=False)
    assert run.exit_code == 0 and "2 pairs" in run.output
    assert gzip.decompress((tmp_path / "p.jsonl.gz").read_bytes()).count(b"\n") == 2


def test_a_bad_table_of_folders_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "exclude.tsv"
    table.write_text("# folders\na/alpha\tpkg\tno slash\n", "utf-8")
    with pytest.raises(CorpusError, match=r"exclude.tsv:2"):
        read_excluded_paths(table)
    with pytest.raises(CorpusError, match="cannot read"):
        read_excluded_paths(tmp_path / "absent.tsv")
