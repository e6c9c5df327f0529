r"""Measures codemlm on real bugs, and writes everything that comes of it to a folder of runs.

    python benchmarks/real.py --records FIXES/test.jsonl.gz --repos REPOS/repos.tsv \
        --pairs PAIRS.jsonl.gz --ngrams CORPUS/train --name 2026-11-22-real

Puts the texts to the records first (`codemlm corpus pairs`), unless the file of pairs is there.
What follows `--` goes to `codemlm eval` as it is.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from speed import commit, cores, machine, version

RUNS = Path(__file__).parent / "runs"
VERSIONS = ("codemlm", "numpy", "onnxruntime", "tree-sitter", "tree-sitter-python")


def codemlm(*arguments: object) -> None:
    """Runs a command of codemlm; its output is this script's.

    Raises:
        SystemExit: if it fails.
    """
    command = [sys.executable, "-m", "codemlm", *map(str, arguments)]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SystemExit(f"`codemlm {shlex.join(map(str, arguments))}` failed with {code}")


def make_pairs(options: argparse.Namespace) -> None:
    """Makes the file of pairs, unless it is there.

    Raises:
        SystemExit: if it is not there, and nothing says what to make it of.
    """
    if options.pairs.exists():
        return
    if options.records is None or options.repos is None:
        raise SystemExit(f"{options.pairs}: not there; --records and --repos would make it")
    source = ("--records", options.records, "--repos", options.repos)
    workers = ("--workers", options.workers)
    codemlm("corpus", "pairs", *source, "--out", options.pairs, "--introductions", *workers)


def evaluate(options: argparse.Namespace, folder: Path, rest: Sequence[str]) -> None:
    """Runs the evaluation, with all its files in ``folder``."""
    given: list[object] = ["--real", options.pairs]
    for name in ("model", "ngrams", "threads"):
        if getattr(options, name) is not None:
            given += [f"--{name}", getattr(options, name)]
    given += ["--linters-cache", options.pairs.with_suffix(".linters.sqlite")]
    given += ["--json", folder / "real.json", "--markdown", folder / "real.md"]
    given += ["--html", folder / "real.html", "--figures", folder]
    codemlm("eval", *given, *rest)


def head(options: argparse.Namespace, rest: Sequence[str]) -> str:
    """Where and how it ran, as Markdown; folders of this machine have made-up names."""
    model = "the model that ships" if options.model is None else "another model"
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    words = ["--records RECORDS --repos REPOS --pairs PAIRS"]
    words += ["--ngrams CORPUS/train"] if options.ngrams is not None else []
    words += [f"--name {options.name}", *(["--", *rest] if rest else [])]
    lines = [
        f"# Real bugs, {datetime.datetime.now(datetime.UTC).date()}",
        "",
        f"- Machine: {machine()}, {cores()} cores used, {platform.system()} {platform.machine()}",
        f"- Commit: {commit()}; {model}",
        f"- Python {platform.python_version()}, {versions}",
        f"- Command: `python benchmarks/real.py {' '.join(words)}`",
        "- [All figures](real.json), [report for browsers](real.html)",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the pairs, evaluates, and writes the run."""
    own = list(sys.argv[1:] if arguments is None else arguments)
    rest: list[str] = []
    if "--" in own:
        own, rest = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="fixes with texts, .jsonl.gz")
    parser.add_argument("--records", type=Path, help="fixes without texts, to make the pairs of")
    parser.add_argument("--repos", type=Path, help="table of the repositories' git folders")
    parser.add_argument("--ngrams", type=Path, help="folder of .jsonl.gz to count n-grams on")
    parser.add_argument("--model", type=Path, help="model folder, instead of the one that ships")
    parser.add_argument("--name", required=True, help="of the run's folder")
    parser.add_argument("--out", type=Path, default=RUNS, help="folder of the runs")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--workers", type=int, default=1, help="processes that read histories")
    options = parser.parse_args(own)
    folder = options.out / options.name
    folder.mkdir(parents=True, exist_ok=True)
    make_pairs(options)
    evaluate(options, folder, rest)
    page = folder / "real.md"
    page.write_text(f"{head(options, rest)}\n{page.read_text('utf-8')}", "utf-8")
    print(folder)


if __name__ == "__main__":
    main()
