"""Fine-tuning data: real fixes, a model's own wrong leaves, and the windows made of them."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from codemlm.batches import Batch, WindowShape
from codemlm.errors import CorpusError
from codemlm.fixes import PREFIX_ADDED, PREFIX_MISSING, Fix, FixPair
from codemlm.injection import Kind
from codemlm.masking import (
    KEPT,
    NO_TARGET,
    PLAIN,
    TARGET_DELETE,
    TARGET_NEGATE,
    WRONG,
    MaskPolicy,
)
from codemlm.scoring import Alternative, LeafScore
from codemlm.syntax import parse
from codemlm.tokenizer import LeafTokenizer, train_tokenizer
from codemlm.train.data import Mixture, load_marked
from codemlm.train.fixes import pack_fixes, split_pairs, write_split
from codemlm.train.marked import MarkedShard, MarkedWriter, cut, mark, window_with_marks
from codemlm.train.proposals import _by_weight, _proposed
from codemlm.units import encode_with_texts

BEFORE = """\
class Box:
    def area(self, rows, cols):
        self.width = rows
        total = rows * rows
        if total and not cols:
            return total
        return self.width
"""


def fix_of(kind: str, before: str, after: str, where: str, text: str, repo: str = "a/b") -> Fix:
    """A fix that puts ``text`` in place of ``before`` within the snippet ``where`` of BEFORE."""
    start = BEFORE.index(where) + where.rindex(before) if before else BEFORE.index(where)
    return Fix(
        repo=repo,
        commit="c" * 40,
        parent="p" * 40,
        path="box.py",
        old_path="box.py",
        function="Box.area",
        line=4,
        kind=kind,
        edits=((start, start + len(before), text),),
        before=before,
        after=after,
        undefined=False,
        doubt="",
        message="fix",
        date=1,
        split="train",
    )


FIXES = {
    "variable": fix_of(Kind.VARIABLE, "rows", "cols", "rows * rows", "cols"),
    "negation": fix_of(Kind.NEGATION_DROPPED, "", "", "total and", "not "),
    "missing": fix_of(PREFIX_MISSING, "total", "self.total", "return total", "self.total"),
    "added": fix_of(PREFIX_ADDED, "self.width", "width", "return self.width", "width"),
}


@pytest.fixture(scope="module")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = dict.fromkeys(BEFORE.replace("(", " ").replace(")", " ").split(), 9)
    frequent = ["[DELETE]", "[NEGATE]", "not", "and", "or", "*", "+", "self"]
    made = train_tokenizer(words, {"\n": 9}, frequent, vocab_size=1024)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(path)
    return path


def write_pairs(path: Path, fixes: list[Fix]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        for fix in fixes:
            after = fix.apply(BEFORE.encode()).decode()
            stream.write(json.dumps(asdict(FixPair(fix, BEFORE, after))) + "\n")
    return path


def packed(fix: Fix, tokenizer_path: Path, tmp_path: Path) -> MarkedShard:
    pairs = write_pairs(tmp_path / "pairs.jsonl.gz", [fix])
    counts = pack_fixes(pairs, tmp_path / "shards", tokenizer_path)
    assert counts == {"packed": 1}
    return MarkedShard(tmp_path / "shards" / "fixes-000.npz")


@pytest.mark.parametrize(
    ("name", "wrong", "target"),
    [
        ("variable", "rows", "cols"),
        ("negation", "total", TARGET_NEGATE),
        ("missing", "total", "self"),
        ("added", "width", TARGET_DELETE),
    ],
)
def test_a_fix_marks_the_wrong_leaf_and_what_was_meant(
    name: str, wrong: str, target: str | int, tokenizer_path: Path, tmp_path: Path
) -> None:
    shard = packed(FIXES[name], tokenizer_path, tmp_path)
    tokenizer = LeafTokenizer.load(tokenizer_path)
    file, ((unit, meant, state),) = shard.file(0), shard.marks(0).tolist()
    pieces = file.text_pieces[slice(*file.text_offsets[file.unit_text[unit] :][:2])]
    assert tuple(pieces) == tokenizer.pieces(wrong)
    assert state == WRONG
    if isinstance(target, int):
        assert meant == target
    else:
        assert tuple(file.text_pieces[slice(*file.text_offsets[meant:][:2])]) == (
            tokenizer.pieces(target)
        )


def test_the_fixed_file_is_marked_as_right(tokenizer_path: Path, tmp_path: Path) -> None:
    shard = packed(FIXES["variable"], tokenizer_path, tmp_path)
    assert len(shard) == 2
    file, ((unit, meant, state),) = shard.file(1), shard.marks(1).tolist()
    assert state == KEPT
    assert meant == file.unit_text[unit]


def test_doubtful_fixes_are_left_out(tokenizer_path: Path, tmp_path: Path) -> None:
    row = asdict(FIXES["variable"]) | {"doubt": "unseen-name"}
    pairs = write_pairs(tmp_path / "pairs.jsonl.gz", [Fix.from_json(row)])
    assert pack_fixes(pairs, tmp_path / "shards", tokenizer_path) == {"doubt": 1}
    assert not list((tmp_path / "shards").glob("*.npz"))


def test_cut_keeps_the_units_around_the_marks(tokenizer_path: Path) -> None:
    file = encode_with_texts(parse(BEFORE.encode()), LeafTokenizer.load(tokenizer_path))[0]
    marks = np.array([mark(10, WRONG, 3)], dtype=np.int32)
    small, moved = cut(file, marks, reach=4)
    assert len(small) == 9
    assert moved.tolist() == [[4, 3, WRONG]]
    assert small.unit_text.tolist() == file.unit_text[6:15].tolist()
    assert not len(small.negate)


def test_marked_leaves_are_shown_as_they_stand_whatever_is_drawn(tokenizer_path: Path) -> None:
    file = encode_with_texts(parse(BEFORE.encode()), LeafTokenizer.load(tokenizer_path))[0]
    file, marks = cut(file, np.array([mark(10, WRONG, 3), mark(12, PLAIN)], dtype=np.int32))
    wild = MaskPolicy(mask_rate=1.0, clear_windows=0.0, wrong_rate=0.5)
    for seed in range(5):
        bounds = (2, len(file))
        window = window_with_marks(file, marks, bounds, wild, np.random.default_rng(seed))
        assert window.state[8] == WRONG
        assert window.target[8] == 3
        assert window.text[8] == file.unit_text[10]


def test_mixture_fills_windows_with_a_real_mistake(tokenizer_path: Path, tmp_path: Path) -> None:
    packed(FIXES["variable"], tokenizer_path, tmp_path)
    shards = load_marked(tmp_path / "shards", "")
    shape = WindowShape.for_window(96)
    mixture = Mixture(shards, 1.0, [], 0.0)
    batch = Batch(16, shape, 8)
    for row in range(16):
        assert mixture.fill(batch, row, shape, MaskPolicy(), np.random.default_rng(row))
    judged = batch.arrays["leaf_positions"] >= 0
    wrong = (judged & (batch.arrays["keep_targets"] == 0)).sum(axis=1)
    assert set(wrong.tolist()) == {0, 1}  # the file before the fix, and after it
    nothing = Mixture(shards, 0.0, [], 0.0)
    assert not nothing.fill(batch, 0, shape, MaskPolicy(), np.random.default_rng(0))


def test_plain_shards_are_no_marked_ones(tokenizer_path: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no shards"):
        load_marked(tmp_path, "")
    writer = MarkedWriter()
    writer.add(encode_with_texts(parse(b"a = 1\n"), LeafTokenizer.load(tokenizer_path))[0])
    writer.write(tmp_path / "plain.npz", {}, {})
    with pytest.raises(CorpusError, match="without marks"):
        load_marked(tmp_path, "")


def test_pairs_are_parted_by_repository(tmp_path: Path) -> None:
    names = [f"o/r{i}" for i in range(40)]
    fixes = [
        fix_of(Kind.VARIABLE, "rows", "cols", "rows * rows", "cols", repo=name)
        for name in names
        for _ in range(2)
    ]
    pairs = write_pairs(tmp_path / "pairs.jsonl.gz", fixes)
    parted = [(p.fix.repo, tune) for p, tune in split_pairs(pairs, frozenset({"o/r0"}), 0.5)]
    sides = {name: {tune for other, tune in parted if other == name} for name in names}
    assert all(len(side) == 1 for side in sides.values())
    assert sides["o/r0"] == {True}
    assert 5 < sum(side == {True} for side in sides.values()) < 35
    (tmp_path / "data" / "train").mkdir(parents=True)
    for name in names[:3]:
        (tmp_path / "data" / "train" / f"{name.replace('/', '__')}.npz").touch()
    counts = write_split(pairs, tmp_path / "data", 0.0, tmp_path / "one.gz", tmp_path / "two.gz")
    assert counts == (6, 74)


def score_of(leaf: int, keep: float, **alternatives: float) -> LeafScore:
    several = tuple(Alternative(text, p) for text, p in alternatives.items())
    return LeafScore(leaf, keep, 0.5, several, -1.0, -2.0)


def test_proposals_are_what_the_model_holds_likely_and_alarms_what_it_doubts(
    tokenizer_path: Path,
) -> None:
    parsed = parse(BEFORE.encode())
    reads = [i for i in range(len(parsed)) if parsed.text(i) == "rows"]
    scores = [
        score_of(reads[2], 3.0, cols=0.3, total=0.1, nowhere=0.2),
        score_of(reads[3], -4.0, cols=0.9),
    ]
    made = _proposed(parsed, scores, LeafTokenizer.load(tokenizer_path))
    unit = int(np.flatnonzero(made.encoded.unit_leaf == reads[2])[0])
    chosen = int(made.encoded.near[unit])
    texts = encode_with_texts(parsed, LeafTokenizer.load(tokenizer_path))[1]
    members = made.encoded.set_members[slice(*made.encoded.set_offsets[chosen:][:2])]
    names = [texts[int(m)] for m in members]
    assert names.count("cols") > names.count("total") > 0
    assert "nowhere" not in names
    ((alarm, target, state),) = made.alarms.tolist()
    assert (made.encoded.unit_leaf[alarm], target, state) == (reads[3], NO_TARGET, PLAIN)


def test_likely_texts_stand_more_often() -> None:
    assert _by_weight(["a", "b"], [0.75, 0.25]) == ["a"] * 6 + ["b"] * 2
    assert _by_weight(["a", "b"], [1.0, 0.0]) == ["a"] * 8 + ["b"]
    assert _by_weight([], []) == []
