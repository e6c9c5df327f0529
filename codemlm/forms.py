"""Expressions that cannot be meant as they stand, whatever their names hold.

``super`` of another class, identity with a literal, ``raise NotImplemented``, comparisons whose
value nobody takes, and conditions that are always true, always false, or read what they have just
found to be None. What counts was chosen on mined fixes (`dev/LOG.md`): forms that are mended, and
that files without a known mistake hardly have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from codemlm.guards import is_guarded
from codemlm.nodes import Nodes
from codemlm.reading import Reading
from codemlm.scopes import role_table
from codemlm.types import Role

LITERALS = frozenset({"string", "integer", "float"})
_DISPLAYS = frozenset({"list", "dictionary", "set", "tuple", "concatenated_string"})
_CLASSES = role_table(frozenset({Role.DEFINITION, Role.IMPORT}))
_OPPOSITE = {"and": "or", "or": "and", "is": "is not", "is not": "is"}


@dataclass(frozen=True, slots=True)
class Form:
    """A leaf that makes an expression one that cannot be meant.

    Attributes:
        leaf: index of the leaf.
        says: what is wrong, for people.
        candidates: what may have been meant; None: the model has to say.
        is_doubtful: whether it is now and then written on purpose.
    """

    leaf: int
    says: str
    candidates: tuple[str, ...] | None
    is_doubtful: bool = False


def foreign_supers(reading: Reading, nodes: Nodes) -> Iterator[Form]:
    """``super(Other, self)`` in a class of another name: a copied line, or a renamed class."""
    parsed = reading.parsed
    if "super" not in parsed.texts:
        return
    wanted = (parsed.text_ids == parsed.texts.index("super")) & (parsed.roles == Role.CALL)
    bound = parsed.text_ids[parsed.roles == Role.IMPORT].tolist()
    imported = {parsed.texts[text] for text in set(bound)}
    for call in wanted.nonzero()[0].tolist():
        leaf = call + 2
        if leaf + 3 >= len(parsed) or parsed.roles[leaf] != Role.READ:
            continue
        after = [parsed.text(leaf + 1), parsed.text(leaf + 2), parsed.text(leaf + 3)]
        if after[0] != "," or after[1] not in parsed.language.self_names or after[2] != ")":
            continue
        owner = _class_around(reading, leaf)
        if owner and parsed.text(leaf) != owner and _is_class(reading, leaf):
            bases = _ancestors_of(nodes, owner)
            # Of what is imported nobody knows whether it is a base of a base that is imported too.
            may_be = _is_import(reading, leaf) and any(base in imported for base in bases)
            doubtful = parsed.text(leaf) in bases or may_be
            says = f"`super` of another class than `{owner}`"
            yield Form(leaf, says, (owner,), is_doubtful=doubtful)


def _ancestors_of(nodes: Nodes, name: str) -> set[str]:
    """Names in the headers of the file's classes from one class up: its bases, and theirs."""
    parsed = nodes.parsed
    headers: dict[str, set[str]] = {}
    for node in nodes.of_kind("class_definition"):
        own = nodes.own(node)  # `class`, its name, `:`
        header = range(own[1] + 1, own[-1])
        headers.setdefault(parsed.text(own[1]), set()).update(map(parsed.text, header))
    found: set[str] = set()
    new = headers.get(name, set())
    while new:
        found |= new
        new = {base for one in new for base in headers.get(one, ())} - found
    return found


def _class_around(reading: Reading, leaf: int) -> str:
    """Name of the class whose method a leaf is in; "" if there is none."""
    scopes, scope = reading.parsed.scopes, int(reading.scopes[leaf])
    while scope >= 0 and scopes[scope].kind != "class":
        scope = scopes[scope].parent
    return reading.classes.name_of(scope) if scope >= 0 else ""


def _is_import(reading: Reading, leaf: int) -> bool:
    return bool((reading.parsed.roles[reading.binders(leaf)] == Role.IMPORT).all())


def _is_class(reading: Reading, leaf: int) -> bool:
    """Whether a name may be a class: nothing binds it but a definition or an import."""
    bound = reading.binders(leaf)
    return len(bound) > 0 and bool(_CLASSES[reading.parsed.roles[bound]].all())


def literal_identities(nodes: Nodes) -> Iterator[Form]:
    """``is`` and ``is not`` beside a text, a number or a display, which are objects of their own.

    CPython warns of the first two since 3.8 (SyntaxWarning), where the file is compiled anew.
    """
    parsed = nodes.parsed
    for node in nodes.of_kind("comparison_operator"):
        for (left, operator), (right, _) in pairwise(nodes.operands(node)):
            text = parsed.text(operator)
            if text not in ("is", "is not"):
                continue
            literal = next((s for s in (right, left) if _is_literal(nodes, s)), None)
            if literal is not None:
                meant = "==" if text == "is" else "!="
                yield Form(operator, f"`{text}` beside a literal compares identity", (meant,))


def _is_literal(nodes: Nodes, leaves: range) -> bool:
    """Whether an expression is a text, a number, or a display of a list, tuple, set or mapping."""
    parsed = nodes.parsed
    if len(leaves) == 1:
        return nodes.names[int(parsed.kinds[leaves[0]])] in LITERALS
    return nodes.kind(nodes.node_of(leaves)) in _DISPLAYS


