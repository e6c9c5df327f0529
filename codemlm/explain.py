"""Explains leaves of a text: asks all that a scan asks once more, and tells every step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np

from codemlm.baseline import Baseline
from codemlm.calibration import SINGLE_FEATURES, VERIFIED_FEATURES, MaskedView
from codemlm.config import Settings
from codemlm.context_lines import context_lines
from codemlm.errors import SourceError
from codemlm.examination import examine
from codemlm.explanation import Contribution, Explanation, Option, Shares, Verdict
from codemlm.filters import BROKEN, FILTERS, SECOND_WINDOW, breaks_syntax
from codemlm.findings import (
    Finding,
    least_by_default,
    masked_views,
    more_asked,
    settle,
    suspect,
)
from codemlm.generated import is_generated
from codemlm.heatmap import readable
from codemlm.injection import Sites
from codemlm.languages import PYTHON, language_for_path
from codemlm.masking import SCORED_ROLES, is_maskable
from codemlm.positions import LineIndex
from codemlm.pragmas import ANY_LINE, pragmas_of
from codemlm.remembering import RememberingScorer
from codemlm.rules import EXACT
from codemlm.scanner import FileResult, Scanner
from codemlm.scoring import FileToScore, LeafScore
from codemlm.selection import ScanOptions
from codemlm.source import Failure, SourceFile
from codemlm.suggestions import percent
from codemlm.syntax import parse
from codemlm.types import Leaf
from codemlm.units import encode_with_texts
from codemlm.votes import outvoted

NUM_OPTIONS = 5
"""Alternatives that are told, of each pass."""

Advance = Callable[[int, int], None]
"""Is called with how many windows are scored so far, and of how many."""


class Explainer:
    """Explains leaves of one text.

    Args:
        scanner: what it is scanned with.
        source: the text.
        settings: the configuration that holds for it.
        left_out: whether a scan of its folder leaves it out.

    Attributes:
        index: lines of the text.

    Raises:
        SourceError: if it cannot be scanned.
    """

    def __init__(
        self, scanner: Scanner, source: SourceFile, settings: Settings, *, left_out: bool = False
    ) -> None:
        scorer = self.scorer = RememberingScorer(scanner.scorer)  # much of it is asked again
        scanner = copy.copy(scanner)
        scanner.scorer, scanner.cache = scorer, None
        self.settings, self.calibration = settings, scanner.calibration
        self.options: ScanOptions = scanner.options_of(source.path)
        parsed = self.parsed = parse(source.source, language_for_path(source.path) or PYTHON)
        self.index, self.pragmas = LineIndex(source.source), pragmas_of(parsed)
        self.file = FileToScore(*encode_with_texts(parsed, scorer.tokenizer, Sites()))
        self._units = {int(leaf) for leaf in self.file.encoded.unit_leaf}
        result = scanner.scan_parsed(source.path, parsed)
        if isinstance(result, Failure):
            raise SourceError(f"{result.path}: {result.reason}: {result.detail}")
        scores = scorer.score([self.file])[0]
        self.known = examine(
            *(scorer, self.calibration, parsed, self.file, scores, source.path),
            around=scanner.around(source.path, parsed),
        )
        self._views = masked_views(self.known.doubts, self.known.masked)
        self._judge()
        self._reported = {(f.rule, f.leaf) for f in result.findings}
        self._new = self._not_in_baseline(result)
        self._of_file: list[str] = []
        if is_generated(source.source) and not self.options.include_generated:
            self._of_file.append("a tool wrote the file: a scan of its folder passes it over")
        if left_out:
            self._of_file.append("a scan of its folder leaves the file out (exclude)")

    def _judge(self) -> None:
        """What every leaf could be, with and without filters."""
        known = self.known
        suspected, certain = suspect(known.doubts, known.masked, known.exact, self.calibration)
        self._single = {finding.leaf: finding for finding in suspected}
        self._passing = settle(self.parsed, suspected, certain, FILTERS)
        self._all = settle(self.parsed, suspected, certain, ())
        self._filters = [(f.name, f.prepare(self.parsed)) for f in FILTERS if f.prepare]

    def _not_in_baseline(self, result: FileResult) -> set[tuple[str, int]]:
        path = self.settings.config.baseline
        if path is None:
            return self._reported
        new = next(Baseline.read(path).only_new([result]))
        return {(f.rule, f.leaf) for f in new.findings} if isinstance(new, FileResult) else set()

    def judged_on(self, line: int) -> list[int]:
        """The leaves of a 1-based line that could be findings, in source order."""
        starts = self.index.starts
        end = starts[line] if line < len(starts) else len(self.parsed.source) + 1
        low, high = np.searchsorted(self.parsed.starts, [starts[line - 1], end]).tolist()
        return [
            leaf
            for leaf in range(low, high)
            if self.parsed.roles[leaf] in SCORED_ROLES or leaf in self.known.exact
        ]

    def leaf_at(self, line: int, column: int) -> int | None:
        """The leaf at a 1-based line and column, else the one that ends there."""
        offset = self.index.offset(line, column)
        at = int(np.searchsorted(self.parsed.starts, offset, side="right")) - 1
        return at if at >= 0 and offset <= int(self.parsed.ends[at]) else None

    def parses_at(self, line: int) -> bool:
        """Whether a 1-based line is outside of what does not parse."""
        start = self.index.starts[line - 1]
        end = start + len(self.index.line_bytes(line))
        return not any(span.start <= end and start < span.end for span in self.parsed.error_spans)

    def explain(self, leaf: int, advance: Advance = lambda done, total: None) -> Explanation:
        """Everything that plays a part in whether a leaf is reported."""
        one = self.parsed.leaf(leaf)
        score = self.known.doubts.by_leaf.get(leaf)
        masked = None
        if leaf in self._units and is_maskable(one.role):
            masked = self.scorer.score_masked(self.file, [leaf])[0]
        verdict = self._verdict(leaf, masked)
        against = self._candidate(leaf, verdict, score, masked)
        context = None
        if masked is not None and against:
            context = context_lines(
                self.scorer, self.parsed, self.file, leaf, against, advance=advance
            )
        reported = verdict is not None and self._key(verdict.finding) in self._new
        return Explanation(
            leaf=one,
            single=None if score is None else score.likelihood,
            masked=None if masked is None else masked.likelihood,
            options=tuple(self._options(one, score, masked)),
            verdict=verdict,
            reported=reported,
            reasons=tuple(self._reasons(one, verdict, reported=reported)),
            against=readable(against, one.text),
            context=context,
        )

    @staticmethod
    def _key(finding: Finding) -> tuple[str, int]:
        return finding.rule, finding.leaf

    def _options(
        self, leaf: Leaf, score: LeafScore | None, masked: LeafScore | None
    ) -> Iterator[Option]:
        """Other texts by either pass, best first."""
        single, again = (
            {a.text: a.likelihood for a in one.alternatives} if one is not None else {}
            for one in (score, masked)
        )
        texts = dict.fromkeys([*list(single)[:NUM_OPTIONS], *list(again)[:NUM_OPTIONS]])
        for text in sorted(texts, key=lambda t: -max(single.get(t, 0.0), again.get(t, 0.0))):
            stands_for: str | None = None
            if score is not None:
                reading = next(self.known.doubts.context.readings(leaf.index, text), None)
                stands_for = None if reading is None else readable(reading, leaf.text)
            yield Option(readable(text, leaf.text), single.get(text), again.get(text), stands_for)

    def _candidate(
        self,
        leaf: int,
        verdict: Verdict | None,
        score: LeafScore | None,
        masked: LeafScore | None,
    ) -> str:
        """The model's candidate that the leaf is compared with; empty: there is none."""
        thought = [a.text for one in (score, masked) if one is not None for a in one.alternatives]
        if verdict is not None and verdict.finding.suggestions:
            meant = verdict.finding.suggestions[0].text
            if leaf != verdict.finding.leaf:  # the second place of a swap
                meant = verdict.finding.text
            context = self.known.doubts.context
            for text in thought:
                if meant in context.readings(leaf, text):
                    return text
            return meant
        other = [text for text in thought if text != self.parsed.text(leaf)]
        return other[0] if other else ""

    def _verdict(self, leaf: int, masked: LeafScore | None) -> Verdict | None:
        """What becomes of what the leaf could be."""
        start = int(self.parsed.starts[leaf])

        def is_here(finding: Finding) -> bool:
            other = finding.other
            return finding.leaf == leaf or (other is not None and other.start == start)

        found = [f for f in (*self._passing, *self._all) if is_here(f)]
        if not found:
            return None
        finding, options = found[0], self.options
        fitting = [p for p in options.rule_confidence if finding.rule.startswith(p)]
        origin = self.settings.origins.get("min-confidence", "")
        if fitting:
            least_of = f"min-confidence of {max(fitting, key=len)}, by {origin}"
        elif options.min_confidence is not None:
            least_of = f"min-confidence, by {origin}"
        else:
            least_of = "what the model was calibrated for"
            asked = max(more_asked(finding), default=(0.0, ""))
            if asked[0] > self.calibration.threshold:
                least_of = f"for {asked[1]}"
        return Verdict(
            finding=finding,
            least=options.least(finding.rule, least_by_default(finding, self.calibration)),
            least_of=least_of,
            if_masked=self._if_masked(leaf, masked),
            filters=tuple(self._asked(finding)),
            shares=self._shares(leaf),
        )

    def _asked(self, finding: Finding) -> Iterator[tuple[str, bool | None]]:
        """The filters by name, and whether a finding passes them."""
        certain = finding.rule in EXACT
        parts = [finding]
        if finding.other is not None:
            starts = (finding.span.start, finding.other.start)
            parts += [f for f in self._single.values() if f.span.start in starts]
        for name, drops in self._filters:
            yield name, None if certain else not any(map(drops, parts))
        yield BROKEN.name, not breaks_syntax(self.parsed, finding)
        if certain:
            yield SECOND_WINDOW.name, None
        else:
            (out,) = outvoted(self.scorer, [(self.parsed, [finding])], (SECOND_WINDOW,))
            yield SECOND_WINDOW.name, not out

    def _row(self, leaf: int, views: dict[int, MaskedView]) -> tuple[np.ndarray, np.ndarray]:
        """The features of a leaf, and those of the other leaves of the file at the same stage."""
        doubts = self.known.doubts
        places = [i for i, score in enumerate(doubts.scores) if score.leaf == leaf]
        rows, at = doubts.rows, places[0]
        if leaf in views:
            verified, rows = doubts.verified_rows(views)
            at = int(np.flatnonzero(verified == at)[0])
        return rows[at], np.delete(rows, at, axis=0)

    def _if_masked(self, leaf: int, masked: LeafScore | None) -> float | None:
        never = self.calibration.verified is None  # then masking changes no confidence
        if never or leaf not in self._single or leaf in self._views or masked is None:
            return None
        row, _ = self._row(leaf, masked_views(self.known.doubts, {leaf: masked}))
        return float(self.calibration.confidences(row[None])[0])

    def _shares(self, leaf: int) -> Shares | None:
        """How the confidence comes about; None for what exact rules find."""
        if leaf not in self._single:
            return None
        row, others = self._row(leaf, self._views)
        found = self.calibration.contributions(row, others)
        base = found.pop("")
        names = VERIFIED_FEATURES if leaf in self._views else SINGLE_FEATURES
        parts = [Contribution(f, float(row[names.index(f)]), nats) for f, nats in found.items()]
        parts.sort(key=lambda part: -abs(part.nats))
        against = self._single[leaf].suggestions[0].text
        return Shares(base, tuple(parts), readable(against, self.parsed.text(leaf)))

    def _reasons(self, leaf: Leaf, verdict: Verdict | None, *, reported: bool) -> Iterator[str]:
        """Why a leaf is not reported, or what may still hold it back."""
        if verdict is None:
            yield self._unjudged(leaf)
            return
        finding, budget = verdict.finding, self.settings.config.max_per_kloc
        if reported:
            yield from self._of_file
            if budget is not None:
                yield f"only the surest are told: at most {budget:g} in 1,000 lines (max-per-kloc)"
            return
        found = [*self._unwanted(verdict), *self._silenced(finding)]
        if self._key(finding) in self._reported:
            found.append(f"it is in the baseline, {self.settings.config.baseline}")
        yield from found or ["more than one finding would stand here; another one is reported"]
        yield from self._of_file

    def _unjudged(self, leaf: Leaf) -> str:
        """Why a leaf could not be a finding."""
        role = leaf.role.name.lower().replace("_", " ")
        if leaf.role not in SCORED_ROLES:
            return f"leaves of this role ({role}) are not judged"
        if leaf.index not in self.known.doubts.by_leaf:
            return "too many leaves stand close to it: a window judges so many, and no more"
        return "no other text could stand here, of those that the model knows or the file shows"

    def _unwanted(self, verdict: Verdict) -> Iterator[str]:
        """What confidence, filters and selected rules have against a finding."""
        finding, options = verdict.finding, self.options
        if finding.confidence < verdict.least:
            yield (
                f"its confidence, {percent(finding.confidence)}, is below "
                f"{percent(verdict.least)}: {verdict.least_of}"
            )
        for name, passed in verdict.filters:
            if passed is False:
                yield f"the filter {name} drops it"
        if finding.rule.startswith(options.never):
            yield f"{finding.rule} is not reported in this file (per-file-ignores)"
        elif not options.wants(finding.rule):
            ignored = finding.rule.startswith(options.ignore)
            yield f"{finding.rule} is {'ignored (ignore)' if ignored else 'not selected (select)'}"

    def _silenced(self, finding: Finding) -> Iterator[str]:
        """Comments that silence a finding."""
        line_of = self.index.line_of
        for pragma in self.pragmas.found:
            line = line_of(pragma.span.start)
            fits = finding.rule.startswith(pragma.codes) if pragma.codes else False
            if fits and pragma.line in (ANY_LINE, line_of(finding.span.start)):
                where = "of the file" if pragma.line == ANY_LINE else "of the line"
                yield f"a comment silences it: line {line}, the pragma {where}"
