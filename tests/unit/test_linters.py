"""Linters: what they say of tiny files, caching, files that crash them, and what counts as found.

Processes are few: all tiny files of a tool are linted in one run.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from codemlm.errors import UsageError
from codemlm.evaluation.injected import sampled
from codemlm.evaluation.linter_cache import LinterCache
from codemlm.evaluation.linter_figures import (
    POPULATIONS,
    LintedBug,
    linted_bug,
    linted_file,
    linter_figures,
    populations,
    unreported,
)
from codemlm.evaluation.linter_reports import bug_lines, reported, reported_anywhere
from codemlm.evaluation.linter_tools import TOOLS, Found, LinterCrashError, Tool, read_mypy
from codemlm.evaluation.linters import (
    FAILED,
    UNPARSED,
    InstalledLinters,
    LinterMessage,
    available,
    given_up,
    run_linters,
)
from codemlm.fixes import Fix, FixPair
from codemlm.syntax import parse

FILES = {
    "undefined": "def f(a):\n    return a + b\n",
    "unused": "def f(a):\n    kept = a\n    return a\n",
    "no module/1-2.py": "import os.path as q\n\n\ndef f(a):\n    return q.jion(a)\n",
    "crlf": "# coding: gbk\r\ndef f(a):\r\n    return a + bé  # 中\r\n",
    "syntax": "def f(:\n    pass\n",
    "python 2": "print 'a'\n",
    "python 2 too": "try:\n    a = 1\nexcept (OSError, IOError), e:\n    raise\n",
    "tuple": "try:\n    a = 1\nexcept (OSError, KeyError):\n    raise\n",
    "not python 2": "def f():\n    '''\n    except A, e:\n    '''\n    return g\n",
    "star": "from .a import *\n\nprint(b)\n",
    "null": "a = 1\n\0",
    "clean": "def f(a):\n    return a\n",
    "same": "def f(a):\n    return a\n",
    "relative": "from . import a\nfrom ..b import c\nfrom .... import d\n\nprint(a, c, d)\n",
    "empty": "",
    "new": "type Pair[T] = tuple[T, T]\n",
    "pkg/__init__.py": "from .a import b\n\n__all__ = ['a', 'b']\n",
    "type comment": "def f():\n    # type: ignored\n    return g\n",
    "own name": "class A:\n    x = 1\n\n\nA().m000012\n",
}
UNDEFINED = {
    "pyflakes": "UndefinedName",
    "ruff": "F821",
    "pylint": "undefined-variable",
    "mypy": "name-defined",
}
UNUSED = {"pyflakes": "UnusedVariable", "ruff": "F841", "pylint": "unused-variable"}


@cache
def said(tool: str) -> dict[str, list[LinterMessage]]:
    pytest.importorskip(tool)
    return run_linters(FILES, [tool], None)[tool]


def codes(messages: Sequence[LinterMessage]) -> list[tuple[int, str]]:
    return [(message.line, message.code) for message in messages]


@pytest.fixture(params=list(TOOLS))
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_linter_names_undefined_and_unused_names(tool: str) -> None:
    assert codes(said(tool)["undefined"]) == [(2, UNDEFINED[tool])]
    assert codes(said(tool)["unused"]) == ([(2, UNUSED[tool])] if tool in UNUSED else [])
    assert said(tool)["clean"] == said(tool)["same"] == said(tool)["empty"] == []
    assert said(tool)["tuple"] == []


def test_lines_end_as_in_the_file_and_its_encoding_is_not_believed(tool: str) -> None:
    (message,) = said(tool)["crlf"]
    assert (message.line, message.col, message.code) == (3, 16, UNDEFINED[tool])
    assert "bé" in message.text


def test_what_does_not_parse_has_one_message(tool: str) -> None:
    for key in ("syntax", "python 2", "python 2 too", "null"):
        assert [m.code for m in said(tool)[key]] == [UNPARSED], key
        assert given_up(said(tool)[key]) == UNPARSED


def test_python_2_in_a_docstring_is_none(tool: str) -> None:
    assert codes(said(tool)["not python 2"]) == [(5, UNDEFINED[tool])]


def test_names_that_may_come_from_a_star_are_not_undefined(tool: str) -> None:
    assert UNDEFINED[tool] not in {message.code for message in said(tool)["star"]}


def test_neither_the_project_nor_the_given_name_shows(tool: str) -> None:
    assert said(tool)["relative"] == []
    assert codes(said(tool)["type comment"]) == [(3, UNDEFINED[tool])]
    assert not any("m0000" in m.text for told in said(tool).values() for m in told if m.line != 5)
    unknown = [] if tool in ("pyflakes", "ruff") else [5]
    assert [message.line for message in said(tool)["no module/1-2.py"]] == unknown


def test_new_syntax_is_read_where_the_linter_has_a_parser_of_its_own(tool: str) -> None:
    if tool == "ruff" or sys.version_info >= (3, 12):
        assert said(tool)["new"] == []
    elif tool != "mypy":  # which got one with version 2.4
        assert given_up(said(tool)["new"]) == UNPARSED


def test_the_root_of_a_package_may_export_its_modules(tool: str) -> None:
    assert all(given_up(said(tool)[key]) is None for key in ("pkg/__init__.py", "own name"))
    if tool != "pylint":  # which looks for the module beside it
        assert said(tool)["pkg/__init__.py"] == []


SCRIPT = """
import json, sys
for path in sys.argv[1:]:
    text = open(path).read()
    if "crash" in text:
        raise SystemExit(3)
    print(json.dumps({"path": path, "size": len(text)}))
