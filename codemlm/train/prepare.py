"""Corpus to training data: counts leaves, trains the tokenizer, packs encoded files into shards.

Packing keeps the shards that are made from the same already, so a stopped run goes on where it was.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from codemlm.errors import CorpusError, UsageError
from codemlm.injection import find_sites
from codemlm.languages import PYTHON
from codemlm.syntax import parse
from codemlm.tokenizer import LeafTokenizer, train_tokenizer
from codemlm.train.config import NUM_FREQUENT, VOCAB_SIZE
from codemlm.train.shards import (
    ShardWriter,
    Size,
    hash_tokenizer,
    shard_origin,
    size_if_made_from,
)
from codemlm.types import NAME_ROLES, Role
from codemlm.units import encode, units_of

SPLITS = ("train", "validation", "calibration")
"""Splits that are packed. The test split is only ever read as source text."""

Progress = Callable[[int, int, str], None]
"""Called after each repository: how many are done, of how many, and a line about the last one."""

Result = TypeVar("Result")

_MIN_LEAVES = 16
"""A file with fewer holds nothing to learn from."""

_NO_DOCUMENTS = (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError)
"""What reading a file that is missing, cut short, or something else raises."""

_FREQUENT_ROLES = NAME_ROLES | {
    Role.OPERATOR,
    Role.NUMBER,
    Role.CONSTANT,
    Role.KEYWORD,
    Role.STRING,
}
_MAX_FREQUENT_CHARS = 40


@dataclass(slots=True)
class Counts:
    """Counts over a corpus: leaf texts, runs, and in how many files a leaf text occurs."""

    leaves: Counter[str]
    runs: Counter[str]
    files: Counter[str]
    repositories: Counter[str]

    @classmethod
    def none(cls) -> Counts:
        """Counts over nothing."""
        return cls(Counter(), Counter(), Counter(), Counter())

    def add(self, other: Counts) -> None:
        """Adds the counts over something else."""
        self.leaves.update(other.leaves)
        self.runs.update(other.runs)
        self.files.update(other.files)
        self.repositories.update(other.repositories)


def read_documents(path: Path) -> Iterator[bytes]:
    """Source texts (UTF-8) of one repository's ``.jsonl.gz``.

    Raises:
        CorpusError: if the file is missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)["text"].encode()
    except _NO_DOCUMENTS as error:
        raise CorpusError(f"{path}: not a corpus file ({error}); build the corpus again") from error


def corpus_files(folder: Path) -> list[Path]:
    """The ``.jsonl.gz`` files of a corpus folder, sorted.

    Raises:
        CorpusError: if there are none.
    """
    found = sorted(folder.glob("*.jsonl.gz"))
    if not found:
        raise CorpusError(
            f"{folder}: no .jsonl.gz files; run 'python -m codemlm_corpus build' first"
        )
    return found


def count_repository(path: Path) -> Counts:
    """Counts over one repository."""
    counts = Counts.none()
    frequent_roles = frozenset(int(r) for r in _FREQUENT_ROLES)
    for source in read_documents(path):
        units = units_of(parse(source))
        in_file: set[str] = set()
        for number, role in zip(units.unit_text, units.unit_role, strict=True):
            if units.is_run[number]:
                counts.runs[units.texts[number]] += 1
            else:
                word = units.texts[number]
                counts.leaves[word[:200]] += 1
                if role in frequent_roles and len(word) <= _MAX_FREQUENT_CHARS:
                    in_file.add(word)
        counts.files.update(in_file)
    counts.repositories.update(counts.files.keys())
    return counts


