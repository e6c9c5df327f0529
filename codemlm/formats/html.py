"""The format html: the findings of a scan and heat maps of their files, as one page for browsers.

It is a format of the scan, and no command of its own: so do bandit, eslint, rubocop and
golangci-lint have it, and every option of the scan holds for it. The page is one file that loads
nothing; it works from a disk, a mail or a CI server's artifacts. Only files with findings get a
heat map, which takes a second pass of the model over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from codemlm import __version__
from codemlm.findings import Finding, percent
from codemlm.formats.base import SURE, Settings
from codemlm.heatmap import LEVELS, LeafHeat, level_of
from codemlm.page import Markup, document
from codemlm.positions import LineIndex
from codemlm.report import LEAST_ADVICE, Summary, counted, shown_text
from codemlm.rules import RULES
from codemlm.scanner import FileResult
from codemlm.terminal import utf8_path, visible
from codemlm.types import Span

CONTEXT_LINES = 3
LONGEST_MAP = 5_000
"""Lines of a file above which it gets no heat map: browsers are slow with such pages."""
LONGEST_TEXT = 80
"""Code points of a leaf or its alternative in a note."""
LONGEST_LINE = 2_000
"""Code points of a line that are shown."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file's part of the page, and what the list of files says of it."""

    path: str
    findings: int
    confidence: float
    body: Markup


class HtmlReporter:
    """One HTML page, at the end."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.heat = settings.heat
        self.files: list[_File] = []
        self.rules: set[str] = set()

    def file(self, result: FileResult) -> None:
        """Draws the file's findings and its heat map."""
        if not result.findings:
            return
        index = LineIndex(result.source)
        key = f"f{len(self.files)}"
        has_map = self.heat is not None and len(index.starts) <= LONGEST_MAP
        parts = [_card(index, f, key, has_map) for f in result.findings]
        if has_map:
            assert self.heat is not None
            parts.append(_heat_map(index, self.heat(result), key))
        path = visible(utf8_path(result.label))
        surest = max(f.confidence for f in result.findings)
        self.files.append(_File(path, len(result.findings), surest, Markup("\n".join(parts))))
        self.rules |= {f.rule for f in result.findings}

    def finish(self, summary: Summary) -> None:
        """Prints the page, files with the most confident findings first."""
        order = sorted(range(len(self.files)), key=lambda at: -self.files[at].confidence)
        body = [
            '<a class="skip" href="#findings">Skip to the findings</a>',
            f"<header>\n<h1>codemlm: {_title(summary)}</h1>\n{_introduction(summary)}",
            self._contents(order),
            "</header>",
            self._controls() if self.files else "",
            '<main id="findings">',
            *(self._section(at) for at in order),
            "</main>",
            f"<footer>codemlm {escape(__version__)}</footer>",
        ]
        title = f"codemlm: {_title(summary)}"
        content = Markup("\n".join(body))
        self.out.write(document(title, content, style=_asset("css"), script=_asset("js")))
        self.out.flush()

    def _contents(self, order: Sequence[int]) -> str:
        if len(order) < 2:
            return ""
        links = "\n".join(
            f'<li><a href="#s{at}"><code>{_text(self.files[at].path)}</code></a> '
            f'<span class="soft">{self.files[at].findings}</span></li>'
            for at in order
        )
        return f'<nav aria-label="Files"><ul class="files">\n{links}\n</ul></nav>'

    def _controls(self) -> str:
        options = "\n".join(
            f'<option value="{code}">{code} {escape(RULES[code].name)}</option>'
            for code in sorted(self.rules)
        )
        return f"""<div class="bar" role="group" aria-label="What is shown"><div>
<label>Rule <select id="rule" autocomplete="off"><option value="">all</option>
{options}</select></label>
<label>Least confidence <input id="least" type="range" min="0" max="95" step="5" value="0"
 autocomplete="off"> <output id="least-text" for="least">0 %</output></label>
<span id="shown" role="status"></span>
<span class="keys"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> heat map</span>
</div></div>"""

    def _section(self, at: int) -> str:
        file = self.files[at]
        count = counted(file.findings, "finding")
        return (
            f'<section class="file" aria-labelledby="s{at}">\n<h2 id="s{at}">{_text(file.path)} '
            f"<small>{count}</small></h2>\n{file.body}\n</section>"
        )


