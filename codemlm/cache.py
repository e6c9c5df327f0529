"""What was found in texts before, by content: the second scan of a file costs a look-up.

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
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS entry "
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
    """

    floor: float
    num_errors: int
    findings: tuple[Finding, ...]
    stood: tuple[bool, ...]
    pragmas: tuple[Pragma, ...]


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
        self._used: dict[bytes, None] = {}
        self._new: dict[bytes, bytes] = {}
        self._db = self._open()

    def key(self, source: bytes, path: str) -> bytes:
        """The key of a text; a path tells tests and stubs from other files."""
        digest = hashlib.sha256()
        for part in (self._model.encode(), path.encode("utf-8", "surrogateescape"), source):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def get(self, key: bytes, floor: float) -> Judged | None:
        """What is known of a text; None if that is nothing, or too little for ``floor``."""
        if self._db is None:
            return None
        try:
            row = self._db.execute("SELECT used, data FROM entry WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
            return None
        if row is None:
            return None
        try:
            found = _unpack(row[1])
        except (ValueError, KeyError, TypeError, zlib.error, UnicodeError):
            return None  # of a version that kept something else; it will be replaced
        if time.time() - row[0] > _FRESH_S:
            self._used[key] = None
        return found if found.floor <= floor else None

    def put(self, key: bytes, judged: Judged) -> None:
        """Keeps what was found."""
        self._new[key] = _pack(judged)
        if len(self._new) >= _BATCH:
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
                db.execute(_SCHEMA)
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
        if self._db is None or not (self._new or self._used):
            return
        now = int(time.time())
        try:
            self._db.execute("BEGIN IMMEDIATE")
            rows = [(key, now, data) for key, data in self._new.items()]
            self._db.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", rows)
            used = [(now, key) for key in self._used]
            self._db.executemany("UPDATE entry SET used = ? WHERE key = ?", used)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
        self._new.clear()
        self._used.clear()

    def _shrink(self, db: sqlite3.Connection) -> None:
        pages, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        if pages * size <= LARGEST_BYTES:
            return
        (count,) = db.execute("SELECT COUNT(*) FROM entry").fetchone()
        keep = int(0.75 * count * LARGEST_BYTES / (pages * size))
        db.execute(
            "DELETE FROM entry WHERE key IN (SELECT key FROM entry ORDER BY used LIMIT ?)",
            (count - keep,),
        )
        db.execute("PRAGMA incremental_vacuum").fetchall()


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
        }
    )


def _pair(span: Span) -> list[int]:
    return [span.start, span.end]
