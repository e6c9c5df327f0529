"""Scores to findings: possible suggestions, rules, confidence, swaps, undefined names."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from codemlm.alternatives import Context
from codemlm.backend import default_model_path
from codemlm.calibration import VERIFIED_FEATURES, Boosted, Calibration, MaskedView
from codemlm.confidence import Doubts
from codemlm.errors import ModelError
from codemlm.findings import LEAST_AMONG_TWINS, are_twins, least_by_default, percent
from codemlm.injection import Kind
from codemlm.manifest import Manifest
from codemlm.rules import CODE_OF_KIND, RULES
from codemlm.scoring import Alternative, LeafScore
from codemlm.similarity import Spellings
from codemlm.syntax import ParsedFile, parse
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, Role, Span
from codemlm.undefined import undefined_names

from .fakes import judge


def propose(parsed: ParsedFile, scores: Sequence[LeafScore], limit: int) -> list[int]:
    doubts = Doubts(Context(parsed), scores, with_evidence=False)
    return doubts.propose(Calibration(), limit)


def score(
    parsed: ParsedFile, text: str, *alternatives: str, keep: float = 0.1, which: int = 0
) -> LeafScore:
    """A score of the which-th leaf with a text; the alternatives share what keep leaves."""
    leaf = [i for i in range(len(parsed)) if parsed.text(i) == text][which]
    shares = [(1 - keep) * 0.5 ** (i + 1) for i in range(len(alternatives))]
    return LeafScore(
        leaf=leaf,
        keep_logit=math.log(keep / (1 - keep)),
        likelihood=keep,
        alternatives=tuple(map(Alternative, alternatives, shares)),
        logp_shown=-5.0,
        logp_best=-0.5,
    )


@pytest.mark.parametrize(
    ("source", "shown", "alternative", "allowed"),
    [
        ("def f(a, b): return a", "a", "b", True),
        ("def f(a, b): return a", "a", "missing", False),
        ("def f(a, b): return a", "a", "len", True),
        ("def f(a, b): return a", "a", "+", False),
        ("def f(a, b): return a", "a", "_", False),
        (
            "class A:\n  x = 1\n  def f(self, a): return a",
            "a",
            "x",
            False,
        ),  # class names are hidden
        ("o.a; o.b", "a", "b", True),
        ("o.a; p.b", "a", "b", False),  # never used with this receiver
        ("f().a", "a", "b", True),
        ("class A:\n  def b(self): return self.a", "a", "b", True),
        ("def f(x, y): x.a; y.a", "x", "y", True),
        ("def f(x, y): x.a; y.b", "x", "y", False),  # y is known, and not for .a
        ("def f(x, y): x.a", "x", "y", True),
        ("def f(self, x): x.a", "x", "self", False),
        ("o.a; o.b", "a", "class", False),
        ("o.lenght; p.length", "lenght", "length", True),  # a near spelling needs no receiver
        ("o.left; p.lift; o.x", "left", "x", True),
        ("o.x1; p.x2", "x1", "x2", False),  # numbered on purpose
        ("def f(res, rse): res.a; rse.b", "res", "rse", False),  # too short to be misspelt
        ("def f(result, reslut): result.a; reslut.b", "result", "reslut", True),
        ("f(a=1, b=2)", "a", "b", False),
        ("f(a=1, b=2)", "a", "c", True),
        ("a < b", "<", "==", True),
        ("a < b", "<", "and", False),
        ("a == b", "==", "is", True),
        ("if not a: pass", "not", DELETE_TEXT, True),
        ("if not a: pass", "not", "and", False),
        ("if a: pass", "a", NEGATE_TEXT, True),
        ("x = a", "a", NEGATE_TEXT, False),
        ("x = 1", "1", "2", True),
        ("x = 1", "1", "x", False),
        ("x = True", "True", "None", True),
        ("x = -a", "-", "+", False),
    ],
)
def test_which_alternatives_are_possible(
    source: str, shown: str, alternative: str, allowed: bool
) -> None:
    parsed = parse(source.encode())
    role_of_use = {Role.PARAMETER, Role.BINDING}
    leaf = next(
        i
        for i in range(len(parsed))
        if parsed.text(i) == shown and parsed.roles[i] not in role_of_use
    )
    assert Context(parsed).allows(leaf, alternative) is allowed


@pytest.mark.parametrize(
    ("source", "shown", "which", "suggested", "kind", "fixed"),
    [
        ("def f(a, b): return a", "a", 1, "b", Kind.VARIABLE, "def f(a, b): return b"),
        ("o.y; o.x = 1", "x", 0, "y", Kind.ATTRIBUTE, "o.y; o.y = 1"),
        ("o.y; o.x()", "x", 0, "y", Kind.FUNCTION, "o.y; o.y()"),
        ("f(a=1)", "a", 0, "b", Kind.KEYWORD_ARGUMENT, "f(b=1)"),
        ("a < b", "<", 0, "<=", Kind.COMPARISON, "a <= b"),
        ("a == b", "==", 0, "is", Kind.IDENTITY, "a is b"),
        ("a in b", "in", 0, "not in", Kind.MEMBERSHIP, "a not in b"),
        ("a and b", "and", 0, "or", Kind.BOOLEAN_OPERATOR, "a or b"),
        ("a + b", "+", 0, "-", Kind.ARITHMETIC, "a - b"),
        ("a += b", "+=", 0, "-=", Kind.AUGMENTED, "a -= b"),
        ("x = True", "True", 0, "False", Kind.CONSTANT, "x = False"),
        ("x = 1", "1", 0, "2", Kind.NUMBER, "x = 2"),
        ("if not a: pass", "not", 0, DELETE_TEXT, Kind.NEGATION_ADDED, "if a: pass"),
        ("if a: pass", "a", 0, NEGATE_TEXT, Kind.NEGATION_DROPPED, "if not a: pass"),
    ],
)
def test_each_rule_and_its_edit(
    source: str, shown: str, which: int, suggested: str, kind: Kind, fixed: str
) -> None:
    parsed = parse(source.encode())
    (finding,) = judge(
        parsed, [score(parsed, shown, suggested, which=which)], {}, {}, Calibration()
    )
    assert finding.rule == CODE_OF_KIND[kind]
    assert applied(parsed, finding.edits) == fixed
    assert 0 < finding.confidence < 1


def test_swapped_arguments_become_one_finding() -> None:
    parsed = parse(b"def f(height, width): return g(width, height)")
    scores = [
        score(parsed, "width", "height", which=1),
        score(parsed, "height", "width", which=1),
    ]
    (finding,) = judge(parsed, scores, {}, {}, Calibration())
    assert finding.rule == CODE_OF_KIND[Kind.ARGUMENT_SWAP]
    assert [text for _, text in finding.edits] == [b"height", b"width"]
    assert finding.other is not None


def test_a_sure_pair_is_not_called_a_swap() -> None:
    parsed = parse(b"def f(height, width): return g(width, height)")
    scores = [
        score(parsed, "width", "height", which=1, keep=0.99),
        score(parsed, "height", "width", which=1, keep=0.1),
    ]
    assert len(judge(parsed, scores, {}, {}, Calibration())) == 2


def test_undefined_names_have_their_own_rule_and_ranked_suggestions() -> None:
    parsed = parse(b"def f(length, list_): return lenght")
    found = score(parsed, "lenght", "list_", "length")
    (finding,) = judge(parsed, [found], {}, {found.leaf: ["length", "list_"]}, Calibration())
    assert finding.rule == "CM201"
    assert [s.text for s in finding.suggestions] == ["length", "list_"]  # spelling first
    parsed = parse(b"def f(rows, cols): return data")
    found = score(parsed, "data", "cols", "rows")
    (finding,) = judge(parsed, [found], {}, {found.leaf: ["rows", "cols"]}, Calibration())
    assert [s.text for s in finding.suggestions] == ["cols", "rows"]  # the model's order
    assert finding.confidence == Calibration().undefined
    (alone,) = judge(parsed, [], {}, {found.leaf: ["length"]}, Calibration())
    assert alone.suggestions[0].text == "length"


SHAPE = """\
class Shape:
    def __init__(self, width):
        self.width = width
        self.height = {}

    def area(self, height):
        return self.width * height
