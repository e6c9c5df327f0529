"""Latency of the language server, driven over its standard input and output as an editor does.

    python benchmarks/lsp_latency.py --file LONG.py --folder PROJECT --out RUN.md

From an edit of a long file to its first diagnostics, and to those of the whole scan where they come
in two steps, inside a function and outside; what typing at ten changes a second leaves behind; and
how soon a hover is answered while the workspace is scanned. On a machine that is at work otherwise,
the processor time of an edit says more than the clock. POSIX alone.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import itertools
import json
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

DEBOUNCE_MS = 150
TYPED = [
    "total = 0",
    "print(self)",
    "value = len(name)",
    "if value is None: return",
    "name = name.strip()",
]
"""Statements that are typed; brackets come in pairs, as editors put them."""
OUTSIDE = [
    "import textwrap",
    "LIMIT = 10",
    "def shortened(text, limit=LIMIT): return text",
]
"""What is typed outside functions: names that come into the reach of the whole file."""


class Server:
    """A server process, and what it sent."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.published: asyncio.Queue[tuple[float, int]] = asyncio.Queue()
        self.ready: asyncio.Queue[float] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: list[str], folder: Path) -> Server:
        """A server that was initialised for a workspace folder."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        server = cls(process)
        await server.ask(
            "initialize",
            {
                "processId": os.getpid(),
                "capabilities": {
                    "textDocument": {"publishDiagnostics": {}},
                    "experimental": {"codemlmStatus": True},
                },
                "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}],
                "initializationOptions": {"debounceMs": DEBOUNCE_MS, "cache": False},
            },
        )
        server.tell("initialized", {})
        return server

    def tell(self, method: str, params: Any, **more: Any) -> None:
        """Sends a message."""
        assert self.process.stdin is not None
        content = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        body = json.dumps(content).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def ask(self, method: str, params: Any) -> Any:
        """The answer to a request."""
        self._number += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        self.tell(method, params, id=self._number)
        return await answer

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while head := await self.process.stdout.readuntil(b"\r\n\r\n"):
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            message = json.loads(await self.process.stdout.readexactly(length))
            if message.get("method") == "textDocument/publishDiagnostics":
                version = message["params"].get("version") or 0
                self.published.put_nowait((time.perf_counter(), version))
            elif message.get("method") == "codemlm/status":
                if message["params"]["state"] == "ready":
                    self.ready.put_nowait(time.perf_counter())
            elif "id" in message and "method" not in message:
                self._answers.pop(message["id"]).set_result(message.get("result"))

    async def shown(self, version: int) -> float:
        """When the diagnostics of a version came."""
        while True:
            when, found = await self.published.get()
            if found == version:
                return when

    async def complete(self, version: int) -> tuple[float, float]:
        """When the first diagnostics of a version came, and when its scan was complete."""
        shown = await self.shown(version)
        return shown, max(shown, await self.ready.get())

    def memory_mb(self) -> float:
        """Resident set of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def processor_s(self) -> float:
        """Processor time that the process has taken so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def stop(self) -> None:
        """Says goodbye."""
        self._reading.cancel()
        self.tell("shutdown", None, id=0)
        self.tell("exit", None)
        await self.process.wait()


class Document:
    """An open file whose middle is typed in."""

    def __init__(self, server: Server, path: Path, lines: int) -> None:
        self.server, self.uri, self.version = server, (path.parent / "edited.py").as_uri(), 1
        rows = path.read_text("utf-8").splitlines()[: lines + 1]
        tops = [i for i, row in enumerate(rows) if row.startswith(("class ", "def "))]
        rows = rows[: tops[-1]]
        middle = next(
            i
            for i in range(len(rows) // 2, len(rows))
            if rows[i].startswith("        ") and rows[i - 1].endswith(":")
        )
        top = next(i for i in reversed(tops) if i <= len(rows) // 3)  # above the other place
        rows[middle:middle] = ["        "]
        rows[top:top] = ["", ""]
        self.lines = len(rows)
        self._inside, self._top = (middle + 2, 8), (top, 0)
        line, row = next(
            (i, row) for i, row in enumerate(rows) if re.match(r"    def .*\(self", row)
        )
        used = next(i for i in range(line, len(rows)) if re.match(r" +self\.\w+ = \w", rows[i]))
        self.hovered = {
            False: (line, row.index("def") + 4),
            True: (used, rows[used].index(" = ") + 3),
        }
        self.place, self.margin = self._inside, 8
        text = "\n".join(rows) + "\n"
        document = {"uri": self.uri, "languageId": "python", "version": 1, "text": text}
        server.tell("textDocument/didOpen", {"textDocument": document})

    def put(self, text: str) -> int:
        """Types; returns the version."""
        self.version += 1
        at = {"line": self.place[0], "character": self.place[1]}
        change = {"range": {"start": at, "end": at}, "text": text}
        document = {"uri": self.uri, "version": self.version}
        params = {"textDocument": document, "contentChanges": [change]}
        self.server.tell("textDocument/didChange", params)
        line, column = self.place
        if "\n" in text:
            self.place = (line + 1, self.margin)
            for judged, (row, character) in self.hovered.items():
                self.hovered[judged] = (row + (row >= line), character)
        else:
            self.place = (line, column + len(text))
        return self.version

    def go_outside(self) -> None:
        """Types between two definitions from here on."""
        self.place, self.margin = self._top, 0


def keys(statements: list[str], count: int, margin: int) -> list[str]:
    """So many key strokes; a pair of brackets and its content are one."""
    strokes: list[str] = []
    for statement in itertools.cycle(statements):
        head, bracket, rest = statement.partition("(")
        strokes += [*head, *([bracket + rest] if bracket else []), "\n" + " " * margin]
        if len(strokes) >= count:
            break
    return strokes[:count]


def quantiles(values: list[float]) -> str:
    """Median, 95th percentile and largest of seconds, in milliseconds."""
    ranked = sorted(values)
    picked = (ranked[len(ranked) // 2], ranked[int(0.95 * (len(ranked) - 1))], ranked[-1])
    return " | ".join(f"{1000 * value:.0f}" for value in picked)


async def by_edit(server: Server, document: Document, what: str, strokes: list[str]) -> list[str]:
    """Rows of the table for edits one by one."""
    first, whole, busy = list[float](), list[float](), list[float]()
    for stroke in strokes:
        begun, work = time.perf_counter() + DEBOUNCE_MS / 1000, server.processor_s()
        shown, complete = await server.complete(document.put(stroke))
        first.append(shown - begun)
        whole.append(complete - begun)
        busy.append(server.processor_s() - work)
    rows = [f"| {what}, after the debounce: first diagnostics | {quantiles(first)} |"]
    rows.append(f"| ... whole scan | {quantiles(whole)} |")
    return [*rows, f"| ... processor time of all threads | {quantiles(busy)} |"]


async def measure(given: argparse.Namespace) -> list[str]:
    """The rows of the table."""
    command = [sys.executable, "-m", "codemlm", "server", "--threads", str(given.threads)]
    server = await Server.start(command, given.folder)
    document = Document(server, given.file, given.lines)
    opened = time.perf_counter()
    first = await server.shown(1) - opened
    rows = [f"| open, {document.lines} lines, model loaded | {quantiles([first])} |"]
    await server.ready.get()
    rows += await by_edit(server, document, "edit in a function", keys(TYPED, given.edits, 8))
    document.go_outside()
    rows += await by_edit(server, document, "edit between two", keys(OUTSIDE, given.edits, 0))

    memory = server.memory_mb()
    begun = time.perf_counter()
    version = document.version
    for number, stroke in enumerate(keys(OUTSIDE, 10 * given.seconds, 0)):
        await asyncio.sleep(max(0.0, begun + number / 10 - time.perf_counter()))
        version = document.put(stroke)
    last = time.perf_counter()
    rest = await server.shown(version) - last - DEBOUNCE_MS / 1000
    rows.append(
        f"| after {given.seconds} s of typing, last key to diagnostics | {quantiles([rest])} |"
    )
    grown = server.memory_mb() - memory
    note = f"memory {memory:.0f} MB before that typing, {grown:+.0f} MB after it"

    scan = asyncio.create_task(
        server.ask("workspace/executeCommand", {"command": "codemlm.scanWorkspace"})
    )
    waits: dict[bool, list[float]] = {True: [], False: []}
    while not scan.done() and min(map(len, waits.values())) < 100:
        for judged, place in document.hovered.items():
            begun = time.perf_counter()
            where = {"line": place[0], "character": place[1]}
            params = {"textDocument": {"uri": document.uri}, "position": where}
            await server.ask("textDocument/hover", params)
            waits[judged].append(time.perf_counter() - begun)
            await asyncio.sleep(0.1)
    for judged, many in waits.items():
        what = "judged by the scan" if judged else "that the model has to be asked about"
        rows.append(
            f"| hover during a workspace scan ({len(many)}), leaf {what} | {quantiles(many)} |"
        )
    scan.cancel()
    await server.stop()
    return [*rows, "", f"{note}."]


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--edits", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.file, given.folder = given.file.resolve(), given.folder.resolve()
    rows = asyncio.run(measure(given))
    kind, load = platform.processor() or platform.machine(), os.getloadavg()[0]
    machine = f"{kind}, {os.cpu_count()} cores, {given.threads} threads, load average {load:.1f}; "
    machine += f"Python {platform.python_version()}."
    text = "\n".join(
        [
            f"# Language server, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "",
            machine,
            f"{given.file.name}, {given.edits} edits one by one, then {given.seconds} s of typing.",
            "",
            "| what | p50 ms | p95 ms | max ms |",
            "| :--- | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )
    print(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
