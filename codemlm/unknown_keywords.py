"""Keyword arguments that the called function does not take, where file or project define it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from codemlm.classes import PLAIN_BASES, is_known_class
from codemlm.guards import is_guarded
from codemlm.module_members import next_member
from codemlm.project import ClassAt, Found, FunctionAt, Module
from codemlm.reading import Reading, by_likeness
from codemlm.scopes import lookup_order, role_table
from codemlm.stdlib_names import class_members
from codemlm.syntax import node_type_names
from codemlm.types import Role

_CALLED = role_table(frozenset({Role.CALL, Role.METHOD}))


@dataclass(frozen=True, slots=True)
class UnknownKeyword:
    """A keyword argument that the called function does not take.

    Attributes:
        leaf: index of the leaf.
        text: the keyword.
        function: name of the function or class that is called.
        candidates: its parameters that the call does not give, most similar ones first.
        module: other module of the project that defines it; None: the file does.
    """

    leaf: int
    text: str
    function: str
    candidates: tuple[str, ...]
    module: Module | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is called takes.

    Attributes:
        names: its parameters.
        module: other module that it is from.
        scope: class of the file whose subclasses may have another method in its place, or -1.
        owner: class of another module that may be given another constructor; empty: none.
    """

    names: frozenset[str]
    module: Module | None = None
    scope: int = -1
    owner: str = ""


def unknown_keywords(reading: Reading) -> list[UnknownKeyword]:
    """Every certainly unknown keyword argument of a file, in source order."""
    leaves = np.flatnonzero(reading.parsed.roles == Role.KEYWORD_ARGUMENT)
    return list(_Search(reading, leaves).run()) if len(leaves) else []


