"""Which alternatives are possible at a leaf: those that parse there and resolve.

A candidate of the model may stand for more than its text. At a name, a receiver of which that name
is a known member stands for the member: `self` at `rows` for `self.rows`. At a member, [DELETE]
stands for the bare name. Near spellings come in even where the model did not think of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np

from codemlm.injection import operator_kind
from codemlm.members import MEMBER_ROLES, Members
from codemlm.scopes import names_in_reach, role_table
from codemlm.scoring import Alternative
from codemlm.similarity import Spellings, is_near_spelling
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import DELETE_TEXT, NAME_ROLES, NEGATE_TEXT, Role

FLOOR = 1e-4
"""Likelihood of an alternative that the model did not think of."""
_RARE = 2
"""A name that occurs this often at the most may be a misspelling."""
_OWNERS = 3
"""Of what a bare name may be a member, so many are tried; `self` comes first."""
_OPERATOR, _NUMBER, _CONSTANT = int(Role.OPERATOR), int(Role.NUMBER), int(Role.CONSTANT)
_KEYWORD_ARGUMENT = int(Role.KEYWORD_ARGUMENT)
VARIABLES = frozenset({Role.READ, Role.UPDATE, Role.CALL})
"""Roles of names that have to be in reach."""
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
        self.scopes: list[int] = parsed.scopes_of.tolist()
        self.starts: list[int] = parsed.starts.tolist()
        self._self_names = sorted(self.spec.self_names, reverse=True)
        self._reach: dict[int, frozenset[str]] = {}
        self._near: dict[tuple[str, bool], tuple[str, ...]] = {}

    def possible(self, leaf: int, alternatives: Iterable[Alternative]) -> list[Alternative]:
        """What could stand at the leaf, so that it parses and resolves.

        First what the model's alternatives stand for, in their order; then near spellings, and the
        name with what it is a member of elsewhere before it, both with the likelihood ``FLOOR``.
        """
        place = _Place(self, leaf)
        found: dict[str, float] = {}
        for alternative in alternatives:
            for text in place.readings(alternative.text):
                found.setdefault(text, alternative.likelihood)
        for text in self._unthought(leaf, place):
            found.setdefault(text, FLOOR)
        return [Alternative(text, likelihood) for text, likelihood in found.items()]

    def signature(self, leaf: int, alternatives: Sequence[Alternative]) -> Hashable:
        """All that decides what is possible at the leaf, besides the alternatives themselves.

        Whatever ``possible`` looks at has to be in it, and in the outlines of ``recollection``: the
        same alternatives with an equal signature are given the same answer, whatever else was
        edited in the file.
        """
        place = _Place(self, leaf)
        role, shown, members = place.role, place.shown, self.members
        near = self.spellings_at(leaf)
        texts = [*(alternative.text for alternative in alternatives), *near]
        decided: Hashable = ()
        if role in VARIABLES:
            reach = place.reach
            fitting = tuple(map(place.has_member, texts)) if place.member else ()
            inside = tuple([text in reach for text in texts])
            decided = (self.owners_at(leaf), fitting, inside)
        elif role in MEMBER_ROLES:
            receiver = members.receiver(leaf)
            known = members.of.get(receiver, ()) if receiver else texts
            droppable = DELETE_TEXT in texts and bool(place.readings(DELETE_TEXT))
            decided = (droppable, tuple(text in known for text in texts))
        elif role == _KEYWORD_ARGUMENT:
            decided = frozenset(self.sibling_keywords(leaf))
        elif role == _OPERATOR:
            decided = self.names[self.parsed.parents[leaf]] in self.spec.unary
        return role, shown, near, place.is_condition(), decided

    def readings(self, leaf: int, text: str) -> Iterator[str]:
        """What a candidate may stand for at the leaf, likelier first; nothing where impossible.

        A text with a dot is the leaf's with a prefix, and the leaf's own text is what is left of
        it without the one that it has.
        """
        yield from _Place(self, leaf).readings(text)

    def allows(self, leaf: int, text: str) -> bool:
        """Whether ``text`` could stand in place of the leaf."""
        return _Place(self, leaf).allows(text)

    def _unthought(self, leaf: int, place: _Place) -> Iterator[str]:
        yield from (text for text in self.spellings_at(leaf) if place.allows(text))
        for owner in self._owners(place)[:_OWNERS]:
            yield f"{owner}{self.spec.member_access}{place.shown}"

    def _owners(self, place: _Place) -> list[str]:
        """Names in reach of which the leaf's name may be a member; `self` comes first."""
        if not place.owners:
            return []
        used = self.members.owners.get(place.shown, ())
        ordered = dict.fromkeys((*self._self_names, *used))
        return [owner for owner in ordered if owner in place.owners and owner in place.reach]

    def owners_at(self, leaf: int) -> tuple[tuple[str, bool], ...]:
        """Names of which a variable's name may be a member, and whether each was imported."""
        if not self.members.owners_at(leaf):
            return ()
        owners = self._owners(_Place(self, leaf))
        return tuple([(owner, owner in self.members.imported) for owner in owners])

    def receiver_at(self, leaf: int) -> Hashable:
        """The receiver of a member, what it has, and whether the member stands without it, too."""
        receiver = self.members.receiver(leaf)
        if not receiver:
            return ()
        known = frozenset(self.members.of.get(receiver, ()))
        return receiver, known, self.members.is_droppable(leaf, self.reach_at(leaf))

    def members_used(self) -> np.ndarray:
        """Of each leaf, the text id of the member that is asked of it as a name; -1: of none."""
        parsed = self.parsed
        dots = np.array([text == self.spec.member_access for text in parsed.texts], dtype=bool)
        found = np.full(len(parsed), -1, dtype=np.int64)
        followed = dots[parsed.text_ids[1:-1]] & role_table(MEMBER_ROLES)[parsed.roles[2:]]
        found[:-2] = np.where(followed, parsed.text_ids[2:], -1)
        return found

    def users_of(self, member: int) -> Hashable:
        """Names that are used with a member, by its text id, and those that are used with any."""
        text, known = self.parsed.texts[member], self.members.of
        return frozenset(name for name in known if text in known[name]), frozenset(known)

    def may_be_misspelt(self, leaves: np.ndarray) -> np.ndarray:
        """Which leaves may be misspellings, by role and rareness: bool (N,)."""
        parsed = self.parsed
        rare = np.array([self._counts[text] <= _RARE for text in parsed.texts], dtype=bool)
        found: np.ndarray = role_table(_SPELT)[parsed.roles[leaves]] & rare[parsed.text_ids[leaves]]
        return found

    def spellings_at(self, leaf: int) -> tuple[str, ...]:
        """Names of the file, and common ones, that a leaf may be a misspelling of."""
        role, shown = self.parsed.leaf_roles[leaf], self.parsed.leaf_texts[leaf]
        if role not in _SPELT or self._counts[shown] > _RARE:
            return ()
        common = self.common
        free = role not in VARIABLES  # a variable must be bound in the file
        if (shown, free) not in self._near:
            near = self._names.near(shown)
            if free and common is not None and shown not in common.names:
                near = tuple(dict.fromkeys((*near, *common.near(shown))))
            self._near[shown, free] = near
        return self._near[shown, free]

    @cached_property
    def _counts(self) -> Counter[str]:
        """How often each name occurs."""
        parsed = self.parsed
        pairs = zip(parsed.leaf_roles, parsed.leaf_texts, strict=True)
        return Counter([text for role, text in pairs if role in NAME_ROLES])

    @cached_property
    def _names(self) -> Spellings:
        return Spellings(self._counts)

    @cached_property
    def members(self) -> Members:
        """Members of the file's names."""
        return Members(self.parsed)

    def reach_at(self, leaf: int) -> frozenset[str]:
        """Names that a read at the leaf can see."""
        return self.reach(self.scopes[leaf])

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

    def sibling_keywords(self, leaf: int) -> set[str]:
        """Names of the keyword arguments of the call around a leaf."""
        parsed = self.parsed
        return self._keywords.get(parsed.node_parents[int(parsed.parent_nodes[leaf])], set())

    @cached_property
    def _keywords(self) -> dict[int, set[str]]:
        """Names of keyword arguments by call."""
        parsed, found = self.parsed, defaultdict[int, set[str]](set)
        for leaf in np.flatnonzero(parsed.roles == Role.KEYWORD_ARGUMENT).tolist():
            found[parsed.node_parents[int(parsed.parent_nodes[leaf])]].add(parsed.text(leaf))
        return found


