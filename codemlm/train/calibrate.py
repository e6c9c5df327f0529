"""Fits a model's confidence on injected mistakes: `python -m codemlm.train calibrate`.

Confidence is a logistic function of what the model says of a leaf. It is fitted on files of
repositories that were never trained on: their leaves as they are, and leaves made wrong by
injection, which count as one in so many lines. The default threshold is the confidence that clean
code exceeds no more often than an alert budget allows.

Injected mistakes are easier than real ones, and how often code is wrong depends on how far it has
been tested. So a confidence is a measured probability on code like the sample, at the stated rate.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codemlm.alternatives import Context, is_informative
from codemlm.calibration import Calibration, single_features, verified_features
from codemlm.errors import UsageError
from codemlm.evaluation.injected import Bug, SampledFile, inject, repositories, sample_files
from codemlm.evaluation.rescoring import LeafScores, WindowScorer, find_change, to_score
from codemlm.findings import masked_view, propose
from codemlm.manifest import MANIFEST, Manifest
from codemlm.scanner import LEAST_MASKINGS, LEAVES_PER_MASKING
from codemlm.scoring import FileToScore
from codemlm.syntax import ParsedFile
from codemlm.train.logistic import (
    Fitted,
    fit_logistic,
    held_out,
    predict,
    reliability,
    threshold_for,
)
from codemlm.train.provenance import repository_name
from codemlm.types import Role
from codemlm.undefined import undefined_names

UNDEFINED_SHARE = 1 / 6
"""Share of undefined names among real mistakes of one token (PyPIBugs, arXiv 2105.12787)."""

Rows = tuple[tuple[float, ...], tuple[float, ...] | None]
"""Features of a leaf by the single pass, and by both passes where a scan would mask it."""


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """How a model is calibrated.

    Attributes:
        files: how many files are sampled.
        per_file: mistakes a file.
        lines_per_bug: lines of code in which one mistake is assumed.
        budget: alarms in 1,000 lines of clean code that the default threshold allows.
        penalty: weight of the coefficients' squares, for features of unit variance.
        seed: of the sample.
    """

    files: int = 300
    per_file: int = 3
    lines_per_bug: float = 500.0
    budget: float = 0.5
    penalty: float = 0.1
    seed: int = 1


@dataclass(slots=True)
class Examples:
    """Leaves with their features.

    Attributes:
        features: one row a leaf.
        wrong: whether the leaf is a mistake.
        weight: how many leaves it stands for, before mistakes are weighted to their rate.
        group: number of its repository.
    """

    features: list[tuple[float, ...]] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    group: list[int] = field(default_factory=list)

    def add(self, features: tuple[float, ...], *, wrong: bool, weight: float, group: int) -> None:
        """Adds a leaf."""
        self.features.append(features)
        self.wrong.append(wrong)
        self.weight.append(weight)
        self.group.append(group)

    def arrays(self, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Features (N, F), wrong (N,), weight (N,) and group (N,); a mistake weighs ``rate``."""
        wrong = np.array(self.wrong, dtype=bool)
        weight = np.array(self.weight) * np.where(wrong, rate, 1.0)
        return np.array(self.features), wrong, weight, np.array(self.group)


