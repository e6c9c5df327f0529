"""What is no bug, or none that the file shows: renames, migrations, tuned values, decisions.

Each rule was written on samples of fixes of the train split, and judged on fresh ones; the counts
are in ``dev/LOG.md``. A rule looks at the parent's file alone, and at the two texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING
from codemlm.injection import Kind
from codemlm.scopes import ancestors, names_in_reach
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import NAME_ROLES, VARIABLE_ROLES, Role
from codemlm_corpus.mining import names, values
from codemlm_corpus.mining.difference import Difference

_VERSIONS = ("version_info", "PY2", "PY3", "PY27", "__version__", "version_tuple", "hexversion")
_MEMBER_ROLES = (Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING, Role.DEFINITION, Role.BINDING)
_KEYWORD_ROLES = (Role.KEYWORD_ARGUMENT, Role.PARAMETER)
_MIN_QUOTED = 5
_MIN_WORD = 3
_STATEMENT = ("_statement", "assignment")


@dataclass(slots=True)
class Candidate:
    """A difference with its surroundings.

    Attributes:
        old: the parent's file.
        found: the mistake in it.
        undefined: whether the wrong leaf is a name that scope analysis finds undefined.
        around: node types above the wrong leaf, innermost first.
    """

    old: ParsedFile
    found: Difference
    undefined: bool
    around: list[str] = field(init=False)

    def __post_init__(self) -> None:
        kinds = node_type_names(self.old.language)
        nodes = ancestors(self.old, self.found.leaf)
        self.around = [kinds[self.old.node_kinds[node]] for node in nodes]

    @property
    def role(self) -> Role:
        """Role of the wrong leaf."""
        return Role(int(self.old.roles[self.found.leaf]))

    def roles_of(self, text: str) -> list[Role]:
        """Roles in which a name occurs, the wrong leaf itself left out."""
        if text not in self.old.texts:
            return []
        same = np.flatnonzero(self.old.text_ids == self.old.texts.index(text)).tolist()
        roles = (Role(int(self.old.roles[leaf])) for leaf in same if leaf != self.found.leaf)
        return [role for role in roles if role in NAME_ROLES]

    def text_at(self, offset: int) -> str:
        """Text of the leaf that is so many leaves after the wrong one, "" beyond the file."""
        leaf = self.found.leaf + offset
        return self.old.text(leaf) if 0 <= leaf < len(self.old) else ""

    def in_reach(self, text: str) -> bool:
        """Whether code at the wrong leaf can read the name."""
        scope = int(self.old.scopes_of[self.found.leaf])
        return text in self.old.language.builtins or text in names_in_reach(self.old, scope)

    def is_chained(self) -> bool:
        """Whether the wrong leaf, without a prefix that it may have too much, is an attribute."""
        lead = self.found.leaf - (3 if self.found.kind == PREFIX_ADDED else 1)
        return lead >= 0 and self.old.text(lead) == "."

    def statement_texts(self) -> list[str]:
        """Texts of the leaves of the simple statement, or compound statement's head, around it."""
        kinds = node_type_names(self.old.language)
        start, end = 0, 0
        for node in ancestors(self.old, self.found.leaf):
            if kinds[self.old.node_kinds[node]].endswith(_STATEMENT):
                start, end = self.old.node_starts[node], self.old.node_ends[node]
                break
        low = int(np.searchsorted(self.old.starts, start))
        high = int(np.searchsorted(self.old.starts, end))
        return [self.old.text(leaf) for leaf in range(low, min(high, low + 400))]


def noise(candidate: Candidate) -> str | None:
    """Why the fix is no bug that its file shows; None if it may be one."""
    kind = candidate.found.kind
    general = _general(candidate)
    if general is not None:
        return general
    rule = _RULES.get(kind)
    return rule(candidate) if rule is not None else None


def _general(candidate: Candidate) -> str | None:
    around = candidate.around
    if "type" in around or "import_from_statement" in around or "import_statement" in around:
        return "annotation"
    texts = candidate.statement_texts()[:60]
    if any(text in _VERSIONS for text in texts):
        return "version-check"
    if candidate.undefined:
        return None
    if _heads(around, "except_clause") and not _is_slip(candidate):
        return "exception-class"
    if _heads(around, "class_definition"):
        return "base-class"
    if "decorator" in around and candidate.found.kind not in (Kind.VARIABLE, Kind.ATTRIBUTE):
        return "decorator"
    return None


def _heads(around: list[str], statement: str) -> bool:
    """Whether the leaf is in the head of the nearest compound statement, which is such a one."""
    nearest = next((kind for kind in around if kind in (*_COMPOUND, statement)), None)
    return nearest == statement


_COMPOUND = ("block", "function_definition", "class_definition", "lambda")


def _is_slip(candidate: Candidate) -> bool:
    """Whether the name is used here alone, and the file uses one that is spelt almost so."""
    shown, meant = candidate.found.before, candidate.found.after
    alike = names.is_restyled(shown, meant) or names.is_misspelling(shown, meant)
    plural = names.is_prefix_pair(shown, meant)
    seen = bool(candidate.roles_of(meant)) and not candidate.roles_of(shown)
    return seen and (alike or plural)


def is_misspelt(candidate: Candidate) -> bool:
    """Whether the wrong name is used here alone, and is a slip in spelling one that the file uses.

    That is a bug whatever the commit's message says.
    """
    shown, meant = candidate.found.before, candidate.found.after
    known = bool(candidate.roles_of(meant)) and not candidate.roles_of(shown)
    return known and candidate.role in NAME_ROLES and names.is_misspelling(shown, meant)


