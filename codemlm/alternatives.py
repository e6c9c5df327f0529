"""Which alternatives are possible at a leaf: those that parse there and resolve.

A candidate of the model may stand for more than its text. At a name, a receiver of which that name
is a known member stands for the member: `self` at `rows` for `self.rows`. At a member, [DELETE]
stands for the bare name. Near spellings come in even where the model did not think of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np

from codemlm.injection import operator_kind
from codemlm.members import MEMBER_ROLES, Members
from codemlm.scopes import names_in_reach
from codemlm.scoring import DELETE_TEXT, NEGATE_TEXT, Alternative
from codemlm.similarity import Spellings, is_near_spelling
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import NAME_ROLES, Role

FLOOR = 1e-4
"""Likelihood of an alternative that the model did not think of."""
_RARE = 2
"""A name that occurs this often at the most may be a misspelling."""
_OWNERS = 3
"""Of what a bare name may be a member, so many are tried; `self` comes first."""
_VARIABLES = frozenset({Role.READ, Role.UPDATE, Role.CALL})
_SPELT = frozenset({Role.READ, Role.CALL, Role.KEYWORD_ARGUMENT, *MEMBER_ROLES})


class Context:
    """What of a file decides which alternatives are possible at a leaf.

    Args:
        parsed: the file.
        common: names that are common everywhere; members may be misspellings of them.
    """

    def __init__(self, parsed: ParsedFile, common: Spellings | None = None) -> None:
        self.parsed = parsed
        self.common = common
        self.spec = parsed.language
        self.names = node_type_names(parsed.language)
        self._reach: dict[int, frozenset[str]] = {}
        self._near: dict[tuple[str, bool], tuple[str, ...]] = {}

    def possible(self, leaf: int, alternatives: Iterable[Alternative]) -> list[Alternative]:
        """What could stand at the leaf, so that it parses and resolves.

        First what the model's alternatives stand for, in their order; then near spellings, and the
        name with what it is a member of elsewhere before it, both with the likelihood ``FLOOR``.
        """
        found: dict[str, float] = {}
        for alternative in alternatives:
            for text in self.readings(leaf, alternative.text):
                found.setdefault(text, alternative.likelihood)
        for text in self._unthought(leaf):
            found.setdefault(text, FLOOR)
        return [Alternative(text, likelihood) for text, likelihood in found.items()]

    def readings(self, leaf: int, text: str) -> Iterator[str]:
        """What a candidate may stand for at the leaf, likelier first; nothing where impossible.

        A text with a dot is the leaf's with a prefix, and the leaf's own text is what is left of
        it without the one that it has.
        """
        role, shown = Role(int(self.parsed.roles[leaf])), self.parsed.text(leaf)
        if role in MEMBER_ROLES and text == DELETE_TEXT:
            if self.members.is_droppable(leaf, self.reach_at(leaf)):
                yield shown
            return
        prefixes = role in _VARIABLES and text.isidentifier() and self.members.belongs(leaf, text)
        if prefixes and text in self.reach_at(leaf):
            yield f"{text}{self.spec.member_access}{shown}"
            if text in self.spec.self_names or text in self.members.imported:
                return
        if self.allows(leaf, text):
            yield text

    def _unthought(self, leaf: int) -> Iterator[str]:
        role, shown = Role(int(self.parsed.roles[leaf])), self.parsed.text(leaf)
        if role in _SPELT and self._counts[shown] <= _RARE:
            yield from (text for text in self._spellings(leaf, role) if self.allows(leaf, text))
        if role in _VARIABLES:
            reach, owners = self.reach_at(leaf), sorted(self.spec.self_names, reverse=True)
            owners += [o for o in self.members.owners.get(shown, ()) if o not in owners]
            near = [o for o in owners if o in reach and self.members.belongs(leaf, o)]
            yield from (f"{owner}{self.spec.member_access}{shown}" for owner in near[:_OWNERS])

    def _spellings(self, leaf: int, role: Role) -> tuple[str, ...]:
        """Names of the file, and common ones, that the leaf may be a misspelling of."""
        shown, common = self.parsed.text(leaf), self.common
        free = role not in _VARIABLES  # a variable must be bound in the file
        if (shown, free) not in self._near:
            near = self._names.near(shown)
            if free and common is not None and shown not in common.names:
                near = tuple(dict.fromkeys((*near, *common.near(shown))))
            self._near[shown, free] = near
        return self._near[shown, free]

    @cached_property
    def _counts(self) -> Counter[str]:
        """How often each name occurs."""
        roles, texts = self.parsed.roles.tolist(), self.parsed.texts
        ids = self.parsed.text_ids.tolist()
        return Counter(texts[i] for role, i in zip(roles, ids, strict=True) if role in NAME_ROLES)

    @cached_property
    def _names(self) -> Spellings:
        return Spellings(self._counts)

    @cached_property
    def members(self) -> Members:
        """Members of the file's names."""
        return Members(self.parsed)

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
            if text not in self.reach_at(leaf):
                return False
            return self._has_member(leaf, text) or is_near_spelling(shown, text)
        if role is Role.KEYWORD_ARGUMENT:
            return text not in self._sibling_keywords(leaf)
        receiver = self.members.receiver(leaf)
        known = not receiver or text in self.members.of.get(receiver, ())
        return known or is_near_spelling(shown, text)

    def _has_member(self, leaf: int, text: str) -> bool:
        """Whether ``text`` could be a receiver where ``leaf`` is one.

        It can if the file uses it with the same member elsewhere, or with no member at all.
        """
        parsed = self.parsed
        if leaf + 2 >= len(parsed) or parsed.text(leaf + 1) != self.spec.member_access:
            return True
        if parsed.roles[leaf + 2] not in MEMBER_ROLES:
            return True
        known = self.members.of.get(text)
        if known is None:
            return text not in self.spec.self_names
        return parsed.text(leaf + 2) in known

    def _allows_operator(self, leaf: int, shown: str, text: str) -> bool:
        parent = self.names[self.parsed.parents[leaf]]
        if parent in self.spec.unary:
            return shown == self.spec.negation and text == DELETE_TEXT
        kind = operator_kind(self.spec, shown)
        if kind is None:
            return False
        same = any(shown in ops and text in ops for ops in self.spec.operator_classes.values())
        return same or text in self.spec.operator_neighbours.get(shown, ())

    def reach_at(self, leaf: int) -> frozenset[str]:
        """Names that a read at the leaf can see."""
        return self.reach(int(self.parsed.scopes_of[leaf]))

    def reach(self, scope: int) -> frozenset[str]:
        """Names that a read in the scope can see, builtins included."""
        found = self._reach.get(scope)
        if found is None:
            names = names_in_reach(self.parsed, scope)
            found = self._reach[scope] = frozenset(names) | self.spec.builtins
        return found

    @cached_property
    def conditions(self) -> frozenset[int]:
        """Starts of conditions that a negation may be put before."""
        return frozenset(
            start
            for start, _, kind, _ in self.parsed.conditions
            if self.names[kind] in self.spec.negatable
        )

    def _sibling_keywords(self, leaf: int) -> set[str]:
        parsed = self.parsed
        return self._keywords.get(parsed.node_parents[int(parsed.parent_nodes[leaf])], set())

    @cached_property
    def _keywords(self) -> dict[int, set[str]]:
        """Names of keyword arguments by call."""
        parsed, found = self.parsed, defaultdict[int, set[str]](set)
        for leaf in np.flatnonzero(parsed.roles == Role.KEYWORD_ARGUMENT).tolist():
            found[parsed.node_parents[int(parsed.parent_nodes[leaf])]].add(parsed.text(leaf))
        return found


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
