"""What was found in texts before, by content: the second scan of a file costs a look-up.

Of a text that has changed, the windows that have not are known, too: only those that see the change
go through the model again (``recall``).

An entry's key is made of everything that findings depend on; thresholds and selected rules are not
part of it, as an entry holds every finding down to a floor. The store is one SQLite file in WAL
mode: processes may share it, a killed one leaves it whole, and a damaged one is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from codemlm.findings import Finding, Suggestion
from codemlm.inquiry import Question
from codemlm.pragmas import Pragma
from codemlm.types import Role, Span

FLOOR = 0.01
"""Least confidence of findings that are kept, unless a scan asks for less."""
LARGEST_BYTES = 128 * 1024 * 1024
"""Size of the store above which what was not used for longest is thrown away."""

_NAME = "findings-1.db"
_SUFFIXES = ("", "-wal", "-shm")
_BATCH = 64  # entries a transaction: a killed scan loses no more
_FRESH_S = 86_400  # the time of last use is noted once a day
_WINDOWS_SHARE = 4
"""A run adds windows up to this part of the largest size: most are never asked for."""
_TABLES = ("entry", "scored")
"""Findings by text, and scores by window."""
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS {} "
    "(key BLOB PRIMARY KEY, used INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a text.

    Attributes:
        floor: least confidence of the findings that are kept.
        num_errors: places that did not parse.
        findings: most confident first.
        stood: which of them have stood the second look that what is reported gets.
        pragmas: of the text, none of them used.
        trace: what was asked of other modules of the project, and answered: what is known holds as
            long as the answers are the same.
    """

    floor: float
    num_errors: int
    findings: tuple[Finding, ...]
    stood: tuple[bool, ...]
    pragmas: tuple[Pragma, ...]
    trace: tuple[tuple[Question, str], ...] = ()


class Cache:
    """A store of what was found. Trouble with it costs time, never a result.

    Args:
        folder: where the store is.
        model: what tells the model, its backend and this code from others.

    Attributes:
        note: what went wrong with the store, for people; None if nothing did.
    """

    def __init__(self, folder: str, model: str) -> None:
        self.path = os.path.join(folder, _NAME)  # noqa: PTH118
        self.note: str | None = None
        self._model = model
        self._used: dict[str, dict[bytes, None]] = {table: {} for table in _TABLES}
        self._new: dict[str, dict[bytes, bytes]] = {table: {} for table in _TABLES}
        self._room = LARGEST_BYTES // _WINDOWS_SHARE
        self._db = self._open()

    def key(self, source: bytes, path: str, place: str = "") -> bytes:
        """The key of a text.

        Args:
            source: the text.
            path: tells tests and stubs from other files.
            place: tells the file from those of other projects; empty where only it counts.
        """
        digest = hashlib.sha256()
        names = (one.encode("utf-8", "surrogateescape") for one in (path, place))
        for part in (self._model.encode(), *names, source):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def get(self, key: bytes, floor: float) -> Judged | None:
        """What is known of a text; None if that is nothing, or too little for ``floor``."""
        data = self._get("entry", key)
        if data is None:
            return None
        try:
            found = _unpack(data)
        except (ValueError, KeyError, TypeError, zlib.error, UnicodeError):
            return None  # of a version that kept something else; it will be replaced
        return found if found.floor <= floor else None

    def put(self, key: bytes, judged: Judged) -> None:
        """Keeps what was found."""
        self._put("entry", key, _pack(judged))

    def get_window(self, key: bytes) -> bytes | None:
        """What is kept of a window of any text."""
        return self._get("scored", self.key(key, ""))

    def put_window(self, key: bytes, data: bytes) -> None:
        """Keeps something of a window, unless this run has kept a lot."""
        self._room -= len(data)
        if self._room >= 0:
            self._put("scored", self.key(key, ""), data)

    def _get(self, table: str, key: bytes) -> bytes | None:
        if self._db is None:
            return None
        try:
            query = f"SELECT used, data FROM {table} WHERE key = ?"
            row = self._db.execute(query, (key,)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
            return None
        if row is None:
            return None
        if time.time() - row[0] > _FRESH_S:
            self._used[table][key] = None
        data: bytes = row[1]
        return data

    def _put(self, table: str, key: bytes, data: bytes) -> None:
        self._new[table][key] = data
        if sum(map(len, self._new.values())) >= _BATCH:
            self._flush()

    def close(self) -> None:
        """Writes what is not written yet, and throws away what has become too much."""
        self._flush()
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._shrink(self._db)
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection | None:
        for attempt in (1, 2):
            try:
                folder = os.path.dirname(self.path)  # noqa: PTH120
                os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
                db = sqlite3.connect(self.path, timeout=5, isolation_level=None)
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")  # a crash of the system may lose entries
                for table in _TABLES:
                    db.execute(_SCHEMA.format(table))
                return db
            except sqlite3.OperationalError as error:
                self.note = f"no cache: {self.path}: {error}"
                return None
            except sqlite3.DatabaseError as error:
                self._remove(error)
                if attempt == 2:
                    return None
            except OSError as error:
                self.note = f"no cache: {self.path}: {error.strerror}"
                return None
        return None

    def _fail(self, error: sqlite3.Error) -> None:
        """Goes on without the store; a damaged one is made anew."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if type(error) is sqlite3.DatabaseError:
            self._remove(error)
            self._db = self._open()
        else:
            self.note = f"no cache: {self.path}: {error}"

    def _remove(self, error: sqlite3.Error) -> None:
        self.note = f"the cache was damaged and is made anew: {self.path}: {error}"
        clean(os.path.dirname(self.path))  # noqa: PTH120

    def _flush(self) -> None:
        if self._db is None or not any((*self._new.values(), *self._used.values())):
            return
        now = int(time.time())
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                rows = [(key, now, data) for key, data in self._new[table].items()]
                self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)
                used = [(now, key) for key in self._used[table]]
                self._db.executemany(f"UPDATE {table} SET used = ? WHERE key = ?", used)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
        for table in _TABLES:
            self._new[table].clear()
            self._used[table].clear()

    def _shrink(self, db: sqlite3.Connection) -> None:
        """Throws windows away if there is too much, and findings if that was not enough."""
        for table in reversed(_TABLES):
            pages, free, size = (
                db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            used = (pages - free) * size
            if used <= LARGEST_BYTES:
                break
            (count,) = db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            keep = int(0.75 * count * LARGEST_BYTES / used)
            db.execute(
                f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} ORDER BY used LIMIT ?)",
                (count - keep,),
            )
        else:
            free = 1
        if free:
            # As a script: a single statement would be left after its first page.
            db.executescript("PRAGMA incremental_vacuum")


def clean(folder: str) -> bool:
    """Removes the store of a folder; returns whether there was one."""
    found = False
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, _NAME + suffix))  # noqa: PTH108, PTH118
            found = True
    return found


def default_folder() -> str | None:
    """Where the store is unless the configuration says otherwise; None without a home."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        if os.environ.get(variable):
            return os.path.join(os.environ[variable], "codemlm")  # noqa: PTH118
    try:
        home = Path.home()
    except RuntimeError:
        return None
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return str(caches / "codemlm")


def code_fingerprint() -> str:
    """What tells this code and the packages that findings depend on from other versions."""
    import importlib.metadata

    from codemlm import __version__

    versions = [__version__, sys.version]
    for package in ("onnxruntime", "tokenizers", "tree-sitter", "tree-sitter-python", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(importlib.metadata.version(package))
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.glob("languages/*.py")]):
        status = path.stat()  # a checkout at work changes without a new version
        versions.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()