def heat_page(
    path: str, source: bytes, heat: Sequence[LeafHeat], doubts: Sequence[LeafHeat]
) -> str:
    """The heat map of one file as a page of its own, with links to its most doubtful leaves.

    Args:
        path, source: of the file.
        heat: every leaf, in source order.
        doubts: leaves to list, worst first.
    """
    index, name = LineIndex(source), _text(visible(utf8_path(path)))
    items = []
    for one in doubts:
        where = index.position(one.leaf.span.start)
        text = f"<code>{_text(visible(one.leaf.text[:LONGEST_TEXT]))}</code> {_text(_note(one))}"
        items.append(
            f'<li><a href="#heatL{where.line}">{where.line}:{where.column}</a> {text}</li>'
        )
    listed = f"<h2>Most doubtful</h2>\n<ol>{''.join(items)}</ol>" if items else ""
    body = f"""<header>
<h1><code>{name}</code></h1>
<p>Every leaf by how likely it is in its place; point at one to see what would be likelier.</p>
</header>
<main>
{listed}
{_heat_map(index, heat, "heat", is_open=True)}
</main>
<footer>codemlm {escape(__version__)}</footer>"""
    return document(path, Markup(body), style=_asset("css"))


def _asset(kind: str) -> str:
    return (files("codemlm.formats") / "assets" / f"report.{kind}").read_text("utf-8")


def _title(summary: Summary) -> str:
    return counted(summary.findings, "finding") if summary.findings else "no findings"


def _introduction(summary: Summary) -> Markup:
    scanned = counted(summary.files, "file")
    advice = "A finding is a place worth a second look, with its confidence, not a verdict."
    parts = [f"<p>{scanned} scanned. {advice}</p>"]
    failed = [f"{utf8_path(f.path)}: {f.reason}: {f.detail}" for f in summary.failed]
    if failed:
        items = "".join(f"<li>{_text(visible(text))}</li>" for text in failed)
        parts.append(f"<p>Could not be scanned:</p><ul>{items}</ul>")
    return Markup("\n".join(parts))


def _card(index: LineIndex, finding: Finding, key: str, has_map: bool) -> Markup:
    """A finding: where, which rule, how sure; the code; both probabilities."""
    where = index.position(finding.span.start)
    rule = RULES[finding.rule]
    sure = " sure" if finding.confidence >= SURE else ""
    button = '<button type="button" class="to-map">heat map</button>'
    label = f"{rule.code} {rule.name}, line {where.line}, {percent(finding.confidence)}"
    return Markup(f"""<article class="finding{sure}" tabindex="0" data-rule="{rule.code}"
 data-confidence="{finding.confidence:.4f}" data-map="{key}" data-line="{key}L{where.line}"
 aria-label="{escape(label)}">
<h3><code>{where.line}:{where.column}</code>
<span title="{escape(rule.summary)}">{rule.code} {escape(rule.name)}</span>
{button if has_map else ""}<span class="confidence">{percent(finding.confidence)}</span></h3>
{_frame(index, finding)}
{_odds(finding)}
</article>""")


def _frame(index: LineIndex, finding: Finding) -> Markup:
    """Lines around the finding, with its leaf marked."""
    first = index.line_of(finding.span.start)
    last = index.line_of(max(finding.span.start, finding.span.end - 1))
    marks = [finding.span]
    if finding.other is not None:
        marks.append(finding.other)
        other = index.line_of(finding.other.start)
        if abs(other - first) <= 2 * CONTEXT_LINES:
            first, last = min(first, other), max(last, other)
    first = max(1, first - CONTEXT_LINES)
    last = min(_num_lines(index), last + CONTEXT_LINES)
    pieces = [(span, "<mark>", "</mark>") for span in sorted(marks, key=lambda s: s.start)]
    rows = _rows(index, first, last, pieces)
    return Markup(f'<pre tabindex="-1">{"".join(rows)}</pre>')


