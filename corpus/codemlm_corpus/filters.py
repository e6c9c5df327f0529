"""Filters over source files. Each drop has one reason, counted in files and in bytes.

| filter | drops |
|---|---|
| PathFilter | vendored copies, held-out packages, generated names, migrations |
| SizeFilter | too small, too large, a line too long |
| HeaderFilter | generated files, files under a refused licence, copies of held-out projects |
| DataFilter | tables of literals |
| SyntaxFilter | what Python 3 cannot parse |
"""

from __future__ import annotations

import ast
import re
import warnings

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from codemlm_corpus.config import BuildConfig
from codemlm_corpus.exclude import ExcludedPaths, is_excluded
from codemlm_corpus.heldout import HeldOut
from codemlm_corpus.licences import header_is_refused

_VENDORED = frozenset(  # folder names
    [
        "vendor",
        "vendors",
        "vendored",
        "_vendor",
        "_vendored",
        "third_party",
        "third-party",
        "thirdparty",
        "3rdparty",
        "extern",
        "externals",
        "_extern",
        "_external",
        "_externals",
        "bundled",
        "_bundled",
        "site-packages",
        "dist-packages",
        "node_modules",
        "venv",
        ".venv",
        ".pyenv",
        ".tox",
        ".nox",
        ".eggs",
    ]
)
_VENDORED_FILE = re.compile(r"(^|/)(versioneer|ez_setup|get-pip|six|distribute_setup)\.py$")
_GENERATED_PATH = re.compile(
    r"(_pb2(_grpc)?|_pb|\.g|[._]generated|(^|/)(parsetab|lextab))\.py$", re.IGNORECASE
)
_MIGRATION = re.compile(
    r"(^|/)(south_|_)?migrations/\d{4}_[^/]*\.py$"  # Django
    r"|(^|/)(alembic|_?migrations|db)/([^/]+/)*versions/[^/]+\.py$"  # Alembic
    r"|(^|/)versions/[0-9a-f]{8,}_[^/]*\.py$"
)
_GENERATED = re.compile(
    r"do not edit|@generated|auto(matically)?[- ]?generated|machine[- ]generated"
    r"|generated automatically|^\W*generated (by|from|with)\b"
    r"|(is|was|been|file|code|class(es)?) generated (by|from|with|using)",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST_CODE = re.compile(
    r"^((import|from|def|class|async|if|try|for|with)\b|[A-Za-z_]\w* *=)", re.MULTILINE
)
_HEADER_CHARS = 4_000
_GENERATED_CHARS = 1_500
# Below this share of digits, quotes and commas a file cannot be half literals: parsing is spared.
_DATA_HINT = 0.06
_MIN_DATA_BYTES = 3_000
_MIN_COLLECTION_ITEMS = 20
_LONG_STRING_CHARS = 2_000


def header_of(text: str) -> str:
    """Returns what precedes the first statement but docstrings (at most 4,000 characters)."""
    head = text[:_HEADER_CHARS]
    code = _FIRST_CODE.search(head)
    return head[: code.start()] if code else head


def data_share(tree: ast.AST, source: str) -> float:
    """Returns the share of ``source`` (in bytes) inside literal tables and long strings.

    A table is an outermost list, tuple, set or dict of at least 20 items, all of them literal.
    """
    lines = [0]
    for line in source.encode("utf-8").splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    inside = 0
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if _is_table(node) or _is_long_string(node):
            assert isinstance(node, ast.expr)
            assert node.end_lineno is not None and node.end_col_offset is not None
            end = lines[min(node.end_lineno, len(lines)) - 1] + node.end_col_offset
            inside += end - (lines[node.lineno - 1] + node.col_offset)
        elif not _is_docstring(node):
            pending.extend(ast.iter_child_nodes(node))
    return inside / max(lines[-1], 1)


def _is_table(node: ast.AST) -> bool:
    if isinstance(node, ast.Dict):
        size = len(node.keys)
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        size = len(node.elts)
    else:
        return False
    return _leaf_count(node) >= _MIN_COLLECTION_ITEMS if size else False


def _leaf_count(node: ast.AST) -> float:
    """The constants below a purely literal node; minus infinity if anything else is there."""
    if isinstance(node, ast.Constant):
        return 1
    if isinstance(node, ast.UnaryOp):
        return _leaf_count(node.operand)
    if isinstance(node, ast.Dict):
        parts = [*(k for k in node.keys if k is not None), *node.values]
        return sum(map(_leaf_count, parts)) if None not in node.keys else float("-inf")
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return sum(map(_leaf_count, node.elts))
    return float("-inf")


def _is_long_string(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, (str, bytes)):
        return False
    return len(node.value) >= _LONG_STRING_CHARS


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def parse_source(text: str) -> ast.Module | None:
    """Returns the module's tree, or None if this interpreter's Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning, DeprecationWarning of old escapes
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class SourceFilter(BaseFilter):  # type: ignore[misc]  # datatrove is untyped
    """A filter that drops a file for at most one reason, and counts its bytes under it."""

    type = "filter"

    def reason(self, doc: Document) -> str | None:
        """Returns why ``doc`` is dropped, None to keep it."""
        raise NotImplementedError

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Returns the verdict in datatrove's form: True, or False and the reason."""
        reason = self.reason(doc)
        if reason is None:
            return True
        self.stat_update(f"bytes_{reason}", value=len(doc.text.encode("utf-8")), unit="doc")
        return False, reason


class PathFilter(SourceFilter):
    """Drops by path: vendored copies, held-out packages, generated files, migrations."""

    name = "path"

    def __init__(self, held_out: HeldOut, drop_migrations: bool) -> None:
        super().__init__()
        self.held_out = held_out
        self.drop_migrations = drop_migrations

    def reason(self, doc: Document) -> str | None:
        """Returns ``vendored``, ``heldout_package``, ``generated_name``, ``migration`` or None."""
        path: str = doc.metadata["path"]
        if not _VENDORED.isdisjoint(part.lower() for part in path.split("/")[:-1]):
            return "vendored"
        if _VENDORED_FILE.search(path):
            return "vendored"
        if self.held_out.excludes_path(path):
            return "heldout_package"
        if _GENERATED_PATH.search(path):
            return "generated_name"
        if self.drop_migrations and _MIGRATION.search(path):
            return "migration"
        return None


class ExcludedPathFilter(SourceFilter):
    """Drops the paths that the recipe's table names."""

    name = "excluded"

    def __init__(self, excluded: ExcludedPaths) -> None:
        super().__init__()
        self.excluded = dict(excluded)

    def reason(self, doc: Document) -> str | None:
        """Returns ``excluded_path`` or None."""
        out = is_excluded(self.excluded, doc.metadata["repo"], doc.metadata["path"])
        return "excluded_path" if out else None


class SizeFilter(SourceFilter):
    """Drops by size of the file (bytes) and of its longest line (characters)."""

    name = "size"

    def __init__(self, config: BuildConfig) -> None:
        super().__init__()
        self.config = config

    def reason(self, doc: Document) -> str | None:
        """Returns ``too_small``, ``too_large``, ``long_line`` or None."""
        size = len(doc.text.encode("utf-8"))
        if size < self.config.min_bytes:
            return "too_small"
        if size > self.config.max_bytes:
            return "too_large"
        longest = max(map(len, doc.text.splitlines()), default=0)
        return "long_line" if longest > self.config.max_line_chars else None


class HeaderFilter(SourceFilter):
    """Drops by what a file's own header says of its origin and licence."""

    name = "header"

    def __init__(self, held_out: HeldOut) -> None:
        super().__init__()
        self.held_out = held_out

    def reason(self, doc: Document) -> str | None:
        """Returns ``heldout_header``, ``heldout_copy``, ``file_licence``, ``generated`` or None."""
        header = header_of(doc.text)
        if self.held_out.excludes_header(header):
            return "heldout_header"
        if self.held_out.excludes_text(doc.text):
            return "heldout_copy"
        if header_is_refused(header):
            return "file_licence"
        return "generated" if _GENERATED.search(header[:_GENERATED_CHARS]) else None


class SyntaxFilter(SourceFilter):
    """Drops what does not parse: Python 2, templates, tests of syntax errors."""

    name = "syntax"

    def reason(self, doc: Document) -> str | None:
        """Returns ``syntax`` or None."""
        return "syntax" if parse_source(doc.text) is None else None


class DataFilter(SourceFilter):
    """Drops files that are mostly literal data."""

    name = "data"

    def __init__(self, max_share: float) -> None:
        super().__init__()
        self.max_share = max_share

    def reason(self, doc: Document) -> str | None:
        """Returns ``data_table`` or None. A file that does not parse is left to SyntaxFilter."""
        text = doc.text
        if len(text) < _MIN_DATA_BYTES or _hint(text) < _DATA_HINT * len(text):
            return None
        tree = parse_source(text)
        if tree is None:
            return None
        try:
            return "data_table" if data_share(tree, text) > self.max_share else None
        except RecursionError:  # literals nested beyond what any table needs
            return "data_table"


def _hint(text: str) -> int:
    return sum(map(text.count, "0123456789\"',"))
