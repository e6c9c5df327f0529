"""The manifest of a model folder: what the model is, and how to tell that its files are whole."""

from __future__ import annotations

import builtins
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePath
from typing import Any, TypeVar

from codemlm.errors import ModelError

FORMAT = 1
"""Raised whenever a folder of the older kind can no longer be run."""
_NUMBERS = re.compile(r"\[\s+-?\d[-+\d.e,\s]*\]")

MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Size and SHA-256 (hexadecimal) of a file."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, content: builtins.bytes) -> ModelFile:
        """The record of a file with this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model folder says of itself.

    Attributes:
        name, version: of the model, for people and for cache keys.
        window: longest window in subtokens that it was trained for.
        num_global: G, its global candidates.
        vocab_size: subtokens.
        node_types: by language, the `fingerprint` of the grammar's node types. Their numbers are
            inputs of the model, so another grammar version may not fit it.
        files: the folder's other files, by name.
        training: where the model comes from.
        parity: how far the shipped graph is from the trained weights; see `codemlm.train.parity`.
        calibration: what `Calibration.from_json` reads, None before calibration.
        repositories: by split, names (``owner/name``) of all repositories that training, its
            validation and calibration have seen: nothing in them can measure the model. None where
            it is not known (models of version 0.1.0 and before).
        format: of the folder.
    """

    name: str
    version: str
    window: int
    num_global: int
    vocab_size: int
    node_types: Mapping[str, str]
    files: Mapping[str, ModelFile]
    training: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    repositories: Mapping[str, Sequence[str]] | None = None
    format: int = FORMAT

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a model folder.

        Raises:
            ModelError: it is missing, no JSON, incomplete, or of another format.
        """
        path = folder / MANIFEST
        try:
            data = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise ModelError(
                f"{path}: not found, so there is no model; reinstall codemlm, or name a folder "
                "that `python -m codemlm.train export` has written"
            ) from error
        except OSError as error:
            raise ModelError(f"{path}: cannot read it ({error}); check its permissions") from error
        except ValueError as error:
            raise ModelError(f"{path}: not JSON ({error}); reinstall codemlm") from error
        try:
            return cls.from_json(data)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def from_json(cls, data: object) -> Manifest:
        """A manifest from parsed JSON.

        Raises:
            ModelError: a field is missing, unknown, or of the wrong type, or the format is not
                this version's.
        """
        table = _typed(data, dict, "the manifest")
        if table.get("format") != FORMAT:
            raise ModelError(
                f"the model has format {table.get('format')!r}, this codemlm reads {FORMAT}; "
                "install the codemlm that it was made for, or export the model again"
            )
        known = {f.name for f in fields(cls)}
        _check_keys(table, known, known - {"repositories"}, "the manifest")
        values: dict[str, Any] = {"format": FORMAT}
        for name in ("name", "version"):
            values[name] = _typed(table[name], str, name)
        for name in ("window", "num_global", "vocab_size"):
            values[name] = _count(table[name], name)
        for name in ("training", "parity", "node_types"):
            values[name] = _typed(table[name], dict, name)
        for language, digest in values["node_types"].items():
            _typed(digest, str, f"node_types[{language!r}]")
        if table["calibration"] is not None:
            values["calibration"] = _typed(table["calibration"], dict, "calibration")
        values["files"] = _files(table["files"])
        if table.get("repositories") is not None:
            values["repositories"] = _repositories(table["repositories"])
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        names = [f.name for f in fields(self)]
        plain = {name: getattr(self, name) for name in sorted(names, key="format".__ne__)}
        plain["files"] = {name: asdict(file) for name, file in self.files.items()}
        if self.repositories is None:
            del plain["repositories"]  # as the older manifests, which are read too
        return {k: dict(v) if isinstance(v, Mapping) else v for k, v in plain.items()}

    def write(self, folder: Path) -> None:
        """Writes `MANIFEST` into a model folder."""
        text = json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n"
        # The trees' thousands of numbers in rows, so that a person can read the rest.
        text = _NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]), text)
        (folder / MANIFEST).write_text(text, "utf-8")


def fingerprint(names: Iterable[str]) -> str:
    """SHA-256 of a list of names in its order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _repositories(data: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for split, names in _typed(data, dict, "repositories").items():
        where = f"repositories[{split!r}]"
        found[split] = [_typed(name, str, where) for name in _typed(names, list, where)]
    return found


def _files(data: object) -> dict[str, ModelFile]:
    files = {}
    for name, entry in _typed(data, dict, "files").items():
        where = f"files[{name!r}]"
        if PurePath(name).name != name or name in ("", ".", ".."):
            raise ModelError(f"{where} is no plain file name; export the model again")
        record = _typed(entry, dict, where)
        _check_keys(record, {"bytes", "sha256"}, {"bytes", "sha256"}, where)
        sha256 = _typed(record["sha256"], str, f"{where} sha256")
        files[name] = ModelFile(_count(record["bytes"], f"{where} bytes"), sha256)
    for name in (MODEL, TOKENIZER):
        if name not in files:
            raise ModelError(f"files has no {name}; export the model again")
    return files


def _check_keys(table: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ModelError(f"{where} has the unknown key {key!r}; export the model again")
    for key in sorted(needed):
        if key not in table:
            raise ModelError(f"{where} has no {key!r}; export the model again")


def _typed(value: object, kind: type[_T], where: str) -> _T:
    if not isinstance(value, kind):
        raise ModelError(
            f"{where} is {type(value).__name__}, not {kind.__name__}; export the model again"
        )
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{where} is {value!r}, not a positive integer; export the model again")
    return value