def _pack(judged: Judged) -> bytes:
    table = {
        "floor": judged.floor,
        "num_errors": judged.num_errors,
        "stood": judged.stood,
        "findings": [_finding_table(finding) for finding in judged.findings],
        "pragmas": [
            [p.leaf, p.span.start, p.span.end, p.comment_end, p.line, list(p.codes)]
            for p in judged.pragmas
        ],
        "trace": judged.trace,
    }
    return zlib.compress(json.dumps(table, separators=(",", ":")).encode(), 1)


def _unpack(data: bytes) -> Judged:
    table = json.loads(zlib.decompress(data))
    return Judged(
        floor=table["floor"],
        num_errors=table["num_errors"],
        findings=tuple(map(_finding_of, table["findings"])),
        stood=tuple(table["stood"]),
        pragmas=tuple(
            Pragma(leaf, Span(start, end), comment_end, line, tuple(codes))
            for leaf, start, end, comment_end, line, codes in table["pragmas"]
        ),
        trace=tuple((tuple(question), answer) for question, answer in table["trace"]),
    )


def _finding_table(finding: Finding) -> list[Any]:
    """The values of a finding's fields in their order, as JSON takes them."""
    plain = {field.name: getattr(finding, field.name) for field in fields(Finding)}
    return list(
        {
            **plain,
            "span": _pair(finding.span),
            "role": int(finding.role),
            "suggestions": [[s.text, s.likelihood] for s in finding.suggestions],
            "edits": [[*_pair(span), text.decode("utf-8")] for span, text in finding.edits],
            "other": None if finding.other is None else _pair(finding.other),
        }.values()
    )


def _finding_of(values: Sequence[Any]) -> Finding:
    table = dict(zip([field.name for field in fields(Finding)], values, strict=True))
    other = table["other"]
    return Finding(
        **{
            **table,
            "span": Span(*table["span"]),
            "role": Role(table["role"]),
            "suggestions": tuple(Suggestion(*pair) for pair in table["suggestions"]),
            "edits": tuple((Span(a, b), text.encode()) for a, b, text in table["edits"]),
            "other": None if other is None else Span(*other),
            "rests_on": tuple(table["rests_on"]),
        }
    )


def _pair(span: Span) -> list[int]:
    return [span.start, span.end]