"""


def read_sizes(done: CompletedProcess[str], paths: Sequence[str]) -> Found:
    if done.returncode:
        raise LinterCrashError("it crashed")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["path"]: [LinterMessage(1, 1, "size", str(row["size"]))] for row in rows}


class Spawned:
    """Counts processes, and gives up on those that were to read ``hang``."""

    def __init__(self) -> None:
        self.files: list[int] = []

    def run(self, command: Sequence[str], **options: Any) -> CompletedProcess[str]:
        paths = [word for word in command if word.startswith("pkg/")]
        self.files.append(len(paths))
        texts = [(Path(options["cwd"]) / path).read_text("utf-8") for path in paths]
        if any("hang" in text for text in texts):
            raise subprocess.TimeoutExpired(list(command), options["timeout"])
        done: CompletedProcess[str] = RUN(command, **options)
        return done


RUN = subprocess.run


@pytest.fixture
def spawned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spawned:
    """Runs of a linter that is there for the test, named ``json`` as an installed module is."""
    script = tmp_path / "driver.py"
    script.write_text(SCRIPT)
    fake = Tool("json", ("--",), read_sizes, 4, 100, 1.0, str(script))
    monkeypatch.setattr(Tool, "version", "1")
    monkeypatch.setattr(Tool, "command", lambda _, paths: [sys.executable, str(script), *paths])
    monkeypatch.setitem(TOOLS, "json", fake)
    found = Spawned()
    monkeypatch.setattr(subprocess, "run", found.run)
    return found


def test_files_that_crash_or_hang_cost_the_others_nothing(spawned: Spawned, tmp_path: Path) -> None:
    files = {f"f{i}": "x" * i for i in range(1, 11)} | {"f3": "crash", "f6": "hang"}
    store = tmp_path / "new folder" / "cache.sqlite"
    found = run_linters(files, ["json"], store)["json"]
    assert [key for key, told in found.items() if given_up(told) == FAILED] == ["f3", "f6"]
    assert "TimeoutExpired" in found["f6"][0].text
    assert {key: told[0].text for key, told in found.items() if not given_up(told)} == {
        key: str(len(text)) for key, text in files.items() if text not in ("crash", "hang")
    }
    assert max(spawned.files) == 4
    spawned.files.clear()
    assert run_linters(files, ["json"], store)["json"] == found
    assert spawned.files == [2, 1, 1]  # failures alone are tried again


def test_a_second_run_starts_no_process_unless_something_changed(
    spawned: Spawned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "cache.sqlite"
    files = {"a": "1", "b": "22", "c/__init__.py": "1", "again": "1"}
    first = run_linters(files, ["json"], store, jobs=2)
    assert spawned.files == [3]  # a text is linted once
    assert run_linters(files, ["json"], store) == first
    assert len(spawned.files) == 1
    run_linters({**files, "b": "333"}, ["json"], store)
    assert spawned.files == [3, 1]
    monkeypatch.setattr(Tool, "version", "2")
    run_linters(files, ["json"], store)
    assert spawned.files == [3, 1, 3]


def test_what_a_killed_run_had_done_is_kept(spawned: Spawned, tmp_path: Path) -> None:
    store = tmp_path / "cache.sqlite"

    def stop(tool: str, done: int, total: int) -> None:
        assert (tool, done, total) == ("json", 4, 8)
        raise KeyboardInterrupt

    files = {f"f{i}": "x" * i for i in range(8)}
    with pytest.raises(KeyboardInterrupt):
        run_linters(files, ["json"], store, progress=stop)
    run_linters(files, ["json"], store)
    assert spawned.files == [4, 4]


KILLED = """
import os, sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute("pragma cache_size=1")
base.execute("begin")
for n in range(2000):
    base.execute("insert into messages values ('t', ?, ?)", (f"d{n}", "x" * 2000))