def _odds(finding: Finding) -> Markup:
    """The message; and the probabilities of what stands there and of what may have been meant."""
    message = f'<p class="message">{_text(visible(finding.message))}</p>'
    if not finding.suggestions:
        return Markup(message)
    rows = [("shown", f"<code>{_text(visible(finding.text))}</code> here", finding.likelihood)]
    told = [s for s in finding.suggestions[:3] if s.likelihood >= LEAST_ADVICE]
    for suggestion in told or finding.suggestions[:1]:
        meant = shown_text(finding, suggestion)
        name = f"<code>{_text(visible(meant))}</code>" if meant else "nothing"
        rows.append(("", name, suggestion.likelihood))
    cells = "\n".join(
        f'<dt class="{kind}">{name}</dt><dd><meter value="{_share(value):.4f}" '
        f'aria-label="probability"></meter></dd><dd>{percent(value)}</dd>'
        for kind, name, value in rows
    )
    return Markup(f'{message}\n<dl class="odds">{cells}</dl>')


def _share(value: float) -> float:
    return min(1.0, max(0.0, value)) if value == value else 0.0  # NaN


def _note(heat: LeafHeat) -> str:
    """Both probabilities of a leaf, for people."""
    assert heat.likelihood is not None
    if not heat.alternatives:
        return percent(heat.likelihood)
    best = heat.alternatives[0]
    meant = visible(best.text[:LONGEST_TEXT]) or "nothing"
    return f"{percent(heat.likelihood)}; {meant} {percent(best.likelihood)}"


def _heat_map(
    index: LineIndex, heat: Sequence[LeafHeat], key: str, *, is_open: bool = False
) -> Markup:
    """The whole file, its leaves coloured by how likely they are."""
    pieces = []
    for one in heat:
        level = level_of(one.likelihood)
        if level is not None:
            opening = f'<span class="h{level}" title="{_text(_note(one))}">'
            pieces.append((one.leaf.span, opening, "</span>"))
    last = _num_lines(index)
    rows = "".join(_rows(index, 1, last, pieces, key))
    legend = "".join(
        f'<span class="h{at}">{escape(name)}</span>' for at, (_, name) in enumerate(LEVELS)
    )
    start = f'<details id="{key}"{" open" if is_open else ""}>'
    return Markup(f"""{start}<summary>Heat map, {counted(last, "line")}</summary>
<p class="legend">Likelihood: {legend}</p>
<pre tabindex="0" aria-label="Heat map">{rows}</pre></details>""")


def _num_lines(index: LineIndex) -> int:
    """Lines of the text; the empty one behind a last line end is none."""
    return max(1, len(index.starts) - (index.starts[-1] == len(index.source)))


def _rows(
    index: LineIndex,
    first: int,
    last: int,
    pieces: Sequence[tuple[Span, str, str]],
    key: str = "",
) -> list[str]:
    """Lines ``[first, last]`` as HTML.

    Args:
        index: of the source.
        first, last: 1-based lines.
        pieces: disjoint spans in source order, each with the tags around it; a span of several
            lines gets them on each.
        key: begins the lines' ids; "": they get none.
    """
    rows, at = [], 0
    for line in range(first, last + 1):
        begin = index.starts[line - 1]
        raw = index.line_bytes(line)
        while at < len(pieces) and pieces[at][0].end <= begin:
            at += 1
        parts, done, ahead = [], 0, at
        while ahead < len(pieces) and pieces[ahead][0].start < begin + len(raw):
            span, opening, closing = pieces[ahead]
            start, end = max(span.start - begin, done), min(span.end - begin, len(raw))
            if start > LONGEST_LINE:
                break
            parts += [_code(raw[done:start]), opening, _code(raw[start:end]), closing]
            done, ahead = end, ahead + 1
        parts.append(_code(raw[done:]))
        name = f' id="{key}L{line}"' if key else ""
        rows.append(f'<span class="row" data-n="{line}"{name}>{"".join(parts)}\n</span>')
    return rows


def _code(raw: bytes) -> str:
    """A part of a line, shortened, tabs kept, everything else that cannot be seen made visible."""
    text = raw.decode("utf-8")
    if len(text) > LONGEST_LINE:
        text = f"{text[:LONGEST_LINE]}…"
    return escape("\t".join(visible(part) for part in text.split("\t")))


def _text(text: str) -> str:
    """``text`` escaped, and without lone surrogates, which no UTF-8 file can hold."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"))
