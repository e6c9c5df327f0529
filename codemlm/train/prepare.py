"""Corpus to training data: counts leaves, trains the tokenizer, packs encoded files into shards.

A shard is one ``.npz`` a repository: the columns of ``EncodedFile`` of all its files, one after the
other, with the offsets that cut them apart again.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from codemlm.errors import CorpusError
from codemlm.injection import find_sites
from codemlm.languages import PYTHON
from codemlm.syntax import parse
from codemlm.tokenizer import LeafTokenizer, train_tokenizer
from codemlm.types import NAME_ROLES, Role
from codemlm.units import ENCODED_COLUMNS, EncodedFile, encode, units_of

_LEFT_OUT = frozenset({"unit_leaf", "unit_line"})
"""Columns that only a scan needs."""

_GROUPS: dict[str, tuple[str, ...]] = {
    "units": ("unit_text", "unit_role", "unit_parent", "unit_grandparent", "near", "far"),
    "texts": ("text_global", "text_is_name", "text_is_run"),
    "bounds": ("text_offsets",),
    "pieces": ("text_pieces",),
    "sets": ("set_offsets",),
    "members": ("set_members",),
    "swaps": ("swaps",),
    "negate": ("negate",),
    "negated": ("negated",),
    "patches": ("patches",),
}
"""Columns that share one offset table."""

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


def read_documents(path: Path) -> Iterator[str]:
    """Source texts of one repository's ``.jsonl.gz``.

    Raises:
        CorpusError: if the file is missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)["text"]
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise CorpusError(f"{path}: not a corpus file ({error}); build the corpus again") from error


def corpus_files(folder: Path) -> list[Path]:
    """The ``.jsonl.gz`` files of a corpus folder, sorted.

    Raises:
        CorpusError: if there are none.
    """
    found = sorted(folder.glob("*.jsonl.gz"))
    if not found:
        raise CorpusError(f"{folder}: no .jsonl.gz files; run 'codemlm corpus build' first")
    return found


def count_repository(path: Path) -> Counts:
    """Counts over one repository."""
    counts = Counts(Counter(), Counter(), Counter(), Counter())
    frequent_roles = frozenset(int(r) for r in _FREQUENT_ROLES)
    for text in read_documents(path):
        units = units_of(parse(text.encode()))
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
    corpus: Path, out: Path, *, vocab_size: int = 12_288, num_frequent: int = 4096, workers: int = 2
) -> LeafTokenizer:
    """Trains the tokenizer on a corpus folder and writes it to ``out``.

    A frequent leaf must occur in at least 5 repositories, so that no project's own vocabulary
    crowds out what is common to all; operators and literals get in by their counts.
    """
    total = Counts(Counter(), Counter(), Counter(), Counter())
    with ProcessPoolExecutor(workers) as pool:
        for counts in pool.map(count_repository, corpus_files(corpus)):
            total.leaves.update(counts.leaves)
            total.runs.update(counts.runs)
            total.files.update(counts.files)
            total.repositories.update(counts.repositories)
    spec = PYTHON
    always = [op for members in spec.operator_classes.values() for op in members]
    always += [spec.negation, *spec.constants]
    needed = min(5, max(total.repositories.values()))
    common = [t for t in total.files if total.repositories[t] >= needed]
    common.sort(key=lambda t: (-total.files[t], t))
    leaves = {t: n for t, n in total.leaves.items() if n > 2 or total.files[t] > 1}
    frequent = list(dict.fromkeys([*always, *common]))[: num_frequent - 2]
    tokenizer = train_tokenizer(leaves, total.runs, frequent, vocab_size=vocab_size)
    tokenizer.save(out)
    return tokenizer


def pack_repository(path: Path, out: Path, tokenizer_path: Path) -> tuple[int, int, int]:
    """Encodes one repository into a shard; returns its files, units and subtokens."""
    tokenizer = LeafTokenizer.load(tokenizer_path)
    columns: dict[str, list[np.ndarray]] = {n: [] for n in ENCODED_COLUMNS if n not in _LEFT_OUT}
    offsets: dict[str, list[int]] = {group: [0] for group in _GROUPS}
    tokens = [0]
    for text in read_documents(path):
        parsed = parse(text.encode())
        if len(parsed) < 16:
            continue
        file = encode(parsed, tokenizer, find_sites(parsed))
        for name, rows in columns.items():
            rows.append(getattr(file, name))
        for group, names in _GROUPS.items():
            offsets[group].append(offsets[group][-1] + len(getattr(file, names[0])))
        tokens.append(tokens[-1] + int(file.unit_lengths.sum()))
    if len(tokens) == 1:
        return 0, 0, 0
    arrays: dict[str, Any] = {name: np.concatenate(rows) for name, rows in columns.items()}
    arrays |= {f"offsets_{group}": np.array(v, dtype=np.int64) for group, v in offsets.items()}
    arrays["offsets_tokens"] = np.array(tokens, dtype=np.int64)
    target = out / (path.name.removesuffix(".jsonl.gz") + ".npz")
    temporary = target.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(target)
    return len(tokens) - 1, offsets["units"][-1], tokens[-1]


def pack(corpus: Path, out: Path, tokenizer_path: Path, *, workers: int = 2) -> dict[str, int]:
    """Packs every repository of a corpus folder; returns the totals, also written to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    total = {"repositories": 0, "files": 0, "units": 0, "subtokens": 0}
    run = partial(pack_repository, out=out, tokenizer_path=tokenizer_path)
    with ProcessPoolExecutor(workers) as pool:
        for files, units, subtokens in pool.map(run, corpus_files(corpus)):
            total["repositories"] += files > 0
            total["files"] += files
            total["units"] += units
            total["subtokens"] += subtokens
    (out / "totals.json").write_text(json.dumps(total) + "\n", "utf-8")
    return total


class Shard:
    """A packed repository, cut into files on demand."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as data:
                self.arrays = {name: data[name] for name in data.files}
        except (OSError, ValueError, KeyError) as error:
            raise CorpusError(f"{path}: not a shard ({error}); pack the corpus again") from error
        self.tokens = self.arrays["offsets_tokens"]

    def __len__(self) -> int:
        return len(self.tokens) - 1

    def file(self, index: int) -> EncodedFile:
        """File ``index`` of the shard, as views."""
        columns: dict[str, np.ndarray] = {}
        for group, names in _GROUPS.items():
            start, stop = self.arrays[f"offsets_{group}"][index : index + 2]
            for name in names:
                columns[name] = self.arrays[name][start:stop]
        count = len(columns["unit_text"])
        empty = np.full(count, -1, dtype=np.int32)
        return EncodedFile(unit_leaf=empty, unit_line=empty, **columns)
