"""One value is set in a TOML file, and no other byte changes."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemlm.toml_edit import with_value

PATH = ("tool", "codemlm", "min-confidence")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[tool.codemlm]\n", "[tool.codemlm]\nmin-confidence = 0.25\n"),
        ("[tool.codemlm]", "[tool.codemlm]\nmin-confidence = 0.25\n"),
        (
            "# ours\n[tool.codemlm]  # here\nignore = []  # none\n\n\n[tool.ruff]\n",
            (
                "# ours\n[tool.codemlm]  # here\nignore = []  # none\nmin-confidence = 0.25\n\n\n"
                "[tool.ruff]\n"
            ),
        ),
        (
            "[tool.codemlm]\nmin-confidence  =  0.5  # was 0.4\nthreads = 1\n",
            "[tool.codemlm]\nmin-confidence  =  0.25  # was 0.4\nthreads = 1\n",
        ),
        (
            '[tool.codemlm]\n"min-confidence" = 0.5\n',
            '[tool.codemlm]\n"min-confidence" = 0.25\n',
        ),
        (
            "[tool.codemlm]\r\nmin-confidence = 0.5\r\nthreads = 1\r\n",
            "[tool.codemlm]\r\nmin-confidence = 0.25\r\nthreads = 1\r\n",
        ),
        (
            "[tool.codemlm]\r\nthreads = 1\r\n",
            "[tool.codemlm]\r\nthreads = 1\r\nmin-confidence = 0.25\r\n",
        ),
        (  # the same words in a text, and in another table
            (
                '[tool.x]\nmin-confidence = 1\na = """\n[tool.codemlm]\nmin-confidence = 3\n"""\n'
                "[tool.codemlm]\nignore = [\n  'CM1',\n]\n"
            ),
            (
                '[tool.x]\nmin-confidence = 1\na = """\n[tool.codemlm]\nmin-confidence = 3\n"""\n'
                "[tool.codemlm]\nignore = [\n  'CM1',\n]\nmin-confidence = 0.25\n"
            ),
        ),
        (
            "[tool.codemlm.per-file-ignores]\n'a.py' = ['CM1']\n[tool.codemlm]\n",
            (
                "[tool.codemlm.per-file-ignores]\n'a.py' = ['CM1']\n[tool.codemlm]\n"
                "min-confidence = 0.25\n"
            ),
        ),
        (  # lines that begin with a bracket are not always headers
            "[tool.codemlm]\nexclude = [\n[].a,\n]\n".replace("[].a", '"a"'),
            '[tool.codemlm]\nexclude = [\n"a",\n]\nmin-confidence = 0.25\n',
        ),
        (  # only a table inside is there
            "[tool.ruff]\n\n[tool.codemlm.per-file-ignores]\n'a.py' = ['CM1']\n",
            (
                "[tool.ruff]\n\n[tool.codemlm]\nmin-confidence = 0.25\n\n"
                "[tool.codemlm.per-file-ignores]\n'a.py' = ['CM1']\n"
            ),
        ),
        (
            "[ tool . codemlm ]\n",
            "[ tool . codemlm ]\nmin-confidence = 0.25\n",
        ),
    ],
)
def test_a_value_in_a_table(old: str, new: str) -> None:
    assert with_value(old, PATH, "0.25") == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "min-confidence = 0.25\n"),
        ("# ours\n", "# ours\nmin-confidence = 0.25\n"),
        ("threads = 1", "threads = 1\nmin-confidence = 0.25\n"),
        ("threads = 1\r\nignore = []", "threads = 1\r\nignore = []\r\nmin-confidence = 0.25\r\n"),
        (
            "threads = 1\n\n[per-file-ignores]\n'a.py' = ['CM1']\n",
            "threads = 1\nmin-confidence = 0.25\n\n[per-file-ignores]\n'a.py' = ['CM1']\n",
        ),
        (
            "[per-file-ignores]\n'a.py' = ['CM1']\n",
            "min-confidence = 0.25\n\n[per-file-ignores]\n'a.py' = ['CM1']\n",
        ),
    ],
)
def test_a_value_at_the_top(old: str, new: str) -> None:
    edited = with_value(old, ("min-confidence",), "0.25")
    assert edited is not None
    assert edited.rstrip("\r\n") == new.rstrip("\r\n")
    assert tomllib.loads(edited)["min-confidence"] == 0.25


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min-confidence = {}\n", "min-confidence = { CM = 0.25}\n"),
        (
            "min-confidence = { CM101 = 0.7 }  # sure\n",
            "min-confidence = { CM = 0.25, CM101 = 0.7 }  # sure\n",
        ),
        (
            "min-confidence = {CM101 = 0.7, CM = 0.5}\n",
            "min-confidence = {CM101 = 0.7, CM = 0.25}\n",
        ),
        (
            "[min-confidence]\nCM101 = 0.7\nCM = 0.5\n",
            "[min-confidence]\nCM101 = 0.7\nCM = 0.25\n",
        ),
        ("[min-confidence]\nCM101 = 0.7\n", "[min-confidence]\nCM101 = 0.7\nCM = 0.25\n"),
        ("min-confidence.CM = 0.5\n", "min-confidence.CM = 0.25\n"),
        (
            "min-confidence.CM101 = 0.5\n",
            "min-confidence.CM101 = 0.5\nmin-confidence.CM = 0.25\n",
        ),
    ],
)
def test_an_entry_of_a_table_by_rule(old: str, new: str) -> None:
    assert with_value(old, ("min-confidence", "CM"), "0.25") == new


@pytest.mark.parametrize(
    "text",
    [
        "threads = \n",  # no TOML
        "tool = 3\n",  # no table
        "tool = { codemlm = { threads = 1 } }\n",  # nothing that could be edited by line
        "[tool.codemlm]\nmin-confidence = [\n  1,\n]\n",  # nor this
    ],
)
def test_what_cannot_be_edited_is_left_alone(text: str) -> None:
    assert with_value(text, PATH, "0.25") is None


PIECES = [
    "[tool.codemlm]",
    "[tool.codemlm.per-file-ignores]",
    "[tool.ruff]",
    "[[tool.mypy.overrides]]",
    "min-confidence = 0.5",
    "# min-confidence = 0.5",
    "threads = 1  # one",
    "text = '''",
    "'''",
    "list = [",
    "[1],",
    "]",
    "",
]


@given(st.lists(st.sampled_from(PIECES), max_size=9), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_there_stays(pieces: list[str], end: str) -> None:
    text = end.join([*pieces, ""])
    edited = with_value(text, PATH, "0.25")
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assert edited is None
        return
    if edited is None:
        return
    after = tomllib.loads(edited)
    assert after["tool"]["codemlm"].pop("min-confidence") == 0.25
    before.setdefault("tool", {}).setdefault("codemlm", {}).pop("min-confidence", None)
    assert after == before
    old, new = text.split("\n"), edited.split("\n")
    assert len(new) - len(old) in (0, 1, 3)  # a value, a line, a table
    added = {"", "[tool.codemlm]", "min-confidence = 0.25"}
    assert {line.rstrip("\r") for line in new if line not in old} <= added
    if len(new) > len(old):
        rest = iter(new)
        assert all(line in rest for line in old)  # in their order
