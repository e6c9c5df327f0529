"""What `codemlm scan` does, once the command line is read."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

from codemlm import commands
from codemlm.commands import STDIN, failure_line, opened, read_stdin, stdin_bytes
from codemlm.config_files import ConfigFiles, ConfigRequest
from codemlm.errors import ConfigError, UsageError
from codemlm.source import Failure
from codemlm.terminal import Prefetch, ProgressLine, default_threads, wants_color, width_of
from codemlm.watch import Stamps, stamps_of, watch

if TYPE_CHECKING:
    import numpy as np

    from codemlm.baseline import Baseline
    from codemlm.cache import Cache
    from codemlm.changes import Changes
    from codemlm.config import Config
    from codemlm.discovery import Target
    from codemlm.fixer import Fixer
    from codemlm.formats.base import Reporter
    from codemlm.heatmap import LeafHeat
    from codemlm.report import Summary
    from codemlm.scanner import FileResult, Scanner, ScanOptions
    from codemlm.scoring import LeafModel, Scorer
    from codemlm.source import SourceFile


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What `codemlm scan` was asked for; see its options."""

    paths: Sequence[str]
    config: ConfigRequest
    output_file: str | None = None
    color: str = "auto"
    quiet: bool = False
    stdin_filename: str = "<stdin>"
    exit_zero: bool = False
    statistics: bool = False
    watch: bool = False
    write_baseline: bool = False
    since: str | None = None
    staged: bool = False
    diff: bool = False
    fix: bool = False
    unsafe_fixes: bool = False
    debug: bool = False


def scan(request: ScanRequest) -> int:
    """Runs `codemlm scan`; returns the exit code.

    Raises:
        UsageError: if what was asked for, or the configuration of the working directory, cannot be.
        ModelError: if there is no model.
    """
    _check(request)
    config = request.config.files().of_folder(".").config
    model = _Model(config, use_cache=config.cache and STDIN not in request.paths)
    if not request.watch:
        return _scan_once(request, model)
    watch(
        lambda: _scan_in_watch(request, model),
        lambda: _stamps(request),
        sleep=time.sleep,
        clock=time.monotonic,
    )
    return 0


def _check(request: ScanRequest) -> None:
    """Checks that options do not contradict each other.

    Raises:
        UsageError: if they do.
    """
    stdin, edits = STDIN in request.paths, request.diff or request.fix
    if request.watch and (stdin or request.output_file or edits or request.write_baseline):
        raise UsageError("--watch only shows findings: it reads no standard input, writes no file")
    if request.diff and request.fix:
        raise UsageError("--diff shows what --fix writes: choose one")
    if request.unsafe_fixes and not edits:
        raise UsageError("--unsafe-fixes needs --fix, which writes, or --diff, which only shows")
    if request.fix and stdin:
        raise UsageError("--fix cannot write standard input; --diff shows what it would do")
    if request.staged and (request.since is not None or edits or stdin):
        raise UsageError(
            "--staged reads what is staged: --since, --diff, --fix and standard input have no place"
        )
    if request.write_baseline and (request.staged or request.since is not None or edits or stdin):
        raise UsageError(
            "--write-baseline takes whole files: --staged, --since, --diff, --fix and standard "
            "input have no place"
        )


def _scan_once(request: ScanRequest, model: _Model) -> int:
    """One scan; returns the exit code."""
    started = time.monotonic()
    files = request.config.files()
    config = files.of_folder(".").config
    from codemlm.formats import make_reporter
    from codemlm.formats.base import Settings, measured_precision
    from codemlm.scanner import Scanner

    options = _options_by_path(files, debug=request.debug)
    with opened(request.output_file) as out, model.cache() as cache:
        names = commands.name_finder(request.config.isolated)
        scanner = Scanner(model.scorer, model.calibration, options, cache=cache, names=names)
        settings = Settings(
            out,
            color=wants_color(request.color, out),
            width=width_of(out),
            precision=measured_precision(model.calibration),
            heat=lambda result: _heat_of_result(result, model.scorer()),
        )
        reporter = make_reporter(config.output_format, settings, statistics=request.statistics)
        baseline = _baseline(request, config)
        steps = _Steps(files, config, baseline, _fixer(request, out), model, options)
        summary = _scan_all(request, steps, scanner, reporter)
    if not request.quiet:
        sys.stderr.write(summary.text(time.monotonic() - started) + "\n")
    if baseline is not None:
        _keep_baseline(request, baseline)
    if summary.errors:
        return 2
    passes = request.exit_zero or request.write_baseline
    return 1 if summary.findings and not passes else 0


