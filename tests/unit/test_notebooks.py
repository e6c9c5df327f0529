"""Notebooks as source."""

from __future__ import annotations

import json

import pytest

from codemlm.errors import SourceError
from codemlm.notebooks import is_notebook, read_notebook


def source_of(*cells: object, **metadata: object) -> str | None:
    entries = [{"cell_type": "code", "source": cell} for cell in cells]
    read = read_notebook(json.dumps({"cells": entries, "metadata": metadata}).encode())
    return None if read is None else read[0].decode()


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("x = 1", "x = 1\n"),
        (["x = 1\n", "y = 2\n"], "x = 1\ny = 2\n"),
        ("%matplotlib inline\nx = 1\n", "\nx = 1\n"),
        ("if x:\n    !ls *.py\ny = 2\n", "if x:\n    pass\ny = 2\n"),
        ("!ls \\\n  -l\nx = 1\n", "\n\nx = 1\n"),
        ("files = !ls\nx = %time f()\n", "files = None\nx = None\n"),
        ("x?\n?y.z\nx.y??\n1\n", "\n\n\n1\n"),
        ("%%bash\nrm x\n", "\n\n"),
        ("%%time\nx = 1\n", "\nx = 1\n"),
        ("x = (3\n  % 2)\n", "x = (3\n  % 2)\n"),
        ("", "\n"),
        (None, "\n"),
        ([1, "x\n"], "x\n"),
        ("x = '\ud800'", "x = '?'\n"),
    ],
)
def test_magics_are_blank(cell: object, shown: str) -> None:
    assert source_of(cell) == shown


def test_cells_keep_their_numbers() -> None:
    entries = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": "é = 1"},
        "no cell",
        {"cell_type": "code", "source": "y"},
    ]
    read = read_notebook(json.dumps({"cells": entries}).encode())
    assert read is not None
    text, cells = read
    assert [(c.number, text[c.start : c.end].decode()) for c in cells] == [(2, "é = 1"), (4, "y")]


def test_other_languages_are_none() -> None:
    assert source_of("x <- 1", kernelspec={"language": "R"}) is None
    assert source_of("x", language_info={"name": "Python"}) == "x\n"
    assert source_of("x", language_info=3) == "x\n"


@pytest.mark.parametrize("data", [b"", b"x", b"[]", b"{}", b'{"cells": 3}', b"[" * 100_000])
def test_what_is_no_notebook(data: bytes) -> None:
    with pytest.raises(SourceError, match="not a notebook"):
        read_notebook(data)


def test_names() -> None:
    assert is_notebook("a/b.IPYNB") and not is_notebook("a.py")
