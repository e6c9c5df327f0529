"""Shards: packed repositories on disk, and what each was made from.

A shard is one ``.npz`` a repository: the columns of ``EncodedFile`` of all its files, one after the
other, with the offsets that cut them apart again, and with its *origin*: hashes of what it was made
from, by which packing knows whether it is still right.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codemlm.errors import CorpusError, UsageError
from codemlm.languages import PYTHON
from codemlm.units import ENCODED_COLUMNS, EncodedFile

FORMAT = 1
"""Of shards: raise it whenever a column changes its meaning, so that all are packed anew."""

Origin = dict[str, str | int]

_LEFT_OUT = frozenset({"unit_leaf", "unit_line"})
"""Columns that only a scan needs."""

_GROUPS: dict[str, tuple[str, ...]] = {
    "units": ("unit_text", "unit_role", "unit_parent", "unit_grandparent", "near", "far"),
    "texts": ("text_global", "text_is_name", "text_is_run"),
    "bounds": ("text_offsets",),
    "pieces": ("text_pieces",),
    "sets": ("set_offsets",),
    "members": ("set_members",),
    "swaps": ("swaps",),
    "negate": ("negate",),
    "negated": ("negated",),
    "patches": ("patches",),
}
"""Columns that share one offset table."""

PACKED_COLUMNS = tuple(name for name in ENCODED_COLUMNS if name not in _LEFT_OUT)
_ARRAYS = {*PACKED_COLUMNS, *(f"offsets_{group}" for group in (*_GROUPS, "tokens"))}

_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError)
"""What reading a file that is missing, cut short or altered raises."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much was packed."""

    repositories: int = 0
    files: int = 0
    units: int = 0
    subtokens: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(
            self.repositories + other.repositories,
            self.files + other.files,
            self.units + other.units,
            self.subtokens + other.subtokens,
        )


class ShardWriter:
    """Collects the encoded files of a repository, and writes them as a shard."""

    def __init__(self) -> None:
        self.columns: dict[str, list[np.ndarray]] = {name: [] for name in PACKED_COLUMNS}
        self.offsets: dict[str, list[int]] = {group: [0] for group in (*_GROUPS, "tokens")}

    def __len__(self) -> int:
        return len(self.offsets["tokens"]) - 1

    def add(self, file: EncodedFile) -> None:
        """Adds one file."""
        for name, rows in self.columns.items():
            rows.append(getattr(file, name))
        sizes = {group: len(getattr(file, names[0])) for group, names in _GROUPS.items()}
        sizes["tokens"] = int(file.unit_lengths.sum())
        for group, size in sizes.items():
            self.offsets[group].append(self.offsets[group][-1] + size)

    def save(self, path: Path, origin: Origin) -> Size:
        """Writes a shard of at least one file, whole or not at all, and returns its size.

        Raises:
            CorpusError: the disk is full, or the folder cannot be written.
        """
        return self.write(path, origin, {})

    def write(self, path: Path, origin: Origin, extra: Mapping[str, np.ndarray]) -> Size:
        """``save`` with further arrays."""
        arrays = {name: np.concatenate(rows) for name, rows in self.columns.items()}
        arrays |= extra
        for group, ends in self.offsets.items():
            arrays[f"offsets_{group}"] = np.array(ends, dtype=np.int64)
        arrays["origin"] = np.array(json.dumps(origin))
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **arrays)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CorpusError(
                f"{path}: cannot write it ({error}); free some disk space or make the folder "
                "writable, then run the same command again: it goes on here"
            ) from error
        return _size(arrays)


class Shard:
    """A packed repository, cut into files on demand.

    Attributes:
        arrays: the columns, by name.
        tokens: int64 (F + 1,): subtokens before each file, and in all.
        tokenizer_sha256: of the tokenizer that it was packed with; "" in shards that name none.

    Raises:
        CorpusError: the file is missing, damaged, or of another format.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
                self.arrays: dict[str, np.ndarray] = {name: data[name] for name in data.files}
            absent = _ARRAYS - self.arrays.keys()
            if absent:
                raise ValueError(f"no column {min(absent)}")
            origin = read_origin(self.arrays)
            if origin.get("format", FORMAT) != FORMAT:
                raise ValueError(f"format {origin['format']}, this version reads {FORMAT}")
        except _DAMAGE as error:
            raise CorpusError(
                f"{path}: not a whole shard ({error}); delete it and run "
                "'python -m codemlm.train pack' again"
            ) from error
        self.tokens = self.arrays["offsets_tokens"]
        self.tokenizer_sha256 = str(origin.get("tokenizer_sha256", ""))

    def __len__(self) -> int:
        return len(self.tokens) - 1

    def file(self, index: int) -> EncodedFile:
        """File ``index`` of the shard, as views."""
        columns: dict[str, np.ndarray] = {}
        for group, names in _GROUPS.items():
            start, stop = self.arrays[f"offsets_{group}"][index : index + 2]
            for name in names:
                columns[name] = self.arrays[name][start:stop]
        count = len(columns["unit_text"])
        empty = np.full(count, -1, dtype=np.int32)
        return EncodedFile(unit_leaf=empty, unit_line=empty, **columns)


def shard_origin(corpus_file: Path, tokenizer: Path) -> Origin:
    """What a shard of this corpus file and tokenizer is made from.

    Raises:
        CorpusError: there is no such corpus file.
        UsageError: there is no tokenizer.
    """
    grammar = PYTHON.grammar_module
    try:
        corpus_sha256 = hashlib.sha256(corpus_file.read_bytes()).hexdigest()
    except OSError as error:
        raise CorpusError(f"{corpus_file}: cannot read it ({error})") from error
    return {
        "format": FORMAT,
        "grammar": f"{grammar} {importlib.metadata.version(grammar)}",  # decides node type ids
        "corpus_sha256": corpus_sha256,
        "tokenizer_sha256": hash_tokenizer(tokenizer),
    }


def hash_tokenizer(path: Path) -> str:
    """Hash of a tokenizer's file.

    Raises:
        UsageError: there is none.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot read the tokenizer ({error}); make one with "
            "'python -m codemlm.train tokenizer'"
        ) from error


def read_origin(arrays: Mapping[str, np.ndarray]) -> Origin:
    """The origin of a shard, empty in shards packed before they had one.

    Raises:
        ValueError: it is no JSON object.
    """
    return dict(json.loads(str(arrays["origin"]))) if "origin" in arrays else {}


def size_if_made_from(path: Path, origin: Origin) -> Size | None:
    """Size of the shard ``path`` if it was made from ``origin``; None if not, or if there is none.

    Reads its offset tables alone.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            return _size(data) if read_origin(data) == origin else None
    except _DAMAGE:
        return None


def _size(arrays: Mapping[str, np.ndarray]) -> Size:
    """Size of a shard from its offset tables."""
    tokens = arrays["offsets_tokens"]
    return Size(1, len(tokens) - 1, int(arrays["offsets_units"][-1]), int(tokens[-1]))
