"""Leaves to units, the elements of a window: one leaf each, or one run of punctuation and layout.

A file is encoded once, with its injection sites; windows, masks and wrong leaves are then cut from
the columns with numpy alone, for training and for scanning alike.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from codemlm.injection import Kind, Sites, find_sites
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.tokenizer import DEDENT, INDENT, NEWLINE, LeafTokenizer
from codemlm.types import NAME_ROLES, RUN_ROLES, Role

_NAME_ROLE_NUMBERS = frozenset(int(r) for r in NAME_ROLES)
_SUBSTITUTIONS = frozenset(Kind) - {
    Kind.ARGUMENT_SWAP,
    Kind.OPERAND_SWAP,
    Kind.NEGATION_ADDED,
    Kind.NEGATION_DROPPED,
}


@dataclass(slots=True)
class EncodedFile:
    """A file as columns of units, ready for windows.

    Attributes:
        unit_text: int32 (U,) index of the unit's text in the text table; text 0 is the negation,
            whether or not the file has one.
        unit_role: uint8 (U,).
        unit_parent, unit_grandparent: uint16 (U,) grammar node types.
        unit_leaf: int32 (U,) index of the leaf, -1 for a run.
        unit_line: int32 (U,) count of logical lines begun before the unit.
        near, far: int32 (U,) choice set of the unit's substitution site, -1 for none.
        text_offsets: int32 (N + 1,): text n's pieces are text_pieces[offsets[n]:offsets[n + 1]].
        text_pieces: uint16 subtoken ids.
        text_global: int16 (N,) index among the global candidates, -1 for none.
        text_is_name: bool (N,) whether the text is a name somewhere in the file.
        text_is_run: bool (N,).
        set_offsets, set_members: choice sets as text indices.
        swaps: int32 (S, 2) unit pairs that may be swapped.
        negate: int32 (A, 3): unit before which ``not`` may be added, and the parent and grandparent
            that the ``not`` would have.
        negated: int32 (D,) units that are a ``not`` which may be dropped.
        patches: int32 (M, 4): unit of the negation site, unit, its new parent, its new grandparent.
    """

    unit_text: np.ndarray
    unit_role: np.ndarray
    unit_parent: np.ndarray
    unit_grandparent: np.ndarray
    unit_leaf: np.ndarray
    unit_line: np.ndarray
    near: np.ndarray
    far: np.ndarray
    text_offsets: np.ndarray
    text_pieces: np.ndarray
    text_global: np.ndarray
    text_is_name: np.ndarray
    text_is_run: np.ndarray
    set_offsets: np.ndarray
    set_members: np.ndarray
    swaps: np.ndarray
    negate: np.ndarray
    negated: np.ndarray
    patches: np.ndarray

    def __len__(self) -> int:
        return len(self.unit_text)

    @property
    def unit_lengths(self) -> np.ndarray:
        """Subtokens of each unit: int32 (U,)."""
        lengths: np.ndarray = np.diff(self.text_offsets)[self.unit_text]
        return lengths


ENCODED_COLUMNS = tuple(f.name for f in fields(EncodedFile))


@dataclass(slots=True)
class UnitTexts:
    """What ``units_of`` found: the text table's strings, and per unit its leaf and text."""

    texts: list[str]
    is_run: list[bool]
    unit_text: list[int]
    unit_role: list[int]
    unit_leaf: list[int]
    unit_first: list[int]
    unit_line: list[int]


