"""A fix as the inverse of one mistake: what it was, where, and whether it is a bug at all."""

from __future__ import annotations

from dataclasses import dataclass

from codemlm.positions import LineIndex
from codemlm.scopes import ancestors
from codemlm.syntax import ParsedFile, node_type_names, parse
from codemlm.types import Role
from codemlm.undefined import undefined_names
from codemlm_corpus.mining.difference import difference
from codemlm_corpus.mining.lines import refusal
from codemlm_corpus.mining.noise import Candidate, is_misspelt, noise

_MAX_BYTES = 1_000_000
_SURROUNDINGS = ("function_definition", "class_definition")
DOUBTS = frozenset(("unseen-name", "base-class"))
"""Kinds of noise that are real bugs as often as not, but seldom ones that the file shows."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a fix undid. Offsets are bytes of the parent's file, encoded as UTF-8.

    Attributes:
        kind: the mistake, one of ``codemlm.fixes.FIX_KINDS``.
        edits: (start, end, text), disjoint and in order: they make the fix.
        before, after: text of the wrong leaf, and of what was meant ("" for a ``not`` added or
            taken away). For a swap: the first leaf's. For a prefix: with it, ``self.name``.
        function: qualified name of the innermost function or class around the bug; "" in a module.
        line: of the wrong leaf, 1-based.
        undefined: whether the wrong leaf is a name that scope analysis finds undefined.
        slip: whether it is a misspelling, used nowhere else, of a name that the file does use.
        doubt: one of ``DOUBTS``, or "".
    """

    kind: str
    edits: tuple[tuple[int, int, str], ...]
    before: str
    after: str
    function: str
    line: int
    undefined: bool
    slip: bool
    doubt: str


def explain(before: str, after: str, path: str = "") -> Explanation | str:
    """The mistake in ``before`` that ``after`` undoes; a ``str`` says why it is none.

    Args:
        before: the file before the fix.
        after: the file with it.
        path: of the file, for what its name tells (tests, stubs).

    Returns:
        The mistake, or the reason of the drop in words-with-hyphens, to be counted.
    """
    if len(before) > _MAX_BYTES or len(after) > _MAX_BYTES:
        return "too-large"
    refused = refusal(before, after)
    if refused is not None:
        return refused
    try:
        old, new = parse(before.encode()), parse(after.encode())
    except UnicodeEncodeError:  # a lone surrogate, which some codecs decode to
        return "undecodable"
    if old.has_error or new.has_error:
        return "syntax-error"
    found = difference(old, new)
    if isinstance(found, str):
        return found
    undefined = any(
        name.leaf == found.leaf for name in undefined_names(old, stub=path.endswith(".pyi"))
    )
    candidate = Candidate(old, found, undefined)
    noisy = noise(candidate)
    if noisy is not None and noisy not in DOUBTS:
        return noisy
    return _explanation(candidate, noisy or "")


def _explanation(candidate: Candidate, doubt: str) -> Explanation:
    old, found = candidate.old, candidate.found
    return Explanation(
        kind=found.kind,
        edits=found.edits,
        before=found.before,
        after=found.after,
        function=qualified_name(old, found.leaf),
        line=LineIndex(old.source).line_of(int(old.starts[found.leaf])),
        undefined=candidate.undefined,
        slip=is_misspelt(candidate),
        doubt=doubt,
    )


def qualified_name(parsed: ParsedFile, leaf: int) -> str:
    """Dotted names of the functions and classes around a leaf, outermost first; "" for none."""
    names = node_type_names(parsed.language)
    around = [n for n in ancestors(parsed, leaf) if names[parsed.node_kinds[n]] in _SURROUNDINGS]
    found = {
        int(parsed.parent_nodes[i]): parsed.text(i)
        for i in (parsed.roles == Role.DEFINITION).nonzero()[0].tolist()
    }
    return ".".join(found[node] for node in reversed(around) if node in found)
