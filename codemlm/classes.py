"""What the objects of a file's classes hold, where the file and the standard library tell it all.

A class is *closed* if every base is known, no metaclass, decorator or magic method gives it members
unseen, and neither it nor a base does anything dynamic. Only of closed classes can it be said that
a member is missing.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from codemlm.imports import Imports
from codemlm.scopes import Bindings, lookup_order
from codemlm.stdlib_names import class_members
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

_MAX_DEPTH = 12
_HOOKS = frozenset({"__getattr__", "__getattribute__", "__setattr__", "__new__", "__metaclass__"})
"""Members by which a class may get others that do not show."""
_PLAIN_DECORATORS = frozenset(
    {
        *("attrs", "dataclass", "define", "final", "frozen", "mutable", "runtime_checkable", "s"),
        *("python_2_unicode_compatible", "total_ordering", "unique"),
    }
)
"""Class decorators that add no members but those of the language, by their last name."""
_OPEN_BASES = frozenset(
    {
        *("__builtin__.type", "argparse.Namespace", "logging.LogRecord", "optparse.Values"),
        *("threading.local", "types.SimpleNamespace"),
    }
)
"""Bases whose objects are given members from outside."""
_OBJECT = "__builtin__.object"
_NO_MEMBERS = frozenset({"typing.Generic", "typing.Protocol", "typing_extensions.Protocol"})
_DYNAMIC = re.compile(
    rb"\b(?:setattr|delattr|vars|locals|globals|exec|execfile)\s*\(|\b__dict__\b|\b__class__\s*="
    rb"|\b__slots__\b"
)
_DYNAMIC_OUTSIDE = re.compile(rb"\b(?:setattr|exec|execfile)\s*\(|\b__dict__\b|\b__bases__\b")
_ABSTRACT = re.compile(rb"\b(?:NotImplemented\w*|abstract\w*|ABCMeta)\b|[Ss]ubclass|[Mm]ix-?in")
_BASE = re.compile(rb"[\w.]+\Z")


class Classes:
    """The classes of a file, by the number of their scope.

    Args:
        parsed: the file.
        bindings: of the same file.
        imports: of the same file.
    """

    def __init__(self, parsed: ParsedFile, bindings: Bindings, imports: Imports) -> None:
        self.parsed, self.bindings, self.imports = parsed, bindings, imports
        self.names = node_type_names(parsed.language)
        self._members: dict[int, frozenset[str] | None] = {}
        kinds = np.array(parsed.node_kinds, dtype=np.int64)
        self._class_kind = self.names.index("class_definition")
        nodes = np.flatnonzero(kinds == self._class_kind).tolist()
        places = {(parsed.node_starts[n], parsed.node_ends[n]): n for n in nodes}
        self._node_of: dict[int, int] = {}
        for index, scope in enumerate(parsed.scopes):
            if scope.kind == "class" and (scope.start, scope.end) in places:
                self._node_of[index] = places[scope.start, scope.end]
        self._scope_of = {node: index for index, node in self._node_of.items()}
        arguments = self.names.index("argument_list")
        self._bases_of = {
            parsed.node_parents[n]: n
            for n in np.flatnonzero(kinds == arguments).tolist()
            if parsed.node_parents[n] in self._scope_of
        }
        self._node_parents = np.array(parsed.node_parents, dtype=np.int64)

    # -- members -------------------------------------------------------------------------------

    def members(self, scope: int) -> frozenset[str] | None:
        """Names that objects of the class with that scope may hold; None if it is not closed.

        Those of its bases are among them, and those of its subclasses in the file.
        """
        if self._is_patched:
            return None
        if scope not in self._members:
            self._members[scope] = self._gather(scope)
        return self._members[scope]

    def _gather(self, scope: int) -> frozenset[str] | None:
        lineage = self._lineage(scope, 0)
        if lineage is None:
            return None
        found: set[str] = set()
        for one in lineage[0] | self._descendants(scope):
            found |= self._bound(one) | self._set_within(one)
        for name in lineage[1]:
            found |= class_members(name) or frozenset()
        return frozenset(found)

    def _lineage(self, scope: int, depth: int) -> tuple[set[int], set[str]] | None:
        """The class and all its bases: those of the file, and those of the standard library."""
        if depth > _MAX_DEPTH or not self._is_plain(scope):
            return None
        classes, external = {scope}, set()
        for base in self._bases(scope):
            if isinstance(base, str):
                if base in _OPEN_BASES or (base not in _NO_MEMBERS and class_members(base) is None):
                    return None
                external.add(base)
                continue
            further = None if base in (-1, scope) else self._lineage(base, depth + 1)
            if further is None:
                return None
            classes |= further[0]
            external |= further[1]
        return classes, external - _NO_MEMBERS - {_OBJECT}

    def _is_plain(self, scope: int) -> bool:
        """Whether nothing in the class itself gives it members that do not show."""
        parsed, node = self.parsed, self._node_of.get(scope, -1)
        if node < 0 or not _HOOKS.isdisjoint(self._bound(scope)):
            return False
        if _DYNAMIC.search(parsed.source, parsed.node_starts[node], parsed.node_ends[node]):
            return False
        outer = parsed.node_parents[node]
        if self.names[parsed.node_kinds[outer]] != "decorated_definition":
            return True
        decorators = self._source(outer)[: parsed.node_starts[node] - parsed.node_starts[outer]]
        told = re.findall(rb"^\s*@\s*([\w.]+)", decorators, re.MULTILINE)
        return all(name.decode().rpartition(".")[2] in _PLAIN_DECORATORS for name in told)

    def _bases(self, scope: int) -> list[int | str]:
        """Bases of a class: scopes of the file's classes, or dotted names; -1: not known."""
        parsed = self.parsed
        node = self._bases_of.get(self._node_of[scope], -1)
        if node < 0:
            return []
        inside = np.flatnonzero(self._node_parents == node).tolist()
        leaves = np.flatnonzero(parsed.parent_nodes == node).tolist()
        found: list[int | str] = []
        for one in inside:
            text = self._source(one)
            if self.names[parsed.node_kinds[one]] == "keyword_argument":
                if not re.match(rb"metaclass\s*=\s*(?:abc\.)?ABCMeta\Z", text):
                    found.append(-1)
            else:
                text = re.sub(rb"\[.*\]\Z", b"", text, flags=re.DOTALL)
                first = int(np.searchsorted(parsed.starts, parsed.node_starts[one]))
                found.append(self._dotted(first, text) if _BASE.match(text) else -1)
        found += [self._named(leaf) for leaf in leaves if parsed.roles[leaf] == Role.READ]
        return found

    def _dotted(self, leaf: int, text: bytes) -> int | str:
        if text == self.parsed.text(leaf).encode():
            return self._named(leaf)
        module = self.imports.of(int(self.parsed.scopes_of[leaf]), int(self.parsed.text_ids[leaf]))
        rest = text.decode().partition(".")[2]
        return f"{module}.{rest}" if module else -1

    def _named(self, leaf: int) -> int | str:
        """The class that a plain name stands for."""
        parsed, text = self.parsed, int(self.parsed.text_ids[leaf])
        order = lookup_order(parsed, int(parsed.scopes_of[leaf]))
        holder = self.bindings.holder(order, text)
        if holder < 0:
            return f"__builtin__.{parsed.text(leaf)}"
        leaves = self.bindings.of(holder, text)
        if len(leaves) == 1 and parsed.roles[leaves[0]] == Role.DEFINITION:
            return self._scope_of.get(int(parsed.parent_nodes[leaves[0]]), -1)
        return self.imports.of(int(parsed.scopes_of[leaf]), text) or -1

    # -- objects -------------------------------------------------------------------------------

    def class_of(self, scope: int, receiver: int) -> int:
        """The class whose object the name is, the first parameter of a method; -1 if none is."""
        parsed = self.parsed
        while scope > 0 and not self.bindings.binds(scope, receiver):
            scope = parsed.scopes[scope].parent
        outer = parsed.scopes[scope].parent if scope > 0 else -1
        if outer < 0 or parsed.scopes[scope].kind != "function":
            return -1
        leaves = self.bindings.of(scope, receiver)
        if parsed.scopes[outer].kind != "class" or len(leaves) != 1:
            return -1
        first = leaves[0]
        if parsed.roles[first] != Role.PARAMETER or parsed.text(first - 1) != "(":
            return -1
        updated = (parsed.scopes_of == scope) & (parsed.text_ids == receiver)
        if (parsed.roles[updated] == Role.UPDATE).any():
            return -1
        head = parsed.source[max(parsed.scopes[scope].start - 200, 0) : parsed.scopes[scope].start]
        decorators = head.rpartition(b"\n\n")[2]
        return -1 if b"staticmethod" in decorators else outer

    def scope_of(self, node: int) -> int:
        """The scope of a class definition, -1 for other nodes."""
        return self._scope_of.get(node, -1)

    def name_of(self, scope: int) -> str:
        """The name of a class."""
        first = int(np.searchsorted(self.parsed.starts, self.parsed.scopes[scope].start))
        return self.parsed.text(first + 1)

    def is_made(self, scope: int) -> bool:
        """Whether a closed class says how its objects are made: it is no mere part of others."""
        lineage = self._lineage(scope, 0)
        assert lineage is not None
        if lineage[1]:
            return True
        is_part = any(
            one not in self._based and b"super(" in self._source(self._node_of[one])
            for one in lineage[0]
        )
        return not is_part and any("__init__" in self._bound(one) for one in lineage[0])

    @cached_property
    def _based(self) -> set[int]:
        """Classes that have bases but for `object`."""
        return {scope for scope in self._node_of if set(self._bases(scope)) - {_OBJECT}}

    def is_abstract(self, scope: int) -> bool:
        """Whether a closed class has subclasses, or leaves something to them."""
        lineage = self._lineage(scope, 0)
        assert lineage is not None
        if "abc.ABC" in lineage[1] or self._descendants(scope):
            return True
        return any(_ABSTRACT.search(self._source(self._node_of[one])) for one in lineage[0])

    def is_overridden(self, scope: int, name: str) -> bool:
        """Whether a subclass in the file has a member of its own of that name."""
        return any(name in self._bound(below) for below in self._descendants(scope))

    # -- parts ---------------------------------------------------------------------------------

    def _bound(self, scope: int) -> frozenset[str]:
        """Names that the body of a class binds."""
        texts = self.parsed.texts
        return frozenset(texts[text] for text in self.parsed.scopes[scope].bindings)

    def _set_within(self, scope: int) -> set[str]:
        """Members that code in a class sets, of whatever object."""
        parsed, around = self.parsed, self.parsed.scopes[scope]
        low, high = np.searchsorted(parsed.starts, [around.start, around.end]).tolist()
        stored = np.flatnonzero(parsed.roles[low:high] == Role.ATTRIBUTE_BINDING) + low
        return {parsed.text(leaf) for leaf in stored.tolist()}

    @cached_property
    def _children(self) -> dict[int, set[int]]:
        """Classes of the file by their bases in it."""
        found: dict[int, set[int]] = {}
        for scope in self._node_of:
            for base in self._bases(scope):
                if isinstance(base, int) and base >= 0:
                    found.setdefault(base, set()).add(scope)
        return found

    def _descendants(self, scope: int) -> set[int]:
        found: set[int] = set()
        pending = [scope]
        while pending:
            for child in self._children.get(pending.pop(), set()) - found:
                found.add(child)
                pending.append(child)
        return found

    @cached_property
    def _is_patched(self) -> bool:
        """Whether code outside of classes may give them members."""
        source = self.parsed.source
        spans = [(s.start, s.end) for i, s in enumerate(self.parsed.scopes) if i in self._node_of]
        return any(
            not any(low <= found.start() < high for low, high in spans)
            for found in _DYNAMIC_OUTSIDE.finditer(source)
        )

    def _source(self, node: int) -> bytes:
        return self.parsed.source[self.parsed.node_starts[node] : self.parsed.node_ends[node]]
