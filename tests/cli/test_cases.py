"""Runs the cases of the TOML files beside this one, with the model of `fake`.

A case is a table ``[[case]]``: ``name``, ``args``, ``exit``; what is printed, whole (``stdout``,
``stderr``) or in part (``stdout_has``, ``stdout_lacks``, ``stderr_has``); ``stdin`` and ``env``.
The tables ``files`` (text), ``latin1`` (text in that encoding), ``links`` (targets) and ``fifos``
(names), of the file or of the case, are made in the working directory first. Seconds are printed
as 0.0.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from codemlm import cli, commands
from tests.cli import fake
from tests.cli.test_process import STEERING

HERE = Path(__file__).parent


def cases() -> list[Any]:
    found = []
    for path in sorted(HERE.glob("*.toml")):
        shared = tomllib.loads(path.read_text("utf-8"))
        for case in shared.pop("case"):
            known = {"name", "args", "exit", "stdout", "stderr", "stdin", "env"}
            known |= {"stdout_has", "stdout_lacks", "stderr_has"}
            known |= {"files", "latin1", "links", "fifos"}
            assert set(case) <= known, f"{path.name}: {set(case) - known}"
            for table in ("files", "latin1", "links"):
                case[table] = {**shared.get(table, {}), **case.get(table, {})}
            found.append(pytest.param(case, id=f"{path.stem}: {case['name']}"))
    return found


def make_files(case: dict[str, Any]) -> None:
    for table, encoding in (("files", "utf-8"), ("latin1", "latin-1")):
        for name, text in case[table].items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode(encoding))
    for name, target in case["links"].items():
        Path(name).symlink_to(target)
    for name in case.get("fifos", []):
        os.mkfifo(name)


@pytest.mark.parametrize("case", cases())
def test_case(
    case: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_files(case)
    for name in STEERING:
        monkeypatch.delenv(name, raising=False)
    for name, value in case.get("env", {}).items():
        monkeypatch.setenv(name, value)
    stdin = io.TextIOWrapper(io.BytesIO(case.get("stdin", "").encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(commands, "load_model", fake.load)
    monkeypatch.setattr(commands, "identify_model", fake.identify)

    code = cli.main(case["args"])

    captured = capsysbinary.readouterr()
    stdout = captured.out.decode("utf-8")
    stderr = re.sub(r"\(\d+\.\d s\)", "(0.0 s)", captured.err.decode("utf-8"))
    assert (code, "Traceback" in stderr) == (case["exit"], False), stderr
    for name, printed in (("stdout", stdout), ("stderr", stderr)):
        if name in case:
            assert printed == case[name]
        for part in case.get(f"{name}_has", []):
            assert part in printed
    for part in case.get("stdout_lacks", []):
        assert part not in stdout
