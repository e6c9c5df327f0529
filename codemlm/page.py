"""The frame of a self-contained HTML page: it loads nothing, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import NewType

Markup = NewType("Markup", str)
"""HTML in which every text has been escaped."""

PALETTE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #57606a; --paper: #ffffff;
  --band: #f3f5f7; --line: #d5dade; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e2e6ea; --soft: #a0a9b2; --paper: #14181c; --band: #1e2429; --line: #39424a;
    --link: #7fb8f5; } }
"""
"""Colours of both themes, as the style's variables."""


def document(title: str, body: Markup, *, style: str, script: str = "") -> str:
    """A whole page.

    Its policy forbids every request, and every script and style but the given ones, which are known
    by their hashes: even a hole in the escaping could neither run nor load anything.

    Args:
        title: of the window.
        body: what is shown.
        style: CSS, besides the palette.
        script: JavaScript that runs once the body is there; "": none.
    """
    style = PALETTE + style
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
    policy += _only("style", style)
    closing = ""
    if script:
        policy += f"; {_only('script', script)}"
        closing = f"<script>{script}</script>\n"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
{closing}</body>
</html>
"""


def _only(kind: str, text: str) -> str:
    """The directive that allows nothing of ``kind`` but ``text``."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"{kind}-src 'sha256-{digest}'"
