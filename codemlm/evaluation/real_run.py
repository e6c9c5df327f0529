"""Runs an evaluation on real bugs: every ranker judges files before and after their fixes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from codemlm.errors import UsageError
from codemlm.evaluation import real_linters
from codemlm.evaluation.commits import judge_commits
from codemlm.evaluation.injected import SampledFile, sampled
from codemlm.evaluation.known import KnownMistakes
from codemlm.evaluation.linter_figures import POPULATIONS, Populations, populations
from codemlm.evaluation.rankers import (
    CHANCE,
    DESCRIPTIONS,
    GATE,
    PRODUCT,
    PRODUCT_READ,
    Opinion,
    from_findings,
)
from codemlm.evaluation.real import Plan, RealBug, fixed_source, is_reachable, real_bug
from codemlm.evaluation.real_metrics import (
    LEAST_KEPT,
    MAX_PER_KLOC,
    CleanFile,
    Places,
    RealOutcome,
    RealSummary,
    clean_file,
    curve,
    highest,
    outcome,
)
from codemlm.evaluation.run import Evaluation, Judged, Variant
from codemlm.findings import Finding
from codemlm.fixes import FixPair
from codemlm.positions import LineIndex
from codemlm.syntax import ParsedFile, parse

LISTED = 20
"""Alarms and misses that a result lists."""
BINS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
"""Edges of the bins of confidence."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class RealSettings:
    """What an evaluation on real bugs does.

    Attributes:
        limit: bugs at the most, evenly over repositories; None: all.
        max_lines: files with more lines are left out.
        masked_files: bugs that are also judged by masking every leaf.
        masked_lines: lines at most of their files.
        commits: whether the commits that brought the bugs in are judged too, where they are known.
        seed: of everything random.
    """

    limit: int | None = None
    max_lines: int = 3000
    masked_files: int = 60
    masked_lines: int = 400
    commits: bool = True
    seed: int = 0


@dataclass(slots=True)
class Population:
    """Outcomes of every ranker, over the bugs and files that it judged."""

    bugs: dict[str, list[RealOutcome]] = field(default_factory=lambda: defaultdict(list))
    clean: dict[str, list[CleanFile]] = field(default_factory=lambda: defaultdict(list))

    def summaries(
        self, groups: int, seed: int, threshold: float, few: Populations | None
    ) -> dict[str, dict[str, Any]]:
        """Figures of every ranker, in the order of reports."""
        found: dict[str, dict[str, Any]] = {}
        for name in (name for name in DESCRIPTIONS if name in self.bugs):
            bugs, clean = self.bugs[name], self.clean[name]
            default = threshold if name in (PRODUCT, PRODUCT_READ) else None
            summary = RealSummary(clean, groups, seed, default)
            found[name] = {"all": summary.of(bugs), "curve": curve(bugs, clean)}
            for population in POPULATIONS:
                some = None if few is None else [b for b in bugs if b.key in few[population]]
                found[name][population] = None if some is None else summary.of(some)
        return found


class Reliability:
    """Confidence of findings against how often they are right, with one bug a file."""

    def __init__(self) -> None:
        self._count = np.zeros(len(BINS) - 1, dtype=np.int64)
        self._sum = np.zeros(len(BINS) - 1)
        self._right = np.zeros(len(BINS) - 1)

    def add(self, findings: Iterable[Finding], right: Callable[[Finding], bool]) -> None:
        """Counts the findings of a file."""
        for finding in findings:
            place = int(np.searchsorted(BINS, finding.confidence, side="right")) - 1
            place = min(place, len(self._count) - 1)
            self._count[place] += 1
            self._sum[place] += finding.confidence
            self._right[place] += right(finding)

    def as_json(self) -> list[dict[str, Any]]:
        """The bins with findings in them."""
        return [
            {
                "low": BINS[i],
                "high": BINS[i + 1],
                "mean_confidence": round(float(self._sum[i] / self._count[i]), 6),
                "precision": round(float(self._right[i] / self._count[i]), 6),
                "count": int(self._count[i]),
            }
            for i in np.flatnonzero(self._count).tolist()
        ]


