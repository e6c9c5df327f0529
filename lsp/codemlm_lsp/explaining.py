"""Why a place is a finding, or why it is none: a page that the client shows."""

from __future__ import annotations

import asyncio
import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.uris import from_fs_path

from codemlm.positions import Position
from codemlm.remembering import RememberingScorer
from codemlm.rule_pages import rule_markdown
from codemlm.rules import RULES
from codemlm.session import SupersededError
from codemlm.source import Failure
from codemlm_lsp.analysis import Analyst, Known
from codemlm_lsp.documents import path_of
from codemlm_lsp.hover import leaf_at
from codemlm_lsp.models import BATCH_WINDOWS, Polite
from codemlm_lsp.progress import Progress
from codemlm_lsp.worker import Urgency

if TYPE_CHECKING:
    from codemlm.explain import Explainer
    from codemlm_lsp.server import CodemlmServer

PATIENCE_S = 1.0
"""What takes longer has a progress bar."""
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Page:
    """An explanation.

    Attributes:
        name: of a file that could hold it.
        title: what is explained.
        text: what `codemlm explain` prints.
        rule: code of the finding's rule; None where there is none.
    """

    name: str
    title: str
    text: str
    rule: str | None

    def markdown(self) -> str:
        """The page, and that of the rule below it."""
        page = f"# {self.title}\n\n```text\n{self.text}\n```\n"
        return page if self.rule is None else f"{page}\n{rule_markdown(RULES[self.rule], level=2)}"


async def explain_place(ls: CodemlmServer, uri: str, at: types.Position) -> Page | None:
    """Explains the leaf at a position of a document's current version; None: there is none.

    Raises:
        CodemlmError: if the model or the baseline cannot be used.
    """
    known = await ls.analyst.current(ls.store.unit_of(uri))
    if known is None or known.view is None:
        return None
    offset = known.snapshot.offset(uri, at, ls.client.encoding)
    leaf = None if offset is None else leaf_at(known.view.parsed, offset)
    if leaf is None:
        return None
    loop, progress = asyncio.get_running_loop(), Progress(ls, "codemlm: explaining", "window")

    def advance(done: int, total: int) -> None:
        if progress.cancelled:
            raise SupersededError(uri)
        loop.call_soon_threadsafe(progress.report, done, total)

    explain = _job(ls, known, leaf, advance)
    future = asyncio.wrap_future(ls.analyst.worker.submit(Urgency.EXPLANATION, explain))
    done, _ = await asyncio.wait([future], timeout=PATIENCE_S)
    if not done:
        await progress.begin()
    try:
        return await future
    except SupersededError:
        return None
    finally:
        progress.end()


def _job(
    ls: CodemlmServer, known: Known, leaf: int, advance: Callable[[int, int], None]
) -> Callable[[], Page | None]:
    """What the worker does; all that it needs to know of the server is asked here, on the loop."""
    path = path_of(known.snapshot.uri)
    settings = ls.effective_for(path)
    analyst = ls.analyst
    left_out = path is not None and analyst.is_left_out(path, settings.config)

    def explain() -> Page | None:
        from codemlm.explain import Explainer

        file = known.snapshot.file(settings.config.max_bytes)
        if isinstance(file, Failure):
            return None
        scanner = analyst.models.scanner(settings.config, known.snapshot.path)
        session = analyst.session_of(known.snapshot.uri)
        # What the session knows of the text's windows need not be asked again.
        scorer = RememberingScorer(scanner.scorer if session is None else session.scorer)
        scorer.batch_windows = BATCH_WINDOWS
        scorer.model = Polite(scorer.model, lambda: _between(analyst))
        scanner = copy.copy(scanner)
        scanner.scorer = scorer
        explainer = Explainer(scanner, file, settings, left_out=left_out)
        return _page(explainer, known, leaf, advance)

    return explain


def _between(analyst: Analyst) -> None:
    """Lets go first what somebody waits for while typing or reading."""
    if analyst.worker.stopped:
        raise SupersededError("the server ends")
    analyst.worker.let_pass(Urgency.EXPLANATION)
    analyst.asker.wait_until_idle()


def _page(
    explainer: Explainer, known: Known, leaf: int, advance: Callable[[int, int], None]
) -> Page:
    from codemlm.explain_text import ExplanationPrinter

    one = explainer.explain(leaf, advance)
    name = PurePath(known.snapshot.path).name
    shown = f"{name} (its cells one below the other)" if known.snapshot.is_notebook else name
    out = io.StringIO()
    ExplanationPrinter(out, color=False, width=_WIDTH).print_one(shown, explainer.index, one)
    where: Position = explainer.index.position(one.leaf.span.start)
    finding = None if one.verdict is None else one.verdict.finding
    return Page(
        name=f"{PurePath(name).stem}-{where.line}-{where.column}.md",
        title=f"`{' '.join(one.leaf.text.split())}` in {name}, line {where.line}",
        text=out.getvalue().strip("\n"),
        rule=None if finding is None else finding.rule,
    )


async def show_page(ls: CodemlmServer, page: Page) -> None:
    """Shows a page as a document, or its text as a message where the client shows no documents."""
    if ls.supports("window", "show_document", "support"):
        path = Path(ls.pages) / page.name
        path.write_text(page.markdown(), encoding="utf-8")
        shown = types.ShowDocumentParams(str(from_fs_path(str(path))), take_focus=True)
        result = await ls.window_show_document_async(shown)
        if result.success:
            return
    ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, page.text))
