"""What a build is made of: parameters (from a recipe), and the table of repositories."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemlm.errors import CorpusError
from codemlm_corpus.split import DEFAULT_SHARES, SPLITS


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """The knobs of a build; sizes in bytes, shares in [0, 1].

    Attributes:
        data_share: above this share of literal tables and long strings, a file is data.
        test_share: tests may make up at most this share of a repository's kept bytes.
        max_repository_bytes: kept bytes per repository, so that giants do not dominate.
        shingle_leaves: identifiers, numbers and operators per MinHash shingle.
        minhash_buckets, minhash_hashes: LSH shape; the similarity at which half of the pairs match
            is about ``(1 / buckets) ** (1 / hashes)``.
    """

    min_bytes: int = 100
    max_bytes: int = 200_000
    max_line_chars: int = 1_000
    data_share: float = 0.5
    drop_migrations: bool = True
    test_share: float = 0.35
    max_repository_bytes: int = 3_000_000
    near_duplicates: bool = True
    shingle_leaves: int = 7
    minhash_buckets: int = 14
    minhash_hashes: int = 8
    split_shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository to read: where it lies, at which commit, and where its files go."""

    name: str
    git_dir: str
    commit: str
    split: str

    @property
    def slug(self) -> str:
        """The name as one path component."""
        return self.name.replace("/", "__")


def config_from(values: Mapping[str, Any], origin: str) -> BuildConfig:
    """Returns a config from a recipe's ``[build]`` table.

    Raises:
        CorpusError: for an unknown key (with the nearest known one), a wrong type or a bad share.
    """
    known = {f.name: f for f in dataclasses.fields(BuildConfig)}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CorpusError(f"{origin}: unknown key {key!r}{hint}")
        default = getattr(BuildConfig(), key)
        wanted = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
            raise CorpusError(f"{origin}: {key} must be {type(default).__name__}, not {value!r}")
    config = BuildConfig(**values)
    unknown = set(config.split_shares) - set(SPLITS)
    if unknown or abs(sum(config.split_shares.values()) - 1) > 1e-6:
        raise CorpusError(f"{origin}: split_shares must name {', '.join(SPLITS)} and sum to 1")
    return config


def read_recipe(path: Path) -> BuildConfig:
    """Returns the config of a recipe file (TOML, table ``[build]``).

    Raises:
        CorpusError: if the file cannot be read or holds anything unknown.
    """
    try:
        recipe = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CorpusError(f"{path}: cannot read the recipe: {error}") from error
    extra = set(recipe) - {"build"}
    if extra:
        raise CorpusError(f"{path}: unknown table {min(extra)!r}; only [build] is known")
    return config_from(recipe.get("build", {}), str(path))


def read_repositories(path: Path) -> list[tuple[str, str, str]]:
    """Returns ``(owner/name, git directory, commit)`` from a tab-separated table.

    Further columns are ignored (the licence is detected again from the commit itself). An empty
    commit means HEAD. Relative git directories are taken from the table's folder.

    Raises:
        CorpusError: if the table is missing, or a row is short.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: cannot read the repository table: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [*line.split("\t"), ""]
        if len(cells) < 3 or "/" not in cells[0] or not cells[1]:
            raise CorpusError(f"{path}:{number}: expected owner/name<TAB>git directory<TAB>commit")
        rows.append((cells[0], str(path.parent.joinpath(cells[1])), cells[2]))
    return rows
