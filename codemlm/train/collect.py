"""Collects what is known of right and wrong leaves, for `codemlm.train.fit`.

Real bugs come from a file of pairs: every leaf of the file after a fix is right, and in the file
before it the mended leaf is wrong. Files of a corpus add right leaves, and injected mistakes where
they are asked for. The rows are those that a scan makes (`codemlm.confidence`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from codemlm.alternatives import Context
from codemlm.calibration import SINGLE_FEATURES, Calibration
from codemlm.confidence import Doubts
from codemlm.evaluation.injected import Bug, inject, sample_files, sampled
from codemlm.evaluation.real import RealBug, fixed_source, plan, real_bug
from codemlm.evaluation.rescoring import LeafScores, WindowScorer, find_change, to_score
from codemlm.exact import exact_findings
from codemlm.examination import LEAST_MASKINGS, LEAVES_PER_MASKING
from codemlm.filters import FILTERS, drops_any
from codemlm.findings import masked_views
from codemlm.fixes import FixPair
from codemlm.manifest import MANIFEST, Manifest
from codemlm.scoring import FileToScore
from codemlm.syntax import ParsedFile, parse
from codemlm.train.pool import mapped
from codemlm.train.rows import BESIDE, CLEAN, WRONG, Part, Rows, joined
from codemlm.train.scorers import load_scorer
from codemlm.types import Span

INJECTED_WEIGHT = 0.2
"""How much an injected mistake counts, where a real one counts one."""

_KEPT_SHARE = 20
"""One leaf in so many, the most suspicious ones, is kept of every file."""
_LEAST_KEPT = 20
_THINNING = 8
"""Of the other leaves, one in so many is kept, and counts so many times."""


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """What is collected.

    Attributes:
        limit: pairs at the most, evenly over repositories; None: all.
        max_lines: files with more lines are left out.
        files: files of the corpus.
        per_file: injected mistakes for each of them.
        exclude: repositories that are left out.
        seed: of the choice.
    """

    limit: int | None = None
    max_lines: int = 1500
    files: int = 300
    per_file: int = 0
    exclude: frozenset[str] = frozenset()
    seed: int = 0


class Collector:
    """Makes rows with a model.

    Args:
        scorer: the model's scorer.
        calibration: whose first stage chooses what is masked.
    """

    def __init__(self, scorer: WindowScorer, calibration: Calibration) -> None:
        self.scorer = scorer
        self.calibration = calibration

    def part(
        self,
        repository: str,
        path: str,
        after: ParsedFile,
        bugs: Sequence[RealBug | Bug],
        weight: float,
    ) -> Part:
        """Rows of a file and of its mistakes.

        Args:
            repository: ``owner/name``.
            path: of the file.
            after: the file without a mistake.
            bugs: the file with one mistake each.
            weight: how much each of them counts.
        """
        part = Part(repository, after.source.count(b"\n") + 1)
        old = to_score(after, self.scorer.tokenizer)
        known = self.scorer.whole(old, masked=False)
        rng = np.random.default_rng([zlib.crc32(f"{repository}/{path}".encode()), len(after)])
        masked = self._add(part, path, after, old, known, {}, {}, rng)
        files = [to_score(bug.parsed, self.scorer.tokenizer) for bug in bugs]
        scores = self.scorer.changed(old, known, files, masked=False)
        for bug, new, of_bug in zip(bugs, files, scores, strict=True):
            kept = self.scorer.unchanged(old, masked, new, find_change(old, new))
            part.bugs.append((weight, False))
            self._add(part, path, bug.parsed, new, of_bug, kept, bug.meant, rng)
        return part

    def _add(
        self,
        part: Part,
        path: str,
        parsed: ParsedFile,
        file: FileToScore,
        scores: LeafScores,
        known: LeafScores,
        meant: Mapping[int, str],
        rng: np.random.Generator,
    ) -> LeafScores:
        """Adds the rows of a file; returns the scores of what was masked."""
        exact = exact_findings(parsed, stub=path.endswith(".pyi"))
        ordered = [scores[leaf] for leaf in sorted(scores)]
        doubts = Doubts(
            Context(parsed, self.scorer.common),
            ordered,
            exact=exact,
            path=path,
            with_evidence=True,
            ranker=self.calibration.ranker,
        )
        limit = max(LEAST_MASKINGS, len(ordered) // LEAVES_PER_MASKING)
        masked = self.scorer.verify(file, doubts.propose(self.calibration, limit), known)
        places, verified = doubts.verified_rows(masked_views(doubts, masked))
        leaves = np.array([score.leaf for score in doubts.scores], dtype=np.int64)
        passes = _passes_filters(parsed, leaves)
        verified, places = verified[passes[places]], places[passes[places]]
        wrong = np.isin(leaves, list(meant))
        kind = np.where(wrong, WRONG, BESIDE if meant else CLEAN)
        keep, weight = self._thinned(doubts, wrong, places, rng, clean=not meant)
        keep = keep[passes[keep]]
        weight[wrong] /= max(wrong.sum(), 1)
        number = np.full(len(leaves), len(part.bugs) - 1 if meant else -1)
        part.single.append(doubts.rows[keep])
        part.columns.append(np.column_stack([kind, weight, number])[keep])
        part.verified.append(verified)
        part.verified_of.append(part.count + np.searchsorted(keep, places))
        part.count += len(keep)
        for leaf, one in exact.items():
            of_leaf = WRONG if leaf in meant else BESIDE if meant else CLEAN
            sure = np.nan if one.confidence is None else one.confidence
            part.exact.append((of_leaf, len(part.bugs) - 1, sure))
            if leaf in meant:
                part.bugs[-1] = (part.bugs[-1][0], True)
        return masked

    @staticmethod
    def _thinned(
        doubts: Doubts,
        wrong: np.ndarray,
        masked: np.ndarray,
        rng: np.random.Generator,
        *,
        clean: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Leaves that are kept, int64, and the weights of all: float64 (N,)."""
        count = len(doubts.scores)
        rank = np.expm1(doubts.rows[:, SINGLE_FEATURES.index("rank")])
        keep = wrong | (rank < max(_LEAST_KEPT, count // _KEPT_SHARE))
        keep[masked] = True
        keep &= doubts.informative
        weight = np.ones(count)
        if clean:  # beside a mistake, only what may be taken for it says anything new
            drawn = ~keep & doubts.informative & (rng.random(count) < 1 / _THINNING)
            weight[drawn] = _THINNING
            keep |= drawn
        return np.flatnonzero(keep), weight


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf as filters look at it, whatever is suggested."""

    leaf: int
    span: Span
    other: Span | None = None
    edits: tuple[tuple[Span, bytes], ...] = ()


def _passes_filters(parsed: ParsedFile, leaves: np.ndarray) -> np.ndarray:
    """Which leaves a scan would report if it was sure of them: bool (N,)."""
    drops = drops_any(parsed, FILTERS)
    spans = [Span(int(parsed.starts[leaf]), int(parsed.ends[leaf])) for leaf in leaves.tolist()]
    kept = [not drops(_Leaf(n, span)) for n, span in zip(leaves.tolist(), spans, strict=True)]
    return np.array(kept, dtype=bool)


@dataclass(frozen=True, slots=True)
class _Job:
    """A file and its mistakes, as they go to a worker: pairs, or a text with injected ones."""

    pairs: tuple[FixPair, ...] = ()
    name: str = ""
    source: bytes = b""
    per_file: int = 0
    seed: int = 0


def pair_jobs(path: Path, settings: CollectSettings) -> list[_Job]:
    """The chosen pairs of a file, those of the same file after their fixes together."""
    chosen = plan(
        path,
        limit=settings.limit,
        max_lines=settings.max_lines,
        masked=(0, 0),
        seed=settings.seed,
        exclude=settings.exclude,
    )
    return [_Job(pairs=tuple(group)) for group in chosen.groups()]


def corpus_jobs(corpus: Path, settings: CollectSettings) -> list[_Job]:
    """Files of a corpus."""
    return [
        _Job(
            name=file.name,
            source=file.parsed.source,
            per_file=settings.per_file,
            seed=settings.seed,
        )
        for file in sample_files(corpus, settings.files, settings.seed, settings.max_lines)
    ]


def collect(
    collector: Callable[[], Collector],
    jobs: Sequence[_Job],
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Rows of files.

    Args:
        collector: makes a collector, once in every worker.
        jobs: of ``pair_jobs`` and ``corpus_jobs``.
        workers: processes; 1: this one alone.
        progress: called with the files done and the files in all.

    Raises:
        UsageError: if no file gives rows.
    """
    parts = mapped(collector, run_job, jobs, workers=workers, progress=progress)
    return joined(part for part in parts if part is not None)


def run_job(collector: Collector, job: _Job) -> Part | None:
    """Rows of one job; None if it has no file that can be judged."""
    if job.pairs:
        source = fixed_source(job.pairs[0])
        assert source is not None  # the plan has left such pairs out
        after = parse(source)
        found = [real_bug(pair, after) for pair in job.pairs]
        bugs = [bug for bug in found if not isinstance(bug, str)]
        fix = job.pairs[0].fix
        return collector.part(fix.repo, fix.path, after, bugs, 1.0) if bugs else None
    file = sampled(job.name, parse(job.source))
    injected = inject([file], per_file=job.per_file, least=0, seed=job.seed)
    owner, name, path = job.name.split("/", 2)
    return collector.part(f"{owner}/{name}", path, file.parsed, injected, INJECTED_WEIGHT)


@dataclass(frozen=True, slots=True)
class LoadCollector:
    """Makes the collector of a model folder, or of a training checkpoint; can be pickled."""

    model: Path
    threads: int = 1

    def __call__(self) -> Collector:
        """The collector."""
        calibration = Calibration()
        if (self.model / MANIFEST).is_file():
            known = Manifest.read(self.model).calibration
            calibration = calibration if known is None else Calibration.from_json(known)
        return Collector(load_scorer(self.model, self.threads), calibration)


def collect_files(
    model: Path,
    pairs: Sequence[Path],
    corpus: Path | None,
    settings: CollectSettings,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Rows of a model on files of pairs, and on a corpus.

    Raises:
        UsageError: if no file gives rows.
        CorpusError: if a file cannot be read.
    """
    jobs = list(chain.from_iterable(pair_jobs(path, settings) for path in pairs))
    if corpus is not None:
        jobs += corpus_jobs(corpus, settings)
    return collect(LoadCollector(model), jobs, workers=workers, progress=progress)
