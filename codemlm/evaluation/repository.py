"""Bugs injected into the files of a repository, and what a scan would say of them.

A file is judged as it is, and once with each bug in it, the way a scan with the same configuration
does: rules, pragmas and filters count; a baseline does not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from codemlm.cache import FLOOR
from codemlm.calibration import Calibration
from codemlm.config_kinds import ALL_RULES
from codemlm.discovery import Target
from codemlm.errors import CodemlmError, SourceError
from codemlm.evaluation.injected import Bug, inject, sampled, scored_leaves
from codemlm.evaluation.rescoring import LeafScores, WindowScorer, find_change, to_score
from codemlm.evaluation.run import Evaluation
from codemlm.filters import ALL_FILTERS
from codemlm.findings import Finding, judge
from codemlm.generated import is_generated
from codemlm.interface_reader import interface_of
from codemlm.languages import PYTHON, language_for_path
from codemlm.names_file import NameFinder
from codemlm.notebooks import is_notebook
from codemlm.positions import LineIndex
from codemlm.pragmas import Pragmas, pragmas_of
from codemlm.rules import CODE_OF_KIND
from codemlm.scoring import FileToScore
from codemlm.selection import ScanOptions
from codemlm.source import Failure, read_source
from codemlm.syntax import ParsedFile, parse
from codemlm.votes import most_votes, outvoted

TOO_DEEP = "nested too deep"
"""Why a file is passed over that the walks through its tree cannot follow."""

OptionsOf = Callable[[str], ScanOptions]
"""What is reported of a file, by its path."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding that a scan would report.

    Attributes:
        rule: its rule.
        confidence: its confidence.
        until: the highest least confidence at which it is reported; infinite for rules that have
            one of their own.
        repaired: whether it suggests first what was meant; False on code as it is.
    """

    rule: str
    confidence: float
    until: float
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class InjectedBug:
    """A bug, by the rule of its kind, and the finding that it got; None: none."""

    rule: str
    found: Found | None


@dataclass(frozen=True, slots=True)
class JudgedFile:
    """A file: its findings as it is, and the bugs that were put into copies of it."""

    path: str
    lines: int
    findings: tuple[Found, ...]
    bugs: tuple[InjectedBug, ...]


@dataclass(slots=True)
class Sampling:
    """A random choice of files.

    Args:
        targets: all files.
        options_of: what is reported of each.
        count: files wanted at most.
        seed: which ones.

    Attributes:
        skipped: counts of files that were passed over, by reason.
    """

    targets: Sequence[Target | Failure]
    options_of: OptionsOf
    count: int
    seed: int
    skipped: Counter[str] = field(default_factory=Counter)

    def files(self) -> Iterator[tuple[str, ParsedFile]]:
        """Paths of files, and the files, in random order."""
        left = self.count
        for place in np.random.default_rng(self.seed).permutation(len(self.targets)):
            if not left:
                return
            target = self.targets[int(place)]
            read = self._read(target)
            if isinstance(read, str):
                self.skipped[read] += 1
            else:
                left -= 1
                yield target.path, read

    def _read(self, target: Target | Failure) -> ParsedFile | str:
        """The file, or why it is passed over."""
        if isinstance(target, Failure):
            return target.reason.value
        if is_notebook(target.path):
            return "notebook"
        try:
            options = self.options_of(target.path)
            read = read_source(target.path, limit=options.max_bytes)
            if isinstance(read, Failure):
                return read.reason.value
            if not (target.explicit or options.include_generated) and is_generated(read.source):
                return "generated"
            parsed = parse(read.source, language_for_path(read.path) or PYTHON)
        except SourceError:
            return "not decodable"
        except RecursionError:
            return TOO_DEEP
        except CodemlmError:
            return "configuration"
        if parsed.has_error:
            return "does not parse"
        if pragmas_of(parsed).whole_file:
            return "silenced"
        return parsed if len(scored_leaves(parsed)) else "nothing to judge"


@dataclass(slots=True)
class _Version:
    """A file with a bug, or as it is.

    Attributes:
        parsed: its leaves.
        pragmas: of the file.
        candidates: what could be reported of it, most confident first.
        bug: None for the file as it is.
    """

    parsed: ParsedFile
    pragmas: Pragmas
    candidates: list[Finding]
    bug: Bug | None = None

    def asked(self) -> list[Finding]:
        """What a second window is asked about, of what matters here."""
        first = self.candidates[: most_votes(self.parsed)]
        return [f for f in first if self.bug is None or _is_at(f, self.bug)]


class RepositoryJudge:
    """Judges files, and the same files with bugs.

    Args:
        scorer: the model's scorer.
        calibration: the model's calibration.
        options_of: what is reported of each file.
        per_file: bugs for each file.
        seed: of the bugs.
        names: finds the project around a file; None: nothing is known of any.
    """

    def __init__(
        self,
        scorer: WindowScorer,
        calibration: Calibration,
        options_of: OptionsOf,
        *,
        per_file: int,
        seed: int,
        names: NameFinder | None = None,
    ) -> None:
        self.scorer = scorer
        self.calibration = calibration
        self.options_of = options_of
        self.per_file = per_file
        self.seed = seed
        self.names = names
        self._evaluation = Evaluation(scorer, calibration)

    def judged(self, path: str, parsed: ParsedFile) -> JudgedFile:
        """What a scan would report of a file, and of the file with each of its bugs.

        Bugs of kinds whose rule is not selected here are left out.
        """
        options = self.options_of(path)
        # The name seeds the bugs; one that is no text would not do.
        file = sampled(path.encode("utf-8", "backslashreplace").decode(), parsed)
        drawn = inject([file], per_file=self.per_file, least=0, seed=self.seed)
        bugs = [bug for bug in drawn if options.wants(CODE_OF_KIND[bug.kind])]
        versions = self._versions(path, parsed, bugs, options)
        gone = outvoted(self.scorer, [(v.parsed, v.asked()) for v in versions], ALL_FILTERS)
        standing = [
            [self._found(v, f, options) for f in v.candidates if _stays(v, f, without)]
            for v, without in zip(versions, gone, strict=True)
        ]
        of_bugs = [
            InjectedBug(CODE_OF_KIND[bug.kind], max(found, key=lambda f: f.until, default=None))
            for bug, found in zip(bugs, standing[1:], strict=True)
        ]
        return JudgedFile(path, file.lines, tuple(standing[0]), tuple(of_bugs))

    def _versions(
        self, path: str, parsed: ParsedFile, bugs: Sequence[Bug], options: ScanOptions
    ) -> list[_Version]:
        """The file as it is, and with each bug; only the windows that see the bug are scored."""
        old = to_score(parsed, self.scorer.tokenizer)
        known = self.scorer.whole(old, masked=False)
        candidates, verified = self._candidates(path, parsed, old, known, {}, options)
        versions = [_Version(parsed, pragmas_of(parsed), candidates)]
        files = [to_score(bug.parsed, self.scorer.tokenizer) for bug in bugs]
        scores = self.scorer.changed(old, known, files, masked=False)
        for bug, new, of_bug in zip(bugs, files, scores, strict=True):
            kept = self.scorer.unchanged(old, verified, new, find_change(old, new))
            candidates, _ = self._candidates(path, bug.parsed, new, of_bug, kept, options)
            versions.append(_Version(bug.parsed, pragmas_of(bug.parsed), candidates, bug))
        return versions

    def _candidates(
        self,
        path: str,
        parsed: ParsedFile,
        file: FileToScore,
        scores: LeafScores,
        known: LeafScores,
        options: ScanOptions,
    ) -> tuple[list[Finding], LeafScores]:
        """What could be reported, and the scores of the leaves that were masked."""
        around = None
        if self.names is not None and options.adapt:
            around = self.names.around(path, lambda: interface_of(parsed))
        evaluation = self._evaluation
        doubts, masked, exact = evaluation.doubts(parsed, path, file, scores, known, around)
        found = judge(doubts, masked, exact, self.calibration)
        wanted = [f for f in found if options.wants(f.rule)]
        return [f for f in wanted if f.confidence >= _least(options, f.rule)], masked

    @staticmethod
    def _found(version: _Version, finding: Finding, options: ScanOptions) -> Found:
        own = own_threshold(options, finding.rule) is not None
        bug = version.bug
        repaired = bool(
            bug is not None
            and finding.suggestions
            and bug.meant.get(finding.leaf) == finding.suggestions[0].text
        )
        until = math.inf if own else finding.confidence
        return Found(finding.rule, finding.confidence, until, repaired)


def own_threshold(options: ScanOptions, rule: str) -> float | None:
    """The least confidence that is set for a rule or some rules; None: the general one holds."""
    own = any(
        len(prefix) > len(ALL_RULES) and rule.startswith(prefix)
        for prefix in options.rule_confidence
    )
    return options.least(rule, 1.0) if own else None


def _least(options: ScanOptions, rule: str) -> float:
    own = own_threshold(options, rule)
    return FLOOR if own is None else own


def _stays(version: _Version, finding: Finding, gone: Sequence[Finding]) -> bool:
    """Whether a finding is reported and matters: in a file with a bug, only what stands at it."""
    if any(finding is other for other in gone):
        return False
    if version.bug is not None and not _is_at(finding, version.bug):
        return False
    if not version.pragmas.found:
        return True
    line = LineIndex(version.parsed.source).line_of(finding.span.start)
    return not version.pragmas.silence(finding.rule, line)


def _is_at(finding: Finding, bug: Bug) -> bool:
    """Whether a finding points at the bug; a swap has two places."""
    if finding.leaf in bug.meant:
        return True
    if finding.other is None:
        return False
    return int(bug.parsed.starts.searchsorted(finding.other.start)) in bug.meant
