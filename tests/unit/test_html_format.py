"""The page of a scan: what it holds, that nothing else gets in, and how it behaves in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from codemlm.formats.html import heat_page
from codemlm.heatmap import LeafHeat
from codemlm.scanner import FileResult
from codemlm.scoring import Alternative
from codemlm.source import Failure, Reason
from codemlm.syntax import parse
from codemlm.types import Span
from tests.unit.browser import CHROMIUM, Browser
from tests.unit.reports import SOURCE, finding, printed, result

HOSTILE = (
    "\"'></span></script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x1b[2J\u202e"
)
VOID = {"meta", "input"}

in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def heat_of(shown: FileResult) -> Sequence[LeafHeat]:
    """Every `rows` is unlikely, more so the further down it stands."""
    levels = iter([0.3, 0.05, 0.005, 0.0005, 0.9, *[0.3] * 500])
    found = []
    for leaf in parse(shown.source).leaves():
        if leaf.text == "rows":
            found.append(LeafHeat(leaf, next(levels), (Alternative(HOSTILE, 0.9),)))
        else:
            found.append(LeafHeat(leaf, None))
    return found


def examples() -> list[FileResult | Failure]:
    hostile = f"def f(rows):\n\treturn rows, rows  # {HOSTILE}\r\n\n'''{HOSTILE}\n'''\n"
    swap = "f(low,\n  high)\n"
    long = "\n".join([*("x = 1" for _ in range(300)), "y = rows", *("z = 2" for _ in range(300))])
    return [
        result(SOURCE, finding(SOURCE, "rows"), finding(SOURCE, "cols", confidence=0.2)),
        result(
            hostile,
            finding(hostile, "rows", message=HOSTILE, confidence=0.95, rule="CM201"),
            path=f"{HOSTILE}.py",
        ),
        result(swap, finding(swap, "low", other=Span(9, 13), rule="CM113"), path="swap.py"),
        result(long + "\n", finding(long, "rows", confidence=0.3), path="long.py"),
        Failure(f"gone{HOSTILE}.py", Reason.MISSING, "no such file", explicit=True),
    ]


class Page(HTMLParser):
    """A page read strictly: every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.text += data


def test_page_is_well_formed_and_hostile_texts_stay_texts() -> None:
    page = Page(printed("html", examples(), heat=heat_of))
    names = [tag for tag, _ in page.tags]
    assert names.count("script") == 1 and "img" not in names
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith(("on", "src"))]
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "\x1b" not in page.text and "\u202e" not in page.text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        assert "style" not in attrs  # the policy would refuse it
        if "data-line" in attrs:
            assert {attrs["data-line"], attrs["data-map"]} <= set(ids)
        if attrs.get("href"):
            assert (attrs["href"] or "").lstrip("#") in ids


def test_page_without_heat_or_findings() -> None:
    page = Page(printed("html", examples()))
    assert not [tag for tag, _ in page.tags if tag == "details"]
    clean = printed("html", [result("x = 1\n")])
    assert "no findings" in Page(clean).text and "1 file scanned" in Page(clean).text


def test_sources_keep_their_lines_and_tabs() -> None:
    source = "if rows:\r\n\ta = rows\r\rb = '''x\ny'''\n"
    html = printed("html", [result(source, finding(source, "rows"))], heat=heat_of)
    map_text = html[html.index("<details") :]
    rows = re.findall(r'data-n="(\d+)" id="[^"]+">(.*?)\n</span>', map_text, re.DOTALL)
    plain = [(int(n), re.sub("<[^>]+>", "", text)) for n, text in rows]
    expected = ["if rows:", "\ta = rows", "", "b = &#x27;&#x27;&#x27;x", "y&#x27;&#x27;&#x27;"]
    assert plain == list(enumerate(expected, start=1))


def test_heat_page_of_one_file() -> None:
    shown = examples()[1]
    assert isinstance(shown, FileResult)
    heat = heat_of(shown)
    doubts = [one for one in heat if one.likelihood is not None]
    page = Page(heat_page(shown.path, shown.source, heat, doubts))
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [(attrs["href"] or "")[1:] for tag, attrs in page.tags if tag == "a"]
    assert links == ["heatL1", "heatL2", "heatL2"] and set(links) <= ids
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert [attrs for tag, attrs in page.tags if tag == "details"] == [{"id": "heat", "open": None}]
    assert {"h3", "h2", "h1"} <= {attrs.get("class") for _, attrs in page.tags}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(printed("html", examples(), heat=heat_of), "utf-8")
    return path


ACTIVE = "document.activeElement.getAttribute('aria-label')"


@in_chromium
def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.open(page, width=400)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    assert browser.value("getComputedStyle(document.querySelector('.bar')).position") == "sticky"


@in_chromium
def test_the_policy_refuses_what_is_not_ours(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.value(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://x.invalid'})"
        ", Object.assign(document.createElement('script'), {textContent: 'window.broken = 1'}))"
    )
    browser.value("void fetch('http://y.invalid').catch(() => 0)")
    assert browser.value("window.broken") is None
    assert any("Content Security Policy" in str(event) for event in browser.complaints())
    assert not any(".invalid" in url for url in browser.requests())


@in_chromium
def test_both_themes_can_be_read(browser: Browser, page: Path) -> None:
    script = """(() => {
      const luminance = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
          .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const back = (e) => {
        const color = getComputedStyle(e).backgroundColor;
        return color === 'rgba(0, 0, 0, 0)' ? back(e.parentElement) : color;
      };
      document.querySelectorAll('details').forEach((d) => { d.open = true; });
      const wanted = 'p, h2, h3, h3 span, code, mark, .row, .soft, .h0, .h1, .h2, .h3, dt, dd, kbd';
      let least = 99;
      for (const e of document.querySelectorAll(wanted)) {
        const [a, b] = [luminance(getComputedStyle(e).color), luminance(back(e))];
        least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
      }
      return [getComputedStyle(document.body).backgroundColor, least];
    })()"""
    papers = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        paper, contrast = browser.value(script)
        papers.append(paper)
        assert contrast >= 4.5  # WCAG 2.2, level AA
    assert papers == ["rgb(255, 255, 255)", "rgb(20, 24, 28)"]


@in_chromium
def test_keys_move_and_open_the_heat_map(browser: Browser, page: Path) -> None:
    browser.open(page)
    found = []
    for key in "jjjjjjk":
        browser.press(key)
        found.append(browser.value(ACTIVE).split(",")[0])
    surest_first = ["CM201 undefined-name", "CM101 variable-misuse", "CM101 variable-misuse"]
    last = ["CM113 argument-swap", "CM101 variable-misuse"]
    assert found == [*surest_first, *last, last[1], last[0]]
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("j")
    browser.press("Enter")
    assert browser.value("document.querySelectorAll('details[open]').length") == 1
    assert browser.value("document.querySelector('.here').dataset.n") == "301"
    top = browser.value("document.querySelector('.here').getBoundingClientRect().top")
    assert 0 < top < 880
    browser.press("Enter")
    assert browser.value("document.querySelectorAll('details[open]').length") == 0


@in_chromium
def test_filters_hide_findings_from_sight_and_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.value("rule.value = 'CM101', rule.dispatchEvent(new Event('change'))")
    browser.value("least.value = '50', least.dispatchEvent(new Event('input'))")
    assert browser.value("shown.textContent") == "1 of 5 shown"
    assert browser.value("document.querySelectorAll('.file:not([hidden])').length") == 1
    for key in "jj":
        browser.press(key)
        assert browser.value(ACTIVE) == "CM101 variable-misuse, line 3, 87 %"