class RealRun:
    """An evaluation on real bugs, as it goes on.

    Args:
        plan: which bugs.
        evaluation: the model and the rankers.
        settings: how.
        known: other mistakes of the same files; None: nobody has read them.
    """

    def __init__(
        self,
        plan: Plan,
        evaluation: Evaluation,
        settings: RealSettings,
        known: KnownMistakes | None = None,
    ) -> None:
        self.plan = plan
        self.known = known
        self.evaluation = evaluation
        self.settings = settings
        self.names = sorted({chosen.fix.repo for chosen in plan.chosen.values()})
        self.number = {name: i for i, name in enumerate(self.names)}
        self.newest = plan.newest(list(plan.chosen))
        self.newest_masked = plan.newest(sorted(plan.masked))
        self.every, self.compared = Population(), Population()
        self.reliability, self.reliability_read = Reliability(), Reliability()
        self.skipped: Counter[str] = Counter(plan.skipped)
        self.judged: dict[str, int] = {}
        self.alarms: list[tuple[tuple[float, str, str, int], dict[str, Any]]] = []
        self.counts: Counter[str] = Counter()

    def judge(self, progress: Progress | None = None) -> None:
        """Judges every bug of the plan, and the file that its fix left."""
        done = 0
        for pairs in self.plan.groups():
            self.add(pairs)
            done += len(pairs)
            if progress is not None:
                progress("judging", done, len(self.plan.chosen))

    def add(self, pairs: Sequence[FixPair]) -> None:
        """Judges the bugs of one file, whose fixes all leave the same file."""
        source = fixed_source(pairs[0])
        assert source is not None  # the plan has left such pairs out
        after = parse(source)
        bugs: list[RealBug] = []
        for pair in pairs:
            bug = real_bug(pair, after)
            if isinstance(bug, str):
                self.skipped[bug] += 1
            else:
                bugs.append(bug)
        if not bugs:
            return
        fix = bugs[0].fix
        file = sampled(f"{fix.repo}/{fix.path}", after)
        masked = any(bug.fix.key in self.plan.masked for bug in bugs)
        judged = self.evaluation.judged(file, bugs, masked=masked)
        fixed = judged.clean | from_findings(after, judged.findings)  # a swap at both places
        for variant in judged.variants:
            self._add_bug(file, variant, fixed)
        self._add_clean(file, bugs, judged)

    def _add_bug(
        self, file: SampledFile, variant: Variant[RealBug], fixed: Mapping[str, Opinion]
    ) -> None:
        bug = variant.bug
        group = self.judged[bug.fix.key] = self.number[bug.fix.repo]
        places = Places.of(bug, sampled("", bug.parsed).functions)
        self.counts["in_functions"] += places.bounds is not None
        self.counts["unreachable"] += not is_reachable(bug)
        self.counts["lines_with_bugs"] += file.lines
        right = is_right(bug)
        self.reliability.add(variant.findings, right)
        for name, opinion in variant.opinions.items():
            found = outcome(bug, opinion, fixed[name], group=group, places=places, lines=file.lines)
            if name == PRODUCT:
                found = _with_others(found, variant.findings, right)
                if self.known is not None:
                    leaves = self.known.at(bug.fix.repo, bug.fix.path, bug.parsed)
                    also = is_right(bug, leaves)
                    self.reliability_read.add(variant.findings, also)
                    read = _with_others(found, variant.findings, also)
                    self.every.bugs[PRODUCT_READ].append(read)
            if bug.fix.key in self.plan.masked:
                self.compared.bugs[name].append(found)
            if not name.startswith("masked"):
                self.every.bugs[name].append(found)

    def _add_clean(
        self, file: SampledFile, bugs: Sequence[RealBug], judged: Judged[RealBug]
    ) -> None:
        keys = {bug.fix.key for bug in bugs}
        group = self.number[bugs[0].fix.repo]
        for name, opinion in judged.clean.items():
            if not keys.isdisjoint(self.newest_masked):
                self.compared.clean[name].append(clean_file(file, opinion, group))
            if not keys.isdisjoint(self.newest) and not name.startswith("masked"):
                self.every.clean[name].append(clean_file(file, opinion, group))
                if name == PRODUCT and self.known is not None:
                    leaves = self.known.at(bugs[0].fix.repo, bugs[0].fix.path, file.parsed)
                    left = clean_file(file, opinion.without(leaves), group)
                    self.every.clean[PRODUCT_READ].append(left)
        if not keys.isdisjoint(self.newest):
            self.counts["files"] += 1
            self.counts["lines"] += file.lines
            self.counts["functions"] += len(file.functions)
            self._add_alarms(file.parsed, bugs[0], judged.findings)

    def _add_alarms(self, parsed: ParsedFile, bug: RealBug, findings: Sequence[Finding]) -> None:
        index = LineIndex(parsed.source)
        for finding in findings[:LISTED]:
            line = index.line_of(finding.span.start)
            row = {
                "repo": bug.fix.repo,
                "commit": bug.fix.commit,
                "path": bug.fix.path,
                "line": line,
                "rule": finding.rule,
                "text": finding.text,
                "suggestion": finding.suggestions[0].text if finding.suggestions else "",
                "confidence": round(finding.confidence, 4),
            }
            place = (-finding.confidence, bug.fix.repo, bug.fix.path, line)
            self.alarms.append((place, row))
        self.alarms = sorted(self.alarms, key=lambda alarm: alarm[0])[:LISTED]

    def commits(self, progress: Progress | None = None) -> dict[str, Any] | None:
        """Figures on the commits that brought the bugs in; None where none is known."""
        known = {k for k in self.judged if self.plan.chosen[k].introduced}
        if not known:
            return None

        def told(done: int) -> None:
            if progress is not None:
                progress("judging commits", done, len(known))

        pairs = (pair for pair in self.plan.pairs() if pair.fix.key in known)
        settings = self.settings
        return judge_commits(
            pairs, self.evaluation, max_lines=settings.max_lines, seed=settings.seed, progress=told
        )

    def result(self, few: Populations | None) -> dict[str, Any]:
        """All figures, ready for JSON; see `run_real`.

        Args:
            few: keys of bugs by population, see `linter_figures.populations`; None if not known.
        """
        seed, groups = self.settings.seed, len(self.names)
        threshold = self.evaluation.calibration.threshold
        kinds = Counter(bug.kind for bug in self.every.bugs[CHANCE])
        splits = Counter(self.plan.chosen[key].fix.split for key in self.judged)
        clean = self.compared.clean.get(CHANCE, [])
        return {
            "settings": asdict(self.settings),
            "data": {
                "bugs": len(self.judged),
                "repositories": len(set(self.judged.values())),
                "files": self.counts["files"],
                "lines": self.counts["lines"],
                "functions": self.counts["functions"],
                **{name: None if few is None else len(few[name]) for name in POPULATIONS},
                "in_functions": self.counts["in_functions"],
                "unreachable": self.counts["unreachable"],
                "lines_per_bug": round(self.counts["lines_with_bugs"] / len(self.judged), 1),
                "threshold": threshold,
                "skipped": dict(self.skipped.most_common()),
                "kinds": dict(kinds.most_common()),
                "splits": dict(splits.most_common()),
            },
            "rankers": self.every.summaries(groups, seed, threshold, few),
            "compared": {
                "bugs": len(self.compared.bugs.get(CHANCE, [])),
                "files": len(clean),
                "lines": sum(file.lines for file in clean),
                "rankers": self.compared.summaries(groups, seed, threshold, few),
            },
            "reliability": self.reliability.as_json(),
            "reliability_read": self.reliability_read.as_json(),
            "alarms": [row for _, row in self.alarms],
            "misses": self._misses(),
        }

    def _misses(self) -> list[dict[str, Any]]:
        """The bugs that the product ranks last."""
        by_gate = {bug.key: bug.rank for bug in self.every.bugs[GATE]}
        worst = sorted(self.every.bugs[PRODUCT], key=lambda bug: (-bug.rank, bug.key))[:LISTED]
        rows = []
        for bug in worst:
            fix = self.plan.chosen[bug.key].fix
            row = {name: getattr(fix, name) for name in ("repo", "commit", "path", "line")}
            row |= {"rank": round(bug.rank, 1), "gate_rank": round(by_gate[bug.key], 1)}
            row |= {name: getattr(fix, name) for name in ("kind", "before", "after", "message")}
            rows.append({**row, "lines": bug.lines})
        return rows


