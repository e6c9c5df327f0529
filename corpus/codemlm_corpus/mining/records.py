"""Reads, writes and merges gzipped JSON lines: equal rows make equal bytes.

A mined row is a fix and the digest of its edit in its surroundings, by which copies are known.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemlm.errors import CorpusError
from codemlm.fixes import Fix


@dataclass(frozen=True, slots=True)
class Mined:
    """A fix, and the digest that it shares with its copies (see ``edit_digest``)."""

    fix: Fix
    digest: str

    def to_json(self) -> str:
        """One line of JSON."""
        return f'{{"digest":"{self.digest}","fix":{self.fix.to_json()}}}'


def edit_digest(fix: Fix, before: str) -> str:
    """A hash of the edit and its surroundings, the same for copies in forks and cherry-picks.

    The surroundings: the lines edited and one line of code on either side, without indentation,
    the function's name and the file's. A fix that was reverted and made again has it too.

    Args:
        before: the file before the fix.
    """
    source = before.encode("utf-8")
    first, last = fix.edits[0][0], fix.edits[-1][1]
    start = source.rfind(b"\n", 0, first) + 1
    end = source.find(b"\n", last)
    end = len(source) if end < 0 else end
    above = source[:start].rstrip().rsplit(b"\n", 1)[-1].strip()
    below = source[end:].lstrip().split(b"\n", 1)[0].strip()
    edited = b"\n".join(line.strip() for line in source[start:end].splitlines())
    name = fix.path.rsplit("/", 1)[-1]
    parts = [fix.kind, fix.before, fix.after, fix.function, name]
    text = "\0".join(parts).encode("utf-8") + b"\0" + b"\0".join((above, edited, below))
    return hashlib.sha256(text).hexdigest()[:16]


def oldest_of_each(rows: Iterable[Mined]) -> tuple[list[Mined], list[Mined]]:
    """The rows kept, by repository, date and commit; and the copies dropped.

    Of the rows with one digest, in whatever repositories and splits, the oldest commit is kept.
    """
    kept: dict[str, Mined] = {}
    by_age = sorted(rows, key=lambda row: (row.fix.date, row.fix.repo, row.fix.commit))
    copies = [row for row in by_age if kept.setdefault(row.digest, row) is not row]
    return sorted(kept.values(), key=lambda row: order(row.fix)), copies


def order(fix: Fix) -> tuple[str, int, str]:
    """The key by which a data set is sorted."""
    return fix.repo, fix.date, fix.commit


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Writes gzipped lines, whole or not at all; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    count = 0
    with (
        part.open("wb") as raw,
        # Neither a time nor a name in the header: equal lines make equal bytes.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as out,
    ):
        for line in lines:
            out.write(line.encode("utf-8", "replace") + b"\n")
            count += 1
    part.replace(path)
    return count


def join_files(path: Path, parts: Sequence[Path]) -> None:
    """Writes the parts, each gzipped, one after the other: together they are a gzip file again."""
    whole = path.with_name(path.name + ".part")
    with whole.open("wb") as out:
        for part in parts:
            out.write(part.read_bytes())
    whole.replace(path)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a gzipped (by its name) or plain file of JSON lines.

    Raises:
        CorpusError: if the file cannot be read, or a line is no JSON object.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise CorpusError(f"{path}:{number}: expected a JSON object")
                yield row
    except (OSError, EOFError, ValueError) as error:
        raise CorpusError(f"{path}:{number}: cannot read the records: {error}") from error


def read_fixes(path: Path) -> Iterator[Fix]:
    """Yields the records of a data set's file.

    Raises:
        CorpusError: if the file cannot be read, or a line is no record of a fix.
    """
    return map(Fix.from_json, read_rows(path))


def read_mined(path: Path) -> Iterator[Mined]:
    """Yields what one task of a mine wrote; nothing if there is no such file.

    Raises:
        CorpusError: if the file cannot be read, or a line is no such row.
    """
    if not path.exists():
        return
    for row in read_rows(path):
        yield Mined(Fix.from_json(row["fix"]), row["digest"])
