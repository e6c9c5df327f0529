"""The page of an evaluation on real bugs: what stands in it, and that nothing else gets in."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from codemlm.evaluation.figures import CAPTIONS
from codemlm.evaluation.html import html_report
from codemlm.evaluation.page import rate_cell, share_cell
from codemlm.evaluation.reading import FIGURE_GROUPS, prevalence
from tests.unit.real_results import BUDGETS, RANKERS, real_result

Result = dict[str, Any]
VOID = {"meta", "img", "link", "br", "hr", "input"}
PIXEL = b"\x89PNG\r\n\x1a\nnot really"
PICTURES = {name: PIXEL + name.encode() for name in CAPTIONS}
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"


class Page(HTMLParser):
    """A page read as a browser would, strictly: every element is closed where it should be.

    Attributes:
        tags: every start tag with its attributes.
        tables: rows of cells of each table, by caption.
        text: all text outside of the style, with plain hyphens.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice: {tag} {names}"
        self.tags.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> where it is not open"
        if tag == "table":
            assert self._caption and self._caption not in self.tables
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        data = data.replace("\N{EN DASH}", "-")
        self.text += data
        if self._open and "caption" in self._open and "small" not in self._open:
            self._caption += data
        elif "td" in self._open or "th" in self._open:
            self._rows[-1][-1] += f" {data}" if self._rows[-1][-1] else data

    def row(self, caption: str, *names: str) -> list[str]:
        """Cells of the row of that name; after the row of another name, if two are given."""
        rows = self.tables[caption]
        for name in names:
            place = next(i for i, row in enumerate(rows) if row[0] == name)
            rows = rows[place:]
        return rows[0][1:]


def test_the_page_is_whole_and_the_same_each_time() -> None:
    result = real_result()
    html = html_report(result, PICTURES)
    assert html == html_report(copy.deepcopy(result), dict(reversed(PICTURES.items())))
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>\n") and html.count("</html>") == 1
    anchors = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    targets = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(targets) == len(set(targets))
    assert {f"#{target}" for target in targets} == anchors
    assert "codemlm 0.2.0" in page.text and "leafy 3" in page.text
    assert "183,211" in page.text and "too long" in page.text


def test_nothing_is_fetched() -> None:
    page = Page(html_report(real_result(), PICTURES))
    urls = [
        value
        for _, attrs in page.tags
        for name, value in attrs.items()
        if name in ("src", "href", "srcset", "action", "data", "poster", "background")
    ]
    assert urls and all(url and url.startswith(("#", "data:image/png;base64,")) for url in urls)
    html = html_report(real_result())
    assert "//" not in html and "url(" not in html and "@import" not in html
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}


def test_pictures_are_inlined_with_their_captions() -> None:
    more = {**PICTURES, "of <others>.png": b"more"}
    page = Page(html_report(real_result(), more))
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    inlined = [base64.b64decode((image["src"] or "").split(",")[1]) for image in images]
    assert sorted(inlined) == sorted(more.values())
    assert all(image["alt"] for image in images)
    assert all(caption in page.text for caption in CAPTIONS.values())
    assert "of <others>" in page.text


@pytest.mark.parametrize(
    ("caption", "population"),
    [
        ("Rankers: all bugs (473)", "all"),
        ("Rankers: bugs that neither pyflakes nor ruff reports (402)", "unreported"),
    ],
)
def test_every_figure_of_every_ranker_is_in_the_big_tables(caption: str, population: str) -> None:
    result = real_result()
    page = Page(html_report(result))
    assert page.tables[caption][0] == ["", *RANKERS]
    shown = [cell for row in page.tables[caption][1:] for cell in row[1:]]
    told = [of[population]["figures"] for of in result["rankers"].values()]
    names = [name for _, group in FIGURE_GROUPS for name, _ in group if name in told[0]]
    assert set(names) == set(told[0])
    expected = [
        re.sub("<[^>]+>", " ", cell(figures.get(name))).replace("\N{EN DASH}", "-").split()
        for name in names
        for cell in (rate_cell if name.endswith("kloc") else share_cell,)
        for figures in told
    ]
    assert [cell.split() for cell in shown] == expected


