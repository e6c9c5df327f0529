"""What importing and scanning load: no torch, no transformers, no network."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import codemlm
from codemlm.backend import default_model_path

HEAVY = ("torch", "transformers", "safetensors", "onnx", "tokenizers", "datatrove", "codemlm.train")
"""Installed for the tests, absent from a plain ``pip install codemlm``."""

PROBE = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")

socket.socket.__init__ = refuse
socket.create_connection = socket.getaddrinfo = refuse

{body}
heavy = {heavy!r}
loaded = [name for name in heavy if name in sys.modules]
print(json.dumps(loaded))
"""


def loaded_by(body: str) -> list[str]:
    """Those of `HEAVY` that a fresh interpreter has loaded after running ``body``."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE.format(body=body, heavy=HEAVY)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert result.returncode == 0, result.stderr
    loaded: list[str] = json.loads(result.stdout.splitlines()[-1])
    return loaded


@pytest.mark.parametrize("body", ["import safetensors", "import socket; socket.socket()"])
def test_the_probe_notices(body: str) -> None:
    if "safetensors" in body:
        assert loaded_by(body) == ["safetensors"]
    else:
        with pytest.raises(AssertionError, match="a socket was opened"):
            loaded_by(body)


def test_import_of_the_package_loads_none_of_its_modules() -> None:
    body = """
import codemlm
assert not [name for name in sys.modules if name.startswith("codemlm.")]
assert "numpy" not in sys.modules
"""
    assert loaded_by(body) == []


def test_command_line_loads_nothing_heavy() -> None:
    # onnxruntime too waits until there is something to scan: --help answers at once.
    body = "import codemlm.cli\nassert 'onnxruntime' not in sys.modules"
    assert loaded_by(body) == []


SCAN = """
sys.argv = ["codemlm", "scan", "--exit-zero", {path!r}]
try:
    stop = {main}()
except SystemExit as error:
    stop = error.code
assert not stop, stop
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "example.py"
    path.write_text("def area(width, height):\n    return width * height\n", encoding="utf-8")
    return str(path)


def test_scan_loads_nothing_heavy_and_opens_no_socket(source: str) -> None:
    body = "import tests.cli.fake" + SCAN.format(path=source, main="tests.cli.fake.main")
    assert loaded_by(body) == ["tokenizers"]  # the fake trains a tokenizer of its own


def test_scan_with_the_shipped_model_does_neither(source: str) -> None:
    if not (default_model_path() / "manifest.json").exists():
        pytest.skip("no model is shipped yet")
    body = "import codemlm.cli" + SCAN.format(path=source, main="codemlm.cli.main")
    assert loaded_by(body + "assert 'onnxruntime' in sys.modules") == []


def test_calibrate_loads_nothing_heavy_and_opens_no_socket(source: str) -> None:
    text = Path(source).read_text("utf-8")
    for number in range(4):
        (Path(source).parent / f"{number}.py").write_text(text * 3, "utf-8")
    folder = str(Path(source).parent)
    body = "import tests.cli.fake" + SCAN.format(path=folder, main="tests.cli.fake.main")
    body = body.replace('"scan", "--exit-zero"', '"calibrate", "--html", "/dev/null"')
    body += "assert 'matplotlib' not in sys.modules\n"
    assert loaded_by(body) == ["tokenizers"]  # of the fake


def test_every_public_name_is_there() -> None:
    assert list(codemlm.__all__) == sorted(codemlm.__all__)
    for name in codemlm.__all__:
        assert getattr(codemlm, name) is not None
    assert set(codemlm.__all__) <= set(dir(codemlm))


def test_public_names_are_the_ones_pinned_here() -> None:
    # A name taken away breaks users: change this list only together with CHANGELOG.md.
    assert set(codemlm.__all__) == {
        "CheckpointError",
        "CodemlmError",
        "CorpusError",
        "Failure",
        "FileResult",
        "Finding",
        "Leaf",
        "ModelError",
        "ParsedFile",
        "Role",
        "ScanOptions",
        "Scanner",
        "SourceError",
        "SourceFile",
        "Span",
        "Suggestion",
        "UsageError",
        "__version__",
        "load_model",
        "parse",
    }


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        codemlm.nonsense  # noqa: B018  # the access is what is tested


def test_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("codemlm") == codemlm.__version__
