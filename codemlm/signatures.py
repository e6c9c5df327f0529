"""What the functions of a file take, where their definitions tell it."""

from __future__ import annotations

import numpy as np

from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role


class Signatures:
    """Parameters of the functions of a file.

    Args:
        parsed: the file.
    """

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.names = node_type_names(parsed.language)
        self._known: dict[int, tuple[str, ...] | None] = {}
        self._scopes = {(s.start, s.end): i for i, s in enumerate(parsed.scopes) if i}

    def of(self, node: int) -> tuple[str, ...] | None:
        """Parameters of a function definition; None if it takes any, or is decorated."""
        if node not in self._known:
            self._known[node] = self._read(node)
        return self._known[node]

    def _read(self, node: int) -> tuple[str, ...] | None:
        parsed = self.parsed
        start, end = parsed.node_starts[node], parsed.node_ends[node]
        if self.names[parsed.node_kinds[node]] != "function_definition":
            return None
        outer = self.names[parsed.node_kinds[parsed.node_parents[node]]]
        low, high = np.searchsorted(parsed.starts, [start, end]).tolist()
        scope = self._scopes.get((start, end), -1)
        if outer == "decorated_definition" or scope < 0:
            return None
        here = np.flatnonzero(
            (parsed.roles[low:high] == Role.PARAMETER) & (parsed.scopes_of[low:high] == scope)
        )
        leaves = (here + low).tolist()
        if any(parsed.text(leaf - 1) == "**" for leaf in leaves):
            return None
        return tuple(parsed.text(leaf) for leaf in leaves if parsed.text(leaf - 1) != "*")