class Collector:
    """Gathers features of leaves as a scan sees them.

    Attributes:
        single: every leaf with a possible alternative, by the single pass.
        verified: those that a scan would mask, by both passes.
        clean: features of the leaves of unchanged code.
        wrong: features of mistakes; a mistake of two leaves has two, of weight one half.
        reached, bugs: mistakes that have a possible alternative, and mistakes in all.
        undefined: names of unchanged code that are reported as undefined.
    """

    def __init__(self, scorer: WindowScorer) -> None:
        self.scorer = scorer
        self.single = Examples()
        self.verified = Examples()
        self.clean: list[Rows] = []
        self.wrong: list[tuple[float, Rows]] = []
        self.reached = self.bugs = self.undefined = 0

    def add(self, file: SampledFile, bugs: Sequence[Bug], group: int) -> None:
        """Adds a file as it is, and its mistakes."""
        old = to_score(file.parsed, self.scorer.tokenizer)
        known = self.scorer.whole(old, masked=False)
        masked = self._masked(file.parsed, old, known, {})
        context = Context(file.parsed, self.scorer.common)
        undefined = {name.leaf for name in undefined_names(file.parsed)}
        self.undefined += len(undefined)
        for leaf in known:
            if leaf in undefined:
                continue
            rows = self._features(context, leaf, known, masked)
            if rows is not None:
                self.clean.append(rows)
                self._add(rows, wrong=False, weight=1.0, group=group)
        files = [to_score(bug.parsed, self.scorer.tokenizer) for bug in bugs]
        scores = self.scorer.changed(old, known, files, masked=False)
        for bug, new, of_bug in zip(bugs, files, scores, strict=True):
            kept = self.scorer.unchanged(old, masked, new, find_change(old, new))
            of_masked = self._masked(bug.parsed, new, of_bug, kept)
            context = Context(bug.parsed, self.scorer.common)
            found = [self._features(context, leaf, of_bug, of_masked) for leaf in bug.meant]
            wrong = [rows for rows in found if rows is not None]
            self.bugs += 1
            self.reached += bool(wrong)
            for rows in wrong:
                self.wrong.append((1.0 / len(wrong), rows))
                self._add(rows, wrong=True, weight=1.0 / len(wrong), group=group)

    def caught(self, single: Fitted, verified: Fitted, threshold: float) -> float:
        """How many mistakes have a confidence of the threshold or more."""
        return sum(
            weight for weight, rows in self.wrong if confidence(rows, single, verified) >= threshold
        )

    def _add(
        self,
        rows: Rows,
        *,
        wrong: bool,
        weight: float,
        group: int,
    ) -> None:
        self.single.add(rows[0], wrong=wrong, weight=weight, group=group)
        if rows[1] is not None:
            self.verified.add(rows[1], wrong=wrong, weight=weight, group=group)

    def _masked(
        self, parsed: ParsedFile, file: FileToScore, scores: LeafScores, known: LeafScores
    ) -> LeafScores:
        """Scores of the leaves that a scan masks."""
        ordered = [scores[leaf] for leaf in sorted(scores)]
        limit = max(LEAST_MASKINGS, len(ordered) // LEAVES_PER_MASKING)
        return self.scorer.verify(file, propose(parsed, ordered, limit, self.scorer.common), known)

    @staticmethod
    def _features(
        context: Context, leaf: int, scores: LeafScores, masked: LeafScores
    ) -> Rows | None:
        """Features of a leaf; None where it could be no finding."""
        if leaf not in scores or not is_informative(context.parsed, leaf):
            return None
        score = scores[leaf]
        possible = context.possible(leaf, score.alternatives)
        if not possible:
            return None
        role = Role(int(context.parsed.roles[leaf]))
        single = single_features(role, score, possible[0])
        if leaf not in masked:
            return single, None
        view = masked_view(context, masked[leaf])
        return single, verified_features(role, score, possible[0], view)


def calibrate(
    scorer: WindowScorer,
    corpus: Path,
    settings: CalibrationSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """A calibration of a model on a corpus.

    Args:
        scorer: the model's scorer.
        corpus: folder of ``.jsonl.gz`` files, one a repository, none of them trained on.
        settings: how.
        progress: called with the files done and the files in all.

    Raises:
        UsageError: if the corpus gives too few mistakes to fit anything.
    """
    files = sample_files(corpus, settings.files, settings.seed)
    bugs = inject(files, per_file=settings.per_file, least=0, seed=settings.seed)
    by_file: dict[int, list[Bug]] = defaultdict(list)
    for bug in bugs:
        by_file[bug.file].append(bug)
    groups = {name: i for i, name in enumerate(dict.fromkeys(_repository(f) for f in files))}
    collector = Collector(scorer)
    for number, file in enumerate(files):
        collector.add(file, by_file[number], groups[_repository(file)])
        if progress is not None:
            progress(number + 1, len(files))
    caught = sum(collector.verified.wrong)
    if caught < 20 or caught == len(collector.verified.wrong):
        raise UsageError(f"{corpus}: {caught} mistakes that the model doubts: too few; add files")
    return _fit(
        collector,
        sum(file.lines for file in files),
        settings,
        {
            "files": len(files),
            "repositories": len(groups),
            "kinds": dict(sorted(Counter(bug.kind.value for bug in bugs).items())),
        },
    )


def _fit(
    collector: Collector, lines: int, settings: CalibrationSettings, facts: dict[str, Any]
) -> Calibration:
    """Maps, threshold and notes from collected leaves."""
    rate = lines / settings.lines_per_bug / collector.bugs
    single = fit_logistic(*collector.single.arrays(rate)[:3], settings.penalty)
    features, wrong, weight, group = collector.verified.arrays(rate)
    verified = fit_logistic(features, wrong, weight, settings.penalty)
    confidences = np.array([confidence(rows, single, verified) for rows in collector.clean])
    threshold = threshold_for(confidences, settings.budget * lines / 1000)
    assumed = lines / settings.lines_per_bug
    caught = rate * collector.caught(single, verified, threshold)
    alarms = int((confidences >= threshold).sum())
    genuine = assumed * UNDEFINED_SHARE
    undefined = genuine / (genuine + collector.undefined + 1)
    notes = {
        "rate": f"one mistake in {settings.lines_per_bug:g} lines",
        "budget_per_1000_lines": settings.budget,
        "alarms_per_1000_lines": round(alarms / lines * 1000, 3),
        "recall_at_threshold": round(caught / assumed, 4),
        "precision_at_threshold": round(caught / max(caught + alarms, 1e-9), 4),
        "undefined_per_1000_lines": round(collector.undefined / lines * 1000, 3),
        "seed": settings.seed,
        "lines": lines,
        "mistakes": collector.bugs,
        "mistakes_with_a_possible_alternative": collector.reached,
        "mistakes_verified": int(wrong.sum()),
        **facts,
        "held_out": reliability(
            held_out(features, wrong, weight, group, settings.penalty), wrong, weight
        ),
    }
    return Calibration(
        single=(single[0], tuple(map(float, single[1]))),
        verified=(verified[0], tuple(map(float, verified[1]))),
        threshold=threshold,
        undefined=round(undefined, 4),
        notes=notes,
    )


def confidence(rows: Rows, single: Fitted, verified: Fitted) -> float:
    """The confidence that a scan would give a leaf."""
    fitted, values = (single, rows[0]) if rows[1] is None else (verified, rows[1])
    return float(predict(fitted, [values])[0])


def _repository(file: SampledFile) -> str:
    return "/".join(file.name.split("/")[:2])


def load_scorer(folder: Path, threads: int = 1) -> WindowScorer:
    """The scorer of an exported model, or of a training checkpoint."""
    if (folder / MANIFEST).is_file():
        from codemlm.commands import load_model

        scorer, _ = load_model(folder, threads)
        return WindowScorer(scorer.model, scorer.tokenizer)
    import torch

    from codemlm.train.torch_backend import TorchModel, load_tokenizer

    torch.set_num_threads(threads)
    return WindowScorer(TorchModel.load(folder), load_tokenizer(folder))


def write_calibration(folder: Path, calibration: Calibration, corpus: Path) -> None:
    """Puts a calibration into the manifest of a model folder, and the repositories it has seen."""
    manifest = Manifest.read(folder)
    seen = manifest.repositories
    if seen is not None:  # else it is not known what training has seen, and half a list misleads
        seen = {**seen, "calibration": [repository_name(path) for path in repositories(corpus)]}
    dataclasses.replace(manifest, calibration=calibration.as_json(), repositories=seen).write(
        folder
    )


def calibrate_folder(
    model: Path,
    corpus: Path,
    settings: CalibrationSettings,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Calibrates a model folder and writes its manifest; returns what to tell.

    A training checkpoint has no manifest: its calibration is returned as JSON, and nothing written.
    """
    made = calibrate(load_scorer(model, threads), corpus, settings, progress)
    if not (model / MANIFEST).is_file():
        return json.dumps(made.as_json(), indent=1)
    write_calibration(model, made, corpus)
    notes = made.notes
    return (
        f"{model / MANIFEST}: threshold {made.threshold:.3f}, "
        f"{notes['alarms_per_1000_lines']} alarms in 1,000 clean lines, "
        f"finds {notes['recall_at_threshold']:.1%} of {notes['mistakes']:,} injected mistakes; "
        f"precision {notes['precision_at_threshold']:.1%} at {notes['rate']}"
    )
