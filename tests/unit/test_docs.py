"""The documentation: generated pages are fresh, links lead somewhere, CI files fit schemas."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from codemlm.config import KEYS
from codemlm.filters import ALL_FILTERS
from codemlm.injection import Kind
from codemlm.rule_pages import rule_markdown, rule_text
from codemlm.rules import RULES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh() -> None:
    pages: dict[str, str] = generator().pages()
    stale = [name for name, text in pages.items() if (DOCS / name).read_text("utf-8") != text]
    assert stale == [], "run: python docs/generate.py"
    assert {p.name for p in (DOCS / "rules").iterdir()} == {f"{c}.md" for c in RULES} | {
        "README.md"
    }


def test_the_page_of_filters_says_what_was_measured() -> None:
    filters = generator().filters
    unknown = list(filters(None))
    assert [line.split(" | ")[0] for line in unknown[-len(ALL_FILTERS) :]] == [
        f"| {one.name}" for one in ALL_FILTERS
    ]
    assert all(line.endswith("| not measured |") for line in unknown[-len(ALL_FILTERS) :])
    row = {"recall": 0.3, "alarms_per_kloc": 0.5, "low_recall": 0.4, "low_alarms_per_kloc": 2}
    other = {"recall": 0.31, "alarms_per_kloc": 0.9, "low_recall": 0.35, "low_alarms_per_kloc": 5}
    rows = {"all": row, f"without {ALL_FILTERS[0].name}": other}
    lines = list(filters({"data": {"bugs": 9, "lines": 1234}, "rows": rows}))
    first, second = lines[-len(ALL_FILTERS) :][:2]
    assert first.endswith("| -0.40 alarms, -1.0 % recall; at 0.05 -3.00, +5.0 % |")
    assert second.endswith("| not measured |")
    assert "9 real bugs" in "\n".join(lines)


def test_every_key_is_in_the_reference() -> None:
    text = generator().pages()["configuration.md"]
    assert re.findall("^## (.*)", text, re.MULTILINE) == list(KEYS)


@pytest.mark.parametrize("code", RULES)
def test_a_rule_says_everything(code: str) -> None:
    rule = RULES[code]
    wrong, meant = rule.example
    assert wrong != meant
    markdown, text = rule_markdown(rule), rule_text(rule)
    for part in (rule.summary, wrong, meant, f"# codemlm: ignore[{code}]", f"--ignore {code}"):
        assert " ".join(part.split()) in " ".join(markdown.split())
        assert " ".join(part.split()) in " ".join(text.split())
    assert len(rule.why.split()) > 10 and len(rule.limits.split()) > 10
    assert all(len(line) <= 100 for line in markdown.splitlines())


def test_every_kind_of_mistake_has_a_rule() -> None:
    assert {rule.kind for rule in RULES.values()} >= set(Kind)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_tour_runs_commands_that_exist() -> None:
    module = generator()
    text = (DOCS / "tour.md").read_text("utf-8")
    commands = [found[2] for found in module._COMMAND.finditer(text)]
    assert len(commands) >= 4
    cheap = "```console\n$ codemlm rule CM999\nwhat it once printed\n```"
    assert module.tour(cheap) == (
        "```console\n$ codemlm rule CM999\n"
        "error: there is no rule 'CM999'; `codemlm rule` lists them\n```"
    )


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize(
    ("schema", "name"),
    [("github-actions", "action.yml"), ("gitlab-ci", "docs/gitlab-ci.yml")],
)
def test_ci_files_fit_their_schemas(schema: str, name: str) -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*checker, str(ROOT / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_of_the_page_fits_its_schema(tmp_path: Path) -> None:
    text = (DOCS / "ci.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    hook, workflow, job = blocks
    path = tmp_path / "codemlm.yml"
    path.write_text(workflow, "utf-8")
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    done = subprocess.run([*checker, "vendor.github-workflows", str(path)], check=False)
    assert done.returncode == 0
    inputs = yaml(ROOT / "action.yml")["inputs"]
    assert set(yaml(path)["jobs"]["codemlm"]["steps"][1]["with"]) <= set(inputs)
    known = yaml(ROOT / ".pre-commit-hooks.yaml")[0]["id"]
    assert YAML(typ="safe").load(hook)["repos"][0]["hooks"] == [{"id": known}]
    snippet, whole = YAML(typ="safe").load(job)["codemlm"], yaml(DOCS / "gitlab-ci.yml")["codemlm"]
    assert snippet["script"] == whole["script"]


def test_inputs_of_the_action_never_become_a_part_of_its_scripts() -> None:
    for step in yaml(ROOT / "action.yml")["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        if "run" in step:
            checked = subprocess.run(["bash", "-n"], input=step["run"], text=True, check=False)
            assert checked.returncode == 0


def test_the_action_scans_the_paths_that_it_is_given(tmp_path: Path) -> None:
    """Runs the last step's script with a stand-in for codemlm that prints its arguments."""
    (step,) = [s for s in yaml(ROOT / "action.yml")["runs"]["steps"] if s.get("name") == "Scan"]
    stand_in = tmp_path / "codemlm"
    stand_in.write_text("#!/bin/bash\nprintf '<%s>' \"$@\"\n", "utf-8")
    stand_in.chmod(0o755)
    given = {"ARGS": "--output-format sarif -o x", "EXIT_ZERO": "true"}
    paths = "with space.py\n$(touch broken)\n-dash.py\n"
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        env={**given, "PATHS": paths, "CODEMLM_BIN": str(stand_in), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (
        "<scan><--output-format><sarif><-o><x><--exit-zero><-->"
        "<with space.py><$(touch broken)><-dash.py>"
    )
    assert not (tmp_path / "broken").exists()


def test_the_hook_is_as_conventions_want_it() -> None:
    (hook,) = yaml(ROOT / ".pre-commit-hooks.yaml")
    assert hook["entry"] == "codemlm scan"
    assert hook["args"] == ["--force-exclude"]
    assert hook["require_serial"] is True
    assert hook["types_or"] == ["python", "pyi", "jupyter"]
    assert not {"--fix", "--unsafe-fixes", "--watch"} & {*hook["entry"].split(), *hook["args"]}
