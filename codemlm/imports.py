"""What the imports of a file bind: dotted names of modules, and of what is imported from them."""

from __future__ import annotations

import re

from codemlm.interfaces import OF_MODULE
from codemlm.scopes import Bindings, ancestors, lookup_order
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

_FROM = re.compile(rb"from\b\s*(\.*\s*[\w.]*?)\s*\bimport\b")
_ALIASED = re.compile(rb"([\w.]+)\s+as\s+\w+\Z")
_STATEMENTS = frozenset({"import_statement", "import_from_statement", "future_import_statement"})


class Imports:
    """Names that a file binds by imports alone.

    Args:
        parsed: the file.
        bindings: of the same file.
    """

    def __init__(self, parsed: ParsedFile, bindings: Bindings) -> None:
        self.parsed = parsed
        self.bindings = bindings
        self.names = node_type_names(parsed.language)
        self._known: dict[tuple[int, int], str] = {}

    def of(self, scope: int, text: int) -> str:
        """What the name with text id ``text`` stands for where it is read in ``scope``.

        Returns:
            A dotted name; "" if anything but one import may have bound it, or a relative one.
        """
        target = self.target(scope, text)
        return "" if target.startswith(".") else target.replace(OF_MODULE, ".")

    def target(self, scope: int, text: int) -> str:
        """The same, with what tells modules from names in them: ``os``, ``os:path``, ``.util:row``.

        Returns:
            "" if anything but one import may have bound it.
        """
        holder = self.bindings.holder(lookup_order(self.parsed, scope), text)
        if holder < 0 or text in self.bindings.declared:
            return ""
        if (holder, text) not in self._known:
            self._known[holder, text] = self._target(self.bindings.of(holder, text))
        return self._known[holder, text]

    def _target(self, leaves: list[int]) -> str:
        if any(self.parsed.roles[leaf] != Role.IMPORT for leaf in leaves):
            return ""
        found = {self._of_leaf(leaf) for leaf in leaves}
        return found.pop() if len(found) == 1 else ""

    def _of_leaf(self, leaf: int) -> str:
        """The target that an import binds to its leaf ``leaf``; "" if it cannot be told."""
        parsed, path = self.parsed, self.parsed.text(leaf)
        statement = -1
        for node in ancestors(parsed, leaf):
            kind = self.names[parsed.node_kinds[node]]
            if kind == "aliased_import":
                aliased = _ALIASED.match(self._source(node))
                path = aliased[1].decode() if aliased else ""
            if kind in _STATEMENTS:
                statement = node
                break
        if statement < 0 or not path:
            return ""
        if self.names[parsed.node_kinds[statement]] == "import_statement":
            return path
        base = self.base_of(statement)
        return f"{base}{OF_MODULE}{path}" if base else ""

    def base_of(self, statement: int) -> str:
        """The module that an ``import from`` statement names; "" if it cannot be told."""
        found = _FROM.match(self._source(statement))
        return b"".join(found[1].split()).decode() if found else ""

    def _source(self, node: int) -> bytes:
        return self.parsed.source[self.parsed.node_starts[node] : self.parsed.node_ends[node]]