def units_of(parsed: ParsedFile) -> UnitTexts:  # noqa: PLR0915  # one pass over the leaves
    """Groups the leaves of a file into units, and adds layout."""
    opening, closing = parsed.language.brackets
    source = parsed.source
    newlines = np.flatnonzero(np.frombuffer(source, dtype=np.uint8) == 10)
    first_line = np.searchsorted(newlines, parsed.starts)
    last_line = np.searchsorted(newlines, parsed.ends)
    line_starts = np.concatenate([[0], newlines + 1])
    indents = (parsed.starts - line_starts[first_line]).tolist()
    begins = np.ones(len(parsed), dtype=bool)
    begins[1:] = first_line[1:] != last_line[:-1]
    begins_line, roles, text_ids = begins.tolist(), parsed.roles.tolist(), parsed.text_ids.tolist()
    negation = parsed.language.negation
    out = UnitTexts([negation], [False], [], [], [], [], [])
    index: dict[tuple[bool, str], int] = {(False, negation): 0}
    levels, depth, line = [0], 0, 0
    run: list[str] = []
    run_first, run_role = -1, int(Role.LAYOUT)

    def emit(text: str, is_run: bool, role: int, leaf: int, first: int) -> None:
        key = (is_run, text)
        number = index.get(key)
        if number is None:
            number = index[key] = len(out.texts)
            out.texts.append(text)
            out.is_run.append(is_run)
        out.unit_text.append(number)
        out.unit_role.append(role)
        out.unit_leaf.append(leaf)
        out.unit_first.append(first)
        out.unit_line.append(line)

    run_roles = frozenset(int(r) for r in RUN_ROLES)
    for i, role in enumerate(roles):
        text = parsed.texts[text_ids[i]]
        if begins_line[i] and depth == 0 and i:
            if not run:
                run_first = -1
            run.append(NEWLINE)
            line += 1
            if role != Role.COMMENT:  # a comment's column says nothing of the block structure
                column = indents[i]
                if column > levels[-1]:
                    levels.append(column)
                    run.append(INDENT)
                while column < levels[-1]:
                    levels.pop()
                    run.append(DEDENT)
        if role in run_roles:
            if run_first < 0:
                run_first, run_role = i, int(Role.PUNCTUATION)
            run.append(text)
            if text in opening:
                depth += 1
            elif text in closing:
                depth = max(0, depth - 1)
            continue
        if run:
            emit("".join(run), True, run_role, -1, run_first)
            run, run_first, run_role = [], -1, int(Role.LAYOUT)
        emit(text, False, role, i, i)
    if run:
        emit("".join(run), True, run_role, -1, run_first)
    return out


def encode(parsed: ParsedFile, tokenizer: LeafTokenizer, sites: Sites | None = None) -> EncodedFile:
    """Units of a file with their subtokens, and its injection sites by unit.

    Args:
        parsed: the file.
        tokenizer: subtokens.
        sites: the file's sites; None looks for them. ``Sites()`` encodes without any, for scanning.
    """
    return encode_with_texts(parsed, tokenizer, sites)[0]


def encode_with_texts(
    parsed: ParsedFile, tokenizer: LeafTokenizer, sites: Sites | None = None
) -> tuple[EncodedFile, list[str]]:
    """``encode``'s columns, and the strings of the text table."""
    units = units_of(parsed)
    sites = find_sites(parsed) if sites is None else sites
    first = np.array(units.unit_first, dtype=np.int32)
    known = first >= 0
    parents = np.where(known, parsed.parents[first], 0) if len(parsed) else first
    grandparents = np.where(known, parsed.grandparents[first], 0) if len(parsed) else first
    unit_leaf = np.array(units.unit_leaf, dtype=np.int32)
    unit_text = np.array(units.unit_text, dtype=np.int32)
    roles = np.array(units.unit_role, dtype=np.uint8)
    unit_of_leaf = np.full(max(len(parsed), 1), -1, dtype=np.int32)
    unit_of_leaf[unit_leaf[unit_leaf >= 0]] = np.flatnonzero(unit_leaf >= 0)
    unit_of_first = np.full(max(len(parsed), 1), -1, dtype=np.int32)
    unit_of_first[first[known]] = np.flatnonzero(known)

    numbered = enumerate(zip(units.texts, units.is_run, strict=True))
    text_index = {text: i for i, (text, run) in numbered if not run}
    texts, is_run = units.texts, units.is_run
    members, offsets = [], [0]
    for choice in sites.choices:
        for text in choice:
            if text not in text_index:
                text_index[text] = len(texts)
                texts.append(text)
                is_run.append(False)
            members.append(text_index[text])
        offsets.append(len(members))
    near = np.full(len(roles), -1, dtype=np.int32)
    far = np.full(len(roles), -1, dtype=np.int32)
    for site in sites.sites:
        if site.kind in _SUBSTITUTIONS:
            unit = unit_of_leaf[site.leaf]
            near[unit], far[unit] = site.near, site.far

    is_name = np.zeros(len(texts), dtype=bool)
    named = np.isin(roles, [int(r) for r in NAME_ROLES])
    is_name[unit_text[named]] = True
    pieces = [
        tokenizer.run_pieces(t) if run else tokenizer.pieces(t)
        for t, run in zip(texts, is_run, strict=True)
    ]
    encoded = EncodedFile(
        unit_text=unit_text,
        unit_role=roles,
        unit_parent=parents.astype(np.uint16),
        unit_grandparent=grandparents.astype(np.uint16),
        unit_leaf=unit_leaf,
        unit_line=np.array(units.unit_line, dtype=np.int32),
        near=near,
        far=far,
        text_offsets=np.cumsum([0, *map(len, pieces)], dtype=np.int32),
        text_pieces=np.array([p for row in pieces for p in row], dtype=np.uint16),
        text_global=np.array(
            [-1 if run else tokenizer.frequent_id(t) for t, run in zip(texts, is_run, strict=True)],
            dtype=np.int16,
        ),
        text_is_name=is_name,
        text_is_run=np.array(is_run, dtype=bool),
        set_offsets=np.array(offsets, dtype=np.int32),
        set_members=np.array(members, dtype=np.int32),
        **_structural(parsed, sites, unit_of_leaf, unit_of_first),
    )
    return encoded, texts


