"""What findings look like: records, code frames laid out in screen cells, totals."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from codemlm.config_kinds import FORMATS
from codemlm.findings import Suggestion
from codemlm.frames import CodeFrame, Mark, full_rows, lay_out
from codemlm.heatmap import LeafHeat, heat_record, worst
from codemlm.listing import Listing, style_of
from codemlm.positions import LineIndex
from codemlm.report import Summary, finding_record, json_text
from codemlm.scanner import FileResult
from codemlm.scoring import Alternative
from codemlm.source import Failure, Reason
from codemlm.syntax import parse
from codemlm.terminal import visible
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, Span
from tests.unit.reports import SOURCE, finding, printed, result


def test_record() -> None:
    source = "'𝔘é'; rows\n"
    record = finding_record("a.py", LineIndex(source.encode()), finding(source, "rows"))
    assert record == {
        "path": "a.py",
        "line": 1,
        "col": 7,
        "end_line": 1,
        "end_col": 11,
        "text": "rows",
        "rule": "CM101",
        "name": "variable-misuse",
        "role": "read",
        "confidence": 0.874,
        "likelihood": 0.0021,
        "keep": 0.03,
        "suggestions": [
            {"text": "cols", "likelihood": 0.912},
            {"text": "i", "likelihood": 0.04},
            {"text": "j", "likelihood": 0.001},
        ],
        "message": "`rows` here is 0.2 %; `cols` is 91 %",
    }


@pytest.mark.parametrize(
    ("suggested", "text"), [(DELETE_TEXT, ""), (NEGATE_TEXT, "not rows"), ("cols", "cols")]
)
def test_suggestions_are_code(suggested: str, text: str) -> None:
    one = finding(SOURCE, "rows", suggestions=(Suggestion(suggested, 0.5),))
    record = finding_record("a.py", LineIndex(SOURCE.encode()), one)
    assert record["suggestions"] == [{"text": text, "likelihood": 0.5}]


def test_record_of_a_swap_over_lines() -> None:
    source = "f(rows,\n  cols)\n"
    one = finding(source, "rows", rule="CM113", other=Span(10, 14), keep=float("nan"))
    record = finding_record("a.py", LineIndex(source.encode()), one)
    assert record["other"] == {"line": 2, "col": 3, "end_line": 2, "end_col": 7}
    assert record["keep"] is None
    assert json.loads(json_text(record)) == record


def test_json_lines_are_utf8_whatever_the_path() -> None:
    records = [{"path": "日本.py"}, {"path": "\udcff\udcfe.py"}]
    lines = [json_text(r).encode("utf-8") for r in records]
    assert lines[0] == '{"path": "日本.py"}'.encode()
    assert [json.loads(line) for line in lines] == records


def test_concise_format() -> None:
    text = printed("concise", [result(SOURCE, finding(SOURCE, "rows"))])
    assert text == "a.py:3:19: CM101 87 % `rows` here is 0.2 %; `cols` is 91 %\n"


def test_full_format() -> None:
    text = printed("full", [result(SOURCE, finding(SOURCE, "rows"))])
    assert text == (
        "a.py:3:19 CM101 variable-misuse 87 %\n"
        "  |\n"
        "1 | def area(rows, cols):\n"
        "2 |     # both\n"
        "3 |     return rows * rows\n"
        "  |                   ^^^^ `rows` here is 0.2 %; `cols` is 91 %\n"
        "  |\n"
        "  = help: write `cols`; or `i` (4.0 %)\n"
        "\n"
    )


def test_full_format_of_a_swap() -> None:
    source = "f(a,\n  b)\n"
    one = finding(source, "a", rule="CM113", other=Span(7, 8), suggestions=(Suggestion("b", 0.9),))
    assert printed("full", [result(source, one)]).splitlines()[1:] == [
        "  |",
        "1 | f(a,",
        "  |   ^ `a` here is 0.2 %; `cols` is 91 %",
        "2 |   b)",
        "  |   -",
        "  |",
        "  = help: swap `a` and `b`",
        "",
    ]


@pytest.mark.parametrize(
    ("suggestions", "advice"),
    [
        ((Suggestion(DELETE_TEXT, 0.9),), "take `rows` away"),
        ((Suggestion(NEGATE_TEXT, 0.9),), "write `not rows`"),
        ((Suggestion("cols", 0.9), Suggestion(DELETE_TEXT, 0.1)), "write `cols`"),
        ((Suggestion("cols", 0.0),), None),
        ((), None),
    ],
)
def test_help(suggestions: tuple[Suggestion, ...], advice: str | None) -> None:
    text = printed("full", [result(SOURCE, finding(SOURCE, "rows", suggestions=suggestions))])
    helps = [line.partition("= help: ")[2] for line in text.splitlines() if "= help" in line]
    assert helps == ([] if advice is None else [advice])


def test_multi_line_leaf_is_underlined_on_each_line() -> None:
    source = "if a is\\\n    not b: pass\n"
    index = LineIndex(source.encode())
    frame = CodeFrame(index, [Mark(Span(5, 16), "^", "red")], 80)
    assert [row.plain for row in frame.rows()] == [
        "  |",
        "1 | if a is\\",
        "  |      ^^^",
        "2 |     not b: pass",
        "  | ^^^^^^^",
        "  |",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本 👩‍👩‍👧", "plain é 日本 👩‍👩‍👧"),
        ("\x1b[31m\x07\x7f\x00", "␛[31m␇␡␀"),
        ("\u202eevil\u2066", "<U+202E>evil<U+2066>"),
        ("a\u200bb\u2028c\x85d\ufeff", "a<U+200B>b<U+2028>c<U+0085>d<U+FEFF>"),
        ("\udcff\ue000", "<U+DCFF><U+E000>"),
        ("a\u00a0b\u3000c", "a b c"),
    ],
)
def test_what_would_steer_the_terminal_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert lay_out(text).text == shown


def underlined(line: str, name: str, width: int) -> tuple[str, str]:
    """The text above the carets, cut out by screen cells; and the row under the code."""
    source = f"{line}{name}"
    index = LineIndex(source.encode())
    start = len(line.encode())
    mark = Mark(Span(start, start + len(name.encode())), "^", "red")
    rows = [row.plain for row in CodeFrame(index, [mark], width).rows()]
    assert all(cell_len(row) <= width for row in rows)
    code, under = rows[1], rows[2]
    begin, end = under.index("^"), under.rindex("^") + 1
    cut, cells = "", 0
    for char in code:
        if begin <= cells < end:
            cut += char
        cells += cell_len(char)
    return cut, under


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\t",
        "a\tb = ",
        "日本 = ",
        "e\u0301e\u0301 = ",
        "x\x1b[0m = ",
        "a" * 500 + " = ",
        "日" * 500 + " = ",
        "\t" * 100,
        "e\u0301" * 300 + " = ",
        "x" * 900_000,
    ],
)
@pytest.mark.parametrize("width", [40, 80, 121])
def test_carets_stand_below_the_leaf(line: str, width: int) -> None:
    assert underlined(line, "rows", width)[0] == "rows"


@given(
    line=st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=150),
    width=st.integers(30, 100),
)
def test_carets_stand_below_the_leaf_whatever_precedes_it(line: str, width: int) -> None:
    if "\u200d" in line or any(0xFE00 <= ord(c) <= 0xFE0F or ord(c) >= 0x1F1E6 for c in line):
        return  # sequences whose width differs from the sum of their characters'
    cut, under = underlined(line + ";", "rows", width)
    assert cut == "rows"
    assert under.count("^") == 4


def test_long_leaf_and_long_context_are_cropped() -> None:
    source = "\n".join(["before " * 50, "'" + "long " * 100 + "'", "after " * 50])
    one = finding(source, "long " * 100, message="short")
    rows = full_rows("a.py", LineIndex(source.encode()), one, 60)
    assert all(row.cell_len <= 60 for row in rows)
    assert sum("…" in row.plain for row in rows) == 3


def test_label_moves_below_where_it_does_not_fit() -> None:
    source = f"{'x' * 40} = rows\n"
    rows = full_rows("a.py", LineIndex(source.encode()), finding(source, "rows"), 60)
    plain = [row.plain for row in rows]
    assert plain[3] == f"  | {' ' * 43}^^^^"
    assert plain[4].endswith("`rows` here is 0.2 %; `cols` is 91 %")
    assert len(plain[4]) == 60


def test_markup_and_escapes_in_source_do_nothing() -> None:
    source = "'[bold]\x1b[2J[/bold] :smile: [link=x]' + rows\n"
    text = printed(
        "full", [result(source, finding(source, "rows"), path="\x1b[2Ja.py")], color=True
    )
    assert "\x1b[2J" not in text
    assert "[bold]" in text
    assert ":smile:" in text
    assert "␛[2Ja.py" in text


def test_colour_only_where_wanted() -> None:
    shown = [result(SOURCE, finding(SOURCE, "rows"))]
    assert "\x1b[" in printed("full", shown, color=True)
    for kind in FORMATS:
        assert "\x1b" not in printed(kind, shown)


def test_summary() -> None:
    summary = Summary()
    assert summary.text(0.04) == "No findings in 0 files (0.0 s)."
    summary.add(result(SOURCE, finding(SOURCE, "rows"), finding(SOURCE, "cols")))
    summary.add(FileResult("b.py", b"", num_errors=3, num_silenced=1))
    summary.add(FileResult("c_pb2.py", b"", is_generated=True))
    summary.add(Failure("d.py", Reason.BINARY, ""))
    summary.add(Failure("e.py", Reason.BINARY, "", explicit=True))
    summary.add(Failure("f.py", Reason.TOO_LARGE, "", explicit=True))
    assert summary.text(12.34) == (
        "2 findings in 1 of 2 files (12.3 s). 1 finding silenced by comments. "
        "Syntax errors in 1 file: only what parses was judged. "
        "Not scanned: 2 binary, 1 too large, 1 generated."
    )
    assert summary.errors == 1


def heat(source: str, **likelihoods: tuple[float, str, float]) -> list[LeafHeat]:
    """Heat of a source whose leaves have given (likelihood, best alternative, its likelihood)."""
    found = []
    for leaf in parse(source.encode()).leaves():
        known = likelihoods.get(leaf.text)
        if known is None:
            found.append(LeafHeat(leaf, None))
        else:
            found.append(LeafHeat(leaf, known[0], (Alternative(known[1], known[2]),)))
    return found


def test_listing() -> None:
    source = "def f(a, b):\n\n\treturn a + 日本  # [red]\n"
    out = io.StringIO()
    listing = Listing(out, color=False, width=60)
    shown = heat(source, a=(0.002, "b", 0.9), 日本=(0.3, "b", 0.31), b=(0.9, "a", 0.05))
    listing.print_file("a.py", source.encode(), shown, 20)
    assert out.getvalue().splitlines() == [
        "a.py",
        "1 | def f(a, b):",
        "  |       ^ `a` 0.2 %; `b` 90 %",
        "2 |",
        "3 |     return a + 日本  # [red]",
        "  |            ^ `a` 0.2 %; `b` 90 %",
    ]


def test_listing_is_cropped_and_coloured() -> None:
    source = f"x = {'y' * 100} + z\n"
    out = io.StringIO()
    Listing(out, color=True, width=40).print_file(
        "a.py", source.encode(), heat(source, z=(0.1, "x", 0.8), x=(0.0005, "y", 0.0)), 20
    )
    text = out.getvalue()
    assert "…" in text
    assert "`z` 10 %; `x` 80 %" in text
    assert "under 0.1 %" in text
    assert (
        "\x1b[1;38;5;231;48;5;124mx" in text or "\x1b[1;38;2;255;255;255;48;2;185;28;28mx" in text
    )


def test_heat_levels() -> None:
    styles = [style_of(p) for p in (None, 0.0, 1.0, 0.5, 0.4, 0.05, 0.005, 0.0005)]
    assert styles[:4] == [""] * 4
    assert len(set(styles[4:])) == 4


def test_worst_compares_with_the_best_alternative() -> None:
    shown = heat(
        "a + b + c + d",
        a=(0.01, "x", 0.02),
        b=(0.4, "x", 0.6),
        c=(0.9, "x", 0.1),
        d=(0.0, "x", 0.9),
    )
    assert [h.leaf.text for h in worst(shown, 9)] == ["b", "a"]
    assert [h.leaf.text for h in worst(shown, 1)] == ["b"]


def test_heat_record() -> None:
    source = "é = b\n"
    (shown,) = [h for h in heat(source, b=(0.25, "c", 0.5)) if h.likelihood is not None]
    assert heat_record("a.py", LineIndex(source.encode()), shown) == {
        "path": "a.py",
        "line": 1,
        "col": 5,
        "end_line": 1,
        "end_col": 6,
        "text": "b",
        "role": "read",
        "likelihood": 0.25,
        "masked": False,
        "alternatives": [{"text": "c", "likelihood": 0.5}],
    }
