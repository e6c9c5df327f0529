"""Value types shared by every layer: roles of leaves, spans, and scores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

DELETE_TEXT, NEGATE_TEXT = "[DELETE]", "[NEGATE]"
"""Alternatives that are no text: that the leaf goes, and that it is negated."""


class Role(IntEnum):
    """What a leaf does in its program.

    The numbers are part of the model (they index its role embedding): append, never renumber.
    """

    NONE = 0
    READ = 1  # a name that is read
    BINDING = 2  # a name that is assigned, or bound by for, with, except, :=, a pattern
    PARAMETER = 3
    DEFINITION = 4  # the name after def or class
    IMPORT = 5  # a name bound by an import
    ATTRIBUTE = 6  # obj.attribute, read
    METHOD = 7  # obj.method(...)
    CALL = 8  # function(...)
    KEYWORD_ARGUMENT = 9  # f(keyword=...)
    OPERATOR = 10
    NUMBER = 11
    STRING = 12
    CONSTANT = 13  # True, False, None
    TYPE = 14  # a name inside an annotation
    KEYWORD = 15
    PUNCTUATION = 16
    LAYOUT = 17  # newline, indent, dedent: synthesised, never in the source text as a leaf
    COMMENT = 18
    GLOBAL = 19  # a name in a global or nonlocal statement
    MODULE = 20  # a part of a module path in an import
    ATTRIBUTE_BINDING = 21  # obj.attribute = ...
    UPDATE = 22  # x += ...: read and bound at once
    FSTRING = 23  # literal part of an interpolated string


NAME_ROLES = frozenset(
    {
        Role.READ,
        Role.BINDING,
        Role.PARAMETER,
        Role.DEFINITION,
        Role.IMPORT,
        Role.ATTRIBUTE,
        Role.METHOD,
        Role.CALL,
        Role.KEYWORD_ARGUMENT,
        Role.TYPE,
        Role.GLOBAL,
        Role.MODULE,
        Role.ATTRIBUTE_BINDING,
        Role.UPDATE,
    }
)
"""Roles of identifiers: leaves that get a slot in the model."""

VARIABLE_ROLES = frozenset({Role.READ, Role.UPDATE, Role.CALL, Role.TYPE})
"""Roles of names that are looked up in the scopes of the file."""

BINDING_ROLES = frozenset(
    {
        Role.BINDING,
        Role.PARAMETER,
        Role.DEFINITION,
        Role.IMPORT,
        Role.UPDATE,
    }
)
"""Roles that bind a name in a scope."""

RUN_ROLES = frozenset({Role.PUNCTUATION, Role.LAYOUT})
"""Roles that are merged with their neighbours into one run."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of bytes ``[start, end)`` of a source file."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span: [{self.start}, {self.end})")

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of a parsed file: a childless syntax node, or an atomic one such as a plain string.

    Attributes:
        index: position among the file's leaves, in source order.
        span: bytes of the leaf.
        text: decoded text.
        role: what the leaf does.
        kind, parent, grandparent: grammar node types.
        scope: index into ``ParsedFile.scopes``.
    """

    index: int
    span: Span
    text: str
    role: Role
    kind: str
    parent: str
    grandparent: str
    scope: int
