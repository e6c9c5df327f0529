"""Parts of a self-contained HTML page: its frame and style, tables, pictures, cells.

What comes from outside is escaped here and nowhere else: everything that builds a page passes
``Markup`` on, and only the functions of this module make it out of text.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from codemlm.evaluation.reading import finite, interval
from codemlm.page import Markup, document

NOTHING = Markup("")
MISSING = Markup('<p class="missing">Not measured.</p>')

_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main, nav, header { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .4rem;
  border-top: 1px solid var(--line); }
p, li, dd { max-width: 46rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0;
  margin: .8rem 0 0; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .4rem .8rem; }
.missing { color: var(--soft); font-style: italic; }
.warning { border-left: 5px solid #d55e00; background: var(--band); padding: .6rem .9rem; }
.scroll { overflow-x: auto; margin: 1rem 0 1.6rem; }
table { border-collapse: collapse; min-width: 22rem; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0 .5rem; }
caption small { font-weight: 400; color: var(--soft); display: block; }
th, td { padding: .28rem .75rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 500; }
thead th { font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--line); }
th.n, td.n { text-align: right; white-space: nowrap; }
thead th.n { white-space: normal; max-width: 8.5rem; }
th[scope=rowgroup] { background: var(--band); font-weight: 600; padding-top: .45rem; }
td.n small { display: block; color: var(--soft); font-size: .86em; line-height: 1.2; }
td.none { color: var(--soft); }
td.place { min-width: 16rem; overflow-wrap: anywhere; }
td.place small { display: block; color: var(--soft); }
code { font: .86em/1.4 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  background: var(--band); padding: .08em .3em; border-radius: 3px; overflow-wrap: anywhere;
  white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 1rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1.2rem 0 2rem; max-width: 50rem; }
figure img { display: block; width: 100%; height: auto; background: #fff; padding: .5rem;
  border: 1px solid var(--line); border-radius: 6px; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --band: #eee;
    --line: #999; --link: #000; }
  body { font-size: 10pt; }
  main, header { max-width: none; padding: 0; }
  nav, .skip { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding: .15rem .4rem; }
  tr, figure { break-inside: avoid; }
  h2, caption, tr.group { break-after: avoid; }
  thead { display: table-header-group; }
}
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its anchor, its heading, and what stands under it."""

    anchor: str
    title: str
    body: Markup


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: the text that names it, and its cells."""

    name: str
    cells: Sequence[Markup]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a heading of their own; "" for none."""

    title: str
    rows: Sequence[Row]


def page(title: str, introduction: Markup, sections: Sequence[Section], *, style: str = "") -> str:
    """A whole page, with links to its sections.

    Args:
        title: of the window, and the heading.
        introduction: what stands above the links.
        sections: the parts.
        style: CSS besides that of every such page.
    """
    links = "\n".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in sections)
    body = "\n".join(
        f'<section aria-labelledby="{s.anchor}">\n<h2 id="{s.anchor}">{escape(s.title)}</h2>\n'
        f"{s.body}\n</section>"
        for s in sections
    )
    content = f"""<a class="skip" href="#content">Skip to the results</a>
<header>
<h1>{escape(title)}</h1>
{introduction}
</header>
<nav aria-label="Sections">
<ul>
{links}
</ul>
</nav>
<main id="content">
{body}
</main>"""
    return document(title, Markup(content), style=_STYLE + style)


def join(*parts: Markup) -> Markup:
    """Parts one below the other."""
    return Markup("\n".join(part for part in parts if part))


def paragraph(text: str) -> Markup:
    """A paragraph of text."""
    return Markup(f"<p>{escape(text)}</p>")


def warning(text: str) -> Markup:
    """A paragraph that is not to be overlooked."""
    return Markup(f'<p class="warning" role="note"><strong>Warning:</strong> {escape(text)}</p>')


