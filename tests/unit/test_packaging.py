"""What the wheel holds: three import packages and the model, nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The wheel's files."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = out.iterdir()
    return set(zipfile.ZipFile(wheel).namelist())


def test_three_packages_reach_site_packages(names: set[str]) -> None:
    top = {name.split("/", 1)[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "codemlm",
        "codemlm_corpus",
        "codemlm_lsp",
    }


@pytest.mark.parametrize(
    ("folder", "parent"), [("codemlm", "."), ("codemlm_corpus", "corpus"), ("codemlm_lsp", "lsp")]
)
def test_every_module_and_the_model_are_in_it(names: set[str], folder: str, parent: str) -> None:
    base = ROOT / parent
    wanted = {p.relative_to(base).as_posix() for p in (base / folder).rglob("*.py")}
    wanted |= {p.relative_to(base).as_posix() for p in (base / folder / "model").glob("*")}
    assert {*wanted, f"{folder}/py.typed"} <= names


def test_style_and_script_of_the_report_are_in_it(names: set[str]) -> None:
    assert {f"codemlm/formats/assets/report.{kind}" for kind in ("css", "js")} <= names


def test_licence_and_command_are_in_it(names: set[str]) -> None:
    ends = {name.split(".dist-info/")[-1] for name in names if ".dist-info/" in name}
    assert {"licenses/LICENSE", "entry_points.txt"} <= ends
