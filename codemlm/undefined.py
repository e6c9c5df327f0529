"""Undefined names, by scope analysis alone: certain ones, with candidates for what was meant.

A name is undefined if no scope in reach binds it, or if none can have bound it yet (or still)
when it is read. Whatever might bind it unseen, or shows that its author knows it may be missing,
keeps us silent (``dynamic``): a finding here should hold without a second look.

Source: pyflakes (its rules F821 and F823) for what is common practice to accept. Differs in that
order is judged by source ranges and not by a walk, and never across a loop; that code that may be
Python 2 keeps Python 2's builtins; and that names are not reported which a file may put into its
own namespace, or which a host may bring.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from codemlm.dynamic import HOST_NAMES, PYTHON2_BUILTINS, Dynamics
from codemlm.scopes import (
    Bindings,
    ancestors,
    evaluation_scopes,
    kind_mask,
    lookup_order,
    role_table,
)
from codemlm.similarity import most_similar, similarity
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import VARIABLE_ROLES, Role

_ALIKE = 0.75
"""Similarity from which a name may be another one misspelt."""
_READS = role_table(VARIABLE_ROLES)


class Reason(StrEnum):
    """Why a name is undefined where it is read."""

    UNBOUND = "bound nowhere in reach"
    CLASS_SCOPE = "bound only in a class body, which functions do not see"
    TOO_EARLY = "bound only later"
    HANDLER_ENDED = "bound only by an except clause, which unbinds it at its end"
    DELETED = "deleted before"


@dataclass(frozen=True, slots=True)
class UndefinedName:
    """A name that is certain to be undefined where it is read.

    Attributes:
        leaf: index of the leaf.
        text: the name.
        scope: index of the scope in which it is looked up first.
        reason: why it is undefined.
        candidates: names in reach that may have been meant, most similar ones first.
    """

    leaf: int
    text: str
    scope: int
    reason: Reason
    candidates: tuple[str, ...]


def undefined_names(
    parsed: ParsedFile, *, builtins: Collection[str] = (), stub: bool = False
) -> list[UndefinedName]:
    """Every certainly undefined name of a file, in source order.

    Args:
        parsed: the file.
        builtins: names that the code's host defines, besides the language's own builtins.
        stub: whether the file is a stub (``.pyi``), in which order means nothing.

    Returns:
        The names; none for a file with syntax errors, whose bindings may be in what did not parse.
    """
    if parsed.language.name != "python" or parsed.has_error:
        return []
    analysis = _Analysis(parsed, builtins, stub)
    raw = sorted(analysis.run(), key=lambda found: found[0])
    return _accepted(analysis, raw) if raw else []


class _Analysis:
    """Finds reads without a binding. One look at each (scope, name), not at each read."""

    def __init__(self, parsed: ParsedFile, builtins: Collection[str], stub: bool) -> None:
        self.parsed = parsed
        self.stub = stub
        self.names = node_type_names(parsed.language)
        self.bindings = Bindings(parsed)
        known = parsed.language.builtins | frozenset(builtins)
        self.builtins = {i for i, text in enumerate(parsed.texts) if text in known}
        self.scopes = evaluation_scopes(parsed)
        self.reads = np.flatnonzero(_READS[parsed.roles])
        self.orders = [lookup_order(parsed, i) for i in range(len(parsed.scopes))]
        self.updated = self._updated_only()
        self.handlers = self._handler_only()

    def run(self) -> Iterator[tuple[int, Reason]]:
        """Leaves that nothing binds, in any order."""
        width = max(len(self.parsed.texts), 1)
        keys = self.scopes[self.reads].astype(np.int64) * width + self.parsed.text_ids[self.reads]
        order = np.argsort(keys, kind="stable")
        leaves = self.reads[order]
        distinct, firsts = np.unique(keys[order], return_index=True)
        starts = self.parsed.starts[leaves[firsts]].tolist()
        lasts = np.append(firsts, len(keys))[1:].tolist()
        tables, orders, builtins = self.bindings.tables, self.orders, self.builtins
        updated, handlers = self.updated, self.handlers
        groups = zip(distinct.tolist(), firsts.tolist(), lasts, starts, strict=True)
        for key, low, high, start in groups:
            scope, text = divmod(key, width)
            entry = tables[scope].get(text)
            if entry is None and scope:
                for outer in orders[scope][1:]:
                    entry = tables[outer].get(text)
                    if entry is not None:
                        break
            if entry is None and text in builtins and text not in updated:
                continue
            if entry is None or start < entry[2] or text in updated or text in handlers:
                for leaf in leaves[low:high].tolist():
                    reason = self._judge(leaf, scope, text)
                    if reason is not None:
                        yield leaf, reason
        yield from self._deleted()

    def _judge(self, leaf: int, scope: int, text: int) -> Reason | None:
        """Why the name read at ``leaf`` is undefined, None if it may be defined."""
        order = self.orders[scope]
        reason: Reason | None = None
        for index in order:
            if index in self.updated.get(text, ()):
                return Reason.TOO_EARLY if self._is_first(leaf, index, text) else None
            if not self.bindings.binds(index, text):
                continue
            found = None if self.stub else self._missing_in(leaf, scope, index, text)
            if found is None:
                return None
            reason = reason or found
            if self.parsed.scopes[index].kind == "function":
                return reason  # a local name: Python looks no further
        if text in self.builtins:
            return None
        if reason is None:
            reason = Reason.CLASS_SCOPE if self._in_class(scope, text) else Reason.UNBOUND
        return None if self._annotation_sees_class(leaf, scope, text) else reason

    def searched(self, scope: int, text: int) -> Iterator[int]:
        """Scopes that Python searches for a name read in ``scope``: a local name is not global."""
        for index in self.orders[scope]:
            yield index
            local = self.bindings.binds(index, text) or index in self.updated.get(text, ())
            if local and self.parsed.scopes[index].kind == "function":
                return

    def _missing_in(self, leaf: int, scope: int, holder: int, text: int) -> Reason | None:
        """Why the name's bindings in ``holder`` do not hold at ``leaf``, None if they may."""
        if self.parsed.scopes[holder].kind == "comprehension":
            return None  # its names are bound by the clauses that come after its element
        if not self.bindings.runs_in_place(scope, holder) or text in self.bindings.declared:
            return None
        if text in self.handlers and self._handler_ended(leaf, holder, text):
            return Reason.HANDLER_ENDED
        if text not in self.bindings.tables[holder]:
            return None
        if self.bindings.always_before(leaf, holder, text):
            return Reason.TOO_EARLY
        return None

    # -- augmented assignments without a first one ---------------------------------------------

    def _updated_only(self) -> dict[int, dict[int, int]]:
        """By text, function scopes that bind it by augmented assignments alone, with the first."""
        parsed = self.parsed
        found: dict[int, dict[int, int]] = {}
        for leaf in np.flatnonzero(parsed.roles == Role.UPDATE).tolist():
            scope, text = int(parsed.scopes_of[leaf]), int(parsed.text_ids[leaf])
            entry = parsed.scopes[scope]
            bound = text in self.bindings.tables[scope] or text in entry.outer
            if entry.kind == "function" and not bound:
                found.setdefault(text, {}).setdefault(scope, leaf)
        return found

    def _is_first(self, leaf: int, scope: int, text: int) -> bool:
        """Whether the leaf itself fails, and not only after an augmented assignment has."""
        parsed = self.parsed
        if int(self.scopes[leaf]) != scope:
            return False
        updates = self.updated[text][scope]
        return parsed.roles[leaf] == Role.UPDATE or leaf < updates

    # -- names of except clauses ---------------------------------------------------------------

    def _handler_only(self) -> dict[int, dict[int, list[tuple[int, int]]]]:
        """By text and scope: ranges of the except clauses that alone bind a name."""
        parsed = self.parsed
        target = self.names.index("as_pattern_target")
        counts: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for leaf in np.flatnonzero(parsed.parents == target).tolist():
            nodes = list(ancestors(parsed, leaf))[2:3]
            if nodes and self.names[parsed.node_kinds[nodes[0]]] == "except_clause":
                place = (int(parsed.text_ids[leaf]), int(parsed.scopes_of[leaf]))
                span = (parsed.node_starts[nodes[0]], parsed.node_ends[nodes[0]])
                counts.setdefault(place, []).append(span)
        found: dict[int, dict[int, list[tuple[int, int]]]] = {}
        for (text, scope), spans in counts.items():
            if len(spans) == len(self.bindings.of(scope, text)):
                found.setdefault(text, {})[scope] = spans
        return found

    def _handler_ended(self, leaf: int, holder: int, text: int) -> bool:
        spans = self.handlers[text].get(holder)
        start = int(self.parsed.starts[leaf])
        if spans is None or self.bindings.in_annotation(leaf):
            return False
        return not any(low <= start < high for low, high in spans)

    # -- del -----------------------------------------------------------------------------------

    def _deleted(self) -> Iterator[tuple[int, Reason]]:
        """Reads after a ``del`` that always runs and that no binding follows."""
        parsed = self.parsed
        if self.stub or b"del" not in parsed.source:
            return
        deleted: dict[tuple[int, int], int] = {}
        places = kind_mask(self.names, ("delete_statement", "expression_list"))
        for leaf in self.reads[places[parsed.parents[self.reads]]].tolist():
            place = self._unconditional_del(leaf)
            if place is not None:
                deleted.setdefault(place, leaf)
        for (scope, text), gone in deleted.items():
            leaves = self.bindings.of(scope, text)
            if not leaves or max(leaves) > gone or text in self.bindings.declared:
                continue
            module_builtin = parsed.scopes[scope].kind == "module" and text in self.builtins
            if module_builtin or parsed.scopes[scope].kind == "class":
                continue
            same = (self.scopes[self.reads] == scope) & (parsed.text_ids[self.reads] == text)
            for leaf in self.reads[same].tolist():
                if leaf > gone and not self.bindings.in_annotation(leaf):
                    yield leaf, Reason.DELETED

    def _unconditional_del(self, leaf: int) -> tuple[int, int] | None:
        """Scope and text of a name deleted at the top level of its scope's body."""
        parsed = self.parsed
        kinds = [self.names[parsed.node_kinds[n]] for n in ancestors(parsed, leaf)][:4]
        if kinds[0] == "expression_list":
            kinds = kinds[1:]
        if kinds[0] != "delete_statement":
            return None
        if kinds[1] != "module" and kinds[1:3] != ["block", "function_definition"]:
            return None
        return int(parsed.scopes_of[leaf]), int(parsed.text_ids[leaf])

    # -- class bodies --------------------------------------------------------------------------

    def _in_class(self, scope: int, text: int) -> bool:
        """Whether some class body around ``scope`` binds the name."""
        while scope >= 0:
            entry = self.parsed.scopes[scope]
            if entry.kind == "class" and text in self.bindings.tables[scope]:
                return True
            scope = entry.parent
        return False

    def _annotation_sees_class(self, leaf: int, scope: int, text: int) -> bool:
        """Whether the leaf is in the head of a method, whose annotations see the class body."""
        parsed = self.parsed
        outer = parsed.scopes[scope].parent
        if outer < 0 or not self.bindings.binds(outer, text):
            return False
        for node in ancestors(parsed, leaf):
            kind = self.names[parsed.node_kinds[node]]
            if kind == "function_definition":
                return True
            if kind == "block":
                return False
        return False


