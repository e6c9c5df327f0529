"""Messages of linters on disk, because pylint takes a second for 750 lines.

A killed run loses at most the batch that it was at: SQLite writes all of a batch or nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from codemlm.errors import UsageError
from codemlm.evaluation.linter_tools import LinterMessage

_TABLE = """
create table if not exists messages (
    tool text not null, digest text not null, messages text not null, primary key (tool, digest)
) without rowid
"""


class LinterCache:
    """Messages by what decides them: linter, version, options, and the file's text.

    Args:
        path: of the file; None keeps nothing.

    Raises:
        UsageError: if the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._base: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=60)
            with self._base as base:
                base.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise self._unusable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        if self._base is not None:
            self._base.close()
            self._base = None

    def known(self, tool: str, digests: Iterable[str]) -> dict[str, list[LinterMessage]]:
        """The messages that are known, by digest.

        Args:
            tool: fingerprint of the linter.
            digests: of the files.
        """
        found: dict[str, list[LinterMessage]] = {}
        if self._base is None:
            return found
        query = "select messages from messages where tool = ? and digest = ?"
        try:
            for digest in digests:
                row = self._base.execute(query, (tool, digest)).fetchone()
                if row is not None:
                    found[digest] = [LinterMessage(*fields) for fields in json.loads(row[0])]
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._unusable(error) from error
        return found

    def keep(self, tool: str, messages: Mapping[str, Sequence[LinterMessage]]) -> None:
        """Keeps messages by digest, all or none of them."""
        if self._base is None:
            return
        rows = [
            (tool, digest, json.dumps([[m.line, m.col, m.code, m.text] for m in told]))
            for digest, told in messages.items()
        ]
        try:
            with self._base as base:
                base.executemany("insert or replace into messages values (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> UsageError:
        return UsageError(f"{self._path}: no cache of linters ({error}); delete it or name another")
