"""What `codemlm scan` does, once the command line is read."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from codemlm import commands
from codemlm.commands import STDIN, failure_line, opened, read_stdin
from codemlm.config_files import ConfigFiles, ConfigRequest
from codemlm.errors import ConfigError, UsageError
from codemlm.source import Failure
from codemlm.terminal import Prefetch, ProgressLine, default_threads, wants_color, width_of
from codemlm.watch import Stamps, stamps_of, watch

if TYPE_CHECKING:
    import numpy as np

    from codemlm.calibration import Calibration
    from codemlm.formats.base import Reporter
    from codemlm.heatmap import LeafHeat
    from codemlm.report import Summary
    from codemlm.scanner import FileResult, Scanner, ScanOptions
    from codemlm.scoring import LeafModel, Scorer


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
    debug: bool = False


def scan(request: ScanRequest) -> int:
    """Runs `codemlm scan`; returns the exit code.

    Raises:
        UsageError: if what was asked for, or the configuration of the working directory, cannot be.
        ModelError: if there is no model.
    """
    config = request.config.files().of_folder(".").config
    scorer, calibration = commands.load_model(
        config.model_folder, config.threads or default_threads()
    )
    scorer.model = _Watched(scorer.model)
    if not request.watch:
        return _scan_once(request, scorer, calibration)
    if STDIN in request.paths or request.output_file is not None:
        raise UsageError("--watch reads no standard input, and writes no file: leave them out")
    watch(
        lambda: _scan_in_watch(request, scorer, calibration),
        lambda: _stamps(request),
        sleep=time.sleep,
        clock=time.monotonic,
    )
    return 0


def _scan_once(request: ScanRequest, scorer: Scorer, calibration: Calibration) -> int:
    """One scan; returns the exit code."""
    started = time.monotonic()
    files = request.config.files()
    config = files.of_folder(".").config
    from codemlm.formats import make_reporter
    from codemlm.formats.base import Settings, measured_precision
    from codemlm.scanner import Scanner

    scanner = Scanner(scorer, calibration, _options_by_path(files, debug=request.debug))
    with opened(request.output_file) as out:
        settings = Settings(
            out,
            color=wants_color(request.color, out),
            width=width_of(out),
            precision=measured_precision(calibration),
            heat=lambda result: _heat_of_result(result, scorer),
        )
        reporter = make_reporter(config.output_format, settings, statistics=request.statistics)
        summary = _scan_all(request, files, scanner, reporter)
    if not request.quiet:
        sys.stderr.write(summary.text(time.monotonic() - started) + "\n")
    if summary.errors:
        return 2
    return 1 if summary.findings and not request.exit_zero else 0


def _scan_in_watch(request: ScanRequest, scorer: Scorer, calibration: Calibration) -> None:
    """One of many scans: a configuration that cannot be used is told, and may be mended."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[2J\x1b[H")
    try:
        _scan_once(request, scorer, calibration)
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


def _scan_all(
    request: ScanRequest, files: ConfigFiles, scanner: Scanner, reporter: Reporter
) -> Summary:
    from codemlm.budget import within_budget
    from codemlm.discovery import Discovery
    from codemlm.report import Summary

    discovery = Discovery(files.walk_rules)
    summary, progress = Summary(), ProgressLine("scanning", "files")
    if isinstance(scanner.scorer.model, _Watched):
        scanner.scorer.model.tell = progress.refresh
    targets = Prefetch(discovery.files(path for path in request.paths if path != STDIN))
    results = scanner.scan(targets)
    if STDIN in request.paths and not discovery.excludes(request.stdin_filename):
        results = itertools.chain([_scan_stdin(scanner, request.stdin_filename)], results)
    per_kloc = files.of_folder(".").config.max_per_kloc
    if per_kloc is not None:
        results = within_budget(results, per_kloc)
    try:
        for done, result in enumerate(results, start=1):
            summary.add(result)
            if isinstance(result, Failure):
                if result.is_error or result.explicit:
                    progress.clear()
                    sys.stderr.write(failure_line(result))
            elif result.findings:
                progress.clear()
                for part in result.parts():
                    reporter.file(part)
            progress.update(done, targets.found if targets.complete else None, result.path)
    finally:
        progress.clear()
    reporter.finish(summary)
    return summary


class _Watched:
    """A model that says when it is at work, so that progress shows within long files too."""

    def __init__(self, model: LeafModel) -> None:
        self._model = model
        self.tell: Callable[[], None] = lambda: None
        self.num_global, self.window = model.num_global, model.window

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As the model's."""
        self.tell()
        return self._model.run(arrays)


def _scan_stdin(scanner: Scanner, name: str) -> FileResult | Failure:
    read = read_stdin(name)
    return read if isinstance(read, Failure) else scanner.scan_source(read)
