"""Which names a place can see, and whether a binding can have happened before a read.

``syntax`` says where names are bound; this module adds how Python looks them up: a class body is
invisible to the functions in it, a comprehension's first iterable belongs to the scope around it,
and class bodies and comprehensions run in place, functions and generator expressions later.

Source: The Python Language Reference, 4.2 "Naming and binding" and 6.2.4 "Displays". Differs in
that a comprehension directly in a class body sees the names of the class, as in pyflakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import BINDING_ROLES, VARIABLE_ROLES, Role

_ROLES = 32
_MAX_PATTERN_DEPTH = 8

TARGETS = frozenset(
    {
        "pattern_list",
        "tuple_pattern",
        "list_pattern",
        "list_splat_pattern",
        "as_pattern_target",
        "tuple",
        "list",
        "list_splat",
        "parenthesized_expression",
    }
)
"""Node types between a bound name and the statement that binds it."""

_LOOPS = frozenset({"for_statement", "while_statement"})
_LAZY_VALUES = frozenset({"conditional_expression", "boolean_operator", "comparison_operator"})


def role_table(roles: frozenset[Role]) -> np.ndarray:
    """Whether each role number is among ``roles``: bool (32,), to be indexed by a column."""
    table = np.zeros(_ROLES, dtype=bool)
    table[[int(role) for role in roles]] = True
    return table


def kind_mask(names: list[str], kinds: Iterable[str]) -> np.ndarray:
    """Whether each node type id has one of the names ``kinds``: bool (node types,)."""
    wanted = frozenset(kinds)
    return np.array([name in wanted for name in names], dtype=bool)


_BINDS = role_table(BINDING_ROLES - {Role.UPDATE})
_LOOKED_UP = role_table(VARIABLE_ROLES)


def lookup_order(parsed: ParsedFile, scope: int) -> tuple[int, ...]:
    """Scopes in which a name read in ``scope`` is looked up, innermost first, the module last."""
    order = []
    sees_class = True
    while scope >= 0:
        kind = parsed.scopes[scope].kind
        if kind != "class" or sees_class:
            order.append(scope)
        sees_class = sees_class and kind == "comprehension"
        scope = parsed.scopes[scope].parent
    return tuple(order)


def names_in_reach(parsed: ParsedFile, scope: int) -> list[str]:
    """Names that code in ``scope`` can read, innermost scope first and in order of binding.

    Neither builtins (``parsed.language.builtins`` has those) nor what a star import brings.
    """
    found: dict[int, None] = {}
    for index in lookup_order(parsed, scope):
        bindings = parsed.scopes[index].bindings
        found.update(dict.fromkeys(sorted(bindings, key=bindings.__getitem__)))
    for index, entry in enumerate(parsed.scopes):
        if entry.outer:  # bound below a ``global`` statement: names of the module
            around = lookup_order(parsed, index)[1:-1]
            for text in sorted(entry.outer):
                if not any(text in parsed.scopes[i].bindings for i in around):
                    found.setdefault(text)
    return [parsed.texts[text] for text in found]


def ancestors(parsed: ParsedFile, leaf: int) -> Iterator[int]:
    """Node ids above a leaf, innermost first."""
    node = int(parsed.parent_nodes[leaf])
    while node >= 0:
        yield node
        node = parsed.node_parents[node]


def evaluation_scopes(parsed: ParsedFile) -> np.ndarray:
    """The scope each leaf is evaluated in: int32 (leaves,).

    That is ``scopes_of``, except for the first iterable of a comprehension, which is evaluated in
    the scope around it.
    """
    names = node_type_names(parsed.language)
    clauses = kind_mask(names, ("for_in_clause",))
    in_texts = [i for i, text in enumerate(parsed.texts) if text == "in"]
    scopes = parsed.scopes_of.copy()
    if not in_texts:
        return scopes
    leaves = np.flatnonzero((parsed.text_ids == in_texts[0]) & clauses[parsed.parents])
    count = len(parsed.scopes)
    first = np.full(count, np.iinfo(np.int64).max)
    last = np.full(count, -1, dtype=np.int64)
    for leaf in leaves[::-1].tolist():  # backwards: the first clause of a comprehension wins
        scope = int(parsed.scopes_of[leaf])
        first[scope] = parsed.starts[leaf]
        last[scope] = parsed.node_ends[int(parsed.parent_nodes[leaf])]
    outer = np.array([entry.parent for entry in parsed.scopes], dtype=scopes.dtype)
    while True:  # a first iterable may lie in another: one round a level
        moved = (parsed.starts > first[scopes]) & (parsed.starts < last[scopes])
        if not moved.any():
            return scopes
        scopes[moved] = outer[scopes[moved]]


class Bindings:
    """Binding leaves of a file, by scope and name, and the order they can happen in.

    Augmented assignments are no bindings here: ``x += 1`` reads x first, so it is never the first.

    Attributes:
        parsed: the file.
        tables: by scope: text id to (first, last + 1) into ``leaves``, and the end of the source
            range in which the first binding has not happened yet.
        leaves: binding leaves, grouped by scope and name, in source order within a group.
        module_names: texts bound in the module by ``global`` statements.
        declared: texts in global and nonlocal statements anywhere, and others whose bindings
            cannot be put in order.
    """

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.names = node_type_names(parsed.language)
        self.module_names: set[int] = set()
        self.declared: set[int] = set()
        self._declarations()
        leaves, scopes = self._binding_leaves()
        keys = scopes.astype(np.int64) * len(parsed.texts) + parsed.text_ids[leaves]
        order = np.argsort(keys, kind="stable")
        self.leaves: list[int] = leaves[order].tolist()
        distinct, firsts = np.unique(keys[order], return_index=True)
        lasts = np.append(firsts, len(keys))[1:]
        ends = self._unbound_until(leaves[order][firsts])
        self.tables: list[dict[int, tuple[int, int, int]]] = [{} for _ in parsed.scopes]
        columns = (distinct.tolist(), firsts.tolist(), lasts.tolist(), ends.tolist())
        for key, low, high, end in zip(*columns, strict=True):
            scope, text = divmod(key, len(parsed.texts))
            self.tables[scope][text] = (low, high, end)

    def binds(self, scope: int, text: int) -> bool:
        """Whether ``scope`` binds the name with text id ``text``."""
        return text in self.tables[scope] or (scope == 0 and text in self.module_names)

    def of(self, scope: int, text: int) -> list[int]:
        """Binding leaves of a name in a scope, in source order."""
        low, high, _ = self.tables[scope].get(text, (0, 0, 0))
        return self.leaves[low:high]

    def holder(self, order: tuple[int, ...], text: int) -> int:
        """The first scope of ``order`` that binds the name, -1 if none does."""
        for scope in order:
            if text in self.tables[scope]:
                return scope
        return 0 if text in self.module_names else -1

    def _declarations(self) -> None:
        parsed = self.parsed
        for leaf in np.flatnonzero(parsed.roles == Role.GLOBAL).tolist():
            text = int(parsed.text_ids[leaf])
            self.declared.add(text)
            if self.names[parsed.parents[leaf]] == "global_statement":
                self.module_names.add(text)

    def _binding_leaves(self) -> tuple[np.ndarray, np.ndarray]:
        """Leaves that bind (int64) and the scopes they bind in (int32)."""
        parsed = self.parsed
        leaves = np.flatnonzero(_BINDS[parsed.roles])
        scopes = parsed.scopes_of[leaves]
        escaping = kind_mask(self.names, parsed.language.bound_outside_comprehension)
        for place in np.flatnonzero(escaping[parsed.parents[leaves]]).tolist():
            while parsed.scopes[scopes[place]].kind == "comprehension":
                scopes[place] = parsed.scopes[scopes[place]].parent
        second = self._second_exceptions()
        if second:
            leaves = np.append(leaves, second)
            scopes = np.append(scopes, parsed.scopes_of[second])
            place_order = np.argsort(leaves, kind="stable")
            leaves, scopes = leaves[place_order], scopes[place_order]
        return leaves, scopes

    def _second_exceptions(self) -> list[int]:
        """Names after the comma of ``except A, b``: bound by Python 2, read since Python 3.14."""
        parsed = self.parsed
        inside = kind_mask(self.names, ("except_clause",))[parsed.parents]
        found = []
        for leaf in np.flatnonzero(inside & (parsed.roles == Role.READ)).tolist():
            if parsed.text(leaf - 1) == ",":
                found.append(leaf)
                self.declared.add(int(parsed.text_ids[leaf]))
        return found

    def _unbound_until(self, leaves: np.ndarray) -> np.ndarray:
        """The end of the source range that runs before each binding leaf binds: int64.

        The value of an assignment, a loop's iterable and a whole definition come after the bound
        name in the source, and before the binding in time.
        """
        parsed = self.parsed
        kinds = np.array(parsed.node_kinds, dtype=np.int64)
        parents = np.array(parsed.node_parents, dtype=np.int64)
        ends = np.array(parsed.node_ends, dtype=np.int64)
        is_target = kind_mask(self.names, TARGETS)
        nodes = parsed.parent_nodes[leaves].astype(np.int64)
        for _ in range(_MAX_PATTERN_DEPTH):
            inside = is_target[kinds[nodes]]
            if not inside.any():
                break
            nodes[inside] = parents[nodes[inside]]
        until: np.ndarray = parsed.starts[leaves].copy()
        statements = ("assignment", "class_definition", "function_definition")
        whole = kind_mask(self.names, statements)[kinds[nodes]]
        until[whole] = ends[nodes[whole]]
        loops = np.flatnonzero(kind_mask(self.names, ("for_statement",))[kinds[nodes]])
        if len(loops):
            body: dict[int, int] = {}
            for node in np.flatnonzero(kind_mask(self.names, ("block",))[kinds]).tolist():
                start, parent = parsed.node_starts[node], parsed.node_parents[node]
                body[parent] = min(start, body.get(parent, start))
            for place in loops.tolist():
                until[place] = body.get(int(nodes[place]), until[place])
        return until

    def runs_in_place(self, scope: int, holder: int) -> bool:
        """Whether code of ``scope`` runs when control passes it, seen from the scope around it."""
        parsed = self.parsed
        while scope != holder:
            entry = parsed.scopes[scope]
            opening = parsed.source[entry.start : entry.start + 1]
            if entry.kind == "function" or (entry.kind == "comprehension" and opening not in b"[{"):
                return False
            scope = entry.parent
        return True

    def always_before(self, read: int, scope: int, text: int) -> bool:
        """Whether no binding of a name in ``scope`` can have happened when leaf ``read`` runs.

        ``read`` must run in place in ``scope``. False where in doubt: around loops, in annotations,
        and for ``:=``.
        """
        if text in self.declared or self.in_annotation(read):
            return False
        return all(self._before(read, leaf, scope) for leaf in self.of(scope, text))

    def in_annotation(self, leaf: int) -> bool:
        """Whether the leaf is in an annotation or a type alias, which may never be evaluated."""
        lazy = ("type", "type_alias_statement")
        return any(
            self.names[self.parsed.node_kinds[n]] in lazy for n in ancestors(self.parsed, leaf)
        )

    def _before(self, read: int, binding: int, scope: int) -> bool:
        parsed = self.parsed
        start, bound = int(parsed.starts[read]), int(parsed.starts[binding])
        statement = next(
            n for n in ancestors(parsed, binding) if self.names[parsed.node_kinds[n]] not in TARGETS
        )
        kind = self.names[parsed.node_kinds[statement]]
        if kind == "named_expression":
            return False
        looped, lazy = self._surroundings(read, binding, statement, scope)
        if start < bound:
            return not looped
        if start >= parsed.node_ends[statement] or (looped and lazy):
            return False
        if kind == "assignment":
            return self._in_value(read, statement)
        if kind == "for_statement":
            return self._after_token(read, statement, "in") and not self._after_token(
                read, statement, ":"
            )
        return kind in ("class_definition", "function_definition")

    def _surroundings(
        self, read: int, binding: int, statement: int, scope: int
    ) -> tuple[bool, bool]:
        """Whether a loop of the scope is around both; whether ``read`` may be skipped."""
        parsed = self.parsed
        bound, first = int(parsed.starts[binding]), parsed.scopes[scope].start
        looped = lazy = False
        inside = True
        for node in ancestors(parsed, read):
            kind = self.names[parsed.node_kinds[node]]
            if node == statement:
                inside = False
                continue
            lazy = lazy or (inside and kind in _LAZY_VALUES)
            if kind in _LOOPS and parsed.node_starts[node] >= first:
                looped = looped or parsed.node_starts[node] <= bound < parsed.node_ends[node]
        return looped, lazy

    def _in_value(self, read: int, statement: int) -> bool:
        """Whether the leaf is in the value of an assignment, beyond all its targets."""
        for node in ancestors(self.parsed, read):
            if self.names[self.parsed.node_kinds[node]] == "assignment":
                if not self._after_token(read, node, "="):
                    return False
                if node == statement:
                    return True
        return False

    def _after_token(self, read: int, node: int, token: str) -> bool:
        """Whether a direct child of ``node`` with text ``token`` comes before the leaf."""
        parsed = self.parsed
        low = int(np.searchsorted(parsed.starts, parsed.node_starts[node]))
        return any(
            int(parsed.parent_nodes[leaf]) == node and parsed.text(leaf) == token
            for leaf in range(low, read)
        )


def reads_of(parsed: ParsedFile, leaf: int) -> list[int]:
    """Leaves that read the name that a leaf binds, wherever in the file."""
    bindings, text = Bindings(parsed), int(parsed.text_ids[leaf])
    holder = next(i for i in range(len(parsed.scopes)) if leaf in bindings.of(i, text))
    scopes = evaluation_scopes(parsed)
    same = np.flatnonzero((parsed.text_ids == text) & _LOOKED_UP[parsed.roles])
    return [
        one
        for one in same.tolist()
        if bindings.holder(lookup_order(parsed, int(scopes[one])), text) == holder
    ]


_HEADER_LEAVES = 4  # `async def name`: a lambda has no name among its first leaves


def enclosing_function(parsed: ParsedFile, leaf: int) -> str:
    """The dotted name of the classes and functions around a leaf."""
    names: list[str] = []
    at = int(parsed.scopes_of[leaf])
    while at > 0:
        scope = parsed.scopes[at]
        if scope.kind in ("function", "class"):
            first = int(np.searchsorted(parsed.starts, scope.start))
            last = min(first + _HEADER_LEAVES, len(parsed))
            definitions = np.flatnonzero(parsed.roles[first:last] == Role.DEFINITION)
            name = first + int(definitions[0]) if len(definitions) else -1
            if name >= 0 and parsed.starts[name] < scope.end:
                names.append(parsed.text(name))
        at = scope.parent
    return ".".join(reversed(names))
