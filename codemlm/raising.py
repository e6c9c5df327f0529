"""Exceptions that are made, and not raised; that are returned; or whose text nobody fills in.

What counts was chosen by reading what such forms find in real code (`dev/LOG.md`).
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator, Sequence

import numpy as np

from codemlm.forms import Form, is_in_test
from codemlm.guards import is_guarded
from codemlm.nodes import Nodes
from codemlm.placeholders import printf_values
from codemlm.reading import Reading
from codemlm.types import Role

_KNOWN = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
) | {"StandardError"}
_ENDINGS = ("Error", "Exception")
_OWN_TEXT = frozenset({"__init__", "__new__", "__str__", "__unicode__"})
"""Methods by which an exception may fill in its text itself."""
_PRIMARIES = frozenset({"attribute", "call", "subscript"})
"""Nodes that bind more closely than `%` does."""
_MAKES_ERRORS = re.compile("err|exc", re.IGNORECASE)
"""Names of functions that are there to make exceptions."""


Calls = Sequence[tuple[int, int]]
"""Calls of what may be an exception: the leaf of the name, and the node."""


def exception_calls(nodes: Nodes) -> list[tuple[int, int]]:
    """Calls of a bare name that may be an exception, in source order: what the rules start from."""
    parsed = nodes.parsed
    leaves = nodes.named(_may_be_exception, Role.CALL)
    calls = [(leaf, int(parsed.parent_nodes[leaf])) for leaf in leaves]
    return [(n, node) for n, node in calls if nodes.kind(node) == "call"]


def unformatted_exceptions(reading: Reading, nodes: Nodes, calls: Calls) -> Iterator[Form]:
    """``raise ValueError("no %s here", name)``: no exception formats, as logging does.

    Nor does one take what belongs behind its text: ``raise ValueError("no %s here") % name``.
    """
    for leaf, call in calls:
        found = _behind(nodes, leaf, call) or _beside(nodes, leaf, call)
        if found is not None and _is_plain(reading, nodes, leaf):
            yield found


def _beside(nodes: Nodes, leaf: int, call: int) -> Form | None:
    """Values that are given beside a text with as many placeholders."""
    parsed = nodes.parsed
    if nodes.kind(parsed.node_parents[call]) != "raise_statement":
        return None
    first, *values = nodes.positional(call) or [range(0)]
    if not values or _room(nodes, first) != len(values):
        return None
    says = f"`{parsed.text(leaf)}` does not put values into its text, as `%` would"
    return Form(first.stop, says, ("%",) if _fits(nodes, values) else ())


def _behind(nodes: Nodes, leaf: int, call: int) -> Form | None:
    """``%`` or ``format`` behind the call, instead of the text."""
    parsed, after = nodes.parsed, nodes.leaves(call).stop
    shown = [parsed.text(n) for n in range(after, min(after + 3, len(parsed)))]
    says = f"this stands behind `{parsed.text(leaf)}(...)`, and not behind its text"
    if shown == [".", "format", "("]:
        return Form(after + 1, says, ())
    is_left = nodes.leaves(parsed.node_parents[call]).start == leaf
    return Form(after, says, ()) if is_left and shown[:1] == ["%"] else None


def unraised_exceptions(reading: Reading, nodes: Nodes, calls: Calls) -> Iterator[Form]:
    """``ValueError("no rows")`` as a statement, which does nothing."""
    parsed = nodes.parsed
    for leaf, call in calls:
        statement = parsed.node_parents[call]
        if nodes.kind(statement) != "expression_statement":
            continue
        if nodes.leaves(statement) != nodes.leaves(call) or not _is_exception(reading, nodes, leaf):
            continue
        if is_guarded(parsed, leaf) or is_in_test(nodes, call):
            continue
        yield Form(leaf, "an exception is made, and not raised", (f"raise {parsed.text(leaf)}",))


def returned_exceptions(reading: Reading, nodes: Nodes, calls: Calls) -> Iterator[Form]:
    """``return ValueError("no rows")``, in a function that is there for something else."""
    parsed = nodes.parsed
    found = [(leaf, call) for leaf, call in calls if _is_builtin(reading, leaf)]
    bare = nodes.named("NotImplementedError".__eq__, Role.READ)
    found += [(leaf, int(parsed.parent_nodes[leaf])) for leaf in bare]
    for leaf, node in found:
        stop = nodes.leaves(node).stop if nodes.kind(node) == "call" else leaf + 1
        statement = int(parsed.parent_nodes[leaf - 1]) if leaf else -1
        is_returned = nodes.kind(statement) == "return_statement"
        if not is_returned or nodes.leaves(statement) != range(leaf - 1, stop):
            continue
        if parsed.text(leaf) != "NotImplementedError":
            is_meant = not _is_mistaken(nodes, statement)
        else:
            is_meant = any(_is_raised(nodes, name) for name in nodes.functions_around(statement))
        if not is_meant:
            yield Form(leaf - 1, "an exception is returned, and not raised", ("raise",))


def _is_raised(nodes: Nodes, name: str) -> bool:
    """Whether something raises what a function of that name returns: ``raise self.missing()``."""
    parsed = nodes.parsed
    calls = (*nodes.named(name.__eq__, Role.CALL), *nodes.named(name.__eq__, Role.METHOD))
    return any("raise" in (parsed.text(n - 1), parsed.text(n - 3)) for n in calls if n >= 3)


def _may_be_exception(text: str) -> bool:
    return text in _KNOWN or (text.endswith(_ENDINGS) and text.lstrip("_")[:1].isupper())


def _is_builtin(reading: Reading, leaf: int) -> bool:
    """Whether a name is a built-in exception, and no warning, which is no mistake to make."""
    text = reading.parsed.text(leaf)
    is_known = text in _KNOWN and not text.endswith("Warning")
    return is_known and not len(reading.binders(leaf))


def _is_exception(reading: Reading, nodes: Nodes, leaf: int) -> bool:
    """Whether a name is a built-in exception, or a class or an import that is called like one."""
    if _is_builtin(reading, leaf):
        return True
    parsed, bound = reading.parsed, reading.binders(leaf)
    if not len(bound) or not parsed.text(leaf).endswith(_ENDINGS):
        return False
    if (parsed.roles[bound] == Role.IMPORT).all():
        return len(nodes.arguments(nodes.parsed.parent_nodes[leaf])) > 2
    return all(nodes.kind(int(parsed.parent_nodes[one])) == "class_definition" for one in bound)


def _is_plain(reading: Reading, nodes: Nodes, leaf: int) -> bool:
    """Whether an exception is built in, or a class of the file that adds nothing to its text."""
    parsed = nodes.parsed
    seen: set[str] = set()
    while parsed.text(leaf) not in seen:
        seen.add(parsed.text(leaf))
        bound = reading.binders(leaf)
        if not len(bound):
            return parsed.text(leaf) in _KNOWN
        node = int(parsed.parent_nodes[bound[0]])
        if len(bound) != 1 or nodes.kind(node) != "class_definition":
            return False
        own, whole = nodes.own(node), nodes.leaves(node)
        roles = parsed.roles[whole.start : whole.stop]
        defined = whole.start + np.flatnonzero(roles == Role.DEFINITION)
        if _OWN_TEXT & {parsed.text(one) for one in defined.tolist()}:
            return False
        if own[-1] - own[1] != 4:  # `class`, its name, `(`, one base, `)`, `:`
            return False
        leaf = own[1] + 2
    return False


def _room(nodes: Nodes, leaves: range) -> int | None:
    """How many values a text has room for; None if it is no text, or names them."""
    parsed = nodes.parsed
    texts = [parsed.text(n) for n in leaves if parsed.roles[n] != Role.COMMENT]
    is_plain = nodes.is_text(leaves) and all(text[0] not in "bB" for text in texts)
    return printf_values(texts) if is_plain else None


def _fits(nodes: Nodes, values: Sequence[range]) -> bool:
    """Whether ``%`` in the place of the comma is all that is needed."""
    return len(values) == 1 and (
        len(values[0]) == 1 or nodes.kind(nodes.node_of(values[0])) in _PRIMARIES
    )


def _is_mistaken(nodes: Nodes, statement: int) -> bool:
    """Whether a function that returns an exception does not seem to be there for that."""
    parsed = nodes.parsed
    around = list(nodes.functions_around(statement))
    if len(around) != 1 or _MAKES_ERRORS.search(around[0]):
        return False
    node = statement
    while nodes.kind(node) != "function_definition":
        if nodes.kind(node) == "except_clause":  # what went wrong is handed on as a value
            return False
        node = parsed.node_parents[node]
    own, whole = nodes.own(node), nodes.leaves(node)
    if any(_may_be_exception(parsed.text(leaf)) for leaf in range(own[1] + 1, own[-1])):
        return False  # its annotation says so
    returned = [
        leaf + 1 for leaf in whole if parsed.text(leaf) == "return" and leaf + 1 < whole.stop
    ]
    return any(not _may_be_exception(parsed.text(leaf)) for leaf in returned)
