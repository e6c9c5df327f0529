"""The command line as a process: start-up, signals, pipes, locales, crashes, missing extras."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codemlm import cli, scan_command

ROOT = Path(__file__).parents[2]
STEERING = {
    "CODEMLM_DEBUG",
    "CODEMLM_MODEL",
    "CODEMLM_OUTPUT_FORMAT",
    "COLUMNS",
    "FORCE_COLOR",
    "NO_COLOR",
}
"""Variables that would change what the tests see."""
BUG = "def area(rows, cols): return rows\n"


def start(*args: str, module: str = "tests.cli.fake", **settings: Any) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if name not in STEERING}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **settings.pop("env", {})}
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen([sys.executable, "-m", module, *args], env=environment, **streams)


def run(*args: str, **settings: Any) -> tuple[int, str, str]:
    with start(*args, **settings) as process:
        stdout, stderr = process.communicate()
    return process.returncode, stdout.decode("utf-8"), stderr.decode("utf-8")


def test_module_and_version() -> None:
    code, stdout, stderr = run("--version", module="codemlm")
    assert (code, stderr) == (0, "")
    assert stdout.startswith("codemlm, version ")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from codemlm.cli import main; code = main(['scan', '--help']);"
        "heavy = {'numpy', 'rich', 'tokenizers', 'tree_sitter', 'onnxruntime', 'pathspec'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == "[]\n"
    assert "--min-confidence" in done.stdout


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BUG)
    with start("scan", str(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.close()  # before the first byte is written
        assert process.stderr is not None
        stderr = process.stderr.read()
    assert (process.returncode, stderr) == (cli.PIPE_CLOSED, b"")


def test_a_closed_pipe_is_no_error_for_help() -> None:
    with start("scan", "--help") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        stderr = process.stderr.read()
    assert (process.returncode, stderr) == (cli.PIPE_CLOSED, b"")


def listen_to_interrupts() -> None:
    """Background jobs of a script ignore them, and so would what the tests start there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupt_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BUG)
    settings: dict[str, Any] = {"stdin": subprocess.PIPE, "preexec_fn": listen_to_interrupts}
    process = start("scan", "-", cwd=tmp_path, env={"FAKE_READY": "1"}, **settings)
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr) == (cli.INTERRUPTED, b"", b"")


@pytest.mark.parametrize("number", [1, 3])
def test_a_killed_scan_leaves_sources_whole(tmp_path: Path, number: int) -> None:
    fixed = BUG.replace("return rows", "return cols")
    for name in "abcd":
        (tmp_path / f"{name}.py").write_text(BUG)
    environment = {"FAKE_KILL_AT": str(number), "CODEMLM_CACHE_DIR": str(tmp_path / "cache")}
    options = ("scan", "--fix", "--unsafe-fixes")
    code, _, _ = run(*options, cwd=tmp_path, env=environment)
    assert code == -signal.SIGKILL
    texts = [path.read_text() for path in sorted(tmp_path.glob("*.py"))]
    assert texts == [fixed] * (number - 1) + [BUG] * (5 - number)
    environment["FAKE_KILL_AT"] = ""
    assert run(*options, "-q", cwd=tmp_path, env=environment)[0] == 0
    assert {path.read_text() for path in tmp_path.glob("*.py")} == {fixed}


def test_a_killed_scan_leaves_the_baseline_whole(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BUG)
    assert run("scan", "--write-baseline", cwd=tmp_path)[0] == 0
    before = (tmp_path / "codemlm-baseline.json").read_bytes()
    (tmp_path / "a.py").write_text("x = 1\n")
    options = ("scan", "--baseline", "codemlm-baseline.json")
    assert run(*options, cwd=tmp_path, env={"FAKE_KILL_AT": "1"})[0] == -signal.SIGKILL
    assert (tmp_path / "codemlm-baseline.json").read_bytes() == before
    assert run(*options, cwd=tmp_path)[0] == 0
    assert (tmp_path / "codemlm-baseline.json").read_bytes() != before


