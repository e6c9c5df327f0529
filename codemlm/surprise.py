"""The most surprising leaves of a change, measured against the old text's own surprise.

Surprisal is -log P(leaf | the rest of its window), with the leaf masked. The single pass would be
cheaper, but it sees the leaf, and is sure of nearly all: it tells mistakes from the rest, and the
usual from the unusual hardly at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codemlm.heatmap import readable
from codemlm.injection import Sites
from codemlm.languages import PYTHON, language_for_path
from codemlm.masking import is_scored
from codemlm.positions import LineIndex
from codemlm.scoring import Alternative, FileToScore, LeafScore, Scorer
from codemlm.syntax import ParsedFile, parse
from codemlm.types import Leaf
from codemlm.units import encode_with_texts

MOST_LEAVES = 300
"""Leaves of a file's changed lines that are masked at most: those that the single pass likes
least."""
SAMPLE = 16
"""Leaves of each role of an old text that are masked: evenly spread, so that it costs the same for
every file."""
LEAST_SAMPLE = 6
"""With fewer leaves of a role, the old text says nothing of it, and those of the whole diff do."""
_AT_ONCE = 64

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class ChangedText:
    """A file that has changed.

    Attributes:
        path: as the user would write it.
        source: its text.
        old: what it was; None for a new file.
        changed: whether a 1-based line has changed.
    """

    path: str
    source: bytes
    old: bytes | None
    changed: Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Surprise:
    """A leaf of a changed line.

    Attributes:
        text: the file.
        leaf: the leaf.
        surprisal: -log of its probability, in nats.
        usual: mean surprisal of old leaves of its role; 0 where there are none.
        usual_of: of which old text: "file", "diff" or, without any, "".
        likelihood: its probability.
        alternatives: best other texts, best first.
    """

    text: ChangedText
    leaf: Leaf
    surprisal: float
    usual: float
    usual_of: str
    likelihood: float
    alternatives: tuple[Alternative, ...]

    @property
    def excess(self) -> float:
        """How much more surprising it is than usual, in nats."""
        return self.surprisal - self.usual


def surprises(
    scorer: Scorer, texts: Iterable[ChangedText], advance: Advance = lambda path, done, total: None
) -> list[Surprise]:
    """Every judged leaf of changed lines, the most surprising first.

    Args:
        scorer: the model's scorer.
        texts: the files.
        advance: called with the file, how many of its leaves are masked so far, and of how many.
    """
    new: list[tuple[ChangedText, list[tuple[Leaf, LeafScore]], dict[int, list[float]]]] = []
    for text in texts:
        scored = _changed_leaves(scorer, text, advance)
        roles = {int(leaf.role) for leaf, _ in scored}
        new.append((text, scored, _old_surprisals(scorer, text, roles, advance) if roles else {}))
    diff: dict[int, list[float]] = defaultdict(list)
    for _, _, by_role in new:
        for role, values in by_role.items():
            diff[role] += values
    found = []
    for text, scored, by_role in new:
        for leaf, score in scored:
            usual, usual_of = _usual(int(leaf.role), by_role, diff)
            best = tuple(
                Alternative(readable(a.text, leaf.text), a.likelihood) for a in score.alternatives
            )
            surprisal = -score.logp_shown
            found.append(Surprise(text, leaf, surprisal, usual, usual_of, score.likelihood, best))
    return sorted(found, key=lambda s: (-s.excess, s.text.path, s.leaf.index))


def _usual(
    role: int, file: Mapping[int, Sequence[float]], diff: Mapping[int, Sequence[float]]
) -> tuple[float, str]:
    """Mean surprisal of a role, and whose it is."""
    own = file.get(role, ())
    if len(own) >= LEAST_SAMPLE:
        return float(np.mean(own)), "file"
    others = diff.get(role) or [value for values in diff.values() for value in values]
    return (float(np.mean(others)), "diff") if others else (0.0, "")


def _encoded(scorer: Scorer, path: str, source: bytes) -> tuple[ParsedFile, FileToScore]:
    parsed = parse(source, language_for_path(path) or PYTHON)
    return parsed, FileToScore(*encode_with_texts(parsed, scorer.tokenizer, Sites()))


def _judged(parsed: ParsedFile, file: FileToScore) -> np.ndarray:
    """Numbers of the leaves whose roles could be a finding, in source order."""
    units = file.encoded.unit_leaf
    leaves = np.unique(units[units >= 0])
    return np.asarray(leaves[is_scored(parsed.roles[leaves])])


def _changed_leaves(
    scorer: Scorer, text: ChangedText, advance: Advance
) -> list[tuple[Leaf, LeafScore]]:
    """Leaves of changed lines, with their scores by masking."""
    parsed, file = _encoded(scorer, text.path, text.source)
    line_of = LineIndex(text.source).line_of
    leaves = [
        leaf
        for leaf in _judged(parsed, file).tolist()
        if text.changed(line_of(int(parsed.starts[leaf])))
    ]
    if len(leaves) > MOST_LEAVES:
        single = {score.leaf: score.keep_logit for score in scorer.score([file])[0]}
        leaves = sorted(leaves, key=lambda leaf: single.get(leaf, np.inf))[:MOST_LEAVES]
    scores = _masked(scorer, text.path, file, sorted(leaves), advance)
    return [(parsed.leaf(score.leaf), score) for score in scores]


def _masked(
    scorer: Scorer, path: str, file: FileToScore, leaves: Sequence[int], advance: Advance
) -> list[LeafScore]:
    """Scores by masking, without leaves that are no candidates: of those it says nothing."""
    found: list[LeafScore] = []
    for start in range(0, len(leaves), _AT_ONCE):
        part = leaves[start : start + _AT_ONCE]
        found += scorer.score_masked(file, part)
        advance(path, start + len(part), len(leaves))
    return [score for score in found if score.likelihood > 0]


def _old_surprisals(
    scorer: Scorer, text: ChangedText, roles: set[int], advance: Advance
) -> dict[int, list[float]]:
    """Surprisals of leaves of the old text, by role."""
    if text.old is None:
        return {}
    parsed, file = _encoded(scorer, text.path, text.old)
    judged = _judged(parsed, file)
    chosen: list[int] = []
    for role in sorted(roles):
        same = judged[parsed.roles[judged] == role]
        places = np.linspace(0, len(same) - 1, min(SAMPLE, len(same))).round().astype(int)
        chosen += same[places].tolist()
    found: dict[int, list[float]] = defaultdict(list)
    for score in _masked(scorer, text.path, file, sorted(chosen), advance):
        found[int(parsed.roles[score.leaf])].append(-score.logp_shown)
    return found
