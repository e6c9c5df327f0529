"""Names that modules and classes of the standard library hold, in any version and on any platform.

`dev/stdlib_names.py` makes the table, from typeshed's stubs and from interpreters.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

_TABLE = "data/stdlib.json.gz"


@cache
def _table() -> dict[str, Any]:
    data = files("codemlm").joinpath(_TABLE).read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(data))
    return found


@cache
def module_names(module: str) -> frozenset[str]:
    """Names that a module holds; empty for modules that are not of the standard library."""
    entry = _table()["modules"].get(module)
    return frozenset(entry.split()) if entry else frozenset()


@cache
def class_members(name: str) -> frozenset[str] | None:
    """Members of a class, named as ``threading.Thread``; builtins as ``__builtin__.dict``.

    None for classes that are not of the standard library, or of which no table can tell it.
    """
    entry = _table()["classes"].get(name)
    return None if entry is None else frozenset(entry.split())
