"""The stages of a mine.

::

    mine   one task a repository: history -> one-file fixes -> explained ones, as records
    merge  one task: drops copies, writes the splits and the counts

They run on the engine of the corpus build, and resume like it.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from codemlm.errors import CorpusError
from codemlm_corpus.engine import Engine, Stage, run_stages, write_plan
from codemlm_corpus.filters import HeaderFilter, PathFilter
from codemlm_corpus.git import resolve_commit
from codemlm_corpus.manifest import counter_total, step_drops, write_counts
from codemlm_corpus.mining.records import Mined, oldest_of_each, read_mined, write_lines
from codemlm_corpus.mining.steps import (
    COMMITS,
    ExplainFilter,
    HistoryReader,
    MessageFilter,
    PlaceFilter,
    RecordWriter,
    TextReader,
    records_path,
)
from codemlm_corpus.pipeline import Plan
from codemlm_corpus.split import SPLITS


def head_or_name(git_dir: str) -> str:
    """The commit at HEAD; "HEAD" where git cannot tell: the mine counts that as unreadable."""
    try:
        return resolve_commit(git_dir)
    except CorpusError:
        return "HEAD"


def mine(plan: Plan, out: Path, engine: Engine, keep_work: bool = False) -> None:
    """Runs the mine into ``out``; on Slurm it only queues it.

    Raises:
        CorpusError: if ``out`` holds a run of another plan, or a stage cannot be run.
    """
    write_plan(plan.to_json(), out)
    run_stages(stages(plan, out), out, engine)
    if engine.kind == "local" and not keep_work:
        shutil.rmtree(out / "work", ignore_errors=True)


def stages(plan: Plan, out: Path) -> list[Stage]:
    """Returns the stages in order: name, number of tasks, steps."""
    steps: list[PipelineStep] = [
        HistoryReader(plan.repositories, str(out / "logs" / "facts")),
        MessageFilter(),
        PathFilter(plan.held_out, plan.config.drop_migrations),
        PlaceFilter(plan.excluded_paths),
        TextReader(),
        ExplainFilter(),
        HeaderFilter(plan.held_out),
        RecordWriter(str(out / "work")),
    ]
    return [("mine", len(plan.repositories), steps), ("merge", 1, [MergeStep(str(out))])]


class MergeStep(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Writes the splits, ``manifest.jsonl`` and ``stats.json``, as one task.

    Holds all records in memory: half a gigabyte for a million.
    """

    type = "writer"
    name = "merge"

    def __init__(self, out: str) -> None:
        super().__init__()
        self.out = out

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        """Reads ``plan.json``, the records and the counts of the tasks."""
        out = Path(self.out)
        plan = json.loads((out / "plan.json").read_text("utf-8"))
        repositories: list[dict[str, Any]] = plan["repositories"]
        mined: list[Mined] = []
        for task in range(len(repositories)):
            mined.extend(read_mined(records_path(out / "work", task)))
        kept, copies = oldest_of_each(mined)
        for split in SPLITS:
            rows = (row.fix.to_json() for row in kept if row.fix.split == split)
            write_lines(out / f"{split}.jsonl.gz", rows)
        counts = [_counts(out, task, row) for task, row in enumerate(repositories)]
        stats = _stats(counts, kept, copies) | {
            "excluded_held_out": plan["excluded_held_out"],
            "excluded_paths": plan["excluded_paths"],
        }
        write_counts(out, counts, stats)


def _counts(out: Path, task: int, repository: Mapping[str, Any]) -> dict[str, Any]:
    """One repository's counts: commits read, and drops by reason."""
    facts = json.loads((out / "logs" / "facts" / f"{task:05d}.json").read_text("utf-8"))
    steps = json.loads((out / "logs" / "mine" / "stats" / f"{task:05d}.json").read_text("utf-8"))
    dropped: Counter[str] = Counter()
    commits = 0
    for step in steps:
        drops, _ = step_drops(step)
        dropped.update({reason.replace("_", "-"): n for reason, n in drops.items()})
        commits += counter_total(step["stats"].get(COMMITS, 0))
    return {
        "repo": repository["name"],
        "commit": repository["commit"],
        "split": repository["split"],
        "licence": facts.get("licence", ""),
        **({"error": facts["error"]} if "error" in facts else {}),
        "commits": commits,
        "dropped": dropped,
    }


def _stats(
    rows: Sequence[dict[str, Any]], kept: Iterable[Mined], copies: Iterable[Mined]
) -> dict[str, Any]:
    """Sums of the repositories' counts by split, kind and reason; completes the rows themselves."""
    by_name = {row["repo"]: row for row in rows}
    splits: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    kinds: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    fixes: Counter[str] = Counter()
    for mined in kept:
        fixes[mined.fix.repo] += 1
        kinds[mined.fix.split][mined.fix.kind] += 1
    for mined in copies:
        by_name[mined.fix.repo]["dropped"]["copy"] += 1
    dropped: Counter[str] = Counter()
    for row in rows:
        row["fixes"] = fixes[row["repo"]]
        dropped.update(row["dropped"])
        splits[row["split"]].update(
            fixes=row["fixes"], commits=row["commits"], repositories=1 if row["fixes"] else 0
        )
    return {"splits": splits, "kinds": kinds, "dropped": dropped}
