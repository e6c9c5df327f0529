"""Commands of the server: what a client may ask for by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsprotocol import types

from codemlm import commands as product
from codemlm.errors import CodemlmError
from codemlm.report import counted
from codemlm.rule_pages import rule_markdown, rule_text
from codemlm.rules import RULES
from codemlm_lsp.actions import ADD_TO_BASELINE, EXPLAIN
from codemlm_lsp.explaining import explain_place, show_page
from codemlm_lsp.hover import REVEAL
from codemlm_lsp.server import CodemlmServer


async def scan_workspace(ls: CodemlmServer, *_: Any) -> dict[str, int]:
    """Scans all files of the workspace and shows what is found."""
    findings, files = await ls.files.push()
    message = f"codemlm: {counted(findings, 'finding')} in {counted(files, 'file')}"
    ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, message))
    return {"findings": findings, "files": files}


def restart(ls: CodemlmServer, *_: Any) -> None:
    """Reads the configuration and the model again, and scans everything anew."""
    ls.read_config_again(models=True)


def show_model(ls: CodemlmServer, *_: Any) -> dict[str, str]:
    """What is known of the model."""
    try:
        facts = dict(product.model_facts(ls.config_for(None).model_folder))
    except CodemlmError as error:
        ls.window_show_message(types.ShowMessageParams(types.MessageType.Error, str(error)))
        return {"error": str(error)}
    text = "\n".join(f"{name}: {value}" for name, value in facts.items())
    ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, text))
    return facts


async def explain(ls: CodemlmServer, *arguments: Any) -> str | None:
    """An explanation in Markdown, which is also shown.

    ``[code]`` asks for a rule's description; ``[code, uri, line, character]`` asks why there is a
    finding at a place, or why there is none: the code may be null. With ``false`` after that, the
    client shows the answer itself.
    """
    code, *place = arguments or (None,)
    if len(place) in (3, 4):
        uri, line, character = place[:3]
        try:
            page = await explain_place(ls, str(uri), types.Position(int(line), int(character)))
        except CodemlmError as error:
            ls.window_show_message(types.ShowMessageParams(types.MessageType.Error, str(error)))
            return None
        if page is None:
            said = "codemlm: there is nothing to explain here"
            ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, said))
            return None
        if place[3:] != [False]:
            await show_page(ls, page)
        return page.markdown()
    if not isinstance(code, str) or code not in RULES:
        return None
    rule = RULES[code]
    ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, rule_text(rule)))
    return rule_markdown(rule)


async def add_to_baseline(ls: CodemlmServer, *arguments: Any) -> bool:
    """Puts a finding into the baseline: ``[uri, fingerprint]``; it is no longer shown."""
    if len(arguments) != 2 or not all(isinstance(one, str) for one in arguments):
        return False
    uri, name = arguments
    known = await ls.analyst.current(ls.store.unit_of(uri), final=True)
    try:
        added = known is not None and await ls.analyst.add_to_baseline(known, name)
    except CodemlmError as error:
        ls.window_show_message(types.ShowMessageParams(types.MessageType.Error, str(error)))
        return False
    if added:
        ls.analyst.restart()
        ls.refresh()
    return added


def toggle_heat_map(ls: CodemlmServer, *_: Any) -> bool:
    """Shows or hides the heat map."""
    ls.heat_map = not ls.heat_map
    if ls.supports("workspace", "inlay_hint", "refresh_support"):
        ls.workspace_inlay_hint_refresh(None)
    return ls.heat_map


async def reveal(ls: CodemlmServer, *arguments: Any) -> bool:
    """Shows a place: ``[uri, line, character]``."""
    if len(arguments) != 3 or not ls.supports("window", "show_document"):
        return False
    uri, line, character = arguments
    at = types.Position(int(line), int(character))
    shown = types.ShowDocumentParams(str(uri), take_focus=True, selection=types.Range(at, at))
    result = await ls.window_show_document_async(shown)
    return bool(result.success)


COMMANDS: dict[str, Callable[..., Any]] = {
    "codemlm.scanWorkspace": scan_workspace,
    "codemlm.restart": restart,
    "codemlm.showModel": show_model,
    EXPLAIN: explain,
    ADD_TO_BASELINE: add_to_baseline,
    "codemlm.toggleHeatMap": toggle_heat_map,
    REVEAL: reveal,
}
