"""The difference of two parsed files as one mistake: which operator made it, and its inverse.

Leaves are compared without comments, docstrings and layout. What differs must be one leaf, or two
leaves in each other's place, or a ``not`` or the prefix ``name.`` that one of the files lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING
from codemlm.injection import KIND_OF_ROLE, Kind, operator_kind
from codemlm.syntax import ParsedFile, node_type_names, parse
from codemlm.types import NAME_ROLES, Role
from codemlm_corpus.mining.lines import common_ends

_MAX_SWAP = 24
"""Leaves between the two of a swap, and these two: the arguments of one call."""

_REASON_OF_ROLE = {
    Role.STRING: "string",
    Role.FSTRING: "string",
    Role.IMPORT: "import",
    Role.MODULE: "import",
    Role.TYPE: "annotation",
    Role.PARAMETER: "binding",
    Role.BINDING: "binding",
    Role.GLOBAL: "binding",
    Role.DEFINITION: "definition",
}
_PLAIN_NAMES = (Role.READ, Role.UPDATE, Role.CALL, Role.BINDING)
_SWAPPABLE = (Role.READ, Role.NUMBER, Role.STRING, Role.CONSTANT)


@dataclass(frozen=True, slots=True)
class Difference:
    """One mistake in ``before``, and the edits that undo it.

    Attributes:
        kind: of ``codemlm.fixes.FIX_KINDS``: the mistake, not the fix.
        leaf: index of the wrong leaf in the parent's file: of a swap the first; for a ``not`` that
            is missing the leaf that it goes before; for a prefix the name.
        other: index of the second leaf of a swap, else -1.
        fixed: index in the fixed file of the leaf that ``leaf`` became.
        edits: (start, end, text) in the parent's file.
        before, after: text of the wrong leaf, and of what was meant.
    """

    kind: str
    leaf: int
    other: int
    fixed: int
    edits: tuple[tuple[int, int, str], ...]
    before: str
    after: str


def difference(old: ParsedFile, new: ParsedFile) -> Difference | str:
    """The one mistake between two files; a ``str`` says why there is none."""
    comparison = _Comparison(old, new)
    found = comparison.run()
    if isinstance(found, str):
        return found
    return found if _is_complete(old, new, found) else "layout"


def code_leaves(parsed: ParsedFile) -> np.ndarray:
    """Leaves that are neither comments nor docstrings: int64 (N,), in source order."""
    names = node_type_names(parsed.language)
    statement = names.index("expression_statement")
    alone = (parsed.roles == Role.STRING) & (parsed.parents == statement)
    return np.flatnonzero((parsed.roles != Role.COMMENT) & ~alone)


def leaf_texts(parsed: ParsedFile, leaves: np.ndarray) -> list[str]:
    """Texts of leaves."""
    return [parsed.texts[i] for i in parsed.text_ids[leaves].tolist()]


def _is_complete(old: ParsedFile, new: ParsedFile, found: Difference) -> bool:
    """Whether the edits make the new file, but for comments, docstrings and layout.

    Layout can carry meaning (a line moved out of a loop has the same leaves), so the trees have to
    agree too.
    """
    parts, position = [], 0
    for start, end, text in found.edits:
        parts += [old.source[position:start], text.encode()]
        position = end
    made = b"".join(parts) + old.source[position:]
    if made == new.source:
        return True
    parsed = parse(made)
    if parsed.node_kinds != new.node_kinds or parsed.node_parents != new.node_parents:
        return False
    return leaf_texts(parsed, code_leaves(parsed)) == leaf_texts(new, code_leaves(new))


class _Comparison:
    """Compares the leaves of two files, and names what differs."""

    def __init__(self, old: ParsedFile, new: ParsedFile) -> None:
        self.old, self.new = old, new
        self.names = node_type_names(old.language)
        self.old_leaves, self.new_leaves = code_leaves(old), code_leaves(new)
        self.old_texts = leaf_texts(old, self.old_leaves)
        self.new_texts = leaf_texts(new, self.new_leaves)
        self.low, self.high = common_ends(self.old_texts, self.new_texts)

    def run(self) -> Difference | str:
        first = self.old_texts[self.low : len(self.old_texts) - self.high]
        second = self.new_texts[self.low : len(self.new_texts) - self.high]
        if not first and not second:
            return "comment-only"
        if len(first) == len(second) == 1:
            return self._substitution()
        if not first and len(second) <= 2:
            return self._inserted(second)
        if not second and len(first) <= 2:
            return self._removed(first)
        swapped = len(first) == len(second) and first[0] == second[-1] and first[-1] == second[0]
        if swapped and first[1:-1] == second[1:-1] and len(first) <= _MAX_SWAP:
            return self._swap(len(first))
        return "two-places" if len(first) == len(second) else "no-operator"

    def _old(self, place: int) -> int:
        return int(self.old_leaves[place])

    def _new(self, place: int) -> int:
        return int(self.new_leaves[place])

    def _span(self, leaf: int) -> tuple[int, int]:
        return int(self.old.starts[leaf]), int(self.old.ends[leaf])

    # -- one leaf for another ------------------------------------------------------------------

    def _substitution(self) -> Difference | str:
        leaf, fixed = self._old(self.low), self._new(self.low)
        shown, meant = self.old.text(leaf), self.new.text(fixed)
        role, new_role = Role(int(self.old.roles[leaf])), Role(int(self.new.roles[fixed]))
        kind = self._substitution_kind(role, new_role, shown, meant)
        if not isinstance(kind, Kind):
            return kind
        edits = ((*self._span(leaf), meant),)
        return Difference(kind.value, leaf, -1, fixed, edits, shown, meant)

    def _substitution_kind(self, role: Role, new_role: Role, shown: str, meant: str) -> Kind | str:
        if role is Role.OPERATOR and new_role is Role.OPERATOR:
            return self._operator(shown, meant)
        if role in NAME_ROLES and new_role in NAME_ROLES and role is not new_role:
            return "no-operator"
        if role is not new_role:
            return "no-operator"
        if role in _REASON_OF_ROLE:
            return _REASON_OF_ROLE[role]
        if role is Role.CONSTANT and not {shown, meant} <= set(self.old.language.constants):
            return "no-operator"
        return KIND_OF_ROLE.get(role, "no-operator")

    def _operator(self, shown: str, meant: str) -> Kind | str:
        spec = self.old.language
        kind, other = operator_kind(spec, shown), operator_kind(spec, meant)
        if kind is None or other is None:
            return "no-operator"
        same = any({shown, meant} <= set(members) for members in spec.operator_classes.values())
        if same:
            return kind
        if shown not in spec.operator_neighbours.get(meant, ()):
            return "no-operator"
        return other if kind is Kind.COMPARISON else kind  # named by the rarer class

    # -- leaves that one of the files lacks ----------------------------------------------------

    def _inserted(self, added: Sequence[str]) -> Difference | str:
        if len(added) == 1:
            return self._negation_missing() if added[0] == "not" else "no-operator"
        found = self._prefix(added, self.old, self.old_texts, self.old_leaves, self.new_leaves)
        if found is None:
            return "no-operator"
        place, prefix = found
        leaf, fixed = self._old(place), self._new(place + 2)
        start, shown = int(self.old.starts[leaf]), self.old.text(leaf)
        edits = ((start, start, f"{prefix}."),)
        meant = f"{prefix}.{shown}"
        return Difference(PREFIX_MISSING, leaf, -1, fixed, edits, shown, meant)

    def _removed(self, gone: Sequence[str]) -> Difference | str:
        if len(gone) == 1:
            return self._negation_added() if gone[0] == "not" else "no-operator"
        found = self._prefix(gone, self.new, self.new_texts, self.new_leaves, self.old_leaves)
        if found is None:
            return "no-operator"
        place, prefix = found
        leaf, fixed = self._old(place + 2), self._new(place)
        shown = self.old.text(leaf)
        edits = ((int(self.old.starts[self._old(place)]), int(self.old.starts[leaf]), ""),)
        return Difference(PREFIX_ADDED, leaf, -1, fixed, edits, f"{prefix}.{shown}", shown)

    def _prefix(
        self,
        extra: Sequence[str],
        short: ParsedFile,
        texts: list[str],
        leaves: np.ndarray,
        long_leaves: np.ndarray,
    ) -> tuple[int, str] | None:
        """Place of the plain name that has the prefix in the longer file, and the prefix.

        ``a.b`` within ``a.a.b`` can be told to lack its first or its second leaf: the one that
        makes a plain name of the shorter file an attribute of the longer one is taken. Where there
        is none, a prefix within a chain: ``self.name`` for ``self.owner.name``.
        """
        place, pair = self.low, list(extra)
        longer = self.new if short is self.old else self.old
        chained: tuple[int, str] | None = None
        for _ in range(3):
            if pair[1] == "." and pair[0].isidentifier() and place < len(leaves):
                role = Role(int(short.roles[leaves[place]]))
                leaf = int(long_leaves[place + 2])
                long_role = Role(int(longer.roles[leaf]))
                members = (Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING)
                if role in _PLAIN_NAMES and long_role in members:
                    return place, pair[0]
                if role in members and long_role in members:
                    chained = place, pair[0]
            if place == 0 or texts[place - 1] != pair[-1]:
                break
            place -= 1
            pair = [texts[place], pair[0]]
        return chained

    def _negation_missing(self) -> Difference | str:
        fixed, leaf = self._new(self.low), self._old(self.low)
        if self.names[self.new.parents[fixed]] != self.new.language.negation_parent:
            return "no-operator"
        start = int(self.old.starts[leaf])
        beside = self.old.source[start - 1 : start]
        word = " not " if beside.isalnum() or beside == b"_" else "not "
        edits = ((start, start, word),)
        return Difference(Kind.NEGATION_DROPPED.value, leaf, -1, fixed, edits, "", "")

    def _negation_added(self) -> Difference | str:
        leaf, fixed = self._old(self.low), self._new(self.low)
        if self.names[self.old.parents[leaf]] != self.old.language.negation_parent:
            return "no-operator"
        end = int(self.old.starts[self._old(self.low + 1)])
        edits = ((int(self.old.starts[leaf]), end, ""),)
        return Difference(Kind.NEGATION_ADDED.value, leaf, -1, fixed, edits, "", "")

    # -- two leaves in each other's place ------------------------------------------------------

    def _swap(self, count: int) -> Difference | str:
        leaf, other = self._old(self.low), self._old(self.low + count - 1)
        roles = {Role(int(self.old.roles[leaf])), Role(int(self.old.roles[other]))}
        siblings = self.old.parent_nodes[leaf] == self.old.parent_nodes[other]
        if not siblings or not roles <= set(_SWAPPABLE):
            return "no-operator"
        between = self._old(self.low + 1)
        if self.names[self.old.parents[leaf]] == self.old.language.argument_list:
            kind = Kind.ARGUMENT_SWAP
        elif (
            count == 3
            and self.old.roles[between] == Role.OPERATOR
            and self.old.text(between) in self.old.language.swappable
        ):
            kind = Kind.OPERAND_SWAP
        else:
            return "no-operator"
        shown, meant = self.old.text(leaf), self.old.text(other)
        edits = ((*self._span(leaf), meant), (*self._span(other), shown))
        return Difference(kind.value, leaf, other, self._new(self.low), edits, shown, meant)
