"""Gathers what each task counted into ``manifest.jsonl`` and ``stats.json``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

# Steps of datatrove that count drops without a reason: their (short) name is the reason.
_REASON_BY_STEP = {"exact_duplicate": "exact_duplicate", "near_duplicate": "near_duplicate"}
_DROPPED = "dropped_"
_BYTES = "bytes_"


class ManifestStep(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Writes the manifest and the statistics of the build in ``out``; runs as one task."""

    type = "writer"
    name = "manifest"

    def __init__(self, out: str) -> None:
        super().__init__()
        self.out = out

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        """Reads ``plan.json`` and the stages' counts; writes both files."""
        out = Path(self.out)
        plan = json.loads((out / "plan.json").read_text("utf-8"))
        rows = [
            manifest_row(out, rank, repository)
            for rank, repository in enumerate(plan["repositories"])
        ]
        stats = totals(rows) | {
            "excluded_held_out": plan["excluded_held_out"],
            "config": plan["config"],
        }
        write_counts(out, rows, stats)


def write_counts(out: Path, rows: Iterable[Mapping[str, Any]], stats: Mapping[str, Any]) -> None:
    """Writes ``manifest.jsonl``, a row a repository, and the sums, ``stats.json``."""
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    (out / "manifest.jsonl").write_text(lines, "utf-8")
    text = json.dumps(stats, indent=1, sort_keys=True) + "\n"
    (out / "stats.json").write_text(text, "utf-8")


def manifest_row(out: Path, rank: int, repository: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one repository's line: where from, licence, split, kept and dropped counts."""
    logs = out / "logs"
    facts = json.loads((logs / "facts" / f"{rank:05d}.json").read_text("utf-8"))
    dropped: Counter[str] = Counter()
    dropped_bytes: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for stage in ("read", "write"):
        stats = json.loads((logs / stage / "stats" / f"{rank:05d}.json").read_text("utf-8"))
        for step in stats:
            files, sizes = step_drops(step)
            dropped.update(files)
            dropped_bytes.update(sizes)
            kept.update(_counts(step, "kept"))
    return {
        "repo": repository["name"],
        "commit": repository["commit"],
        "split": repository["split"],
        "licence": facts.get("licence", ""),
        "licence_files": facts.get("evidence", []),
        **({"error": facts["error"]} if "error" in facts else {}),
        "files": kept["kept"],
        "bytes": kept["kept_bytes"],
        "test_bytes": kept["kept_test_bytes"],
        "dropped": dict(sorted(dropped.items())),
        "dropped_bytes": dict(sorted(dropped_bytes.items())),
    }


def step_drops(step: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Returns the files and the bytes that one step of one task dropped, by reason."""
    short_name = step["name"].rsplit(": ", 1)[-1]
    counts = {label: counter_total(value) for label, value in step["stats"].items()}
    if short_name in _REASON_BY_STEP:
        total = counts.get("dropped", 0)
        return ({_REASON_BY_STEP[short_name]: total} if total else {}), {}
    files = {k.removeprefix(_DROPPED): n for k, n in counts.items() if k.startswith(_DROPPED)}
    sizes = {k.removeprefix(_BYTES): n for k, n in counts.items() if k.startswith(_BYTES)}
    return files, sizes


def totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns counts over all repositories: per split, per licence, and drops by reason."""
    splits: dict[str, Counter[str]] = {}
    licences: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    dropped_bytes: Counter[str] = Counter()
    for row in rows:
        if row["files"]:
            counts = {k: row[k] for k in ("files", "bytes", "test_bytes")}
            splits.setdefault(row["split"], Counter()).update(counts | {"repositories": 1})
            licences[row["licence"]] += 1
        dropped.update(row["dropped"])
        dropped_bytes.update(row["dropped_bytes"])
    return {
        "splits": {name: dict(counts) for name, counts in splits.items()},
        "licences": dict(licences),
        "dropped": dict(dropped),
        "dropped_bytes": dict(dropped_bytes),
    }


def _counts(step: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {k: counter_total(v) for k, v in step["stats"].items() if k.startswith(prefix)}


def counter_total(value: Any) -> int:
    """Returns a counter's sum; datatrove writes a plain 0 for one that was never raised."""
    total: float = value["total"] if isinstance(value, Mapping) else value
    return round(total)
