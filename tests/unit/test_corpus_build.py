"""A build over tiny git repositories, end to end: content, counts, splits, resuming, fetching."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("datatrove")

from click.testing import CliRunner

from codemlm.errors import CorpusError
from codemlm_corpus.cli import corpus
from codemlm_corpus.config import BuildConfig, read_repositories
from codemlm_corpus.engine import Engine
from codemlm_corpus.git import list_files, read_blobs, resolve_commit
from codemlm_corpus.heldout import held_out_from
from codemlm_corpus.pipeline import build, make_plan

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
    "\nThe above copyright notice and this permission notice shall be included in all copies.\n"
)
HELD_OUT = held_out_from(["psf/black", "tornadoweb/tornado"])
PINS = {"a/alpha": "train", "b/beta": "validation", "c/gamma": "test", "d/delta": "train"}


def module(name: str, size: int = 12) -> str:
    """Distinct code: every line names the module."""
    lines = [f"def {name}_{n}(x):\n    return x * {n} + {name}_offset({n})\n" for n in range(size)]
    return "".join(lines)


NEAR = module("shared", 40)
FILES: dict[str, dict[str, str]] = {
    "a/alpha": {
        "LICENSE": MIT,
        "alpha/core.py": module("core"),
        "alpha/copy.py": module("core").replace("\n", "  \r\n"),
        "alpha/empty.py": "\n",
        "alpha/old.py": "print 'x'\n" * 20,
        "alpha/_vendor/six.py": module("six"),
        "alpha/tornado/web.py": module("web"),
        "alpha/gen.py": "# DO NOT EDIT\n" + module("gen"),
        "alpha/near.py": NEAR,
        "readme.md": "text",
        "gpl/LICENSE": "GNU GENERAL PUBLIC LICENSE\n",
        "gpl/tool.py": module("tool"),
    },
    "b/beta": {
        "LICENSE": MIT,
        "beta.py": module("beta"),
        "near.py": NEAR.replace("shared_offset(39)", "renamed(39)"),
    },
    "c/gamma": {"LICENSE": MIT, "core.py": module("core"), "own.py": module("own")},
    "d/delta": {"LICENSE": "GNU AFFERO GENERAL PUBLIC LICENSE\n", "d.py": module("delta")},
    "fork/Black": {"LICENSE": MIT, "b.py": module("black")},
}


def make_repository(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode("utf-8"))
    (folder / "link.py").symlink_to("nowhere.py")
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    (folder / "later.py").write_text(module("later"))  # not committed: must not be read
    return folder / ".git"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repositories")
    rows = []
    for name, files in FILES.items():
        git_dir = make_repository(root / name, files)
        rows.append(f"{name}\t{git_dir}\t{resolve_commit(str(git_dir))}\tMIT\n")
    (root / "repos.tsv").write_text("".join(rows))
    return root / "repos.tsv"


@pytest.fixture(scope="module")
def built(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "docs"
    plan = make_plan(read_repositories(table), BuildConfig(), HELD_OUT, PINS)
    build(plan, out, Engine())
    return out


def rows_of(out: Path) -> list[tuple[str, dict[str, Any]]]:
    """Returns ``(split, row)`` of every document of a build."""
    found = []
    for path in sorted(out.glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [(path.parent.name, json.loads(line)) for line in lines]
    return found


def test_git_reads_committed_regular_files(table: Path) -> None:
    _, git_dir, commit = read_repositories(table)[0]
    entries = list_files(git_dir, commit)
    assert {entry.path for entry in entries} == set(FILES["a/alpha"])
    contents = read_blobs(git_dir, [entries[0].blob, "0" * 40, entries[1].blob])
    first, missing, second = list(contents)
    assert first == FILES["a/alpha"][entries[0].path].encode()
    assert missing is None
    assert second == FILES["a/alpha"][entries[1].path].encode()


def test_git_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="ls-tree"):
        list_files(str(tmp_path), "HEAD")


def test_what_is_kept(built: Path) -> None:
    kept = {row["id"] for _, row in rows_of(built)}
    near = {"a/alpha:alpha/near.py", "b/beta:near.py"}
    core = {"a/alpha:alpha/core.py", "a/alpha:alpha/copy.py", "c/gamma:core.py"}
    assert kept - near - core == {"b/beta:beta.py", "c/gamma:own.py"}
    assert len(kept & near) == 1 and len(kept & core) == 1


def test_rows_have_exactly_the_promised_fields(built: Path) -> None:
    rows = [row for _, row in rows_of(built)]
    assert all(set(r) == {"id", "repo", "commit", "licence", "path", "text"} for r in rows)
    beta = next(row for row in rows if row["id"] == "b/beta:beta.py")
    assert beta["text"] == module("beta")
    assert (beta["repo"], beta["path"], beta["licence"]) == ("b/beta", "beta.py", "MIT")


def test_splits_are_disjoint_by_repository(built: Path) -> None:
    splits: dict[str, set[str]] = {}
    for split, row in rows_of(built):
        splits.setdefault(row["repo"], set()).add(split)
    assert splits["b/beta"] == {"validation"} and splits["c/gamma"] == {"test"}
    assert all(len(names) == 1 for names in splits.values())


def test_every_file_is_accounted_for(built: Path) -> None:
    manifest = [json.loads(line) for line in (built / "manifest.jsonl").read_text().splitlines()]
    by_name = {row["repo"]: row for row in manifest}
    assert set(by_name) == {"a/alpha", "b/beta", "c/gamma", "d/delta"}
    for name, row in by_name.items():
        sources = sum(path.endswith(".py") for path in FILES[name])
        assert row["files"] + sum(row["dropped"].values()) == sources, name
    dropped = by_name["a/alpha"]["dropped"]
    for reason in (
        "empty", "syntax", "vendored", "heldout_package", "generated", "subtree_licence",
    ):  # fmt: skip
        assert dropped[reason] == 1, reason
    assert by_name["d/delta"]["dropped"] == {"repository_licence": 1}
    stats = json.loads((built / "stats.json").read_text())
    assert stats["dropped"]["exact_duplicate"] == 2
    assert stats["dropped"]["near_duplicate"] == 1
    assert stats["excluded_held_out"] == ["fork/Black"]
    assert stats["splits"]["test"]["repositories"] == 1
    assert not (built / "work").exists()


def test_an_unreadable_repository_is_counted_and_the_build_goes_on(
    table: Path, tmp_path: Path
) -> None:
    rows = [*read_repositories(table)[1:2], ("x/gone", str(tmp_path / "gone"), "1" * 40)]
    plan = make_plan(rows, BuildConfig(near_duplicates=False), HELD_OUT, {})
    build(plan, tmp_path / "out", Engine())
    manifest = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    gone = json.loads(manifest[1])
    assert gone["dropped"] == {"unreadable_repository": 1} and "ls-tree" in gone["error"]
    assert json.loads(manifest[0])["files"] == 2


def test_a_stopped_build_resumes_with_what_is_left(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codemlm_corpus import git, reader

    seen: list[str] = []
    real = git.list_files

    def stop_at_gamma(git_dir: str, commit: str) -> Any:
        seen.append(Path(git_dir).parent.name)
        if seen[-1] == "gamma" and seen.count("gamma") == 1:
            raise KeyboardInterrupt
        return real(git_dir, commit)

    monkeypatch.setattr(reader, "list_files", stop_at_gamma)
    plan = make_plan(read_repositories(table), BuildConfig(), HELD_OUT, PINS)
    with pytest.raises(KeyboardInterrupt):
        build(plan, tmp_path / "out", Engine())
    build(plan, tmp_path / "out", Engine())
    assert seen == ["alpha", "beta", "gamma", "gamma", "delta"]
    build(plan, tmp_path / "out", Engine())
    assert len(seen) == 5
    assert len(rows_of(tmp_path / "out")) == 4


def test_another_plan_does_not_overwrite_a_build(table: Path, built: Path, tmp_path: Path) -> None:
    plan = make_plan(read_repositories(table), BuildConfig(min_bytes=1), HELD_OUT, PINS)
    with pytest.raises(CorpusError, match="another build"):
        build(plan, built, Engine())
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(CorpusError, match="not empty"):
        build(plan, tmp_path, Engine())


def test_command_line_builds_with_two_workers_as_with_one(
    table: Path, built: Path, tmp_path: Path
) -> None:
    (tmp_path / "held.txt").write_text("psf/black\ntornadoweb/tornado\n")
    (tmp_path / "pins").write_text("".join(f"{name} {split}\n" for name, split in PINS.items()))
    arguments = ["build", "--repos", table, "--out", tmp_path / "out", "--workers", 2]
    arguments += ["--heldout", tmp_path / "held.txt", "--pin", tmp_path / "pins"]
    result = CliRunner().invoke(corpus, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    assert rows_of(tmp_path / "out") == rows_of(built)
    for name in ("manifest.jsonl", "stats.json"):
        assert (tmp_path / "out" / name).read_text() == (built / name).read_text()


def test_fetch_brings_back_what_a_manifest_records(
    table: Path, built: Path, tmp_path: Path
) -> None:
    arguments = ["fetch", "--manifest", built / "manifest.jsonl", "--into", tmp_path]
    arguments += ["--base-url", table.parent.as_uri()]
    result = CliRunner().invoke(corpus, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    fetched = read_repositories(tmp_path / "repos.tsv")
    wanted = [row for row in read_repositories(table) if row[0] != "fork/Black"]
    assert [(name, commit) for name, _, commit in fetched] == [(n, c) for n, _, c in wanted]
    assert {e.path for e in list_files(*fetched[0][1:])} == set(FILES["a/alpha"])
    shallow = [Path(git_dir) / "shallow" for _, git_dir, _ in fetched]
    assert CliRunner().invoke(corpus, [*map(str, arguments), "--full-history"]).exit_code == 0
    assert not any(path.exists() for path in shallow)


def test_excluded_paths_are_left_out_and_counted(table: Path, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text("psf/black\ntornadoweb/tornado\n")
    (tmp_path / "exclude").write_text("A/Alpha\talpha/core.py\tcopied\nb/beta\tabsent/\tcopied\n")
    arguments = ["build", "--repos", table, "--out", tmp_path / "out"]
    arguments += ["--heldout", tmp_path / "held.txt", "--exclude-paths", tmp_path / "exclude"]
    result = CliRunner().invoke(corpus, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    paths = {(row["repo"], row["path"]) for _, row in rows_of(tmp_path / "out")}
    assert ("a/alpha", "alpha/core.py") not in paths
    assert any(repo == "b/beta" for repo, _ in paths)
    manifest = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    dropped = {row["repo"]: row["dropped"] for row in map(json.loads, manifest)}
    assert dropped["a/alpha"]["excluded_path"] == 1
    assert "excluded_path" not in dropped["b/beta"]