def is_right(bug: RealBug, known: Iterable[int] = ()) -> Callable[[Finding], bool]:
    """Whether a finding names the bug, or one of the leaves that are known to be wrong besides."""
    leaves = (*bug.meant, *known)
    starts = {int(bug.parsed.starts[leaf]) for leaf in leaves}

    def right(finding: Finding) -> bool:
        other = finding.other is not None and finding.other.start in starts
        return other or finding.span.start in starts

    return right


def _with_others(
    found: RealOutcome, findings: Iterable[Finding], right: Callable[[Finding], bool]
) -> RealOutcome:
    """The product's outcome with its findings that are not right: a swap is one of them."""
    others = [finding.confidence for finding in findings if not right(finding)]
    kept = max(LEAST_KEPT, found.lines * MAX_PER_KLOC // 1000)
    return replace(found, elsewhere=highest(np.array(others), kept))


def run_real(
    plan: Plan,
    evaluation: Evaluation,
    settings: RealSettings,
    *,
    linters: real_linters.Linters | None = None,
    known: KnownMistakes | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Judges real bugs with every ranker and linter.

    Args:
        plan: which bugs.
        evaluation: the model and the rankers.
        settings: how the plan was made.
        linters: None runs none, and no bug is known as unreported.
        known: other mistakes of the same files; None: nobody has read them.
        progress: see there.

    Returns:
        All figures, ready for JSON. ``rankers`` are figures on all bugs, ``compared`` those of all
        rankers on the bugs that the masking ones saw.

    Raises:
        UsageError: if no bug is left to judge.
        CorpusError: if the file of pairs cannot be read.
    """
    run = RealRun(plan, evaluation, settings, known)
    run.judge(progress)
    if not run.judged:
        left = ", ".join(f"{reason}: {count}" for reason, count in run.skipped.items())
        raise UsageError(f"{plan.path}: no bug to judge ({left or 'the file is empty'})")
    few: Populations | None = None
    described: dict[str, Any] = {}
    if linters is not None:
        told = None if progress is None else lambda a, b: progress("linting", a, b)
        linted = real_linters.lint(plan, run.judged, linters, told)
        few = populations(linted.bugs)
        described = real_linters.as_json(linted, few, linters, len(run.names), settings.seed)
    result = run.result(few)
    listed = {name: result.pop(name) for name in ("alarms", "misses")}
    commits = run.commits(progress) if settings.commits else None
    return {**result, "linters": described, "commits": commits, **listed}
