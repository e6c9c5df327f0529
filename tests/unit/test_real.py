"""Evaluation on real bugs: pairs to bugs, figures by hand, and the command."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from codemlm.calibration import Calibration
from codemlm.errors import CorpusError, UsageError
from codemlm.evaluation import command, known, real, real_metrics, real_run
from codemlm.evaluation.injected import SampledFile, sampled, scored_leaves
from codemlm.evaluation.linters import UNPARSED, LinterMessage
from codemlm.evaluation.rankers import CHANCE, DESCRIPTIONS, PRODUCT, PRODUCT_READ, Opinion
from codemlm.evaluation.rescoring import WindowScorer
from codemlm.evaluation.run import Evaluation
from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING, Fix, FixPair, Introduction
from codemlm.injection import Kind
from codemlm.scanner import Scanner
from codemlm.scoring import Scorer
from codemlm.syntax import parse
from codemlm.types import DELETE_TEXT, NEGATE_TEXT

from .fakes import SAMPLE, TableModel, tiny_tokenizer
from .test_evaluation import near_sum

Edits = tuple[tuple[int, int, str], ...]


@pytest.fixture(autouse=True)
def quick_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemlm.evaluation.metrics.RESAMPLES", 40)


def fix_of(kind: str, edits: Edits, *, repo: str = "a/one", commit: str = "c0", **more: Any) -> Fix:
    given = {"before": "", "after": "", "path": "m.py", "date": 1, **more}
    return Fix(
        repo=repo, commit=commit, parent="p", old_path="m.py", function="", line=1, kind=kind,
        edits=edits, undefined=False, doubt="", message="fix", split="test", **given,
    )  # fmt: skip


def pair_of(before: str, kind: str, wrong: str, meant: str, nth: int = 0, **more: Any) -> FixPair:
    """A fix of the n-th place where ``wrong`` stands."""
    place = -1
    for _ in range(nth + 1):
        place = before.index(wrong, place + 1)
    start = len(before[:place].encode())
    fix = fix_of(kind, ((start, start + len(wrong.encode()), meant),), **more)
    return FixPair(fix, before, fix.apply(before.encode()).decode())


def write_pairs(path: Path, pairs: Sequence[FixPair]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(pair.to_json() + "\n" for pair in pairs)
    return path


def bug_of(pair: FixPair) -> real.RealBug | str:
    source = real.fixed_source(pair)
    assert source is not None
    return real.real_bug(pair, parse(source))


# Pairs to bugs


@pytest.mark.parametrize(
    ("before", "kind", "edits", "meant", "fixed"),
    [
        ("é = f(a, b)\n", Kind.VARIABLE, ((10, 11, "ab"),), {"b": "ab"}, ["ab"]),
        ("f(a, bc)\n", Kind.ARGUMENT_SWAP, ((2, 3, "bc"), (5, 7, "a")), {"a": "bc", "bc": "a"},
         ["bc", "a"]),
        ("if not a: b()\n", Kind.NEGATION_ADDED, ((3, 7, ""),), {"not": DELETE_TEXT}, ["a"]),
        ("if a: b()\n", Kind.NEGATION_DROPPED, ((3, 3, "not "),), {"a": NEGATE_TEXT}, ["not"]),
        ("x = 1 if a else 2\n", Kind.NEGATION_DROPPED, ((9, 9, " not "),), {"a": NEGATE_TEXT},
         ["not"]),
        ("x = a + b\n", PREFIX_MISSING, ((4, 4, "self."),), {"a": "self.a"}, ["a"]),
        ("x = self.a + b\n", PREFIX_ADDED, ((4, 9, ""),), {"a": "a"}, ["a"]),
        ("x = self.a + b\n", PREFIX_ADDED, ((4, 10, "a"),), {"a": "a"}, ["a"]),
    ],
)  # fmt: skip
def test_the_wrong_leaf_and_the_one_that_mends_it(
    before: str, kind: str, edits: Edits, meant: dict[str, str], fixed: list[str]
) -> None:
    after = {PREFIX_MISSING: "self.a", PREFIX_ADDED: "a"}.get(kind, "")
    pair = FixPair(fix_of(kind, edits, after=after), before, "")
    bug = bug_of(pair)
    assert isinstance(bug, real.RealBug)
    assert {bug.parsed.text(leaf): text for leaf, text in bug.meant.items()} == meant
    made = parse(pair.fix.apply(before.encode()))
    assert [made.text(leaf) for leaf in bug.fixed] == fixed
    assert real.is_reachable(bug)


@pytest.mark.parametrize(
    ("before", "kind", "edits", "reason"),
    [
        ("x = (\n", Kind.VARIABLE, ((0, 1, "y"),), real.NOT_PARSED_AFTER),
        ("x = (\n", Kind.VARIABLE, ((4, 5, "y"),), real.NOT_PARSED_BEFORE),
        ("x = abc\n", Kind.VARIABLE, ((4, 6, "y"),), real.NO_LEAF),
        ("x = abc\n", Kind.VARIABLE, ((5, 7, "y"),), real.NO_LEAF),
        ("x = abc\n", Kind.NEGATION_ADDED, ((4, 7, "y"),), real.NO_LEAF),
    ],
)
def test_what_cannot_be_judged_has_a_reason(
    before: str, kind: str, edits: Edits, reason: str
) -> None:
    assert bug_of(FixPair(fix_of(kind, edits), before, "")) == reason


def test_a_fix_beyond_the_file_is_left_out(tmp_path: Path) -> None:
    pair = FixPair(fix_of(Kind.VARIABLE, ((90, 91, "y"),)), "x = y\n", "")
    assert real.fixed_source(pair) is None
    made = real.plan(write_pairs(tmp_path / "p", [pair]), **PLAN)
    assert (made.chosen, made.skipped) == ({}, {real.NO_FIX: 1})


def test_a_file_that_is_none_of_pairs_is_the_users_trouble(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"no gzip", gzip.compress(b"{}\n"), gzip.compress(b"no json\n")):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match="no file of pairs"):
            list(real.read_pairs(path))


# Choosing

PLAN: dict[str, Any] = {"limit": None, "max_lines": 99, "masked": (2, 99), "seed": 0}


def many() -> list[FixPair]:
    """Five bugs of one repository and one each of two others, one of them in a long file."""
    pairs = [
        pair_of(SAMPLE, Kind.VARIABLE, "cols", "rows", n + 1, commit=f"c{n}", date=n)
        for n in range(5)
    ]
    pairs.append(pair_of(SAMPLE, Kind.VARIABLE, "limit", "total", 1, repo="b/two"))
    long = SAMPLE + "\n" * 30
    return [*pairs, pair_of(long, Kind.VARIABLE, "height", "width", 1, repo="c/three")]


def test_a_limit_is_spread_over_repositories(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "p", many())
    made = real.plan(path, **{**PLAN, "limit": 4})
    assert sorted(c.fix.repo for c in made.chosen.values()) == [
        "a/one",
        "a/one",
        "b/two",
        "c/three",
    ]
    assert list(made.chosen) == list(real.plan(path, **{**PLAN, "limit": 4}).chosen)
    others = {tuple(real.plan(path, **{**PLAN, "limit": 2, "seed": s}).chosen) for s in range(9)}
    assert len(others) > 1
    assert len({made.chosen[key].fix.repo for key in made.masked}) == 2


def test_long_files_and_repeated_fixes_are_left_out(tmp_path: Path) -> None:
    pairs = many()
    path = write_pairs(tmp_path / "p", [*pairs, pairs[0]])
    made = real.plan(path, **{**PLAN, "max_lines": 60})
    assert made.skipped == {real.TOO_LONG: 1, real.DUPLICATE: 1}
    assert len(made.chosen) == len(list(made.pairs())) == 6


def test_the_newest_fix_of_a_file_leaves_the_clean_code(tmp_path: Path) -> None:
    made = real.plan(write_pairs(tmp_path / "p", many()), **PLAN)
    assert made.newest(list(made.chosen)) == {"a/one@c4", "b/two@c0", "c/three@c0"}
    assert made.newest(["a/one@c1", "a/one@c0"]) == {"a/one@c1"}


def test_pairs_with_the_same_file_after_the_fix_come_together(tmp_path: Path) -> None:
    one = pair_of("x = a + b\n", Kind.VARIABLE, "a", "c", commit="c0")
    other = pair_of("x = c + d\n", Kind.VARIABLE, "d", "b", commit="c1")
    apart = pair_of("x = c + d\n", Kind.VARIABLE, "c", "b", commit="c2")
    made = real.plan(write_pairs(tmp_path / "p", [one, apart, other]), **PLAN)
    groups = [[pair.fix.commit for pair in pairs] for pairs in made.groups()]
    assert groups == [["c2"], ["c0", "c1"]]


# Figures

CODE = "def f(a, b):\n    return a + b\n\n\ndef g(c):\n    d = c\n    return d\n"


def opinion_of(code: str, by_text: Mapping[str, float], texts: Mapping[str, Any]) -> Opinion:
    """Suspicions and suggestions by text of the leaf; 0 for the others."""
    parsed = parse(code.encode())
    leaves = scored_leaves(parsed)
    shown = [parsed.text(int(leaf)) for leaf in leaves]
    suggested = [texts.get(text, ()) for text in shown]
    return Opinion(
        leaves,
        np.array([by_text.get(text, 0.0) for text in shown]),
        [some[0] if some else "" for some in suggested],
        [some[1:] for some in suggested],
    )


def outcome_of(before: Mapping[str, float], after: Mapping[str, float], **texts: Any) -> Any:
    """The outcome of ``b`` where ``z`` was meant, in the function ``f``."""
    pair = pair_of(CODE, Kind.VARIABLE, "b", "z", 1)
    bug = bug_of(pair)
    assert isinstance(bug, real.RealBug)
    places = real_metrics.Places.of(bug, sampled("", bug.parsed).functions)
    return real_metrics.outcome(
        bug,
        opinion_of(CODE, before, texts),
        opinion_of(pair.after, after, {}),
        group=0,
        places=places,
        lines=7,
    )


def test_a_bug_is_ranked_by_leaf_by_line_and_in_its_function() -> None:
    found = outcome_of({"b": 2.0, "+": 1.0, "d": 3.0}, {"z": 1.0}, b=("y", "z"))
    assert found.hits == (0.0, 1.0, 1.0)  # the `d` that is read comes first
    assert found.rank == 2
    assert found.line_hits == (0.0, 1.0, 1.0)
    assert found.in_function == 1.0
    assert found.repaired == (False, True)
    assert found.paired == 1.0


def test_the_paired_test_halves_ties() -> None:
    assert outcome_of({"b": 1.0}, {"z": 2.0}).paired == 0.0
    assert outcome_of({"b": 1.0}, {"z": 1.0}).paired == 0.5
    assert outcome_of({"b": -np.inf}, {"z": -np.inf}).paired == 0.5
    assert outcome_of({"b": -np.inf}, {"z": 0.0}).paired == 0.0
    never = outcome_of({"b": -np.inf}, {"z": 0.0}, b=("z",))
    assert (never.hits, never.repaired, never.suspicion) == ((0.0,) * 3, (False, False), -np.inf)
    assert never.in_function == 0.0


def test_a_place_that_nobody_judges_once_it_is_fixed_ties() -> None:
    before = "def f(self, a):\n    self.a = 1\n    return self\n"
    fix = fix_of(PREFIX_ADDED, ((20, 25, ""),), after="a")
    pair = FixPair(fix, before, fix.apply(before.encode()).decode())
    bug = bug_of(pair)
    assert isinstance(bug, real.RealBug)
    every = (opinion_of(text, {}, {}) for text in (before, pair.after))
    places = real_metrics.Places.of(bug, np.zeros((0, 2), dtype=np.int64))
    found = real_metrics.outcome(bug, *every, group=0, places=places, lines=3)
    assert len(bug.fixed) == 1
    assert found.paired == 0.5  # `a = 1` binds: no ranker judges that


def test_a_bug_outside_functions_is_in_none() -> None:
    bug = bug_of(pair_of("x = a + b\n", Kind.VARIABLE, "b", "c"))
    assert isinstance(bug, real.RealBug)
    assert real_metrics.Places.of(bug, np.zeros((0, 2), dtype=np.int64)).bounds is None


def outcomes(*rows: tuple[int, float, bool, float]) -> list[real_metrics.RealOutcome]:
    """Outcomes from (group, suspicion, repaired, in_function)."""
    return [
        real_metrics.RealOutcome(
            key=f"k{i}", group=group, kind="variable", lines=500, hits=(1.0, 1.0, 1.0),
            line_hits=(0.5, 1.0, 1.0), repaired=(repaired, True), suspicion=suspicion, paired=1.0,
            in_function=inside, rank=1.0, elsewhere=np.array([0.8, 0.2]),
        )
        for i, (group, suspicion, repaired, inside) in enumerate(rows)
    ]  # fmt: skip


def clean_of(group: int, suspicions: list[float], functions: list[float]) -> real_metrics.CleanFile:
    return real_metrics.CleanFile(group, 500, np.array(suspicions), np.array(functions))


def test_recall_at_alarm_rates_and_in_functions() -> None:
    clean = [clean_of(0, [0.9, 0.6, 0.1], [0.9, 0.6, 0.0]), clean_of(1, [0.5, 0.4], [0.5, 0.4, 0])]
    bugs = outcomes((0, 0.95, True, 1.0), (0, 0.7, False, 1.0), (1, 0.55, True, np.nan))
    found = real_metrics.RealSummary(clean, 2, seed=0, default=0.6).of(bugs)
    value = {name: figure["value"] for name, figure in found["figures"].items()}
    # 1,000 lines: at 0.5 none may exceed, at 1 one may, at 2 two
    assert [round(value[f"recall_at_{b}"], 3) for b in ("0.1", "0.5", "1", "2")] == [
        0.333, 0.333, 0.667, 1.0,
    ]  # fmt: skip
    assert value["repaired_at_2"] == pytest.approx(2 / 3, abs=1e-5)
    assert value["functions_at_2"] == pytest.approx(2 / 6, abs=1e-5)
    # 16.5 % of six functions: none may exceed
    assert value["localised_at_functions_16.5"] == 0.5
    assert value["joint_at_functions_16.5"] == 0.5
    assert (value["alarms_per_kloc"], value["functions_alarmed"]) == (
        2.0,
        pytest.approx(1 / 3, 1e-5),
    )
    assert value["recall_at_default"] == pytest.approx(2 / 3, abs=1e-5)
    assert value["precision"] == pytest.approx(2 / (2 + 3), abs=1e-5)
    assert (value["top1"], value["line_top1"], value["paired"]) == (1.0, 0.5, 1.0)
    assert (value["repair_top1"], value["repair_top5"]) == (pytest.approx(2 / 3, abs=1e-5), 1.0)
    assert found["by_kind"]["variable"]["recall_at_2"] == 1.0


def test_the_bootstrap_draws_repositories() -> None:
    clean = [clean_of(0, [0.1], [0.1]), clean_of(1, [0.1], [0.1])]
    mixed = outcomes(*((g, 0.9, i % 2 == 0, 1.0) for g in (0, 1) for i in range(10)))
    same = real_metrics.RealSummary(clean, 2, seed=0).of(mixed)["figures"]["repair_top1"]
    assert same == {"value": 0.5, "low": 0.5, "high": 0.5}  # each repository is half repaired
    apart = outcomes(*((g, 0.9, g == 0, 1.0) for g in (0, 1) for _ in range(10)))
    wide = real_metrics.RealSummary(clean, 2, seed=0).of(apart)["figures"]["repair_top1"]
    assert wide == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_the_curve_counts_findings_elsewhere_as_false() -> None:
    bugs = outcomes((0, 0.9, True, 1.0), (0, 0.5, True, 1.0), (0, -np.inf, False, 0.0))
    points = real_metrics.curve(bugs, [clean_of(0, [0.5, 0.1], [])])
    assert points == [
        {"threshold": 0.9, "precision": 1.0, "recall": 0.333333, "alarms_per_kloc": 0.0},
        {"threshold": 0.5, "precision": 0.4, "recall": 0.666667, "alarms_per_kloc": 2.0},
    ]
    dense = [clean_of(0, [0.5] * 26, [])]  # beyond 50 alarms in 1,000 lines
    assert [point["threshold"] for point in real_metrics.curve(bugs, dense)] == [0.9]


def test_the_highest_suspicions_are_kept() -> None:
    some = np.array([0.1, -np.inf, 0.9, 0.5])
    assert real_metrics.highest(some, 2).tolist() == [0.9, 0.5]
    assert real_metrics.highest(some, 9).tolist() == [0.9, 0.5, 0.1]
    assert real_metrics.highest(np.full(3, -np.inf), 2).tolist() == []


def test_reliability_counts_findings_by_confidence() -> None:
    found = real_run.Reliability()
    findings: Any = [SimpleNamespace(confidence=c, right=r) for c, r in CONFIDENCES]
    found.add(findings, lambda finding: finding.right)  # type: ignore[attr-defined]
    rows = {(row["low"], row["high"]): row for row in found.as_json()}
    assert rows[0.9, 1.0]["count"] == 2
    assert rows[0.9, 1.0]["precision"] == 0.5
    assert rows[0.2, 0.35]["mean_confidence"] == 0.2
    assert len(rows) == 2


CONFIDENCES = ((1.0, True), (0.9, False), (0.2, False))


# Judging


def evaluation(model: TableModel | None = None) -> Evaluation:
    scorer = WindowScorer(model or TableModel(near_sum), tiny_tokenizer())
    return Evaluation(scorer, Calibration())


def test_the_file_with_the_bug_is_judged_as_a_scan_would() -> None:
    pair = many()[2]
    after = parse(pair.after.encode())
    bug = bug_of(pair)
    assert isinstance(bug, real.RealBug)
    judged = evaluation().judged(sampled("m.py", after), [bug], masked=False)
    scanner = Scanner(Scorer(TableModel(near_sum), tiny_tokenizer()), Calibration())
    for findings, parsed in ((judged.variants[0].findings, bug.parsed), (judged.findings, after)):
        (whole,) = scanner.findings([parsed])
        assert [(f.leaf, f.rule) for f in findings] == [(f.leaf, f.rule) for f in whole]
        assert [f.confidence for f in findings] == pytest.approx([f.confidence for f in whole])


def settings_of(plan: real.Plan) -> real_run.RealSettings:
    return real_run.RealSettings(masked_files=len(plan.masked))


class Stand:
    """Linters that say something of every file, and more of two that a fix takes away.

    One message more stands at the bug of a repository, another far from that of the next.
    """

    tools: Sequence[str] = ("pyflakes", "ruff")
    gone: Mapping[str, int] = {"before:b/two@": 30, "before:c/three@": 3}

    def facts(self, tool: str) -> dict[str, str]:
        return {"version": "1", "options": f"--{tool}"}

    def run(self, files: Mapping[str, str]) -> dict[str, dict[str, list[LinterMessage]]]:
        assert all(key.endswith(":m.py") for key in files)
        return {tool: {key: self.told(key) for key in files} for tool in self.tools}

    def told(self, key: str) -> list[LinterMessage]:
        lines = [1, 2, *(line for start, line in self.gone.items() if key.startswith(start))]
        return [LinterMessage(line=line, col=0, code="X", text="said") for line in lines]


def test_a_run_is_complete_and_deterministic(tmp_path: Path) -> None:
    made = real.plan(write_pairs(tmp_path / "p", many()), **PLAN)
    seen: list[tuple[str, int, int]] = []
    result = real_run.run_real(
        made,
        evaluation(),
        settings_of(made),
        linters=Stand(),
        progress=lambda *row: seen.append(row),
    )
    again = real_run.run_real(made, evaluation(), settings_of(made), linters=Stand())
    assert json.dumps(result, allow_nan=False) == json.dumps(again)
    assert seen[-1] == ("linting", 7, 7)
    assert ("judging", 7, 7) in seen
    data = result["data"]
    assert (data["bugs"], data["repositories"], data["unreported"], data["files"]) == (7, 3, 5, 3)
    assert data["lines"] == 3 * SAMPLE.count("\n") + 30
    singles = [n for n in DESCRIPTIONS if not n.startswith(("masked", "n-gram", PRODUCT_READ))]
    assert list(result["rankers"]) == singles
    every = [n for n in DESCRIPTIONS if not n.startswith(("n-gram", PRODUCT_READ))]
    assert list(result["compared"]["rankers"]) == every
    assert result["compared"]["bugs"] == 2
    product = result["rankers"][PRODUCT]
    assert (product["all"]["bugs"], product["unreported"]["bugs"]) == (7, 5)
    assert result["rankers"][CHANCE]["all"]["figures"]["paired"]["value"] == 0.5
    assert len(result["misses"]) == 7
    assert result["misses"][0]["rank"] >= result["misses"][-1]["rank"]
    assert all({"repo", "path", "line", "rule", "suggestion"} <= set(a) for a in result["alarms"])
    assert len(result["alarms"]) == real_run.LISTED
    assert result["commits"] is None
    linter = result["linters"]["ruff"]
    assert (linter["version"], linter["options"]) == ("1", "--ruff")
    figures = linter["all"]["figures"]
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in figures.values())
    assert {name: figure["value"] for name, figure in figures.items()} == pytest.approx(
        {
            "found": 1 / 7,
            "found_anywhere": 2 / 7,
            "recall": 1 / 7,
            "precision": 1 / 16,
            "line_top1": 1 / 21,
            "line_top3": 1 / 7,
            "line_top5": 1 / 7,
            "messages_per_kloc": 6 / data["lines"] * 1000,
            "functions_alarmed": 0.0,
        },
        abs=1e-4,
    )
    assert linter["unreported"]["bugs"] == 5
    assert linter["unreported"]["figures"]["found_anywhere"]["value"] == 0.0
    assert linter["by_kind"]["variable"]["bugs"] == 7
    assert linter["by_kind"]["variable"]["found"] == pytest.approx(1 / 7, abs=1e-5)
    assert linter["given_up"] == {"bugs": {}, "files": {}}


def test_mistakes_that_were_read_are_no_alarms(tmp_path: Path) -> None:
    made = real.plan(write_pairs(tmp_path / "p", many()), **PLAN)
    plain = real_run.run_real(made, evaluation(), settings_of(made))
    lines = SAMPLE.splitlines()
    rows = [
        row | {"label": "mistake", "line_digest": known.line_digest(line.encode(), 0)}
        for row in plain["alarms"]
        for line in lines[row["line"] - 1 : row["line"]]
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    read = known.KnownMistakes.read(labels)
    run = real_run.RealRun(made, evaluation(), settings_of(made), read)
    run.judge()
    result = run.result(None)
    assert result["rankers"][PRODUCT] == plain["rankers"][PRODUCT]
    names = (PRODUCT, PRODUCT_READ)
    others, fewer = (sum(len(bug.elsewhere) for bug in run.every.bugs[n]) for n in names)
    alarms, left = (sum(len(file.suspicions) for file in run.every.clean[n]) for n in names)
    assert fewer < others
    assert left < alarms
    alone, also = (
        sum(row["precision"] * row["count"] for row in result[name])
        for name in ("reliability", "reliability_read")
    )
    assert also > alone


@pytest.mark.parametrize("text", ["{", '{"label": "mistake"}', "[1]"])
def test_labels_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"labels\.jsonl: no labels"):
        known.KnownMistakes.read(path)


def test_without_the_deciding_linters_no_bug_is_known_as_unreported(tmp_path: Path) -> None:
    made = real.plan(write_pairs(tmp_path / "p", many()[:2]), **PLAN)
    result = real_run.run_real(made, evaluation(), settings_of(made))
    assert result["data"]["unreported"] is None
    assert result["rankers"][PRODUCT]["unreported"] is None
    alone = Stand()
    alone.tools = ("ruff",)
    result = real_run.run_real(made, evaluation(), settings_of(made), linters=alone)
    assert result["data"]["unreported"] is result["linters"]["ruff"]["unreported"] is None


class GivingUp(Stand):
    """Linters that can parse no file of a repository."""

    def told(self, key: str) -> list[LinterMessage]:
        lost = LinterMessage(line=1, col=0, code=UNPARSED, text="")
        return [lost] if ":a/one@" in key else super().told(key)


def test_files_that_a_linter_gives_up_do_not_count_as_clean(tmp_path: Path) -> None:
    made = real.plan(write_pairs(tmp_path / "p", many()), **PLAN)
    linters = real_run.run_real(made, evaluation(), settings_of(made), linters=GivingUp())
    ruff = linters["linters"]["ruff"]
    assert ruff["given_up"] == {"bugs": {UNPARSED: 5}, "files": {UNPARSED: 1}}
    rate = ruff["all"]["figures"]["messages_per_kloc"]["value"]
    assert rate == pytest.approx(4 / (2 * SAMPLE.count("\n") + 30) * 1000, abs=1e-4)


def test_commits_are_judged_where_they_are_known(tmp_path: Path) -> None:
    pair = many()[0]
    origin = Introduction("d0", "m.py", pair.before, (pair.fix.line,), pair.fix.edits)
    made = real.plan(write_pairs(tmp_path / "p", [replace(pair, introduction=origin)]), **PLAN)
    result = real_run.run_real(made, evaluation(), settings_of(made))
    assert result["commits"]["bugs"] == 1
    without = replace(settings_of(made), commits=False)
    assert real_run.run_real(made, evaluation(), without)["commits"] is None


def test_nothing_to_judge_is_the_users_trouble(tmp_path: Path) -> None:
    pair = FixPair(fix_of(Kind.VARIABLE, ((4, 6, "y"),)), "x = abc\n", "")
    made = real.plan(write_pairs(tmp_path / "p", [pair]), **PLAN)
    with pytest.raises(UsageError, match=real.NO_LEAF):
        real_run.run_real(made, evaluation(), settings_of(made))


def test_a_clean_file_keeps_its_functions() -> None:
    file: SampledFile = sampled("m.py", parse(CODE.encode()))
    found = real_metrics.clean_file(file, opinion_of(CODE, {"+": 5.0, "c": 3.0}, {}), group=4)
    assert (found.group, found.lines, sorted(found.functions)) == (4, 7, [3.0, 5.0])
    assert found.suspicions[:2].tolist() == [5.0, 3.0]


# The command


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> TableModel:
    model = TableModel(near_sum)
    scorer = Scorer(model, tiny_tokenizer())
    monkeypatch.setattr("codemlm.commands.load_model", lambda *_: (scorer, Calibration()))
    monkeypatch.setattr("codemlm.evaluation.real_linters.installed", lambda *_: Stand())
    return model


def invoke(*arguments: object) -> Any:
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(command.eval_command, given, catch_exceptions=False)


def test_the_command_writes_everything(tmp_path: Path, fake_model: TableModel) -> None:
    pairs = write_pairs(tmp_path / "p.jsonl.gz", many())
    out, page = tmp_path / "out.json", tmp_path / "out.md"
    result = invoke("--real", pairs, "--masked-files", 1, "--json", out, "--markdown", page)
    assert result.exit_code == 0
    assert "does not say which repositories" in result.stderr  # the table has no manifest
    assert "keep gate" in result.stdout
    written = json.loads(out.read_text())
    assert written["data"]["bugs"] == 7
    text = page.read_text()
    assert text.startswith("## Real bugs\n\n**The model's manifest does not say")
    for heading in (
        "All bugs (7)",
        "Bugs that pyflakes and ruff do not report (5)",
        "The most confident",
    ):
        assert heading in text
    assert "| ruff | - | - | - |" in text
    assert "`--ruff`" in text


def test_pictures_and_the_report_for_browsers(tmp_path: Path, fake_model: TableModel) -> None:
    pytest.importorskip("matplotlib")
    pairs = write_pairs(tmp_path / "p.jsonl.gz", many()[:3])
    page, folder = tmp_path / "out.html", tmp_path / "pictures"
    result = invoke("--real", pairs, "--masked-files", 0, "--html", page, "--figures", folder)
    assert result.exit_code == 0
    assert "data:image/png" in page.read_text()
    assert list(folder.glob("*.png"))


def test_one_kind_of_bugs_is_asked_for(tmp_path: Path, fake_model: TableModel) -> None:
    pairs = write_pairs(tmp_path / "p.jsonl.gz", many())
    for arguments in ((), ("--real", pairs, "--corpus", tmp_path)):
        with pytest.raises(UsageError, match="either --corpus"):
            invoke(*arguments)
    with pytest.raises(UsageError, match="--html is for --real"):
        invoke("--corpus", tmp_path, "--html", tmp_path / "x")
    with pytest.raises(UsageError, match="--limit"):
        invoke("--real", pairs, "--files", 3)


def test_what_the_model_has_seen_is_refused(tmp_path: Path, fake_model: TableModel) -> None:
    seen = {"train": ["a/one"], "calibration": ["fork/two"]}
    fake_model.manifest = SimpleNamespace(name="m", version="1", repositories=seen)  # type: ignore[attr-defined]
    pairs = write_pairs(tmp_path / "p.jsonl.gz", many())
    with pytest.raises(UsageError, match=r"a/one.*b/two"):
        invoke("--real", pairs)
    page = tmp_path / "out.md"
    arguments = ("--real", pairs, "--masked-files", 0, "--markdown", page, "--limit", 3)
    assert invoke(*arguments, "--allow-seen").exit_code == 0
    assert (
        "**1 of the repositories are ones that the model has seen in its train" in page.read_text()
    )
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    with gzip.open(corpus / "a__one.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({"path": "m.py", "text": SAMPLE}) + "\n")
    with pytest.raises(UsageError, match="a/one"):
        invoke("--corpus", corpus, "--quick")
    assert invoke("--corpus", corpus, "--quick", "--markdown", page, "--allow-seen").exit_code == 0
    assert "no measurement" in page.read_text()
