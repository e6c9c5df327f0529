"""What language servers answer to `initialize`: a table of their capabilities.

    python benchmarks/lsp_capabilities.py --server "codemlm=codemlm server" --server "a=a server"

Every server is started anew and told that its client can do everything that is asked about; what it
registers later, once it was told that it may, counts too. What it said is its own word: nothing is
tried out.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shlex
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

WAIT_S = 20.0
QUIET_S = 3.0
"""A server that has not registered anything for so long is done."""

DYNAMIC = {"dynamicRegistration": True}
CLIENT: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "workspaceFolders": True,
        "didChangeConfiguration": DYNAMIC,
        "didChangeWatchedFiles": {**DYNAMIC, "relativePatternSupport": True},
        "diagnostics": {"refreshSupport": True},
        "workspaceEdit": {"documentChanges": True},
        "executeCommand": DYNAMIC,
    },
    "textDocument": {
        "publishDiagnostics": {"relatedInformation": True, "versionSupport": True},
        "diagnostic": {**DYNAMIC, "relatedDocumentSupport": True},
        "codeAction": {
            **DYNAMIC,
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit"]},
            "codeActionLiteralSupport": {
                "codeActionKind": {"valueSet": ["quickfix", "refactor", "source"]}
            },
        },
        **dict.fromkeys(
            (
                *("hover", "completion", "signatureHelp", "definition", "references", "rename"),
                *("documentSymbol", "inlayHint", "codeLens", "formatting", "documentHighlight"),
            ),
            DYNAMIC,
        ),
    },
    "notebookDocument": {"synchronization": DYNAMIC},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
}

ROWS: dict[str, tuple[str, str]] = {
    "diagnostics on request (pull)": ("diagnosticProvider", "textDocument/diagnostic"),
    "code actions": ("codeActionProvider", "textDocument/codeAction"),
    "hover": ("hoverProvider", "textDocument/hover"),
    "inlay hints": ("inlayHintProvider", "textDocument/inlayHint"),
    "code lens": ("codeLensProvider", "textDocument/codeLens"),
    "semantic tokens": ("semanticTokensProvider", "textDocument/semanticTokens"),
    "notebooks": ("notebookDocumentSync", "notebookDocument/sync"),
    "commands": ("executeCommandProvider", "workspace/executeCommand"),
    "watches files": ("", "workspace/didChangeWatchedFiles"),
    "formatting": ("documentFormattingProvider", "textDocument/formatting"),
    "completion": ("completionProvider", "textDocument/completion"),
    "definition": ("definitionProvider", "textDocument/definition"),
    "references": ("referencesProvider", "textDocument/references"),
    "rename": ("renameProvider", "textDocument/rename"),
    "symbols": ("documentSymbolProvider", "textDocument/documentSymbol"),
    "signature help": ("signatureHelpProvider", "textDocument/signatureHelp"),
}


class Talk:
    """A conversation with a server."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        while True:
            length = 0
            while (line := self.process.stdout.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if not line:
                return
            self.heard.put(json.loads(self.process.stdout.read(length)))

    def say(self, method: str | None, content: Any = None, **more: Any) -> None:
        """Sends a message; without a method, an answer."""
        message = {"jsonrpc": "2.0", **more}
        message |= {"result": content} if method is None else {"method": method, "params": content}
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()


def capabilities(command: list[str], folder: Path) -> tuple[dict[str, Any], str, set[str]]:
    """What a server says it can do, its name and version, and the methods it registers later."""
    talk = Talk(command)
    params = {
        "processId": os.getpid(),
        "rootUri": folder.as_uri(),
        "capabilities": CLIENT,
        "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}],
    }
    talk.say("initialize", params, id=1)
    while (answer := talk.heard.get(timeout=WAIT_S)).get("id") != 1 or "method" in answer:
        pass
    talk.say("initialized", {})
    later: set[str] = set()
    while True:
        try:
            heard = talk.heard.get(timeout=QUIET_S)
        except queue.Empty:
            break
        if heard.get("method") == "client/registerCapability":
            later |= {one["method"] for one in heard["params"]["registrations"]}
        if "id" in heard and "method" in heard:
            items = heard.get("params") or {}
            asked = heard["method"] == "workspace/configuration"
            talk.say(None, [None] * len(items["items"]) if asked else None, id=heard["id"])
    talk.say("shutdown", None, id=2)
    talk.say("exit", None)
    talk.process.wait(WAIT_S)
    if "result" not in answer:
        raise SystemExit(f"{command[0]}: {answer['error']}")
    result = answer["result"]
    info = result.get("serverInfo", {})
    return result["capabilities"], f"{info.get('name')} {info.get('version', '')}".strip(), later


def cell(found: dict[str, Any], later: set[str], provider: str, method: str) -> str:
    """A cell of the table."""
    given = found.get(provider)
    if method in later and not given:
        return "yes"
    if given in (None, False):
        return "no"
    if provider == "diagnosticProvider":
        return "files and workspace" if given.get("workspaceDiagnostics") else "files"
    if provider == "executeCommandProvider":
        return str(len(given["commands"]))
    if provider == "codeActionProvider" and isinstance(given, dict):
        return ", ".join(given.get("codeActionKinds", ["yes"]))
    return "yes"


def main() -> None:
    """Asks, and prints the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", action="append", required=True, metavar="NAME=COMMAND")
    given = options.parse_args()
    columns: dict[str, tuple[dict[str, Any], str, set[str]]] = {}
    for one in given.server:
        name, _, command = one.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            columns[name] = capabilities(shlex.split(command), Path(folder))
    print("| capability |", " | ".join(columns), "|")
    print("| :--- |", " | ".join([":---"] * len(columns)), "|")
    rows = {"says it is": [name for _, name, _ in columns.values()]}
    rows["position encoding"] = [
        found.get("positionEncoding", "utf-16") for found, _, _ in columns.values()
    ]
    for label, (provider, method) in ROWS.items():
        rows[label] = [cell(found, later, provider, method) for found, _, later in columns.values()]
    for label, cells in rows.items():
        print(f"| {label} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
