"""Whether a model has seen the repositories that are to measure it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from codemlm.errors import UsageError

LEARNT_FROM = ("train", "calibration")
"""Splits whose repositories the model's weights or confidences come from."""
_SHOWN = 10
_UNKNOWN = (
    "The model's manifest does not say which repositories it has seen: nothing shows that these "
    "are others."
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model has seen of the repositories that are evaluated.

    Attributes:
        known: whether the model's manifest tells.
        learnt: repositories that it was trained or calibrated on, by split.
        tuned: repositories of the split that decisions about the model were made on.
    """

    known: bool
    learnt: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tuned: Sequence[str] = ()

    def warnings(self) -> list[str]:
        """What a reader of the figures has to know; empty if the model has seen nothing."""
        if not self.known:
            return [_UNKNOWN]
        lines = [
            f"{len(names)} of the repositories are ones that the model has seen in its {split} "
            f"split, so these figures are no measurement: {_listed(names)}."
            for split, names in self.learnt.items()
        ]
        if self.tuned:
            lines.append(
                f"{len(self.tuned)} of the repositories are of the validation split, on which "
                "decisions about the model were made."
            )
        return lines


def check_seen(
    evaluated: Iterable[str],
    repositories: Mapping[str, Sequence[str]] | None,
    *,
    allow: bool,
) -> Seen:
    """Compares the repositories of an evaluation with those that the model has seen.

    Forks and renamed owners count as the same: names are compared without the owner too, as the
    corpus does when it splits.

    Args:
        evaluated: names, ``owner/name``.
        repositories: of the model's manifest, by split; None if it does not tell.
        allow: whether seen repositories are let through.

    Raises:
        UsageError: if the model was trained or calibrated on some of them, and that is not allowed.
    """
    if repositories is None:
        return Seen(known=False)
    names = sorted(set(evaluated))
    hits = {split: _common(names, repositories.get(split, ())) for split in LEARNT_FROM}
    hits = {split: found for split, found in hits.items() if found}
    if hits and not allow:
        what = "; ".join(f"{split}: {_listed(found)}" for split, found in hits.items())
        raise UsageError(
            f"the model was trained or calibrated on repositories that are to measure it ({what}); "
            "take the test split, or pass --allow-seen where the figures are for development alone"
        )
    return Seen(True, hits, _common(names, repositories.get("validation", ())))


def _common(names: Sequence[str], seen: Sequence[str]) -> list[str]:
    projects = {_project(name) for name in seen}
    return [name for name in names if _project(name) in projects]


def _project(repository: str) -> str:
    """The name without its owner, in the spelling that package indexes compare by."""
    return re.sub(r"[-_.]+", "-", repository.lower().removesuffix(".git").rsplit("/", 1)[-1])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
