"""Source bytes to leaves; with `grammar`, the only module that knows tree-sitter.

A file is kept in columns (lists of equal length, one entry a leaf), because a scan reads hundreds
of thousands of leaves a second and an object for each would cost more than the parse.
``ParsedFile.leaf`` gives one leaf as an object.

Leaves are the childless nodes of the concrete syntax tree, with two exceptions that the language
table lists: atomic nodes (a plain string, ``is not``) are one leaf, and nodes below an ERROR node
give none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tree_sitter import Node

from codemlm.errors import SourceError
from codemlm.fragments import Fragment, Fragments, Scope
from codemlm.grammar import MAX_NODE_TYPES, grammar_of
from codemlm.languages import PYTHON, LanguageSpec
from codemlm.types import BINDING_ROLES, Leaf, Role, Span

__all__ = ["MAX_NODE_TYPES", "ParsedFile", "Scope", "node_type_names", "parse", "parses"]


@dataclass(slots=True)
class ParsedFile:
    """A source file as columns of leaves, in source order.

    Attributes:
        source: the bytes that were parsed (UTF-8).
        language: its table.
        starts, ends: byte spans of leaves, half open.
        roles: ``Role`` numbers.
        kinds, parents, grandparents: grammar node type ids of the leaf, its parent and grandparent.
        parent_nodes: id of the parent node (equal for siblings), an index into the ``node_*``
        columns.
        scopes_of: index of the leaf's scope in ``scopes``.
        text_ids: index of the leaf's text in ``texts``.
        texts: distinct leaf texts, in order of first appearance in the walk.
        scopes: scopes; 0 is the module.
        node_kinds, node_parents, node_starts, node_ends: inner nodes; the parent of the root is -1.
        conditions: (start, end, type id, parent node) of every node in a place that holds a truth
        value.
        error_spans: byte ranges that did not parse.
        leaf_texts, leaf_roles: text and role of each leaf: what is asked for one leaf at a time is
        three times faster to get from lists than from arrays.
    """

    source: bytes
    language: LanguageSpec
    starts: np.ndarray
    ends: np.ndarray
    roles: np.ndarray
    kinds: np.ndarray
    parents: np.ndarray
    grandparents: np.ndarray
    parent_nodes: np.ndarray
    scopes_of: np.ndarray
    text_ids: np.ndarray
    texts: list[str]
    scopes: list[Scope]
    node_kinds: list[int]
    node_parents: list[int]
    node_starts: list[int]
    node_ends: list[int]
    conditions: list[tuple[int, int, int, int]]
    error_spans: list[Span]
    leaf_texts: list[str] = field(init=False)
    leaf_roles: list[int] = field(init=False)

    def __post_init__(self) -> None:
        texts = self.texts
        self.leaf_texts = [texts[i] for i in self.text_ids.tolist()]
        self.leaf_roles = self.roles.tolist()

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, index: int) -> str:
        """Text of leaf ``index``."""
        return self.leaf_texts[index]

    def leaf(self, index: int) -> Leaf:
        """Leaf ``index`` as an object."""
        names = node_type_names(self.language)
        return Leaf(
            index=index,
            span=Span(int(self.starts[index]), int(self.ends[index])),
            text=self.text(index),
            role=Role(int(self.roles[index])),
            kind=names[self.kinds[index]],
            parent=names[self.parents[index]],
            grandparent=names[self.grandparents[index]],
            scope=int(self.scopes_of[index]),
        )

    def leaves(self) -> list[Leaf]:
        """All leaves as objects, in source order."""
        return [self.leaf(i) for i in range(len(self))]

    @property
    def has_error(self) -> bool:
        """Whether some part of the file did not parse."""
        return bool(self.error_spans)


def node_type_names(spec: LanguageSpec = PYTHON) -> list[str]:
    """Grammar node types by id; index 0 is the grammar's end marker and stands for none."""
    return grammar_of(spec.name).names


