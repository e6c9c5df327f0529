"""The conventions of docs/conventions.md: the tests that it names exist, and some of its rows."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
from lsprotocol import types

from codemlm import cli, commands
from codemlm.backend import default_model_path
from codemlm.formats.base import measured_precision
from codemlm.manifest import MANIFEST
from codemlm.rules import RULES
from tests.lsp.harness import BUG, capabilities, serving

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conventions.md").read_text("utf-8")
NAMED = {"scan", "rule", "config", "clean", "server", "score", "explain", "surprise", "calibrate"}
NAMED |= {"model", "train", "corpus", "eval"}
"""Commands that the page promises."""


def all_commands() -> list[str]:
    with cli.cli.make_context("codemlm", ["rule"]) as context:
        return cli.cli.list_commands(context)


def rows() -> list[tuple[str, str]]:
    """What each row of the page's tables is about, and its cell of tests."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [(row[0], row[-1]) for row in cells if row[0] != "feature"]


def known_tests(path: Path) -> set[str]:
    """Names of the tests of a file."""
    text = path.read_text("utf-8")
    if path.suffix == ".toml":
        return {case["name"] for case in tomllib.loads(text)["case"]}
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    names = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}
    return {name for name in names if name.startswith("test_")}


@pytest.mark.parametrize(("feature", "tests"), rows(), ids=[row[0] for row in rows()])
def test_every_test_that_the_page_names_exists(feature: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)
    assert named, f"no test of {feature}"
    for one in named:
        if one.startswith("benchmarks/"):
            assert (ROOT / one).is_file(), one
            continue
        file, separator, test = re.split(r"(: |::)", one, maxsplit=1)
        (path,) = (ROOT / "tests").rglob(file)
        assert (separator == ": ") is (path.suffix == ".toml"), one
        assert test in known_tests(path), one


def test_the_page_has_every_row() -> None:
    assert len(rows()) > 20
    assert len({feature for feature, _ in rows()}) == len(rows())


@pytest.mark.parametrize("command", all_commands())
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: codemlm {command}")
    assert cli.main(["--help"]) == 0
    assert re.search(rf"^  {command} +\S", capsys.readouterr().out, re.MULTILINE)
    assert f"codemlm {command}" in (ROOT / "README.md").read_text("utf-8")


def test_no_command_is_missing() -> None:
    assert set(all_commands()) >= NAMED


def test_codes_and_names_of_rules_are_stable() -> None:
    # A code that has been given stays: people's comments and configurations name it.
    given: dict[str, str] = {
        "CM101": "variable-misuse",
        "CM102": "attribute-misuse",
        "CM103": "function-misuse",
        "CM104": "keyword-argument-misuse",
        "CM105": "comparison-operator",
        "CM106": "identity-operator",
        "CM107": "membership-operator",
        "CM108": "boolean-operator",
        "CM109": "arithmetic-operator",
        "CM110": "augmented-assignment",
        "CM111": "constant",
        "CM112": "number",
        "CM113": "argument-swap",
        "CM114": "operand-swap",
        "CM115": "negation-added",
        "CM116": "negation-missing",
        "CM117": "missing-prefix",
        "CM118": "added-prefix",
        "CM201": "undefined-name",
        "CM901": "unused-pragma",
    }
    assert given.items() <= {code: rule.name for code, rule in RULES.items()}.items()


def test_the_cache_knows_models_and_tokenizers_apart(tmp_path: Path) -> None:
    """What tells a model from others holds the digests of all its files."""
    facts = json.loads((default_model_path() / MANIFEST).read_text("utf-8"))
    names = {commands.identify_model(None)[0]}
    for file in facts["files"]:
        changed = json.loads(json.dumps(facts))
        changed["files"][file]["sha256"] = "0" * 64
        (tmp_path / MANIFEST).write_text(json.dumps(changed), "utf-8")
        names.add(commands.identify_model(tmp_path)[0])
    assert len(facts["files"]) >= 2
    assert len(names) == 1 + len(facts["files"])


def test_the_shipped_model_was_measured() -> None:
    """SARIF's precision is no guess: every rule has one in what a scan writes."""
    precision = measured_precision(commands.identify_model(None)[1])
    assert precision.keys() == RULES.keys()
    assert all(0 < share <= 1 for share in precision.values())


@pytest.mark.asyncio
async def test_no_edit_is_one_that_editors_make_by_themselves() -> None:
    """Fixes on save are code actions of a kind `source.fixAll`: ours are never among them."""
    uri = "file:///outside/area.py"
    async with serving(capabilities()) as editor:
        editor.open(uri, BUG)
        actions = await editor.actions(uri, await editor.shown(uri))
    kinds = {str(getattr(action, "kind", "")) for action in actions}
    assert kinds and not any(kind.startswith("source") for kind in kinds)
    assert types.CodeActionKind.QuickFix in kinds
