"""Evidence from the whole file: each feature on a file small enough to count by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codemlm.evidence import EVIDENCE_FEATURES, Evidence
from codemlm.evidence_spelling import likeness, spelling, twins
from codemlm.syntax import parse


def features(
    source: str, shown: str, suggested: str, nth: int = 0, path: str = ""
) -> dict[str, float]:
    """Features of the n-th leaf with a text, by name."""
    parsed = parse(source.encode())
    leaf = [i for i in range(len(parsed)) if parsed.text(i) == shown][nth]
    (row,) = Evidence(parsed, path).features([leaf], [suggested])
    return dict(zip(EVIDENCE_FEATURES, row.tolist(), strict=True))


def test_counts_leave_the_place_itself_out() -> None:
    found = features("a.x(b)\na.x(b)\na.y(c)\n", "y", "x")
    assert found["count_shown"] == 0
    assert found["count_suggested"] == pytest.approx(math.log(3))
    assert found["gram_left_two_suggested"] == pytest.approx(math.log(3))
    assert found["gram_left_two_shown"] == 0
    assert found["gram_both_suggested"] == pytest.approx(math.log(3))
    assert found["gram_wide_suggested"] == 0  # another argument follows
    assert found["gram_ratio"] > 0


def test_definitions_and_uses_in_the_function_around() -> None:
    source = "def f(rows, cols):\n    return rows + rows\ndef g(cols):\n    return cols\n"
    found = features(source, "rows", "cols", nth=2)
    assert (found["reads_in_function_shown"], found["reads_in_function_suggested"]) == (1, 0)
    assert (found["bindings_in_function_shown"], found["bindings_in_function_suggested"]) == (1, 1)
    assert (found["count_in_node_shown"], found["count_in_node_suggested"]) == (1, 0)
    assert math.isnan(found["class_members_shown"])
    assert features("import os\nos.x\n", "os", "len", nth=1)["imports_shown"] == 1
    assert features("x = a\n", "a", "len")["is_builtin_suggested"] == 1


def test_members_of_a_class() -> None:
    source = "class A:\n  def one(self):\n    self.left = self.rigth\n    self.right = 1\n"
    found = features(source, "rigth", "right")
    assert (found["class_members_shown"], found["class_members_suggested"]) == (0, 1)
    assert (found["self_member"], found["class_inherits"]) == (1, 0)
    assert found["one_edit"] == 1
    assert (found["is_twin"], found["twin_count"]) == (1, 0)
    inherits = features(source.replace("A:", "A(B):"), "rigth", "right")
    assert inherits["class_inherits"] == 1
    assert features(source.replace("A:", "A(object):"), "rigth", "right")["class_inherits"] == 0


def test_what_a_value_is_given_to() -> None:
    found = features("f(width=height)\n", "height", "width")
    assert (found["is_target_shown"], found["is_target_suggested"]) == (0, 1)
    assert features("self.x = y\n", "y", "x")["is_target_suggested"] == 1
    assert math.isnan(features("y\n", "y", "x")["is_target_shown"])


def test_arguments_of_the_same_function() -> None:
    source = "def area(width, depth): pass\narea(width, 1)\narea(width, 2)\narea(heigth, 3)\n"
    found = features(source, "heigth", "width")
    assert found["in_slot_suggested"] == pytest.approx(math.log(3))
    assert found["in_slot_shown"] == 0
    assert found["like_parameter_suggested"] == 1
    assert found["like_parameter_shown"] < 1
    assert found["position"] == 0
    keyword = features(source + "area(widht=1)\n", "widht", "width")
    assert (keyword["is_parameter_shown"], keyword["is_parameter_suggested"]) == (0, 1)
    method = "class P:\n  def __init__(self, left): pass\nP(right)\n"
    assert features(method, "right", "left")["like_parameter_suggested"] == 1


def test_a_statement_alongside_tells_what_was_to_be_changed() -> None:
    found = features("min_x = box.min_x\nmin_y = box.min_x\n", "min_x", "min_y", nth=2)
    assert (found["is_aligned_shown"], found["is_aligned_suggested"]) == (1, 0)
    assert (found["is_expected_shown"], found["is_expected_suggested"]) == (0, 1)
    assert found["statement_differs"] == pytest.approx(1 / 5)
    assert math.isnan(features("a = b.c\nf(x)\n", "c", "x")["is_aligned_shown"])


def test_operators_numbers_and_places() -> None:
    found = features("if a < len(b) - 1: pass\n", "<", "<=")
    assert found["suggested_operator"] == found["operator"] + 1
    assert math.isnan(found["likeness"])
    number = features("x[n - 1]\n", "1", "2")
    assert (number["number"], number["number_step"]) == (1, 1)
    assert features("assert a == b\n", "a", "b")["in_assertion"] == 1
    assert features("a.b\n", "a", "b")["is_receiver"] == 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [("tests/a.py", 1), ("pkg/test_a.py", 1), ("a_test.py", 1), ("contest/attest.py", 0), ("", 0)],
)
def test_tests_are_known_by_their_path(path: str, expected: int) -> None:
    assert features("a = b\n", "b", "c", path=path)["in_test"] == expected


def test_texts_that_the_file_lacks_and_empty_requests() -> None:
    found = features("a = b\n", "b", "[NEGATE]")
    assert found["count_suggested"] == 0
    assert math.isnan(found["back_suggested"])
    empty = Evidence(parse(b"")).features([], [])
    assert empty.shape == (0, len(EVIDENCE_FEATURES))
    assert len(set(EVIDENCE_FEATURES)) == len(EVIDENCE_FEATURES)


def test_rows_do_not_depend_on_what_else_is_asked() -> None:
    parsed = parse(b"def f(a, b):\n    return a.x + b.y + f(a, b)\n")
    leaves = [i for i in range(len(parsed)) if parsed.text(i) in "abxy"]
    evidence = Evidence(parsed)
    together = evidence.features(leaves, ["b"] * len(leaves))
    alone = [evidence.features([leaf], ["b"])[0] for leaf in leaves]
    np.testing.assert_array_equal(together, np.array(alone))


@pytest.mark.parametrize(
    ("first", "second", "edit"),
    [
        ("column", "colum", 1),
        ("column", "colmun", 1),
        ("column", "colvmn", 1),
        ("column", "colons", 0),
        ("a", "b", 0),
        ("row", "rows", 1),
    ],
)
def test_single_edits(first: str, second: str, edit: int) -> None:
    assert spelling(first, second)[1] == edit


def test_likeness_and_twins() -> None:
    assert likeness("max_width", "width_max") == pytest.approx(0.9)
    assert likeness("abc", "xyz") == 0
    assert spelling("rowCount", "row_count")[2] == 1
    assert spelling("row", "rows")[3] == 1
    assert twins({"value": 9, "vlaue": 1, "valve": 2, "other": 3}) == {
        "vlaue": "value",
        "valve": "value",
        "value": "valve",
    }