os._exit(9)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_half(tmp_path: Path) -> None:
    store = tmp_path / "cache.sqlite"
    message = LinterMessage(2, 3, "code", "text ü")
    with LinterCache(store) as kept:
        kept.keep("t", {"a": [message], "b": []})
    done = subprocess.run([sys.executable, "-c", KILLED, str(store)], check=False)
    assert done.returncode == 9
    with LinterCache(store) as kept:
        assert kept.known("t", ["a", "b", "d0", "d7"]) == {"a": [message], "b": []}
        assert kept.known("other", ["a"]) == {}
        kept.keep("t", {"d0": [message]})
        assert kept.known("t", ["d0"]) == {"d0": [message]}


def test_a_cache_that_is_none_names_itself(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no data base, and longer than a header is" * 100)
    with pytest.raises(UsageError, match=r"damaged\.sqlite.*delete it"):
        LinterCache(damaged)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as base:
        base.execute("create table messages (tool text)")
    base.close()
    with LinterCache(other) as kept, pytest.raises(UsageError, match=r"other\.sqlite"):
        kept.known("t", ["a"])


def test_unknown_and_missing_linters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"flake9.*pyflakes, ruff"):
        run_linters({}, ["flake9"], None)
    monkeypatch.setitem(TOOLS, "none", Tool("no_such_linter", (), read_sizes, 1, 1, 1.0))
    assert "none" not in available()
    with pytest.raises(UsageError, match=r"pip install 'codemlm\[benchmarks\]'"):
        run_linters({}, ["none"], None)


def test_output_of_other_files_and_of_crashes_is_refused() -> None:
    row = {"file": "b.py", "line": 1, "column": 0, "message": "m", "code": "c", "severity": "error"}
    with pytest.raises(LinterCrashError):
        read_mypy(CompletedProcess([], 1, json.dumps(row), ""), ["a.py"])
    with pytest.raises(LinterCrashError):
        read_mypy(CompletedProcess([], 2, "INTERNAL ERROR", ""), ["a.py"])
    with pytest.raises(LinterCrashError):
        read_mypy(CompletedProcess([], 2, json.dumps(row), ""), ["b.py"])
    plain = "a.py:3: error: Invalid syntax; and more  [syntax]"
    ended = read_mypy(CompletedProcess([], 2, plain, ""), ["a.py", "b.py"])
    assert ended == {"a.py": [LinterMessage(3, 1, UNPARSED, "Invalid syntax; and more")]}
    note = {**row, "severity": "note", "file": "a.py"}
    assert read_mypy(CompletedProcess([], 0, json.dumps(note), ""), ["a.py"]) == {"a.py": []}


