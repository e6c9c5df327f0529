"""Texts that nothing is put into, that have no room for what they are given, or that say nothing.

What counts was chosen by reading what such forms find in real code (`dev/LOG.md`).
"""

from __future__ import annotations

from collections.abc import Iterator

from codemlm.forms import Form
from codemlm.nodes import Nodes
from codemlm.placeholders import field_roots, printf_values
from codemlm.reading import Reading
from codemlm.types import Role

_LOGS = frozenset({"debug", "info", "warning", "warn", "error", "critical", "exception"})
_TRUTHS = frozenset({"assertTrue", "assertFalse", "assert_", "failUnless"})
_LOGGERS = frozenset({"log", "logger", "logging"})


def missing_prefixes(reading: Reading, nodes: Nodes) -> Iterator[Form]:
    """``raise ValueError("no {name}")``, and the same in a log, where ``name`` is at hand."""
    parsed = nodes.parsed
    for leaf in nodes.named(_has_fields, Role.STRING):
        text = parsed.text(leaf)
        roots = field_roots(text)
        if not roots or "\n" in text or printf_values([text]):
            continue
        node = int(parsed.parent_nodes[leaf])
        if nodes.kind(node) == "concatenated_string":
            node = parsed.node_parents[node]
        call = parsed.node_parents[node] if nodes.kind(node) == "argument_list" else -1
        if call < 0 or not (_is_raised(nodes, call) or _is_logged_alone(nodes, call)):
            continue
        if all(reading.function_binding(leaf, root) >= 0 for root in roots):
            says = f"`{{{roots[0]}}}` stays as it is: the text has no `f` before it"
            yield Form(leaf, says, (f"f{text}",))


def _has_fields(text: str) -> bool:
    """Whether a text without a prefix may have fields."""
    return text[:1] in ("'", '"') and "{" in text


def _is_raised(nodes: Nodes, call: int) -> bool:
    return nodes.kind(nodes.parsed.node_parents[call]) == "raise_statement"


def _is_logged_alone(nodes: Nodes, call: int) -> bool:
    """Whether a call logs a text, and no values for it."""
    return _is_log(nodes, call) and len(nodes.positional(call)) == 1


def _is_log(nodes: Nodes, call: int) -> bool:
    """Whether a call is of a logger, by its name: ``log.info``, ``self._logger.error``."""
    parsed, start = nodes.parsed, nodes.arguments(call).start
    if start < 3 or parsed.text(start - 1) not in _LOGS or parsed.text(start - 2) != ".":
        return False
    return parsed.text(start - 3).strip("_").lower() in _LOGGERS


def log_arguments(nodes: Nodes) -> Iterator[Form]:
    """``log.info("read %s", name, size)``: the record cannot be formatted, and is lost."""
    parsed = nodes.parsed
    for _, call in nodes.method_calls(_LOGS):
        first, *values = nodes.positional(call) or [range(0)]
        if not values or not _is_log(nodes, call) or not nodes.is_text(first):
            continue
        texts = [parsed.text(n) for n in first if parsed.roles[n] == Role.STRING]
        room = printf_values(texts)
        if "{" in "".join(texts):
            continue
        if room is not None and room != len(values):
            given = "one value" if len(values) == 1 else f"{len(values)} values"
            yield Form(first[0], f"{given} for a text with room for {room or 'none'}", ())


def assertion_messages(nodes: Nodes) -> Iterator[Form]:
    """``self.assertTrue(count, 3)``: what comes second is only said when the first is not true."""
    for leaf, call in nodes.method_calls(_TRUTHS):
        given = nodes.positional(call)
        if len(given) == 2 and _is_value(nodes, given[1]):
            says = "its second argument is a message, and is compared with nothing"
            yield Form(leaf, says, ("assertEqual",))


def _is_value(nodes: Nodes, leaves: range) -> bool:
    """Whether an expression is a number, True, False, a list or a mapping: no message.

    Tuples of what was compared are given as messages now and then.
    """
    parsed = nodes.parsed
    if len(leaves) == 1:
        is_literal = parsed.roles[leaves[0]] in (Role.NUMBER, Role.CONSTANT)
        return bool(is_literal) and parsed.text(leaves[0]) != "None"
    return nodes.kind(nodes.node_of(leaves)) in ("list", "dictionary", "set")
