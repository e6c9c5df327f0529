"""Files of a corpus, and the same files with one injected mistake each.

The sample is a function of the corpus and the seed alone: a file's mistakes do not depend on which
other files were drawn.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from codemlm.errors import CorpusError
from codemlm.injection import Kind, Rewrite, Sites, find_sites, sample_rewrite
from codemlm.masking import SCORED_ROLES
from codemlm.syntax import ParsedFile, parse
from codemlm.types import DELETE_TEXT, NEGATE_TEXT

MIN_LINES, MAX_LINES = 30, 400
_SCORED = [int(role) for role in SCORED_ROLES]
_TRIES = 8


@dataclass(slots=True)
class SampledFile:
    """A file of the corpus as its authors left it.

    Attributes:
        name: repository and path.
        parsed: its leaves.
        lines: count of its lines.
        functions: int64 (F, 2) byte spans of its functions, nested ones too, lambdas not.
    """

    name: str
    parsed: ParsedFile
    lines: int
    functions: np.ndarray


@dataclass(slots=True)
class Bug:
    """A mistake, and the file that holds it.

    Attributes:
        file: index of the sampled file.
        kind: kind of the mistake.
        natural: whether the kind was drawn by ``KIND_WEIGHTS``; else it was drawn so that its kind
            has enough examples, and counts among its kind alone.
        parsed: the leaves of the file with the mistake in it.
        meant: what was meant, by leaf of ``parsed``. Two leaves for a swap: either is right. A
            leaf without a scored role cannot be found, and counts as missed.
    """

    file: int
    kind: Kind
    natural: bool
    parsed: ParsedFile
    meant: dict[int, str]


@dataclass(slots=True)
class Sample:
    """Sampled files and their mistakes, in order of files."""

    files: list[SampledFile]
    bugs: list[Bug] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines of all files."""
        return sum(file.lines for file in self.files)


def scored_leaves(parsed: ParsedFile) -> np.ndarray:
    """Leaves that compete for being the mistake: int64 (N,), in source order."""
    return np.flatnonzero(np.isin(parsed.roles, _SCORED))


def read_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Path and text of every document of one repository's ``.jsonl.gz``.

    Raises:
        CorpusError: if the file is missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                row = json.loads(line)
                yield str(row["path"]), str(row["text"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path}: not a corpus file ({error}); build the corpus again") from error


def repositories(corpus: Path) -> list[Path]:
    """The ``.jsonl.gz`` files of a corpus folder, one a repository, sorted.

    Raises:
        CorpusError: if there are none.
    """
    found = sorted(corpus.glob("*.jsonl.gz"))
    if not found:
        raise CorpusError(f"{corpus}: no .jsonl.gz files; build a corpus there first")
    return found


def repository_of(path: Path) -> str:
    """``owner/name`` of a corpus file."""
    return path.name.removesuffix(".jsonl.gz").replace("__", "/", 1)


def sample_files(
    corpus: Path, count: int, seed: int, max_lines: int = MAX_LINES
) -> list[SampledFile]:
    """Up to ``count`` files that parse, of 30 lines or more, in turn from each repository.

    Args:
        corpus: folder of ``.jsonl.gz`` files.
        count: how many files.
        seed: which ones.
        max_lines: longer files are left out.
    """
    queues = []
    for path in repositories(corpus):
        rows = [row for row in read_rows(path) if MIN_LINES <= line_count(row[1]) <= max_lines]
        rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
        queues.append((path, [rows[i] for i in rng.permutation(len(rows))]))
    found: list[SampledFile] = []
    while len(found) < count and any(rows for _, rows in queues):
        for path, rows in queues:
            while rows and len(found) < count:
                name, text = rows.pop()
                parsed = parse(text.encode())
                if not parsed.has_error and len(scored_leaves(parsed)):
                    found.append(sampled(f"{repository_of(path)}/{name}", parsed))
                    break
    return found


def sampled(name: str, parsed: ParsedFile) -> SampledFile:
    """A parsed file with its lines and functions counted."""
    source = parsed.source
    spans = [
        (scope.start, scope.end)
        for scope in parsed.scopes
        if scope.kind == "function" and source[scope.start :].startswith((b"def", b"async"))
    ]
    functions = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return SampledFile(name, parsed, line_count(source.decode()), functions)


def line_count(text: str) -> int:
    """Lines of a text; a last one without a newline counts."""
    return text.count("\n") + (not text.endswith("\n") and bool(text))


def inject(
    files: Sequence[SampledFile], *, per_file: int, least: int, seed: int, at_most: int = 2
) -> list[Bug]:
    """Mistakes for every file, one in each copy of it, in order of files.

    Args:
        files: sampled files.
        per_file: mistakes a file whose kinds are drawn by ``KIND_WEIGHTS``.
        least: kinds with fewer mistakes than this in all get more, where there are sites.
        seed: of the mistakes.
        at_most: mistakes of one kind that may be added to a file for that.
    """
    bugs: list[Bug] = []
    sites = [find_sites(file.parsed) for file in files]
    seen: list[set[Rewrite]] = [set() for _ in files]
    rngs = [np.random.default_rng([seed, zlib.crc32(file.name.encode())]) for file in files]

    def draw(number: int, kind: Kind | None) -> None:
        found = _bug(files[number].parsed, sites[number], rngs[number], kind, seen[number])
        if found is not None:
            rewritten, mistake, meant = found
            bugs.append(Bug(number, mistake, kind is None, rewritten, meant))

    for number in range(len(files)):
        for _ in range(per_file):
            draw(number, None)
    counts = Counter(bug.kind for bug in bugs)
    for kind in Kind:
        for number in list(range(len(files))) * at_most:
            if counts[kind] >= least:
                break
            before = len(bugs)
            draw(number, kind)
            counts.update(bug.kind for bug in bugs[before:])
    return sorted(bugs, key=lambda bug: bug.file)


def _bug(
    parsed: ParsedFile,
    sites: Sites,
    rng: np.random.Generator,
    kind: Kind | None,
    seen: set[Rewrite],
) -> tuple[ParsedFile, Kind, dict[int, str]] | None:
    """A mistake that is not in ``seen`` and parses, with what was meant; None if none was found."""
    for _ in range(_TRIES):
        found = sample_rewrite(parsed, sites, rng, kind)
        if found is None:
            return None
        rewrite = found[1]
        if rewrite in seen:
            continue
        seen.add(rewrite)
        rewritten = parse(rewrite.apply(parsed.source))
        meant = _meant(parsed, rewrite, rewritten)
        if meant and not rewritten.has_error:
            return rewritten, rewrite.kind, meant
    return None


def _meant(parsed: ParsedFile, rewrite: Rewrite, rewritten: ParsedFile) -> dict[int, str]:
    """What was meant, by leaf of the rewritten file; empty where no leaf stands at the mistake."""
    meant: dict[int, str] = {}
    for span, text in rewrite.inverse(parsed.source).edits:
        leaf = int(np.searchsorted(rewritten.starts, span.start))
        if leaf == len(rewritten) or rewritten.starts[leaf] != span.start:
            return {}
        if rewrite.kind is Kind.NEGATION_ADDED:
            meant[leaf] = DELETE_TEXT
        elif rewrite.kind is Kind.NEGATION_DROPPED:
            meant[leaf] = NEGATE_TEXT
        else:
            meant[leaf] = text.decode()
    return meant
