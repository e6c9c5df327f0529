"""What must not bring the server down, and what must end it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from codemlm.backend import default_model_path
from tests.lsp.harness import (
    BUG,
    PATIENCE_S,
    environment,
    make_editor,
    server_command,
    serving,
)

URI = "file:///outside/area.py"


def message(**content: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **content}).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


INITIALIZE = message(id=1, method="initialize", params={"capabilities": {}})
SHUTDOWN = message(id=2, method="shutdown") + message(method="exit")


def talk(sent: bytes) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, answers and complaints of a server that was sent bytes and then an end."""
    done = subprocess.run(
        server_command(),
        input=sent,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    answers, rest = [], done.stdout
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        answers.append(json.loads(rest[:length]))
        rest = rest[length:]
    return done.returncode, answers, done.stderr.decode()


def test_a_proper_end_is_no_error() -> None:
    code, answers, complaints = talk(INITIALIZE + SHUTDOWN)
    assert (code, complaints) == (0, "")
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[0]["result"]["serverInfo"]["name"] == "codemlm"


@pytest.mark.parametrize("sent", [b"", INITIALIZE, INITIALIZE + message(method="exit")])
def test_a_client_that_just_leaves_ends_the_server(sent: bytes) -> None:
    code, _, complaints = talk(sent)
    assert (code, complaints) == (1, "")


GARBAGE = [
    b"hello\n\xff\xfe\r\n\r\n",
    b"Content-Length: 5\r\n\r\n{{{{{",
    b"Content-Length: 2\r\n\r\n[]",
    b"Content-Length: 4\r\n\r\nnull",
    b"Content-Length: 3\r\n\r\n\xff\xff\xff",
    message(method="no/such/notification", params={"a": 1}),
    message(method="textDocument/didOpen", params={"textDocument": 3}),
    message(id=3),
    message(id=None, error={"code": 1, "message": "x"}),
    b"Content-Length: 100012\r\n\r\n" + b"[" * 100_000 + b'"jsonrpc":1,',
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_passed_over(garbage: bytes) -> None:
    code, answers, complaints = talk(INITIALIZE + garbage + SHUTDOWN)
    assert code == 0, complaints
    assert {1, 2} <= {answer.get("id") for answer in answers}
    assert "Traceback" not in complaints


def test_a_request_that_cannot_be_read_is_answered() -> None:
    bad = message(id=7, method="textDocument/hover", params={"textDocument": 3})
    unknown = message(id=8, method="no/such/request", params={})
    _, answers, _ = talk(INITIALIZE + bad + unknown + SHUTDOWN)
    errors = {a["id"]: a["error"]["code"] for a in answers if "error" in a}
    assert errors == {7: -32602, 8: -32601}


def test_a_message_that_never_ends_is_not_waited_for() -> None:
    code, _, complaints = talk(INITIALIZE + b"Content-Length: 999999999999\r\n\r\n" + SHUTDOWN)
    assert code == 1
    assert "a message of 999999999999 bytes" in complaints


@pytest.mark.asyncio
async def test_positions_that_make_no_sense_mean_the_nearest_place() -> None:
    async with serving() as editor:
        editor.open(URI, "")
        huge = 2**31 - 1
        editor.change(URI, 2, ((huge, huge), (huge, huge), BUG))
        assert len(await editor.shown(URI, lambda p: p.version == 2)) == 1
        editor.change(URI, 3, ((1, 99), (0, 5), ""))  # the wrong way round
        editor.change("file:///never/opened.py", 1, "x")
        assert await editor.shown(URI, lambda p: p.version == 3) == []


@pytest.mark.asyncio
async def test_a_missing_model_is_told_once_and_the_server_stays(tmp_path: Path) -> None:
    command = server_command("codemlm", "--model", str(tmp_path))
    async with serving(command=command) as editor:
        editor.open(URI, BUG)
        assert await editor.shown(URI) == []
        assert str(tmp_path) in await asyncio.wait_for(editor.said.get(), PATIENCE_S)
        editor.change(URI, 2, "x = 1\n")
        assert await editor.shown(URI, lambda p: p.version == 2) == []
        assert editor.said.empty()
        assert "error" in await editor.command("codemlm.showModel")
        await editor.said.get()
        await editor.command("codemlm.restart")
        assert str(tmp_path) in await asyncio.wait_for(editor.said.get(), PATIENCE_S)


@pytest.mark.asyncio
async def test_tcp_serves_one_client_and_ends_with_it() -> None:
    process = await asyncio.create_subprocess_exec(
        *server_command("tests.cli.fake", "--tcp", "127.0.0.1:0"),
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)
    host, _, port = line.decode().rpartition(" ")[2].strip().rpartition(":")
    editor = make_editor()
    await editor.start_tcp(host, int(port))
    started = types.InitializeParams(types.ClientCapabilities())
    await asyncio.wait_for(editor.initialize_session(started), PATIENCE_S)
    editor.open(URI, BUG)
    assert len(await editor.shown(URI)) == 1
    await editor.shutdown_async(None)
    editor.exit(None)
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    await editor.stop()


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", ["cut", "changed", "no manifest", "another version"])
async def test_a_corrupt_model_is_told_and_the_server_stays(tmp_path: Path, damage: str) -> None:
    model = default_model_path()
    for name in ("manifest.json", "tokenizer.json", "model.onnx"):
        shutil.copyfile(model / name, tmp_path / name)
    graph, manifest = tmp_path / "model.onnx", tmp_path / "manifest.json"
    content = graph.read_bytes()
    if damage == "cut":
        graph.write_bytes(content[:1000])
    elif damage == "changed":
        graph.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    elif damage == "no manifest":
        manifest.write_text("{")
    else:
        manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 999'))
    async with serving(command=server_command("codemlm", "--model", str(tmp_path))) as editor:
        editor.open(URI, BUG)
        assert await editor.shown(URI) == []
        said = await asyncio.wait_for(editor.said.get(), PATIENCE_S)
        assert str(tmp_path) in said
        assert await editor.hover_at(URI, 1, 13) is None
        assert await editor.actions_at(URI, 1, 13) == []
        for name in ("manifest.json", "model.onnx"):  # mended on disk
            shutil.copyfile(model / name, tmp_path / name)
        editor.change(URI, 2, "def area(rows, cols):\n    return rwos\n")
        await editor.shown(URI, lambda p: p.version == 2)
        await editor.command("codemlm.restart")
        assert len(await editor.shown(URI, lambda p: bool(p.diagnostics))) == 1


@pytest.mark.asyncio
async def test_two_servers_at_once_on_one_cache(tmp_path: Path) -> None:
    project, cache = tmp_path / "project", tmp_path / "cache"
    project.mkdir()
    for number in range(20):
        (project / f"bug{number}.py").write_text(BUG.replace("area", f"area{number}"))
    both = (serving(folders=(project,), cache=cache) for _ in range(2))
    async with next(both) as one, next(both) as two:
        for editor in (one, two):
            editor.open(URI, BUG)
        for editor in (one, two):
            assert len(await editor.shown(URI)) == 1
        scans = [editor.command("codemlm.scanWorkspace") for editor in (one, two)]
        assert await asyncio.gather(*scans) == [{"findings": 20, "files": 20}] * 2
        assert await one.command("codemlm.scanWorkspace") == {"findings": 20, "files": 20}
    assert (cache / "findings-1.db").stat().st_size > 0
    async with serving(folders=(project,), cache=cache) as third:
        assert await third.command("codemlm.scanWorkspace") == {"findings": 20, "files": 20}


@pytest.mark.asyncio
async def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    project, cache = tmp_path / "project", tmp_path / "cache"
    for folder in (project, cache):
        folder.mkdir()
    (project / "bug.py").write_text(BUG)
    (cache / "findings-1.db").write_bytes(b"no database" * 1000)
    async with serving(folders=(project,), cache=cache) as editor:
        assert await editor.command("codemlm.scanWorkspace") == {"findings": 1, "files": 1}


@pytest.mark.asyncio
async def test_huge_and_binary_files_cost_nothing_and_break_nothing(tmp_path: Path) -> None:
    (tmp_path / "huge.py").write_text("x = 1\n" * 300_000)
    (tmp_path / "binary.py").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "deep.py").write_text("(" * 20_000 + ")" * 20_000 + "\n")
    (tmp_path / "bug.py").write_text(BUG)
    async with serving(folders=(tmp_path,)) as editor:
        assert (await editor.command("codemlm.scanWorkspace"))["findings"] == 1
        for name, text in (("huge.py", "x = 1\n" * 300_000), ("deep.py", "(" * 20_000)):
            uri = (tmp_path / name).as_uri()
            editor.open(uri, text)
            assert await editor.shown(uri) == []
        editor.open(URI, BUG)
        assert len(await editor.shown(URI)) == 1


@pytest.mark.asyncio
async def test_files_that_change_on_disk_behind_an_open_text_play_no_part(tmp_path: Path) -> None:
    path = tmp_path / "area.py"
    path.write_text(BUG)
    async with serving(folders=(tmp_path,)) as editor:
        editor.open(path.as_uri(), BUG)
        assert len(await editor.shown(path.as_uri())) == 1
        path.unlink()
        gone = types.FileEvent(path.as_uri(), types.FileChangeType.Deleted)
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([gone]))
        editor.change(path.as_uri(), 2, ((0, 0), (0, 0), "\n"))
        assert len(await editor.shown(path.as_uri(), lambda p: p.version == 2)) == 1


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_bad_addresses_are_usage_errors() -> None:
    done = subprocess.run(
        server_command("codemlm", "--tcp", "nonsense"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "HOST:PORT is wanted" in done.stderr
