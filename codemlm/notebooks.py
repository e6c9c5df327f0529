"""Jupyter notebooks as source: their code cells, one after the other, without magics and outputs.

The cells make one text, so that each is read with all others as context; findings are told by cell.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import dataclass
from typing import Any

from codemlm.errors import SourceError

SUFFIX = ".ipynb"

_PYTHON_CELL_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")
"""Cell magics below which Python stands."""

_MAGIC = re.compile(r"([ \t]*)(?:[%!]|\?+[\w.]|[\w.]+\?+[ \t]*$)")
_ASSIGNED_MAGIC = re.compile(r"([ \t]*[\w., \t]+=[ \t]*)[%!]\S")


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell.

    Attributes:
        number: 1-based among all cells of the notebook.
        start, end: bytes of its text in the source of the notebook.
    """

    number: int
    start: int
    end: int


def is_notebook(path: str) -> bool:
    """Whether a path is that of a notebook."""
    return path.lower().endswith(SUFFIX)


def read_notebook(data: bytes) -> tuple[bytes, tuple[Cell, ...]] | None:
    """The source of a notebook and its cells; None if its language is not Python.

    Magics and lines for the shell are blank, or `pass` where a block may need a statement, so that
    lines and columns of all other text are those of the cells.

    Args:
        data: the file's content as UTF-8.

    Raises:
        SourceError: if it is no notebook.
    """
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"not a notebook: {error}") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SourceError("not a notebook of format 4 or later: it has no list of cells")
    if _language(notebook) != "python":
        return None
    text, found = b"", []
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        body = _without_magics(_text(cell.get("source"))).encode("utf-8", "replace")
        start = len(text)
        text += body
        found.append(Cell(number, start, len(text)))
        text += b"" if body.endswith(b"\n") else b"\n"
    return text, tuple(found)


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for table, key in (("language_info", "name"), ("kernelspec", "language")):
        facts = metadata.get(table) if isinstance(metadata, dict) else None
        name = facts.get(key) if isinstance(facts, dict) else None
        if isinstance(name, str):
            return "python" if name.lower() in ("python", "ipython", "python3") else name
    return "python"


def _text(source: object) -> str:
    """The text of a cell: a string, or a list of lines with their ends."""
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def _without_magics(text: str) -> str:
    if not re.search(r"[%!?]", text) or _is_python(text):
        return text
    lines = text.splitlines(keepends=True)
    first = next((line.split()[0] for line in lines if line.strip()), "")
    if first.startswith("%%") and first not in _PYTHON_CELL_MAGICS:
        return "".join(_end_of(line) for line in lines)
    shown, continued = [], False
    for line in lines:
        magic, assigned = _MAGIC.match(line), _ASSIGNED_MAGIC.match(line)
        if continued:
            shown.append(_end_of(line))
        elif magic is not None:
            shown.append((f"{magic[1]}pass" if magic[1] else "") + _end_of(line))
        elif assigned is not None:
            shown.append(f"{assigned[1]}None" + _end_of(line))
        else:
            shown.append(line)
            continue
        continued = line.rstrip("\r\n").endswith("\\")
    return "".join(shown)


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _is_python(text: str) -> bool:
    """Whether a cell is plain Python: there, `%` at the start of a line is an operator."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
