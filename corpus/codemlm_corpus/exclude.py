"""Paths that a recipe leaves out by hand: what no rule finds, as copies of held-out projects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codemlm.errors import CorpusError
from codemlm_corpus.heldout import normalise_name

ExcludedPaths = Mapping[str, tuple[str, ...]]
"""Folders (with a trailing ``/``) and files to leave out, by normalised repository."""


def read_excluded_paths(path: Path) -> dict[str, tuple[str, ...]]:
    """Returns paths by normalised repository, from rows ``owner/name``, ``folder/``, why.

    A path is a folder, with a slash at its end, or a file.

    Raises:
        CorpusError: if the table cannot be read, or a row is no such row.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: cannot read the table: {error.strerror}") from error
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) < 2 or "/" not in cells[0] or not cells[1].endswith(("/", ".py")):
            raise CorpusError(f"{path}:{number}: expected owner/name<TAB>folder/ or file<TAB>why")
        name = normalise_name(cells[0])
        found[name] = (*found.get(name, ()), cells[1])
    return found


def is_excluded(excluded: ExcludedPaths, repository: str, path: str) -> bool:
    """Whether a file of a repository is left out."""
    return path.startswith(excluded.get(normalise_name(repository), ("\0",)))
