"""The quick look at a checkpoint: windows before and after a fix, figures by hand, the command."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from codemlm.evaluation.probe import (
    RANKERS,
    RATIO,
    Case,
    Outcome,
    Probe,
    Verdict,
    injected_cases,
    real_cases,
)
from codemlm.evaluation.probe_figures import GROUPS, summarise, table
from codemlm.evaluation.rankers import GATE, MASKED_RATIO
from codemlm.fixes import FIX_KINDS
from codemlm.injection import Kind
from codemlm.syntax import parse
from codemlm.tokenizer import MASK
from codemlm.train.__main__ import main

from .fakes import SAMPLE, TableModel, tiny_tokenizer
from .test_real import pair_of, write_pairs

WRONG = SAMPLE.replace("return self.rows * self.cols", "return self.rows * self.rows")
Arrays = Mapping[str, np.ndarray]


@pytest.fixture(autouse=True)
def quick_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemlm.evaluation.metrics.RESAMPLES", 40)


def case() -> Case:
    before, after = parse(WRONG.encode()), parse(SAMPLE.encode())
    (leaf,) = [i for i in range(len(after)) if before.text(i) != after.text(i)]
    return Case("a/one@c0", "a/one", Kind.ATTRIBUTE, before, after, {leaf: "cols"}, (leaf,))


def test_a_case_is_shown_and_masked_before_and_after() -> None:
    seen: list[np.ndarray] = []

    def answer(arrays: Arrays, count: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append(arrays["input_ids"])
        shape = arrays["leaf_positions"].shape
        return np.full(shape, 3.0, np.float32), np.zeros((*shape, count), np.float32)

    list(Probe(TableModel(answer), tiny_tokenizer()).run([case()]))
    plain, masked = seen
    assert not (plain == MASK).any()
    differing = np.flatnonzero(plain[0] != plain[1])
    assert 0 < len(differing) <= 2  # the wrong leaf alone
    # With the wrong leaf hidden, both windows are the same, masks included.
    assert (masked[0] == masked[1]).all()
    assert (masked[0] == MASK).sum() > 1


def suspicious_of(text: str) -> TableModel:
    """A model that doubts one text, and means another in its place."""
    tokenizer = tiny_tokenizer()
    doubted, meant = tokenizer.pieces(text), tokenizer.pieces("cols")

    def answer(arrays: Arrays, count: int) -> tuple[np.ndarray, np.ndarray]:
        ids, positions = arrays["input_ids"], arrays["leaf_positions"]
        at = np.take_along_axis(ids, np.maximum(positions, 0), axis=1)
        doubts = (at == doubted[0]) & (positions >= 0)
        logits = np.zeros((*positions.shape, count), np.float32)
        candidates = arrays["candidate_ids"][:, :, : len(meant)]
        is_meant = (candidates == meant).all(-1)
        if len(meant) < arrays["candidate_ids"].shape[-1]:
            is_meant &= arrays["candidate_ids"][:, :, len(meant)] == 0
        logits[:, :, count - is_meant.shape[1] :] += 5.0 * is_meant[:, None]
        return np.where(doubts, -4.0, 4.0).astype(np.float32), logits

    return TableModel(answer)


def test_verdicts_of_a_model_that_knows() -> None:
    source = "def area(self, rows, cols):\n    return self.get(rows, {})\n"
    before, after = parse(source.format("limit").encode()), parse(source.format("cols").encode())
    (leaf,) = [i for i in range(len(after)) if before.text(i) != after.text(i)]
    one = Case("a/b@c", "a/b", Kind.VARIABLE, before, after, {leaf: "cols"}, (leaf,))
    (outcome,) = Probe(suspicious_of("limit"), tiny_tokenizer()).run([one])
    gate = outcome.verdicts[GATE]
    assert gate.suspicion == 4.0
    assert gate.hits == (1.0, 1.0, 1.0)
    assert gate.paired == 1.0
    assert gate.repaired == (True, True)
    assert (outcome.clean[GATE] == -4.0).all()
    assert outcome.verdicts[RATIO].suspicion > 0 > -outcome.verdicts[RATIO].paired
    assert np.isnan(outcome.verdicts[MASKED_RATIO].hits).all()
    assert outcome.verdicts[MASKED_RATIO].repaired[0]


def verdict(suspicion: float, repaired: bool = False) -> Verdict:
    return Verdict(suspicion, (float(suspicion > 1), 1.0, 1.0), 1.0, (repaired, True))


def outcome(repo: str, suspicion: float, clean: list[float], kind: str = "variable") -> Outcome:
    return Outcome(
        repo,
        kind,
        dict.fromkeys(RANKERS, verdict(suspicion, repaired=suspicion > 1)),
        dict.fromkeys(RANKERS, np.array(clean)),
        np.log([0.5, 0.25]),
        np.array([True, False]),
    )


def test_figures_by_hand() -> None:
    clean = [i / 100 for i in range(100)]  # 0.00 to 0.99
    found = summarise([outcome("a", 2.0, clean), outcome("b", 0.5, [], "number")], seed=0)
    figures = {name: entry["value"] for name, entry in found["rankers"][GATE].items()}
    assert found["clean_leaves"] == 100
    assert figures["auc"] == pytest.approx((1.0 + 0.505) / 2)
    assert figures["top1"] == 0.5
    assert figures["recall_at_1"] == figures["recall_at_0.1"] == 0.5
    assert figures["joint"] == figures["repair_top1"] == 0.5
    assert found["masked"]["accuracy"]["value"] == 0.5
    assert found["masked"]["loss"]["value"] == pytest.approx(1.5 * np.log(2), abs=1e-6)
    assert found["groups"]["variable"]["bugs"] == found["groups"]["literal"]["bugs"] == 1
    assert found["groups"]["literal"][GATE]["auc"] == pytest.approx(0.505)
    assert found["groups"]["prefix"][GATE] == {}


def test_every_kind_is_in_one_group() -> None:
    members = [str(kind) for group in GROUPS.values() for kind in group]
    assert sorted(members) == sorted(FIX_KINDS)


def test_a_leaf_that_nobody_judges_is_missed_not_left_out() -> None:
    lost = Outcome(
        "a",
        "variable",
        dict.fromkeys(RANKERS, Verdict(-np.inf, (0.0,) * 3, 0.5, (False, False))),
        dict.fromkeys(RANKERS, np.array([0.0, -np.inf])),
        np.zeros(0),
        np.zeros(0, dtype=bool),
    )
    found = summarise([lost], seed=0)
    assert found["rankers"][GATE]["auc"]["value"] == pytest.approx(0.25)
    assert found["rankers"][GATE]["recall_at_1"]["value"] == 0.0
    assert "0 masked leaves: accuracy -" in table(found)


def test_real_cases_count_what_cannot_be_judged(tmp_path: Path) -> None:
    start = WRONG.index("* self.rows\n") + len("* self.")
    edits = ((start, start + 4, "cols"),)
    good = pair_of(WRONG, "attribute", "rows", "cols", nth=WRONG[:start].count("rows"))
    assert good.fix.edits == edits
    broken = pair_of("def (:\n    x\n", "variable", "x", "y", commit="c2", repo="b/two")
    path = write_pairs(tmp_path / "pairs.jsonl.gz", [good, broken])
    skipped: Counter[str] = Counter()
    (found,) = real_cases(path, limit=None, seed=0, skipped=skipped)
    assert list(found.meant.values()) == ["cols"]
    assert found.after.text(found.fixed[0]) == "cols"
    assert sum(skipped.values()) == 1


def test_injected_cases_differ_from_their_files(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a__one.jsonl.gz", "wt", encoding="utf-8") as stream:
        for name in ("m.py", "n.py"):
            stream.write(json.dumps({"path": name, "text": SAMPLE}) + "\n")
    found = list(injected_cases(tmp_path, files=2, seed=0))
    assert len(found) == 2
    assert {one.repo for one in found} == {"a/one"}
    for one in found:
        assert one.before.source != one.after.source
        assert len(one.fixed) == len(one.meant)
    outcomes = list(Probe(TableModel(), tiny_tokenizer()).run(found))
    assert [one.kind for one in outcomes] == [one.kind for one in found]


def test_command_names_what_is_missing(tmp_path: Path) -> None:
    pairs = tmp_path / "none.jsonl.gz"
    result = CliRunner().invoke(
        main, ["probe", "--checkpoint", str(tmp_path), "--pairs", str(pairs)]
    )
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr
