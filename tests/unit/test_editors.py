"""What editors are given: settings that the server knows, files that parse, commands that exist."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from codemlm.config import KEYS
from codemlm_lsp.commands import COMMANDS
from codemlm_lsp.settings import Settings, parse_settings
from tests.unit.test_docs import generator

ROOT = Path(__file__).parents[2]
LSP = ROOT / "lsp"
VSCODE = LSP / "vscode"
PAGE = ROOT / "docs" / "editors.md"
COMMAND = ["codemlm", "server"]


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VSCODE / "package.json").read_text("utf-8"))
    return found


def vscode_settings() -> dict[str, dict[str, Any]]:
    """The settings of the extension that go to the server, without their section."""
    properties = manifest()["contributes"]["configuration"]["properties"]
    own = {"codemlm.path", "codemlm.trace.server"}
    assert own < set(properties)
    return {n.removeprefix("codemlm."): p for n, p in properties.items() if n not in own}


SAMPLES: dict[str, Any] = {
    "array": ["CM1"],
    "boolean": True,
    "integer": 7,
    "number": 0.5,
    "object": {"CM2": 0.5},
    "string": "somewhere",
}


def samples() -> list[tuple[str, Any]]:
    """Each setting with a value of each type that VS Code lets its user write."""
    found = []
    for name, schema in vscode_settings().items():
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        for kind in types:
            value = None if kind == "null" else SAMPLES[kind]
            if name == "perFileIgnores" and kind == "object":
                value = {"tests/**": ["CM1"]}
            found.append((name, value))
    return found


@pytest.mark.parametrize(("name", "value"), samples())
def test_the_server_takes_every_setting_of_the_extension(name: str, value: Any) -> None:
    found, problems = parse_settings({name: value}, Settings())
    assert problems == []
    assert (found == Settings()) == (value is None)


def test_the_extension_has_every_setting_of_the_server() -> None:
    module = generator()
    given = {re.sub("([A-Z])", r"-\1", name).lower() for name in vscode_settings()}
    assert set(KEYS) >= module.KEYS_OF_SCANS
    own = {one.name.replace("_", "-") for one in fields(Settings)} - {"table"}
    assert set(module.SERVER_SETTINGS) == own
    assert given == set(module.SERVER_SETTINGS) | (set(KEYS) - module.KEYS_OF_SCANS)


def test_what_is_not_set_is_left_to_the_files_of_the_project() -> None:
    defaults = {n: p["default"] for n, p in vscode_settings().items()}
    for name, default in defaults.items():
        key = re.sub("([A-Z])", r"-\1", name).lower()
        if key in KEYS:
            assert default is None
        else:
            assert default == getattr(Settings(), key.replace("-", "_"))


@pytest.mark.parametrize("name", ["vscode/src/commands.ts", "emacs/codemlm.el"])
def test_clients_run_commands_that_exist(name: str) -> None:
    text = (LSP / name).read_text("utf-8")
    used = set(re.findall(r"""['"](codemlm\.[a-z][A-Za-z]*)['"]""", text))
    assert used >= {"codemlm.scanWorkspace", "codemlm.showModel", "codemlm.toggleHeatMap"}
    assert used <= set(COMMANDS)


def test_the_client_may_not_take_the_names_of_the_servers_commands() -> None:
    """The language client registers those under their names: a second registration fails."""
    own = {command["command"] for command in manifest()["contributes"]["commands"]}
    assert own and not own & set(COMMANDS)


def test_the_lock_file_names_no_registry_but_npms() -> None:
    lock = json.loads((VSCODE / "package-lock.json").read_text("utf-8"))
    places = {one["resolved"] for one in lock["packages"].values() if "resolved" in one}
    assert [p for p in places if not p.startswith("https://registry.npmjs.org/")] == []
    assert all("integrity" in one for name, one in lock["packages"].items() if name)
    root = lock["packages"][""]
    assert root["dependencies"] == manifest()["dependencies"]
    assert root["devDependencies"] == manifest()["devDependencies"]


def test_kate() -> None:
    kate = json.loads((LSP / "kate" / "settings.json").read_text("utf-8"))
    assert kate["servers"]["python"]["command"] == COMMAND


def test_sublime_text() -> None:
    text = (LSP / "sublime" / "LSP.sublime-settings").read_text("utf-8")
    assert json.loads(text)["clients"]["codemlm"]["command"] == COMMAND


def test_zed() -> None:
    zed = json.loads((LSP / "zed" / "settings.json").read_text("utf-8"))
    (name, server), *rest = zed["lsp"].items()
    assert not rest and name in zed["languages"]["Python"]["language_servers"]
    assert [server["binary"]["path"], *server["binary"]["arguments"]] == COMMAND


def test_helix() -> None:
    text = (LSP / "helix" / "languages.toml").read_text("utf-8")
    for source in (text, re.sub("(?m)^# (?=config)", "", text)):
        helix = tomllib.loads(source)
        server = helix["language-server"]["codemlm"]
        assert [server["command"], *server["args"]] == COMMAND
        assert helix["language"][0]["language-servers"] == ["codemlm"]
        assert parse_settings(server.get("config"), Settings())[1] == []


def test_neovim() -> None:
    text = (LSP / "nvim" / "lsp" / "codemlm.lua").read_text("utf-8")
    assert 'cmd = { "codemlm", "server" }' in text


def test_the_page_holds_what_the_files_do_and_settings_that_exist() -> None:
    text = PAGE.read_text("utf-8")
    blocks = dict[str, list[str]]()
    for language, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        blocks.setdefault(language, []).append(block)
    (zed,) = blocks["json"]
    assert json.loads(zed) == json.loads((LSP / "zed" / "settings.json").read_text("utf-8"))
    (helix,) = blocks["toml"]
    server = tomllib.loads(helix)["language-server"]["codemlm"]
    assert parse_settings(server["config"], Settings())[1] == []
    assert "(codemlm-setup)" in blocks["elisp"][0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE)
    given = {name: json.loads(default) for name, default in rows}
    found, problems = parse_settings(given, Settings(debounce_ms=1, heat_map=True))
    assert problems == []
    assert found == Settings()
    assert set(given) == {name for name in vscode_settings() if name not in _keys()}


def _keys() -> set[str]:
    return {re.sub("-(.)", lambda match: match[1].upper(), key) for key in KEYS}


def test_pictures_are_small_and_shown() -> None:
    text = PAGE.read_text("utf-8")
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    assert {"emacs.png", "kate.png", "neovim.png", "vscode.png"} <= {p.name for p in pictures}
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 100_000
        assert f"(images/{picture.name})" in text