def _accepted(analysis: _Analysis, raw: list[tuple[int, Reason]]) -> list[UndefinedName]:
    """Those of the raw findings that nothing dynamic puts in doubt."""
    parsed = analysis.parsed
    dynamics = Dynamics(parsed)
    if dynamics.is_silenced:
        return []
    found: dict[int, UndefinedName] = {}
    cache: dict[tuple[int, str], tuple[str, ...]] = {}
    for leaf, reason in raw:
        if leaf in found or _is_doubtful(analysis, dynamics, leaf, reason):
            continue
        scope, text = int(analysis.scopes[leaf]), parsed.text(leaf)
        if (scope, text) not in cache:
            cache[scope, text] = most_similar(parsed, scope, text)
        found[leaf] = UndefinedName(leaf, text, scope, reason, cache[scope, text])
    if not dynamics.has_imports and any(_is_from_host(analysis, name) for name in found.values()):
        return [name for name in found.values() if name.reason is not Reason.UNBOUND]
    return list(found.values())


def _is_from_host(analysis: _Analysis, name: UndefinedName) -> bool:
    """Whether the name is read as the file is loaded, and looks like no name in reach.

    In a file without imports that is no slip: a host runs it, and brings the name.
    """
    in_place = analysis.bindings.runs_in_place(name.scope, 0)
    if name.reason is not Reason.UNBOUND or not in_place:
        return False
    if analysis.bindings.in_annotation(name.leaf):
        return False
    return all(similarity(name.text, other) < _ALIKE for other in name.candidates)


