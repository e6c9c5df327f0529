"""Which model a scan uses when the settings name another one, and what is offered at the start."""

from __future__ import annotations

import asyncio
import threading

import pytest
from lsprotocol import types

from codemlm.config import DEFAULTS, Config
from codemlm.errors import ModelError
from codemlm.scanner import Scanner
from codemlm_lsp.analysis import Analyst
from codemlm_lsp.documents import Store
from codemlm_lsp.models import Models
from codemlm_lsp.settings import Settings
from codemlm_lsp.worker import Debouncer, LoopClock, Worker
from tests.cli.fake import load
from tests.lsp.harness import BUG, PATIENCE_S, capabilities, serving

pytestmark = pytest.mark.asyncio
URI = "untitled:a.py"


class Changing(Models):
    """Loads a model once; while it does, the settings change to one that is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.analyst: Analyst | None = None
        self.loaded = 0

    def scanner(self, config: Config, path: str) -> Scanner:
        self.loaded += 1
        if self.loaded > 1:
            raise ModelError("there is no such model")
        changed = threading.Event()

        def change() -> None:
            assert self.analyst is not None
            self.analyst.restart(models=True)
            changed.set()

        self.loop.call_soon_threadsafe(change)
        assert changed.wait(PATIENCE_S)
        return Scanner(*load(None, 1))


async def test_a_model_that_is_replaced_while_it_is_loaded_is_not_used() -> None:
    store, worker, asker = Store(), Worker("test"), Worker("test-asker")
    analyst = Analyst(
        store,
        worker,
        asker,
        Debouncer(LoopClock()),
        settings_for=lambda _: Settings(),
        config_for=lambda _: DEFAULTS,
        path_of=lambda _: None,
        folder_of=lambda _: None,
        tell=lambda _: None,
        warn=lambda _: None,
    )
    models = analyst.models = Changing()
    models.analyst = analyst
    try:
        analyst.changed(store.open(types.TextDocumentItem(URI, "python", 1, BUG)), at_once=True)
        known = await asyncio.wait_for(analyst.current(URI), PATIENCE_S)
    finally:
        worker.stop()
        asker.stop()
    assert known is not None
    assert isinstance(known.outcome, ModelError)


@pytest.mark.parametrize("wanted", [False, True])
async def test_the_workspace_is_offered_only_if_it_is_wanted(wanted: bool) -> None:
    options = {"workspaceDiagnostics": wanted}
    async with serving(capabilities(pull=True), options=options) as editor:
        offered = editor.offered.diagnostic_provider
        assert isinstance(offered, types.DiagnosticOptions)
        assert offered.workspace_diagnostics is wanted