def test_figures_are_readable() -> None:
    page = Page(html_report(real_result()))
    caption = "Rankers: all bugs (473)"
    at = "Found, at so many findings in 1,000 lines of clean code"
    assert page.row(caption, "The wrong leaf comes", "first")[0] == "10.0 % 7.5-12.5"
    assert page.row(caption, at, "at 1")[0] == "5.0 % 3.8-6.2"
    assert page.row(caption, at, "at 0.1")[3] == "0.47 % 0.36-0.59"
    own = page.row(caption, "As reported by default", "findings in 1,000 clean lines")
    assert own == ["0.71 0.53-0.89", *["-"] * 4]
    assert len([row for row in page.tables[caption] if row[0].startswith("at ")]) == 12
    assert {f"at {budget:g}" for budget in BUDGETS} <= {row[0] for row in page.tables[caption]}


def test_linters_kinds_commits_and_confidence_have_their_tables() -> None:
    page = Page(html_report(real_result()))
    found = "bugs with one at their statement, gone after the fix"
    assert page.row("Linters: all bugs (473)", found)[1] == "16.0 % 12.0-20.0"
    rate = page.row("Linters: all bugs (473)", "messages in 1,000 clean lines")
    assert rate[2] == "41.0 30.8-51.2"
    alarmed = page.row(
        "Linters: all bugs (473)", "As reported by default", "clean functions alarmed"
    )
    assert alarmed[0] == "3.1 % 2.3-3.9"
    assert page.row("Versions", "mypy") == ["3.4.0", "--select F,E9"]
    told = page.row("Bugs that linters report, by kind", "variable")
    assert told == ["310", "15.0 %", "16.0 %", "18.0 %", "11.0 %"]
    assert page.row("The product: all bugs", "prefix-missing")[:2] == ["1", "12.0 %"]
    assert page.row("Leaves of the changed lines", "mean of 1 / rank")[0] == "0.31 0.23-0.39"
    assert page.row("Reports on the changed lines", "nothing is reported") == ["90.0 % 85.5-94.5"]
    sizes = "The wrong leaf comes first, by leaves on the changed lines (commits)"
    assert page.tables[sizes][0] == ["ranker", "1-20 (101)", "21-100 (200)"]
    assert page.row(sizes, "n-gram") == ["9.0 %", "3.3 %"]
    shown = page.row("Findings of the product by confidence", "90-100 %")
    assert shown == ["24", "94.0 %", "73.0 %"]
    assert "Expected calibration error: 0.062" in page.text


def test_alarms_and_misses_say_where_they_are() -> None:
    page = Page(html_report(real_result()))
    alarms = page.tables["Findings on clean code, the most confident first"]
    place = "package/part/module_0.py:100 owner/project0 @ 000000000000"
    assert alarms[1] == ["1", "97.0 %", place, "CM101", "rows", "columns"]
    assert len(alarms) == 11
    misses = page.tables["Bugs that the product ranks last among the leaves of their files"]
    assert misses[10][1] == "891" and misses[10][3:6] == ["variable", "row", "column"]


def test_tables_can_be_heard_and_reached_with_the_keyboard() -> None:
    html = html_report(real_result())
    page = Page(html)
    heads = [attrs for tag, attrs in page.tags if tag == "th"]
    assert {attrs.get("scope") for attrs in heads} == {"col", "row", "rowgroup"}
    regions = [attrs for tag, attrs in page.tags if attrs.get("class") == "scroll"]
    assert len(regions) == len(page.tables)
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)
    assert "prefers-color-scheme: dark" in html and "@media print" in html


def test_the_best_of_a_row_is_bold_but_for_costs() -> None:
    html = html_report(real_result()).replace("\N{EN DASH}", "-")
    assert '<td class="n"><strong>10.0 %</strong><small>7.5-12.5</small></td>' in html
    assert "<strong>3.10</strong>" not in html and "<strong>0.12 %</strong>" not in html


