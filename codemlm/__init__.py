"""Finds the tokens of source code that are probably not what their author meant.

A masked language model reads both sides of every leaf of the syntax tree and compares it with the
best alternative in its place. The command line is ``codemlm``; from Python, start at::

    import codemlm

    scanner = codemlm.Scanner(*codemlm.load_model(None, threads=1))
    source = codemlm.SourceFile("area.py", b"...", encoding="utf-8", has_bom=False)
    scanner.scan_source(source)  # a FileResult with its findings, or a Failure

Every name of ``__all__`` is imported when it is first used, so that ``import codemlm`` costs
nothing. Training is in `codemlm.train`, which needs ``pip install codemlm[train]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemlm.commands import load_model
    from codemlm.errors import (
        CheckpointError,
        CodemlmError,
        CorpusError,
        ModelError,
        SourceError,
        UsageError,
    )
    from codemlm.findings import Finding, Suggestion
    from codemlm.scanner import FileResult, Scanner, ScanOptions
    from codemlm.source import Failure, SourceFile
    from codemlm.syntax import ParsedFile, parse
    from codemlm.types import Leaf, Role, Span

__version__ = "0.1.0"

_HOMES = {
    "CheckpointError": "codemlm.errors",
    "CodemlmError": "codemlm.errors",
    "CorpusError": "codemlm.errors",
    "Failure": "codemlm.source",
    "FileResult": "codemlm.scanner",
    "Finding": "codemlm.findings",
    "Leaf": "codemlm.types",
    "ModelError": "codemlm.errors",
    "ParsedFile": "codemlm.syntax",
    "Role": "codemlm.types",
    "ScanOptions": "codemlm.scanner",
    "Scanner": "codemlm.scanner",
    "SourceError": "codemlm.errors",
    "SourceFile": "codemlm.source",
    "Span": "codemlm.types",
    "Suggestion": "codemlm.findings",
    "UsageError": "codemlm.errors",
    "load_model": "codemlm.commands",
    "parse": "codemlm.syntax",
}

__all__ = [
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
