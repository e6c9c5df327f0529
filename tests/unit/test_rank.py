"""Alternatives in the order of what was probably meant, and the trees that say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from codemlm.alternatives import FLOOR, Context
from codemlm.calibration import MODEL_FEATURES, Boosted, Calibration
from codemlm.confidence import Doubts
from codemlm.errors import UsageError
from codemlm.evaluation.rescoring import WindowScorer
from codemlm.evidence import Evidence
from codemlm.injection import Kind
from codemlm.ranking import LEAST_RANKED, RANK_FEATURES, rank_rows, ranked_leaves, reordered
from codemlm.scoring import Alternative, LeafScore
from codemlm.suggestions import combine
from codemlm.syntax import parse
from codemlm.train.fit_commands import rank_command
from codemlm.train.rank import Choices, RankSettings, collect_choices, fit_ranker
from codemlm.trees import Ensemble, Tree

from .fakes import SAMPLE, TableModel, tiny_tokenizer
from .test_fit import answer
from .test_real import pair_of, write_pairs

pytest.importorskip("lightgbm")

SOURCE = b"""\
def area(width, height, weight):
    top = weight
    return width * hight
"""


def likes(feature: str, above: float) -> Boosted:
    """A ranker that prefers what has more than so much of a feature."""
    tree = Tree(
        features=np.array([0]),
        thresholds=np.array([above]),
        missing_left=np.array([True]),
        left=np.array([-1]),
        right=np.array([-2]),
        values=np.array([-1.0, 1.0]),
    )
    return Boosted((feature,), Ensemble((tree,), 1))


def scored(texts: str) -> tuple[Context, LeafScore, list[Alternative]]:
    parsed = parse(SOURCE)
    leaf = next(i for i in range(len(parsed)) if parsed.text(i) == "width" and i > 10)
    likelihoods = [0.4, 0.2, 0.1]
    found = [Alternative(t, p) for t, p in zip(texts.split(), likelihoods, strict=True)]
    return Context(parsed), LeafScore(leaf, 0.0, 0.5, tuple(found), -3.0, -0.5), found


def test_rows_say_how_the_model_ranks_and_what_the_file_knows() -> None:
    context, score, found = scored("top height weight")
    rows = rank_rows(Evidence(context.parsed), [score, score], [found, found[:1]])
    assert rows.shape == (4, len(RANK_FEATURES))
    column = dict(zip(RANK_FEATURES, rows.T.tolist(), strict=True))
    assert column["place"] == [0, 1, 2, 0]
    assert column["relative"] == pytest.approx([0, np.log(0.5), np.log(0.25), 0], abs=1e-5)
    assert column["portion"] == pytest.approx([4 / 7, 2 / 7, 1 / 7, 1])
    assert column["likelihood"][3] == pytest.approx(np.log(0.4))
    assert column["shown"] == [-3.0] * 4
    assert column["bindings_suggested"][0] > 0


def test_a_ranker_orders_and_says_how_sure_it_is() -> None:
    context, score, found = scored("top height weight")
    both = [found, found[:2]]
    leaves, texts = [score.leaf] * 5, [a.text for some in both for a in some]
    features = Evidence(context.parsed).features(leaves, texts)
    lists, shares = reordered(likes("place", 1.5), features, [score, score], both)
    assert [a.text for a in lists[0]] == ["weight", "top", "height"]
    assert lists[1] is both[1]  # ties keep the model's order
    expected = [[2, -np.log(1 + 2 * np.exp(-2.0))], [0, -np.log(2)]]
    assert shares == pytest.approx(np.array(expected))
    assert reordered(likes("place", 1.5), features[:0], [], [])[0] == []


def test_findings_begin_with_what_the_ranker_prefers() -> None:
    context, score, found = scored("top height weight")
    doubts = Doubts(context, [score], with_evidence=True, ranker=likes("place", 1.5))
    assert doubts.possible[0][0].text == "weight"
    row = dict(zip(MODEL_FEATURES, doubts.rows[0].tolist(), strict=False))
    assert row["moved"] == 2
    assert row["preference"] < 0
    likelihood, suggestions = combine(score, doubts.possible[0], context, None)
    assert suggestions[0].text == "weight"
    assert suggestions[1].likelihood > suggestions[0].likelihood
    assert likelihood == pytest.approx(0.5 / (0.5 + sum(a.likelihood for a in doubts.possible[0])))
    plain = Doubts(context, [score], with_evidence=True)
    assert plain.possible[0][0] == found[0]
    assert np.isnan(plain.rows[0, MODEL_FEATURES.index("moved")])


def test_only_suspicious_leaves_are_ranked_anew() -> None:
    assert ranked_leaves(10) == LEAST_RANKED
    assert ranked_leaves(1000) == 300


def test_a_name_may_lack_any_receiver_that_has_it_elsewhere() -> None:
    source = b"def f(row, table):\n    row.size = 1\n    table.size = 2\n    return size\n"
    parsed = parse(source)
    leaf = len(parsed) - 1
    while parsed.text(leaf) != "size":
        leaf -= 1
    found = Context(parsed).possible(leaf, [])
    assert found == [Alternative("row.size", FLOOR), Alternative("table.size", FLOOR)]


def scorer() -> WindowScorer:
    return WindowScorer(TableModel(answer), tiny_tokenizer())


def test_choices_are_of_wrong_leaves_alone(tmp_path: Path) -> None:
    head = SAMPLE + "def area(width, height):\n    return "
    first = f"{head}width * width\n"
    last = first.count("width") - 1
    made = [
        pair_of(first, Kind.VARIABLE, "width", "area", last, repo="a/one"),
        pair_of(first, Kind.VARIABLE, "width", "height", last, repo="a/one", commit="c1"),
        pair_of("def f():\n    return y\n", Kind.VARIABLE, "y", "x", repo="b/two"),
    ]
    found = collect_choices(scorer, [write_pairs(tmp_path / "pairs.jsonl.gz", made)])
    assert found.repositories == ["a/one"]
    assert found.missing == 1  # this model never thinks of `height` there
    assert found.rows[0].shape[1] == len(RANK_FEATURES)
    assert 0 <= found.meant[0] < len(found.rows[0])


def choices(count: int) -> Choices:
    """Mistakes whose right answer is the alternative that is most alike, and never the first."""
    rng = np.random.default_rng(0)
    found = Choices(missing=count // 10)
    for number in range(count):
        rows = rng.normal(size=(5, len(RANK_FEATURES))).astype(np.float32)
        rows[:, RANK_FEATURES.index("place")] = np.arange(5)
        meant = int(rng.integers(1, 5))
        rows[:, RANK_FEATURES.index("likeness")] = np.where(np.arange(5) == meant, 0.9, 0.1)
        found.rows.append(rows)
        found.meant.append(meant)
        found.repositories.append(f"a/{number % 7}")
    return found


def test_a_fit_learns_what_tells_the_right_one() -> None:
    ranker, figures = fit_ranker(choices(100), RankSettings(rounds=30, columns=1.0))
    assert figures["before"] == 0
    assert figures["after"] > 0.85
    assert figures["listed"] == pytest.approx(100 / 110, abs=1e-4)
    assert "likeness" in ranker.features
    again = Calibration.from_json(Calibration(ranker=ranker).as_json()).ranker
    assert again is not None
    assert again.features == ranker.features
    with pytest.raises(UsageError, match="too few"):
        fit_ranker(choices(10), RankSettings())


def test_the_command_asks_for_an_exported_model(tmp_path: Path) -> None:
    arguments = ["--model", str(tmp_path), "--pairs", str(tmp_path / "none")]
    result = CliRunner().invoke(rank_command, arguments)
    assert result.exit_code == 2
    assert "no exported model" in result.stderr