def _is_doubtful(analysis: _Analysis, dynamics: Dynamics, leaf: int, reason: Reason) -> bool:
    parsed, text = analysis.parsed, analysis.parsed.text(leaf)
    scope = int(analysis.scopes[leaf])
    missing = reason in (Reason.UNBOUND, Reason.CLASS_SCOPE)
    if text in HOST_NAMES or text in parsed.language.reserved or text in dynamics.installed_texts:
        return True
    if text in dynamics.tested_texts or not dynamics.open_scopes.isdisjoint(
        analysis.searched(scope, int(parsed.text_ids[leaf]))
    ):
        return True
    if missing and text in PYTHON2_BUILTINS and dynamics.may_be_python2:
        return True
    if missing and _is_type_parameter(analysis, text):
        return True
    if dynamics.is_python2 and (reason is Reason.HANDLER_ENDED or _leaks(analysis, scope, text)):
        return True
    if not missing and dynamics.inspects_names:
        return True
    lenient = not missing or text in PYTHON2_BUILTINS or text.startswith("__")
    if dynamics.is_guarded(leaf, lenient) or dynamics.is_line_silenced(leaf):
        return True
    return missing and text in dynamics.tested_names


def _is_type_parameter(analysis: _Analysis, text: str) -> bool:
    """Whether the file has a type parameter of that name: all in its class see it."""
    parsed = analysis.parsed
    if text not in parsed.texts:
        return False
    same = np.flatnonzero(parsed.text_ids == parsed.texts.index(text))
    for leaf in same[parsed.roles[same] == Role.BINDING].tolist():
        kinds = (analysis.names[parsed.node_kinds[n]] for n in ancestors(parsed, leaf))
        if "type_parameter" in list(kinds)[:4]:
            return True
    return False


def _leaks(analysis: _Analysis, scope: int, text: str) -> bool:
    """Whether a list comprehension of the scope binds the name, as Python 2 does for the scope."""
    parsed = analysis.parsed
    return any(
        entry.kind == "comprehension"
        and entry.parent == scope
        and text in (parsed.texts[i] for i in entry.bindings)
        for entry in parsed.scopes
    )
