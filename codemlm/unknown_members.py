"""Members of ``self`` that no object of the class has: certain ones, with candidates.

Nothing in the file sets the member, on any object, no string names it, and the class is closed
(``classes``). Even so it may be a mixin, whose members another file brings: so either
something else was probably meant, a member that is nearly the same or the bare name, or the class
has a constructor and nothing abstract.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codemlm.guards import is_guarded
from codemlm.project import ClassAt, Module
from codemlm.reading import Reading, are_alike, by_likeness
from codemlm.scopes import lookup_order
from codemlm.similarity import is_near_spelling

MAX_CANDIDATES = 32
_LONG = 8
_PARTIAL = re.compile("mixin|base|abstract|interface", re.IGNORECASE)
"""Names of classes that others complete."""
_HIDDEN = re.compile(r"(?:_\w+)?__")
"""Members that are private to a class, and how others get at them: `_Base__name`."""
_MOST_UNKNOWN = 2
"""Different unknown members of a class: where there are more, it is a mixin."""


@dataclass(frozen=True, slots=True)
class UnknownMember:
    """A member of ``self`` or ``cls`` that nothing sets.

    Attributes:
        leaf: index of the leaf.
        text: the member.
        receiver: ``self`` or ``cls``.
        owner: name of the class.
        candidates: members that may have been meant, most similar ones first; the member's own
            text stands for the bare name, without ``self``.
        is_slip: whether it is seen what was meant; else the class seems whole, and lacks it.
        modules: other modules of the project that the class's bases stand in.
    """

    leaf: int
    text: str
    receiver: str
    owner: str
    candidates: tuple[str, ...]
    is_slip: bool
    modules: tuple[Module, ...] = ()


def unknown_members(reading: Reading) -> list[UnknownMember]:
    """Every certainly unknown member of ``self`` and ``cls`` in a file, in source order."""
    reads = reading.own_reads
    if not len(reads):
        return []
    return sorted(_Search(reading, reads).run(), key=lambda found: found.leaf)


class _Search:
    def __init__(self, reading: Reading, reads: np.ndarray) -> None:
        self.reading, self.parsed, self.reads = reading, reading.parsed, reads
        self.classes = reading.classes

    def run(self) -> Iterator[UnknownMember]:
        """The members, class by class."""
        parsed = self.parsed
        by_class: dict[int, list[int]] = defaultdict(list)
        classes: dict[tuple[int, int], int] = {}
        for leaf in self.reads.tolist():
            place = int(parsed.scopes_of[leaf]), int(parsed.text_ids[leaf - 2])
            if place not in classes:
                classes[place] = self.classes.class_of(*place)
            if classes[place] >= 0:
                by_class[classes[place]].append(leaf)
        for scope, leaves in by_class.items():
            yield from self._of_class(scope, leaves)

    def _of_class(self, scope: int, leaves: list[int]) -> Iterator[UnknownMember]:
        parsed = self.parsed
        members = self.classes.members(scope)
        if members is None:
            return
        doubtful = members | self.reading.mentioned
        unknown = [leaf for leaf in leaves if not self._is_known(leaf, doubtful)]
        if not unknown or len({parsed.text(leaf) for leaf in unknown}) > _MOST_UNKNOWN:
            return
        ancestry = self.classes.ancestry(scope)
        foreign = [] if ancestry is None else list(ancestry.foreign.values())
        unknown = self._without_given(self.classes.name_of(scope), unknown, foreign)
        modules = tuple(dict.fromkeys(one.module for one in foreign))
        held = {name for name in members if not name.startswith("__")}
        for leaf in unknown:
            text = parsed.text(leaf)
            near = by_likeness(text, held - {text})
            bare = [text] if self.classes.is_made(scope) and self._in_reach(leaf) else []
            is_slip = bool(bare) or self._is_slip(scope, text, near)
            if is_slip or self._is_whole(scope):
                candidates = (*bare, *near[:MAX_CANDIDATES])
                owner = self.classes.name_of(scope)
                receiver = parsed.text(leaf - 2)
                yield UnknownMember(leaf, text, receiver, owner, candidates, is_slip, modules)

    def _without_given(self, owner: str, unknown: list[int], foreign: list[ClassAt]) -> list[int]:
        """Those that no other module of the project may give the class, or its subclasses.

        What is all in one file counts as given only by modules that import it, or its module.
        """
        around = self.reading.around
        if around is None:
            return unknown
        if any(map(around.is_opened, (owner, *(one.name for one in foreign)))):
            return []
        known = around.heirs(owner) or frozenset()
        texts = {self.parsed.text(leaf) for leaf in unknown}
        beside = () if foreign else (owner, around.name)
        gone = {text for text in texts if text in known or around.is_given(text, *beside)}
        return [leaf for leaf in unknown if self.parsed.text(leaf) not in gone]

    def _is_whole(self, scope: int) -> bool:
        """Whether no other class is needed to make objects of a class."""
        named = _PARTIAL.search(self.classes.name_of(scope))
        return not named and self.classes.is_made(scope) and not self.classes.is_abstract(scope)

    def _is_slip(self, scope: int, text: str, near: tuple[str, ...]) -> bool:
        """Whether the most similar member was probably meant.

        What has no ``__init__`` may be a mixin: there, only where the spelling tells it.
        """
        if not near or self.classes.is_made(scope):
            return bool(near) and are_alike(text, near[0])
        named = _PARTIAL.search(self.classes.name_of(scope))
        return not named and len(text) >= _LONG and is_near_spelling(text, near[0])

    def _in_reach(self, leaf: int) -> bool:
        """Whether the file binds the bare name of a member, for code that stands there."""
        order = lookup_order(self.parsed, int(self.parsed.scopes_of[leaf]))
        return self.reading.bindings.holder(order, int(self.parsed.text_ids[leaf])) >= 0

    def _is_known(self, leaf: int, known: frozenset[str]) -> bool:
        text = self.parsed.text(leaf)
        if text in known or _HIDDEN.match(text) or is_guarded(self.parsed, leaf):
            return True
        return self.parsed.text(leaf - 2) == "cls" and hasattr(type, text)