def build_tokenizer(
    corpus: Path,
    out: Path,
    *,
    vocab_size: int = VOCAB_SIZE,
    num_frequent: int = NUM_FREQUENT,
    workers: int = 1,
    progress: Progress | None = None,
) -> LeafTokenizer:
    """Trains the tokenizer on a corpus folder and writes it to ``out``.

    A frequent leaf must occur in at least 5 repositories, so that no project's own vocabulary
    crowds out what is common to all; operators and literals get in by their counts.

    Raises:
        CorpusError: the corpus is missing or damaged.
        UsageError: the sizes do not fit the columns of a shard.
    """
    if not 1024 <= vocab_size <= 1 << 16:  # 256 bytes, 512 runs, and uint16 in shards
        raise UsageError(f"vocabulary size {vocab_size}: it must be from 1,024 to 65,536")
    if not 64 <= num_frequent < 1 << 15:  # operators and literals, and int16 in shards
        raise UsageError(f"{num_frequent} frequent leaves: it must be from 64 to 32,767")
    total = Counts.none()
    files = corpus_files(corpus)
    for number, counts in enumerate(_each(count_repository, files, workers), start=1):
        total.add(counts)
        if progress is not None:
            progress(number, len(files), f"{_name(files[number - 1])}: counted")
    spec = PYTHON
    always = [op for members in spec.operator_classes.values() for op in members]
    always += [spec.negation, *spec.constants]
    needed = min(5, max(total.repositories.values(), default=0))
    common = [t for t in total.files if total.repositories[t] >= needed]
    common.sort(key=lambda t: (-total.files[t], t))
    leaves = {t: n for t, n in total.leaves.items() if n > 2 or total.files[t] > 1}
    frequent = list(dict.fromkeys([*always, *common]))[: num_frequent - 2]
    tokenizer = train_tokenizer(leaves, total.runs, frequent, vocab_size=vocab_size)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".tmp")
    tokenizer.save(temporary)
    temporary.replace(out)
    return tokenizer


def pack_repository(path: Path, out: Path, tokenizer_path: Path, *, force: bool = False) -> Size:
    """Encodes one repository into a shard, unless the one there is already made from the same.

    Raises:
        CorpusError: the corpus file is damaged.
        ModelError: the tokenizer is missing or damaged.
    """
    target = out / f"{_name(path)}.npz"
    origin = shard_origin(path, tokenizer_path)
    if not force and (size := size_if_made_from(target, origin)) is not None:
        return size
    target.unlink(missing_ok=True)
    tokenizer = LeafTokenizer.load(tokenizer_path)
    writer = ShardWriter()
    for source in read_documents(path):
        parsed = parse(source)
        if len(parsed) >= _MIN_LEAVES:
            writer.add(encode(parsed, tokenizer, find_sites(parsed)))
    return writer.save(target, origin) if len(writer) else Size()


def pack(
    corpus: Path,
    out: Path,
    tokenizer_path: Path,
    *,
    workers: int = 1,
    force: bool = False,
    progress: Progress | None = None,
) -> Size:
    """Packs every repository of a corpus folder; returns the totals, also written to ``out``.

    Shards of repositories that the corpus no longer has are deleted: they may be there no longer
    for a reason, such as their licence.

    Args:
        corpus: folder of ``.jsonl.gz`` files.
        out: folder of the shards.
        tokenizer_path: the tokenizer.
        workers: processes.
        force: pack anew what is there already.
        progress: told of every repository.

    Raises:
        CorpusError: a corpus file is damaged, or the disk is full.
        UsageError: there is no tokenizer.
    """
    files = corpus_files(corpus)
    hash_tokenizer(tokenizer_path)
    out.mkdir(parents=True, exist_ok=True)
    for temporary in out.glob(".*.tmp"):  # what killed processes left
        temporary.unlink(missing_ok=True)
    wanted = {f"{_name(path)}.npz" for path in files}
    for shard in sorted(out.glob("*.npz")):
        if shard.name not in wanted:
            shard.unlink()
            if progress is not None:
                progress(0, len(files), f"{shard.stem}: deleted, for the corpus has it no longer")
    total = Size()
    run = partial(pack_repository, out=out, tokenizer_path=tokenizer_path, force=force)
    for number, size in enumerate(_each(run, files, workers), start=1):
        total += size
        if progress is not None:
            text = f"{_name(files[number - 1])}: {size.files:,} files, {size.subtokens:,} subtokens"
            progress(number, len(files), text)
    (out / "totals.json").write_text(json.dumps(asdict(total)) + "\n", "utf-8")
    return total


def _each(
    function: Callable[[Path], Result], paths: Sequence[Path], workers: int
) -> Iterator[Result]:
    """Results of ``function`` in order of ``paths``, computed by so many processes.

    Raises:
        CorpusError: a process died.
    """
    if workers <= 1:
        yield from map(function, paths)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from pool.map(function, paths)
        except BrokenProcessPool as error:
            raise CorpusError(
                "a worker process died (out of memory?); run the same command again with "
                "fewer --workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)  # after an error, do not finish all the others


def _name(path: Path) -> str:
    """Name of a corpus file's repository."""
    return path.name.removesuffix(".jsonl.gz")
