"""Which alternatives are possible at a leaf: those that parse there and resolve."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from codemlm.injection import operator_kind
from codemlm.scopes import names_in_reach
from codemlm.scoring import DELETE_TEXT, NEGATE_TEXT, Alternative
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

_MEMBER_ROLES = frozenset({Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING})
_RECEIVER_ROLES = frozenset({Role.READ, Role.CALL, Role.TYPE, *_MEMBER_ROLES})


class Context:
    """What of a file decides which alternatives are possible at a leaf."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.spec = parsed.language
        self.names = node_type_names(parsed.language)
        self._reach: dict[int, frozenset[str]] = {}
        self._keywords: dict[int, set[str]] | None = None
        self._conditions: frozenset[int] | None = None
        self._members: dict[str, set[str]] | None = None

    def possible(self, leaf: int, alternatives: Iterable[Alternative]) -> list[Alternative]:
        """The alternatives that could stand at the leaf: they parse there and resolve."""
        return [a for a in alternatives if self.allows(leaf, a.text)]

    def allows(self, leaf: int, text: str) -> bool:
        """Whether ``text`` could stand in place of the leaf."""
        role, shown = Role(int(self.parsed.roles[leaf])), self.parsed.text(leaf)
        if text == NEGATE_TEXT:
            return int(self.parsed.starts[leaf]) in self.conditions
        if role is Role.OPERATOR:
            return self._allows_operator(leaf, shown, text)
        if role is Role.NUMBER:
            return text.isdigit()
        if role is Role.CONSTANT:
            return shown in self.spec.constants and text in self.spec.constants
        if not text.isidentifier() or text in self.spec.reserved or text == "_":
            return False
        if role in (Role.READ, Role.UPDATE, Role.CALL):
            in_reach = text in self.reach(int(self.parsed.scopes_of[leaf]))
            return in_reach and self._has_member(leaf, text)
        if role is Role.KEYWORD_ARGUMENT:
            return text not in self._sibling_keywords(leaf)
        receiver = self._receiver(leaf)
        return not receiver or text in self.members.get(receiver, ())

    def _has_member(self, leaf: int, text: str) -> bool:
        """Whether ``text`` could be a receiver where ``leaf`` is one.

        It can if the file uses it with the same member elsewhere, or with no member at all.
        """
        parsed = self.parsed
        if leaf + 2 >= len(parsed) or parsed.text(leaf + 1) != self.spec.member_access:
            return True
        if parsed.roles[leaf + 2] not in _MEMBER_ROLES:
            return True
        known = self.members.get(text)
        if known is None:
            return text not in self.spec.self_names
        return parsed.text(leaf + 2) in known

    def _receiver(self, leaf: int) -> str:
        """The plain name before the dot, "" where the receiver is an expression."""
        if leaf < 2 or self.parsed.roles[leaf - 2] not in _RECEIVER_ROLES:
            return ""
        return self.parsed.text(leaf - 2)

    @property
    def members(self) -> dict[str, set[str]]:
        """Members that each plain name is used with; what classes define belongs to receivers."""
        if self._members is None:
            parsed = self.parsed
            self._members = {}
            for leaf in np.flatnonzero(np.isin(parsed.roles, list(_MEMBER_ROLES))).tolist():
                receiver = self._receiver(leaf)
                if receiver:
                    self._members.setdefault(receiver, set()).add(parsed.text(leaf))
            for scope in parsed.scopes:
                if scope.kind == "class":
                    for name in self.spec.self_names:
                        defined = self._members.setdefault(name, set())
                        defined.update(parsed.texts[t] for t in scope.bindings)
        return self._members

    def _allows_operator(self, leaf: int, shown: str, text: str) -> bool:
        parent = self.names[self.parsed.parents[leaf]]
        if parent in self.spec.unary:
            return shown == self.spec.negation and text == DELETE_TEXT
        kind = operator_kind(self.spec, shown)
        if kind is None:
            return False
        same = any(shown in ops and text in ops for ops in self.spec.operator_classes.values())
        return same or text in self.spec.operator_neighbours.get(shown, ())

    def reach(self, scope: int) -> frozenset[str]:
        """Names that a read in the scope can see, builtins included."""
        found = self._reach.get(scope)
        if found is None:
            names = names_in_reach(self.parsed, scope)
            found = self._reach[scope] = frozenset(names) | self.spec.builtins
        return found

    @property
    def conditions(self) -> frozenset[int]:
        """Starts of conditions that a negation may be put before."""
        if self._conditions is None:
            self._conditions = frozenset(
                start
                for start, _, kind, _ in self.parsed.conditions
                if self.names[kind] in self.spec.negatable
            )
        return self._conditions

    def _sibling_keywords(self, leaf: int) -> set[str]:
        parsed = self.parsed
        if self._keywords is None:
            self._keywords = {}
            for index in range(len(parsed)):
                if parsed.roles[index] == Role.KEYWORD_ARGUMENT:
                    call = parsed.node_parents[int(parsed.parent_nodes[index])]
                    self._keywords.setdefault(call, set()).add(parsed.text(index))
        return self._keywords.get(parsed.node_parents[int(parsed.parent_nodes[leaf])], set())


def is_informative(parsed: ParsedFile, leaf: int) -> bool:
    """Whether it makes sense to doubt the leaf.

    Not where its text says too little (``_``); not a conventional receiver (``self``), which is
    hardly ever mistaken, and doubted mostly in nested functions and static methods; and not the
    operator of an assertion, which differs from its neighbours on purpose, and would have failed
    when it was run if it were wrong.
    """
    text = parsed.text(leaf)
    if text == "_" or text in parsed.language.self_names:
        return False
    if parsed.roles[leaf] != Role.OPERATOR:
        return True
    names = node_type_names(parsed.language)
    return names[parsed.grandparents[leaf]] not in parsed.language.assertions
