"""Kills scans at every point where they touch a file: ``python -m tests.cli.killed NAME [LIMIT]``.

Each scan is a fork that runs the command line with the fake model, in a folder of its own, and is
killed (SIGKILL) just before its n-th call that may change a file: of the operating system's, of an
open file's or of SQLite's methods, and every few steps within SQLite's statements. Then the same
command runs again, to its end. Prints a line of JSON for each point: what was left, and what the
second run made of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from codemlm import cache, cli, commands
from tests.cli import fake

BUG = "def area(rows, cols): return rows\n"
SOURCES = {f"{name}.py": BUG + "# a comment\n" * number for number, name in enumerate("abcde")}
BASELINE = {"codemlm-baseline.json": '{"format": 1, "findings": []}\n'}
SCENARIOS = {
    "cache": (SOURCES, ["scan", "--cache-dir", "cache", "--format", "concise"]),
    "baseline": ({**SOURCES, **BASELINE}, ["scan", "--no-cache", "--write-baseline"]),
    "fixes": (SOURCES, ["scan", "--cache-dir", "cache", "--fix", "--unsafe-fixes"]),
}
"""The files of a folder, and what runs there."""

_STEPS = 40
"""Steps of SQLite's virtual machine between two points."""
_CHANGING = {
    "posix": {"chmod", "fsync", "mkdir", "open", "remove", "rename", "replace", "unlink", "write"},
    "nt": {"chmod", "fsync", "mkdir", "open", "remove", "rename", "replace", "unlink", "write"},
    "_io": {"close", "flush", "open", "truncate", "write"},
    "_sqlite3": {"connect"},
}
_METHODS = {"close", "commit", "execute", "executemany", "flush", "truncate", "write"}


class Countdown:
    """Kills the process at a point.

    Args:
        number: of the point, from 1.
    """

    def __init__(self, number: int) -> None:
        self.left = number

    def tick(self) -> int:
        """Passes a point, or does not survive it."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def profile(self, frame: FrameType, event: str, called: Any) -> None:
        """For `sys.setprofile`: passes a point before each call that may change a file."""
        if event != "c_call":
            return
        owner = getattr(called, "__self__", None)
        if isinstance(owner, sqlite3.Connection | sqlite3.Cursor) or hasattr(owner, "fileno"):
            changes = called.__name__ in _METHODS
        else:
            changes = called.__name__ in _CHANGING.get(called.__module__ or "", ())
        if changes:
            self.tick()


def fork(work: Callable[[], int]) -> tuple[int, str]:
    """What a child process returns, below 0 if a signal ended it, and what it printed."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if not child:
            code = 70
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                code = work()
                sys.stdout.flush()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode("utf-8")


def scan(args: list[str], number: int, *, count: bool = False) -> int:
    """Runs the command line, and kills it at a point; 0: at none.

    Args:
        args: of the command line.
        number: of the point.
        count: whether the points are printed in the end, as a last line.
    """
    countdown = Countdown(number)
    connect = sqlite3.connect

    def watched(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **named)
        connection.set_progress_handler(countdown.tick, _STEPS)
        return connection

    if number or count:
        sqlite3.connect = watched  # type: ignore[assignment]
        sys.setprofile(countdown.profile)
    code = cli.main(args)
    sys.setprofile(None)
    if count:
        sys.stdout.write(f"\n{-countdown.left}")
    return code


def texts() -> dict[str, str]:
    """The files of the working directory that are no temporary ones."""
    found = (path for path in Path.cwd().iterdir() if path.is_file())
    return {p.name: p.read_text("utf-8") for p in found if not p.name.startswith(".codemlm-")}


def integrity() -> str | None:
    """What SQLite thinks of the cache; None if there is none."""
    path = next(Path.cwd().glob("cache/*.db"), None)
    if path is None:
        return None
    with contextlib.closing(sqlite3.connect(path)) as store:
        return str(store.execute("PRAGMA integrity_check").fetchone()[0])


@contextlib.contextmanager
def folder_of(name: str) -> Iterator[list[str]]:
    """A working directory for a scenario; gives what runs there."""
    files, args = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for file, text in files.items():
            Path(file).write_text(text, "utf-8")
        yield args


def killed(name: str, number: int) -> dict[str, Any]:
    """What is left when a scan is killed at a point, and after another one."""
    with folder_of(name) as args:
        code, _ = fork(lambda: scan(args, number))
        left = texts()
        # Opening a store repairs it: what a scan sees is what matters, so it comes first.
        again, printed = fork(lambda: scan(args, 0))
        return {
            "number": number,
            "code": code,
            "left": left,
            "again": again,
            "printed": printed,
            "then": texts(),
            "integrity": integrity(),
        }


def points(name: str, limit: int) -> Iterator[dict[str, Any]]:
    """At most so many points of a scan, evenly over all of it, and one that it survives."""
    with folder_of(name) as args:
        count = int(fork(lambda: scan(args, 0, count=True))[1].splitlines()[-1])
    for number in range(1, count + 1, max(1, -(-count // limit))):
        yield killed(name, number)
    yield killed(name, 10 * count)


def main() -> None:
    """Runs a scenario."""
    commands.load_model = fake.load
    commands.identify_model = fake.identify
    cache._BATCH = 2
    fake.load(None, 1)  # warms what every fork then has
    name, limit = sys.argv[1], int(sys.argv[2])
    for point in points(name, limit):
        print(json.dumps(point), flush=True)  # noqa: T201  # what the test reads


if __name__ == "__main__":
    main()
