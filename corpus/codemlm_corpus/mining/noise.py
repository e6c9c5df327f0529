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
from codemlm.types import NAME_ROLES, Role
from codemlm_corpus.mining import names, values
from codemlm_corpus.mining.difference import Difference

_VERSIONS = ("version_info", "PY2", "PY3", "PY27", "__version__", "version_tuple", "hexversion")
_MEMBER_ROLES = (Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING, Role.DEFINITION, Role.BINDING)
_KEYWORD_ROLES = (Role.KEYWORD_ARGUMENT, Role.PARAMETER)
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

    def in_reach(self, text: str) -> bool:
        """Whether code at the wrong leaf can read the name."""
        scope = int(self.old.scopes_of[self.found.leaf])
        return text in self.old.language.builtins or text in names_in_reach(self.old, scope)

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
    nearest = next((kind for kind in around if kind in _DECISIONS), None)
    if nearest == "except_clause" and "block" not in around[: around.index("except_clause")]:
        return "exception-class"
    if nearest == "class_definition" and "block" not in around[: around.index("class_definition")]:
        return "base-class"
    if "decorator" in around and candidate.found.kind not in (Kind.VARIABLE, Kind.ATTRIBUTE):
        return "decorator"
    return None


_DECISIONS = ("block", "except_clause", "class_definition", "function_definition", "lambda")


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
        return "restyled"
    if names.is_other_version(shown, meant):
        return "other-version"
    if names.is_builtin_method(shown) and names.is_builtin_method(meant):
        return None
    if not elsewhere and names.is_misspelling(shown, meant):
        return None
    return "unseen-name" if elsewhere else "rename"


def _decided(candidate: Candidate, shown: str, meant: str) -> str | None:
    """Replacements that are decisions whatever the file shows."""
    if names.is_migration(shown, meant):
        return "migration"
    if {shown, meant} <= names.LOG_LEVELS:
        return "log-level"
    if not candidate.undefined and names.is_exception(shown) and names.is_exception(meant):
        return "exception-class"
    return None


def _keyword(candidate: Candidate) -> str | None:
    shown, meant = candidate.found.before, candidate.found.after
    decided = _decided(candidate, shown, meant)
    if decided is not None:
        return decided
    if any(role in _KEYWORD_ROLES for role in candidate.roles_of(meant)):
        return None
    return _unseen(candidate, shown, meant)


def _read(candidate: Candidate) -> str | None:
    """Names that are looked up in scopes."""
    shown, meant = candidate.found.before, candidate.found.after
    decided = _decided(candidate, shown, meant)
    if decided is not None:
        return decided
    if not candidate.in_reach(meant):
        return "unseen-name"
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
    if found.kind == PREFIX_ADDED and not candidate.in_reach(name):
        return "unseen-name"
    if found.kind == PREFIX_MISSING and not candidate.in_reach(owner):
        return "unseen-name"
    if candidate.undefined:
        return None
    members = (Role.ATTRIBUTE, Role.METHOD, Role.ATTRIBUTE_BINDING)
    own = owner in candidate.old.language.self_names
    known = any(role in members for role in candidate.roles_of(name))
    defined = Role.DEFINITION in candidate.roles_of(name)
    return None if known or (own and defined) or found.kind == PREFIX_ADDED else "unseen-name"


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
