"""Changed lines by git: since a revision, and staged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from codemlm.changes import (
    changed_files,
    changes_since,
    only_changed,
    parse_diff,
    read_blobs,
    real_path,
    staged_changes,
)
from codemlm.config_files import ConfigFiles
from codemlm.discovery import Discovery, Target
from codemlm.errors import UsageError
from codemlm.scanner import FileResult
from codemlm.source import Failure, Reason, SourceFile
from tests.unit.test_scanner import BUG, scan_text

ODD = 'a "b"\\é\t\nc.py'
FILE = "one\ntwo\nthree\nfour\n"


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    for name in ("a.py", "old name.py", "gone.py", ODD, "sub/b.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(FILE)
    Path(".gitignore").write_text("ignored.py\n")
    git("add", "-A")
    git("commit", "-qm", "first")
    return tmp_path


def change_all() -> None:
    Path("a.py").write_text("zero\none\ntwo\n3\nfour\n")
    Path(ODD).write_text(FILE + "five")
    Path("sub/b.py").write_text("one\nfour\n")
    Path("gone.py").unlink()
    Path("old name.py").rename("new näme.py")
    Path("new näme.py").write_text(FILE.replace("two", "2"))
    Path("new.py").write_text("brand\nnew\n")
    Path("ignored.py").write_text(FILE)


def table(lines: object) -> dict[str, object]:
    assert isinstance(lines, dict)
    here = os.path.realpath(".")
    return {os.path.relpath(path, here): ranges for path, ranges in lines.items()}


def test_since(repository: Path) -> None:
    change_all()
    git("add", "a.py")
    lines = table(changes_since("HEAD").lines)
    assert lines == {
        "a.py": ((1, 1), (4, 4)),
        ODD: ((5, 5),),
        "new näme.py": None,  # not staged, so git knows of no rename
        "new.py": None,
    }
    git("add", "-A")
    assert table(changes_since("HEAD").lines)["new näme.py"] == ((2, 2),)
    git("commit", "-qm", "second")
    assert table(changes_since("HEAD").lines) == {}
    assert table(changes_since("HEAD~1").lines)["a.py"] == ((1, 1), (4, 4))


def test_since_a_branch_that_went_on(repository: Path) -> None:
    git("checkout", "-qb", "mine")
    Path("a.py").write_text("0\n" + FILE)
    git("commit", "-qam", "mine")
    git("checkout", "-q", "main")
    Path("sub/b.py").write_text("0\n" + FILE)
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "mine")
    assert table(changes_since("main").lines) == {"a.py": ((1, 1),)}


def test_staged_is_what_the_index_holds(repository: Path) -> None:
    change_all()
    Path("link.py").symlink_to("a.py")
    git("add", "-A")
    Path("a.py").unlink()
    Path("new.py").write_text("other")
    changes = staged_changes()
    assert table(dict(changes.lines)) == {
        "a.py": ((1, 1), (4, 4)),
        ODD: ((5, 5),),
        "new näme.py": ((2, 2),),
        "new.py": ((1, 2),),
        "sub/b.py": (),
    }
    discovery = Discovery(lambda _: ConfigFiles().walk_rules("."))
    found = list(changed_files([".", "link.py"], changes, discovery, ConfigFiles()))
    sources = {one.path: one.source.decode() for one in found if isinstance(one, SourceFile)}
    assert sources["a.py"] == "zero\none\ntwo\n3\nfour\n"
    assert sources["new.py"] == "brand\nnew\n"
    assert set(sources) == set(table(dict(changes.lines)))


def test_staged_before_the_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    (tmp_path / "fresh").mkdir()
    monkeypatch.chdir(tmp_path / "fresh")
    git("init", "-q")
    Path("a.py").write_text(FILE)
    git("add", "a.py")
    assert table(dict(staged_changes().lines)) == {"a.py": ((1, 4),)}
    assert list(read_blobs([])) == []


def test_which_files_are_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sub/c.py", "sub/script", "build/d.py", "sub/x.pyi", "sub/n.ipynb", "e.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(FILE)
    Path("sub/codemlm.toml").write_text("exclude = ['x.pyi']\n")
    changes = changes_since("HEAD")

    def read(*paths: str) -> list[str]:
        configs = ConfigFiles()
        found = list(changed_files(paths, changes, Discovery(configs.walk_rules), configs))
        return [
            f"{one.path}!" if isinstance(one, Target) and one.explicit else one.path
            for one in found
        ]

    assert read(".") == ["sub/c.py", "sub/n.ipynb"]
    assert read("sub/script", "gone2.py", "a.py") == ["gone2.py!", "sub/script!"]
    assert read("build/d.py") == ["build/d.py!"]
    monkeypatch.chdir("sub")
    assert read(".") == ["c.py", "n.ipynb"]
    Path("codemlm.toml").write_text("x = 1\n")
    configs = ConfigFiles()
    found = list(changed_files(["."], changes, Discovery(configs.walk_rules), configs))
    assert found and all(isinstance(one, Failure) and one.is_error for one in found)


def test_findings_on_unchanged_lines_are_held_back(repository: Path) -> None:
    Path("a.py").write_text(BUG)
    git("commit", "-qam", "bug")
    text = BUG + "\n\n" + BUG.replace("area", "new")
    Path("a.py").write_text(text)
    (result,) = only_changed([scan_text(text)], changes_since("HEAD"))
    assert isinstance(result, FileResult)
    assert [f.span.start for f in result.findings] == [text.rindex("rows")]
    assert result.held_back == (("on unchanged lines", 1),)
    gone = Failure("gone.py", Reason.MISSING, "")
    assert list(only_changed([gone], changes_since("HEAD"))) == [gone]


def test_submodules_are_another_repository(repository: Path) -> None:
    git("init", "-q", "module")
    Path("module/m.py").write_text(FILE)
    git("-C", "module", "add", "-A")
    git("-C", "module", "commit", "-qm", "m")
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", "./module", "module")
    assert set(table(dict(staged_changes().lines))) == {".gitmodules"}
    git("commit", "-qm", "with a submodule")
    Path("module/m.py").write_text("changed\n")
    assert table(dict(changes_since("HEAD").lines)) == {}


def test_text_that_looks_like_a_diff(repository: Path) -> None:
    Path("a.py").write_text("+++ b/x.py\n@@ -1 +1 @@\n++ b/y.py\ndiff --git a/z.py b/z.py\n")
    assert table(changes_since("HEAD").lines) == {"a.py": ((1, 4),)}


def test_what_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="--staged needs a git repository"):
        staged_changes()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git cannot be run"):
        changes_since("HEAD")


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD:a.py", ""])
def test_what_is_no_revision(repository: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="is no commit"):
        changes_since(revision)
    assert not Path("x").exists()


def test_parse_diff_takes_anything() -> None:
    assert parse_diff(b"") == {}
    assert parse_diff(b"+++ b/a\n@@ -1,2 +3 @@\n") == {b"a": ((3, 3),)}
    assert parse_diff(b"@@ -1 +1 @@\n+++ /dev/null\n@@ -0,0 +1,2 @@\n") == {}


def test_real_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert real_path("link/a.py") == os.path.realpath("real") + "/a.py"
