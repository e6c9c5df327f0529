"""Finds the place of an edit again in another version of the same file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codemlm.syntax import parse
from codemlm.types import Role

Edits = tuple[tuple[int, int, str], ...]
"""(start, end, text): bytes of a UTF-8 source, as ``codemlm.fixes.Fix`` has them."""

LEAST_LEAVES = 4
"""A shorter statement (``return self``) says too little to be recognised elsewhere in a file."""

_WHITESPACE = frozenset(b" \t\r\n\f\v")
_FREE = frozenset(("(", ")", ","))  # a formatter adds and takes these away at will
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def lines_of(source: bytes, edits: Edits) -> list[int]:
    """The 1-based lines that the edits touch, in order."""
    touched: set[int] = set()
    for start, end, _ in edits:
        first = source.count(b"\n", 0, start) + 1
        touched.update(range(first, first + source.count(b"\n", start, end) + 1))
    return sorted(touched)


def along_lines(old: bytes, edits: Edits, new: bytes, line_of: Mapping[int, int]) -> Edits | None:
    """The edits in lines that two sources share but for their whitespace.

    Args:
        old: the source that the edits are of.
        edits: each within one line.
        new: another version of it.
        line_of: line of ``new`` by line of ``old``, both 1-based.

    Returns:
        The edits in ``new``; None if a line differs in more than whitespace, or is not there.
    """
    old_lines, new_lines = old.split(b"\n"), new.split(b"\n")
    found = []
    for start, end, text in edits:
        first = old.count(b"\n", 0, start) + 1
        if b"\n" in old[start:end] or not 1 <= line_of.get(first, 0) <= len(new_lines):
            return None
        before, after = old_lines[first - 1], new_lines[line_of[first] - 1]
        if before.translate(None, bytes(_WHITESPACE)) != after.translate(None, bytes(_WHITESPACE)):
            return None
        begin = old.rfind(b"\n", 0, start) + 1
        solid = [i for i, byte in enumerate(after) if byte not in _WHITESPACE]
        skipped = _solid_count(before[: start - begin])
        length = _solid_count(old[start:end])
        if skipped + length > len(solid) or (skipped == len(solid) and not length):
            return None
        at = solid[skipped]
        stop = solid[skipped + length - 1] + 1 if length else at
        base = sum(len(line) + 1 for line in new_lines[: line_of[first] - 1])
        found.append((base + at, _widened(old[start:end], new, base + stop), text))
    return tuple(found)


def along_statements(
    old: bytes, edits: Edits, new: bytes, near: Iterable[int] | None = None
) -> Edits | None:
    """The edits in a statement that stands in both sources, perhaps moved or formatted anew.

    Statements are the same if their leaves are, but for parentheses, commas and quotes.

    Args:
        old: the source that the edits are of, all in one statement.
        edits: what to find again.
        new: another version of it.
        near: lines of ``new``, one of which the statement has to touch. If None: the statement
            must occur in ``new`` as often as in ``old``, because one that occurs less often there
            was copied, and a copy is new.

    Returns:
        The edits in ``new``; None if the statement is not there.
    """
    before, after = _Outline(old), _Outline(new)
    edges = [before.edges(start, end) for start, end, _ in edits]
    homes = {before.home(edge) for pair in edges for edge in pair}
    if len(homes) != 1 or None in homes:
        return None
    (home,) = homes
    assert home is not None
    key = before.key(home)
    there = [number for number in range(len(after.statements)) if after.key(number) == key]
    if near is not None:
        wanted = set(near)
        there = [number for number in there if wanted & set(after.lines(number))]
        place = 0
    else:
        here = [number for number in range(len(before.statements)) if before.key(number) == key]
        place = here.index(home)
        if len(key) < LEAST_LEAVES or len(there) < len(here):
            return None
    if not there:
        return None
    shift = after.statements[there[place]][0] - before.statements[home][0]
    found = []
    for (start, end, text), pair in zip(edits, edges, strict=True):
        at, stop = (after.offset(edge, shift) for edge in pair)
        stop = _widened(old[start:end], new, stop)
        if stop < at or old[start:end].split() != new[at:stop].split():
            return None
        found.append((at, stop, text))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Edge:
    """A place at one side of a leaf; the leaf is -1 where there is none."""

    leaf: int
    after: bool


class _Outline:
    """A source as statements: runs of leaves, each up to a newline outside brackets."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        parsed = parse(source)
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.words: list[str] = []
        self.statements: list[tuple[int, int]] = []
        depth, first, last_end, broken = 0, 0, 0, False
        columns = (parsed.starts, parsed.ends, parsed.roles, parsed.text_ids)
        for start, end, role, number in zip(*(c.tolist() for c in columns), strict=True):
            text, between = parsed.texts[number], source[last_end:start]
            broken |= depth <= 0 and b"\n" in between and b"\\" not in between
            last_end = max(last_end, end)
            if role in (Role.COMMENT, Role.LAYOUT) or start == end:
                continue
            if broken and self.words[first:]:
                self.statements.append((first, len(self.words)))
                first = len(self.words)
            broken = False
            depth += (text in _OPENING) - (text in _CLOSING)
            if text not in _FREE:
                self.starts.append(start)
                self.ends.append(end)
                self.words.append(text.replace('"', "'"))
        if self.words[first:]:
            self.statements.append((first, len(self.words)))
        self._by_start = {start: leaf for leaf, start in enumerate(self.starts)}
        self._by_end = {end: leaf for leaf, end in enumerate(self.ends)}
        self._statement_of = [
            number for number, (a, b) in enumerate(self.statements) for _ in range(a, b)
        ]

    def edges(self, start: int, end: int) -> tuple[_Edge, _Edge]:
        """Both ends of a range, by the leaves that they touch; whitespace at its end is left."""
        solid = start + len(self.source[start:end].rstrip())
        first = _Edge(self._by_start.get(start, -1), after=False)
        if solid == start:
            return first, first
        return first, _Edge(self._by_end.get(solid, -1), after=True)

    def home(self, edge: _Edge) -> int | None:
        """The statement of a place; None if no leaf is there."""
        return self._statement_of[edge.leaf] if edge.leaf >= 0 else None

    def key(self, statement: int) -> list[str]:
        """What has to be equal for statements to be the same."""
        return self.words[slice(*self.statements[statement])]

    def lines(self, statement: int) -> range:
        """The 1-based lines of a statement."""
        first, stop = self.statements[statement]
        line = self.source.count(b"\n", 0, self.starts[first]) + 1
        more = self.source.count(b"\n", self.starts[first], self.ends[stop - 1])
        return range(line, line + more + 1)

    def offset(self, edge: _Edge, shift: int) -> int:
        """Where an edge of another outline is in this one, its leaf ``shift`` further."""
        return (self.ends if edge.after else self.starts)[edge.leaf + shift]


def _solid_count(text: bytes) -> int:
    return len(text.translate(None, bytes(_WHITESPACE)))


def _widened(old: bytes, new: bytes, end: int) -> int:
    """The end of an edit, whitespace taken in where the old edit ended with some."""
    if old.rstrip() != old:
        while end < len(new) and new[end] in _WHITESPACE:
            end += 1
    return end
