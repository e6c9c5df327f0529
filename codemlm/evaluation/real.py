"""Real bugs: fixes mined from histories, with the files before and after them.

The file of pairs is read twice, once to choose and once to judge, and never held in memory.

What counts as the file after a fix is the file before it with the fix alone: a commit may change
comments, docstrings or layout beside it, and those are not what is measured.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from codemlm.errors import CorpusError
from codemlm.evaluation.injected import line_count, scored_leaves
from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING, Fix, FixPair
from codemlm.injection import Kind
from codemlm.syntax import ParsedFile, parse
from codemlm.types import DELETE_TEXT, NEGATE_TEXT

TOO_LONG = "file too long"
EXCLUDED = "repository left out"
DUPLICATE = "the same fix twice"
NOT_PARSED_BEFORE, NOT_PARSED_AFTER = "does not parse before", "does not parse after"
NO_FIX = "the fix lies beyond the file"
NO_LEAF = "what is wrong is no leaf"


@dataclass(frozen=True, slots=True)
class RealBug:
    """A real mistake, and the file that holds it.

    Attributes:
        fix: its record.
        parsed: the leaves of the file before the fix.
        meant: what was meant, by leaf, as ``injected.Bug`` has it: two leaves for a swap.
        fixed: the leaves of the file after the fix that stand where those stood.
    """

    fix: Fix
    parsed: ParsedFile
    meant: dict[int, str]
    fixed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pair that is to be evaluated.

    Attributes:
        fix: the record.
        row: number of the pair in the file.
        digest: of the repository, the path and the file after the fix.
        lines: of the file.
        introduced: whether it is known which commit brought the bug in.
    """

    fix: Fix
    row: int
    digest: bytes
    lines: int
    introduced: bool


@dataclass(slots=True)
class Plan:
    """What of a file of pairs is evaluated.

    Attributes:
        path: of the file of pairs.
        chosen: by key of the fix, in turn from each repository.
        skipped: counts of the pairs that were left out, by reason.
        masked: keys of the bugs that are also judged by masking every leaf.
    """

    path: Path
    chosen: dict[str, Chosen]
    skipped: Counter[str] = field(default_factory=Counter)
    masked: frozenset[str] = frozenset()

    def newest(self, keys: Sequence[str]) -> set[str]:
        """Of some bugs, the newest of each file: what their fixes left is the clean code."""
        last: dict[tuple[str, str], Fix] = {}
        for key in keys:
            fix = self.chosen[key].fix
            other = last.get((fix.repo, fix.path))
            if other is None or (other.date, other.commit) < (fix.date, fix.commit):
                last[fix.repo, fix.path] = fix
        return {fix.key for fix in last.values()}

    def pairs(self) -> Iterator[FixPair]:
        """The chosen pairs, in the order of the file."""
        for row, pair in enumerate(read_pairs(self.path)):
            chosen = self.chosen.get(pair.fix.key)
            if chosen is not None and chosen.row == row:
                yield pair

    def groups(self) -> Iterator[list[FixPair]]:
        """The chosen pairs, those whose file after the fix is the same together."""
        sizes = Counter(chosen.digest for chosen in self.chosen.values())
        waiting: dict[bytes, list[FixPair]] = defaultdict(list)
        for pair in self.pairs():
            digest = self.chosen[pair.fix.key].digest
            waiting[digest].append(pair)
            if len(waiting[digest]) == sizes[digest]:
                yield waiting.pop(digest)


