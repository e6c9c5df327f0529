"""Arguments that stand in each other's place: their names are those of the other's parameter.

Source: Rice et al., "Detecting Argument Selection Defects", OOPSLA 2017, in its surest form: both
names are exactly the other one's parameter, and the file itself defines the function.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from codemlm.forms import Form
from codemlm.nodes import Nodes
from codemlm.reading import Reading
from codemlm.types import Role

_ON_PURPOSE = ("swap", "rever", "inver", "flip", "mirror", "transpos", "symmetr", "opposite")
"""Parts of names of functions that are called with their arguments the other way round."""
_LEAST_LEAVES = 5
"""Leaves of two arguments: the parentheses, the comma, and a leaf for each."""
_SHORTEST = 3
"""Letters of a name: `x` and `y` are swapped on purpose too often."""


def crossed_arguments(reading: Reading, nodes: Nodes) -> Iterator[Form]:
    """Both leaves of each crossed pair, each with the other one's text."""
    parsed = reading.parsed
    defined = set(parsed.text_ids[parsed.roles == Role.DEFINITION].tolist())
    for call in nodes.of_kind("call"):
        arguments = nodes.arguments(call)
        callee = arguments.start - 1
        if len(arguments) < _LEAST_LEAVES or int(parsed.text_ids[callee]) not in defined:
            continue
        given = _plain(nodes, arguments)
        if len(given) < 2:
            continue
        definition = _function(reading, nodes, call, callee)
        if definition < 0 or _is_meant(nodes, call, definition):
            continue
        taken = _parameters(nodes, definition)
        for (first, one), (second, other) in combinations(given.items(), 2):
            if second >= len(taken) or min(len(taken[first]), len(taken[second])) < _SHORTEST:
                continue
            texts = parsed.text(one), parsed.text(other)
            if texts == (taken[second], taken[first]) and texts[0] != texts[1]:
                name = parsed.text(callee)
                says = f"`{name}` takes `{texts[1]}` before `{texts[0]}`"
                yield Form(one, says, (texts[1],))
                yield Form(other, says, (texts[0],))


def _plain(nodes: Nodes, arguments: range) -> dict[int, int]:
    """Positional arguments that are a name alone: place to leaf; none after a ``*``."""
    parsed = nodes.parsed
    found: dict[int, int] = {}
    for place, leaves in enumerate(nodes.elements(int(parsed.parent_nodes[arguments[0]]))):
        if parsed.text(leaves[0]) == "*":
            break
        if len(leaves) == 1 and parsed.roles[leaves[0]] == Role.READ:
            found[place] = leaves[0]
    return found


def _function(reading: Reading, nodes: Nodes, call: int, callee: int) -> int:
    """The definition that a call reaches for certain, of a bare name or of ``self``'s method.

    Returns:
        The leaf of its name, or -1.
    """
    parsed, start = reading.parsed, nodes.leaves(call).start
    is_bare = start == callee
    is_own = start == callee - 2 and parsed.text(start) in parsed.language.self_names
    bound = reading.binders(callee).tolist()
    if not (is_bare or is_own) or len(bound) != 1 or parsed.roles[bound[0]] != Role.DEFINITION:
        return -1
    leaf: int = bound[0]
    in_class = parsed.scopes[int(parsed.scopes_of[leaf])].kind == "class"
    is_function = nodes.kind(int(parsed.parent_nodes[leaf])) == "function_definition"
    return leaf if is_function and in_class == is_own else -1


def _is_meant(nodes: Nodes, call: int, definition: int) -> bool:
    """Whether arguments may be crossed on purpose: in the function itself, or by its name."""
    parsed = nodes.parsed
    function = int(parsed.parent_nodes[definition])
    if nodes.leaves(call).start in nodes.leaves(function):
        return True
    names = [parsed.text(definition), *nodes.functions_around(call)]
    return any(part in name.lower() for name in names for part in _ON_PURPOSE)


def _parameters(nodes: Nodes, definition: int) -> list[str]:
    """Names of the positional parameters of a function, without ``self``."""
    parsed = nodes.parsed
    node = int(parsed.parent_nodes[definition + 1])
    if nodes.kind(node) != "parameters":
        return []
    found: list[int] = []
    for leaf in nodes.leaves(node):
        if parsed.text(leaf) in ("*", "**"):
            break
        if parsed.roles[leaf] == Role.PARAMETER:
            found.append(leaf)
    scope = parsed.scopes_of[found[0]] if found else -1  # a default may be a lambda
    texts = [parsed.text(leaf) for leaf in found if parsed.scopes_of[leaf] == scope]
    return texts[1:] if texts and texts[0] in parsed.language.self_names else texts
