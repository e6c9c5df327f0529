"""Sites: the places of a file where a leaf could have been mistaken, and the finders of them.

A leaf to substitute, two leaves to swap, or a condition to negate. `codemlm.injection` turns a site
into concrete mistakes, and explains what they are for; import these names from there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from codemlm.languages import LanguageSpec
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role


class Kind(StrEnum):
    """Kinds of mistakes."""

    VARIABLE = "variable"
    ATTRIBUTE = "attribute"
    FUNCTION = "function"
    KEYWORD_ARGUMENT = "keyword-argument"
    COMPARISON = "comparison"
    IDENTITY = "identity"
    MEMBERSHIP = "membership"
    BOOLEAN_OPERATOR = "boolean-operator"
    ARITHMETIC = "arithmetic"
    AUGMENTED = "augmented"
    CONSTANT = "constant"
    NUMBER = "number"
    ARGUMENT_SWAP = "argument-swap"
    OPERAND_SWAP = "operand-swap"
    NEGATION_ADDED = "negation-added"
    NEGATION_DROPPED = "negation-dropped"


KIND_OF_ROLE = {
    Role.READ: Kind.VARIABLE,
    Role.UPDATE: Kind.VARIABLE,
    Role.CALL: Kind.FUNCTION,
    Role.METHOD: Kind.FUNCTION,
    Role.ATTRIBUTE: Kind.ATTRIBUTE,
    Role.ATTRIBUTE_BINDING: Kind.ATTRIBUTE,
    Role.KEYWORD_ARGUMENT: Kind.KEYWORD_ARGUMENT,
    Role.NUMBER: Kind.NUMBER,
    Role.CONSTANT: Kind.CONSTANT,
}
"""The kind of mistake that another text is at a leaf, by role; operators go by their class."""

_CLASS_KINDS = {
    "comparison": Kind.COMPARISON,
    "identity": Kind.IDENTITY,
    "membership": Kind.MEMBERSHIP,
    "boolean": Kind.BOOLEAN_OPERATOR,
    "arithmetic": Kind.ARITHMETIC,
    "bitwise": Kind.ARITHMETIC,
    "augmented": Kind.AUGMENTED,
}
_MAX_CHOICES = 64
_MAX_NAMES = 256
_MAX_NUMBER = 10_000
_SWAPPABLE_ROLES = (Role.READ, Role.NUMBER, Role.STRING, Role.CONSTANT)
_WORD_BYTES = frozenset(b for b in range(256) if b >= 0x80 or chr(b).isalnum() or chr(b) == "_")


@dataclass(frozen=True, slots=True)
class Site:
    """A place where a mistake of one kind is possible.

    Attributes:
        kind: the mistake.
        leaf: the leaf that is substituted, or the first of a swap, or the leaf that ``not`` is put
            before (NEGATION_ADDED), or the ``not`` itself (NEGATION_DROPPED).
        other: the second leaf of a swap, else -1.
        near, far: indices into ``Sites.choices``, -1 for none: likelier and less likely texts that
            the author may have mistaken the leaf for.
    """

    kind: Kind
    leaf: int
    other: int = -1
    near: int = -1
    far: int = -1


@dataclass(slots=True)
class Sites:
    """All sites of a file, with the sets of alternative texts that they share.

    Attributes:
        choices: sets of texts; each keeps the order in which its members were met.
        excluded: texts that a site must not take, by leaf (other keywords of the same call).
    """

    sites: list[Site] = field(default_factory=list)
    choices: list[tuple[str, ...]] = field(default_factory=list)
    excluded: dict[int, frozenset[str]] = field(default_factory=dict)
    _index: dict[tuple[str, ...], int] = field(default_factory=dict)

    def choice_set(self, texts: Sequence[str]) -> int:
        """Index of the set ``texts`` in ``choices``, added if new; -1 for an empty one."""
        key = tuple(texts)
        if not key:
            return -1
        if key not in self._index:
            self._index[key] = len(self.choices)
            self.choices.append(key)
        return self._index[key]

    def alternatives(self, site: Site, shown: str) -> list[str]:
        """Texts that may replace ``shown`` at a substitution site, likelier ones first."""
        seen = {shown} | self.excluded.get(site.leaf, frozenset())
        found = []
        for index in (site.near, site.far):
            for text in self.choices[index] if index >= 0 else ():
                if text not in seen:
                    seen.add(text)
                    found.append(text)
        return found


def find_sites(parsed: ParsedFile) -> Sites:
    """Every site of a file, in no particular order."""
    return _Finder(parsed).run()


def operator_kind(language: LanguageSpec, text: str) -> Kind | None:
    """Kind of mistake that belongs to the operator ``text``, None if it has no class."""
    for name, members in language.operator_classes.items():
        if text in members:
            return _CLASS_KINDS[name]
    return None


class _Finder:
    """Lists sites from the columns of a parsed file."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.spec = parsed.language
        self.sites = Sites()
        self.texts: list[str] = [parsed.texts[i] for i in parsed.text_ids]
        self.roles = [Role(int(r)) for r in parsed.roles]
        self.names = node_type_names(self.spec)
        self.by_role: dict[Role, list[int]] = defaultdict(list)
        for index, role in enumerate(self.roles):
            self.by_role[role].append(index)

    def run(self) -> Sites:
        self._variables()
        self._members((Role.ATTRIBUTE, Role.ATTRIBUTE_BINDING), Kind.ATTRIBUTE)
        self._members((Role.METHOD,), Kind.FUNCTION)
        self._functions()
        self._keyword_arguments()
        self._operators()
        self._literals()
        self._argument_swaps()
        self._operand_swaps()
        self._negations()
        return self.sites

    def _add(self, kind: Kind, leaf: int, near: int, far: int) -> None:
        if near >= 0 or far >= 0:
            site = Site(kind, leaf, near=near, far=far)
            if self.sites.alternatives(site, self.texts[leaf]):
                self.sites.sites.append(site)

    def _function_names(self, scope: int) -> list[str]:
        """Names bound in the scope and the function scopes around it, innermost first."""
        parsed, found = self.parsed, []
        while scope > 0:
            entry = parsed.scopes[scope]
            if entry.kind != "class":
                ordered = sorted(entry.bindings.items(), key=lambda item: item[1])
                found += [parsed.texts[t] for t, _ in ordered]
            scope = entry.parent
        return list(dict.fromkeys(found))[:_MAX_CHOICES]

    def _variables(self) -> None:
        parsed = self.parsed
        module = {parsed.texts[t] for t in parsed.scopes[0].bindings}
        reads: dict[int, Counter[str]] = defaultdict(Counter)
        leaves = self.by_role[Role.READ] + self.by_role[Role.UPDATE]
        for leaf in leaves:
            reads[int(parsed.scopes_of[leaf])][self.texts[leaf]] += 1
        near_of: dict[int, tuple[int, frozenset[str]]] = {}
        far_of: dict[int, int] = {}
        for leaf in leaves:
            scope, text = int(parsed.scopes_of[leaf]), self.texts[leaf]
            if scope not in near_of:
                local = self._function_names(scope)
                near_of[scope] = (self.sites.choice_set(local), frozenset(local))
                known = [t for t in reads[scope] if t in module or t in near_of[scope][1]]
                far_of[scope] = self.sites.choice_set(known[:_MAX_CHOICES])
            near, local_names = near_of[scope]
            if self.roles[leaf] is Role.UPDATE:
                before = self._bound_before(leaf, scope)
                if text in before and text in local_names:
                    bound = [t for t in self.sites.choices[near] if t in before]
                    self._add(Kind.VARIABLE, leaf, self.sites.choice_set(bound), -1)
            elif text in local_names:
                self._add(Kind.VARIABLE, leaf, near, far_of[scope])
            elif text in module and reads[scope][text] > 1:
                self._add(Kind.VARIABLE, leaf, far_of[scope], near)

    def _bound_before(self, leaf: int, scope: int) -> frozenset[str]:
        """Names that the leaf's own scope binds before it: what an update may be of."""
        start, bindings = int(self.parsed.starts[leaf]), self.parsed.scopes[scope].bindings
        return frozenset(self.parsed.texts[t] for t, first in bindings.items() if first < start)

    def _touches_word(self, leaf: int, *, after: bool = True) -> bool:
        """Whether a word ends right before the leaf or begins right after it, as in ``1if(a)``."""
        source, start, end = self.parsed.source, self.parsed.starts[leaf], self.parsed.ends[leaf]
        beside = source[max(0, start - 1) : start] + source[end : end + 1] * after
        return any(byte in _WORD_BYTES for byte in beside)

    def _receiver(self, leaf: int) -> str:
        """Text of the name before the dot, or "" where the receiver is no plain name."""
        if leaf >= 2 and self.texts[leaf - 2].isidentifier():
            return self.texts[leaf - 2]
        return ""

    def _members(self, roles: tuple[Role, ...], kind: Kind) -> None:
        leaves = sorted(leaf for role in roles for leaf in self.by_role[role])
        counts = Counter(self.texts[leaf] for leaf in leaves)
        by_receiver: dict[str, dict[str, None]] = defaultdict(dict)
        for leaf in leaves:
            by_receiver[self._receiver(leaf)][self.texts[leaf]] = None
        far = self.sites.choice_set(list(counts)[:_MAX_NAMES])
        far_set = set(self.sites.choices[far]) if far >= 0 else set()
        for leaf in leaves:
            text = self.texts[leaf]
            if counts[text] < 2 or text not in far_set:
                continue  # replaced, it would be gone from the file, and the rewrite not be undone
            near = [t for t in by_receiver[self._receiver(leaf)] if t in far_set]
            self._add(kind, leaf, self.sites.choice_set(near), far)

    def _functions(self) -> None:
        counts = Counter(self.texts[leaf] for leaf in self.by_role[Role.CALL])
        known = list(counts)[:_MAX_NAMES]
        choices, members = self.sites.choice_set(known), set(known)
        for leaf in self.by_role[Role.CALL]:
            if self.texts[leaf] in members and counts[self.texts[leaf]] > 1:
                self._add(Kind.FUNCTION, leaf, choices, -1)

    def _keyword_arguments(self) -> None:
        parsed = self.parsed
        leaves = self.by_role[Role.KEYWORD_ARGUMENT]
        counts = Counter(self.texts[leaf] for leaf in leaves)
        known = [t for t, n in counts.most_common(_MAX_NAMES)]
        choices, members = self.sites.choice_set(known), set(known)
        siblings: dict[int, set[str]] = defaultdict(set)
        call_of = {leaf: parsed.node_parents[int(parsed.parent_nodes[leaf])] for leaf in leaves}
        for leaf in leaves:
            siblings[call_of[leaf]].add(self.texts[leaf])
        for leaf in leaves:
            text = self.texts[leaf]
            if counts[text] > 1 and text in members:
                self.sites.excluded[leaf] = frozenset(siblings[call_of[leaf]] - {text})
                self._add(Kind.KEYWORD_ARGUMENT, leaf, choices, -1)

    def _operators(self) -> None:
        class_of = {
            op: (name, members)
            for name, members in self.spec.operator_classes.items()
            for op in members
        }
        for leaf in self.by_role[Role.OPERATOR]:
            text = self.texts[leaf]
            if text not in class_of or self.names[self.parsed.parents[leaf]] in self.spec.unary:
                continue
            name, members = class_of[text]
            kind = _CLASS_KINDS[name]
            if kind is Kind.ARITHMETIC and self._beside_string(leaf):
                continue  # string formatting and joining, where no other operator is plausible
            neighbours = self.spec.operator_neighbours.get(text, ())
            if self._touches_word(leaf):  # a==b, which "is" would make one name
                if text[0].isalpha():
                    continue
                neighbours = tuple(t for t in neighbours if not t[0].isalpha())
            near, far = self.sites.choice_set(members), self.sites.choice_set(neighbours)
            self._add(kind, leaf, near, far)

    def _beside_string(self, leaf: int) -> bool:
        strings = (Role.STRING, Role.FSTRING)
        beside = [i for i in (leaf - 1, leaf + 1) if 0 <= i < len(self.roles)]
        return any(self.roles[i] in strings or self.texts[i][-1:] in "\"'" for i in beside)

    def _literals(self) -> None:
        choices = self.sites.choice_set(self.spec.constants)
        for leaf in self.by_role[Role.CONSTANT]:
            if self.texts[leaf] in self.spec.constants and not self._touches_word(leaf):
                self._add(Kind.CONSTANT, leaf, choices, -1)
        for leaf in self.by_role[Role.NUMBER]:
            text = self.texts[leaf]
            if not text.isascii() or not text.isdigit() or len(text) > len(str(_MAX_NUMBER)):
                continue
            value = int(text)
            if value > _MAX_NUMBER or str(value) != text or self._touches_word(leaf):
                continue
            near = {value - 1, value + 1} | ({0, 1, 2} if value <= 2 else set())
            ordered = [str(n) for n in sorted(near | {value}) if 0 <= n <= _MAX_NUMBER]
            self._add(Kind.NUMBER, leaf, self.sites.choice_set(ordered), -1)

    def _argument_swaps(self) -> None:
        parsed = self.parsed
        groups: dict[int, list[int]] = defaultdict(list)
        for role in _SWAPPABLE_ROLES:
            for leaf in self.by_role[role]:
                inside = self.names[parsed.parents[leaf]] == self.spec.argument_list
                if inside and not self._touches_word(leaf):
                    groups[int(parsed.parent_nodes[leaf])].append(leaf)
        for group in groups.values():
            ordered = sorted(group)[:6]
            for i, first in enumerate(ordered):
                for second in ordered[i + 1 : i + 3]:
                    if self.texts[first] != self.texts[second]:
                        self.sites.sites.append(Site(Kind.ARGUMENT_SWAP, first, second))

    def _operand_swaps(self) -> None:
        parsed = self.parsed
        for leaf in self.by_role[Role.OPERATOR]:
            if self.texts[leaf] not in self.spec.swappable or not 0 < leaf < len(self.roles) - 1:
                continue
            node = int(parsed.parent_nodes[leaf])
            left, right = leaf - 1, leaf + 1
            whole = (
                parsed.node_starts[node] == parsed.starts[left]
                and parsed.node_ends[node] == parsed.ends[right]
                and node == parsed.parent_nodes[left] == parsed.parent_nodes[right]
            )
            plain = self.roles[left] in _SWAPPABLE_ROLES and self.roles[right] in _SWAPPABLE_ROLES
            if whole and plain and self.texts[left] != self.texts[right]:
                if self.texts[leaf] == "%" and self._beside_string(leaf):
                    continue
                if self._touches_word(left) or self._touches_word(right):
                    continue
                self.sites.sites.append(Site(Kind.OPERAND_SWAP, left, right))

    def _negations(self) -> None:
        parsed = self.parsed
        negation_nodes: set[int] = set()
        for start, _end, kind, _parent in parsed.conditions:
            name = self.names[kind]
            if name in self.spec.negatable:
                leaf = int(np.searchsorted(parsed.starts, start))
                begins = leaf < len(self.roles) and parsed.starts[leaf] == start
                if begins and not self._touches_word(leaf, after=False):  # not "if(a)"
                    self.sites.sites.append(Site(Kind.NEGATION_ADDED, leaf))
            elif name == self.spec.negation_parent:
                negation_nodes.add(start)
        argument_kinds = self._negated_kinds()
        for leaf in self.by_role[Role.OPERATOR]:
            start = int(parsed.starts[leaf])
            if self.texts[leaf] != self.spec.negation or start not in negation_nodes:
                continue
            node = int(parsed.parent_nodes[leaf])
            if leaf + 1 == len(self.roles):
                continue
            gap = parsed.source[int(parsed.ends[leaf]) : int(parsed.starts[leaf + 1])]
            plain = argument_kinds.get(node) in self.spec.negatable
            plain = plain or self._is_leaf_argument(leaf, node)
            if gap == b" " and plain:
                self.sites.sites.append(Site(Kind.NEGATION_DROPPED, leaf))

    def _negated_kinds(self) -> dict[int, str]:
        """Node type of the argument of each negation, where the argument is no leaf."""
        parsed, found = self.parsed, {}
        for node, parent in enumerate(parsed.node_parents):
            if parent >= 0 and self.names[parsed.node_kinds[parent]] == self.spec.negation_parent:
                found[parent] = self.names[parsed.node_kinds[node]]
        return found

    def _is_leaf_argument(self, leaf: int, node: int) -> bool:
        following = leaf + 1
        return (
            int(self.parsed.parent_nodes[following]) == node
            and self.names[self.parsed.kinds[following]] in self.spec.negatable
        )
