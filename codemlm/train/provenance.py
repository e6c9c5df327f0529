"""Which repositories a model has seen, by split, for its manifest.

What a model was trained or calibrated on cannot measure it: `codemlm.evaluation.seen` refuses that.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from codemlm.errors import CorpusError
from codemlm.manifest import Manifest

SEEN = ("train", "validation", "calibration")
"""Splits that training, its validation and calibration read; the others are for measuring."""

Repositories = dict[str, list[str]]


def repository_name(path: Path) -> str:
    """``owner/name`` of a corpus file or a shard, ``owner__name.*``."""
    return path.name.removesuffix(".npz").removesuffix(".jsonl.gz").replace("__", "/", 1)


def of_shards(data: Path) -> Repositories:
    """The repositories of a folder of training data, by split."""
    return _sorted(
        (split, repository_name(path))
        for split in ("train", "validation")
        for path in (data / split).glob("*.npz")
    )


def names_in(path: Path) -> set[str]:
    """Every repository of a list such as a corpus's ``manifest.jsonl``.

    Raises:
        CorpusError: the file is missing, or no list of repositories.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {str(row["repo"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path}: not a list of repositories, one JSON object a line with `repo` ({error})"
        ) from error


def of_listing(path: Path) -> Repositories:
    """The repositories of a corpus's ``manifest.jsonl`` that the model has seen, by split.

    Raises:
        CorpusError: the file is missing, or no list of repositories and their splits.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return _sorted((str(r["split"]), str(r["repo"])) for r in rows if r["split"] in SEEN)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path}: not a list of repositories, one JSON object a line with `repo` and `split` "
            f"({error})"
        ) from error


def merged(several: Iterable[Mapping[str, Sequence[str]]]) -> Repositories:
    """The repositories of several lists, by split."""
    return _sorted(
        (split, name) for one in several for split, names in one.items() for name in names
    )


def record(folder: Path, repositories: Mapping[str, Sequence[str]]) -> Manifest:
    """Writes what a model has seen into its manifest, in place of what stood there.

    Raises:
        ModelError: there is no such model.
    """
    manifest = dataclasses.replace(Manifest.read(folder), repositories=dict(repositories))
    manifest.write(folder)
    return manifest


def _sorted(rows: Iterable[tuple[str, str]]) -> Repositories:
    rows = sorted(set(rows), key=lambda row: (row[1].lower(), row[1]))
    splits = {split for split, _ in rows}
    return {split: [name for s, name in rows if s == split] for split in SEEN if split in splits}
