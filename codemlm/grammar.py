"""A language's grammar and its rules by node type: what a walk over a syntax tree asks for."""

from __future__ import annotations

import importlib
from functools import lru_cache

from tree_sitter import Language, Parser

from codemlm.languages import LANGUAGES, LanguageSpec
from codemlm.types import Role

MAX_NODE_TYPES = 512
"""Upper bound on grammar node types (the model's embedding table)."""


class Grammar:
    """A language's rules by grammar type id, resolved once."""

    def __init__(self, spec: LanguageSpec) -> None:
        self.grammar = Language(importlib.import_module(spec.grammar_module).language())
        self.parser = Parser(self.grammar)
        count = self.grammar.node_kind_count
        if count >= MAX_NODE_TYPES:
            raise ValueError(
                f"{spec.name}: {count} node types; the model has room for {MAX_NODE_TYPES}"
            )
        self.names = [self.grammar.node_kind_for_id(i) or "" for i in range(count)]
        # Aliased nodes have ids beyond the table's names; tree-sitter maps equal names to one
        # symbol for us through node.kind_id, so a table by id is complete.
        self.role_of_leaf = [self._leaf_role(spec, i) for i in range(count)]
        self.is_identifier = [self.names[i] in spec.identifiers for i in range(count)]
        self.atomic = [spec.atomic.get(name) for name in self.names]
        self.skipped = [name in spec.skipped for name in self.names]
        self.transparent = [name in spec.transparent for name in self.names]
        self.binding_transparent = [name in spec.binding_transparent for name in self.names]
        self.first_only = [name in spec.first_only for name in self.names]
        self.kind_mode = [spec.kind_modes.get(name, Role.NONE) for name in self.names]
        self.scope_rule = [spec.scopes.get(name) for name in self.names]
        self.is_function = [r is not None and r.kind == "function" for r in self.scope_rule]
        self.dotted = [name in spec.dotted for name in self.names]
        self.capture = [name in spec.capture for name in self.names]
        self.member = [name == spec.member[0] for name in self.names]
        self.is_operator_parent = [name in spec.operator_parents for name in self.names]
        self.escapes_comprehension = [
            name in spec.bound_outside_comprehension for name in self.names
        ]
        self.field_rules: list[dict[str | None, Role] | None] = [None] * count
        self.condition_fields: list[frozenset[str | None] | None] = [None] * count
        self.escape_fields: list[frozenset[str | None] | None] = [None] * count
        self.needs_fields = [False] * count
        for i, name in enumerate(self.names):
            rules = {f: role for (kind, f), role in spec.modes.items() if kind == name}
            if name == spec.member[0]:
                rules[spec.member[1]] = Role.ATTRIBUTE
            self.field_rules[i] = rules or None
            conditions = frozenset(f for kind, f in spec.conditions if kind == name)
            self.condition_fields[i] = conditions or None
            escapes = frozenset(f for kind, f in spec.scope_escapes if kind == name)
            self.escape_fields[i] = escapes or None
            scope = self.scope_rule[i]
            wanted = set(rules) | conditions | escapes
            if scope is not None and scope.fields is not None:
                wanted |= scope.fields
            self.needs_fields[i] = any(f is not None for f in wanted)

    def _leaf_role(self, spec: LanguageSpec, kind_id: int) -> Role:
        name = self.names[kind_id]
        if name in spec.leaf_roles:
            return spec.leaf_roles[name]
        if not self.grammar.node_kind_is_named(kind_id):
            return Role.KEYWORD if name[:1].isalpha() else Role.PUNCTUATION
        return Role.KEYWORD if name[:1].isalpha() and name.isalpha() else Role.PUNCTUATION


@lru_cache(maxsize=8)
def grammar_of(name: str) -> Grammar:
    """The grammar of a language, by its name; made once."""
    return Grammar(LANGUAGES[name])
