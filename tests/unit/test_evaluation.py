"""Evaluation and calibration on injected mistakes, with a model that is a table."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from codemlm.calibration import Calibration
from codemlm.errors import CorpusError, UsageError
from codemlm.evaluation import command, injected, ngram, rankers, rescoring, run
from codemlm.evaluation.metrics import (
    Pooled,
    Summary,
    bug_outcome,
    chance_within,
    clean_outcome,
)
from codemlm.evaluation.report import markdown, tables
from codemlm.injection import Kind
from codemlm.scoring import Scorer
from codemlm.syntax import parse
from codemlm.tokenizer import MASK
from codemlm.train.logistic import fit_logistic, held_out, predict, reliability, threshold_for
from codemlm.types import DELETE_TEXT, NEGATE_TEXT, Role
from codemlm.windows import plan_windows

from .fakes import SAMPLE, TableModel, tiny_tokenizer


def variations(count: int) -> list[str]:
    """Files like the sample, with names of their own."""
    return [SAMPLE.replace("value", f"value{i}").replace("grid", f"grid{i}") for i in range(count)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two repositories of three files, and two files of the wrong size or syntax."""
    folder = tmp_path / "validation"
    folder.mkdir()
    texts = variations(6)
    for name, some in (("a__one", texts[:3]), ("b__two", texts[3:])):
        rows = [{"path": f"{i}.py", "text": text} for i, text in enumerate(some)]
        rows += [{"path": "short.py", "text": "x = 1\n"}, {"path": "bad.py", "text": "(\n" * 40}]
        with gzip.open(folder / f"{name}.jsonl.gz", "wt") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


@pytest.fixture(autouse=True)
def quick_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemlm.evaluation.metrics.RESAMPLES", 40)


