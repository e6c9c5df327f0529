"""The commit that brought a bug in, in tiny histories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from codemlm.fixes import Fix, Introduction
from codemlm_corpus.mining import blame
from codemlm_corpus.mining.relocate import Edits, along_lines, along_statements, lines_of

SOURCE = '''\
import os


def area(rows, cols):
    """Cells of a grid."""
    total = scale(rows, rows, "cells")
    return total


def folder(name):
    return os.path.join(name, "x")
'''
WRONG = 'scale(rows, rows, "cells")'


class History:
    """A git repository whose commits are a day apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.day = 0
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    @property
    def git_dir(self) -> str:
        return str(self.folder / ".git")

    def git(self, *arguments: str) -> str:
        date = f"2020-01-{self.day + 1:02d}T00:00:00Z"
        settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"]
        run = subprocess.run(
            ["git", *settings, *arguments],
            cwd=self.folder,
            env={**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
            capture_output=True,
            check=True,
        )
        return run.stdout.decode().strip()

    def commit(self, **files: str | bytes | None) -> str:
        """A commit that writes files (or removes them: None), named without their suffix."""
        self.day += 1
        for name, content in files.items():
            path = self.folder / f"{name}.py"
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "repo")


def places(source: str, *wrongs: tuple[str, int, str, str]) -> Edits:
    """Edits of words: (text around, where in it, word, what was meant)."""
    edits = []
    for around, skip, word, meant in wrongs:
        start = source.encode().index(around.encode()) + skip
        assert source.encode()[start : start + len(word.encode())] == word.encode()
        edits.append((start, start + len(word.encode()), meant))
    return tuple(edits)


def fix(parent: str, edits: Edits, path: str = "m.py") -> Fix:
    return Fix(
        *("a/b", "f" * 40, parent, path, path, "area", 6, "variable", edits),
        *("rows", "cols", False, "", "Fix", 0, "validation"),
    )


def second_argument(source: str) -> Edits:
    return places(source, (WRONG, 12, "rows", "cols"))


def found(history: History, source: str, edits: Edits | None = None) -> Introduction:
    result = blame.trace(
        history.git_dir, fix(history.git("rev-parse", "HEAD"), edits or second_argument(source))
    )
    assert isinstance(result, Introduction), result
    for start, end, _ in result.edits:
        assert 0 <= start <= end <= len(result.text.encode())
    return result


def shown(introduction: Introduction) -> list[str]:
    source = introduction.text.encode()
    return [source[start:end].decode() for start, end, _ in introduction.edits]


def test_the_commit_that_wrote_the_line_and_its_other_lines(history: History) -> None:
    history.commit(m=SOURCE.replace(WRONG, "rows * cols"))
    wrote = history.commit(m=SOURCE.replace("return os.path", "return  os.path"))
    history.commit(m=SOURCE)
    history.commit(m="# a line above\n" + SOURCE)
    result = found(history, "# a line above\n" + SOURCE)
    assert result.commit == wrote
    assert (result.path, result.text) == ("m.py", SOURCE.replace("return os", "return  os"))
    assert result.lines == (6, 11)
    assert shown(result) == ["rows"]
    assert result.edits == second_argument(result.text)


def test_a_root_commit_wrote_all_lines(history: History) -> None:
    root = history.commit(m=SOURCE)
    result = found(history, SOURCE)
    assert result.commit == root
    assert result.lines == tuple(range(1, 12))
    history.commit(other="x = 1")  # a file without a newline at its end
    edits = places("x = 1", ("x = 1", 0, "x", "y"))
    whole = blame.trace(history.git_dir, fix("HEAD", edits, "other.py"))
    assert isinstance(whole, Introduction)
    assert whole.lines == (1,)


def test_moved_and_formatted_statements_are_followed_and_copies_are_not(history: History) -> None:
    history.commit(m=SOURCE.replace("rows, rows", "rows, 1"))
    wrote = history.commit(m=SOURCE)
    head, area, folder = SOURCE.split("\n\n\n")
    moved = "\n\n\n".join([head, folder.rstrip("\n"), area]) + "\n"
    history.commit(m=moved)
    indented = moved.replace("    total", "    if rows:\n        total")
    history.commit(m=indented)
    wrapped = indented.replace(WRONG, "scale(\n            rows, rows, 'cells',\n        )")
    history.commit(m=wrapped)
    edits = places(wrapped, ("rows, rows, 'cells'", 6, "rows", "cols"))
    result = found(history, wrapped, edits)
    assert result.commit == wrote
    assert result.edits == second_argument(SOURCE)
    copied = wrapped + "\n\n" + area.replace("def area", "def again") + "\n"
    copying = history.commit(m=copied)
    start = copied.encode().rindex(WRONG.encode()) + 12
    assert found(history, copied, ((start, start + 4, "cols"),)).commit == copying


