"""What is scanned when: sessions of open texts, and which of their results still hold."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath

from codemlm.config import Config
from codemlm.discovery import Patterns, Target
from codemlm.errors import CodemlmError
from codemlm.findings import Finding
from codemlm.generated import is_generated
from codemlm.masking import is_maskable
from codemlm.rules import UNDEFINED_NAME
from codemlm.scanner import FileResult, ScanOptions
from codemlm.scoring import LeafScore
from codemlm.session import Session, SupersededError, View
from codemlm.source import Failure
from codemlm.types import Role
from codemlm_lsp.baselines import Baselines
from codemlm_lsp.documents import Snapshot, Store
from codemlm_lsp.models import Models, Polite
from codemlm_lsp.settings import Settings
from codemlm_lsp.worker import Debouncer, Urgency, Worker

NOTEBOOK_NAMES = frozenset({"display", "get_ipython", "In", "Out", "exit", "quit"})
"""Names that a notebook's kernel binds."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one version of a unit.

    Attributes:
        snapshot: the version.
        outcome: what a scan found; a failure, or what is wrong with the model; None: not scanned.
        generation: of the settings and the model.
        is_final: whether this is the result of a whole scan, and not of a first look at an edit.
        whole: the result with the findings that the baseline knows.
        baseline: path of the baseline, if there is one.
    """

    snapshot: Snapshot
    outcome: View | Failure | CodemlmError | None
    generation: int
    is_final: bool = True
    whole: FileResult | None = None
    baseline: str | None = None

    @property
    def view(self) -> View | None:
        """The outcome of a scan that succeeded."""
        return self.outcome if isinstance(self.outcome, View) else None


@dataclass(slots=True)
class _Unit:
    """State of one open document or notebook."""

    session: Session | None = None
    known: Known | None = None
    running: Future[Known] | None = None
    waiting: list[asyncio.Future[Known | None]] = field(default_factory=list)
    is_visible: bool = False


class Analyst:
    """Scans open texts after they change, and keeps the result of their current version.

    All methods are for the message loop's thread; scans run on the worker's.

    Args:
        store: what is open.
        worker: runs the scans.
        asker: runs what somebody waits for, and takes a pass of the model at most.
        debouncer: puts scans off while texts change.
        settings_for: settings for a path.
        config_for: configuration for a path.
        path_of: file system path of a URI.
        folder_of: workspace folder of a path, None outside.
        tell: called with a unit when its result is there.
        warn: called with what is wrong, in words, though scans go on.
    """

    def __init__(
        self,
        store: Store,
        worker: Worker,
        asker: Worker,
        debouncer: Debouncer,
        *,
        settings_for: Callable[[str | None], Settings],
        config_for: Callable[[str | None], Config],
        path_of: Callable[[str], str | None],
        folder_of: Callable[[str], str | None],
        tell: Callable[[Known], None],
        warn: Callable[[str], None],
    ) -> None:
        self.store = store
        self.worker, self.asker = worker, asker
        self.models = Models()
        self.baselines = Baselines()
        self.generation = 0
        self._debouncer = debouncer
        self._settings_for = settings_for
        self._config_for = config_for
        self._path_of = path_of
        self._folder_of = folder_of
        self._tell = tell
        self._warn = warn
        self._units: dict[str, _Unit] = {}

    def changed(self, unit: str, *, at_once: bool = False) -> None:
        """Takes note that a unit changed; it is scanned once it has rested for a while."""
        state = self._units.setdefault(unit, _Unit())
        if state.running is not None:
            state.running.cancel()  # a scan at work notices by the version
            state.running = None
        delay_ms = 0 if at_once else self._settings_for(self._path_of(unit)).debounce_ms
        self._debouncer.call(unit, delay_ms / 1000, partial(self._start, unit))

    def closed(self, unit: str) -> None:
        """Forgets a unit."""
        self._debouncer.cancel(unit)
        state = self._units.pop(unit, None)
        if state is None:
            return
        if state.running is not None:
            state.running.cancel()
        _answer(state, None)

    def visible(self, units: set[str]) -> None:
        """Takes note of what is on screen, which is scanned first."""
        for unit, state in self._units.items():
            state.is_visible = unit in units

    def restart(self, *, models: bool = False) -> None:
        """Scans everything again: settings have changed, or, with ``models``, models too."""
        self.generation += 1
        if models:
            self.worker.submit(Urgency.ASKED, partial(self._forget, list(self._units.values())))
        for unit, state in self._units.items():
            state.known = None
            self.changed(unit, at_once=True)

    def latest(self, unit: str) -> Known | None:
        """The result of the current version, if it is there."""
        state = self._units.get(unit)
        known = None if state is None else state.known
        if known is None or not self._is_current(known.snapshot, known.generation):
            return None
        return known

    async def current(self, unit: str, *, final: bool = False) -> Known | None:
        """The result of the current version, once it is there; None if the unit is not open.

        Args:
            unit: its URI.
            final: whether only that of a whole scan will do.
        """
        known = self.latest(unit)
        while (known is None or (final and not known.is_final)) and unit in self._units:
            waiter: asyncio.Future[Known | None] = asyncio.get_running_loop().create_future()
            self._units[unit].waiting.append(waiter)
            await waiter
            known = self.latest(unit)
        return known

    async def mask(self, known: Known, leaf: int) -> LeafScore | None:
        """What the model says of a leaf that the scan did not judge; None if it never does."""
        file = None if known.view is None else known.view.file
        if known.view is None or not is_maskable(Role(known.view.parsed.leaf_roles[leaf])):
            return None
        if file is None or leaf not in file.encoded.unit_leaf:
            return None
        path = self._path_of(known.snapshot.uri)
        config = self._config_for(path)

        def job() -> LeafScore | None:
            scorer = copy.copy(self.models.scanner(config, path or "").scorer)
            scorer.masked_window //= 2  # takes half of the time, and says nearly the same
            return next(iter(scorer.score_masked(file, [leaf])), None)

        return await asyncio.wrap_future(self.asker.submit(Urgency.ASKED, job))

    async def add_to_baseline(self, known: Known, name: str) -> bool:
        """Puts a finding, by its fingerprint, into the baseline; whether there is such a finding.

        Raises:
            UsageError: if the baseline cannot be read or written.
        """
        path, result = known.baseline, known.whole
        if path is None or result is None:
            return False
        job = partial(self.baselines.add, path, result, name)
        return await asyncio.wrap_future(self.worker.submit(Urgency.ASKED, job))

    async def scan_file(self, path: str) -> FileResult | Failure | None:
        """The result of a file on disk, after everything that is more urgent."""
        config = self._config_for(path)

        def job() -> FileResult | Failure | None:
            scanner = self.models.scanner(config, path)

            def between() -> None:
                self.worker.let_pass(Urgency.WORKSPACE)
                self.asker.wait_until_idle()

            scanner.scorer = copy.copy(scanner.scorer)
            scanner.scorer.batch_windows = 1  # somebody who asks shares the cores with it
            scanner.scorer.model = Polite(scanner.scorer.model, between)
            scanner.cache = self.models.cache(config)
            result = next(scanner.scan([Target(path, explicit=False)]), None)
            if isinstance(result, FileResult):
                return self.baselines.only_new(config.baseline, result)
            return result

        return await asyncio.wrap_future(self.worker.submit(Urgency.WORKSPACE, job))

    def files_done(self) -> None:
        """Takes note that no more files follow for now."""
        self.worker.submit(Urgency.WORKSPACE, self.models.close_caches)

    def session_of(self, unit: str) -> Session | None:
        """What scans a unit; for the worker's thread alone."""
        state = self._units.get(unit)
        return None if state is None else state.session

    def is_left_out(self, path: str, config: Config) -> bool:
        """Whether no scan of its workspace folder would read a file; .gitignore plays no part."""
        folder = self._folder_of(path)
        if folder is None:
            return False
        above = [parent for parent in PurePath(path).parents if parent.is_relative_to(folder)]
        inside = [path, *(f"{parent}/" for parent in above if str(parent) != folder)]
        return any(
            Patterns(glob.base or folder, [glob.pattern]).match(one)
            for glob in (*config.exclude, *config.extend_exclude)
            for one in inside
        )

    def _start(self, unit: str) -> None:
        state = self._units[unit]
        path = self._path_of(unit)
        snapshot = self.store.snapshot(unit, path)
        if snapshot is None:
            empty = Snapshot(unit, path or "", self.store.version_of(unit), (), b"")
            self._finish(state, Known(empty, None, self.generation))
            return
        config = self._config_for(path)
        generation = self.generation
        urgency = Urgency.VISIBLE if state.is_visible else Urgency.OPEN
        loop = asyncio.get_running_loop()

        def early(view: View) -> None:
            known = self._known(snapshot, view, generation, config, is_final=False)
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take_early, unit, known)

        job = partial(self._scan, state, snapshot, config, generation, urgency, early)
        future = state.running = self.worker.submit(urgency, job)

        def done(future: Future[Known]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, unit, future)

        future.add_done_callback(done)

    def _scan(
        self,
        state: _Unit,
        snapshot: Snapshot,
        config: Config,
        generation: int,
        urgency: Urgency,
        early: Callable[[View], None],
    ) -> Known:
        """On the worker: the result of a snapshot."""

        def check() -> None:
            self.worker.let_pass(urgency)
            if self.worker.stopped or not self._is_current(snapshot, generation):
                raise SupersededError(snapshot.uri)

        check()
        file = snapshot.file(config.max_bytes)
        outcome: View | Failure | CodemlmError | None
        if isinstance(file, Failure):
            outcome = file
        elif self.is_left_out(snapshot.path, config) or (
            not config.include_generated and is_generated(file.source)
        ):
            outcome = None
        else:
            try:
                if state.session is None:
                    state.session = Session(self.models.scanner(config, snapshot.path))
                state.session.scanner.options = ScanOptions.of(config, snapshot.path)
                outcome = state.session.scan(file, check, early)
                return self._known(snapshot, outcome, generation, config)
            except SupersededError:
                raise
            except CodemlmError as error:
                outcome = error
        return Known(snapshot, outcome, generation)

    def _known(
        self,
        snapshot: Snapshot,
        outcome: View | Failure,
        generation: int,
        config: Config,
        *,
        is_final: bool = True,
    ) -> Known:
        """What is known after a scan; findings of the baseline are not shown."""
        if isinstance(outcome, Failure):
            return Known(snapshot, outcome, generation)
        new = self.baselines.only_new(config.baseline, outcome.result)
        view = replace(outcome, result=new)
        return Known(snapshot, view, generation, is_final, outcome.result, config.baseline)

    def _forget(self, states: list[_Unit]) -> None:
        """On the worker, where a scan that was at work may have just loaded the old model."""
        self.models.clear()
        for state in states:
            state.session = None

    def _is_current(self, snapshot: Snapshot, generation: int) -> bool:
        same_version = self.store.version_of(snapshot.uri) == snapshot.version
        return same_version and generation == self.generation

    def _take(self, unit: str, future: Future[Known]) -> None:
        """On the loop: a scan ended. A result for an old version is dropped."""
        state = self._units.get(unit)
        if state is None or state.running is not future:
            return
        state.running = None
        try:
            known = future.result()
        except (SupersededError, CancelledError):
            return
        if self._is_current(known.snapshot, known.generation):
            self._finish(state, known)

    def _take_early(self, unit: str, known: Known) -> None:
        """On the loop: a scan has had a first look."""
        state = self._units.get(unit)
        if state is not None and self._is_current(known.snapshot, known.generation):
            self._finish(state, known)

    def _finish(self, state: _Unit, known: Known) -> None:
        state.known = known
        while self.models.notes:
            self._warn(self.models.notes.pop(0))
        _answer(state, known)
        self._tell(known)


def _answer(state: _Unit, known: Known | None) -> None:
    waiting, state.waiting = state.waiting, []
    for waiter in waiting:
        if not waiter.done():
            waiter.set_result(known)


def findings_of(known: Known) -> tuple[Finding, ...]:
    """The findings to show; of a notebook, without the names that its kernel binds."""
    view = known.view
    if view is None:
        return ()
    found = view.result.findings
    if known.snapshot.is_notebook:
        found = tuple(
            f for f in found if not (f.rule == UNDEFINED_NAME and f.text in NOTEBOOK_NAMES)
        )
    return found
