"""Real bugs: one-place fixes mined from histories, as records without source text.

Pure values and their JSON, shared by the miner, the evaluation and training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from codemlm.errors import CorpusError
from codemlm.injection import Kind, Rewrite
from codemlm.types import Span

PREFIX_MISSING, PREFIX_ADDED = "prefix-missing", "prefix-added"
"""Kinds beyond the injection operators: ``name`` for ``self.name``, and the other way round."""
FIX_KINDS: tuple[str, ...] = (*(kind.value for kind in Kind), PREFIX_MISSING, PREFIX_ADDED)


@dataclass(frozen=True, slots=True)
class Fix:
    """One bug and its fix. Offsets are bytes of the decoded file, encoded as UTF-8.

    Attributes:
        repo: ``owner/name``.
        commit, parent: full ids of the fix and of the commit before it.
        path: of the file, in the fix.
        old_path: of the file before the fix.
        function: qualified name of the innermost function or class around the bug; "" in a module.
        line: of the wrong leaf in the parent's file, 1-based.
        kind: the mistake, one of ``FIX_KINDS``.
        edits: (start, end, text) in the parent's file, disjoint and in order: they make the fix.
        before, after: text of the wrong leaf, and of what was meant ("" for a ``not`` added or
            taken away). For a swap: the first leaf's.
        undefined: whether the wrong leaf is a name that scope analysis finds undefined.
        doubt: why the file alone may not show that it was wrong, as ``unseen-name``; "" for most.
            Only the train split has such fixes.
        message: subject of the commit.
        date: of the commit, seconds since the epoch.
        split: of the repository.
    """

    repo: str
    commit: str
    parent: str
    path: str
    old_path: str
    function: str
    line: int
    kind: str
    edits: tuple[tuple[int, int, str], ...]
    before: str
    after: str
    undefined: bool
    doubt: str
    message: str
    date: int
    split: str

    @property
    def key(self) -> str:
        """Name of the fix, unique in a data set: one fix a commit."""
        return f"{self.repo}@{self.commit[:12]}"

    @property
    def span(self) -> Span:
        """The first place that the fix edits, in the parent's file."""
        start, end, _ = self.edits[0]
        return Span(start, end)

    def rewrite(self) -> tuple[tuple[Span, bytes], ...]:
        """The edits as ``codemlm.injection.Rewrite`` has them."""
        return tuple((Span(start, end), text.encode()) for start, end, text in self.edits)

    def apply(self, source: bytes) -> bytes:
        """The parent's file with the fix in it.

        Raises:
            CorpusError: if the edits lie beyond the file.
        """
        if self.edits[-1][1] > len(source):
            raise CorpusError(f"{self.key}: the file is shorter than the fix's place in it")
        return Rewrite(Kind.VARIABLE, self.rewrite()).apply(source)  # the kind plays no part

    def in_split(self, split: str) -> Fix:
        """The same fix in another split."""
        return replace(self, split=split)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Fix:
        """The fix of a parsed line of JSON.

        Raises:
            CorpusError: if a field is missing, unknown or of the wrong kind.
        """
        try:
            edits = tuple((int(s), int(e), str(t)) for s, e, t in row["edits"])
            found = cls(**{**row, "edits": edits})
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(f"not a record of a fix: {error}") from error
        if found.kind not in FIX_KINDS or not edits:
            raise CorpusError(f"{found.key}: unknown kind {found.kind!r}, or nothing edited")
        return found


@dataclass(frozen=True, slots=True)
class Introduction:
    """The commit that brought a bug in, as a reviewer of it would have seen the file.

    Attributes:
        commit: full id.
        path: of the file then.
        text: the file as that commit left it.
        lines: 1-based lines of ``text`` that the commit added or changed.
        edits: the fix's edits, in ``text``.
    """

    commit: str
    path: str
    text: str
    lines: tuple[int, ...]
    edits: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class FixPair:
    """A fix with its texts: read from git where it is needed, never part of the data set.

    Attributes:
        fix: the record.
        before, after: the file before and after it.
        introduction: where the bug came from; None if it cannot be told.
    """

    fix: Fix
    before: str
    after: str
    introduction: Introduction | None = None

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> FixPair:
        """The pair of a parsed line of JSON.

        Raises:
            CorpusError: if a field is missing, unknown or of the wrong kind.
        """
        try:
            origin = row.get("introduction")
            introduction = None
            if origin is not None:
                edits = tuple((int(s), int(e), str(t)) for s, e, t in origin["edits"])
                lines = tuple(int(line) for line in origin["lines"])
                introduction = Introduction(
                    origin["commit"], origin["path"], origin["text"], lines, edits
                )
            return cls(Fix.from_json(row["fix"]), row["before"], row["after"], introduction)
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(f"not a fix with its texts: {error}") from error
