"""What the objects of a file's classes hold, where the file and the standard library tell it all.

A class is *closed* if every base is known, no metaclass, decorator or magic method gives it members
unseen, and neither it nor a base does anything dynamic. Only of closed classes can it be said that
a member is missing. Where the project around the file is known, bases may stand in its other
modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from codemlm.imports import Imports
from codemlm.interfaces import BUILTINS, OF_MODULE, UNKNOWN_BASE, ClassFacts
from codemlm.project import ClassAt
from codemlm.scopes import Bindings, lookup_order
from codemlm.stdlib_names import class_members
from codemlm.surroundings import Surroundings
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
PLAIN_BASES = _NO_MEMBERS | {_OBJECT}
"""Bases that bring no constructor, and no member but those of every object."""
_DYNAMIC = re.compile(
    rb"\b(?:setattr|delattr|vars|locals|globals|exec|execfile)\s*\(|\b__dict__\b|\b__class__\s*="
    rb"|\b__slots__\b|(?:patch|mock)[\w.]*\(\s*self\b"
)
_DYNAMIC_OUTSIDE = re.compile(rb"\b(?:setattr|exec|execfile)\s*\(|\b__dict__\b|\b__bases__\b")
_ABSTRACT = re.compile(rb"\b(?:NotImplemented\w*|abstract\w*|ABCMeta)\b|[Ss]ubclass|[Mm]ix-?in")
_BASE = re.compile(rb"[\w.]+\Z")
_SUPER = re.compile(rb"\bsuper\s*\(")


@dataclass(slots=True)
class Ancestry:
    """A class and all its bases.

    Attributes:
        scopes: classes of the file.
        standard: dotted names of classes of the standard library that have members of their own.
        foreign: classes of other modules of the project.
    """

    scopes: set[int] = field(default_factory=set)
    standard: set[str] = field(default_factory=set)
    foreign: dict[tuple[str, str], ClassAt] = field(default_factory=dict)

    def add(self, other: Ancestry) -> None:
        """Takes in what another one has."""
        self.scopes |= other.scopes
        self.standard |= other.standard
        self.foreign |= other.foreign


class Classes:
    """The classes of a file, by the number of their scope.

    Args:
        parsed: the file.
        bindings: of the same file.
        imports: of the same file.
        around: the project around it; None: nothing is known of it.
    """

    def __init__(
        self,
        parsed: ParsedFile,
        bindings: Bindings,
        imports: Imports,
        around: Surroundings | None = None,
    ) -> None:
        self.parsed, self.bindings, self.imports = parsed, bindings, imports
        self.around = around
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
        if self.is_patched:
            return None
        if scope not in self._members:
            self._members[scope] = self._gather(scope)
        return self._members[scope]

    def _gather(self, scope: int) -> frozenset[str] | None:
        ancestry = self.ancestry(scope)
        if ancestry is None:
            return None
        found: set[str] = set()
        for one in ancestry.scopes | self._descendants(scope):
            found |= self.bound(one) | self._set_within(one)
        for name in ancestry.standard:
            found |= class_members(name) or frozenset()
        for foreign in ancestry.foreign.values():
            found |= foreign.facts.own | foreign.facts.assigned
        return frozenset(found)

    def ancestry(self, scope: int, depth: int = 0) -> Ancestry | None:
        """A class and all its bases; None if not all of them are known, or one is not plain."""
        if depth > _MAX_DEPTH or not self._is_plain(scope):
            return None
        found = Ancestry({scope})
        for base in self._bases(scope):
            if isinstance(base, int):
                further = None if base == scope else self.ancestry(base, depth + 1)
            else:
                further = self._outside(base)
            if further is None:
                return None
            found.add(further)
        return found

    def _outside(self, target: str) -> Ancestry | None:
        """The ancestry of a base that stands in another module."""
        if target.startswith(UNKNOWN_BASE):
            return None
        dotted, found = target.replace(OF_MODULE, "."), Ancestry()
        outside: frozenset[str] = frozenset({dotted})
        if not is_known_class(dotted) and self.around is not None:
            lineage = self.around.lineage(self.around.resolve(target))
            if lineage is None:
                return None
            outside = lineage.outside
            found.foreign = {(one.module.path, one.name): one for one in lineage.classes}
        if not all(map(is_known_class, outside)):
            return None
        found.standard = set(outside - PLAIN_BASES)
        return found

    def _is_plain(self, scope: int) -> bool:
        """Whether nothing in the class itself gives it members that do not show."""
        parsed, node = self.parsed, self._node_of.get(scope, -1)
        if node < 0 or not _HOOKS.isdisjoint(self.bound(scope)):
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
        """Bases of a class: scopes of the file's classes, or targets (``codemlm.interfaces``)."""
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
                    found.append(UNKNOWN_BASE)
            else:
                text = re.sub(rb"\[.*\]\Z", b"", text, flags=re.DOTALL)
                first = int(np.searchsorted(parsed.starts, parsed.node_starts[one]))
                found.append(self._dotted(first, text) if _BASE.match(text) else UNKNOWN_BASE)
        found += [self._named(leaf) for leaf in leaves if parsed.roles[leaf] == Role.READ]
        return found

    def _dotted(self, leaf: int, text: bytes) -> int | str:
        if text == self.parsed.text(leaf).encode():
            return self._named(leaf)
        place = int(self.parsed.scopes_of[leaf]), int(self.parsed.text_ids[leaf])
        target, rest = self.imports.target(*place), text.decode().partition(".")[2]
        if not target:
            return f"{UNKNOWN_BASE}{rest.rpartition('.')[2]}"
        return f"{target}{'.' if OF_MODULE in target else OF_MODULE}{rest}"

    def _named(self, leaf: int) -> int | str:
        """The class that a plain name stands for."""
        parsed, text = self.parsed, int(self.parsed.text_ids[leaf])
        order = lookup_order(parsed, int(parsed.scopes_of[leaf]))
        holder = self.bindings.holder(order, text)
        if holder < 0:
            return f"{BUILTINS}{OF_MODULE}{parsed.text(leaf)}"
        leaves, unknown = self.bindings.of(holder, text), f"{UNKNOWN_BASE}{parsed.text(leaf)}"
        if len(leaves) == 1 and parsed.roles[leaves[0]] == Role.DEFINITION:
            return self._scope_of.get(int(parsed.parent_nodes[leaves[0]]), unknown)
        return self.imports.target(int(parsed.scopes_of[leaf]), text) or unknown

    # -- for other modules ---------------------------------------------------------------------

    def scopes(self) -> list[int]:
        """Scopes of all classes."""
        return list(self._node_of)

    def facts(self, scope: int, methods: dict[str, tuple[str, ...]]) -> ClassFacts:
        """What other modules can know of a class, with the parameters of its methods."""
        node = self._node_of[scope]
        source, outer = self._source(node), self.parsed.node_parents[node]
        return ClassFacts(
            bases=tuple(map(self._target_of, self._bases(scope))),
            own=self.bound(scope),
            assigned=frozenset(self._set_within(scope)),
            methods=methods,
            is_plain=self._is_plain(scope),
            is_decorated=self.names[self.parsed.node_kinds[outer]] == "decorated_definition",
            calls_super=_SUPER.search(source) is not None,
            is_abstract=_ABSTRACT.search(source) is not None,
        )

    def _target_of(self, base: int | str) -> str:
        if isinstance(base, str):
            return base
        name = self.name_of(base)
        return f"{OF_MODULE if self.parsed.scopes[base].parent == 0 else UNKNOWN_BASE}{name}"

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
        ancestry = self.ancestry(scope)
        assert ancestry is not None
        if ancestry.standard:
            return True
        foreign = [one.facts for one in ancestry.foreign.values()]
        calls_up = any(facts.calls_super and not facts.bases for facts in foreign) or any(
            one not in self._based and b"super(" in self._source(self._node_of[one])
            for one in ancestry.scopes
        )
        own = [*map(self.bound, ancestry.scopes), *(facts.own for facts in foreign)]
        return not calls_up and any("__init__" in names for names in own)

    @cached_property
    def _based(self) -> set[int]:
        """Classes that have bases but for `object`."""
        plain = {_OBJECT.replace(".", OF_MODULE)}
        return {scope for scope in self._node_of if set(self._bases(scope)) - plain}

    def is_abstract(self, scope: int) -> bool:
        """Whether a closed class has subclasses, or leaves something to them."""
        ancestry = self.ancestry(scope)
        assert ancestry is not None
        if "abc.ABC" in ancestry.standard or self._descendants(scope):
            return True
        if any(one.facts.is_abstract for one in ancestry.foreign.values()):
            return True
        if self.around is not None and self.around.heirs(self.name_of(scope)) is not None:
            return True
        return any(_ABSTRACT.search(self._source(self._node_of[one])) for one in ancestry.scopes)

    def is_overridden(self, scope: int, name: str) -> bool:
        """Whether a subclass, in the file or the project, has a member of its own of that name."""
        heirs = None if self.around is None else self.around.heirs(self.name_of(scope))
        below = self._descendants(scope)
        return name in (heirs or ()) or any(name in self.bound(one) for one in below)

    # -- parts ---------------------------------------------------------------------------------

    def bound(self, scope: int) -> frozenset[str]:
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
                if isinstance(base, int):
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
    def is_patched(self) -> bool:
        """Whether code outside of classes may give them members."""
        source = self.parsed.source
        spans = [(s.start, s.end) for i, s in enumerate(self.parsed.scopes) if i in self._node_of]
        return any(
            not any(low <= found.start() < high for low, high in spans)
            for found in _DYNAMIC_OUTSIDE.finditer(source)
        )

    def _source(self, node: int) -> bytes:
        return self.parsed.source[self.parsed.node_starts[node] : self.parsed.node_ends[node]]


def is_known_class(dotted: str) -> bool:
    """Whether a class is one of the standard library, all of whose members are known."""
    return dotted not in _OPEN_BASES and (
        dotted in _NO_MEMBERS or class_members(dotted) is not None
    )
