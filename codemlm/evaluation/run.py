"""Runs an evaluation: samples, injects, lets every ranker judge, and adds the figures up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from codemlm.alternatives import Context
from codemlm.calibration import Calibration
from codemlm.confidence import Doubts
from codemlm.errors import UsageError
from codemlm.evaluation.injected import (
    Bug,
    Sample,
    SampledFile,
    inject,
    sample_files,
    scored_leaves,
)
from codemlm.evaluation.metrics import (
    BugOutcome,
    CleanOutcome,
    Mistake,
    Summary,
    bug_outcome,
    clean_outcome,
)
from codemlm.evaluation.ngram import NgramModel
from codemlm.evaluation.rankers import (
    CHANCE,
    DESCRIPTIONS,
    NgramRanker,
    Opinion,
    from_findings,
    from_masked,
    from_scores,
)
from codemlm.evaluation.rescoring import LeafScores, WindowScorer, find_change, to_score
from codemlm.exact import Exact, exact_findings
from codemlm.examination import LEAST_MASKINGS, LEAVES_PER_MASKING
from codemlm.findings import Finding, judge
from codemlm.scoring import FileToScore
from codemlm.surroundings import Surroundings
from codemlm.syntax import ParsedFile

B = TypeVar("B", bound=Mistake)
Progress = Callable[[int, int], None]
"""Called with the files done and the files in all."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an evaluation does.

    Attributes:
        files: how many files are sampled.
        per_file: mistakes a file, of kinds drawn as they occur.
        least: mistakes of every kind, where there are sites for them.
        masked_files: of the files, how many are also scored by masking every leaf.
        seed: of everything random.
    """

    files: int = 300
    per_file: int = 3
    least: int = 60
    masked_files: int = 80
    seed: int = 0


QUICK = Settings(files=40, per_file=2, least=0, masked_files=10)


@dataclass(slots=True)
class _Outcomes:
    """Outcomes of every ranker, over the files that it judged."""

    bugs: dict[str, list[BugOutcome]] = field(default_factory=lambda: defaultdict(list))
    clean: dict[str, list[CleanOutcome]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self,
        file: SampledFile,
        clean: Mapping[str, Opinion],
        bugs: Sequence[tuple[Bug, Mapping[str, Opinion]]],
    ) -> None:
        for name, opinion in clean.items():
            self.clean[name].append(clean_outcome(file, opinion))
        for bug, opinions in bugs:
            for name, opinion in opinions.items():
                self.bugs[name].append(bug_outcome(bug, opinion))

    def summaries(self, seed: int) -> dict[str, dict[str, Any]]:
        ordered = [name for name in DESCRIPTIONS if name in self.clean]
        return {
            name: Summary(self.bugs[name], self.clean[name], seed).as_json() for name in ordered
        }


class Evaluation:
    """Judges files and their mistakes with every ranker.

    Args:
        scorer: the model's scorer.
        calibration: the model's calibration.
        ngrams: the baseline; None leaves it out.
    """

    def __init__(
        self,
        scorer: WindowScorer,
        calibration: Calibration,
        *,
        ngrams: NgramModel | None = None,
    ) -> None:
        self.scorer = scorer
        self.calibration = calibration
        self.ngrams = NgramRanker(ngrams) if ngrams is not None else None

    def run(
        self, corpus: Path, settings: Settings, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Figures of every ranker, ready for JSON.

        The rankers that mask every leaf see the first files alone; ``compared`` holds the figures
        of all rankers on those files, ``rankers`` the figures on all files.

        Raises:
            UsageError: if the corpus has no files to take, or no sites for mistakes.
        """
        files = sample_files(corpus, settings.files, settings.seed)
        sample = Sample(
            files,
            inject(files, per_file=settings.per_file, least=settings.least, seed=settings.seed),
        )
        if not any(bug.natural for bug in sample.bugs):
            raise UsageError(f"{corpus}: no files of 30 to 400 lines with sites for mistakes")
        every, compared = _Outcomes(), _Outcomes()
        by_file: dict[int, list[Bug]] = defaultdict(list)
        for bug in sample.bugs:
            by_file[bug.file].append(bug)
        for number, file in enumerate(files):
            masked = number < settings.masked_files
            clean, bugs = self.judge(file, by_file[number], masked=masked)
            if masked:
                compared.add(file, clean, bugs)
            single = [(bug, _without_masked(opinions)) for bug, opinions in bugs]
            every.add(file, _without_masked(clean), single)
            if progress is not None:
                progress(number + 1, len(files))
        first = Sample(files[: settings.masked_files])
        return {
            "settings": asdict(settings),
            "files": len(files),
            "lines": sample.lines,
            "functions": sum(len(file.functions) for file in files),
            "bugs": len(sample.bugs),
            "natural_bugs": sum(bug.natural for bug in sample.bugs),
            "unreachable_bugs": sum(not _is_reachable(bug) for bug in sample.bugs),
            "leaves": sum(len(scored_leaves(file.parsed)) for file in files),
            "rankers": every.summaries(settings.seed),
            "compared": {
                "files": len(first.files),
                "lines": first.lines,
                "rankers": compared.summaries(settings.seed),
            },
        }

    def judge(
        self, file: SampledFile, bugs: Sequence[B], *, masked: bool
    ) -> tuple[dict[str, Opinion], list[tuple[B, dict[str, Opinion]]]]:
        """Opinions of every ranker on a file, and on the file with each of its mistakes."""
        judged = self.judged(file, bugs, masked=masked)
        return judged.clean, [(variant.bug, variant.opinions) for variant in judged.variants]

    def judged(self, file: SampledFile, bugs: Sequence[B], *, masked: bool) -> Judged[B]:
        """What every ranker says of a file, and of the file with each of its mistakes.

        Args:
            file: without a mistake.
            bugs: the file with one mistake each.
            masked: whether the rankers that mask every leaf judge it too.
        """
        tokenizer = self.scorer.tokenizer
        old = to_score(file.parsed, tokenizer)
        variants = [Variant(bug, old, to_score(bug.parsed, tokenizer)) for bug in bugs]
        clean = _chance(file.parsed)
        known = self.scorer.whole(old, masked=False)
        clean |= from_scores(file.parsed, known)
        findings, verified = self._findings(file.parsed, file.name, old, known, {})
        clean |= from_findings(file.parsed, findings, both=False)
        scores = self.scorer.changed(old, known, [v.file for v in variants], masked=False)
        for variant, of_variant in zip(variants, scores, strict=True):
            parsed = variant.bug.parsed
            variant.opinions |= _chance(parsed) | from_scores(parsed, of_variant)
            kept = self.scorer.unchanged(old, verified, variant.file, variant.change)
            variant.findings, _ = self._findings(parsed, file.name, variant.file, of_variant, kept)
            variant.opinions |= from_findings(parsed, variant.findings)
        if masked:
            known = self.scorer.whole(old, masked=True)
            clean |= from_masked(file.parsed, known)
            scores = self.scorer.changed(old, known, [v.file for v in variants], masked=True)
            for variant, of_variant in zip(variants, scores, strict=True):
                variant.opinions |= from_masked(variant.bug.parsed, of_variant)
        if self.ngrams is not None:
            view = self.ngrams.view(file.parsed)
            clean |= self.ngrams.opinions(view)
            for variant in variants:
                changed = self.ngrams.view(variant.bug.parsed, view, variant.leaves(old))
                variant.opinions |= self.ngrams.opinions(changed)
        return Judged(clean, findings, variants)

    def _findings(
        self,
        parsed: ParsedFile,
        path: str,
        file: FileToScore,
        scores: LeafScores,
        known: LeafScores,
    ) -> tuple[list[Finding], LeafScores]:
        """What a scan finds, at any confidence, and the scores of the leaves that it masked."""
        doubts, masked, exact = self.doubts(parsed, path, file, scores, known)
        return judge(doubts, masked, exact, self.calibration), masked

    def doubts(
        self,
        parsed: ParsedFile,
        path: str,
        file: FileToScore,
        scores: LeafScores,
        known: LeafScores,
        around: Surroundings | None = None,
    ) -> tuple[Doubts, LeafScores, dict[int, Exact]]:
        """What `judge` makes findings of: doubts, leaves that a scan masks, exact findings.

        Args:
            parsed: the file.
            path: of the file.
            file: the same, encoded.
            scores: of the single pass.
            known: scores of leaves that were masked alone already.
            around: the project around the file; None: nothing is known of it.
        """
        ordered = [scores[leaf] for leaf in sorted(scores)]
        limit = max(LEAST_MASKINGS, len(ordered) // LEAVES_PER_MASKING)
        exact = exact_findings(parsed, stub=path.endswith(".pyi"), around=around)
        doubts = Doubts(
            Context(parsed, self.scorer.common),
            ordered,
            exact=exact,
            path=path,
            ranker=self.calibration.ranker,
            with_evidence=self.calibration.uses_evidence,
        )
        masked = self.scorer.verify(file, doubts.propose(self.calibration, limit), known)
        return doubts, masked, exact


class Variant(Generic[B]):
    """A file with a mistake in it, and what the rankers say of it.

    Args:
        bug: the mistake.
        old: the file without it.
        file: the file with it.
    """

    def __init__(self, bug: B, old: FileToScore, file: FileToScore) -> None:
        self.bug = bug
        self.file = file
        self.change = find_change(old, file)
        self.opinions: dict[str, Opinion] = {}
        self.findings: list[Finding] = []

    def leaves(self, old: FileToScore) -> tuple[int, int, int]:
        """The first leaf of the change, and its end in the old file and in this one."""
        first, old_stop = _leaf_range(old, self.change.first, self.change.old_stop)
        return first, old_stop, _leaf_range(self.file, self.change.first, self.change.new_stop)[1]


@dataclass(slots=True)
class Judged(Generic[B]):
    """What the rankers say of a file.

    Attributes:
        clean: opinions of the file without a mistake; a swap counts at one of its places.
        findings: of a scan of it, at any confidence.
        variants: the same of the file with each mistake; a swap counts at both places.
    """

    clean: dict[str, Opinion]
    findings: list[Finding]
    variants: list[Variant[B]]


def _leaf_range(file: FileToScore, first: int, stop: int) -> tuple[int, int]:
    """Numbers of the first leaves at or after units ``first`` and ``stop``."""
    leaves = file.encoded.unit_leaf
    real = np.flatnonzero(leaves >= 0)
    after_last = int(leaves.max(initial=-1)) + 1

    def at(unit: int) -> int:
        place = int(np.searchsorted(real, unit))
        return int(leaves[real[place]]) if place < len(real) else after_last

    return at(first), at(stop)


def _is_reachable(bug: Bug) -> bool:
    return bool(np.isin(list(bug.meant), scored_leaves(bug.parsed)).any())


def _without_masked(opinions: Mapping[str, Opinion]) -> dict[str, Opinion]:
    """The opinions of rankers that judge every file."""
    return {name: o for name, o in opinions.items() if not name.startswith("masked")}


def _chance(parsed: ParsedFile) -> dict[str, Opinion]:
    leaves = scored_leaves(parsed)
    return {CHANCE: Opinion(leaves, np.zeros(len(leaves)), [""] * len(leaves))}