def raised_values(nodes: Nodes) -> Iterator[Form]:
    """``raise NotImplemented``: a value, and no exception."""
    parsed = nodes.parsed
    if "NotImplemented" not in parsed.texts:
        return
    text = parsed.texts.index("NotImplemented")
    for leaf in (parsed.text_ids == text).nonzero()[0].tolist():
        if leaf and parsed.text(leaf - 1) == "raise":
            yield Form(leaf, "`NotImplemented` is no exception", ("NotImplementedError",))


def comparison_statements(nodes: Nodes) -> Iterator[Form]:
    """``name == value`` as a statement, whose value nobody takes."""
    parsed = nodes.parsed
    for node in nodes.of_kind("comparison_operator"):
        statement = parsed.node_parents[node]
        own = nodes.operators(node)
        if nodes.kind(statement) != "expression_statement" or len(own) != 1:
            continue
        left = range(nodes.leaves(node).start, own[0])
        if parsed.text(own[0]) != "==" or nodes.leaves(statement) != nodes.leaves(node):
            continue
        if not _is_target(nodes, left) or is_guarded(parsed, own[0]) or is_in_test(nodes, node):
            continue
        yield Form(own[0], "a comparison as a statement does nothing", ("=",))


def _is_target(nodes: Nodes, leaves: range) -> bool:
    """Whether an expression can be assigned to: a name, a member or an item."""
    parsed = nodes.parsed
    if len(leaves) == 1:
        return nodes.names[int(parsed.kinds[leaves[0]])] == "identifier"
    return nodes.kind(nodes.node_of(leaves)) in ("attribute", "subscript")


def is_in_test(nodes: Nodes, node: int) -> bool:
    """Whether a node is in a function whose name says that it tests."""
    return any(name.startswith("test") for name in nodes.functions_around(node))


def contradictions(nodes: Nodes) -> Iterator[Form]:
    """Conditions that are always true or false, or read a member of what is None there."""
    for operator, chain in nodes.chains:
        yield from _of_none(nodes, chain, operator)
        yield from _of_constants(nodes, chain, operator)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two operands."""

    left: range
    operator: int
    right: range


def comparison_of(nodes: Nodes, leaves: range) -> Comparison | None:
    """The comparison that an expression is, if it is one of two operands."""
    leaves = nodes.bare(leaves)
    node = nodes.node_of(leaves)
    own = nodes.operators(node) if nodes.kind(node) == "comparison_operator" else []
    if len(own) != 1:
        return None
    return Comparison(range(leaves.start, own[0]), own[0], range(own[0] + 1, leaves.stop))


def _of_none(nodes: Nodes, chain: list[tuple[range, int]], operator: str) -> Iterator[Form]:
    """``x is None and x.member``, ``x is not None or x.member``."""
    parsed = nodes.parsed
    wanted = "is" if operator == "and" else "is not"
    for (first, _), (second, _) in pairwise(chain):
        found = comparison_of(nodes, first)
        if found is None or parsed.text(found.operator) != wanted:
            continue
        if len(found.right) != 1 or parsed.text(found.right[0]) != "None":
            continue
        if not _is_target(nodes, found.left) or not _reads_member(nodes, second, found.left):
            continue
        says = f"`{nodes.shown(found.left)}` is None where its member is read"
        yield Form(found.operator, says, (_OPPOSITE[wanted],))


def _reads_member(nodes: Nodes, leaves: range, target: range) -> bool:
    """Whether an expression reads a member or an item of what ``target`` names."""
    parsed, wanted = nodes.parsed, nodes.texts(target)
    for start in leaves[: -len(target)]:
        after = start + len(target)
        if nodes.texts(range(start, after)) != wanted or parsed.text(after) not in (".", "["):
            continue
        if start == leaves.start or parsed.text(start - 1) != ".":
            return True
    return False


def _of_constants(nodes: Nodes, chain: list[tuple[range, int]], operator: str) -> Iterator[Form]:
    """``x != 1 or x != 2`` is always true, ``x == 1 and x == 2`` never."""
    parsed = nodes.parsed
    wanted = "!=" if operator == "or" else "=="
    seen: dict[tuple[int, ...], set[tuple[int, ...]]] = defaultdict(set)
    before = -1
    for leaves, after in chain:
        found = comparison_of(nodes, leaves)
        if found is not None and parsed.text(found.operator) == wanted:
            constant = len(found.right) == 1 and _is_literal(nodes, found.right)
            if constant and is_pure(nodes, found.left):
                values = seen[nodes.texts(found.left)]
                if values and nodes.texts(found.right) not in values and before >= 0:
                    always = "always" if operator == "or" else "never"
                    yield Form(before, f"this is {always} true", (_OPPOSITE[operator],))
                values.add(nodes.texts(found.right))
        before = after


def is_pure(nodes: Nodes, leaves: range) -> bool:
    """Whether an expression gives the same when it is evaluated twice: it calls nothing."""
    parsed = nodes.parsed
    for leaf in leaves:
        text = parsed.text(leaf)
        if text in ("await", "yield", ":="):
            return False
        if text == "(" and nodes.names[parsed.parents[leaf]] == "argument_list":
            return False
    return True