def message(line: int, code: str = "c", text: str = "t") -> LinterMessage:
    return LinterMessage(line, 1, code, text)


def test_a_bug_is_reported_if_a_message_at_it_is_gone() -> None:
    place = (range(3, 5), range(3, 5))
    assert reported([message(3)], [], *place)
    assert not reported([message(2)], [], *place)
    assert reported_anywhere([message(2)], [], *place)
    assert not reported([message(3, text="line 4")], [message(4, text="line 11")], *place)
    assert not reported_anywhere([message(3)], [message(4)], *place)
    assert reported([message(3), message(4)], [message(4)], *place)  # one of two has gone
    assert reported([message(3)], [message(9)], *place)  # the same elsewhere is another's
    assert reported_anywhere([message(3)], [message(9)], *place)
    assert reported([message(3)], [message(3, code="d")], *place)
    for end in (UNPARSED, FAILED):
        assert not reported([message(3, end)], [], *place)
        assert not reported_anywhere([message(3)], [message(1, end)], *place)


def lines_of(before: str, old: str, new: str) -> tuple[list[int], list[int]]:
    start = len(before[: before.index(old)].encode())
    found = bug_lines(before, [(start, start + len(old.encode()), new)])
    return list(found[0]), list(found[1])


def test_the_lines_of_a_bug_are_those_of_its_statement() -> None:
    call = "é = 1\nfoo(\n    a,\n    WRONG,\n)\nx = 2\n"
    assert lines_of(call, "WRONG", "right") == ([2, 3, 4, 5], [2, 3, 4, 5])
    header = "if a:\n    b()\nelif (\n    WRONG\n):\n    c()\n    d()\nelse:\n    e()\n"
    assert lines_of(header, "WRONG", "right") == ([3, 4, 5], [3, 4, 5])
    nested = "def f(a, b=WRONG):\n    return a\n"
    assert lines_of(nested, "WRONG", "1") == ([1], [1])
    assert lines_of("for x in WRONG: print(x)\ny\n", "WRONG", "z") == ([1], [1])
    assert lines_of("a = 1\nb = WRONG", "WRONG", "c\n") == ([2], [2])
    assert lines_of("@a(\n  WRONG)\ndef f(): pass\n", "WRONG", "b") == ([1, 2], [1, 2])


def test_the_lines_of_a_swap_and_of_a_negation() -> None:
    before = "def f():\n    x = g(b, a)\n    if x:\n        pass\n"
    swap = before.index("b, a")
    assert bug_lines(before, [(swap, swap + 1, "a"), (swap + 3, swap + 4, "b")]) == (
        range(2, 3),
        range(2, 3),
    )
    test = before.index("x:")
    assert bug_lines(before, [(test, test, "not ")])[0] == range(3, 4)
    assert bug_lines(before, [(test - 1, test - 1, " not")])[0] == range(3, 4)


PAIR = FixPair(
    Fix(
        repo="o/r",
        commit="c" * 40,
        parent="p" * 40,
        path="a.py",
        old_path="a.py",
        function="f",
        line=2,
        kind="variable",
        edits=((25, 26, "a"),),
        before="b",
        after="a",
        undefined=True,
        doubt="",
        message="Fix f",
        date=0,
        split="test",
    ),
    FILES["undefined"],
    "def f(a):\n    return a + a\n",
)


def test_installed_linters_report_a_pair() -> None:
    assert PAIR.fix.apply(PAIR.before.encode()).decode() == PAIR.after
    if "pyflakes" not in available():
        pytest.skip("pyflakes is not installed")
    found = InstalledLinters(["pyflakes"])
    told = found.run({"before": PAIR.before, "after": PAIR.after})["pyflakes"]
    lines = bug_lines(PAIR.before, PAIR.fix.edits)
    assert reported(told["before"], told["after"], *lines)
    assert not reported(told["after"], told["before"], *lines)
    assert found.facts("pyflakes")["version"].startswith(TOOLS["pyflakes"].version[:3])


