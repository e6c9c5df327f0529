"""Speed and memory of codemlm on this machine, beside pylint and pyflakes on the same files.

    python benchmarks/speed.py --corpus CORPUS/validation --out benchmarks/runs

Every command runs in a process of its own, one at a time, once before it is timed. Peak memory is
the largest resident set of the process, as the system counts it (POSIX alone).
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codemlm import __version__
from codemlm.evaluation.injected import SampledFile, sample_files
from codemlm.syntax import parse

VERSIONS = ("codemlm", "numpy", "onnxruntime", "tree-sitter", "pylint", "pyflakes")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds and peak memory of one command, run several times."""

    seconds: list[float]
    peak_bytes: int

    def text(self) -> str:
        """Mean and standard deviation."""
        return spread(self.seconds)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation of seconds."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f} s"


LAUNCHER = """
import os, sys, time
runs = []
for _ in range(int(sys.argv[1]) + 1):
    begin = time.perf_counter()
    pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - begin
    print(took, usage.ru_maxrss, os.waitstatus_to_exitcode(status), file=sys.stderr)
"""
"""Runs a command several times. A small process does it, because a child's peak memory is never
less than that of the process that started it."""


def timed(command: Sequence[str], runs: int, folder: Path, env: dict[str, str]) -> Timing:
    """Runs a command in a folder, once to warm up and then ``runs`` times.

    Raises:
        RuntimeError: if it fails, which no number of findings is.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, str(runs), *command],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    rows = [
        line.split()
        for line in done.stderr.splitlines()
        if re.fullmatch(r"[-\d.]+ \d+ -?\d+", line)
    ]
    if len(rows) != runs + 1 or re.search(
        r"^(error|Traceback)|No module named", done.stderr, re.MULTILINE
    ):
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Timing([float(row[0]) for row in rows[1:]], max(int(row[1]) for row in rows[1:]) * unit)


def repeated(work: Callable[[], object], runs: int) -> list[float]:
    """Seconds of some work in this process, once to warm up and then ``runs`` times."""
    seconds = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def machine() -> str:
    """The processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str:
    """The commit of this checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def version(name: str) -> str:
    """A package's version."""
    if name == "codemlm":
        return __version__
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write_files(files: Sequence[SampledFile], folder: Path) -> list[Path]:
    """Writes sampled files under names without folders."""
    paths = []
    for number, file in enumerate(files):
        paths.append(folder / f"m{number:04}_{Path(file.name).name}")
        paths[-1].write_bytes(file.parsed.source)
    return paths


def measure(options: argparse.Namespace) -> list[tuple[str, str, str, str]]:
    """Rows of the table: what, time, rate, peak memory."""
    files = sample_files(options.corpus, options.files, seed=0)
    lines = sum(file.lines for file in files)
    leaves = sum(len(file.parsed) for file in files)
    sources = [file.parsed.source for file in files]
    parsing = repeated(lambda: [parse(source) for source in sources], options.runs)
    rate = f"{leaves / statistics.mean(parsing):,.0f} leaves/s"
    rows = [
        (f"parse {len(files)} files, {lines:,} lines, in one process", spread(parsing), rate, "")
    ]
    env = dict(os.environ)
    if options.model is not None:
        env["CODEMLM_MODEL"] = str(options.model.resolve())
    codemlm = [sys.executable, "-m", "codemlm"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = write_files(files, folder)[0].name
        size = files[0].lines
        all_files = "*.py, all files"
        for label, command, runs, count in (
            ("python -c pass", [sys.executable, "-c", "pass"], options.starts, 0),
            ("codemlm --help", [*codemlm, "--help"], options.starts, 0),
            (
                f"codemlm scan, {size} lines",
                [*codemlm, "scan", "--threads", "1", one],
                options.starts,
                0,
            ),
            (
                "codemlm scan --threads 1",
                [*codemlm, "scan", "--threads", "1", "."],
                options.runs,
                lines,
            ),
            (f"codemlm scan, {cores()} threads", [*codemlm, "scan", "."], options.runs, lines),
            (f"pylint, {size} lines", [*pylint(), one], options.starts, 0),
            (
                "pylint -j 1",
                [*pylint(), *[p.name for p in sorted(folder.iterdir())]],
                options.runs,
                lines,
            ),
            ("pyflakes", [sys.executable, "-m", "pyflakes", "."], options.runs, lines),
        ):
            if label.endswith(" 1 threads"):
                continue
            print(f"{label} ...", file=sys.stderr, flush=True)
            timing = timed(command, runs, folder, env)
            rate = f"{count / statistics.mean(timing.seconds):,.0f} lines/s" if count else ""
            what = f"{label}: {all_files}" if count else label
            rows.append((what, timing.text(), rate, f"{timing.peak_bytes / 2**20:,.0f} MiB"))
    return rows


def pylint() -> list[str]:
    """The command of pylint: its own defaults, one process, nobody's configuration."""
    return [sys.executable, "-m", "pylint", "--rcfile=/dev/null", "-j", "1", "--persistent=n"]


def report(options: argparse.Namespace, rows: Sequence[Sequence[str]]) -> str:
    """The run as Markdown."""
    model = "the model that ships" if options.model is None else "another model"
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    counts = f"--files {options.files} --runs {options.runs} --starts {options.starts}"
    command = f"python benchmarks/speed.py --corpus CORPUS/validation {counts}"
    head = [
        f"# Speed, {datetime.datetime.now(datetime.UTC).date()}",
        "",
        f"- Machine: {machine()}, {cores()} cores used, {platform.system()} {platform.machine()}",
        f"- Commit: {commit()}; {model}",
        f"- Python {platform.python_version()}, {versions}",
        f"- Command: `{command}`; mean ± standard deviation",
        "",
        "| what | time | rate | peak memory |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows), ""])


def main() -> None:
    """Measures, prints the table and writes it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of .jsonl.gz files")
    parser.add_argument("--out", type=Path, help="folder to write <date>-<cpu>.md to")
    parser.add_argument("--model", type=Path, help="model folder, instead of the one that ships")
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5, help="of commands over all files")
    parser.add_argument("--starts", type=int, default=10, help="of commands over one file or none")
    options = parser.parse_args()
    text = report(options, measure(options))
    print(text)
    if options.out is not None:
        short = re.sub(r"[^a-z0-9]+", "-", machine().lower()).strip("-")[:40]
        today = datetime.datetime.now(datetime.UTC).date()
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{today}-{short}.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