def read_pairs(path: Path) -> Iterator[FixPair]:
    """The pairs of a ``.jsonl.gz``, one at a time.

    Raises:
        CorpusError: if the file is missing, damaged or no file of pairs.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield FixPair.from_json(json.loads(line))
    except (OSError, EOFError, ValueError, CorpusError) as error:
        raise CorpusError(
            f"{path}: no file of pairs ({error}); `codemlm corpus pairs` makes one"
        ) from error


def plan(
    path: Path,
    *,
    limit: int | None,
    max_lines: int,
    masked: tuple[int, int],
    seed: int,
    exclude: Collection[str] = (),
) -> Plan:
    """Chooses the pairs that are evaluated.

    Args:
        path: the file of pairs.
        limit: how many at the most, evenly over repositories; None: all.
        max_lines: pairs of files with more lines are left out.
        masked: how many bugs are also judged by masking every leaf, and the lines at most of their
            files.
        seed: of the choice.
        exclude: repositories that are left out.

    Raises:
        CorpusError: if the file cannot be read.
    """
    skipped: Counter[str] = Counter()
    found: dict[str, Chosen] = {}
    for row, pair in enumerate(read_pairs(path)):
        lines, after = line_count(pair.before), fixed_source(pair)
        if pair.fix.repo in exclude:
            skipped[EXCLUDED] += 1
        elif after is None:
            skipped[NO_FIX] += 1
        elif lines > max_lines:
            skipped[TOO_LONG] += 1
        elif pair.fix.key in found:
            skipped[DUPLICATE] += 1
        else:
            name = f"{pair.fix.repo}\0{pair.fix.path}\0".encode()
            digest = hashlib.blake2b(name + after, digest_size=16).digest()
            introduced = pair.introduction is not None
            found[pair.fix.key] = Chosen(pair.fix, row, digest, lines, introduced)
    order = _in_turn(found, seed)[:limit]
    few, short = masked
    first = [key for key in order if found[key].lines <= short][:few]
    return Plan(path, {key: found[key] for key in order}, skipped, frozenset(first))


def fixed_source(pair: FixPair) -> bytes | None:
    """The file with the fix alone, in UTF-8; None if the fix does not fit the file."""
    try:
        return pair.fix.apply(pair.before.encode())
    except (CorpusError, UnicodeEncodeError):
        return None


def _in_turn(found: dict[str, Chosen], seed: int) -> list[str]:
    """Keys in random order, taking turns between repositories in random order."""
    by_repository: dict[str, list[str]] = defaultdict(list)
    for key, chosen in found.items():
        by_repository[chosen.fix.repo].append(key)
    names = sorted(by_repository)
    rng = np.random.default_rng(seed)
    turns: list[tuple[int, int, str]] = []
    for place, number in enumerate(rng.permutation(len(names))):
        name = names[number]
        own = np.random.default_rng([seed, zlib.crc32(name.encode())])
        keys = sorted(by_repository[name])
        turns += [(turn, place, keys[i]) for turn, i in enumerate(own.permutation(len(keys)))]
    return [key for _, _, key in sorted(turns)]


def real_bug(pair: FixPair, after: ParsedFile) -> RealBug | str:
    """The bug of a pair, or the reason why it cannot be judged.

    Args:
        pair: the fix and its texts.
        after: the file after the fix.
    """
    if after.has_error:
        return NOT_PARSED_AFTER
    fix, parsed = pair.fix, parse(pair.before.encode())
    if parsed.has_error:
        return NOT_PARSED_BEFORE
    meant: dict[int, str] = {}
    fixed: list[int] = []
    shift = 0
    for start, end, text in fix.edits:
        leaf = _wrong_leaf(parsed, fix.kind, start, end)
        if leaf is None:
            return NO_LEAF
        meant[leaf] = _meant(parsed, fix, leaf, text)
        grown = len(text.encode()) - (end - start)
        if fix.kind in (PREFIX_MISSING, PREFIX_ADDED):
            other = _at(after, after.ends, int(parsed.ends[leaf]) + shift + grown)
        else:
            blank = len(text) - len(text.lstrip())  # " not " where a name stands before it
            other = _at(after, after.starts, start + shift + blank)
        fixed += [] if other is None else [other]
        shift += grown
    return RealBug(fix, parsed, meant, tuple(fixed))


def _wrong_leaf(parsed: ParsedFile, kind: str, start: int, end: int) -> int | None:
    """The leaf that an edit mends; None if it mends none."""
    if kind == PREFIX_ADDED:  # `self.name`, and the edit may end before the name or after it
        at_end = _at(parsed, parsed.ends, end)
        if at_end is not None and parsed.text(at_end).isidentifier():
            return at_end
        return _at(parsed, parsed.starts, end)
    leaf = _at(parsed, parsed.starts, start)
    if leaf is None or kind in (PREFIX_MISSING, Kind.NEGATION_DROPPED):
        return leaf
    if kind == Kind.NEGATION_ADDED:
        return leaf if parsed.text(leaf) == parsed.language.negation else None
    return leaf if parsed.ends[leaf] == end else None


def _meant(parsed: ParsedFile, fix: Fix, leaf: int, text: str) -> str:
    if fix.kind == Kind.NEGATION_ADDED:
        return DELETE_TEXT
    if fix.kind == Kind.NEGATION_DROPPED:
        return NEGATE_TEXT
    if fix.kind in (PREFIX_MISSING, PREFIX_ADDED):
        return fix.after
    return text


def _at(parsed: ParsedFile, offsets: np.ndarray, offset: int) -> int | None:
    """The leaf that starts or ends at a byte; None if none does."""
    leaf = int(np.searchsorted(offsets, offset))
    return leaf if leaf < len(parsed) and offsets[leaf] == offset else None


def is_reachable(bug: RealBug) -> bool:
    """Whether some wrong leaf is among those that rankers judge."""
    return bool(np.isin(list(bug.meant), scored_leaves(bug.parsed)).any())