def bug(key: str, group: int, before: list[LinterMessage], after: list[LinterMessage]) -> LintedBug:
    return linted_bug((key, group, "variable"), before, after, range(3, 4), range(3, 4))


def test_what_a_linter_makes_of_a_bug() -> None:
    found = bug("a", 0, [message(3), message(3, "d"), message(7), message(9)], [message(7)])
    assert (found.found, found.anywhere, found.recalled, found.messages) == (True, True, True, 4)
    assert found.line_hits == pytest.approx((1 / 3, 1.0, 1.0))
    stays = bug("b", 0, [message(3)], [message(3)])
    assert (stays.found, stays.anywhere, stays.recalled) == (False, False, True)
    elsewhere = bug("c", 0, [message(8)], [])
    assert (elsewhere.found, elsewhere.anywhere, elsewhere.recalled) == (False, True, False)
    assert elsewhere.line_hits == (0.0, 0.0, 0.0)
    silent = bug("d", 0, [message(3, UNPARSED)], [])
    assert (silent.found, silent.recalled, silent.messages) == (False, False, 0)
    assert silent.given_up == UNPARSED


def test_functions_with_a_message_are_counted() -> None:
    text = "import a\ndef f():\n    def g():\n        return 1\n    return g\ndef h():\n    pass\n"
    file = sampled("a.py", parse(text.encode()))
    found = linted_file(file, 1, [message(1), message(4), message(4)])
    assert (found.lines, found.messages, found.functions, found.alarmed) == (7, 3, 3, 2)
    assert linted_file(file, 1, []).alarmed == 0
    gone = linted_file(file, 1, [message(1, FAILED)])
    assert (gone.lines, gone.messages, gone.functions, gone.given_up) == (0, 0, 0, FAILED)


def test_figures_of_a_linter() -> None:
    bugs = [
        bug("a", 0, [message(3)], []),
        bug("b", 0, [message(9), message(10)], [message(10)]),
        bug("c", 1, [message(3)], [message(3)]),
        bug("d", 1, [message(1, UNPARSED)], []),
    ]
    file = sampled("a.py", parse(b"def f():\n    return 1\n" * 5))
    clean = [linted_file(file, 0, [message(1)]), linted_file(file, 1, [])]
    clean.append(linted_file(file, 1, [message(1, UNPARSED)]))
    missed = unreported({"pyflakes": bugs, "ruff": bugs[2:]})
    assert missed == {"c", "d"}
    assert unreported({"pyflakes": bugs}) is None
    few = populations({"pyflakes": bugs, "ruff": bugs[2:]})
    assert few == {"unreported": {"c", "d"}, "parsed": {"c"}}
    table = linter_figures(bugs, clean, few, groups=2, seed=0)
    every = {name: figure["value"] for name, figure in table["all"]["figures"].items()}
    assert table["all"]["bugs"] == 4
    assert every["found"] == 0.25
    assert every["found_anywhere"] == 0.5
    assert every["recall"] == 0.5
    assert every["precision"] == 0.25
    assert every["line_top1"] == 0.5
    assert every["messages_per_kloc"] == 50.0
    assert every["functions_alarmed"] == 0.1
    interval = table["all"]["figures"]["found"]
    assert (interval["low"], interval["high"]) == (0.0, 0.5)  # one repository, or the other
    assert table["unreported"]["bugs"] == 2
    assert table["unreported"]["figures"]["found"]["value"] == 0.0
    assert table["by_kind"] == {
        "variable": {
            "bugs": 4,
            **{name: every[name] for name in ("found", "found_anywhere", "recall")},
            **{f"line_top{k}": every[f"line_top{k}"] for k in (1, 3, 5)},
        }
    }
    assert table["given_up"] == {"bugs": {UNPARSED: 1}, "files": {UNPARSED: 1}}
    json.dumps(table)
    assert linter_figures(bugs, clean, None, groups=2, seed=0)["unreported"] is None
    nothing: dict[str, set[str]] = {name: set() for name in POPULATIONS}
    assert linter_figures(bugs, [], nothing, groups=2, seed=0)["unreported"]["bugs"] == 0
