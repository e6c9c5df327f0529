r"""Measures what each filter of findings is worth, on real bugs and the code that their fixes left.

    python benchmarks/filters.py --pairs PAIRS.jsonl.gz --model MODEL --limit 120

The model judges every file once, and the filters are applied to what it said: all of them, all but
one, and none. For each: recall of the bugs and alarms in 1,000 lines of clean code at the default
threshold, and recall at thresholds that allow so many alarms. Writes `filters.json`, which the
documentation reads, and `filters.md`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from speed import commit, cores, machine, version

from codemlm.commands import load_model
from codemlm.errors import CodemlmError
from codemlm.evaluation.injected import line_count, sample_files
from codemlm.evaluation.real import Plan, RealBug, fixed_source, plan, real_bug
from codemlm.evaluation.real_run import is_right
from codemlm.evaluation.rescoring import LeafScores, WindowScorer, find_change, to_score
from codemlm.evaluation.run import Evaluation
from codemlm.evaluation.seen import check_seen
from codemlm.filters import ALL_FILTERS, BROKEN, FILTERS, SECOND_WINDOW, Filter
from codemlm.findings import Finding, settle, suspect
from codemlm.fixes import FixPair
from codemlm.scoring import FileToScore
from codemlm.syntax import ParsedFile, parse
from codemlm.terminal import ProgressLine
from codemlm.votes import outvoted

RUNS = Path(__file__).parent / "runs"
VERSIONS = ("codemlm", "numpy", "onnxruntime", "tree-sitter", "tree-sitter-python")
BUDGETS = (0.5, 1.0)
"""Alarms in 1,000 lines of clean code."""
LOW = 0.05
"""A confidence for those who want to see more than the default shows: there filters have work."""
_COLUMNS = (
    *("recall", "alarms in 1,000 lines", "recall at 0.5", "recall at 1"),
    *(f"recall, {LOW:g} confident", "alarms"),
)
KEPT_PER_KLOC, LEAST_KEPT = 15, 6
"""Of a clean file, so many findings are looked at, the most confident ones: 15 times the larger
budget. The late filters are asked about each of them, which costs a window."""
SETS: dict[str, tuple[Filter, ...]] = {
    "all": ALL_FILTERS,
    **{f"without {one.name}": tuple(f for f in ALL_FILTERS if f is not one) for one in ALL_FILTERS},
    "none": (),
}
"""Filters that are on, by name of the row."""
LATE = (BROKEN, SECOND_WINDOW)

Key = tuple[int, bool]
"""A leaf, and whether the finding is a swap: what tells the findings of a file apart."""


@dataclass(slots=True)
class Outcomes:
    """What one set of filters leaves.

    Attributes:
        alarms: confidences of findings in clean code.
        bugs: confidence of the finding that names each bug; -inf where none does.
    """

    alarms: list[float] = field(default_factory=list)
    bugs: list[float] = field(default_factory=list)

    def figures(self, lines: int, threshold: float) -> dict[str, float]:
        """Recall and alarms in 1,000 of the clean lines, at thresholds and at each budget."""
        bugs, alarms = np.array(self.bugs), -np.sort(-np.array(self.alarms))
        found = {
            "recall": float(np.mean(bugs >= threshold)),
            "alarms_per_kloc": float((alarms >= threshold).sum() * 1000 / lines),
            "low_recall": float(np.mean(bugs >= LOW)),
            "low_alarms_per_kloc": float((alarms >= LOW).sum() * 1000 / lines),
        }
        for budget in BUDGETS:
            allowed = int(budget * lines / 1000)  # the next alarm is one too many
            least = alarms[allowed] if allowed < len(alarms) else -np.inf
            found[f"recall_at_{budget:g}"] = float(np.mean((bugs > least) & (bugs > -np.inf)))
        return {name: round(value, 6) for name, value in found.items()}


class Measurement:
    """Judges the pairs of a plan under every set of filters.

    Args:
        chosen: which pairs.
        evaluation: the model, and how a scan uses it.
    """

    def __init__(self, chosen: Plan, evaluation: Evaluation) -> None:
        self.plan = chosen
        self.evaluation = evaluation
        self.newest = chosen.newest(list(chosen.chosen))
        self.outcomes = {name: Outcomes() for name in SETS}
        self.lines = self.files = self.bugs = 0

    def run(self) -> None:
        """Judges every file, once before each fix and once after it."""
        progress, done = ProgressLine("judging", "bugs"), 0
        try:
            for pairs in self.plan.groups():
                self._add(pairs)
                done += len(pairs)
                progress.update(done, len(self.plan.chosen))
        finally:
            progress.clear()

    def add_clean(self, corpus: Path, count: int) -> None:
        """Judges so many files of a corpus as code without known mistakes, tests among them."""
        scorer = self.evaluation.scorer
        for file in sample_files(corpus, count, seed=0):
            old = to_score(file.parsed, scorer.tokenizer)
            known = scorer.whole(old, masked=False)
            by_set, _ = self._judged(file.parsed, file.name, old, known, {})
            self._add_clean(file.parsed, by_set)

    def _add(self, pairs: Sequence[FixPair]) -> None:
        source = fixed_source(pairs[0])
        assert source is not None  # the plan has left such pairs out
        after = parse(source)
        bugs = [bug for pair in pairs if isinstance(bug := real_bug(pair, after), RealBug)]
        if not bugs:
            return
        scorer = self.evaluation.scorer
        path = f"{bugs[0].fix.repo}/{bugs[0].fix.path}"
        old = to_score(after, scorer.tokenizer)
        known = scorer.whole(old, masked=False)
        by_set, verified = self._judged(after, path, old, known, {})
        if any(bug.fix.key in self.newest for bug in bugs):
            self._add_clean(after, by_set)
        files = [to_score(bug.parsed, scorer.tokenizer) for bug in bugs]
        scores = scorer.changed(old, known, files, masked=False)
        for bug, file, of_bug in zip(bugs, files, scores, strict=True):
            kept = scorer.unchanged(old, verified, file, find_change(old, file))
            by_set, _ = self._judged(bug.parsed, path, file, of_bug, kept)
            self._add_bug(bug, by_set)

    def _judged(
        self,
        parsed: ParsedFile,
        path: str,
        file: FileToScore,
        scores: LeafScores,
        known: LeafScores,
    ) -> tuple[dict[str, list[Finding]], LeafScores]:
        """What the early filters of each set leave, and the scores of the leaves masked."""
        evaluation = self.evaluation
        doubts, masked, exact = evaluation.doubts(parsed, path, file, scores, known)
        suspected, certain = suspect(doubts, masked, exact, evaluation.calibration)
        by_early: dict[tuple[str, ...], list[Finding]] = {}
        by_set: dict[str, list[Finding]] = {}
        for name, filters in SETS.items():
            early = [one for one in filters if one in FILTERS]
            key = tuple(one.name for one in early)
            if key not in by_early:
                by_early[key] = settle(parsed, suspected, certain, early)
            by_set[name] = by_early[key]
        return by_set, masked

    def _add_clean(self, parsed: ParsedFile, by_set: Mapping[str, list[Finding]]) -> None:
        lines = line_count(parsed.source.decode())
        most = max(LEAST_KEPT, lines * KEPT_PER_KLOC // 1000)
        top = {name: findings[:most] for name, findings in by_set.items()}
        for name, standing in self._standing(parsed, top).items():
            self.outcomes[name].alarms += [finding.confidence for finding in standing]
        self.lines += lines
        self.files += 1

    def _add_bug(self, bug: RealBug, by_set: Mapping[str, list[Finding]]) -> None:
        right = is_right(bug)
        named = {name: [f for f in found if right(f)] for name, found in by_set.items()}
        for name, standing in self._standing(bug.parsed, named).items():
            best = max((finding.confidence for finding in standing), default=-np.inf)
            self.outcomes[name].bugs.append(best)
        self.bugs += 1

    def _standing(
        self, parsed: ParsedFile, by_set: Mapping[str, Sequence[Finding]]
    ) -> dict[str, list[Finding]]:
        """What the late filters of each set leave; they look at each finding once."""
        every = {_key(finding): finding for found in by_set.values() for finding in found}
        gone: dict[str, set[Key]] = {}
        for one in LATE:
            (some,) = outvoted(self.evaluation.scorer, [(parsed, [*every.values()])], [one])
            gone[one.name] = {_key(finding) for finding in some}
        standing: dict[str, list[Finding]] = {}
        for name, found in by_set.items():
            late = [gone[one.name] for one in SETS[name] if one in LATE]
            standing[name] = [f for f in found if not any(_key(f) in some for some in late)]
        return standing

    def result(self) -> dict[str, Any]:
        """All figures, ready for JSON.

        Raises:
            SystemExit: if no bug could be judged.
        """
        if not self.bugs:
            raise SystemExit(f"{self.plan.path}: no bug to judge; is it a file of pairs?")
        threshold = self.evaluation.calibration.threshold
        rows = {name: o.figures(self.lines, threshold) for name, o in self.outcomes.items()}
        data = {"bugs": self.bugs, "files": self.files, "lines": self.lines}
        return {"data": data, "threshold": threshold, "rows": rows}


def _key(finding: Finding) -> Key:
    return finding.leaf, finding.other is not None


def markdown(result: Mapping[str, Any]) -> str:
    """The table, and where and how it was made."""
    data, facts = result["data"], result["run"]
    lines = [
        f"# Filters, {facts['date']}",
        "",
        f"- Machine: {facts['machine']}",
        f"- Commit: {facts['commit']}; model {facts['model']}",
        f"- {facts['versions']}",
        f"- Command: `{facts['command']}`",
        f"- {data['bugs']} bugs; {data['lines']:,} clean lines in {data['files']} files",
        f"- Default threshold {result['threshold']:.3f}",
        *(f"- {warning}" for warning in result["warnings"]),
        "",
        f"| filters | {' | '.join(_COLUMNS)} |",
        "|---" * (len(_COLUMNS) + 1) + "|",
    ]
    for name, row in result["rows"].items():
        recalls = [row["recall"], *(row[f"recall_at_{budget:g}"] for budget in BUDGETS)]
        first, *others = (f"{100 * share:.1f} %" for share in recalls)
        low = f"{100 * row['low_recall']:.1f} % | {row['low_alarms_per_kloc']:.2f}"
        alarms = f"{row['alarms_per_kloc']:.2f}"
        lines.append(f"| {name} | {first} | {alarms} | {' | '.join(others)} | {low} |")
    return "\n".join(lines) + "\n"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the measurement that the options ask for.

    Raises:
        CodemlmError: if the pairs or the model cannot be used.
    """
    scorer, calibration = load_model(options.model, options.threads)
    manifest = scorer.model.manifest  # type: ignore[attr-defined]  # models of folders have one
    chosen = plan(
        options.pairs, limit=options.limit, max_lines=options.max_lines, masked=(0, 0), seed=0
    )
    names = {each.fix.repo for each in chosen.chosen.values()}
    warnings = check_seen(names, manifest.repositories, allow=False).warnings()
    found = Measurement(
        chosen, Evaluation(WindowScorer(scorer.model, scorer.tokenizer), calibration)
    )
    found.run()
    if options.clean is not None:
        found.add_clean(options.clean, options.files)
    command = f"python benchmarks/filters.py --pairs PAIRS --max-lines {options.max_lines}"
    command += f" --limit {options.limit}" if options.limit else ""
    command += f" --clean CORPUS --files {options.files}" if options.clean else ""
    run = {
        "date": str(datetime.datetime.now(datetime.UTC).date()),
        "machine": f"{machine()}, {options.threads} of {cores()} cores",
        "commit": commit(),
        "model": f"{manifest.name} {manifest.version}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in VERSIONS)]
        ),
        "command": command,
    }
    return {"run": run, "warnings": warnings, **found.result()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes the run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="fixes with texts, .jsonl.gz")
    parser.add_argument("--model", type=Path, help="model folder, instead of the one that ships")
    parser.add_argument("--limit", type=int, help="bugs at most, evenly over repositories")
    parser.add_argument("--clean", type=Path, help="corpus (.jsonl.gz) of more clean code")
    parser.add_argument("--files", type=int, default=300, help="of it")
    parser.add_argument("--max-lines", type=int, default=3000, help="of a file")
    parser.add_argument("--threads", type=int, default=1, help="of the model")
    parser.add_argument("--out", type=Path, default=RUNS, help="folder of filters.json and .md")
    options = parser.parse_args(arguments)
    try:
        result = measure(options)
    except CodemlmError as error:
        raise SystemExit(f"error: {error}") from error
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    (options.out / "filters.json").write_text(text, "utf-8")
    page = markdown(result)
    (options.out / "filters.md").write_text(page, "utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
