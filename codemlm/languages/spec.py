"""The form of a language table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codemlm.types import Role

Place = tuple[str, str | None]
"""A node type and the field of a child in it; field None means any child without its own rule."""


@dataclass(frozen=True)
class ScopeRule:
    """A node type that opens a scope.

    Attributes:
        kind: "function", "class" or "comprehension"; how name lookup treats the scope.
        fields: fields of the node that lie inside the scope; None means all children do.
    """

    kind: str
    fields: frozenset[str] | None


@dataclass(frozen=True)
class LanguageSpec:
    """Everything codemlm knows of one language.

    Attributes:
        name: the language's name in options and messages.
        suffixes: file suffixes, lower case, with the dot.
        grammar_module: Python module with a ``language()`` function (tree-sitter grammar package).
        identifiers: node types of names.
        leaf_roles: roles of other leaves by node type, whatever their parent.
        atomic: node types kept as one leaf, each with the child types that forbid it.
        skipped: node types that give no leaf.
        modes: role that names below a place take; handed down through ``transparent`` nodes.
        kind_modes: the same by the node's own type, where no place rule applies.
        transparent: node types that hand their role down.
        binding_transparent: node types that hand a role down if it binds (expressions that the
            grammar uses for targets).
        first_only: transparent node types whose first child alone takes the role handed down.
        member: node type and field of a member access; its name is an attribute, or what
            ``member_roles`` says for the role handed down to the access.
        member_access: the operator between a receiver and its member.
        dotted: node types of dotted names; only the first name keeps the role handed down.
        capture: places where a lone dotted name binds (patterns).
        bound_outside_comprehension: places that bind in the nearest scope that is no comprehension.
        operator_parents: node types whose anonymous children are operators.
        operator_classes: interchangeable operators, by class.
        operator_neighbours: operators of another class that are mistaken for each other.
        constants: literals that can stand for each other.
        self_names: conventional names of the receiver (``self``, ``cls``).
        scopes: node types that open scopes.
        scope_escapes: places inside a scope's node that are evaluated outside it.
        conditions: places that hold a truth value; ``not`` may be added or dropped there.
        assertion_methods: methods that do so; which one is meant, only the author knows.
        assertions: statements whose operators state an expectation, and fail if it is wrong.
        negation: the negation operator's text and node type, and what follows it.
        negatable: node types (and identifiers) that negation may be put before, unparenthesised.
        unary: node types of unary operators, whose operators have no class.
        argument_list: node type of a call's arguments.
        keyword_argument: node type of a keyword argument.
        swappable: binary operators with operands that differ in meaning when swapped.
        comment: start of a line comment.
        brackets: opening and closing brackets inside which line breaks mean nothing.
        reserved: words that can never be names.
        builtins: names defined without any binding.
    """

    name: str
    suffixes: tuple[str, ...]
    grammar_module: str
    identifiers: frozenset[str]
    leaf_roles: Mapping[str, Role]
    atomic: Mapping[str, frozenset[str]]
    skipped: frozenset[str]
    modes: Mapping[Place, Role]
    kind_modes: Mapping[str, Role]
    transparent: frozenset[str]
    binding_transparent: frozenset[str]
    first_only: frozenset[str]
    member: Place
    member_roles: Mapping[Role, Role]
    member_access: str
    dotted: frozenset[str]
    capture: frozenset[str]
    bound_outside_comprehension: frozenset[str]
    operator_parents: frozenset[str]
    operator_classes: Mapping[str, tuple[str, ...]]
    operator_neighbours: Mapping[str, tuple[str, ...]]
    constants: tuple[str, ...]
    self_names: frozenset[str]
    scopes: Mapping[str, ScopeRule]
    scope_escapes: frozenset[Place]
    conditions: frozenset[Place]
    assertion_methods: frozenset[str]
    assertions: frozenset[str]
    negation: str
    negation_parent: str
    negatable: frozenset[str]
    unary: frozenset[str]
    argument_list: str
    keyword_argument: str
    swappable: frozenset[str]
    comment: str
    brackets: tuple[str, str]
    reserved: frozenset[str]
    builtins: frozenset[str]