def _baseline(request: ScanRequest, config: Config) -> Baseline | None:
    from codemlm.baseline import DEFAULT_BASELINE, Baseline

    if config.baseline is None and not request.write_baseline:
        return None
    return Baseline.read(config.baseline or DEFAULT_BASELINE, missing_ok=request.write_baseline)


def _keep_baseline(request: ScanRequest, baseline: Baseline) -> None:
    """Writes the baseline if that was asked for, or if a full scan finds less than it knows."""
    from codemlm.report import counted

    if request.write_baseline:
        count = baseline.replace()
        sys.stderr.write(f"{counted(count, 'finding')} in {baseline.path}.\n")
        return
    if STDIN in request.paths or request.staged or request.config.narrows():
        return
    try:
        gone = baseline.shrink()
    except UsageError as error:
        sys.stderr.write(f"note: {error}\n")
        return
    if gone and not request.quiet:
        sys.stderr.write(f"{counted(gone, 'finding')} gone: taken out of {baseline.path}.\n")


def _scan_in_watch(request: ScanRequest, model: _Model) -> None:
    """One of many scans: a configuration that cannot be used is told, and may be mended."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[2J\x1b[H")
    try:
        _scan_once(request, model)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
    sys.stderr.write("Watching for changes; Ctrl-C ends it.\n")
    sys.stdout.flush()


def _stamps(request: ScanRequest) -> Stamps:
    """The stamps of all files that a scan would read, and of their configurations."""
    from codemlm.discovery import Discovery

    files = request.config.files()
    found = Discovery(files.walk_rules).files(request.paths)
    return stamps_of(itertools.chain((one.path for one in found), files.candidates()))


def _options_by_path(files: ConfigFiles, *, debug: bool) -> Callable[[str], ScanOptions]:
    from codemlm.scanner import ScanOptions

    @lru_cache(maxsize=256)  # a file is asked for a few times, soon after one another
    def options_of(path: str) -> ScanOptions:
        return ScanOptions.of(files.of_file(path).config, path, debug=debug)

    return options_of


def _heat_of_result(result: FileResult, scorer: Scorer) -> Sequence[LeafHeat]:
    """Every leaf of a file that was scanned, judged in a pass of its own."""
    from codemlm.heatmap import heat_of
    from codemlm.languages import PYTHON, language_for_path
    from codemlm.syntax import parse

    parsed = parse(result.source, language_for_path(result.path) or PYTHON)
    return heat_of(parsed, scorer, gate_only=True)


@dataclass(frozen=True, slots=True)
class _Steps:
    """What stands between files and the report, besides the scanner.

    Attributes:
        files: the configurations.
        config: that of the working directory.
        baseline: known findings.
        fixer: what makes or shows edits.
        model: which tells of its work.
        options: what is reported of a file.
    """

    files: ConfigFiles
    config: Config
    baseline: Baseline | None
    fixer: Fixer | None
    model: _Model
    options: Callable[[str], ScanOptions]

    def filtered(
        self, results: Iterator[FileResult | Failure], changes: Changes | None
    ) -> Iterator[FileResult | Failure]:
        """The results without what the baseline, unchanged lines and the budget hold back.

        Names that are undefined in many files are held back, too.
        """
        from codemlm.everywhere import less_sure_everywhere

        if self.baseline is not None:
            results = self.baseline.only_new(results)
        if changes is not None:
            from codemlm.changes import only_changed

            results = only_changed(results, changes)
        results = less_sure_everywhere(results, self._least_undefined)
        if self.config.max_per_kloc is not None:
            from codemlm.budget import within_budget

            results = within_budget(results, self.config.max_per_kloc)
        return results

    def _least_undefined(self, path: str) -> float:
        from codemlm.rules import UNDEFINED_NAME

        return self.options(path).least(UNDEFINED_NAME, self.model.calibration.threshold)


def _scan_all(request: ScanRequest, steps: _Steps, scanner: Scanner, reporter: Reporter) -> Summary:
    from codemlm.discovery import Discovery
    from codemlm.report import Summary

    discovery = Discovery(steps.files.walk_rules)
    summary, progress = Summary(), ProgressLine("scanning", "files")
    steps.model.tell = progress.refresh
    paths = [path for path in request.paths if path != STDIN]
    changes = _changes(request)
    targets: Prefetch[Target | SourceFile | Failure]
    if changes is None:
        targets = Prefetch(discovery.files(paths))
    else:
        from codemlm.changes import changed_files

        targets = Prefetch(changed_files(paths, changes, discovery, steps.files))
    results = scanner.scan(targets)
    stdin = b""
    if STDIN in request.paths and not discovery.excludes(request.stdin_filename):
        stdin = stdin_bytes()
        read = read_stdin(request.stdin_filename, stdin)
        first = read if isinstance(read, Failure) else scanner.scan_source(read)
        results = itertools.chain([first], results)
    shows = not (request.diff or request.write_baseline)
    try:
        for done, found in enumerate(steps.filtered(results, changes), start=1):
            result = found
            if isinstance(result, Failure):
                if result.is_error or result.explicit:
                    progress.clear()
                    sys.stderr.write(failure_line(result))
            elif result.findings:
                progress.clear()
                if steps.fixer is not None:
                    result = steps.fixer.take(result, stdin if done == 1 and stdin else None)
                for part in result.parts() if shows else ():
                    reporter.file(part)
            summary.add(result)
            progress.update(done, targets.found if targets.complete else None, result.path)
    finally:
        progress.clear()
    if shows:
        reporter.finish(summary)
    if steps.fixer is not None and not request.quiet:
        steps.fixer.finish()
    return summary


def _fixer(request: ScanRequest, out: TextIO) -> Fixer | None:
    from codemlm.fixer import Fixer, say

    if not (request.diff or request.fix):
        return None
    # A diff shows everything that could be done: nothing is written.
    return Fixer(
        out if request.diff else None,
        unsafe=request.diff or request.unsafe_fixes,
        say=say,
        color=wants_color(request.color, out),
    )


def _changes(request: ScanRequest) -> Changes | None:
    from codemlm.changes import changes_since, staged_changes

    if request.staged:
        return staged_changes()
    return None if request.since is None else changes_since(request.since)


class _Model:
    """The model of a run, loaded when it is first needed: not at all if all files are known.

    Args:
        config: which model it is, and where the cache.
        use_cache: whether there is one. Without it, the model is loaded now.

    Attributes:
        calibration: of the model.
        tell: is called while the model is at work, so that progress shows within long files.
    """

    def __init__(self, config: Config, *, use_cache: bool) -> None:
        self.tell: Callable[[], None] = lambda: None
        self._folder = config.model_folder
        self._threads = config.threads or default_threads()
        self._scorer: Scorer | None = None
        self._identity = ""
        self._cache_folder: str | None = None
        if use_cache:
            from codemlm.cache import default_folder

            self._cache_folder = config.cache_dir or default_folder()
        if self._cache_folder is None:
            scorer, self.calibration = commands.load_model(self._folder, self._threads)
            self._watch(scorer)
        else:
            self._identity, self.calibration = commands.identify_model(self._folder)

    def scorer(self) -> Scorer:
        """The scorer of the model."""
        return self._scorer or self._watch(commands.load_model(self._folder, self._threads)[0])

    def _watch(self, scorer: Scorer) -> Scorer:
        scorer.model = _Watched(scorer.model, self)
        self._scorer = scorer
        return scorer

    @contextmanager
    def cache(self) -> Iterator[Cache | None]:
        """The cache, closed in the end, with a note if something was wrong with it."""
        if self._cache_folder is None:
            yield None
            return
        from codemlm.cache import Cache, code_fingerprint

        cache = Cache(self._cache_folder, f"{self._identity} {code_fingerprint()}")
        try:
            yield cache
        finally:
            cache.close()
            if cache.note is not None:
                sys.stderr.write(f"note: {cache.note}\n")


class _Watched:
    """A model that says when it is at work."""

    def __init__(self, model: LeafModel, owner: _Model) -> None:
        self._model, self._owner = model, owner
        self.num_global, self.window = model.num_global, model.window

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As the model's."""
        self._owner.tell()
        return self._model.run(arrays)


def clean_cache(config: Config) -> str:
    """Removes the cache; returns what was done."""
    from codemlm.cache import clean, default_folder

    folder = config.cache_dir or default_folder()
    if folder is None or not clean(folder):
        return "There is no cache."
    return f"Removed the cache in {folder}."
