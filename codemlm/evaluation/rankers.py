"""Rankers: ways to say how suspicious each leaf of a file is, and what was meant in its place.

Every ranker judges the same leaves (``injected.scored_leaves``), so their ranks can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from codemlm.alternatives import Context
from codemlm.calibration import GROUPS
from codemlm.evaluation.injected import scored_leaves
from codemlm.evaluation.ngram import ORDER, FileGrams, NgramModel, Words
from codemlm.findings import Finding
from codemlm.scoring import LeafScore
from codemlm.syntax import ParsedFile
from codemlm.types import BINDING_ROLES, NAME_ROLES, Role

PRODUCT = "product"
PRODUCT_READ = "product, others read"
GATE, GATE_RATIO = "keep gate", "keep gate x alternative"
MASKED_LIKELIHOOD, MASKED_RATIO = "masked likelihood", "masked ratio"
NGRAM, NGRAM_LEFT, NGRAM_RATIO = "n-gram", "n-gram, left context", "n-gram ratio"
CHANCE = "chance"

DESCRIPTIONS = {
    PRODUCT: "what a scan reports: the gate proposes, masking verifies, calibrated confidence",
    PRODUCT_READ: "the same, where other mistakes of the files are known by reading its findings",
    GATE: "1 - keep, from a single pass",
    GATE_RATIO: "odds of the best alternative against the shown leaf, from a single pass",
    MASKED_LIKELIHOOD: "surprisal of the shown leaf once masked, by the same model",
    MASKED_RATIO: "best alternative against the shown leaf once masked, by the same model",
    NGRAM: "surprisal by 4-grams of both directions, with a cache of the file",
    NGRAM_LEFT: "the same, from the left alone",
    NGRAM_RATIO: "best alternative in reach against the shown leaf, by those 4-grams",
    CHANCE: "every leaf alike",
}
"""Rankers in the order of reports, with what they do."""

SUGGESTIONS = 5
"""How many suggestions of a ranker count."""

_MEMBERS = (Role.ATTRIBUTE, Role.ATTRIBUTE_BINDING, Role.METHOD)


@dataclass(slots=True)
class Opinion:
    """What a ranker says of a file.

    Attributes:
        leaves: int64 (N,), the leaves that compete.
        suspicion: float64 (N,), the higher the more suspicious; -inf where it has no opinion.
        repairs: what was probably meant, by leaf; "" where it has no opinion.
        further: the suggestions after that, best first, by leaf; empty: there are none anywhere.
    """

    leaves: np.ndarray
    suspicion: np.ndarray
    repairs: list[str]
    further: list[tuple[str, ...]] = field(default_factory=list)

    def without(self, leaves: np.ndarray) -> Opinion:
        """The same, with no opinion of some leaves."""
        suspicion = np.where(np.isin(self.leaves, leaves), -np.inf, self.suspicion)
        return replace(self, suspicion=suspicion)

    def suggestions(self, place: int) -> tuple[str, ...]:
        """What was probably meant at ``leaves[place]``, best first, at most ``SUGGESTIONS``."""
        if not self.repairs[place]:
            return ()
        return (self.repairs[place], *(self.further[place] if self.further else ()))


def from_scores(parsed: ParsedFile, scores: Mapping[int, LeafScore]) -> dict[str, Opinion]:
    """The rankers of a single pass."""
    leaves = scored_leaves(parsed)
    doubt = np.full(len(leaves), -np.inf)
    ratio = np.full(len(leaves), -np.inf)
    for place, score in _present(leaves, scores):
        doubt[place] = -score.keep_logit
        if score.alternatives:
            best = max(score.alternatives[0].likelihood, 1e-12)
            ratio[place] = np.log(best) - np.log(max(score.likelihood, 1e-12))
    texts = _best_texts(leaves, scores)
    return {GATE: Opinion(leaves, doubt, *texts), GATE_RATIO: Opinion(leaves, ratio, *texts)}


def from_masked(parsed: ParsedFile, scores: Mapping[int, LeafScore]) -> dict[str, Opinion]:
    """The rankers of a pass in which each leaf was masked."""
    leaves = scored_leaves(parsed)
    surprisal = np.full(len(leaves), -np.inf)
    ratio = np.full(len(leaves), -np.inf)
    for place, score in _present(leaves, scores):
        surprisal[place] = -score.logp_shown
        ratio[place] = score.logp_best - score.logp_shown
    texts = _best_texts(leaves, scores)
    return {
        MASKED_LIKELIHOOD: Opinion(leaves, surprisal, *texts),
        MASKED_RATIO: Opinion(leaves, ratio, *texts),
    }


def from_findings(
    parsed: ParsedFile, findings: Sequence[Finding], *, both: bool = True
) -> dict[str, Opinion]:
    """The ranker that a scan is: confidence and first suggestion.

    Args:
        parsed: the file.
        findings: of a scan of it, at any confidence.
        both: whether a swap counts at both its places; as an alarm it is one.
    """
    leaves = scored_leaves(parsed)
    suspicion = np.full(len(leaves), -np.inf)
    texts: list[tuple[str, ...]] = [()] * len(leaves)
    place_of = {int(leaf): place for place, leaf in enumerate(leaves)}
    for finding in findings:
        places = [(finding.leaf, tuple(s.text for s in finding.suggestions))]
        if finding.other is not None and both:
            other = int(np.searchsorted(parsed.starts, finding.other.start))
            places.append((other, (finding.text,)))
        for leaf, suggested in places:
            place = place_of.get(leaf)
            if place is not None and finding.confidence > suspicion[place]:
                suspicion[place], texts[place] = finding.confidence, suggested
    return {PRODUCT: Opinion(leaves, suspicion, *_split(texts))}


def _present(
    leaves: np.ndarray, scores: Mapping[int, LeafScore]
) -> Iterable[tuple[int, LeafScore]]:
    for place, leaf in enumerate(leaves.tolist()):
        if leaf in scores:
            yield place, scores[leaf]


def _best_texts(
    leaves: np.ndarray, scores: Mapping[int, LeafScore]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """The best alternatives of each leaf, the first apart: the last columns of an `Opinion`."""
    texts: list[tuple[str, ...]] = [()] * len(leaves)
    for place, score in _present(leaves, scores):
        texts[place] = tuple(a.text for a in score.alternatives)
    return _split(texts)


def _split(texts: Sequence[tuple[str, ...]]) -> tuple[list[str], list[tuple[str, ...]]]:
    return [t[0] if t else "" for t in texts], [t[1:SUGGESTIONS] for t in texts]


@dataclass(slots=True)
class NgramView:
    """What the n-grams say of a file: natural logs of P(leaf), and its best alternative.

    Attributes:
        leaves: int64 (N,).
        left, right: float64 (N,), logs given the words before, and the words after.
        best: float64 (N,), mean of both for the best alternative; -inf where there is none.
        texts: that alternative.
        further: the ones after that, best first.
    """

    leaves: np.ndarray
    left: np.ndarray
    right: np.ndarray
    best: np.ndarray
    texts: list[str]
    further: list[tuple[str, ...]]


class NgramRanker:
    """Ranks leaves by an n-gram model.

    Args:
        model: the model.
    """

    def __init__(self, model: NgramModel) -> None:
        self.model = model
        self.words = Words()

    def view(
        self,
        parsed: ParsedFile,
        known: NgramView | None = None,
        shifted: tuple[int, int, int] = (0,) * 3,
    ) -> NgramView:
        """What the n-grams say of a file.

        Args:
            parsed: the file.
            known: of the file before a mistake got into it. Surprisal is computed anew, but the
                alternatives of leaves that see nothing of the mistake are taken over.
            shifted: first leaf of the change, its end in the old file, its end in this one.
        """
        leaves = scored_leaves(parsed)
        grams = FileGrams.of(parsed, self.words)
        place_of = {int(leaf): i for i, leaf in enumerate(grams.sequenced.leaves) if leaf >= 0}
        places = np.array([place_of[int(leaf)] for leaf in leaves], dtype=np.int64)
        shown = grams.sequenced.keys[places]
        left = self.model.logp(grams, places, shown, left=True)
        right = self.model.logp(grams, places, shown, left=False)
        none, texts = np.full(len(leaves), -np.inf), [""] * len(leaves)
        view = NgramView(leaves, left, right, none, texts, [()] * len(leaves))
        fresh = np.ones(len(leaves), dtype=bool)
        if known is not None:
            first, old_stop, new_stop = shifted
            reach = 4 * ORDER  # in leaves: a word of a run may stand for several
            fresh = (leaves >= first - reach) & (leaves < new_stop + reach)
            row_of = {int(leaf): row for row, leaf in enumerate(known.leaves)}
            for i in np.flatnonzero(~fresh):
                leaf = int(leaves[i])
                row = row_of[leaf if leaf < first else leaf - new_stop + old_stop]
                view.best[i], view.texts[i] = known.best[row], known.texts[row]
                view.further[i] = known.further[row]
        self._alternatives(parsed, grams, view, places, np.flatnonzero(fresh))
        return view

    def _alternatives(
        self,
        parsed: ParsedFile,
        grams: FileGrams,
        view: NgramView,
        places: np.ndarray,
        wanted: np.ndarray,
    ) -> None:
        """Fills in the best alternative of the wanted rows."""
        vocabulary = Vocabulary(parsed)
        texts = [vocabulary.alternatives(int(view.leaves[row])) for row in wanted]
        rows = np.repeat(wanted, [len(t) for t in texts])
        flat = [text for group in texts for text in group]
        if not flat:
            return
        keys = np.array([self.words.key(text) for text in flat], dtype=np.uint64)
        logp = self.model.logp(grams, places[rows], keys, left=True)
        logp = (logp + self.model.logp(grams, places[rows], keys, left=False)) / 2
        end = 0
        for row, of_row in zip(wanted, texts, strict=True):
            values, end = logp[end : end + len(of_row)], end + len(of_row)
            if of_row:
                best = np.argsort(-values, kind="stable")[:SUGGESTIONS]
                view.best[row], view.texts[row] = values[best[0]], of_row[best[0]]
                view.further[row] = tuple(of_row[i] for i in best[1:])

    @staticmethod
    def opinions(view: NgramView) -> dict[str, Opinion]:
        """The rankers of the n-gram model."""
        both = (view.left + view.right) / 2
        return {
            NGRAM: Opinion(view.leaves, -both, view.texts, view.further),
            NGRAM_LEFT: Opinion(view.leaves, -view.left, view.texts, view.further),
            NGRAM_RATIO: Opinion(view.leaves, view.best - both, view.texts, view.further),
        }


class Vocabulary:
    """What of a file may stand at a leaf, for a model without candidates of its own."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.context = Context(parsed)
        groups: dict[str, dict[str, None]] = {}
        for role, number in zip(parsed.roles.tolist(), parsed.text_ids.tolist(), strict=True):
            for group in self._groups(Role(role)):
                groups.setdefault(group, {})[parsed.texts[number]] = None
        self.groups = {group: list(texts) for group, texts in groups.items()}
        spec = parsed.language
        self.groups["operator"] = list(
            dict.fromkeys(op for ops in spec.operator_classes.values() for op in ops)
        )

    @staticmethod
    def _groups(role: Role) -> tuple[str, ...]:
        if role in _MEMBERS:
            return ("member",)
        if role is Role.KEYWORD_ARGUMENT:
            return ("keyword",)
        if role in BINDING_ROLES or role in (Role.READ, Role.CALL, Role.TYPE):
            return ("name",)
        return () if role in NAME_ROLES else (role.name,)

    def alternatives(self, leaf: int) -> list[str]:
        """Texts other than the leaf's own that could stand in its place."""
        shown, role = self.parsed.text(leaf), Role(int(self.parsed.roles[leaf]))
        if role not in GROUPS:
            return []
        if role is Role.OPERATOR:
            texts = self.groups["operator"]
        elif role is Role.CONSTANT:
            texts = list(self.parsed.language.constants)
        else:
            texts = self.groups.get(self._groups(role)[0], [])
        if role is Role.NUMBER and shown.isdigit() and len(shown) < 10:
            near = {0, 1, 2, max(0, int(shown) - 1), int(shown) + 1}
            texts = [*texts, *map(str, sorted(near))]
        allowed = (t for t in dict.fromkeys(texts) if t != shown and self.context.allows(leaf, t))
        return list(allowed)
