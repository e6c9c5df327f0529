"""Which split a repository belongs to: a function of its name alone, so growth moves nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from codemlm.errors import CorpusError
from codemlm_corpus.heldout import normalise_name, project_name

SPLITS = ("train", "validation", "calibration", "test")
DEFAULT_SHARES = {"train": 0.86, "validation": 0.06, "calibration": 0.04, "test": 0.04}


def split_of(repository: str, shares: Mapping[str, float], pins: Mapping[str, str]) -> str:
    """Returns the split of ``repository`` (``owner/name``).

    The hash is of the project's name without its owner: a fork lands where its parent is.
    """
    pinned = pins.get(normalise_name(repository))
    if pinned:
        return pinned
    digest = hashlib.sha256(project_name(repository).encode("utf-8")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    edge = 0.0
    for split in SPLITS:
        edge += shares.get(split, 0.0)
        if position < edge:
            return split
    return SPLITS[0]


def read_pins(path: Path) -> dict[str, str]:
    """Returns ``{normalised name: split}`` from lines ``owner/name split``; ``#`` comments.

    Raises:
        CorpusError: on a malformed line, an unknown split, or a repository pinned twice.
    """
    pins: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in SPLITS:
            raise CorpusError(f"{path}:{number}: expected 'owner/name {'|'.join(SPLITS)}'")
        name = normalise_name(words[0])
        if pins.setdefault(name, words[1]) != words[1]:
            raise CorpusError(f"{path}:{number}: {words[0]} is pinned to two splits")
    return pins