def near_sum(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers that depend on the three subtokens on either side of a leaf, and on nothing else."""
    ids, positions = arrays["input_ids"], arrays["leaf_positions"]
    padded = np.pad(ids, ((0, 0), (3, 3)))
    around = np.zeros(positions.shape, dtype=np.int64)
    for i in range(7):
        around += np.take_along_axis(padded, np.maximum(positions, 0) + i, 1) * (i + 1)
    keep = (around % 97).astype(np.float32) / 10 - 5
    logits = np.cos(around[..., None] * np.arange(1, count + 1)).astype(np.float32)
    padding = arrays["candidate_ids"][:, :, 0] == 0  # as many as the widest window of a batch needs
    logits[:, :, count - padding.shape[1] :] -= 1e4 * padding[:, None, :]
    return keep, logits


# Sampling and injection


def test_the_sample_takes_turns_and_depends_on_the_seed_alone(corpus: Path) -> None:
    files = injected.sample_files(corpus, 4, seed=3)
    assert [file.name.rsplit("/", 1)[0] for file in files] == ["a/one", "b/two"] * 2
    again = injected.sample_files(corpus, 4, seed=3)
    assert [file.name for file in files] == [file.name for file in again]
    assert len(injected.sample_files(corpus, 99, seed=0)) == 6
    (file, *_) = files
    assert file.lines == SAMPLE.count("\n")
    starts = [file.parsed.source[a:b][:9] for a, b in file.functions]
    assert len(starts) == 5
    assert all(start.startswith(b"def ") for start in starts)


def test_a_damaged_or_empty_corpus_is_the_users_trouble(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="build a corpus"):
        injected.repositories(tmp_path)
    (tmp_path / "x.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(CorpusError, match="not a corpus file"):
        injected.sample_files(tmp_path, 1, 0)


def undo(bug: injected.Bug) -> bytes:
    """The file with what was meant put in place of what stands there."""
    parsed, source = bug.parsed, bug.parsed.source
    for leaf, text in sorted(bug.meant.items(), reverse=True):
        start, end = int(parsed.starts[leaf]), int(parsed.ends[leaf])
        if text == NEGATE_TEXT:
            source = source[:start] + b"not " + source[start:]
        elif text == DELETE_TEXT:
            source = source[:start] + source[int(parsed.starts[leaf + 1]) :]
        else:
            source = source[:start] + text.encode() + source[end:]
    return source


def test_what_was_meant_undoes_the_mistake(corpus: Path) -> None:
    files = injected.sample_files(corpus, 6, seed=0)
    bugs = injected.inject(files, per_file=4, least=3, seed=0)
    assert len({bug.kind for bug in bugs}) > 10
    assert [bug.file for bug in bugs] == sorted(bug.file for bug in bugs)
    assert sum(bug.natural for bug in bugs) == 24
    for bug in bugs:
        assert undo(bug) == files[bug.file].parsed.source
        assert bug.parsed.source != files[bug.file].parsed.source
        assert len(bug.meant) == 1 + (bug.kind in (Kind.ARGUMENT_SWAP, Kind.OPERAND_SWAP))
    alone = injected.inject(files[1:2], per_file=4, least=0, seed=0)
    together = [bug for bug in bugs if bug.file == 1 and bug.natural]
    assert [bug.parsed.source for bug in alone] == [bug.parsed.source for bug in together]


# Scoring the windows that see a mistake


def test_scores_are_those_of_scoring_the_whole_file(corpus: Path) -> None:
    files = injected.sample_files(corpus, 2, seed=0)
    bugs = injected.inject(files, per_file=3, least=1, seed=0)
    scorer = rescoring.WindowScorer(TableModel(near_sum), tiny_tokenizer())
    for number, file in enumerate(files):
        old = rescoring.to_score(file.parsed, tiny_tokenizer())
        known = scorer.whole(old, masked=False)
        assert sorted(known) == injected.scored_leaves(file.parsed).tolist()
        of_file = [bug for bug in bugs if bug.file == number]
        new = [rescoring.to_score(bug.parsed, tiny_tokenizer()) for bug in of_file]
        before = len(scorer.model.calls)  # type: ignore[attr-defined]
        changed = scorer.changed(old, known, new, masked=False)
        rows = sum(shape[0] for shape in scorer.model.calls[before:])  # type: ignore[attr-defined]
        assert rows < len(new) * len(plan_windows(old.encoded, 64, 16)) / 1.5
        for bug, scored, whole in zip(of_file, changed, scorer.score(new), strict=True):
            assert sorted(scored) == injected.scored_leaves(bug.parsed).tolist()
            assert {s.leaf: s.keep_logit for s in whole} == {
                leaf: score.keep_logit for leaf, score in scored.items()
            }
            assert all(leaf == score.leaf for leaf, score in scored.items())


def test_every_leaf_is_masked_once_and_few_at_a_time() -> None:
    masks: list[int] = []

    def answer(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        ids, positions = arrays["input_ids"], arrays["leaf_positions"]
        assert (np.take_along_axis(ids, np.maximum(positions, 0), 1)[positions >= 0] == MASK).all()
        masks.extend((ids == MASK).sum(axis=1).tolist())
        return near_sum(arrays, count)

    parsed = parse(SAMPLE.encode())
    scorer = rescoring.WindowScorer(TableModel(answer), tiny_tokenizer())
    scores = scorer.whole(rescoring.to_score(parsed, tiny_tokenizer()), masked=True)
    assert sorted(scores) == injected.scored_leaves(parsed).tolist()
    assert sum(masks) == len(scores)
    assert max(masks) <= 64 // rescoring.SPACING


def test_a_verified_leaf_is_verified_again_only_where_its_window_changed(corpus: Path) -> None:
    files = injected.sample_files(corpus, 1, seed=0)
    # Of seed 1: a mistake after which the same names may be meant elsewhere.
    (bug,) = injected.inject(files, per_file=1, least=0, seed=1)
    scorer = rescoring.WindowScorer(TableModel(near_sum), tiny_tokenizer())
    old, new = (rescoring.to_score(f.parsed, tiny_tokenizer()) for f in (files[0], bug))
    leaves = injected.scored_leaves(files[0].parsed).tolist()
    known = scorer.verify(old, leaves)
    kept = scorer.unchanged(old, known, new, rescoring.find_change(old, new))
    assert 0 < len(kept) < len(known)
    exact = {
        s.leaf: s
        for s in Scorer(TableModel(near_sum), tiny_tokenizer()).score_masked(new, list(kept))
    }
    assert {leaf: s.logp_shown for leaf, s in exact.items()} == {
        leaf: s.logp_shown for leaf, s in kept.items()
    }


# N-grams


def test_ngrams_are_a_distribution_that_leaves_out_the_place_itself(corpus: Path) -> None:
    model = ngram.train_ngrams(corpus, max_words=3000, seed=0, cache=None)
    words = ngram.Words()
    file = ngram.FileGrams.of(parse(variations(9)[8].encode()), words)
    known = np.unique(np.concatenate([model_words(corpus, words), file.sequenced.keys]))
    unseen = np.array([ngram.word_key("never seen")], dtype=np.uint64)
    for place in (40, 77, 110):
        at = np.full(len(known), place)
        for left in (True, False):
            p = np.exp(model.logp(file, at, known, left=left)).sum()
            rest = np.exp(model.logp(file, at[:1], unseen, left=left)).sum()
            # every unseen word gets `rest`, and one such word is accounted for
            assert p == pytest.approx(1.0, abs=0.02)
            assert 0 < rest < 0.01


def model_words(corpus: Path, words: ngram.Words) -> np.ndarray:
    texts = [text for path in injected.repositories(corpus) for _, text in injected.read_rows(path)]
    return np.concatenate([words.sequence(parse(text.encode())).keys for text in texts])


def test_ngrams_find_the_common_word_likelier_and_keep_their_tables(corpus: Path) -> None:
    model = ngram.train_ngrams(corpus, max_words=3000, seed=0, cache=corpus.parent)
    (kept,) = corpus.parent.glob("ngrams-*.npz")
    again = ngram.train_ngrams(corpus, max_words=3000, seed=0, cache=corpus.parent)
    assert [t.counts.sum() for t in again.tables] == [t.counts.sum() for t in model.tables]
    kept.write_bytes(b"damaged")
    ngram.train_ngrams(corpus, max_words=3000, seed=0, cache=corpus.parent)
    assert kept.stat().st_size > 1000
    parsed = parse(SAMPLE.encode())
    view = rankers.NgramRanker(model).view(parsed)
    texts = [parsed.text(int(leaf)) for leaf in view.leaves]
    place = next(
        i for i, t in enumerate(texts) if t == "rows" and parsed.roles[view.leaves[i]] == Role.READ
    )
    assert view.left[place] > np.log(0.01)
    assert (view.best > -np.inf).mean() > 0.5
    assert all(text != shown for text, shown in zip(view.texts, texts, strict=True))


def test_ngram_alternatives_are_taken_over_where_nothing_changed(corpus: Path) -> None:
    files = injected.sample_files(corpus, 1, seed=0)
    ranker = rankers.NgramRanker(ngram.train_ngrams(corpus, max_words=3000, seed=0, cache=None))
    known = ranker.view(files[0].parsed)
    old = rescoring.to_score(files[0].parsed, tiny_tokenizer())
    for bug in injected.inject(files, per_file=3, least=1, seed=0):
        variant = run.Variant(bug, old, rescoring.to_score(bug.parsed, tiny_tokenizer()))
        taken, fresh = ranker.view(bug.parsed, known, variant.leaves(old)), ranker.view(bug.parsed)
        assert (taken.left == fresh.left).all()
        assert np.mean([a == b for a, b in zip(taken.texts, fresh.texts, strict=True)]) > 0.8


# Figures


def opinion(suspicion: list[float], repairs: list[str] | None = None) -> rankers.Opinion:
    return rankers.Opinion(
        np.arange(len(suspicion)), np.array(suspicion), repairs or [""] * len(suspicion)
    )


def bug_at(leaves: dict[int, str], file: int = 0) -> injected.Bug:
    return injected.Bug(file, Kind.VARIABLE, True, parse(b""), leaves)


def test_ranks_share_ties_and_swaps_may_be_found_at_either_place() -> None:
    found = bug_outcome(bug_at({2: "x"}), opinion([1, 5, 4, 0, 0, 0], ["", "", "x", "", "", ""]))
    assert found.hits == (0.0, 1.0, 1.0)
    assert found.repaired
    tied = bug_outcome(bug_at({2: "x"}), opinion([1.0] * 6))
    assert tied.hits == pytest.approx((1 / 6, 3 / 6, 5 / 6))
    swap = bug_outcome(bug_at({0: "y", 3: "x"}), opinion([0, 1, 2, 9], ["", "", "", "x"]))
    assert swap.hits == (1.0, 1.0, 1.0)
    assert swap.repaired
    missing = bug_outcome(bug_at({9: "x"}), opinion([0, 1]))
    assert missing.hits == (0.0, 0.0, 0.0)
    assert missing.suspicion == -np.inf
    assert chance_within(2, 4, 2) == pytest.approx(1 - 4 * 3 / (6 * 5))


def test_recall_at_an_alarm_rate(corpus: Path) -> None:
    files = injected.sample_files(corpus, 2, seed=0)
    lines = sum(file.lines for file in files)
    clean = []
    for file, top in zip(files, (0.9, 0.3), strict=True):
        leaves = injected.scored_leaves(file.parsed)
        suspicion = np.full(len(leaves), 0.1)
        suspicion[5] = top
        clean.append(clean_outcome(file, rankers.Opinion(leaves, suspicion, [""] * len(leaves))))
    assert [c.lines for c in clean] == [file.lines for file in files]
    assert [max(c.functions) for c in clean] == [0.9, 0.3]
    bugs = [
        bug_outcome(bug_at({1: "x"}, file), opinion([0.0, p], ["", "x"]))
        for file, p in ((0, 0.95), (0, 0.5), (1, 0.2), (1, 0.05))
    ]
    result = Summary(bugs, clean, seed=0).as_json()
    value = {name: figure["value"] for name, figure in result["figures"].items()}
    assert value["top1"] == 1.0
    assert value["repair"] == 1.0
    # 86 lines: at 5 alarms per 1,000 none is allowed, so that only what exceeds 0.9 is found
    assert 5 * lines / 1000 < 1
    assert value["recall_at_5"] == 0.25
    assert value["functions_at_5"] == 0.0
    assert value["alarms_at_recall_50"] == pytest.approx(1 / lines * 1000)
    assert value["functions_at_recall_50"] == pytest.approx(1 / 10)
    low, high = (result["figures"]["recall_at_5"][end] for end in ("low", "high"))
    assert low == 0.0
    assert high >= 0.5
    assert result["by_kind"]["variable"]["bugs"] == 4
    pooled = Pooled([np.array([3.0, 1.0]), np.array([2.0, 2.0])])
    assert (pooled.at_least(2.0), pooled.above(2.0), pooled.above(9.0)) == (3, 1, 0)
    assert pooled.running(np.array([1.0, 2.0])).tolist() == [0, 1, 3, 5, 6]


# The whole


def evaluation(corpus: Path) -> run.Evaluation:
    scorer = rescoring.WindowScorer(TableModel(near_sum), tiny_tokenizer())
    ngrams = ngram.train_ngrams(corpus, max_words=500, seed=0, cache=None)
    return run.Evaluation(scorer, Calibration(), ngrams=ngrams)


SMALL = run.Settings(files=3, per_file=2, least=1, masked_files=1)


def test_an_evaluation_is_deterministic_and_complete(corpus: Path) -> None:
    seen: list[tuple[int, int]] = []
    result = evaluation(corpus).run(corpus, SMALL, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert json.dumps(result) == json.dumps(evaluation(corpus).run(corpus, SMALL))
    known = [name for name in rankers.DESCRIPTIONS if name != rankers.PRODUCT_READ]
    every = [name for name in known if not name.startswith("masked")]
    assert list(result["rankers"]) == every
    assert list(result["compared"]["rankers"]) == known
    assert result["natural_bugs"] == 6
    chance = result["rankers"][rankers.CHANCE]["figures"]
    assert 0 < chance["top1"]["value"] < 0.03
    assert chance["recall_at_5"]["value"] == 0.0
    text = markdown(result)
    assert all(table.title in text for table in tables(result))
    assert "| keep gate |" in text


def test_a_corpus_without_files_to_take_is_the_users_trouble(tmp_path: Path, corpus: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({"path": "x.py", "text": "pass\n"}) + "\n")
    with pytest.raises(UsageError, match="30 to 400 lines"):
        evaluation(corpus).run(tmp_path, SMALL)


def test_the_command_prints_tables_and_writes_files(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(TableModel(near_sum), tiny_tokenizer())
    monkeypatch.setattr("codemlm.commands.load_model", lambda *_: (scorer, Calibration()))
    out, page = tmp_path / "out.json", tmp_path / "out.md"
    arguments = ["--corpus", str(corpus), "--quick", "--files", "2"]
    arguments += ["--json", str(out), "--markdown", str(page)]
    result = CliRunner().invoke(command.eval_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "keep gate x alternative" in result.stdout
    assert "left out" in result.stderr  # no `train` beside the corpus
    assert json.loads(out.read_text())["files"] == 2
    assert page.read_text().startswith("## Injected mistakes")


# Calibration


def test_logistic_regression_finds_what_made_the_data() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 2)) * [1.0, 10.0] + [0.0, 5.0]
    chance = 1 / (1 + np.exp(-(1.0 + features @ [1.5, -0.2])))
    wrong = rng.random(4000) < chance
    intercept, weights = fit_logistic(features, wrong, np.ones(4000), 0.1)
    assert intercept == pytest.approx(1.0, abs=0.15)
    assert weights == pytest.approx([1.5, -0.2], abs=0.1)
    half = np.where(wrong, 0.5, 1.0)  # fewer mistakes: the intercept alone takes it up
    lower, same = fit_logistic(features, wrong, half, 0.1)
    assert lower == pytest.approx(intercept + np.log(0.5), abs=0.1)
    assert same == pytest.approx(weights, abs=0.1)
    group = np.arange(4000) % 4
    apart = held_out(features, wrong, np.ones(4000), group, 0.1)
    assert abs(apart - predict((intercept, weights), features)).max() < 0.05
    report = reliability(apart, wrong, np.ones(4000))
    assert report["calibration_error"] < 0.03
    assert sum(row["leaves"] for row in report["bins"]) == 4000


def test_separable_data_and_constant_features_give_finite_coefficients() -> None:
    features = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    _, weights = fit_logistic(features, np.array([0, 0, 1, 1], dtype=bool), np.ones(4), 0.1)
    assert np.isfinite(weights).all()
    assert weights[1] == pytest.approx(0.0)


def test_the_threshold_keeps_the_budget() -> None:
    confidences = np.array([0.9, 0.7, 0.7, 0.2])
    assert (confidences >= threshold_for(confidences, 1.9)).sum() == 1
    assert (confidences >= threshold_for(confidences, 2.0)).sum() == 1  # the two 0.7 tie
    assert (confidences >= threshold_for(confidences, 0.4)).sum() == 0
    assert threshold_for(confidences, 10) == 0.0
    weight = np.array([1.0, 0.25, 0.25, 8.0])
    assert (confidences >= threshold_for(confidences, 1.6, weight)).sum() == 3
    assert (confidences >= threshold_for(confidences, 0.9, weight)).sum() == 0


def test_a_checkpoint_scores_as_its_model_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from codemlm.errors import CheckpointError
    from codemlm.train.model import CodeMLMConfig, CodeMLMForLeafPrediction
    from codemlm.train.torch_backend import TorchModel, load_tokenizer

    tokenizer = tiny_tokenizer()
    encoder = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CodeMLMConfig(
        encoder={**encoder, "intermediate_size": 16},
        vocab_size=tokenizer.vocab_size,
        num_global_candidates=len(tokenizer.frequent),
        composer_size=8,
        gate_size=8,
    )
    CodeMLMForLeafPrediction(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
    tokenizer.save(tmp_path / "tokenizer.json")
    (tmp_path / "checkpoint.json").write_text(json.dumps({"config": {"window": 64}}))
    model = TorchModel.load(tmp_path)
    assert (model.window, model.num_global) == (64, len(tokenizer.frequent))
    parsed = parse(SAMPLE.encode())
    file = rescoring.to_score(parsed, load_tokenizer(tmp_path))
    first, second = Scorer(model, tokenizer).score([file, file])
    assert [s.leaf for s in first] == injected.scored_leaves(parsed).tolist()
    assert [s.keep_logit for s in first] == pytest.approx([s.keep_logit for s in second], abs=1e-5)
    with pytest.raises(CheckpointError, match="cannot load"):
        TorchModel.load(tmp_path / "nothing")
    assert not torch.is_grad_enabled() or not model.model.training
