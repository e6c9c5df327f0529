"""Whether code knows that a member or keyword may be missing: handlers around it say so."""

from __future__ import annotations

import re

from codemlm.scopes import ancestors
from codemlm.syntax import ParsedFile, node_type_names

_CATCHES = re.compile(
    rb"except\s*:"
    rb"|except\b[^:\n]*\b(?:AttributeError|TypeError|Exception|BaseException|StandardError)\b"
)
_SILENCED = re.compile(
    rb"#.*(?:type:\s*ignore|pyright:\s*ignore|noqa(?!:)|no-member|E1101|E1123|unexpected-keyword|nosec)"
)
TOLD = re.compile(
    rb"^[^\n]*#\s*(?:noqa(?!\s*:)|noqa\s*:[^\n]*\b(?:F|B|PL|SIM)\d|pylint\s*:\s*disable"
    rb"|type\s*:\s*ignore|pyright\s*:\s*ignore)[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)
"""Lines on which a comment tells a linter or type checker to accept something."""
_SUPPRESSES = re.compile(rb"with\b[^\n]*\b(?:suppress|raises|assertRaises\w*)\b")


_MAY_NOT_RUN = frozenset({"try_statement", "if_statement", "with_statement", "while_statement"})
_IMPORT_SILENCED = re.compile(
    rb"#.*(?:type:\s*ignore|pyright:\s*ignore|noqa(?!:)|no-name-in-module|import-error|E0611|E0401)"
)


def is_guarded_import(parsed: ParsedFile, leaf: int) -> bool:
    """Whether an import is tried, stands under a condition, or a comment tells linters of it."""
    start = int(parsed.starts[leaf])
    end = parsed.source.find(b"\n", start)
    if _IMPORT_SILENCED.search(parsed.source, start, end if end >= 0 else len(parsed.source)):
        return True
    names = node_type_names(parsed.language)
    for node in ancestors(parsed, leaf):
        kind = names[parsed.node_kinds[node]]
        if kind == "function_definition":
            return False
        if kind in _MAY_NOT_RUN:
            return True
    return False


def is_told(parsed: ParsedFile, leaf: int) -> bool:
    """Whether a comment on a leaf's line tells a linter to accept something there."""
    low = parsed.source.rfind(b"\n", 0, int(parsed.starts[leaf])) + 1
    return TOLD.match(parsed.source, low) is not None


def is_guarded(parsed: ParsedFile, leaf: int) -> bool:
    """Whether code around the leaf catches what it may raise, or a comment tells linters of it."""
    start = int(parsed.starts[leaf])
    end = parsed.source.find(b"\n", start)
    if _SILENCED.search(parsed.source, start, end if end >= 0 else len(parsed.source)):
        return True
    names = node_type_names(parsed.language)
    below = -1
    for node in ancestors(parsed, leaf):
        kind = names[parsed.node_kinds[node]]
        if kind in ("function_definition", "lambda"):
            return False
        start, end = parsed.node_starts[node], parsed.node_ends[node]
        if kind == "with_statement" and _SUPPRESSES.match(parsed.source, start, end):
            return True
        in_body = below >= 0 and names[parsed.node_kinds[below]] == "block"
        is_tried = kind == "try_statement" and in_body
        if is_tried and _CATCHES.search(parsed.source, parsed.node_ends[below], end):
            return True
        below = node
    return False