class _Walk:
    """One walk over a tree; a class so that its parts share columns without long signatures.

    Args:
        source: the text.
        spec: of its language.
        fragments: parts that may be known from an earlier version of the text.
    """

    def __init__(
        self, source: bytes, spec: LanguageSpec, fragments: Fragments | None = None
    ) -> None:
        self.source = source
        self.spec = spec
        self.fragments = fragments
        self.tables = grammar_of(spec.name)
        self.rows: list[tuple[int, int, int, int, int, int, int, int, int]] = []
        self.known_rows: list[np.ndarray] = []
        self.text_of: dict[bytes, int] = {}
        self.scopes = [Scope("module", -1, 0, len(source))]
        self.node_kinds: list[int] = []
        self.node_parents: list[int] = []
        self.node_starts: list[int] = []
        self.node_ends: list[int] = []
        self.conditions: list[tuple[int, int, int, int]] = []
        self.errors: list[Span] = []

    def run(self, root: Node, parent_kind: int = 0, mode: Role = Role.READ) -> None:
        """Fills the columns. Order of visits is free: rows are sorted by start afterwards.

        But a node and all below it are visited before any other one: parts can be known as a whole.
        """
        count = len(self.tables.names)
        stack: list[tuple[Node, int, int, Role, int]] = [(root, -1, parent_kind, mode, 0)]
        parts = self.tables.is_function if self.fragments is not None else [False] * count
        while stack:
            node, parent_node, parent_kind, mode, scope = stack.pop()
            kind = node.kind_id
            if kind >= count:  # ERROR: nothing below it is known to be what it seems
                self.errors.append(Span(node.start_byte, node.end_byte))
                continue
            if parts[kind] and self._recall(node, parent_node, parent_kind, mode, scope):
                continue
            self._visit(node, kind, parent_node, parent_kind, mode, scope, stack)

    def _recall(
        self, node: Node, parent_node: int, parent_kind: int, mode: Role, scope: int
    ) -> bool:
        """Adds a function and all below it, which is walked alone if it is new; whether it could.

        The same text in the same role has the same tree, unless there are errors in it.
        """
        assert self.fragments is not None
        if node.has_error or self.scopes[scope].kind == "comprehension":
            return False
        start = node.start_byte
        key = (node.kind_id, parent_kind, int(mode), self.source[start : node.end_byte])
        fragment = self.fragments.get(key)
        if fragment is None:
            alone = _Walk(self.source, self.spec)
            alone.run(node, parent_kind, mode)
            fragment = Fragment.cut(alone, start)
            self.fragments.put(key, fragment)
        fragment.add_to(self, start, parent_node, scope)
        return True

    def bind(self, scope: int, text: int, start: int) -> None:
        """Notes where a name is bound in a scope; the first place counts."""
        first = self.scopes[scope].bindings.get(text)
        if first is None or start < first:
            self.scopes[scope].bindings[text] = start

    def _visit(  # noqa: C901  # the hot loop of a scan, kept in one piece
        self,
        node: Node,
        kind: int,
        parent_node: int,
        parent_kind: int,
        mode: Role,
        scope: int,
        stack: list[tuple[Node, int, int, Role, int]],
    ) -> None:
        tables = self.tables
        node_id = len(self.node_kinds)
        self.node_kinds.append(kind)
        self.node_parents.append(parent_node)
        self.node_starts.append(node.start_byte)
        self.node_ends.append(node.end_byte)

        rules = tables.field_rules[kind]
        handed = tables.transparent[kind]
        handed = handed or (mode is Role.BINDING and tables.binding_transparent[kind])
        default = mode if handed else Role.READ
        if rules is not None:
            default = rules.get(None, default)
        inner_scope = scope
        scope_rule = tables.scope_rule[kind]
        if scope_rule is not None:
            inner_scope = len(self.scopes)
            self.scopes.append(Scope(scope_rule.kind, scope, node.start_byte, node.end_byte))
        needs_fields = tables.needs_fields[kind]
        conditions = tables.condition_fields[kind]
        escapes = tables.escape_fields[kind]
        children = node.children
        if tables.dotted[kind]:
            self._dotted(children, mode, parent_kind, kind, node_id, scope)
            return
        is_identifier, atomic = tables.is_identifier, tables.atomic
        for position, child in enumerate(children):
            child_kind = child.kind_id
            role, child_scope = default, inner_scope
            if position and tables.first_only[kind]:
                role = Role.READ
            field_name: str | None = None
            if needs_fields:
                field_name = node.field_name_for_child(position)
                if field_name is not None:
                    if rules is not None and field_name in rules:
                        role = rules[field_name]
                    if escapes is not None and field_name in escapes:
                        child_scope = max(self.scopes[inner_scope].parent, 0)
                if scope_rule is not None and scope_rule.fields is not None:
                    child_scope = inner_scope if field_name in scope_rule.fields else scope
            if (
                conditions is not None
                and field_name in conditions
                and child.is_named
                and child_kind < len(is_identifier)  # no ERROR
            ):
                self.conditions.append((child.start_byte, child.end_byte, child_kind, node_id))
            if child_kind < len(is_identifier) and is_identifier[child_kind]:
                if role is Role.ATTRIBUTE:
                    role = self.spec.member_roles.get(mode, Role.ATTRIBUTE)
                self._name(child, role, kind, parent_kind, node_id, child_scope)
            elif child.child_count and self._divisible(child, child_kind, atomic):
                if child_kind < len(tables.kind_mode) and role is not Role.BINDING:
                    role = tables.kind_mode[child_kind] or role
                stack.append((child, node_id, kind, role, child_scope))
            else:
                self._other(child, child_kind, kind, parent_kind, node_id, child_scope)

    @staticmethod
    def _divisible(child: Node, kind: int, atomic: list[frozenset[str] | None]) -> bool:
        forbidden = atomic[kind] if kind < len(atomic) else None
        if forbidden is None:
            return True
        return bool(forbidden) and any(c.type in forbidden for c in child.children)

    def _dotted(
        self,
        children: list[Node],
        mode: Role,
        parent_kind: int,
        kind: int,
        node_id: int,
        scope: int,
    ) -> None:
        names = [c for c in children if c.child_count == 0 and c.is_named]
        first = mode
        if len(names) == 1 and self.tables.capture[parent_kind]:
            first = Role.BINDING
        elif mode in (Role.BINDING, Role.KEYWORD_ARGUMENT):
            first = Role.READ
        rest = Role.MODULE if mode in (Role.IMPORT, Role.MODULE) else Role.ATTRIBUTE
        seen = False
        for child in children:
            child_kind = child.kind_id
            if (
                child_kind < len(self.tables.is_identifier)
                and self.tables.is_identifier[child_kind]
            ):
                self._name(child, rest if seen else first, kind, parent_kind, node_id, scope)
                seen = True
            else:
                self._other(child, child_kind, kind, parent_kind, node_id, scope)

    def _text_id(self, start: int, end: int) -> int:
        text = self.source[start:end]
        found = self.text_of.get(text)
        if found is None:
            found = self.text_of[text] = len(self.text_of)
        return found

    def _name(
        self, node: Node, role: Role, parent: int, grandparent: int, node_id: int, scope: int
    ) -> None:
        start, end = node.start_byte, node.end_byte
        if start == end:
            return  # a MISSING node: the parser's guess, not the author's text
        text = self._text_id(start, end)
        self.rows.append(
            (start, end, role, node.kind_id, parent, grandparent, node_id, scope, text)
        )
        if role in BINDING_ROLES:
            target = scope
            if self.tables.escapes_comprehension[parent]:
                while self.scopes[target].kind == "comprehension":
                    target = self.scopes[target].parent
            self.bind(target, text, start)
        elif role is Role.GLOBAL:
            self.scopes[scope].outer.add(text)

    def _other(
        self, node: Node, child_kind: int, parent: int, grandparent: int, node_id: int, scope: int
    ) -> None:
        start, end = node.start_byte, node.end_byte
        tables = self.tables
        if child_kind >= len(tables.names):
            self.errors.append(Span(start, end))
            return
        if start == end or tables.skipped[child_kind]:
            if node.is_missing:
                self.errors.append(Span(start, end))
            return
        role = tables.role_of_leaf[child_kind]
        if tables.is_operator_parent[parent] and role in (Role.KEYWORD, Role.PUNCTUATION):
            role = Role.OPERATOR
        text = self._text_id(start, end)
        self.rows.append((start, end, role, child_kind, parent, grandparent, node_id, scope, text))


