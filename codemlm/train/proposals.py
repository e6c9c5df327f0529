"""Hard examples from a model's own opinion of training code.

Two things are taken from one pass over clean files. *Plausible wrong leaves*: what the model holds
likeliest instead of each leaf, among what parses and resolves there. Training then draws wrong
leaves from these, as ELECTRA's generator (arXiv 2003.10555) and BugLab's selector (arXiv
2105.12787) do, for people mistake a name for a likely one, not for a random one. *Alarms*: the
leaves that the model doubts most although they are right; windows are drawn more often around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from codemlm.alternatives import Context, is_informative
from codemlm.errors import UsageError
from codemlm.evaluation.injected import sample_files
from codemlm.injection import Kind, Site, find_sites
from codemlm.masking import PLAIN
from codemlm.scoring import FileToScore, LeafScore, Scorer
from codemlm.syntax import ParsedFile
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.marked import MarkedWriter, mark
from codemlm.train.shards import Origin
from codemlm.types import DELETE_TEXT, NEGATE_TEXT
from codemlm.units import EncodedFile, encode_with_texts

FILES_A_SHARD = 500
FILES_A_PASS = 16
SLOTS = 8
"""Entries of a leaf's set of wrong leaves: a text stands in it as often as it is likely."""
LEAVES_PER_ALARM = 50
"""One judged leaf in so many is a place to draw windows around."""

Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class Proposed:
    """A file with what the model proposed for it."""

    encoded: EncodedFile
    alarms: np.ndarray


def propose_folder(
    scorer: Scorer,
    corpus: Path,
    out: Path,
    *,
    files: int,
    seed: int = 0,
    tokenizer_sha256: str = "",
    progress: Progress | None = None,
) -> int:
    """Writes shards of marked files of a corpus split; returns how many files they hold.

    Args:
        scorer: of the model that proposes.
        corpus: folder of ``.jsonl.gz`` files of a training split.
        out: folder for the shards; shards of an earlier call are deleted.
        files: how many files are sampled.
        seed: of the sample.
        tokenizer_sha256: of the scorer's tokenizer, for the runs that read the shards.
        progress: called with the files done, the files in all, and a line about them.

    Raises:
        UsageError: the corpus gives no file.
        CorpusError: the corpus is damaged, or the shards cannot be written.
    """
    origin: Origin = {"corpus": corpus.name, "tokenizer_sha256": tokenizer_sha256}
    sampled = [file.parsed for file in sample_files(corpus, files, seed)]
    if not sampled:
        raise UsageError(f"{corpus}: no files to propose for")
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.npz"):
        old.unlink()
    writer, number, done = MarkedWriter(), 0, 0
    for begin in range(0, len(sampled), FILES_A_PASS):
        for made in propose_files(scorer, sampled[begin : begin + FILES_A_PASS]):
            if len(made.alarms):
                writer.add_marked(made.encoded, made.alarms)
                done += 1
        if len(writer) >= FILES_A_SHARD:
            writer.save(out / f"proposals-{number:03d}.npz", origin)
            writer, number = MarkedWriter(), number + 1
        if progress is not None:
            progress(min(begin + FILES_A_PASS, len(sampled)), len(sampled), f"{done:,} files")
    if len(writer):
        writer.save(out / f"proposals-{number:03d}.npz", origin)
    return done


def propose_files(scorer: Scorer, parsed: Sequence[ParsedFile]) -> list[Proposed]:
    """What the model proposes for files, by one pass over them."""
    files = [FileToScore(*encode_with_texts(one, scorer.tokenizer)) for one in parsed]
    return [
        _proposed(one, scores, scorer.tokenizer)
        for one, scores in zip(parsed, scorer.score(files), strict=True)
    ]


def _proposed(
    parsed: ParsedFile, scores: Sequence[LeafScore], tokenizer: LeafTokenizer
) -> Proposed:
    sites, context = find_sites(parsed), Context(parsed)
    own: dict[int, int] = {}
    for score in scores:
        found = [a for a in score.alternatives if context.allows(score.leaf, a.text)]
        texts = [a.text for a in found if a.text not in (DELETE_TEXT, NEGATE_TEXT)]
        weights = [a.likelihood for a in found if a.text not in (DELETE_TEXT, NEGATE_TEXT)]
        chosen = sites.choice_set(_by_weight(texts, weights))
        if chosen >= 0:
            own[score.leaf] = chosen
    # What the finders chose stays as the second choice. Leaves that they pass over, because no
    # finder could undo the mistake there, are mistaken by people all the same.
    known: list[Site] = []
    for site in sites.sites:
        if site.leaf in own and (site.near >= 0 or site.far >= 0):
            second = site.near if site.near >= 0 else site.far
            known.append(replace(site, near=own.pop(site.leaf), far=second))
        else:
            known.append(site)
    sites.sites = known + [Site(Kind.VARIABLE, leaf, near=near) for leaf, near in own.items()]
    encoded = encode_with_texts(parsed, tokenizer, sites)[0]
    return Proposed(encoded, _alarms(parsed, scores, encoded))


def _by_weight(texts: Sequence[str], weights: Sequence[float]) -> list[str]:
    """The texts, each as often among `SLOTS` as its weight asks, and at least once."""
    if not texts:
        return []
    total = max(sum(weights), 1e-12)
    repeated: list[str] = []
    for text, weight in zip(texts[:SLOTS], weights, strict=False):
        repeated += [text] * max(1, round(SLOTS * weight / total))
    return repeated


def _alarms(parsed: ParsedFile, scores: Sequence[LeafScore], encoded: EncodedFile) -> np.ndarray:
    """Marks of the most doubted leaves: int (M, 3)."""
    judged = [s for s in scores if is_informative(parsed, s.leaf)]
    judged.sort(key=lambda s: s.keep_logit)
    unit_of = {int(leaf): unit for unit, leaf in enumerate(encoded.unit_leaf) if leaf >= 0}
    top = judged[: max(1, len(judged) // LEAVES_PER_ALARM)]
    rows = [mark(unit_of[s.leaf], PLAIN) for s in top if s.leaf in unit_of]
    return np.array(rows, dtype=np.int32).reshape(-1, 3)