@pytest.mark.parametrize("debug", [False, True])
def test_a_crash_is_an_error_and_no_finding(tmp_path: Path, debug: bool) -> None:
    environment = {"FAKE_CRASH": "1", "CODEMLM_DEBUG": "1" if debug else ""}
    code, stdout, stderr = run("scan", str(tmp_path), env=environment)
    assert (code, stdout) == (cli.ERROR, "")
    assert stderr.splitlines()[-2:] == [
        "error: internal error: ZeroDivisionError: integer division or modulo by zero",
        "This is a mistake in codemlm; CODEMLM_DEBUG=1 shows where.",
    ]
    assert ("Traceback" in stderr) is debug


@pytest.mark.parametrize("kind", ["full", "json"])
def test_output_is_utf8_on_any_locale(tmp_path: Path, kind: str) -> None:
    (tmp_path / "日本.py").write_text("def f(rows, cols): return '日本', rows\n", encoding="utf-8")
    environment = {
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    code, stdout, _ = run("scan", "--format", kind, cwd=tmp_path, env=environment)
    assert code == 1
    if kind == "json":
        assert json.loads(stdout)["path"] == "日本.py"
    else:
        assert stdout.startswith("日本.py:1:33 CM101")
        assert "return '日本', rows" in stdout


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = b"\xff.py"
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_text(BUG)
    code, stdout, _ = run("scan", "--format", "json", cwd=tmp_path)
    assert code == 1
    assert os.fsencode(json.loads(stdout)["path"]) == name
    code, stdout, stderr = run("scan", b"gone\xff.py", cwd=tmp_path)  # type: ignore[arg-type]
    assert (code, stdout) == (2, "")
    assert stderr.startswith("error: gone\\udcff.py: no such file")


def test_odd_patterns_cause_no_warnings_of_python(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("[[a]]\n[z-a]\n")
    (tmp_path / "a.py").write_text(BUG)
    code, stdout, stderr = run("scan", "--format", "concise", cwd=tmp_path)
    assert (code, stdout.count("CM101")) == (1, 1)
    assert stderr.startswith("1 finding in 1 of 1 file (")


def missing(name: str) -> Any:
    def raise_it(_: object) -> int:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return raise_it


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch", "error: this needs torch: pip install 'codemlm[train]'\n"),
        ("datatrove.data", "error: this needs datatrove.data: pip install 'codemlm[corpus]'\n"),
        ("unheard_of", "error: internal error: ModuleNotFoundError"),
    ],
)
def test_missing_extras_are_named(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scan_command, "scan", missing(name))
    assert cli.main(["scan"]) == cli.ERROR
    assert capsys.readouterr().err.startswith(message)


def test_mounted_commands_are_imported_when_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.MOUNTED, "eval", ("torch.no_such_module", "main", "Text."))
    assert cli.main(["--help"]) == 0
    assert "Text." in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["eval"]) == cli.ERROR
    assert "codemlm[train]" in capsys.readouterr().err


class Terminal:
    """Standard error on a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_progress_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from codemlm.terminal import ProgressLine

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = ProgressLine("scanning", "files", delay_s=0)
    progress.update(5, 10, "a\x1bb.py")
    assert "scanning [##########..........] 5/10 files  a?b.py" in terminal.text
    progress.clear()
    assert terminal.text.endswith("\r\x1b[2K")
    quiet = Terminal()
    monkeypatch.setattr(quiet, "isatty", lambda: False)
    monkeypatch.setattr(sys, "stderr", quiet)
    ProgressLine("scanning", "files", delay_s=0).update(5, None)
    assert quiet.text == ""


def test_prefetch_raises_where_items_are_awaited() -> None:
    from codemlm.terminal import Prefetch

    def items() -> Any:
        yield 1
        raise ValueError("x")

    prefetch = Prefetch(items())
    awaited = iter(prefetch)
    assert next(awaited) == 1
    with pytest.raises(ValueError, match="x"):
        next(awaited)
    assert not prefetch.complete
    assert list(Prefetch([1, 2])) == [1, 2]
