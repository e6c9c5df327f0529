"""Evidence from the whole file that a leaf is a mistake, and that another text was meant.

The model sees a window; the file says more: how often either text occurs, with which neighbours,
receivers and arguments, whether a name is defined or left unused, how statements alongside read.
Pure: every feature is a count or comparison within the file, NaN where it has no meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from codemlm.evidence_places import NONE
from codemlm.evidence_spelling import SPELLING_FEATURES, likeness, spelling
from codemlm.evidence_tables import GRAMS, MEMBER_ROLES, READ_ROLES, Tables, keyed
from codemlm.syntax import ParsedFile
from codemlm.types import NAME_ROLES, Role

_OF_BOTH = (
    "count",
    "count_in_role",
    "count_in_function",
    "count_in_statement",
    "count_in_arguments",
    "count_in_node",
    "reads_in_function",
    "bindings_in_function",
    "bindings",
    "imports",
    "is_builtin",
    "class_members",
    "back",
    "ahead",
    "bound_back",
    "is_target",
    "like_target",
    "is_aligned",
    "is_expected",
    "like_parameter",
    "is_parameter",
    "in_slot",
    *(f"gram_{name}" for name in GRAMS),
)
"""Features of the shown text and of the suggestion alike."""
_OF_PLACE = (
    "role",
    "length",
    "suggested_length",
    "slot_size",
    "gram_total",
    "gram_ratio",
    "twin_count",
    "is_twin",
    "statement_differs",
    "position",
    "in_assertion",
    "is_receiver",
    "self_member",
    "class_inherits",
    "parent",
    "left_role",
    "right_role",
    "operator",
    "suggested_operator",
    "number",
    "number_step",
    "in_test",
    "has_errors",
    "file_size",
    "function_size",
)
EVIDENCE_FEATURES: tuple[str, ...] = (
    *SPELLING_FEATURES,
    *(f"{name}_{of}" for name in _OF_BOTH for of in ("shown", "suggested")),
    *_OF_PLACE,
)
"""Features in order; see ``Evidence.features``."""


class Evidence:
    """What a file says of its leaves; made once a file.

    Args:
        parsed: the file.
        path: where it lies, which may say that it is a test.
    """

    def __init__(self, parsed: ParsedFile, path: str = "") -> None:
        self._tables = Tables(parsed, path)

    def features(self, leaves: Sequence[int], suggestions: Sequence[str]) -> np.ndarray:
        """Features of leaves and of what may be meant there: float32 (N, F).

        Columns are in the order of EVIDENCE_FEATURES.

        Args:
            leaves: leaf indices.
            suggestions: a text for each.
        """
        if not len(leaves):
            return np.zeros((0, len(EVIDENCE_FEATURES)), dtype=np.float32)
        columns = _columns(self._tables, np.asarray(leaves, dtype=np.int64), list(suggestions))
        found = np.empty((len(EVIDENCE_FEATURES), len(leaves)), dtype=np.float32)
        for row, name in zip(found, EVIDENCE_FEATURES, strict=True):
            row[:] = columns[name]
        return found.T


def _columns(tables: Tables, leaves: np.ndarray, suggestions: list[str]) -> dict[str, np.ndarray]:
    """Every feature by name. Many rows may ask about one leaf, which is looked at once.

    Args:
        tables: of the file.
        leaves: leaf of each row, int64 (N,).
        suggestions: text of each row.
    """
    alone, row = np.unique(leaves, return_inverse=True)
    at = _Leaves(tables, alone)
    shown = _Texts(at, at.shown, at.texts)
    id_of = at.places.id_of
    ids = np.array([id_of.get(text, NONE) for text in suggestions], dtype=np.int64)
    every = _Leaves(tables, leaves)
    suggested = _Texts(every, ids, suggestions)
    found = {f"{name}_shown": column[row] for name, column in shown.columns().items()}
    found |= {name: column[row] for name, column in at.columns().items()}
    found |= {f"{name}_suggested": column for name, column in suggested.columns().items()}
    found |= suggested.beside_shown()
    # Its own place is no other one for what is shown.
    found |= _gram_columns((shown.grams() - 1)[:, row], suggested.grams())
    return found


def _gram_columns(shown: np.ndarray, suggested: np.ndarray) -> dict[str, np.ndarray]:
    """Features of n-grams.

    Args:
        shown, suggested: how often either text stands elsewhere in each kind of context: (K, N).
    """
    found = {f"gram_{name}_shown": np.log1p(shown[k]) for k, name in enumerate(GRAMS)}
    found |= {f"gram_{name}_suggested": np.log1p(suggested[k]) for k, name in enumerate(GRAMS)}
    ratio = np.zeros(shown.shape[1])
    for mine, other in zip(shown, suggested, strict=True):
        ratio += np.log((other + 0.2) / (mine + 0.2))
    return {**found, "gram_ratio": ratio}


class _Leaves:
    """Leaves of a file, and what is said of them whatever is suggested."""

    def __init__(self, tables: Tables, leaves: np.ndarray) -> None:
        self.tables, self.places, self.parsed = tables, tables.places, tables.parsed
        self.leaves = leaves
        self.shown = self.places.ids[leaves]
        self.roles = tables.roles[leaves]
        self.is_name = tables.has_role(NAME_ROLES)[leaves]
        self.is_member = tables.has_role(MEMBER_ROLES)[leaves]
        self.scopes = self.parsed.scopes_of[leaves]
        self.function = self.places.function[self.scopes]
        self.class_range = self.places.class_range[self.scopes]

    @property
    def texts(self) -> list[str]:
        """What the leaves show."""
        return [self.parsed.texts[i] for i in self.shown.tolist()]

    @cached_property
    def ranges(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Leaf ranges of the statement, the parent node and the argument list around each leaf."""
        places = self.places
        segment = places.segment[self.leaves]
        statement = places.segment_starts[segment], places.segment_starts[segment + 1]
        node = self._node_range(self.parsed.parent_nodes[self.leaves])
        listed = self._node_range(np.maximum(places.list_node[self.leaves], 0))
        return statement, node, listed

    def _node_range(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts, places = self.parsed.starts, self.places
        low = np.searchsorted(starts, places.node_starts[nodes])
        return low, np.searchsorted(starts, places.node_ends[nodes])

    @cached_property
    def parameters(self) -> list[tuple[int, str]]:
        """Names that are arguments of functions that the file defines, and what they are for."""
        places, texts = self.places, self.parsed.texts
        callee, position = places.callee[self.leaves], places.position[self.leaves]
        unnamed = (callee >= 0) & (places.keyword[self.leaves] < 0) & self.is_name
        found = []
        for i in np.flatnonzero(unnamed).tolist():
            known = self.tables.parameters.get(texts[callee[i]], ())
            if position[i] < len(known):
                found.append((i, known[position[i]]))
        return found

    @cached_property
    def keywords(self) -> list[tuple[int, list[str]]]:
        """Keyword arguments of functions that the file defines, and the parameters of those."""
        callee, texts = self.places.callee[self.leaves], self.parsed.texts
        asked = np.flatnonzero((self.roles == Role.KEYWORD_ARGUMENT) & (callee >= 0)).tolist()
        known = [(i, self.tables.parameters.get(texts[callee[i]])) for i in asked]
        return [(i, names) for i, names in known if names is not None]

    def columns(self) -> dict[str, np.ndarray]:
        """Features of the place and of what stands there."""
        tables, parsed, leaves, texts = self.tables, self.parsed, self.leaves, self.texts
        size, count = self.places.size, len(leaves)
        slot, slots, _ = tables.slots
        listed = self.places.list_node[leaves] >= 0
        dots = self.places.texts_are(parsed.language.member_access)
        selves = self.places.texts_are(*parsed.language.self_names)
        following = np.minimum(leaves + 1, size - 1)
        twins = [tables.twins.get(text) for text in texts]
        padded = np.append(tables.roles, [0, 0])
        asserted = self.places.texts_are("assert")
        starts = self.places.segment_starts[self.places.segment[leaves]]
        context, _ = tables.grams["both"]
        return {
            "role": self.roles,
            "length": np.array([len(text) for text in texts]),
            "slot_size": np.where(listed, np.log1p(slots.count(slot[leaves])), np.nan),
            "gram_total": np.log1p(tables.contexts.count(context[leaves]) - 1),
            "twin_count": np.array([np.nan if t is None else np.log(t[1]) for t in twins]),
            "statement_differs": tables.parallels.differing[leaves],
            "position": np.where(listed, self.places.position[leaves], np.nan),
            "in_assertion": asserted[starts],
            "is_receiver": dots[following],
            "self_member": np.where(self.is_member, selves[np.maximum(leaves - 2, 0)], np.nan),
            "class_inherits": self.places.has_bases[self.scopes],
            "parent": tables.parent_numbers[leaves],
            "left_role": padded[leaves - 1],
            "right_role": padded[leaves + 1],
            "operator": self.operators(texts),
            "number": self.numbers(texts),
            "in_test": np.full(count, tables.in_test),
            "has_errors": np.full(count, parsed.has_error),
            "file_size": np.full(count, np.log1p(size)),
            "function_size": np.log1p(self.function[:, 1] - self.function[:, 0]),
        }

    def operators(self, texts: Sequence[str]) -> np.ndarray:
        """Numbers of the operators that texts are in place of operators; NaN elsewhere."""
        known, found = self.tables.operators, np.full(len(self.leaves), np.nan)
        for i in np.flatnonzero(self.roles == Role.OPERATOR).tolist():
            found[i] = known.get(texts[i], NONE)
        return found

    def numbers(self, texts: Sequence[str]) -> np.ndarray:
        """Values of the numbers that texts are in place of numbers; NaN elsewhere."""
        found = np.full(len(self.leaves), np.nan)
        for i in np.flatnonzero(self.roles == Role.NUMBER).tolist():
            found[i] = _number(texts[i])
        return found


class _Texts:
    """A text for each of some leaves: what they show, or what may be meant.

    Args:
        at: the leaves.
        ids: of the texts among those of the file, ``NONE`` of others.
        texts: the texts.
    """

    def __init__(self, at: _Leaves, ids: np.ndarray, texts: list[str]) -> None:
        self.at, self.tables, self.places = at, at.tables, at.places
        self.leaves = at.leaves
        self.ids, self.texts = ids, texts
        self._own = (ids == at.shown).astype(np.int64)  # its own occurrence does not count

    def columns(self) -> dict[str, np.ndarray]:
        """Features of the text; those of n-grams are made of ``grams``."""
        return self._counts() | self._definitions() | self._distances() | self._relations()

    def beside_shown(self) -> dict[str, np.ndarray]:
        """Features of the text beside the one that is shown."""
        at, texts, twins = self.at, self.texts, self.tables.twins
        shown = at.texts
        none = (np.nan,) * len(SPELLING_FEATURES)
        rows = [
            spelling(mine, text) if name else none
            for mine, text, name in zip(shown, texts, at.is_name.tolist(), strict=True)
        ]
        known = [twins.get(text) for text in shown]
        return {
            **dict(zip(SPELLING_FEATURES, np.array(rows, dtype=np.float64).T, strict=True)),
            "suggested_length": np.array([len(text) for text in texts]),
            "suggested_operator": at.operators(texts),
            "number_step": at.numbers(texts) - at.numbers(shown),
            "is_twin": np.array(
                [
                    np.nan if t is None else float(t[0] == text)
                    for t, text in zip(known, texts, strict=True)
                ]
            ),
        }

    def grams(self) -> np.ndarray:
        """How often the text stands elsewhere in each kind of context of the leaf: (K, N)."""
        counts = np.array([self.tables.gram_counts(n, self.leaves, self.ids) for n in GRAMS])
        found: np.ndarray = np.where(self.ids >= 0, counts, 0)
        return found

    def _counts(self) -> dict[str, np.ndarray]:
        at, every, ids, own = self.at, self.tables.all, self.ids, self._own
        statement, node, arguments = at.ranges
        listed = self.places.list_node[self.leaves]
        in_arguments = (every.count(ids, *arguments) - own).astype(np.float64)
        in_arguments[listed < 0] = np.nan
        return {
            "count": np.log1p(every.total(ids) - own),
            "count_in_role": np.log1p(self.tables.role_count(ids, at.roles) - own),
            "count_in_function": np.log1p(
                every.count(ids, at.function[:, 0], at.function[:, 1]) - own
            ),
            "count_in_statement": every.count(ids, *statement) - own,
            "count_in_arguments": in_arguments,
            "count_in_node": every.count(ids, *node) - own,
        }

    def _definitions(self) -> dict[str, np.ndarray]:
        at, tables, ids = self.at, self.tables, self.ids
        low, high = at.function[:, 0], at.function[:, 1]
        own = self._own * tables.has_role(READ_ROLES)[self.leaves]
        builtins = at.parsed.language.builtins
        in_class = tables.members.count(ids, at.class_range[:, 0], at.class_range[:, 1])
        no_class = (at.class_range[:, 0] < 0) | ~at.is_member
        return {
            "reads_in_function": tables.reads.count(ids, low, high) - own,
            "bindings_in_function": tables.binds.count(ids, low, high),
            "bindings": np.log1p(tables.binds.total(ids)),
            "imports": tables.imports.total(ids),
            "is_builtin": np.array([text in builtins for text in self.texts], dtype=np.float64),
            "class_members": np.where(no_class, np.nan, in_class),
        }

    def _distances(self) -> dict[str, np.ndarray]:
        leaves = self.leaves
        back = self.tables.all.before(self.ids, leaves)
        ahead = self.tables.all.after(self.ids, leaves)
        bound = self.tables.binds.before(self.ids, leaves)
        return {
            "back": _log_distance(back, leaves),
            "ahead": _log_distance(ahead, leaves),
            "bound_back": _log_distance(bound, leaves),
        }

    def _relations(self) -> dict[str, np.ndarray]:
        at, tables, leaves, texts, ids = self.at, self.tables, self.leaves, self.texts, self.ids
        target = self.places.target[leaves]
        aligned, expected = tables.parallels.aligned[leaves], tables.parallels.expected[leaves]
        slot, _, filled = tables.slots
        in_slot = filled.count(keyed(slot[leaves], ids)) - self._own
        outside = self.places.list_node[leaves] < 0
        known = tables.parsed.texts
        like_target = np.full(len(leaves), np.nan)
        for i in np.flatnonzero((target >= 0) & at.is_name).tolist():
            like_target[i] = likeness(texts[i], known[target[i]])
        like_parameter = np.full(len(leaves), np.nan)
        for i, parameter in at.parameters:
            like_parameter[i] = likeness(texts[i], parameter)
        is_parameter = np.full(len(leaves), np.nan)
        for i, names in at.keywords:
            is_parameter[i] = texts[i] in names
        return {
            "is_target": np.where(target >= 0, target == ids, np.nan),
            "like_target": like_target,
            "is_aligned": np.where(aligned >= 0, aligned == ids, np.nan),
            "is_expected": np.where(expected >= 0, expected == ids, np.nan),
            "like_parameter": like_parameter,
            "is_parameter": is_parameter,
            "in_slot": np.where(outside, np.nan, np.log1p(np.maximum(in_slot, 0))),
        }


def _log_distance(places: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """Natural log of one more than the leaves between; NaN where there is no place."""
    found: np.ndarray = np.where(places >= 0, np.log1p(np.abs(places - leaves)), np.nan)
    return found


def _number(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else np.nan
