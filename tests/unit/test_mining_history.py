"""Which commits are taken for a change of one source file, and which messages for a bug fix."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("datatrove")

from hypothesis import given
from hypothesis import strategies as st

from codemlm.errors import CorpusError
from codemlm_corpus.mining import lines
from codemlm_corpus.mining.history import (
    MAX_FILES,
    Change,
    Commit,
    FileEdit,
    changes,
    commits,
    is_aside,
    one_file_change,
)
from codemlm_corpus.mining.messages import refusal, subject_of
from codemlm_corpus.mining.middle import changed_lines, quick_refusal
from tests.unit.mining import RIGHT, WRONG, Repository


def edit(path: str, status: str = "M", regular: bool = True) -> FileEdit:
    before, after = ("0" * 40 if status == s else c * 40 for s, c in (("A", "1"), ("D", "2")))
    return FileEdit(status, regular, before, after, path)


def verdict(*files: FileEdit, parents: tuple[str, ...] = ("p",)) -> str:
    found = one_file_change(Commit("c", parents, 1, "Fix it", files))
    return found if isinstance(found, str) else f"{found.old_path} {found.path}"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.py"], "a.py a.py"),
        (["a.py", "tests/test_a.py", "tests/data.json"], "a.py a.py"),
        (
            ["a.py", "CHANGES.rst", "releasenotes/notes/fix-1.yaml", "docs/_static/x.js"],
            "a.py a.py",
        ),
        (["a.py", "changelog.d/12.bugfix", "AUTHORS", "newsfragments/3.misc"], "a.py a.py"),
        (["a.py", "b.py"], "many-source-files"),
        (["a.py", "setup.cfg"], "other-files"),
        (["a.py", "src/a.c"], "other-files"),
        (["tests/test_a.py"], "no-source-file"),
        (["README.md"], "no-source-file"),
        ([], "no-source-file"),
        ([f"tests/test_{n}.py" for n in range(MAX_FILES + 1)] + ["a.py"], "many-files"),
    ],
)
def test_one_source_file_and_what_may_go_along(files: list[str], expected: str) -> None:
    assert verdict(*map(edit, files)) == expected


def test_a_source_file_deleted_and_another_added_may_be_a_rename() -> None:
    assert verdict(edit("new.py", "A"), edit("old.py", "D")) == "old.py new.py"
    assert verdict(edit("new.py", "A")) == "file-added-or-deleted"
    assert verdict(edit("new.py", "A"), edit("old.py", "D"), edit("x.py", "D")) == (
        "file-added-or-deleted"
    )


def test_first_commits_links_and_modes_are_no_change_of_text() -> None:
    assert verdict(edit("a.py"), parents=()) == "no-parent"
    assert verdict(edit("a.py", regular=False)) == "not-a-plain-file"
    assert verdict(edit("\ufffd.py")) == "not-a-plain-file"
    assert verdict(FileEdit("M", True, "1" * 40, "1" * 40, "a.py")) == "mode-only"


def test_setup_files_and_documentation_hold_no_product_code() -> None:
    assert is_aside("setup.py") and is_aside("x/conf.py") and is_aside("docs/ext/x.py")
    assert not is_aside("pkg/setup_tools.py") and not is_aside("pkg/docs.py")


def test_a_history_is_read_as_git_tells_it(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r", {"a.py": WRONG, "e\u0301 x.py": "x = 1\n"})
    start = repository.git("rev-parse", "HEAD")
    fix = repository.commit("Fix columns\n\nThe body.\n\x01 not a header\n", {"a.py": RIGHT})
    repository.git("checkout", "-q", "-b", "side")
    other = repository.commit("Odd name", {"e\u0301 x.py": "x = 2\n"})
    repository.git("checkout", "-q", "main")
    repository.commit("Both", {"a.py": WRONG, "b.py": "x = 1\n"})
    repository.git("merge", "-q", "--no-ff", "-m", "Fix by merging", "side")

    read = list(commits(repository.git_dir, "main"))
    assert [commit.message.partition("\n")[0] for commit in read] == [
        "Both",
        "Odd name",
        "Fix columns",
        "Start",
    ]
    drops: list[str] = []
    found = list(changes(repository.git_dir, "main", drops.append))
    assert [change.commit for change in found] == [other, fix]
    assert found[0].path == "e\u0301 x.py"
    assert found[1] == Change(
        fix,
        start,
        "a.py",
        "a.py",
        "Fix columns\n\nThe body.\n\x01 not a header",
        repository.clock - 120,
        repository.git("rev-parse", f"{start}:a.py"),
        repository.git("rev-parse", f"{fix}:a.py"),
    )
    assert drops == ["many-source-files", "no-parent"]


def test_a_reader_that_stops_early_leaves_no_process_behind(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r", {"a.py": WRONG})
    repository.commit("Fix", {"a.py": RIGHT})
    reading = commits(repository.git_dir, "HEAD")
    assert next(reading).message == "Fix"
    reading.close()  # type: ignore[attr-defined]


def test_what_git_cannot_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="git log failed"):
        list(commits(str(tmp_path), "HEAD"))
    repository = Repository(tmp_path / "r", {"a.py": WRONG})
    with pytest.raises(CorpusError, match="git log failed"):
        list(commits(repository.git_dir, "--all"))  # a revision, never an option


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Fix wrong variable in resize", None),
        ("Typo in the attribute's name", None),
        ("Use the right key\n\nCloses-Bug: #1234567", None),
        ("resize crashed with AttributeError", None),
        ("Add a command", "no-fix-word"),
        ("Rename rows to lines", "rename"),
        ('Revert "Fix resize"', "revert"),
        ("Fix typo in docstring", "docs"),
        ("Fix pep8 errors", "style"),
        ("Fix mypy error", "typing"),
        ("Fix tests", "tests"),
        ("Bump version to 1.2", "version"),
        ("Fix for Python 3", "port"),
        ("Wrong variable in Python 3", None),
        ("s/rows/cols/", None),
        ("Raise TypeError, not KeyError", None),
        ("Return 401 when failing to authenticate", None),
        ("Make it fail earlier", "feature"),
        ("Change the order\n\nCloses-Bug: #1234567", None),
        ("Undo it\n\nThis reverts commit 1234.", "revert"),
        ("Fix DeprecationWarning", "deprecation"),
        ("  \n", "empty"),
    ],
)
def test_what_a_message_reads_as(message: str, expected: str | None) -> None:
    assert refusal(message) == expected


def test_a_subject_is_one_line() -> None:
    assert subject_of("\n Fix\u2028 it\t now \r\nbody") == "Fix"
    assert subject_of("Fix  it\t now \r\nbody") == "Fix it now"
    assert subject_of(" ") == ""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", ("", "")),
        ("a\nb\nc\n", "a\nX\nc\n", ("b\n", "X\n")),
        ("a\nb", "a\nc", ("b", "c")),
        ("a\na\n", "a\na\na\n", ("", "a\n")),
        ("ab\n", "b\n", ("ab\n", "b\n")),
    ],
)
def test_the_lines_that_differ(before: str, after: str, expected: tuple[str, str]) -> None:
    old, new = changed_lines(before, after)
    assert (old.strip("\n"), new.strip("\n")) == tuple(text.strip("\n") for text in expected)


@given(
    start=st.lists(st.sampled_from(["a = b\n", "", "    c()\n"])),
    old=st.sampled_from(["x = y\n", "x = z\n", "# x\n", ""]),
    new=st.sampled_from(["x = y\n", "x = z + 1\n", "f(x, y)\n" * 20]),
    end=st.lists(st.sampled_from(["a = b\n", "\n", "    c()\n"])),
    times=st.sampled_from([1, 3000]),
)
def test_a_quick_look_refuses_as_the_whole_files_do(
    start: list[str], old: str, new: str, end: list[str], times: int
) -> None:
    before = "".join(start) * times + old + "".join(end) * times
    after = "".join(start) * times + new + "".join(end) * times
    lines_before, lines_after = changed_lines(before, after)
    assert lines_before in before and lines_after in after
    assert len(before) - len(lines_before) == len(after) - len(lines_after)
    assert quick_refusal(before, after) == lines.refusal(before, after)
