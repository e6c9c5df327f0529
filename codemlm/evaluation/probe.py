"""A quick look at a model: real bugs, each in one window around it, before and after the fix.

A whole evaluation scores every file and what a scan makes of the scores. Training wants to know
within minutes whether one checkpoint is better than another, so here a bug costs four rows of a
batch: its window as it is and with some leaves masked, before the fix and after. The model and the
windows are the same as in a scan; that a bug has to be found in its window, and not in its file,
makes every figure higher. They compare checkpoints, and are no promise to users.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from codemlm.batches import Batch
from codemlm.evaluation.injected import inject, sample_files
from codemlm.evaluation.metrics import Standing
from codemlm.evaluation.rankers import GATE, GATE_RATIO, MASKED_RATIO
from codemlm.evaluation.real import fixed_source, plan, real_bug
from codemlm.evaluation.rescoring import Change, LeafScores, find_change, to_score
from codemlm.masking import MASKED, is_scored, mask_weights, show
from codemlm.scoring import FileToScore, LeafScore, Scorer
from codemlm.syntax import ParsedFile, parse
from codemlm.windows import window_around

RATIO = "single-pass ratio"
"""Best alternative against the shown leaf by the softmax alone, the gate left out."""

RANKERS = (GATE, GATE_RATIO, RATIO, MASKED_RATIO)

HIDDEN_RATE = 0.15
"""Chance that a leaf of weight 1 is masked where the likelihood of masked leaves is measured."""

MAX_LINES = 10_000
_CASES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Case:
    """A mistake, and the same file without it.

    Attributes:
        key: its name, which decides what is masked.
        repo: ``owner/name``.
        kind: one of ``fixes.FIX_KINDS``.
        before, after: the leaves of the file with the mistake, and without.
        meant: what was meant, by leaf of ``before``.
        fixed: leaves of ``after`` that stand where the wrong ones stood.
    """

    key: str
    repo: str
    kind: str
    before: ParsedFile
    after: ParsedFile
    meant: Mapping[int, str]
    fixed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ranker made of a mistake.

    Attributes:
        suspicion: of the most suspicious wrong leaf; -inf where the ranker cannot find it.
        hits: chance that it is among the first 1, 3 and 5 leaves of its window; NaN where the
            ranker has not judged them all.
        paired: whether it is more suspicious than what stands there after the fix; half for a tie.
        repaired: whether what was meant is the first suggestion there; whether in the first five.
    """

    suspicion: float
    hits: tuple[float, ...]
    paired: float
    repaired: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model made of a case.

    Attributes:
        repo, kind: of the case.
        verdicts: by ranker.
        clean: float64, suspicions of the judged leaves of the window after the fix, by ranker.
        logp: float64, log-likelihoods (nats) of the leaves that were masked at random after the
            fix, those left out that are no candidates.
        correct: bool, whether each of them is the best candidate.
    """

    repo: str
    kind: str
    verdicts: Mapping[str, Verdict]
    clean: Mapping[str, np.ndarray]
    logp: np.ndarray
    correct: np.ndarray


@dataclass(slots=True)
class _View:
    """Units ``[start, stop)`` of a file; ``drawn`` are masked at random, ``place`` always.

    Both are bool (n,).
    """

    file: FileToScore
    start: int
    stop: int
    drawn: np.ndarray
    place: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """All units that are masked in the masked pass: bool (n,)."""
        hidden: np.ndarray = self.drawn | self.place
        return hidden


@dataclass(slots=True)
class _Scores:
    plain: LeafScores
    masked: LeafScores


def real_cases(
    path: Path, *, limit: int | None, seed: int, skipped: Counter[str]
) -> Iterator[Case]:
    """The bugs of a file of pairs, one at a time.

    Args:
        path: the ``.jsonl.gz``.
        limit: how many at the most, evenly over repositories; None: all.
        seed: of the choice.
        skipped: counts of those that cannot be judged are added here, by reason.

    Raises:
        CorpusError: if the file cannot be read.
    """
    chosen = plan(path, limit=limit, max_lines=MAX_LINES, masked=(0, 0), seed=seed)
    skipped.update(chosen.skipped)
    for pair in chosen.pairs():
        source = fixed_source(pair)
        assert source is not None  # the plan has left such pairs out
        after = parse(source)
        bug = real_bug(pair, after)
        if isinstance(bug, str):
            skipped[bug] += 1
            continue
        fix = pair.fix
        yield Case(fix.key, fix.repo, fix.kind, bug.parsed, after, bug.meant, bug.fixed)


def injected_cases(corpus: Path, *, files: int, seed: int) -> Iterator[Case]:
    """Injected mistakes, one in each sampled file; kinds as often as ``KIND_WEIGHTS`` has them.

    Args:
        corpus: folder of ``.jsonl.gz``, one a repository.
        files: how many files.
        seed: of the sample.

    Raises:
        CorpusError: if the folder holds none, or a damaged one.
    """
    sample = sample_files(corpus, files, seed)
    for bug in inject(sample, per_file=1, least=0, seed=seed):
        file = sample[bug.file]
        repo = "/".join(file.name.split("/")[:2])
        # No mistake of ours moves the leaves before it: the fixed leaves have the same numbers.
        fixed = tuple(leaf for leaf in bug.meant if leaf < len(file.parsed))
        yield Case(file.name, repo, bug.kind.value, bug.parsed, file.parsed, bug.meant, fixed)


class Probe(Scorer):
    """Judges cases with a model."""

    def run(self, cases: Iterable[Case]) -> Iterator[Outcome]:
        """What the model makes of each case, in order."""
        waiting = iter(cases)
        while chunk := list(islice(waiting, _CASES_AT_ONCE)):
            views = [view for case in chunk for view in self._views(case)]
            plain, masked = self._score(views, masked=False), self._score(views, masked=True)
            scores = [_Scores(*both) for both in zip(plain, masked, strict=True)]
            for number, case in enumerate(chunk):
                first = 2 * number
                yield _outcome(case, scores[first], scores[first + 1], views[first + 1])

    def _views(self, case: Case) -> tuple[_View, _View]:
        """The window before the fix, and the same after it."""
        old, new = to_score(case.before, self.tokenizer), to_score(case.after, self.tokenizer)
        change = find_change(old, new)
        wrong = np.flatnonzero(np.isin(old.encoded.unit_leaf, list(case.meant)))
        middle = int(wrong[0]) if len(wrong) else min(change.first, len(old.encoded) - 1)
        start, stop = window_around(old.encoded, middle, self.model.window)
        shift = change.new_stop - change.old_stop
        begin = start if start <= change.first else max(0, start + shift)
        end = min(len(new.encoded), stop + shift if stop >= change.old_stop else stop)
        rng = np.random.default_rng(zlib.crc32(case.key.encode()))
        rate = mask_weights(new.encoded.unit_role[begin:end]) * HIDDEN_RATE
        drawn = rng.random(end - begin) < rate
        after = _View(new, begin, end, drawn, _places(new, begin, end, case.fixed))
        same = _same_units(np.arange(start, stop), change) - begin
        inside = (same >= 0) & (same < end - begin)
        hidden = np.zeros(stop - start, dtype=bool)
        hidden[inside] = drawn[same[inside]]
        before = _View(old, start, stop, hidden, _places(old, start, stop, tuple(case.meant)))
        return before, after

    def _score(self, views: Sequence[_View], *, masked: bool) -> list[LeafScores]:
        """The scores of the judged leaves of each window, or of the masked ones."""
        batch = Batch(len(views), self.shape, self.model.num_global)
        for row, view in enumerate(views):
            units = show(view.file.encoded, view.start, view.stop)
            judge = view.hidden if masked else is_scored(units.role)
            if masked:
                units.state[judge] = MASKED
                units.target[judge] = units.text[judge]
            # The same for both windows of a case: slots and further candidates are drawn alike.
            rng = np.random.default_rng(view.start)
            batch.fill(row, view.file.encoded, units, rng, judge)
        found: list[LeafScores] = [{} for _ in views]
        for row, scores in self._run(batch, [view.file for view in views], masked=masked):
            found[row] = {score.leaf: score for score in scores}
        return found


def _places(file: FileToScore, start: int, stop: int, leaves: Sequence[int]) -> np.ndarray:
    """Which units [start, stop) are certain leaves that training may mask: bool (n,)."""
    part = slice(start, stop)
    there: np.ndarray = np.isin(file.encoded.unit_leaf[part], leaves)
    return there & (mask_weights(file.encoded.unit_role[part]) > 0)


def _same_units(units: np.ndarray, change: Change) -> np.ndarray:
    """Where units of the old file are in the new one, far below 0 for what has changed."""
    moved = np.where(units < change.first, units, units + change.new_stop - change.old_stop)
    changed = (units >= change.first) & (units < change.old_stop)
    return np.where(changed, np.iinfo(np.int32).min, moved)


def _suspicion(ranker: str, score: LeafScore) -> float:
    if ranker == GATE:
        return -score.keep_logit
    if ranker == GATE_RATIO:
        if not score.alternatives:
            return -np.inf
        best = max(score.alternatives[0].likelihood, 1e-12)
        return float(np.log(best) - np.log(max(score.likelihood, 1e-12)))
    return score.logp_best - score.logp_shown


def _outcome(case: Case, before: _Scores, after: _Scores, view: _View) -> Outcome:
    """Compares what the model says of the two windows.

    Args:
        case: the case.
        before, after: scores by leaf of the two files.
        view: the window after the fix.
    """
    leaf = view.file.encoded.unit_leaf[view.start : view.stop]
    roles = view.file.encoded.unit_role[view.start : view.stop]
    drawn = [number for number in leaf[view.drawn].tolist() if number in after.masked]
    judged = [n for n in leaf[view.drawn & is_scored(roles)].tolist() if n in after.masked]
    verdicts, clean = {}, {}
    for ranker in RANKERS:
        old, new = (s.masked if ranker == MASKED_RATIO else s.plain for s in (before, after))
        verdicts[ranker] = _verdict(ranker, case, old, new)
        chosen = judged if ranker == MASKED_RATIO else list(new)
        clean[ranker] = np.array([_suspicion(ranker, new[n]) for n in chosen], dtype=np.float64)
    likely = np.array([after.masked[n].logp_shown for n in drawn], dtype=np.float64)
    best = np.array([after.masked[n].logp_best for n in drawn], dtype=np.float64)
    known = likely > NOT_A_CANDIDATE
    return Outcome(case.repo, case.kind, verdicts, clean, likely[known], (likely >= best)[known])


NOT_A_CANDIDATE = -1e8
"""Log-likelihoods below this are of leaves that are no candidates (scoring has -1e9 there)."""


def _verdict(ranker: str, case: Case, old: LeafScores, new: LeafScores) -> Verdict:
    """What a ranker makes of a case, by the scores of the windows before and after the fix."""
    leaves = list(old)
    suspicion = np.array([_suspicion(ranker, old[leaf]) for leaf in leaves], dtype=np.float64)
    wrong = np.isin(leaves, list(case.meant))
    found = Standing.of(suspicion, wrong) if wrong.any() else None
    none = (np.nan,) * 3 if ranker == MASKED_RATIO else (0.0,) * 3
    if found is None:
        return Verdict(-np.inf, none, 0.5, (False, False))
    mended = [_suspicion(ranker, new[leaf]) for leaf in case.fixed if leaf in new]
    after = max(mended, default=found.suspicion)
    paired = 0.5 if after == found.suspicion else float(found.suspicion > after)
    score = old[leaves[found.place]]
    texts = [alternative.text for alternative in score.alternatives[:5]]
    meant = case.meant[score.leaf]
    hits = none if ranker == MASKED_RATIO else found.hits()
    return Verdict(found.suspicion, hits, paired, (texts[:1] == [meant], meant in texts))