def parse(
    source: bytes, language: LanguageSpec = PYTHON, fragments: Fragments | None = None
) -> ParsedFile:
    """Leaves, roles and scopes of ``source``.

    Args:
        source: UTF-8 bytes (decode other encodings first; see ``decode_source``).
        language: the language's table.
        fragments: what is known of an earlier version, and from now on of this one; the result is
            the same without.

    Raises:
        SourceError: if ``source`` is not UTF-8.
    """
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"not UTF-8 at byte {error.start}: decode the file first") from error
    walk = _Walk(source, language, fragments)
    tree = walk.tables.parser.parse(source)
    walk.run(tree.root_node)
    rows = np.array(walk.rows, dtype=np.int64).reshape(-1, 9)
    rows = np.concatenate([rows, *walk.known_rows])
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return ParsedFile(
        source=source,
        language=language,
        starts=rows[:, 0].copy(),
        ends=rows[:, 1].copy(),
        roles=rows[:, 2].astype(np.uint8),
        kinds=rows[:, 3].astype(np.uint16),
        parents=rows[:, 4].astype(np.uint16),
        grandparents=rows[:, 5].astype(np.uint16),
        parent_nodes=rows[:, 6].astype(np.int32),
        scopes_of=rows[:, 7].astype(np.int32),
        text_ids=rows[:, 8].astype(np.int32),
        texts=[text.decode("utf-8") for text in walk.text_of],
        scopes=walk.scopes,
        node_kinds=walk.node_kinds,
        node_parents=walk.node_parents,
        node_starts=walk.node_starts,
        node_ends=walk.node_ends,
        conditions=walk.conditions,
        error_spans=sorted(walk.errors, key=lambda s: (s.start, s.end)),
    )


def parses(source: bytes, language: LanguageSpec = PYTHON) -> bool:
    """Whether all of a text (UTF-8) parses, at a fifth of the price of its leaves."""
    tree = grammar_of(language.name).parser.parse(source)
    # Inside of what counts as one leaf, errors are none.
    return not tree.root_node.has_error or not parse(source, language).has_error
