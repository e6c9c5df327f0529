"""Why there is a finding at a place: as a document, or else as a message."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from codemlm_lsp.documents import path_of
from tests.lsp.harness import BUG, PATIENCE_S, Editor, capabilities, serving

pytestmark = pytest.mark.asyncio
URI = "file:///outside/area.py"


async def explained(editor: Editor) -> str:
    """What the code action of the first finding answers."""
    found = await editor.shown(URI)
    action = (await editor.actions(URI, found))[-1]
    assert action.title == "Explain CM101 here"
    answer = await editor.command(action.command.command, *action.command.arguments)
    assert isinstance(answer, str)
    return answer


async def test_a_place_is_explained_in_a_document() -> None:
    async with serving(capabilities()) as editor:
        editor.open(URI, BUG)
        answer = await explained(editor)
        assert answer.startswith("# `rows` in area.py, line 2\n")
        assert "area.py:2:12 `rows`, read: CM101" in answer
        for part in ("Likelihood", "Filters", "What makes the confidence", "## CM101"):
            assert part in answer
        (shown,) = editor.revealed
        assert shown.take_focus
        path = path_of(shown.uri)
        assert path is not None
        assert await asyncio.to_thread(Path(path).read_text, "utf-8") == answer
        # what is no finding can be asked about, too
        assert "no finding" in await editor.command("codemlm.explain", None, URI, 0, 5)
        for line, character in ((0, 3), (9, 9), (1, 12)):
            await editor.command("codemlm.explain", None, URI, line, character)
        assert await editor.command("codemlm.explain", None, "file:///not/open.py", 0, 0) is None
        assert "nothing to explain" in await asyncio.wait_for(editor.said.get(), PATIENCE_S)


async def test_a_client_that_shows_no_documents_is_told() -> None:
    async with serving() as editor:
        editor.open(URI, BUG)
        answer = await explained(editor)
        said = await asyncio.wait_for(editor.said.get(), PATIENCE_S)
        assert said in answer and "Filters" in said
        assert editor.revealed == []
        quiet = await editor.command("codemlm.explain", None, URI, 1, 12, False)
        assert quiet == answer
        assert editor.said.empty()
        # by its code alone, a rule is described
        assert "variable-misuse" in await editor.command("codemlm.explain", "CM101")
        assert await editor.command("codemlm.explain", "CM000") is None
        assert await editor.command("codemlm.explain") is None