def _structural(
    parsed: ParsedFile, sites: Sites, unit_of_leaf: np.ndarray, unit_of_first: np.ndarray
) -> dict[str, np.ndarray]:
    """Swaps and negations by unit, and what a negation does to the syntax around it.

    ``unit_of_first`` finds runs too, by their first leaf, from which they take their syntax.
    """
    swaps: list[tuple[int, int]] = []
    negate: list[tuple[int, int, int]] = []
    negated: list[int] = []
    patches: list[tuple[int, int, int, int]] = []
    names = node_type_names(parsed.language)
    negation = names.index(parsed.language.negation_parent)
    children: dict[int, list[int]] = {}
    for leaf, node in enumerate(parsed.parent_nodes.tolist() if sites.sites else ()):
        children.setdefault(node, []).append(leaf)
    inner: dict[int, list[int]] = {}
    for node, parent in enumerate(parsed.node_parents if sites.sites else ()):
        inner.setdefault(parent, []).append(node)
    condition_node = {}
    for start, end, _, parent in parsed.conditions:
        same = [
            node
            for node in inner.get(parent, [])
            if parsed.node_starts[node] == start and parsed.node_ends[node] == end
        ]
        condition_node[start] = (same[0] if same else -1, parent)

    def kind(node: int) -> int:
        return parsed.node_kinds[node] if node >= 0 else 0

    for site in sites.sites:
        if site.kind in (Kind.ARGUMENT_SWAP, Kind.OPERAND_SWAP):
            swaps.append((int(unit_of_leaf[site.leaf]), int(unit_of_leaf[site.other])))
        elif site.kind is Kind.NEGATION_ADDED:
            unit = int(unit_of_leaf[site.leaf])
            if unit < 0:
                continue  # a parenthesis: part of a run, which no finding can name
            node, parent = condition_node[int(parsed.starts[site.leaf])]
            negate.append((unit, negation, kind(parent)))
            if node < 0:
                patches.append((unit, unit, negation, kind(parent)))
            patches += [
                (unit, int(unit_of_first[leaf]), kind(node), negation)
                for leaf in (children.get(node, []) if node >= 0 else [])
                if unit_of_first[leaf] >= 0
            ]
        elif site.kind is Kind.NEGATION_DROPPED:
            unit, following = int(unit_of_leaf[site.leaf]), int(unit_of_leaf[site.leaf + 1])
            if following < 0:
                continue
            negated.append(unit)
            node = int(parsed.parent_nodes[site.leaf])
            parent = parsed.node_parents[node]
            above = parsed.node_parents[parent] if parent >= 0 else -1
            if int(parsed.parent_nodes[site.leaf + 1]) == node:
                patches.append((unit, following, kind(parent), kind(above)))
            for argument in inner.get(node, []):
                patches += [
                    (unit, int(unit_of_first[leaf]), kind(argument), kind(parent))
                    for leaf in children.get(argument, [])
                    if unit_of_first[leaf] >= 0
                ]
    return {
        "swaps": np.array(swaps, dtype=np.int32).reshape(-1, 2),
        "negate": np.array(negate, dtype=np.int32).reshape(-1, 3),
        "negated": np.array(negated, dtype=np.int32),
        "patches": np.array(patches, dtype=np.int32).reshape(-1, 4),
    }