def _member(candidate: Candidate) -> str | None:
    """Attributes, methods and functions."""
    shown, meant = candidate.found.before, candidate.found.after
    decided = _decided(candidate, shown, meant)
    if decided is not None:
        return decided
    if candidate.role is Role.CALL:
        return _read(candidate)
    if any(role in _MEMBER_ROLES for role in candidate.roles_of(meant)):
        return None
    return _unseen(candidate, shown, meant)


def _unseen(candidate: Candidate, shown: str, meant: str) -> str | None:
    """A name that the file does not use: a slip of the finger, or knowledge from elsewhere."""
    elsewhere = candidate.roles_of(shown)
    if names.is_restyled(shown, meant):
        return None if meant in names.LOG_LEVELS else "restyled"
    if names.is_other_version(shown, meant):
        return "other-version"
    if names.is_builtin_method(shown) and names.is_builtin_method(meant):
        return None
    if names.is_confused(shown, meant):
        return None
    if not elsewhere and names.is_misspelling(shown, meant):
        return None
    if _is_spelt_out(candidate, shown, meant):
        return None
    return "unseen-name" if elsewhere else "rename"


def _is_spelt_out(candidate: Candidate, shown: str, meant: str) -> bool:
    """Whether the words that the right name has and the wrong one lacks stand in the statement.

    As in ``{"minute": date.month}``; or whether the right name is all of some string in the file.
    """
    if len(meant) >= _MIN_QUOTED and any(f"{q}{meant}{q}" in candidate.old.texts for q in "'\""):
        return True
    new = names.words(meant) - names.words(shown)
    if not new or not all(len(word) >= _MIN_WORD for word in new):
        return False
    return new <= {word for text in candidate.statement_texts() for word in names.words(text)}


def _decided(candidate: Candidate, shown: str, meant: str) -> str | None:
    """Replacements that are decisions whatever the file shows."""
    if names.is_migration(shown, meant):
        return "migration"
    if {shown, meant} <= names.LOG_LEVELS:
        return "log-level"
    raised = "raise_statement" in candidate.around or "except_clause" in candidate.around
    exceptions = names.is_exception(shown) and names.is_exception(meant)
    if raised and exceptions and not candidate.undefined and not _is_slip(candidate):
        return "exception-class"
    return None


def _keyword(candidate: Candidate) -> str | None:
    shown, meant = candidate.found.before, candidate.found.after
    decided = _decided(candidate, shown, meant)
    if decided is not None:
        return decided
    if any(role in _KEYWORD_ROLES for role in candidate.roles_of(meant)):
        return None
    if candidate.text_at(2) == meant:  # length=length, for size=length
        return None
    return _unseen(candidate, shown, meant)


def _read(candidate: Candidate) -> str | None:
    """Names that are looked up in scopes."""
    shown, meant = candidate.found.before, candidate.found.after
    decided = _decided(candidate, shown, meant)
    if decided is not None:
        return decided
    if not candidate.in_reach(meant):
        if candidate.undefined or candidate.in_reach(shown):
            return "unseen-name"
        seen = any(role in VARIABLE_ROLES for role in candidate.roles_of(meant))
        return None if seen else _unseen(candidate, shown, meant)  # both of a star import
    builtins = candidate.old.language.builtins
    if not candidate.undefined and {shown, meant} <= builtins and shown[0].islower():
        return "builtin-type" if {shown, meant} & _TYPES else None
    return None


_TYPES = frozenset(
    {"int", "float", "str", "bytes", "list", "tuple", "set", "dict", "frozenset"}
    | {"object", "bool", "type", "repr"}
)


def _prefix(candidate: Candidate) -> str | None:
    found = candidate.found
    long = found.after if found.kind == PREFIX_MISSING else found.before
    owner, name = long.split(".", 1)
    if owner in ("six", "builtins", "__builtin__", "moves", "compat", "np", "numpy", "typing", "t"):
        return "migration"
    members = (Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING)
    known = any(role in members for role in candidate.roles_of(name))
    if candidate.is_chained():
        owned = any(role in members for role in candidate.roles_of(owner))
        return None if known and owned else "unseen-name"
    if not candidate.in_reach(name if found.kind == PREFIX_ADDED else owner):
        return "unseen-name"
    own = owner in candidate.old.language.self_names
    if candidate.undefined or found.kind == PREFIX_ADDED or (own and not candidate.in_reach(name)):
        return None
    defined = own and Role.DEFINITION in candidate.roles_of(name)
    return None if known or defined else "unseen-name"


def _identity(candidate: Candidate) -> str | None:
    shown, meant = candidate.found.before, candidate.found.after
    return "identity-style" if (shown, meant) in (("==", "is"), ("!=", "is not")) else None


def _swap(candidate: Candidate) -> str | None:
    texts = (candidate.found.before, candidate.found.after)
    if all(text[-1:] in "\"'" for text in texts):
        return "string"
    return None


def _constant(candidate: Candidate) -> str | None:
    return values.constant_refusal(candidate.around)


def _number(candidate: Candidate) -> str | None:
    return values.number_refusal(candidate.old, candidate.found, candidate.around)


_RULES: dict[str, Callable[[Candidate], str | None]] = {
    Kind.VARIABLE: _read,
    Kind.FUNCTION: _member,
    Kind.ATTRIBUTE: _member,
    Kind.KEYWORD_ARGUMENT: _keyword,
    Kind.CONSTANT: _constant,
    Kind.NUMBER: _number,
    Kind.IDENTITY: _identity,
    Kind.ARGUMENT_SWAP: _swap,
    Kind.OPERAND_SWAP: _swap,
    PREFIX_MISSING: _prefix,
    PREFIX_ADDED: _prefix,
}