"""


def applied(parsed: ParsedFile, edits: tuple[tuple[Span, bytes], ...]) -> str:
    """The source with edits in it."""
    made = parsed.source
    for span, text in reversed(edits):
        made = made[: span.start] + text + made[span.end :]
    return made.decode()


@pytest.mark.parametrize(
    ("source", "shown", "which", "candidate", "suggested", "rule", "fixed"),
    [
        (SHAPE, "height", -1, "self", "self.height", "CM117", "self.width * self.height"),
        (SHAPE, "width", -1, DELETE_TEXT, None, None, ""),  # bound in another function
        ("import os\nos.a\nb = a", "a", -1, "os", "os.a", "CM117", "b = os.a"),
        ("def f(p, a): p.a; return p.a", "a", -1, DELETE_TEXT, "a", "CM118", "return a"),
        ("def f(p, a): p.b.a; return (p\n.b)", "b", -1, DELETE_TEXT, None, None, ""),
        ("def f(p): p.a; p.b.a()", "a", -1, DELETE_TEXT, "a", "CM118", "p.a()"),
        ("def f(p, a): f().a", "a", -1, DELETE_TEXT, None, None, ""),  # no plain receiver
    ],
)
def test_prefixes_that_are_missing_or_too_much(
    source: str,
    shown: str,
    which: int,
    candidate: str,
    suggested: str | None,
    rule: str | None,
    fixed: str,
) -> None:
    parsed = parse(source.encode())
    found = judge(parsed, [score(parsed, shown, candidate, which=which)], {}, {}, Calibration())
    assert [f.suggestions[0].text for f in found] == ([] if suggested is None else [suggested])
    for finding in found:
        assert finding.rule == rule
        assert fixed in applied(parsed, finding.edits)
        assert not parse(applied(parsed, finding.edits).encode()).has_error


def test_a_misspelt_member_is_compared_with_names_of_the_file_and_common_ones() -> None:
    parsed = parse(b"o.recieve(); p.lenght; q.length")
    common = Spellings(["receive", "length", "lengths"])
    context = Context(parsed, common)
    leaves = {parsed.text(i): i for i in range(len(parsed))}
    assert [a.text for a in context.possible(leaves["recieve"], [])] == ["receive"]
    near = context.possible(leaves["lenght"], [Alternative("length", 0.5)])
    assert near[0].text == "length"
    assert near[0].likelihood == 0.5  # the model's own
    assert Context(parsed).possible(leaves["recieve"], []) == []
    assert context.possible(leaves["length"], [])[0].text == "lenght"


def test_many_undefined_names_are_each_less_sure() -> None:
    def confidences(source: bytes) -> set[float]:
        parsed = parse(source)
        undefined = {name.leaf: name.candidates for name in undefined_names(parsed)}
        return {round(f.confidence, 6) for f in judge(parsed, [], {}, undefined, Calibration())}

    sure = Calibration().undefined
    assert confidences(b"def f(x): return x, aa, bb, cc, aa\n") == {sure}
    assert confidences(b"def f(x): return x, aa, bb, cc, dd\n") == {round(sure * 9 / 16, 6)}
    often = b"def f(x): return x, aa, bb, aa, aa, aa, aa\n"
    assert confidences(often) == {round(sure * 9 / 25, 6), sure}


def test_an_undefined_name_that_is_a_member_gets_its_prefix() -> None:
    source = SHAPE.replace("height):", "other):")
    parsed = parse(source.encode())
    (name,) = undefined_names(parsed)
    (finding,) = judge(parsed, [], {}, {name.leaf: name.candidates}, Calibration())
    assert finding.suggestions[0].text == "self.height"
    assert "return self.width * self.height" in applied(parsed, finding.edits)
    assert "`self.height`" in finding.message


def test_an_undefined_module_gets_no_silly_suggestion() -> None:
    parsed = parse(b"def f(json_text, jason):\n    return json.loads(json_text)\n")
    (name,) = undefined_names(parsed)
    (finding,) = judge(parsed, [], {}, {name.leaf: name.candidates}, Calibration())
    assert finding.suggestions == ()
    assert finding.edits == ()


def test_receivers_and_underscores_are_never_findings() -> None:
    parsed = parse(b"def f(self, a): return self.a, _")
    scores = [score(parsed, "self", "a", which=1), score(parsed, "_", "a")]
    assert judge(parsed, scores, {}, {}, Calibration()) == []
    assert propose(parsed, scores, 5) == []


def test_operators_of_assertions_are_never_findings() -> None:
    parsed = parse(b"assert a < b")
    assert judge(parsed, [score(parsed, "<", "==")], {}, {}, Calibration()) == []
    parsed = parse(b"assert f(a < b)")
    assert len(judge(parsed, [score(parsed, "<", "==")], {}, {}, Calibration())) == 1


def test_proposals_are_the_most_suspicious_and_limited() -> None:
    parsed = parse(b"def f(a, b, c): return a, b, c")
    scores = [
        score(parsed, "a", "b", which=1, keep=0.9),
        score(parsed, "b", "c", which=1, keep=0.01),
        score(parsed, "c", "a", which=1, keep=0.5),
    ]
    assert propose(parsed, scores, 2) == [scores[1].leaf, scores[2].leaf]


def test_masking_moves_the_likelihoods_and_marks_the_finding() -> None:
    parsed = parse(b"def f(a, b): return a")
    single = score(parsed, "a", "b", which=1, keep=0.5)
    masked = score(parsed, "a", "b", which=1, keep=0.001)
    (before,) = judge(parsed, [single], {}, {}, Calibration())
    (after,) = judge(parsed, [single], {single.leaf: masked}, {}, Calibration())
    assert not before.verified
    assert after.verified
    assert after.likelihood < before.likelihood
    total = after.likelihood + sum(s.likelihood for s in after.suggestions)
    assert total == pytest.approx(1.0)


STUMP = {
    "sizes": [1],
    "features": [0],
    "thresholds": [0.5],
    "missing_left": "0",
    "left": [-1],
    "right": [-2],
    "values": [-3.0, 3.0],
}


def boosted(feature: str) -> dict[str, Any]:
    return {"features": [feature], "intercept": 0.0, "slope": 2.0, "trees": STUMP}


def test_calibration_survives_a_round_trip_and_refuses_other_features() -> None:
    data = json.loads(json.dumps(Calibration(threshold=0.42).as_json()))
    assert Calibration.from_json(data) == Calibration(threshold=0.42)
    trees = {**data, "single": boosted("one_edit"), "verified": boosted("agrees")}
    again = Calibration.from_json(trees)
    assert isinstance(again.single, Boosted)
    assert again.as_json() == trees
    assert again.uses_evidence
    assert not Calibration().uses_evidence
    with pytest.raises(ModelError, match="slope"):
        Calibration.from_json({**trees, "single": {**boosted("doubt"), "slope": 0.0}})
    with pytest.raises(ModelError, match="not know: agrees"):
        Calibration.from_json({**trees, "single": boosted("agrees")})
    data["single"]["coefficients"].append(1.0)
    with pytest.raises(ModelError, match="number of coefficients"):
        Calibration.from_json(data)
    with pytest.raises(ModelError, match="incomplete"):
        Calibration.from_json({})


def test_the_shipped_calibration_is_known() -> None:
    manifest = Manifest.read(default_model_path())
    assert manifest.calibration is not None
    assert 0 < Calibration.from_json(manifest.calibration).threshold < 1


def test_evidence_decides_what_is_masked_and_how_sure_it_is() -> None:
    parsed = parse(b"def f(column, row):\n    return g(column) + g(row) + g(colum)\ncolum = 1\n")
    scores = [
        score(parsed, "row", "column", keep=0.01, which=1),
        score(parsed, "colum", "column", keep=0.9),
    ]
    data = Calibration().as_json()
    trees = {**data, "single": boosted("one_edit"), "verified": boosted("agrees")}
    calibration = Calibration.from_json(trees)
    doubts = Doubts(Context(parsed), scores, with_evidence=True)
    assert doubts.propose(calibration, 1) == [scores[1].leaf]
    low, high = 1 / (1 + math.exp(6)), 1 / (1 + math.exp(-6))
    assert doubts.confidences(calibration, {}) == pytest.approx([low, high])
    view = MaskedView(-1.0, -2.0, "row", "row")
    sure = doubts.confidences(calibration, {scores[1].leaf: view})
    assert sure == pytest.approx([low, low])
    (place,), (row,) = doubts.verified_rows({scores[1].leaf: view})
    assert place == 1
    spelt = VERIFIED_FEATURES.index("one_edit")
    assert (doubts.rows[1, spelt], row[spelt]) == (1.0, 0.0)  # evidence for what is suggested now


def test_rules_are_complete_and_unique() -> None:
    assert set(CODE_OF_KIND) == set(Kind)
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "under 0.1 %"), (0.002, "0.2 %"), (0.0996, "10 %"), (0.91, "91 %"), (0.999, "99.9 %")],
)
def test_percentages_for_people(value: float, text: str) -> None:
    assert percent(value) == text


def test_what_the_gate_contradicts_has_to_be_very_confident() -> None:
    parsed = parse(b"def f(rows, cols): return g(rows) + lenght")
    calibration = Calibration(threshold=0.1)
    sure = score(parsed, "rows", "cols", which=1, keep=0.99)
    unsure = score(parsed, "rows", "cols", which=1, keep=0.3)
    undefined = {len(parsed) - 1: ["length"]}
    for given, least in ((sure, 0.5), (unsure, 0.1)):
        found = judge(parsed, [given], {}, undefined, calibration)
        assert {f.rule: least_by_default(f, calibration) for f in found} == {
            "CM101": least,
            "CM201": 0.1,
        }
    assert least_by_default(found[0], replace(calibration, threshold=0.7)) == 0.7


def test_a_name_takes_its_twins_place_only_where_that_is_all_but_certain() -> None:
    parsed = parse(b"def f(size, _size, top): return g(size)")
    calibration = Calibration(threshold=0.1)
    for meant, least in (("_size", LEAST_AMONG_TWINS), ("top", 0.1)):
        given = score(parsed, "size", meant, which=1, keep=0.3)
        found = judge(parsed, [given], {}, {}, calibration)
        assert least_by_default(found[0], calibration) == least


@pytest.mark.parametrize(
    ("first", "second", "twins"),
    [
        ("_size", "size", True),
        ("time_out", "timeout", True),
        ("views", "view", True),
        ("boxes", "box", True),
        ("FlavorView", "FlavorsView", True),
        ("ROUTERS", "ROUTER", True),
        ("row_views", "rows_view", True),
        ("RowView", "RowItem", False),
        ("AssertIn", "assertIn", False),
        ("size", "size", False),
        ("rows", "cols", False),
    ],
)
def test_twins_differ_by_underscores_or_in_number(first: str, second: str, twins: bool) -> None:
    assert are_twins(first, second) == are_twins(second, first) == twins
