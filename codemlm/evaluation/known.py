"""Mistakes besides those that were mended: others of the same files, known by reading them.

A history tells of the bugs that somebody found. Its files hold others, and a finding that names one
of these is right, although no fix says so. Whoever read findings writes them down, a JSON line
each; the text of the line stands there as a digest, so that no code is copied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codemlm.errors import UsageError
from codemlm.syntax import ParsedFile

MISTAKE = "mistake"
"""The label of what is wrong; whatever else a row has is not."""

Key = tuple[str, str, str, str]


def line_digest(source: bytes, start: int) -> str:
    """The digest of the line around a byte, without the white space at its ends."""
    low = source.rfind(b"\n", 0, start) + 1
    high = source.find(b"\n", start)
    line = source[low : high if high >= 0 else len(source)].strip()
    return hashlib.sha256(line).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class KnownMistakes:
    """Places that are wrong: repository, path, text of the leaf, and digest of its line."""

    keys: frozenset[Key]

    @classmethod
    def read(cls, path: Path) -> KnownMistakes:
        """The mistakes of a file of labels.

        Raises:
            UsageError: if it cannot be read, or a row lacks a field.
        """
        try:
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
            keys = (
                (row["repo"], row["path"], row["text"], row["line_digest"])
                for row in rows
                if row["label"] == MISTAKE
            )
            return cls(frozenset(keys))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: no labels ({error}); write a JSON line for each") from error

    def at(self, repo: str, path: str, parsed: ParsedFile) -> np.ndarray:
        """Leaves of a file that are known to be wrong: int64 (N,), in source order."""
        texts = {text for one, other, text, _ in self.keys if (one, other) == (repo, path)}
        wanted = [i for i, text in enumerate(parsed.texts) if text in texts]
        leaves = np.flatnonzero(np.isin(parsed.text_ids, wanted))
        return np.array(list(self._known(repo, path, parsed, leaves)), dtype=np.int64)

    def _known(self, repo: str, path: str, parsed: ParsedFile, leaves: np.ndarray) -> Iterator[int]:
        for leaf in leaves.tolist():
            digest = line_digest(parsed.source, int(parsed.starts[leaf]))
            if (repo, path, parsed.text(leaf), digest) in self.keys:
                yield leaf