class _Place:
    """A leaf, and what decides which texts could stand there; each looked up once.

    Attributes:
        role, shown: of the leaf.
        reach: names that a read can see there; none are looked up for other roles.
        owners: names of which the leaf's name is a member, which may be missing before it.
    """

    __slots__ = ("context", "leaf", "member", "owners", "reach", "role", "shown")

    def __init__(self, context: Context, leaf: int) -> None:
        parsed = context.parsed
        self.context, self.leaf = context, leaf
        self.role, self.shown = parsed.leaf_roles[leaf], parsed.leaf_texts[leaf]
        self.reach: Collection[str] = ()
        self.owners: Collection[str] = ()
        self.member = ""
        if self.role in VARIABLES:
            self.reach = context.reach_at(leaf)
            self.owners = context.members.owners_at(leaf)
            self.member = self._member()

    def _member(self) -> str:
        """The member of the leaf that the source asks for; "" where none is."""
        parsed, leaf = self.context.parsed, self.leaf
        texts = parsed.leaf_texts
        if leaf + 2 >= len(texts) or texts[leaf + 1] != self.context.spec.member_access:
            return ""
        return texts[leaf + 2] if parsed.leaf_roles[leaf + 2] in MEMBER_ROLES else ""

    def readings(self, text: str) -> tuple[str, ...]:
        """As ``Context.readings``."""
        context = self.context
        if text == DELETE_TEXT and self.role in MEMBER_ROLES:
            reach = context.reach_at(self.leaf)
            return (self.shown,) if context.members.is_droppable(self.leaf, reach) else ()
        if text in self.owners and text in self.reach and text.isidentifier():
            prefixed = f"{text}{context.spec.member_access}{self.shown}"
            if text in context.spec.self_names or text in context.members.imported:
                return (prefixed,)
            return (prefixed, text) if self.allows(text) else (prefixed,)
        return (text,) if self.allows(text) else ()

    def allows(self, text: str) -> bool:
        """Whether ``text`` could stand in place of the leaf."""
        role, spec = self.role, self.context.spec
        if text == NEGATE_TEXT:
            return self.is_condition()
        if role == _OPERATOR:
            return self._allows_operator(text)
        if role == _NUMBER:
            return text.isdigit()
        if role == _CONSTANT:
            return self.shown in spec.constants and text in spec.constants
        if role in VARIABLES and text not in self.reach:
            return False
        if not text.isidentifier() or text in spec.reserved or text == "_":
            return False
        if role in VARIABLES:
            return self.has_member(text) or is_near_spelling(self.shown, text)
        if role == _KEYWORD_ARGUMENT:
            return text not in self.context.sibling_keywords(self.leaf)
        members = self.context.members
        receiver = members.receiver(self.leaf)
        known = not receiver or text in members.of.get(receiver, ())
        return known or is_near_spelling(self.shown, text)

    def is_condition(self) -> bool:
        """Whether the leaf begins a condition that a negation may be put before."""
        return self.context.starts[self.leaf] in self.context.conditions

    def has_member(self, text: str) -> bool:
        """Whether ``text`` could be a receiver where the leaf is one.

        It can if the file uses it with the same member elsewhere, or with no member at all.
        """
        if not self.member:
            return True
        known = self.context.members.of.get(text)
        if known is None:
            return text not in self.context.spec.self_names
        return self.member in known

    def _allows_operator(self, text: str) -> bool:
        context, spec, shown = self.context, self.context.spec, self.shown
        if context.names[context.parsed.parents[self.leaf]] in spec.unary:
            return shown == spec.negation and text == DELETE_TEXT
        if operator_kind(spec, shown) is None:
            return False
        same = any(shown in ops and text in ops for ops in spec.operator_classes.values())
        return same or text in spec.operator_neighbours.get(shown, ())


def is_informative(parsed: ParsedFile, leaf: int) -> bool:
    """Whether it makes sense to doubt the leaf.

    Not where its text says too little (``_``); not a conventional receiver (``self``), which is
    hardly ever mistaken, and doubted mostly in nested functions and static methods; and not the
    operator of an assertion, which differs from its neighbours on purpose, and would have failed
    when it was run if it were wrong. The same holds of which assertion method is called, unless it
    is misspelt.
    """
    text = parsed.leaf_texts[leaf]
    if text == "_" or text in parsed.language.self_names:
        return False
    if text in parsed.language.assertion_methods:
        return False
    if parsed.leaf_roles[leaf] != _OPERATOR:
        return True
    names = node_type_names(parsed.language)
    return names[parsed.grandparents[leaf]] not in parsed.language.assertions
