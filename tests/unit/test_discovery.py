"""Finding files: folders, ignore files, excludes, links, and names that are no text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from codemlm import discovery
from codemlm.discovery import (
    Discovery,
    Patterns,
    Target,
    WalkRules,
)
from codemlm.errors import ConfigError
from codemlm.generated import is_generated, is_generated_name
from codemlm.source import Failure, Reason


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def make(*names: str, **contents: str) -> None:
    """Makes files; a name that ends in a slash is a folder, ``x=...`` the file ``.x``."""
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.touch()
    for name, text in contents.items():
        Path(f".{name}").write_text(text)


def found(*paths: str, **settings: object) -> list[str]:
    """Paths of the targets; failures as ``!path``. ``exclude`` adds to the usual folders."""
    exclude: Any = settings.pop("exclude", ())
    patterns = (Patterns("", discovery.DEFAULT_EXCLUDES), Patterns("", exclude))
    rules = WalkRules(exclude=patterns, **settings)  # type: ignore[arg-type]
    results = Discovery(lambda _: rules).files(paths or ["."])
    return [f"!{r.path}" if isinstance(r, Failure) else r.path for r in results]


def test_walks_in_order_and_takes_sources_only() -> None:
    make("b.py", "a/z.pyi", "a/b.PY", "a.py", "a/readme.md", "Makefile", "a/c/d.py", "x.py/y.py")
    assert found() == ["a/b.PY", "a/c/d.py", "a/z.pyi", "a.py", "b.py", "x.py/y.py"]
    assert found("a", "./b.py") == ["a/b.PY", "a/c/d.py", "a/z.pyi", "./b.py"]
    assert found("a/") == ["a/b.PY", "a/c/d.py", "a/z.pyi"]
    assert found(str(Path.cwd() / "a"))[0] == str(Path.cwd() / "a/b.PY")


def test_explicit_files_need_no_suffix_and_come_once() -> None:
    make("script", "a.py", "dir/c.py")
    Path("link.py").symlink_to("a.py")
    assert found("script", "a.py", "./a.py", "link.py", ".") == ["script", "a.py", "dir/c.py"]
    assert list(Discovery().files(["script"])) == [Target("script", explicit=True)]
    assert list(Discovery().files(["dir"])) == [Target("dir/c.py", explicit=False)]


def test_missing_paths_are_left_to_the_reader() -> None:
    make("a.py")
    assert list(Discovery().files(["gone", "a\0"])) == [Target("gone", True), Target("a\0", True)]


def test_usual_folders_are_not_entered() -> None:
    make(*(f"{name}/a.py" for name in discovery.DEFAULT_EXCLUDES), "build.py", "mine/pyvenv.cfg")
    make("mine/lib/a.py", ".hidden/a.py")
    assert found() == [".hidden/a.py", "build.py"]
    assert found("venv", "dist/a.py") == ["venv/a.py", "dist/a.py"]
    assert found("venv", "dist/a.py", "build.py", force_exclude=True) == ["build.py"]


def test_exclude_patterns() -> None:
    make("a/x.py", "a/b/x.py", "c/x.py", "y.py", "gen_1.py")
    assert found(exclude=["gen_*.py", "a/b/"]) == ["a/x.py", "c/x.py", "y.py"]
    assert found(exclude=["x.py", "!/c/x.py"]) == ["c/x.py", "gen_1.py", "y.py"]
    assert found("a/x.py", exclude=["a/"]) == ["a/x.py"]
    assert found("a/x.py", "c", exclude=["a/", "c"], force_exclude=True) == []
    with pytest.raises(ConfigError):
        found(exclude=["!"])
    with pytest.raises(ConfigError, match="no gitignore pattern: bad character range z-a"):
        found(exclude=["[z-a].py"])
    os.chdir("a")
    assert Patterns("..", ["/a/b/"]).match("b/x.py")  # patterns have a folder of their own
    assert not Patterns("", ["/a/b/"]).match("b/x.py")


def test_folders_above_the_working_directory_do_not_count() -> None:
    make("build/here/a.py", "build/there/a.py", "build/there/dist/b.py")
    os.chdir("build/here")
    paths = ["../there/a.py", "../there/dist/b.py", "a.py", str(Path("a.py").absolute())]
    assert found(*paths, force_exclude=True) == ["../there/a.py", "a.py"]


def test_each_folder_has_its_rules() -> None:
    make("a/x.py", "b/x.py", "b/y.py", "bad/x.py")

    def rules_of(folder: str) -> WalkRules:
        if folder == "bad":
            raise ConfigError("bad/codemlm.toml: unknown key")
        return WalkRules(exclude=(Patterns(folder, ["x.py"] if folder == "b" else []),))

    results = list(Discovery(rules_of).files(["."]))
    assert [r.path for r in results] == ["a/x.py", "b/y.py", "bad"]
    assert results[2] == Failure(
        "bad", Reason.CONFIGURATION, "bad/codemlm.toml: unknown key", explicit=True
    )


def test_gitignore() -> None:
    make("a.py", "b.py", "gen/a.py", "sub/b.py", "sub/c.py", "sub/deep/a.py", "[.py")
    make(gitignore="# comment\n\n/a.py\ngen/\n*.tmp\n!\n[\n[z-a]\nc.py\n")
    Path("sub/.gitignore").write_text("!c.py\n/deep\n")
    assert found() == ["[.py", "b.py", "sub/b.py", "sub/c.py"]
    assert found("sub/deep") == ["sub/deep/a.py"]
    assert found("a.py") == ["a.py"]
    assert "a.py" in found(respect_gitignore=False)


def test_gitignore_of_the_repository_above() -> None:
    make(".git/info/", "sub/a.py", "sub/b.py", "sub/c.py", "other/a.py")
    make(gitignore="a.py\n/other/\n")
    Path(".git/info/exclude").write_text("c.py\n")
    assert found("sub") == ["sub/b.py"]
    assert found("other") == ["other/a.py"]  # ignored itself, but named
    os.chdir("sub")
    assert found() == ["b.py"]
    assert found("../sub") == ["../sub/b.py"]
    Path("../.git/info/exclude").unlink()
    assert found() == ["b.py", "c.py"]


def test_links(tmp_path: Path) -> None:
    make("a.py", "folder/b.py")
    Path("loop").symlink_to(".")
    Path("folder/up").symlink_to("..")
    Path("folder/up.py").symlink_to("..")
    Path("self.py").symlink_to("self.py")
    Path("gone.py").symlink_to("nowhere.py")
    outside = tmp_path / "outside.py"
    outside.touch()
    Path("out.py").symlink_to(outside)
    assert found() == ["a.py", "folder/b.py", "gone.py", "out.py", "self.py"]
    assert found("loop") == [
        "loop/a.py",
        "loop/folder/b.py",
        "loop/gone.py",
        "loop/out.py",
        "loop/self.py",
    ]


def test_strange_names() -> None:
    names = ["a b.py", "日本.py", "new\nline.py", "-.py", "\udcff.py", "#!.py", " .py"]
    for name in names:
        Path(name).touch()
    assert sorted(found()) == sorted(names)
    make(gitignore="日本.py\n")
    assert "日本.py" not in found()


def test_a_folder_that_cannot_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    make("a/x.py", "b/x.py")
    scandir = os.scandir

    def refuse(folder: str) -> object:
        if folder == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    results = list(Discovery().files(["."]))
    assert results == [
        Failure("a", Reason.UNREADABLE, "folder: Permission denied"),
        Target("b/x.py", explicit=False),
    ]
    assert next(iter(Discovery().files(["a"]))).explicit


def test_deep_folders() -> None:
    here = Path.cwd()
    for _ in range(300):  # deeper than a path may be long, were it absolute
        Path("d").mkdir()
        os.chdir("d")
    Path("x.py").touch()
    os.chdir(here)
    assert found() == ["d/" * 300 + "x.py"]


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("a_pb2.py", True),
        ("a_pb2_grpc.pyi", True),
        ("x_generated.py", True),
        ("pb2.py", False),
        ("versioneer.py", True),
        ("my_versioneer.py", False),
        ("_version.py", False),
    ],
)
def test_generated_names(name: str, generated: bool) -> None:
    make(name, "plain.py")
    assert is_generated_name(name) is generated
    assert (name in found()) is not generated
    assert name in found(name)
    assert name in found(include_generated=True)


@pytest.mark.parametrize(
    ("text", "generated"),
    [
        ("# Generated by Django 4.2 on 2023-01-01\n", True),
        ("#!/usr/bin/env python\n\n# DO NOT EDIT!\n", True),
        ("# @generated\n", True),
        ("# This file is automatically generated.\r\nimport x", True),
        ("x = 1\n# DO NOT EDIT\n", False),
        ('"""Reports are generated by this module."""\n', False),
        ("# Reports on power generated by wind.\n", False),
        ("", False),
        ("# In the public domain. Generated by\n# versioneer-0.18\nx = 1\n", True),
        ("TABLE = {\n" + "    'key': 1,\n" * 400 + "}\n", True),
        ("TABLE = {\n" + "    'key': 1,\n" * 40 + "}\n", False),
        ("TABLE = {\n" + "    'key': value,\n" * 400 + "}\n", False),
        ("TABLE = {\n" + "    key: 1,  # 'quoted'\n" * 400 + "}\n", False),
        ("def f(a):return a;x=f(1);" * 200, True),
        ("def f(a):\n    return a\n" * 200, False),
    ],
)
def test_generated_texts(text: str, generated: bool) -> None:
    assert is_generated(text.encode()) is generated


def test_vendored_folders_are_not_entered_unless_named() -> None:
    make("vendor/a.py", "src/_vendor/b.py", "third_party/c/d.py", "vendoring/e.py", "vendor.py")
    assert found() == ["vendor.py", "vendoring/e.py"]
    assert found("vendor", "src/_vendor/b.py") == ["vendor/a.py", "src/_vendor/b.py"]
    everything = found(include_generated=True)
    assert {"vendor/a.py", "src/_vendor/b.py", "third_party/c/d.py"} <= set(everything)
    walk = Discovery(lambda _: WalkRules(force_exclude=True))
    for path in ("src/_vendor/b.py", "x_pb2.py"):
        assert walk.leaves_out(path)  # a walk would; but who names a file means it
        assert not walk.excludes(path)
    assert not walk.leaves_out("vendoring/e.py")
