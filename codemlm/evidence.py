"""Evidence from the whole file that a leaf is a mistake, and that another text was meant.

The model sees a window; the file says more: how often either text occurs, with which neighbours,
receivers and arguments, whether a name is defined or left unused, how statements alongside read.
Pure: every feature is a count or comparison within the file, NaN where it has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from codemlm.evidence_places import NONE
from codemlm.evidence_spelling import SPELLING_FEATURES, likeness, spelling
from codemlm.evidence_tables import GRAMS, MEMBER_ROLES, READ_ROLES, Tables, keyed, matches
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
        asked = _Asked(self._tables, np.asarray(leaves, dtype=np.int64), list(suggestions))
        columns = asked.columns()
        return np.column_stack([columns[name] for name in EVIDENCE_FEATURES]).astype(np.float32)


class _Asked:
    """Leaves of a file with a suggestion each, and their features."""

    def __init__(self, tables: Tables, leaves: np.ndarray, suggestions: list[str]) -> None:
        self.tables, self.places = tables, tables.places
        self.parsed = tables.parsed
        self.leaves, self.suggestions = leaves, suggestions
        self.shown = self.places.ids[leaves]
        id_of = self.places.id_of
        self.suggested = np.array([id_of.get(text, NONE) for text in suggestions], dtype=np.int64)
        self.texts = [self.parsed.texts[i] for i in self.shown.tolist()]
        self.roles = tables.roles[leaves]
        self.is_name = tables.has_role(NAME_ROLES)[leaves]
        self.is_member = tables.has_role(MEMBER_ROLES)[leaves]
        scopes = self.parsed.scopes_of[leaves]
        self.function = self.places.function[scopes]
        self.class_range = self.places.class_range[scopes]
        self.scopes = scopes

    def columns(self) -> dict[str, np.ndarray]:
        """Every feature by name."""
        found = self._spelling()
        groups: Sequence[Callable[[np.ndarray, list[str]], dict[str, np.ndarray]]] = (
            self._counts,
            self._definitions,
            self._distances,
            self._relations,
        )
        sides = (("shown", self.shown, self.texts), ("suggested", self.suggested, self.suggestions))
        for of, ids, texts in sides:
            for group in groups:
                found |= {f"{name}_{of}": column for name, column in group(ids, texts).items()}
        found |= self._gram_columns()
        found |= self._place()
        return found | self._values()

    def _own(self, ids: np.ndarray) -> np.ndarray:
        """1 where the text is the shown one: its own occurrence does not count."""
        found: np.ndarray = (ids == self.shown).astype(np.int64)
        return found

    def _spelling(self) -> dict[str, np.ndarray]:
        none = (np.nan,) * len(SPELLING_FEATURES)
        rows = [
            spelling(shown, text) if name else none
            for shown, text, name in zip(
                self.texts, self.suggestions, self.is_name.tolist(), strict=True
            )
        ]
        table = np.array(rows, dtype=np.float64)
        return {name: table[:, i] for i, name in enumerate(SPELLING_FEATURES)}

    def _counts(self, ids: np.ndarray, _texts: list[str]) -> dict[str, np.ndarray]:
        places, every, own = self.places, self.tables.all, self._own(ids)
        statement, node, arguments = self._ranges
        listed = places.list_node[self.leaves]
        in_arguments = (every.count(ids, *arguments) - own).astype(np.float64)
        in_arguments[listed < 0] = np.nan
        with_role = np.where(ids >= 0, ids * 32 + self.roles, NONE)
        in_role = np.where(ids >= 0, matches(self.tables.role_keys, with_role), 0)
        return {
            "count": np.log1p(every.count(ids, 0, places.size) - own),
            "count_in_role": np.log1p(in_role - own),
            "count_in_function": np.log1p(
                every.count(ids, self.function[:, 0], self.function[:, 1]) - own
            ),
            "count_in_statement": every.count(ids, *statement) - own,
            "count_in_arguments": in_arguments,
            "count_in_node": every.count(ids, *node) - own,
        }

    @cached_property
    def _ranges(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
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

    def _definitions(self, ids: np.ndarray, texts: list[str]) -> dict[str, np.ndarray]:
        tables, size = self.tables, self.places.size
        low, high = self.function[:, 0], self.function[:, 1]
        is_read = np.isin(self.roles, [int(r) for r in READ_ROLES])
        own = self._own(ids) * is_read
        builtins = self.parsed.language.builtins
        in_class = tables.members.count(ids, self.class_range[:, 0], self.class_range[:, 1])
        no_class = (self.class_range[:, 0] < 0) | ~self.is_member
        return {
            "reads_in_function": tables.reads.count(ids, low, high) - own,
            "bindings_in_function": tables.binds.count(ids, low, high),
            "bindings": np.log1p(tables.binds.count(ids, 0, size)),
            "imports": tables.imports.count(ids, 0, size),
            "is_builtin": np.array([text in builtins for text in texts], dtype=np.float64),
            "class_members": np.where(no_class, np.nan, in_class),
        }

    def _distances(self, ids: np.ndarray, _texts: list[str]) -> dict[str, np.ndarray]:
        leaves = self.leaves
        back = self.tables.all.before(ids, leaves)
        ahead = self.tables.all.after(ids, leaves)
        bound = self.tables.binds.before(ids, leaves)
        return {
            "back": _log_distance(back, leaves),
            "ahead": _log_distance(ahead, leaves),
            "bound_back": _log_distance(bound, leaves),
        }

    def _relations(self, ids: np.ndarray, texts: list[str]) -> dict[str, np.ndarray]:
        tables, leaves = self.tables, self.leaves
        target = self.places.target[leaves]
        aligned, expected = tables.parallels.aligned[leaves], tables.parallels.expected[leaves]
        slot, _, keys = tables.slots
        in_slot = matches(keys, keyed(slot[leaves], ids)) - self._own(ids)
        outside = self.places.list_node[leaves] < 0
        known = tables.parsed.texts
        like_target = np.full(len(leaves), np.nan)
        for i in np.flatnonzero((target >= 0) & self.is_name).tolist():
            like_target[i] = likeness(texts[i], known[target[i]])
        like_parameter = np.full(len(leaves), np.nan)
        for i, parameter in self._parameters:
            like_parameter[i] = likeness(texts[i], parameter)
        is_parameter = np.full(len(leaves), np.nan)
        for i, names in self._keywords:
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

    @cached_property
    def _parameters(self) -> list[tuple[int, str]]:
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
    def _keywords(self) -> list[tuple[int, list[str]]]:
        """Keyword arguments of functions that the file defines, and the parameters of those."""
        callee, texts = self.places.callee[self.leaves], self.parsed.texts
        asked = np.flatnonzero((self.roles == Role.KEYWORD_ARGUMENT) & (callee >= 0)).tolist()
        known = [(i, self.tables.parameters.get(texts[callee[i]])) for i in asked]
        return [(i, names) for i, names in known if names is not None]

    def _gram_columns(self) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        ratio = np.zeros(len(self.leaves))
        for name in GRAMS:
            shown = self.tables.gram_counts(name, self.leaves, self.shown) - 1
            suggested = self.tables.gram_counts(name, self.leaves, self.suggested)
            suggested = np.where(self.suggested >= 0, suggested, 0)
            found[f"gram_{name}_shown"] = np.log1p(shown)
            found[f"gram_{name}_suggested"] = np.log1p(suggested)
            ratio += np.log((suggested + 0.2) / (shown + 0.2))
        context, _ = self.tables.grams["both"]
        total = matches(self.tables.contexts, context[self.leaves]) - 1
        return {**found, "gram_total": np.log1p(total), "gram_ratio": ratio}

    def _place(self) -> dict[str, np.ndarray]:
        tables, parsed, leaves = self.tables, self.parsed, self.leaves
        size, count = self.places.size, len(leaves)
        slot, slots, _ = tables.slots
        listed = self.places.list_node[leaves] >= 0
        dots = self.places.texts_are(parsed.language.member_access)
        selves = self.places.texts_are(*parsed.language.self_names)
        following = np.minimum(leaves + 1, size - 1)
        twin = [tables.twins.get(text) for text in self.texts]
        padded = np.append(tables.roles, [0, 0])
        asserted = self.places.texts_are("assert")
        starts = self.places.segment_starts[self.places.segment[leaves]]
        return {
            "role": self.roles,
            "length": np.array([len(text) for text in self.texts]),
            "suggested_length": np.array([len(text) for text in self.suggestions]),
            "slot_size": np.where(listed, np.log1p(matches(slots, slot[leaves])), np.nan),
            "twin_count": np.array([np.nan if t is None else np.log(t[1]) for t in twin]),
            "is_twin": np.array(
                [
                    np.nan if t is None else float(t[0] == text)
                    for t, text in zip(twin, self.suggestions, strict=True)
                ]
            ),
            "statement_differs": tables.parallels.differing[leaves],
            "position": np.where(listed, self.places.position[leaves], np.nan),
            "in_assertion": asserted[starts],
            "is_receiver": dots[following],
            "self_member": np.where(self.is_member, selves[np.maximum(leaves - 2, 0)], np.nan),
            "class_inherits": self.places.has_bases[self.scopes],
            "parent": tables.parent_numbers[leaves],
            "left_role": padded[leaves - 1],
            "right_role": padded[leaves + 1],
            "in_test": np.full(count, tables.in_test),
            "has_errors": np.full(count, parsed.has_error),
            "file_size": np.full(count, np.log1p(size)),
            "function_size": np.log1p(self.function[:, 1] - self.function[:, 0]),
        }

    def _values(self) -> dict[str, np.ndarray]:
        """Operators and numbers."""
        numbers = self.tables.operators
        is_operator = self.roles == Role.OPERATOR
        is_number = self.roles == Role.NUMBER
        shown = np.array([_number(text) for text in self.texts])
        suggested = np.array([_number(text) for text in self.suggestions])
        return {
            "operator": np.where(
                is_operator, [numbers.get(text, NONE) for text in self.texts], np.nan
            ),
            "suggested_operator": np.where(
                is_operator, [numbers.get(text, NONE) for text in self.suggestions], np.nan
            ),
            "number": np.where(is_number, shown, np.nan),
            "number_step": np.where(is_number, suggested - shown, np.nan),
        }


def _log_distance(places: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """Natural log of one more than the leaves between; NaN where there is no place."""
    found: np.ndarray = np.where(places >= 0, np.log1p(np.abs(places - leaves)), np.nan)
    return found


def _number(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else np.nan