def test_a_renamed_file_is_followed_by_its_old_name(history: History) -> None:
    history.commit(old=SOURCE.replace("rows, rows", "rows, 1"))
    wrote = history.commit(old=SOURCE)
    history.commit(old=None, m=SOURCE)
    result = found(history, SOURCE)
    assert (result.commit, result.path, result.lines) == (wrote, "old.py", (6,))


def test_both_places_of_a_swap_and_the_newer_of_their_lines(history: History) -> None:
    history.commit(m=SOURCE.replace("rows, rows", "0, 0"))
    older = history.commit(m=SOURCE.replace("rows, rows", "cols, rows"))
    source = SOURCE.replace("rows, rows", "cols, rows")
    swap = places(source, ("scale(cols", 6, "cols", "rows"), ("cols, rows,", 6, "rows", "cols"))
    result = found(history, source, swap)
    assert (result.commit, shown(result)) == (older, ["cols", "rows"])
    split = source.replace("cols, rows, ", "cols,\n          rows, ")
    history.commit(m=split.replace("rows, ", "1, ").replace("1, cols", "rows, cols"))
    newer = history.commit(m=split)
    swap = places(split, ("scale(cols", 6, "cols", "rows"), ('rows, "', 0, "rows", "cols"))
    result = found(history, split, swap)
    assert (result.commit, shown(result), result.lines) == (newer, ["cols", "rows"], (7,))


def test_a_negation_keeps_the_space_behind_it(history: History) -> None:
    source = SOURCE.replace("    return total", "    if not total:\n        return 0")
    history.commit(m=source)
    spaced = source.replace("if not total", "if  not  total")
    history.commit(m=spaced)
    edits = places(spaced, ("not  total", 0, "not  ", ""))
    assert shown(found(history, spaced, edits)) == ["not "]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_line_ends_and_encodings(history: History, encoding: str) -> None:
    text = f"# coding: {encoding}\n" + SOURCE.replace("cells", "größe")
    history.commit(m=text.replace("rows, rows", "rows, 1").encode(encoding))
    wrote = history.commit(m=text.encode(encoding))
    crlf = text.replace("\n", "\r\n")
    history.commit(m=crlf.encode(encoding))
    start = crlf.encode().index(b"rows, rows") + 6
    result = found(history, crlf, ((start, start + 4, "cols"),))
    assert (result.commit, result.text, result.lines) == (wrote, text, (7,))
    assert shown(result) == ["rows"]


def test_what_cannot_be_told_has_a_reason(history: History, tmp_path: Path) -> None:
    history.commit(m=SOURCE.replace("rows, rows", "a, b"))
    edits = second_argument(SOURCE)
    start = SOURCE.encode().index(b"scale")
    assert blame.trace(history.git_dir, fix("HEAD", edits, "n.py")) == "no-such-file"
    assert blame.trace(history.git_dir, fix("HEAD", ((9**6, 9**6, ""),))) == "edits-beyond-file"
    assert blame.trace(history.git_dir, fix("HEAD", edits), timeout_s=0.0) == "timeout"
    assert blame.introduction(history.git_dir, fix("HEAD", edits, "n.py")) is None
    history.git("checkout", "-q", "-b", "side")
    history.commit(m=SOURCE.replace("rows, rows", "rows, b"))
    history.git("checkout", "-q", "main")
    history.commit(m=SOURCE.replace("rows, rows", "a, rows"))
    history.git("merge", "-q", "-s", "ours", "--no-commit", "side")
    history.commit(m=SOURCE)  # the conflict's resolution is what the merge itself wrote
    assert blame.trace(history.git_dir, fix("HEAD", edits)) == "merge"
    history.commit(m=b"\xff\xfe" + SOURCE.encode())
    assert blame.trace(history.git_dir, fix("HEAD", edits)) == "undecodable"
    history.commit(m=SOURCE)
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", history.folder.as_uri(), str(shallow)], check=True
    )
    place = fix("HEAD", ((start, start + 5, "x"),))
    assert blame.trace(str(shallow / ".git"), place) == "shallow"


def test_edits_are_found_in_lines_and_statements() -> None:
    old, new = b"if a and not b:\n    f(a)\n", b"x = 1\nif (a and\n        not b):\n    f(a)\n"
    edits = ((9, 13, ""),)
    assert lines_of(old, edits) == [1]
    assert along_lines(old, edits, new, {1: 2}) is None  # the line differs
    assert along_lines(old, edits, new, {}) is None
    assert along_statements(old, edits, new) == ((24, 28, ""),)
    assert along_statements(old, edits, new, near=[2]) == ((24, 28, ""),)
    assert along_statements(old, edits, new, near=[1]) is None
    short = ((20, 20, "not "),)  # "f(a)" alone says too little
    assert along_statements(old, short, new) is None
    twice = old + b"\n" + old
    assert along_statements(twice, edits, new) is None  # the second one is new
    assert along_statements(twice, edits, b"y\n" + twice) == ((11, 15, ""),)
