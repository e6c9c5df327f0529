"""Fits what orders the alternatives of a leaf (`codemlm.ranking`): `python -m codemlm.train rank`.

A real mistake shows which of a leaf's alternatives was meant. Only the windows that see it are
scored, so thousands of mistakes take minutes.

Source: LambdaMART (Burges, MSR-TR-2010-82), as LightGBM has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from codemlm.alternatives import Context
from codemlm.calibration import Boosted, Calibration
from codemlm.errors import ModelError, UsageError
from codemlm.evaluation.real import RealBug, fixed_source, plan, real_bug
from codemlm.evaluation.rescoring import WindowScorer, find_change, to_score, windows_that_see
from codemlm.evidence import Evidence
from codemlm.exact import exact_findings
from codemlm.fixes import FixPair
from codemlm.manifest import MANIFEST, Manifest
from codemlm.ranking import RANK_FEATURES, rank_rows
from codemlm.syntax import ParsedFile, parse
from codemlm.train.boost import from_lightgbm, pruned, rounded
from codemlm.train.pool import mapped
from codemlm.train.scorers import load_scorer

_FOLDS = 5
_LEAST_CHOICES = 50


@dataclass(frozen=True, slots=True)
class RankSettings:
    """How a ranker is fitted.

    Attributes:
        rounds: trees.
        leaves: of a tree.
        rate: learning rate.
        least: alternatives in a leaf of a tree, at least.
        penalty: of the squares of margins (lambda_l2).
        columns: share of the features that each tree sees.
    """

    rounds: int = 100
    leaves: int = 7
    rate: float = 0.05
    least: int = 20
    penalty: float = 5.0
    columns: float = 0.3


@dataclass(slots=True)
class Choices:
    """Wrong leaves, their alternatives, and which of these was meant.

    Attributes:
        rows: of RANK_FEATURES, of each leaf whose right answer is among its alternatives.
        meant: which alternative that is.
        repositories: where each comes from.
        missing: leaves whose right answer is none of them.
    """

    rows: list[np.ndarray] = field(default_factory=list)
    meant: list[int] = field(default_factory=list)
    repositories: list[str] = field(default_factory=list)
    missing: int = 0

    def add(self, other: Choices) -> None:
        """Takes in more."""
        self.rows += other.rows
        self.meant += other.meant
        self.repositories += other.repositories
        self.missing += other.missing


def collect_choices(
    load: Callable[[], WindowScorer],
    pairs: Iterable[Path],
    *,
    max_lines: int = 1500,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Choices:
    """What a model says at the wrong leaves of real bugs; what exact rules find is left out.

    Args:
        load: makes the model's scorer, once in every process.
        pairs: files of fixes with their texts.
        max_lines: pairs of files with more lines are left out.
        workers: processes; 1: this one alone.
        progress: called with the files done and the files in all.

    Raises:
        CorpusError: if the pairs cannot be read.
    """
    groups: list[tuple[FixPair, ...]] = []
    for path in pairs:
        chosen = plan(path, limit=None, max_lines=max_lines, masked=(0, 0), seed=0)
        groups += [tuple(group) for group in chosen.groups()]
    found = Choices()
    for choices in mapped(load, _of_file, groups, workers=workers, progress=progress):
        found.add(choices)
    return found


def _of_file(scorer: WindowScorer, group: Sequence[FixPair]) -> Choices:
    """The choices of the mistakes that one file had, the same after their fixes."""
    source = fixed_source(group[0])
    assert source is not None  # the plan has left such pairs out
    after, found = parse(source), Choices()
    for bug, pair in _bugs(group, after):
        found.add(_of_bug(scorer, bug, after, pair))
    return found


def _bugs(group: Sequence[FixPair], after: ParsedFile) -> Iterator[tuple[RealBug, FixPair]]:
    for pair in group:
        bug = real_bug(pair, after)
        if not isinstance(bug, str):
            yield bug, pair


def _of_bug(scorer: WindowScorer, bug: RealBug, after: ParsedFile, pair: FixPair) -> Choices:
    found, parsed = Choices(), bug.parsed
    old, new = to_score(after, scorer.tokenizer), to_score(parsed, scorer.tokenizer)
    windows = windows_that_see(new, find_change(old, new), scorer)
    scores = scorer.of_windows(new, windows, masked=False)
    exact = exact_findings(parsed)
    context, evidence = Context(parsed, scorer.common), Evidence(parsed, pair.fix.path)
    for leaf, meant in bug.meant.items():
        if leaf not in scores or leaf in exact:
            continue
        possible = context.possible(leaf, scores[leaf].alternatives)
        texts = [alternative.text for alternative in possible]
        if meant not in texts:
            found.missing += 1
            continue
        found.rows.append(rank_rows(evidence, [scores[leaf]], [possible]))
        found.meant.append(texts.index(meant))
        found.repositories.append(pair.fix.repo)
    return found


def fit_ranker(choices: Choices, settings: RankSettings) -> tuple[Boosted, dict[str, float]]:
    """A ranker, and shares of the mistakes whose right answer comes first.

    Returns:
        The ranker; the shares by the model's order (``before``) and by rankers of other
        repositories (``after``), and the most that any order reaches (``listed``).

    Raises:
        UsageError: if there are too few mistakes.
    """
    count = len(choices.rows)
    if count < _LEAST_CHOICES:
        raise UsageError(f"{count} mistakes with a known answer are too few; give more pairs")
    names = {name: i for i, name in enumerate(sorted(set(choices.repositories)))}
    fold = np.array([names[name] % _FOLDS for name in choices.repositories])
    right = 0
    for k in range(_FOLDS):
        outside = np.flatnonzero(fold == k).tolist()
        if outside and len(outside) < count:
            ranker = _fit(choices, np.flatnonzero(fold != k).tolist(), settings)
            right += sum(
                int(np.argmax(ranker.logits(choices.rows[i]))) == choices.meant[i] for i in outside
            )
    every = count + choices.missing
    figures = {
        "before": round(choices.meant.count(0) / every, 4),
        "after": round(right / every, 4),
        "listed": round(count / every, 4),
        "mistakes": every,
    }
    made = _fit(choices, range(count), settings)
    used = {RANK_FEATURES[feature] for tree in made.trees.trees for feature in tree.features}
    return pruned(made, used), figures


def _fit(choices: Choices, which: Sequence[int], settings: RankSettings) -> Boosted:
    import lightgbm

    rows = np.vstack([choices.rows[i] for i in which])
    sizes = [len(choices.rows[i]) for i in which]
    labels = np.zeros(len(rows), dtype=np.int64)
    labels[np.cumsum([0, *sizes[:-1]]) + [choices.meant[i] for i in which]] = 1
    parameters = {
        "objective": "lambdarank",
        "label_gain": [0, 1],
        "num_leaves": settings.leaves,
        "learning_rate": settings.rate,
        "min_data_in_leaf": settings.least,
        "lambda_l2": settings.penalty,
        "feature_fraction": settings.columns,
        "seed": 0,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(rows, labels, group=sizes, feature_name=list(RANK_FEATURES))
    booster = lightgbm.train(parameters, data, settings.rounds)
    return Boosted(RANK_FEATURES, rounded(from_lightgbm(booster.dump_model())))


def rank_folder(
    model: Path,
    pairs: Sequence[Path],
    settings: RankSettings,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Fits the ranker of a model folder and writes its manifest; returns what to tell.

    The confidence was fitted on rows of the old order: collect and fit it anew afterwards.

    Raises:
        ModelError: if the folder is no exported model.
        UsageError: if there are too few mistakes.
    """
    if not (model / MANIFEST).is_file():
        raise ModelError(f"{model}: no exported model; `export` makes one")
    load = partial(load_scorer, model)
    choices = collect_choices(load, pairs, workers=workers, progress=progress)
    ranker, figures = fit_ranker(choices, settings)
    manifest = Manifest.read(model)
    known = manifest.calibration
    calibration = Calibration() if known is None else Calibration.from_json(known)
    notes = {**calibration.notes, "ranker": figures}
    made = dataclasses.replace(calibration, ranker=ranker, notes=notes)
    seen = manifest.repositories
    if seen is not None:
        seen = {
            **seen,
            "calibration": sorted({*seen.get("calibration", ()), *choices.repositories}),
        }
    dataclasses.replace(manifest, calibration=made.as_json(), repositories=seen).write(model)
    return (
        f"{model / MANIFEST}: right answer first at {figures['before']:.1%} of "
        f"{figures['mistakes']:,} mistakes by the model, {figures['after']:.1%} by rankers of "
        f"other repositories; listed at {figures['listed']:.1%}"
    )
