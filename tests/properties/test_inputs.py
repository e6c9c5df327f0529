"""Whatever stands in configurations, notebooks, baselines and diffs: an error of ours, or none."""

from __future__ import annotations

import contextlib
import json
import string
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codemlm.baseline import Baseline
from codemlm.changes import parse_diff
from codemlm.config import KEYS, Layer, combine
from codemlm.config_command import value_of
from codemlm.config_files import option_layers, read_layer
from codemlm.errors import CodemlmError, ConfigError, SourceError
from codemlm.notebooks import read_notebook

texts = st.text(max_size=20) | st.sampled_from(["CM1", "cm201", "*.py", "!a", "full", "a/", "\0"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(KEYS)), values, max_size=3))
def test_values_are_taken_or_refused(table: dict[str, Any]) -> None:
    try:
        settings = combine([Layer(table, "a.toml")])
    except ConfigError:
        return
    shown = {name: value_of(settings.config, KEYS[name]) for name in table}
    assert combine([Layer(shown, "b.toml")]).config == settings.config
    settings.config.walk_rules().match("a/b.py")
    settings.config.ignored_in("a/b.py")


@given(st.binary(max_size=60) | st.text(alphabet=string.printable, max_size=60).map(str.encode))
def test_files_are_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("codemlm.toml", "pyproject.toml"):
            path = Path(folder, name)
            path.write_bytes(b"[tool.codemlm]\n" * (name == "pyproject.toml") + data)
            with contextlib.suppress(ConfigError):
                combine([read_layer(str(path), base=folder)])


@given(texts)
def test_options_are_taken_or_refused(value: str) -> None:
    with contextlib.suppress(CodemlmError):
        combine(option_layers([value])[0])


@given(st.lists(st.text(alphabet="ax%!?=\\ \n\r\x0c\u2028é'\"", max_size=30) | values, max_size=4))
def test_cells_keep_their_lines(sources: list[Any]) -> None:
    cells = [{"cell_type": "code", "source": source} for source in sources]
    read = read_notebook(json.dumps({"cells": cells}).encode())
    assert read is not None
    text, found = read
    assert len(found) == len(sources)
    for cell, source in zip(found, sources, strict=True):
        if isinstance(source, str):
            assert text[cell.start : cell.end].count(b"\n") == source.count("\n")


@given(values)
def test_notebooks_are_read_or_refused(value: Any) -> None:
    for table in (value, {"cells": value}, {"cells": [value], "metadata": value}):
        with contextlib.suppress(SourceError):
            read_notebook(json.dumps(table).encode())


@given(values)
def test_baselines_are_read_or_refused(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "base.json")
        for table in (value, {"format": 1, "findings": value}, {"format": 1, "findings": [value]}):
            path.write_text(json.dumps(table), "utf-8")
            with contextlib.suppress(CodemlmError):
                Baseline.read(str(path))


@given(st.lists(st.sampled_from([b"+++ ", b"@@ -1,2 +3,4 @@", b'"a\\777', b"b/x", b"\n", b"-"])))
def test_diffs_of_any_kind(parts: list[bytes]) -> None:
    parse_diff(b"".join(parts))