class _Search:
    def __init__(self, reading: Reading, leaves: np.ndarray) -> None:
        parsed = reading.parsed
        self.reading, self.parsed, self.leaves = reading, parsed, leaves
        self.names = node_type_names(parsed.language)
        self.around = reading.around
        self.defined = set(parsed.text_ids[parsed.roles == Role.DEFINITION].tolist())

    def run(self) -> Iterator[UnknownKeyword]:
        """The keywords, call by call."""
        parsed = self.parsed
        calls: dict[int, list[int]] = defaultdict(list)
        for leaf in self.leaves.tolist():
            calls[parsed.node_parents[int(parsed.parent_nodes[leaf])]].append(leaf)
        for arguments, leaves in calls.items():
            call = parsed.node_parents[arguments]
            if call < 0 or self.names[parsed.node_kinds[call]] != "call":
                continue
            callee = int(np.searchsorted(parsed.starts, parsed.node_starts[arguments])) - 1
            if callee < 0 or not _CALLED[parsed.roles[callee]]:
                continue
            given = {parsed.text(leaf) for leaf in leaves}
            taken = self._taken(call, callee)
            if taken is None or given <= taken.names:
                continue
            if self._may_be_another(taken, parsed.text(callee)):
                continue
            for leaf in leaves:
                text = parsed.text(leaf)
                if text not in taken.names and not is_guarded(parsed, leaf):
                    left = by_likeness(text, taken.names - given - parsed.language.self_names)
                    yield UnknownKeyword(leaf, text, parsed.text(callee), left, taken.module)

    def _may_be_another(self, taken: _Taken, name: str) -> bool:
        """Whether something else may be called than what the parameters are of."""
        if taken.owner and self.around is not None and self.around.is_opened(taken.owner):
            return True
        return taken.scope >= 0 and self.reading.classes.is_overridden(taken.scope, name)

    def _taken(self, call: int, callee: int) -> _Taken | None:
        """What the called function takes; None if that is not certain."""
        parsed, text = self.parsed, int(self.parsed.text_ids[callee])
        if parsed.starts[callee] == parsed.node_starts[call]:
            return self._of_name(callee)
        first = int(np.searchsorted(parsed.starts, parsed.node_starts[call]))
        own = parsed.text(first) in parsed.language.self_names
        if own and first == callee - 2:
            scope = self.reading.classes.class_of(
                int(self.reading.scopes[callee]), int(parsed.text_ids[first])
            )
            return self._of_method(scope, text) if scope >= 0 else None
        return None if own else self._of_member(first, callee)

    def _of_name(self, callee: int) -> _Taken | None:
        """Of a function or class that is called by its bare name."""
        parsed, text = self.parsed, int(self.parsed.text_ids[callee])
        scope = int(self.reading.scopes[callee])
        if text in self.defined:
            holder = self.reading.bindings.holder(lookup_order(parsed, scope), text)
            node = self._definition(holder, text)
            if node >= 0 and self.names[parsed.node_kinds[node]] == "class_definition":
                return self._constructor(node)
            return self._signature(node) if node >= 0 else None
        target = self.reading.imports.target(scope, text) if self.around else ""
        return self._of_foreign(self.around.resolve(target)) if self.around and target else None

    def _of_member(self, first: int, callee: int) -> _Taken | None:
        """Of a function or class of a module of the project, called as ``module.name``."""
        parsed, around = self.parsed, self.around
        if around is None or parsed.roles[first] != Role.READ:
            return None
        scope = int(self.reading.scopes[first])
        target = self.reading.imports.target(scope, int(parsed.text_ids[first]))
        found = around.resolve(target) if target else None
        leaf = first
        while leaf < callee:
            if not isinstance(found, Module) or next_member(parsed, leaf) < 0:
                return None
            leaf += 2
            found = around.member(found, parsed.text(leaf))
        return self._of_foreign(found) if leaf == callee else None

    def _of_foreign(self, found: Found) -> _Taken | None:
        """Of something that another module defines."""
        if isinstance(found, FunctionAt):
            return _Taken(frozenset(found.parameters), found.module)
        if not isinstance(found, ClassAt) or self.around is None:
            return None
        lineage = self.around.lineage(found)
        if lineage is None or not all(map(is_known_class, lineage.outside)):
            return None
        makers = [one for one in lineage.classes if "__init__" in one.facts.own]
        if found in makers:
            makers = [found]
        elif not lineage.outside <= PLAIN_BASES or any(
            one.facts.is_decorated
            for one in lineage.classes  # `dataclass` makes constructors
        ):
            return None
        taken = self._of_only(makers, "__init__")
        return None if taken is None else replace(taken, owner=found.name)

    @staticmethod
    def _of_only(definers: list[ClassAt], name: str) -> _Taken | None:
        """What a method takes that only one class defines."""
        parameters = definers[0].facts.methods.get(name) if len(definers) == 1 else None
        return None if parameters is None else _Taken(frozenset(parameters), definers[0].module)

    def _of_method(self, scope: int, text: int) -> _Taken | None:
        """Of a method of ``self``, as its class or one of its bases defines it."""
        classes, name = self.reading.classes, self.parsed.texts[text]
        node = self._definition(scope, text)
        if node >= 0:
            taken = self._signature(node)
            return None if taken is None else replace(taken, scope=scope)
        ancestry = classes.ancestry(scope) if self.around else None
        if ancestry is None or classes.members(scope) is None:
            return None
        if any(name in classes.bound(one) for one in ancestry.scopes):
            return None
        if any(name in (class_members(base) or ()) for base in ancestry.standard):
            return None
        definers = [one for one in ancestry.foreign.values() if name in one.facts.own]
        taken = self._of_only(definers, name)
        given = any(name in one.facts.assigned for one in ancestry.foreign.values())
        return None if taken is None or given else replace(taken, scope=scope)

    def _definition(self, holder: int, text: int) -> int:
        """The definition that alone binds a name in a scope, as a node; -1 if there is none."""
        if holder < 0 or text in self.reading.bindings.declared:
            return -1
        leaves = self.reading.bindings.of(holder, text)
        if len(leaves) != 1 or self.parsed.roles[leaves[0]] != Role.DEFINITION:
            return -1
        return int(self.parsed.parent_nodes[leaves[0]])

    def _constructor(self, node: int) -> _Taken | None:
        """What calling a class takes; None if its own `__init__` does not tell."""
        scope = self.reading.classes.scope_of(node)
        if (
            scope < 0
            or self.reading.classes.members(scope) is None
            or "__init__" not in self.parsed.texts
        ):
            return None
        own = self._definition(scope, self.parsed.texts.index("__init__"))
        return self._signature(own) if own >= 0 else None

    def _signature(self, node: int) -> _Taken | None:
        parameters = self.reading.signatures.of(node)
        return None if parameters is None else _Taken(frozenset(parameters))
