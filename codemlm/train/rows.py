"""Rows of features of right and wrong leaves, as `collect` writes and `fit` reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from codemlm.calibration import VERIFIED_FEATURES
from codemlm.errors import UsageError

CLEAN, BESIDE, WRONG = 0, 1, 2
"""Kinds of leaves: of a file without a known mistake, right ones beside a mistake, and mistakes."""


@dataclass(slots=True)
class Rows:
    """Leaves with their features.

    Attributes:
        single: of SINGLE_FEATURES, float32 (N, F).
        verified: of VERIFIED_FEATURES, of the leaves that were masked: float32 (M, G).
        verified_of: their numbers among all leaves, int64 (M,).
        kind: CLEAN, BESIDE or WRONG: int64 (N,).
        weight: how many leaves each stands for, before mistakes are weighted to their rate.
        bug: number of the mistake that a leaf is or stands beside, -1 for clean ones.
        group: number of the repository.
        exact: a row for each finding of an exact rule: kind, mistake, group, and its confidence,
        NaN for undefined names, whose confidence is fitted: float64 (U, 4).
        bugs: a row for each mistake: its weight, its group, and whether an exact rule
        finds it.
        lines: clean lines by repository, float64 (R,).
        repositories: their names.
    """

    single: np.ndarray
    verified: np.ndarray
    verified_of: np.ndarray
    kind: np.ndarray
    weight: np.ndarray
    bug: np.ndarray
    group: np.ndarray
    exact: np.ndarray
    bugs: np.ndarray
    lines: np.ndarray
    repositories: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes an ``.npz``."""
        columns = {name: getattr(self, name) for name in self.__slots__ if name != "repositories"}
        names = np.array(self.repositories)
        features = np.array(VERIFIED_FEATURES)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            np.savez_compressed(stream, repositories=names, features=features, **columns)

    def scaled(self, share: float) -> Rows:
        """The same rows, each counting as that share of one, and so do their lines."""
        return replace(self, weight=self.weight * share, lines=self.lines * share)

    @classmethod
    def read(cls, path: Path) -> Rows:
        """The rows of an ``.npz``.

        Raises:
            UsageError: if the file is missing, damaged, or of other features.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                if tuple(data["features"].tolist()) != VERIFIED_FEATURES:
                    raise UsageError(f"{path}: of other features; collect the rows again")
                names = [name for name in cls.__slots__ if name != "repositories"]
                columns = {name: data[name] for name in names}
                return cls(**columns, repositories=tuple(data["repositories"].tolist()))
        except (OSError, KeyError, ValueError) as error:
            raise UsageError(f"{path}: no rows ({error}); `collect` makes them") from error


@dataclass(slots=True)
class Part:
    """The rows of one file and its mistakes; numbers of mistakes count from 0."""

    repository: str
    lines: int
    single: list[np.ndarray] = field(default_factory=list)
    verified: list[np.ndarray] = field(default_factory=list)
    verified_of: list[np.ndarray] = field(default_factory=list)
    columns: list[np.ndarray] = field(default_factory=list)
    exact: list[tuple[int, int, float]] = field(default_factory=list)
    bugs: list[tuple[float, bool]] = field(default_factory=list)
    count: int = 0


def joined(parts: Iterable[Part]) -> Rows:
    """The rows of many files.

    Raises:
        UsageError: if there are none.
    """
    numbers: dict[str, int] = {}
    lines: list[float] = []
    single, verified, verified_of, columns, groups = [], [], [], [], []
    exact: list[tuple[int, int, int, float]] = []
    bugs: list[tuple[float, int, bool]] = []
    count = 0
    for part in parts:
        group = numbers.setdefault(part.repository, len(numbers))
        lines += [0.0] * (group == len(lines))
        lines[group] += part.lines
        table = np.concatenate(part.columns)
        table[table[:, 2] >= 0, 2] += len(bugs)
        single += part.single
        verified += part.verified
        verified_of += [count + own for own in part.verified_of]
        columns.append(table)
        groups.append(np.full(len(table), group))
        exact += [(kind, bug + len(bugs), group, sure) for kind, bug, sure in part.exact]
        bugs += [(weight, group, found) for weight, found in part.bugs]
        count += part.count
    if not columns:
        raise UsageError("no file to collect rows from; give more pairs or files")
    table = np.concatenate(columns)
    return Rows(
        single=np.concatenate(single).astype(np.float32),
        verified=np.concatenate(verified).astype(np.float32),
        verified_of=np.concatenate(verified_of),
        kind=table[:, 0].astype(np.int64),
        weight=table[:, 1],
        bug=table[:, 2].astype(np.int64),
        group=np.concatenate(groups),
        exact=np.array(exact, dtype=np.float64).reshape(-1, 4),
        bugs=np.array(bugs, dtype=np.float64).reshape(-1, 3),
        lines=np.array(lines),
        repositories=tuple(numbers),
    )


def gathered(paths: Sequence[Path], clean: Sequence[Path], share: float) -> Rows:
    """Rows of files of fixes and of clean code, the latter scaled.

    Raises:
        UsageError: if a file is missing, damaged, or of other features.
    """
    return merged(
        [*(Rows.read(path) for path in paths), *(Rows.read(path).scaled(share) for path in clean)]
    )


def merged(parts: Sequence[Rows]) -> Rows:
    """Rows of several files as one."""
    names: dict[str, int] = {}
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    lines: dict[int, float] = defaultdict(float)
    count = bugs = 0
    for rows in parts:
        number = np.array([names.setdefault(name, len(names)) for name in rows.repositories])
        for group, value in zip(number.tolist(), rows.lines.tolist(), strict=True):
            lines[group] += value
        for name in ("single", "verified", "kind", "weight"):
            columns[name].append(getattr(rows, name))
        columns["verified_of"].append(rows.verified_of + count)
        columns["bug"].append(np.where(rows.bug >= 0, rows.bug + bugs, rows.bug))
        columns["group"].append(number[rows.group])
        exact, own = rows.exact.copy(), rows.bugs.copy()
        exact[:, 1] += bugs
        exact[:, 2] = number[exact[:, 2].astype(np.int64)]
        own[:, 1] = number[own[:, 1].astype(np.int64)]
        columns["exact"].append(exact)
        columns["bugs"].append(own)
        count, bugs = count + len(rows.kind), bugs + len(own)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    total = np.array([lines[group] for group in range(len(names))])
    return Rows(**joined, lines=total, repositories=tuple(names))