def terms(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Names with what they stand for."""
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs)
    return Markup(f"<dl>\n{rows}\n</dl>")


def picture(name: str, data: bytes, caption: str) -> Markup:
    """A PNG picture inside the page."""
    inlined = base64.b64encode(data).decode("ascii")
    return Markup(
        f'<figure>\n<img alt="{escape(name)}" src="data:image/png;base64,{inlined}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def table(
    caption: str, columns: Sequence[str], groups: Sequence[Group], *, note: str = "", texts: int = 0
) -> Markup:
    """A table that scrolls sideways by itself, with the keyboard too.

    Args:
        caption: what it shows.
        columns: heads; the first is of the rows' names.
        groups: the rows.
        note: small print under the caption.
        texts: how many of the last columns hold text; the others hold numbers.
    """
    first_text = len(columns) - texts
    heads = "".join(
        f'<th scope="col"{" class=n" if 0 < place < first_text else ""}>{escape(column)}</th>'
        for place, column in enumerate(columns)
    )
    bodies = "\n".join(_body(group, len(columns)) for group in groups)
    small = f"<small>{escape(note)}</small>" if note else ""
    return Markup(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">\n<table>\n'
        f"<caption>{escape(caption)}{small}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"{bodies}\n</table>\n</div>"
    )


def _body(group: Group, width: int) -> str:
    rows = [
        f'<tr><th scope="row">{escape(row.name)}</th>{"".join(row.cells)}</tr>'
        for row in group.rows
    ]
    if group.title:
        head = f'<th scope="rowgroup" colspan="{width}">{escape(group.title)}</th>'
        rows.insert(0, f'<tr class="group">{head}</tr>')
    return "\n".join(["<tbody>", *rows, "</tbody>"])


def text_cell(text: object) -> Markup:
    """A cell of words."""
    return Markup(f"<td>{escape(str(text))}</td>")


def code_cell(text: object) -> Markup:
    """A cell of code; what is empty is said to be."""
    if text in ("", None):
        return Markup('<td class="none">nothing</td>')
    return Markup(f"<td><code>{escape(str(text))}</code></td>")


def place_cell(path: str, detail: str) -> Markup:
    """A cell that names a place in a repository."""
    inner = f"<code>{escape(path)}</code><small>{escape(detail)}</small>"
    return Markup(f'<td class="place">{inner}</td>')


def number_cell(text: str | None, small: str = "", *, strong: bool = False) -> Markup:
    """A cell of a number, with its interval in small type; None: not measured."""
    if text is None:
        return Markup('<td class="n none" title="not measured">\N{EN DASH}</td>')
    shown = f"<strong>{escape(text)}</strong>" if strong else escape(text)
    return Markup(f'<td class="n">{shown}{f"<small>{escape(small)}</small>" if small else ""}</td>')


def share_cell(figure: object, *, strong: bool = False) -> Markup:
    """A cell of a share, or of a figure with its interval, in percent."""
    value, low, high = interval(figure)
    if value is None:
        return number_cell(None)
    ends = "" if low is None or high is None else f"{_percent(low)}\N{EN DASH}{_percent(high)}"
    return number_cell(f"{_percent(value)} %", ends, strong=strong)


def rate_cell(figure: object, *, strong: bool = False) -> Markup:
    """A cell of a figure that is no share."""
    value, low, high = interval(figure)
    if value is None:
        return number_cell(None)
    ends = "" if low is None or high is None else f"{_rate(low)}\N{EN DASH}{_rate(high)}"
    return number_cell(_rate(value), ends, strong=strong)


def count_cell(value: object) -> Markup:
    """A cell of a whole number."""
    number = finite(value)
    return number_cell(None if number is None else f"{number:,.0f}")


def _percent(share: float) -> str:
    """A share in percent; small ones, which recall at few alarms is, with a digit more."""
    return f"{share * 100:.1f}" if not 0 < abs(share) < 0.00995 else f"{share * 100:.2f}"


def _rate(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:,.1f}"
