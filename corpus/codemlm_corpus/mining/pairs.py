"""Puts the texts to the records of a data set: read from git, checked, never part of it.

::

    pairs  one task a repository: reads both versions of each file, and checks the fix on them
    join   one task: one file of pairs, in the order of the records, and one of counts

They run on the engine of the corpus build, and resume like it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from codemlm.errors import CorpusError
from codemlm.fixes import Fix, FixPair, Introduction
from codemlm.syntax import parse
from codemlm_corpus.engine import Engine, Stage, run_stages, write_plan
from codemlm_corpus.git import read_each
from codemlm_corpus.heldout import normalise_name
from codemlm_corpus.mining.blame import trace
from codemlm_corpus.mining.difference import code_leaves, leaf_texts
from codemlm_corpus.mining.records import join_files, read_fixes, write_lines
from codemlm_corpus.mining.steps import records_path
from codemlm_corpus.reader import decode_source

_PAIRS, _COUNTS, _RECORDS = "pairs", "counts", "records"  # folders of the work


def make_pairs(
    records: Path,
    rows: Sequence[tuple[str, str, str]],
    out: Path,
    engine: Engine,
    introductions: bool = False,
) -> Path:
    """Writes the pairs of ``records`` to ``out``; returns where the counts go, a JSON file.

    Args:
        rows: ``(owner/name, git directory, commit)``; the records name the commits that are read.
        introductions: whether to look for the commit that brought each bug in, by blame.

    Raises:
        CorpusError: if the records cannot be read, there is none, or a stage cannot be run.
    """
    work = out.with_name(out.name + ".work")
    places = {normalise_name(name): git_dir for name, git_dir, _ in rows}
    plan = {
        "records": hashlib.sha256(records.read_bytes()).hexdigest(),
        "git_dirs": places,
        "introductions": introductions,
    }
    write_plan(json.dumps(plan, indent=1, sort_keys=True) + "\n", work)
    names = _deal(records, work)
    git_dirs = [places.get(normalise_name(name), "") for name in names]
    counts = out.with_name(out.name.removesuffix(".gz").removesuffix(".jsonl") + ".stats.json")
    stages: list[Stage] = [
        (_PAIRS, len(names), [PairStep(git_dirs, str(work), introductions)]),
        ("join", 1, [JoinStep(len(names), str(work), str(out), str(counts))]),
    ]
    run_stages(stages, work, engine)
    if engine.kind == "local":
        shutil.rmtree(work, ignore_errors=True)
    return counts


def _deal(records: Path, work: Path) -> list[str]:
    """Writes each repository's records to a file of their own; returns the repositories."""
    groups: dict[str, list[Fix]] = {}
    for fix in read_fixes(records):
        groups.setdefault(fix.repo, []).append(fix)
    if not groups:
        raise CorpusError(f"{records}: no record is in it")
    for task, fixes in enumerate(groups.values()):
        write_lines(records_path(work / _RECORDS, task), (fix.to_json() for fix in fixes))
    return list(groups)


class PairStep(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Writes the pairs of one repository, and what became of the records that gave none.

    Args:
        git_dirs: by task; "" where the repository is not on the table.
    """

    type = "writer"
    name = "pairs"

    def __init__(self, git_dirs: Sequence[str], work: str, introductions: bool) -> None:
        super().__init__()
        self.git_dirs = list(git_dirs)
        self.work = work
        self.introductions = introductions

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        """Reads the records of this rank, and writes two files."""
        work, git_dir = Path(self.work), self.git_dirs[rank]
        fixes = list(read_fixes(records_path(work / _RECORDS, rank)))
        skipped: dict[str, str] = {}
        untraced: Counter[str] = Counter()
        lines = self._lines(git_dir, fixes, skipped, untraced)
        count = write_lines(records_path(work / _PAIRS, rank), lines)
        counts = {"pairs": count, "skipped": skipped, "no_introduction": untraced}
        path = work / _COUNTS / f"{rank:05d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(counts, sort_keys=True), "utf-8")

    def _lines(
        self, git_dir: str, fixes: Sequence[Fix], skipped: dict[str, str], untraced: Counter[str]
    ) -> Iterator[str]:
        if not git_dir:
            skipped.update((fix.key, "repository-not-listed") for fix in fixes)
            return
        names = [
            name
            for fix in fixes
            for name in (f"{fix.parent}:{fix.old_path}", f"{fix.commit}:{fix.path}")
        ]
        contents = read_each(git_dir, names)
        for fix, before, after in zip(fixes, contents, contents, strict=True):
            pair = pair_of(fix, before, after)
            if isinstance(pair, str):
                skipped[fix.key] = pair
                continue
            origin = None
            if self.introductions:
                found = trace(git_dir, fix)
                if isinstance(found, Introduction):
                    origin = found
                else:
                    untraced[found] += 1
            yield FixPair(fix, pair.before, pair.after, origin).to_json()


def pair_of(fix: Fix, before: bytes | None, after: bytes | None) -> FixPair | str:
    """The fix with its texts, or why it cannot be had: the record and git do not agree, say."""
    if before is None or after is None:
        return "missing-object"
    old, new = decode_source(before), decode_source(after)
    if old is None or new is None:
        return "undecodable"
    try:
        made, wanted = fix.apply(old.encode()), new.encode()
    except (CorpusError, UnicodeEncodeError):
        return "edits-beyond-file"
    fixed = parse(made)
    if fixed.has_error:
        return "syntax-error"
    if made != wanted:  # comments or layout changed too, or it is another file
        real = parse(wanted)
        if leaf_texts(fixed, code_leaves(fixed)) != leaf_texts(real, code_leaves(real)):
            return "not-the-fix"
    return FixPair(fix, old, new)


class JoinStep(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Joins what the tasks wrote; runs as one task."""

    type = "writer"
    name = "join"

    def __init__(self, tasks: int, work: str, out: str, counts: str) -> None:
        super().__init__()
        self.tasks, self.work, self.out, self.counts = tasks, work, out, counts

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        """Writes the pairs and the counts."""
        work = Path(self.work)
        total = 0
        skipped: dict[str, str] = {}
        untraced: Counter[str] = Counter()
        for task in range(self.tasks):
            counts = json.loads((work / _COUNTS / f"{task:05d}.json").read_text("utf-8"))
            total += counts["pairs"]
            skipped |= counts["skipped"]
            untraced.update(counts["no_introduction"])
        parts = [records_path(work / _PAIRS, task) for task in range(self.tasks)]
        join_files(Path(self.out), parts)
        document = {
            "pairs": total,
            "skipped": skipped,
            "skipped_by_reason": Counter(skipped.values()),
            "no_introduction": untraced,
        }
        text = json.dumps(document, indent=1, sort_keys=True) + "\n"
        Path(self.counts).write_text(text, "utf-8")