def hostile(value: Any) -> Any:
    """The value with every text and every name in it replaced by one that tries to break out."""
    if isinstance(value, dict):
        known = {"commits", "rankers", "figures", "by_kind", "all", "unreported", "product"}
        keep = known | {"bugs", "value", "low", "high", "linters", "data", "kinds", "skipped"}
        keep |= {"alarms", "misses", "model", "settings", "compared", "sizes", "by_size"}
        keep |= {"repo", "commit", "path", "line", "rule", "text", "suggestion", "confidence"}
        keep |= {"rank", "kind", "before", "after", "message", "options", "version", "name"}
        keep |= {"reliability", "codemlm", "count", "precision", "mean_confidence", "found"}
        return {k if k in keep else f"{HOSTILE} {k}": hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_texts_stay_texts() -> None:
    result = hostile(real_result())
    result["alarms"][0]["line"] = result["data"]["bugs"] = {HOSTILE: [HOSTILE]}
    html = html_report(result, {HOSTILE: PIXEL})
    page = Page(html)
    assert "<script" not in html and "<img src=x" not in html
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert {tag for tag, _ in page.tags} == {
        tag for tag, _ in Page(html_report(real_result(), PICTURES)).tags
    }
    assert page.text.count(HOSTILE) > 100


def empty(result: Result) -> None:
    result.clear()


def parts_of_none(result: Result) -> None:
    for part in result:
        result[part] = None


def empty_parts(result: Result) -> None:
    for part, value in result.items():
        result[part] = type(value)()


def nothing_but_chance(result: Result) -> None:
    result["rankers"] = {"chance": {"all": {"bugs": 1, "figures": {}}, "unreported": None}}
    result["compared"] = {"rankers": {"masked ratio": None}}
    result["linters"] = {"ruff": {"all": None, "unreported": None, "by_kind": {"variable": None}}}
    result["commits"] = {"bugs": 3, "rankers": {"product": None}}
    result["alarms"], result["misses"] = [{}], [{}]
    result["data"] = {"kinds": {"variable": None}}


@pytest.mark.parametrize("change", [empty, parts_of_none, empty_parts, nothing_but_chance])
def test_what_was_not_measured_is_said(change: Callable[[Result], None]) -> None:
    result = real_result()
    change(result)
    text = Page(html_report(result)).text.lower()
    assert text.count("not measured") >= 5
    assert "none" not in text.split() and "nan" not in text


def test_figures_without_a_value_and_kinds_with_one_bug() -> None:
    result = real_result()
    figures = result["rankers"]["product"]["all"]["figures"]
    figures["top1"] = {"value": None, "low": None, "high": None}
    figures["top3"] = {"value": float("nan"), "low": None, "high": 1.0}
    figures["paired"] = 0.75
    figures["something_new"] = {"value": 0.125, "low": 0.1, "high": 0.2}
    caption = "Rankers: all bugs (473)"
    page = Page(html_report(result))
    assert page.row(caption, "The wrong leaf comes", "first")[0] == "-"
    assert page.row(caption, "among the first three")[0] == "-"
    assert page.row(caption, "more suspicious before")[0] == "75.0 %"
    assert page.row(caption, "Others", "something new") == ["12.5 % 10.0-20.0", *["-"] * 4]


def test_warnings_come_first() -> None:
    result = real_result()
    assert "Warning" not in Page(html_report(result)).text
    told = "2 of 61 repositories are <known> to the model"
    text = Page(html_report({**result, "warnings": [told]})).text
    assert 0 < text.index(f"Warning: {told}") < text.index("Every bug is one")


def test_prevalence_is_stated_as_far_as_it_is_known() -> None:
    data: Result = {"bugs": 4, "lines": 1000}
    assert prevalence(data) == "Prevalence: one bug in a file; 4 bugs, 1,000 clean lines."
    data["lines_per_bug"] = 312.4
    assert prevalence(data) == "Prevalence: one bug in a file, of 312 lines on average."
    assert prevalence({}) == ""


def test_commits_may_have_their_figures_one_level_up() -> None:
    result = real_result()
    rankers = result["commits"]["rankers"]
    result["commits"] = {"bugs": 301, "rankers": {n: r["figures"] for n, r in rankers.items()}}
    page = Page(html_report(result))
    assert page.row("Leaves of the changed lines", "first")[0] == "20.0 % 15.0-25.0"
