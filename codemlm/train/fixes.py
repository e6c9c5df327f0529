"""Real fixes as training data: each file before its fix, with the wrong leaf marked, and after it.

Fine-tuning on real mistakes is what made published detectors work on real code (RealiT, arXiv
2207.00301: 21 % of real bugs localised and repaired without, 39 % with).
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from codemlm.evaluation.real import RealBug, fixed_source, read_pairs, real_bug
from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING, FixPair
from codemlm.injection import Sites, find_sites
from codemlm.masking import KEPT, NO_TARGET, TARGET_DELETE, TARGET_NEGATE, WRONG
from codemlm.syntax import parse
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.marked import MarkedWriter, cut, mark
from codemlm.train.provenance import of_shards
from codemlm.train.shards import Origin, hash_tokenizer
from codemlm.types import DELETE_TEXT, NEGATE_TEXT
from codemlm.units import EncodedFile, encode_with_texts

FILES_A_SHARD = 1000
MAX_LINES = 5000

Progress = Callable[[int, str], None]


def pack_fixes(
    pairs: Path, out: Path, tokenizer_path: Path, progress: Progress | None = None
) -> Counter[str]:
    """Packs a file of pairs into shards of marked files; fixes with a doubt are left out.

    Args:
        pairs: see `codemlm.fixes.FixPair`.
        out: folder for the shards; shards of an earlier call are deleted.
        tokenizer_path: of the run that will read them.
        progress: called now and then with the pairs read and a line about them.

    Returns:
        How many pairs were packed, and how many were left out, by reason.

    Raises:
        CorpusError: the pairs cannot be read, or the shards not be written.
        UsageError: there is no tokenizer.
    """
    origin: Origin = {"pairs": pairs.name, "tokenizer_sha256": hash_tokenizer(tokenizer_path)}
    tokenizer = LeafTokenizer.load(tokenizer_path)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.npz"):
        old.unlink()
    counts: Counter[str] = Counter()
    writer, number = MarkedWriter(), 0
    for row, pair in enumerate(read_pairs(pairs), start=1):
        counts[_add(pair, writer, tokenizer)] += 1
        if len(writer) >= FILES_A_SHARD:
            writer.save(out / f"fixes-{number:03d}.npz", origin)
            writer, number = MarkedWriter(), number + 1
        if progress is not None and row % 200 == 0:
            progress(row, f"{counts['packed']:,} packed")
    if len(writer):
        writer.save(out / f"fixes-{number:03d}.npz", origin)
    return counts


def _add(pair: FixPair, writer: MarkedWriter, tokenizer: LeafTokenizer) -> str:
    """Adds a pair's two files; returns "packed", or why it was left out."""
    if pair.fix.doubt:
        return "doubt"
    if pair.before.count("\n") > MAX_LINES:
        return "file too long"
    source = fixed_source(pair)
    if source is None:
        return "the fix lies beyond the file"
    after = parse(source)
    bug = real_bug(pair, after)
    if isinstance(bug, str):
        return bug
    before, texts = encode_with_texts(bug.parsed, tokenizer, _with_meant(bug))
    wrong = _wrong_marks(bug, before, texts)
    if not len(wrong):
        return "no leaf that is judged"
    writer.add_marked(*cut(before, wrong))
    fixed = encode_with_texts(after, tokenizer)[0]
    right = _right_marks(bug, fixed)
    if len(right):
        writer.add_marked(*cut(fixed, right))
    return "packed"


def _with_meant(bug: RealBug) -> Sites:
    """The file's sites, with what was meant among their texts, so that it can be a target."""
    sites = find_sites(bug.parsed)
    for text in bug.meant.values():
        if text not in (DELETE_TEXT, NEGATE_TEXT):
            sites.choice_set([_first_leaf(bug, text)])
    return sites


def _first_leaf(bug: RealBug, text: str) -> str:
    """What stands first where ``text`` was meant: ``self`` of ``self.name``."""
    return text.partition(".")[0] if bug.fix.kind == PREFIX_MISSING else text


def _wrong_marks(bug: RealBug, file: EncodedFile, texts: list[str]) -> np.ndarray:
    unit_of = {int(leaf): unit for unit, leaf in enumerate(file.unit_leaf) if leaf >= 0}
    rows = []
    for leaf, text in bug.meant.items():
        if leaf not in unit_of:
            continue
        if text == DELETE_TEXT or bug.fix.kind == PREFIX_ADDED:
            target = TARGET_DELETE
        elif text == NEGATE_TEXT:
            target = TARGET_NEGATE
        else:
            wanted = _first_leaf(bug, text)
            found = (i for i, t in enumerate(texts) if t == wanted and not file.text_is_run[i])
            target = next(found, NO_TARGET)
        rows.append(mark(unit_of[leaf], WRONG, target))
    return np.array(rows, dtype=np.int32).reshape(-1, 3)


def _right_marks(bug: RealBug, file: EncodedFile) -> np.ndarray:
    unit_of = {int(leaf): unit for unit, leaf in enumerate(file.unit_leaf) if leaf >= 0}
    units = [unit_of[leaf] for leaf in bug.fixed if leaf in unit_of]
    rows = [mark(unit, KEPT, int(file.unit_text[unit])) for unit in units]
    return np.array(rows, dtype=np.int32).reshape(-1, 3)


def split_pairs(pairs: Path, seen: frozenset[str], share: float) -> Iterator[tuple[FixPair, bool]]:
    """Pairs, each with whether it is for fine-tuning: else it is kept for the confidence's fit.

    Features of code that a model was trained on flatter it, so the fit needs fixes of repositories
    that neither pre-training nor fine-tuning has read. The choice is by repository, and the same
    for every machine.

    Args:
        pairs: file of pairs.
        seen: repositories of pre-training; their fixes are for fine-tuning.
        share: of the other repositories, how many are for fine-tuning too.
    """
    for pair in read_pairs(pairs):
        name = pair.fix.repo
        drawn = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) / 2**32
        yield pair, name in seen or drawn < share


def write_split(pairs: Path, data: Path, share: float, tune: Path, rest: Path) -> tuple[int, int]:
    """Writes the two parts of `split_pairs`; returns how many pairs each has.

    Raises:
        CorpusError: the pairs cannot be read.
    """
    seen = frozenset(name for names in of_shards(data).values() for name in names)
    counts = [0, 0]
    with (
        gzip.open(tune, "wt", encoding="utf-8") as first,
        gzip.open(rest, "wt", encoding="utf-8") as second,
    ):
        for pair, for_tuning in split_pairs(pairs, seen, share):
            (first if for_tuning else second).write(pair.to_json() + "\n")
            counts[not for_tuning] += 1
    return counts[0], counts[1]
