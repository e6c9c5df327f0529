"""Fits a model's confidence to rows of real bugs: `python -m codemlm.train fit`.

The trees are fitted on some repositories, the logistic functions of their margins on others, so
that a confidence is a measured probability on code never seen, with one mistake in so many lines.
The default threshold is the confidence that clean code exceeds no more often than an alert budget
allows.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codemlm.calibration import SINGLE_FEATURES, VERIFIED_FEATURES, Boosted, Calibration
from codemlm.errors import UsageError
from codemlm.manifest import MANIFEST, Manifest
from codemlm.train.boost import BoostSettings, Fitted, fit_trees, pruned
from codemlm.train.logistic import fit_logistic, reliability, threshold_for
from codemlm.train.rows import CLEAN, WRONG, Rows, merged

_LEAST_WRONG = 20
_LISTED = 30
_LEAST_SLOPE = 0.05
_SHOWN_FROM = 0.02
"""Confidence from which a logistic function has to fit best: nobody looks at what is below."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a model's confidence is fitted.

    Attributes:
        lines_per_bug: lines of code in which one mistake is assumed.
        budget: false alarms of the model in 1,000 lines of clean code that the default threshold
            allows; what exact rules get wrong comes on top, whatever the threshold.
        emphasis: how many times more mistakes count while trees grow; their margins are mapped to
            probabilities afterwards.
        penalty: of the logistic functions' slopes.
        stages: 2: leaves that a scan masks are judged again, by trees of their own; 1: nothing is
            masked.
        undefined: share of reported undefined names that are mistakes, mended or not: known by
            reading them (see `dev/LOG.md`), for rows only know the mended ones.
        boost: how trees are fitted.
    """

    lines_per_bug: float = 800.0
    budget: float = 0.01
    emphasis: float = 10.0
    penalty: float = 0.1
    stages: int = 1
    undefined: float = 0.93
    boost: BoostSettings = field(default_factory=BoostSettings)


def rate(rows: Rows, lines_per_bug: float) -> float:
    """How much a mistake of the rows counts, so that one in so many lines is wrong."""
    return float(rows.lines.sum() / lines_per_bug / max(rows.bugs[:, 0].sum(), 1e-9))


def weights(rows: Rows, lines_per_bug: float) -> np.ndarray:
    """How much each leaf counts: float64 (N,)."""
    share = rate(rows, lines_per_bug)
    of_bug = np.append(rows.bugs[:, 0], 1.0)[rows.bug] * share
    found: np.ndarray = rows.weight * np.where(rows.kind == CLEAN, 1.0, of_bug)
    return found


@dataclass(frozen=True, slots=True)
class Stage:
    """The rows of one stage, with what is needed to fit it.

    Attributes:
        features: their names.
        rows: float32 (N, F).
        wrong: bool (N,).
        weight: float64 (N,).
        group: int64 (N,).
    """

    features: tuple[str, ...]
    rows: np.ndarray
    wrong: np.ndarray
    weight: np.ndarray
    group: np.ndarray

    @classmethod
    def first(cls, rows: Rows, lines_per_bug: float) -> Stage:
        """Every leaf, by the single pass."""
        weight = weights(rows, lines_per_bug)
        return cls(SINGLE_FEATURES, rows.single, rows.kind == WRONG, weight, rows.group)

    @classmethod
    def second(cls, rows: Rows, lines_per_bug: float) -> Stage:
        """The leaves that were masked."""
        of, weight = rows.verified_of, weights(rows, lines_per_bug)
        return cls(
            VERIFIED_FEATURES, rows.verified, rows.kind[of] == WRONG, weight[of], rows.group[of]
        )

    def fit(self, calibration: Stage, settings: FitSettings) -> tuple[Boosted, Fitted]:
        """Trees of these rows, with the logistic function of other ones.

        Raises:
            UsageError: if either has too few mistakes.
        """
        for stage in (self, calibration):
            if stage.wrong.sum() < _LEAST_WRONG:
                raise UsageError(
                    f"{int(stage.wrong.sum())} mistakes among the rows are too few; collect more"
                )
        weight = np.where(self.wrong, settings.emphasis, 1.0) * self.weight
        fitted = fit_trees(self.rows, self.wrong, weight, self.group, self.features, settings.boost)
        # What trees of other repositories say of the rows to fit is as good as calibration rows,
        # and there are many more of them.
        margins = np.append(fitted.margins, fitted.trees.margins(calibration.rows))
        wrong = np.append(self.wrong, calibration.wrong)
        counts = np.append(self.weight, calibration.weight)
        intercept, slope = _logistic(margins, wrong, counts, settings.penalty)
        return Boosted(self.features, fitted.trees, intercept, slope), fitted


def _logistic(
    margins: np.ndarray, wrong: np.ndarray, weight: np.ndarray, penalty: float
) -> tuple[float, float]:
    """Intercept and slope by which margins become logits, fitted where confidence is shown."""
    chosen = np.ones(len(margins), dtype=bool)
    for _ in range(3):  # the first fit says where that is
        intercept, slopes = fit_logistic(
            margins[chosen, None], wrong[chosen], weight[chosen], penalty
        )
        slope = max(float(slopes[0]), _LEAST_SLOPE)
        above = intercept + slope * margins > np.log(_SHOWN_FROM / (1 - _SHOWN_FROM))
        if wrong[above].sum() < _LEAST_WRONG or wrong[above].all():
            break
        chosen = above
    return float(intercept), slope


def fit(train: Rows, held_out: Rows, settings: FitSettings) -> Calibration:
    """A calibration.

    Args:
        train: rows that the trees are fitted to.
        held_out: rows of other repositories, for confidence and threshold.
        settings: how.

    Raises:
        UsageError: if a repository is in both, or there are too few mistakes.
    """
    both = sorted(set(train.repositories) & set(held_out.repositories))
    if both:
        raise UsageError(f"{both[0]} is among the rows to fit and to calibrate on; exclude it")
    lines = settings.lines_per_bug
    single, of_single = Stage.first(train, lines).fit(Stage.first(held_out, lines), settings)
    found = {"single": of_single}
    verified: Boosted | None = None
    if settings.stages == 2:
        verified, fitted = Stage.second(train, lines).fit(Stage.second(held_out, lines), settings)
        verified, found["verified"] = pruned(verified, fitted.gains), fitted
    made = Calibration(
        single=pruned(single, of_single.gains),
        verified=verified,
        undefined=settings.undefined,
    )
    confidence = confidences(held_out, made)
    if settings.stages == 1:  # both by trees that have not seen the rows: the more, the steadier
        seen = made.probabilities(single.intercept + single.slope * of_single.margins)
        every = np.append(seen, confidence)
        threshold = _threshold(merged([train, held_out]), every, settings)
    else:
        threshold = _threshold(held_out, confidence, settings)
    notes = _notes(train, held_out, confidence, threshold, made.undefined, settings)
    notes["gains"] = {
        name: dict(list(fitted.gains.items())[:_LISTED]) for name, fitted in found.items()
    }
    return dataclasses.replace(made, threshold=threshold, notes=notes)


def confidences(rows: Rows, calibration: Calibration) -> np.ndarray:
    """The confidence that a scan gives each leaf: float64 (N,)."""
    found = calibration.confidences(rows.single)
    if calibration.verified is not None:
        found[rows.verified_of] = calibration.confidences(rows.verified)
    return found


def _sureness(rows: Rows, undefined: float) -> np.ndarray:
    """The confidence of each finding of an exact rule: float64 (U,)."""
    found: np.ndarray = np.where(np.isnan(rows.exact[:, 3]), undefined, rows.exact[:, 3])
    return found


def _clean_exact(rows: Rows, undefined: float, threshold: float = 0.0) -> np.ndarray:
    """The confidences of what exact rules find in clean code, from a threshold on."""
    sure = _sureness(rows, undefined)[rows.exact[:, 0] == CLEAN]
    found: np.ndarray = sure[sure >= threshold]
    return found


def _false_alarms(rows: Rows, undefined: float, threshold: float = 0.0) -> float:
    """How many findings of exact rules in clean code are expected to be wrong."""
    return float((1.0 - _clean_exact(rows, undefined, threshold)).sum())


def _threshold(rows: Rows, confidence: np.ndarray, settings: FitSettings) -> float:
    clean = rows.kind == CLEAN
    allowed = settings.budget * float(rows.lines.sum()) / 1000
    return threshold_for(confidence[clean], allowed, rows.weight[clean])


def _notes(
    train: Rows,
    rows: Rows,
    confidence: np.ndarray,
    threshold: float,
    undefined: float,
    settings: FitSettings,
) -> dict[str, Any]:
    """What the held-out rows say of the calibration."""
    lines = float(rows.lines.sum())
    clean, wrong = rows.kind == CLEAN, rows.kind == WRONG
    above = confidence >= threshold
    alarms = float(rows.weight[clean & above].sum())
    alarms += _false_alarms(rows, undefined, threshold)
    best: dict[int, float] = defaultdict(float)
    for bug, value in zip(rows.bug[wrong].tolist(), confidence[wrong].tolist(), strict=True):
        best[bug] = max(best[bug], value)
    exact = rows.exact[:, 0] == WRONG
    found_by = zip(rows.exact[exact, 1].tolist(), _sureness(rows, undefined)[exact], strict=True)
    for bug, sure in found_by:
        best[int(bug)] = max(best[int(bug)], float(sure))
    caught = [bug for bug, value in best.items() if value >= threshold]
    found = float(rows.bugs[caught, 0].sum())
    expected = found * rate(rows, settings.lines_per_bug)
    weight = weights(rows, settings.lines_per_bug)
    return {
        "rate": f"one mistake in {settings.lines_per_bug:g} lines",
        "budget_per_1000_lines": settings.budget,
        "alarms_per_1000_lines": round(alarms / lines * 1000, 3),
        "recall_at_threshold": round(found / float(rows.bugs[:, 0].sum()), 4),
        "precision_at_threshold": round(expected / max(expected + alarms, 1e-9), 4),
        "exact_per_1000_lines": round(len(_clean_exact(rows, undefined)) / lines * 1000, 3),
        "fitted": _size(train),
        "calibrated": _size(rows),
        "reliability": reliability(confidence, wrong, weight),
    }


def _size(rows: Rows) -> dict[str, int]:
    return {
        "repositories": len(rows.repositories),
        "lines": int(rows.lines.sum()),
        "mistakes": len(rows.bugs),
    }


def write_calibration(
    folder: Path, calibration: Calibration, names: Iterable[str], version: str | None = None
) -> None:
    """Puts a calibration into a model's manifest, and the repositories it was fitted on.

    Args:
        folder: the model's.
        calibration: what goes in.
        names: of the repositories.
        version: of the model from now on; None: as it was.
    """
    manifest = Manifest.read(folder)
    seen = manifest.repositories
    if seen is not None:  # else it is not known what training has seen, and half a list misleads
        seen = {**seen, "calibration": sorted({*seen.get("calibration", ()), *names})}
    dataclasses.replace(
        manifest,
        version=version or manifest.version,
        calibration=calibration.as_json(),
        repositories=seen,
    ).write(folder)


def fit_folder(
    model: Path,
    train: Rows,
    held_out: Rows,
    settings: FitSettings,
    version: str | None = None,
) -> str:
    """Fits the confidence of a model folder and writes its manifest; returns what to tell."""
    made = fit(train, held_out, settings)
    known = Manifest.read(model).calibration
    if known is not None:  # what orders the alternatives stays: the rows were made with it
        before = Calibration.from_json(known)
        kept = {name: before.notes[name] for name in ("ranker",) if name in before.notes}
        made = dataclasses.replace(made, ranker=before.ranker, notes={**made.notes, **kept})
    write_calibration(model, made, (*train.repositories, *held_out.repositories), version)
    notes = made.notes
    gains = ", ".join(f"{k} {v:.1%}" for k, v in list(notes["gains"]["single"].items())[:10])
    return (
        f"{model / MANIFEST}: threshold {made.threshold:.3f}, "
        f"{notes['alarms_per_1000_lines']} alarms in 1,000 clean lines, "
        f"finds {notes['recall_at_threshold']:.1%} of {len(held_out.bugs):,} mistakes; "
        f"precision {notes['precision_at_threshold']:.1%} at {notes['rate']}\n"
        f"undefined names: {made.undefined:.1%} right\nfeatures by gain: {gains}"
    )
