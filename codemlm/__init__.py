"""Finds the tokens of source code that are probably not what their author meant.

A masked language model reads both sides of every leaf of the syntax tree and compares it with the
best alternative in its place. The command line is ``codemlm``; from Python, start at::

    import codemlm

    parsed = codemlm.parse(b"total = price * quantity")  # leaves with their roles
    [leaf.text for leaf in parsed.leaves()]

Every name of ``__all__`` is imported when it is first used, so that ``import codemlm`` costs
nothing. Training is in `codemlm.train`, which needs ``pip install codemlm[train]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemlm.errors import (
        CheckpointError,
        CodemlmError,
        CorpusError,
        ModelError,
        SourceError,
        UsageError,
    )
    from codemlm.syntax import ParsedFile, parse
    from codemlm.types import Leaf, Role, Span

__version__ = "0.1.0"

_HOMES = {
    "CheckpointError": "codemlm.errors",
    "CodemlmError": "codemlm.errors",
    "CorpusError": "codemlm.errors",
    "Leaf": "codemlm.types",
    "ModelError": "codemlm.errors",
    "ParsedFile": "codemlm.syntax",
    "Role": "codemlm.types",
    "SourceError": "codemlm.errors",
    "Span": "codemlm.types",
    "UsageError": "codemlm.errors",
    "parse": "codemlm.syntax",
}

__all__ = [
    "CheckpointError",
    "CodemlmError",
    "CorpusError",
    "Leaf",
    "ModelError",
    "ParsedFile",
    "Role",
    "SourceError",
    "Span",
    "UsageError",
    "__version__",
    "parse",
]


def __getattr__(name: str) -> object:
    """The public object ``name``, imported from the module that defines it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
