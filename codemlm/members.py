"""Which members names of a file are used with: `self.name`, `module.name`, `row.name`.

Says of a bare name whether a prefix is missing before it, and of a member whether its prefix is one
too many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from codemlm.scopes import role_table
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

MEMBER_ROLES = frozenset({Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING})
_MEMBERS = role_table(MEMBER_ROLES)
_RECEIVER_ROLES = frozenset({Role.READ, Role.CALL, Role.TYPE, *MEMBER_ROLES})


class Members:
    """Members of a file's names, by use and by what its classes bind.

    Attributes:
        of: members that each plain name is used with; what classes bind belongs to receivers.
        owners: the same turned round: plain names by member, in order of appearance.
        imported: names that the file imports.
    """

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.spec = parsed.language
        self._texts, self._roles = parsed.leaf_texts, parsed.leaf_roles
        self._scopes: list[int] = parsed.scopes_of.tolist()
        self.of: dict[str, set[str]] = defaultdict(set)
        self.owners: dict[str, dict[str, None]] = defaultdict(dict)
        self.imported = {
            parsed.text(i) for i in np.flatnonzero(parsed.roles == Role.IMPORT).tolist()
        }
        self._of_class: dict[int, set[str]] = defaultdict(set)
        self._class_of = self._classes()
        self._access = node_type_names(self.spec).index(self.spec.member[0])
        for leaf in np.flatnonzero(_MEMBERS[parsed.roles]).tolist():
            receiver, text = self.receiver(leaf), parsed.text(leaf)
            if not receiver:
                continue
            self.of[receiver].add(text)
            self.owners[text][receiver] = None
            if receiver in self.spec.self_names:
                self._of_class[self.class_around(leaf)].add(text)
        for index, scope in enumerate(parsed.scopes):
            if scope.kind == "class":
                bound = {parsed.texts[t] for t in scope.bindings}
                self._of_class[index] |= bound
                for name in self.spec.self_names:
                    self.of[name] |= bound

    def _classes(self) -> list[int]:
        """The innermost class around each scope, -1 where there is none."""
        found: list[int] = []
        for index, scope in enumerate(self.parsed.scopes):
            outer = found[scope.parent] if 0 <= scope.parent < index else -1
            found.append(index if scope.kind == "class" else outer)
        return found

    def class_around(self, leaf: int) -> int:
        """Index of the scope of the innermost class around a leaf, -1 where there is none."""
        return self._class_of[self._scopes[leaf]]

    def receiver(self, leaf: int) -> str:
        """The plain name before the dot of a member; "" where an expression stands there."""
        if leaf < 2 or self._roles[leaf - 2] not in _RECEIVER_ROLES:
            return ""
        if self._texts[leaf - 1] != self.spec.member_access:
            return ""
        return self._texts[leaf - 2]

    def belongs(self, leaf: int, owner: str) -> bool:
        """Whether the file shows that the name at ``leaf`` is a member of ``owner``.

        Of ``self`` and ``cls``: in the class around the leaf.
        """
        return owner in self.owners_at(leaf)

    def owners_at(self, leaf: int) -> Collection[str]:
        """The names of which the file shows that the name at ``leaf`` is a member; see above."""
        text, around = self._texts[leaf], self.class_around(leaf)
        owners: Collection[str] = self.owners.get(text, ())
        if around >= 0 and text in self._of_class[around]:
            return {*owners, *self.spec.self_names}
        if not self.spec.self_names.isdisjoint(owners):
            return [owner for owner in owners if owner not in self.spec.self_names]
        return owners

    def is_droppable(self, leaf: int, reach: frozenset[str]) -> bool:
        """Whether the member at ``leaf`` means something without the receiver before it.

        Args:
            leaf: a member.
            reach: names that can be read there.
        """
        if not self.receiver(leaf) or self.parsed.parents[leaf] != self._access:
            return False
        if self._roles[leaf - 2] not in MEMBER_ROLES:
            return self._texts[leaf] in reach
        return self._texts[leaf] in self.of.get(self.receiver(leaf - 2), ())
