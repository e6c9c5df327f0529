"""Corpus to tokenizer, shards and windows, and a few steps of training on them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from codemlm.errors import CorpusError, UsageError
from codemlm.masking import MaskPolicy
from codemlm.syntax import parse
from codemlm.tokenizer import LeafTokenizer
from codemlm.train import __main__ as cli
from codemlm.train.config import TrainConfig
from codemlm.train.data import WindowSource, load_shards, window_at
from codemlm.train.prepare import build_tokenizer, pack, read_documents
from codemlm.train.shards import PACKED_COLUMNS, Shard, hash_tokenizer
from codemlm.units import EncodedFile, encode

from .fakes import SAMPLE

SIZES: dict[str, Any] = {"vocab_size": 1024, "num_frequent": 64}
NAMES = ("rows", "columns", "größe", "名前", "𐐀")


def sources(repository: int) -> list[str]:
    """The files of a small repository: one is too short, one is not all Python."""
    name = NAMES[repository % len(NAMES)]
    return [
        SAMPLE.replace("rows", name),
        "x = 1\n",
        f"def {name}(a, b):\n    return a - b, '🐍', shared{repository // 2} or not a\n",
        SAMPLE[: 400 + 50 * repository] + "\n)(]",
    ]


def write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        for number, text in enumerate(texts):
            stream.write(json.dumps({"path": f"{number}.py", "text": text}) + "\n")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of three repositories to train on and one to validate with."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(3):
        write(folder / "train" / f"owner__r{number}.v1.jsonl.gz", sources(number))
    write(folder / "train" / "owner__empty.jsonl.gz", ["pass\n"])
    write(folder / "validation" / "owner__held.jsonl.gz", sources(4))
    return folder


@pytest.fixture(scope="module")
def data(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its training data."""
    folder = tmp_path_factory.mktemp("data")
    build_tokenizer(corpus / "train", folder / "tokenizer.json", **SIZES)
    for split in ("train", "validation"):
        pack(corpus / split, folder / split, folder / "tokenizer.json")
    return folder


def source_of(data: Path, seed: int = 5) -> WindowSource:
    config = TrainConfig(data=data, window=48, batch_windows=6, total_steps=10, seed=seed)
    return WindowSource.from_train_config(config)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_shards_hold_what_encode_gives(corpus: Path, data: Path) -> None:
    tokenizer = LeafTokenizer.load(data / "tokenizer.json")
    assert sorted(p.name for p in (data / "train").glob("*.npz")) == [
        f"owner__r{number}.v1.npz" for number in range(3)
    ]
    for number in range(3):
        shard = Shard(data / "train" / f"owner__r{number}.v1.npz")
        kept = [text for text in sources(number) if len(text) > 10]
        assert len(shard) == len(kept) == 3
        for index, text in enumerate(kept):
            expected, stored = encode(parse(text.encode()), tokenizer), shard.file(index)
            for name in PACKED_COLUMNS:
                column = getattr(stored, name)
                assert column.dtype == getattr(expected, name).dtype, name
                assert np.array_equal(column, getattr(expected, name)), name
            begin, end = shard.tokens[index : index + 2]
            assert end - begin == expected.unit_lengths.sum()
            assert (stored.unit_leaf == -1).all() and (stored.unit_line == -1).all()
    totals = json.loads((data / "train" / "totals.json").read_text())
    assert (totals["repositories"], totals["files"]) == (3, 9)
    tokens = [int(shard.tokens[-1]) for shard in load_shards(data / "train")]
    assert totals["subtokens"] == sum(tokens)


def test_frequent_leaves_are_common_to_repositories(corpus: Path, tmp_path: Path) -> None:
    sizes = SIZES | {"num_frequent": 200}
    frequent = build_tokenizer(corpus / "train", tmp_path / "t", **sizes).frequent
    assert {"==", "not", "None", "def", "return", "if", "b", "cols"} <= set(frequent)
    assert not {"columns", "shared0"} & set(frequent)  # in one and in two of the three


def test_more_processes_make_the_same(corpus: Path, data: Path, tmp_path: Path) -> None:
    done: list[int] = []
    build_tokenizer(
        corpus / "train",
        tmp_path / "new" / "tokenizer.json",
        workers=2,
        progress=lambda number, total, text: done.append(number),
        **SIZES,
    )
    assert done == [1, 2, 3, 4]
    made = (tmp_path / "new" / "tokenizer.json").read_bytes()
    assert made == (data / "tokenizer.json").read_bytes()


def test_a_worker_reports_a_damaged_file(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl.gz", sources(0))
    (tmp_path / "b.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(CorpusError, match=r"b\.jsonl\.gz: not a corpus file"):
        pack(tmp_path, tmp_path / "out", data / "tokenizer.json", workers=2)


@pytest.mark.parametrize(
    ("vocab_size", "num_frequent"), [(1000, 64), (70_000, 64), (1024, 10), (1024, 40_000)]
)
def test_sizes_that_fit_no_shard(
    corpus: Path, tmp_path: Path, vocab_size: int, num_frequent: int
) -> None:
    with pytest.raises(UsageError, match="must be from"):
        build_tokenizer(
            corpus / "train", tmp_path / "t", vocab_size=vocab_size, num_frequent=num_frequent
        )


@pytest.fixture
def copy(corpus: Path, data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the corpus and of its training data, to be changed."""
    shutil.copytree(corpus, tmp_path / "corpus")
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "corpus", tmp_path / "data"


def remade(corpus: Path, data: Path, *, force: bool = False) -> set[str]:
    """Packs the training split again; the names of the shards that were written."""
    for shard in (data / "train").glob("*.npz"):
        os.utime(shard, (0, 0))
    totals = pack(corpus / "train", data / "train", data / "tokenizer.json", force=force)
    shards = load_shards(data / "train", hash_tokenizer(data / "tokenizer.json"))
    assert totals.subtokens == sum(int(shard.tokens[-1]) for shard in shards)
    assert totals.repositories == len(shards)
    assert not list((data / "train").glob(".*"))
    return {p.name for p in (data / "train").glob("*.npz") if p.stat().st_mtime}


def test_packing_goes_on_where_it_was(copy: tuple[Path, Path]) -> None:
    corpus, data = copy
    everything = {f"owner__r{number}.v1.npz" for number in range(3)}
    assert remade(corpus, data) == set()
    assert remade(corpus, data, force=True) == everything
    (data / "train" / "owner__r1.v1.npz").unlink()
    (data / "train" / ".owner__r1.v1.npz.77.tmp").write_bytes(b"what a killed process left")
    assert remade(corpus, data) == {"owner__r1.v1.npz"}
    shard = data / "train" / "owner__r0.v1.npz"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert remade(corpus, data) == {"owner__r0.v1.npz"}
    write(corpus / "train" / "owner__r2.v1.jsonl.gz", [*sources(2), SAMPLE])
    assert remade(corpus, data) == {"owner__r2.v1.npz"}
    build_tokenizer(corpus / "train", data / "tokenizer.json", **(SIZES | {"num_frequent": 70}))
    assert remade(corpus, data) == everything


def test_a_repository_that_left_the_corpus_leaves_the_data(copy: tuple[Path, Path]) -> None:
    corpus, data = copy
    (corpus / "train" / "owner__r0.v1.jsonl.gz").unlink()
    write(corpus / "train" / "owner__r1.v1.jsonl.gz", ["pass\n"])  # nothing left to learn from
    assert remade(corpus, data) == set()
    assert [p.name for p in (data / "train").glob("*.npz")] == ["owner__r2.v1.npz"]


@pytest.mark.parametrize(
    "content",
    [
        b"plain text",
        gzip.compress(b'{"text": "x"}\n')[:-9],
        gzip.compress(b"{}\n"),
        gzip.compress(b"[1]\n"),
        gzip.compress(b'{"text": 1}\n'),
        gzip.compress(b'{"text": "\\ud800"}\n'),
        gzip.compress(b"{\n"),
        None,
    ],
)
def test_a_damaged_corpus_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "owner__name.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"owner__name\.jsonl\.gz.*build the corpus again"):
        list(read_documents(path))


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(Shard(path).arrays["unit_text"].tobytes()) + 4] ^= 1
    path.write_bytes(content)


def replace(path: Path) -> None:
    path.write_text("no shard")


def drop_column(path: Path) -> None:
    with np.load(path) as old:
        arrays = {name: old[name] for name in old.files if name != "swaps"}
    np.savez(path, allow_pickle=False, **arrays)


def other_format(path: Path) -> None:
    with np.load(path) as old:
        arrays = {name: old[name] for name in old.files}
    origin = json.loads(str(arrays["origin"])) | {"format": 999}
    arrays["origin"] = np.array(json.dumps(origin))
    np.savez(path, allow_pickle=False, **arrays)


@pytest.mark.parametrize(
    "damage", [shorten, empty, alter, replace, drop_column, other_format, Path.unlink]
)
def test_a_damaged_shard_is_named_with_the_remedy(
    copy: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    path = copy[1] / "train" / "owner__r1.v1.npz"
    damage(path)
    with pytest.raises(CorpusError, match=r"owner__r1\.v1\.npz: .*delete it and run .* pack"):
        Shard(path)
    if path.exists():
        with pytest.raises(CorpusError, match=r"owner__r1\.v1\.npz"):
            source_of(copy[1])


def test_shards_of_another_tokenizer_are_refused(copy: tuple[Path, Path]) -> None:
    corpus, data = copy
    build_tokenizer(corpus / "train", data / "tokenizer.json", **(SIZES | {"num_frequent": 70}))
    with pytest.raises(CorpusError, match=r"owner__r0.v1.npz: packed with another tokenizer"):
        source_of(data)
    pack(corpus / "train", data / "train", data / "tokenizer.json")
    with pytest.raises(CorpusError, match=r"owner__held.npz: packed with another tokenizer"):
        source_of(data).validation_batches(1)


def test_missing_data_is_named(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer\.json.*codemlm\.train tokenizer"):
        source_of(tmp_path)
    shutil.copy(data / "tokenizer.json", tmp_path)
    with pytest.raises(CorpusError, match=r"train: no shards.*codemlm\.train pack"):
        source_of(tmp_path)
    with pytest.raises(CorpusError, match=r"absent: no \.jsonl\.gz.*codemlm_corpus build"):
        pack(tmp_path / "absent", tmp_path / "out", data / "tokenizer.json")


def test_batches_depend_on_the_step_and_the_seed_alone(data: Path) -> None:
    first, second = source_of(data), source_of(data)
    second.batch_at(0, 0, 1)  # what was asked before makes no difference
    batch, again = first.batch_at(3, 0, 1), second.batch_at(3, 0, 1)
    assert all(np.array_equal(batch[name], again[name]) for name in batch)
    assert not np.array_equal(batch["input_ids"], first.batch_at(4, 0, 1)["input_ids"])
    other = source_of(data, seed=6)
    assert not np.array_equal(batch["input_ids"], other.batch_at(3, 0, 1)["input_ids"])
    fixed, same = first.validation_batches(2), other.validation_batches(2)
    for left, right in zip(fixed, same, strict=True):
        assert all(np.array_equal(left[name], right[name]) for name in left)
    assert not np.array_equal(fixed[0]["input_ids"], fixed[1]["input_ids"])


@pytest.mark.parametrize("world", [2, 3, 6])
def test_processes_share_the_windows_of_a_step(data: Path, world: int) -> None:
    source = source_of(data)
    whole = source.batch_at(2, 0, 1)
    assert len(np.unique(whole["input_ids"], axis=0)) > 1
    parts = [source.batch_at(2, rank, world) for rank in range(world)]
    for name, array in whole.items():
        joined = np.empty_like(array)
        for rank, part in enumerate(parts):
            assert len(part[name]) == 6 // world
            joined[rank::world] = part[name]
        assert np.array_equal(joined, array), name


def test_wrong_leaves_follow_their_schedule(data: Path) -> None:
    source = source_of(data)
    early, late = source.policy_at(0), source.policy_at(10)
    assert (early.wrong_rate, late.wrong_rate) == (0.06, 0.015)


def windows(file: EncodedFile, size: int) -> list[tuple[int, int]]:
    total = int(file.unit_lengths.sum())
    return [window_at(file, offset, size) for offset in range(total)]


@pytest.mark.parametrize("size", [1, 5, 48, 10_000])
def test_windows_stay_in_their_file_and_reach_all_of_it(data: Path, size: int) -> None:
    shard = Shard(data / "train" / "owner__r1.v1.npz")
    for index in range(len(shard)):
        file = shard.file(index)
        found = windows(file, size)
        assert all(0 <= start < stop <= len(file) for start, stop in found)
        covered = np.zeros(len(file), dtype=bool)
        for start, stop in found:
            covered[start:stop] = True
            if start:  # it is full, and begins at a run of punctuation or layout
                assert file.unit_lengths[start:stop].sum() >= size
                is_run = file.text_is_run[file.unit_text[: start + 1]]
                assert is_run[-1] or not is_run.any()
        assert covered.all() or size < 12  # the most subtokens a leaf has


def test_commands(corpus: Path, data: Path, tmp_path: Path) -> None:
    folders = ("--corpus", corpus, "--data", tmp_path / "data")
    early = run("pack", *folders)
    assert (early.exit_code, early.stdout) == (2, "")
    assert "error: " in early.stderr and "codemlm.train tokenizer" in early.stderr
    made = run("tokenizer", *folders, "--vocab-size=1024", "--frequent=64")
    assert made.exit_code == 0, made.output
    assert "tokenizer 4/4  owner__r2.v1: counted" in made.stderr
    assert (tmp_path / "data" / "tokenizer.json").read_bytes() == (
        data / "tokenizer.json"
    ).read_bytes()
    again = run("tokenizer", *folders)
    assert again.exit_code == 2
    assert "tokenizer.json exists" in again.stderr and "--force" in again.stderr
    assert run("tokenizer", *folders, "--force", "--vocab-size=1").exit_code == 2
    packed = run("pack", *folders)
    assert packed.exit_code == 0, packed.output
    assert "train: 3 repositories, 9 files" in packed.stderr
    assert "calibration: the corpus has none" in packed.stderr
    for split in ("train", "validation"):
        totals = (tmp_path / "data" / split / "totals.json").read_text()
        assert totals == (data / split / "totals.json").read_text()
    (tmp_path / "data" / "calibration").mkdir()
    assert "no such split" in run("pack", *folders).stderr
    wrong = run("tokenizer", "--corpus", tmp_path, "--data", tmp_path / "other")
    assert wrong.exit_code == 2
    assert "codemlm_corpus build" in wrong.stderr


@pytest.mark.parametrize("command", ["tokenizer", "pack"])
def test_help(command: str) -> None:
    text = run(command, "--help").output
    assert all(option in text for option in ("--corpus", "--data", "--workers", "--force"))


def test_training_on_the_data(data: Path, tmp_path: Path) -> None:
    sizes = "hidden_size=32 intermediate_size=48 num_hidden_layers=1 num_attention_heads=2"
    model = [f"--model-set=encoder.{size}" for size in sizes.split()]
    model += ["--model-set=gate_size=8", "--model-set=composer_size=16"]
    options = "--total-steps=5 --batch-windows=4 --window=48 --log-every=1 --eval-every=1"
    options += " --workers=0 --threads=1 --device=cpu --dtype=float32 --learning-rate=0.003"
    done = run("pretrain", "--data", data, "--out", tmp_path / "run", *options.split(), *model)
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    losses = [row["loss"] for row in rows if row["kind"] == "validation"]
    assert len(losses) == 5
    assert losses == sorted(losses, reverse=True)
    assert Path(done.stdout.strip()) == tmp_path / "run" / "step-00000005"
    assert (tmp_path / "run" / "step-00000005" / "model.safetensors").is_file()
    elsewhere = run("pretrain", "--data", tmp_path, "--out", tmp_path / "no", *options.split())
    assert elsewhere.exit_code == 2
    assert isinstance(elsewhere.exception, SystemExit)
    assert "tokenizer.json" in elsewhere.stderr


def test_settings_of_a_run_decide_what_is_masked(data: Path) -> None:
    def policy(**settings: Any) -> MaskPolicy:
        config = TrainConfig(data=data, window=48, total_steps=10, **settings)
        return WindowSource.from_train_config(config).policy

    plain = policy()
    assert (plain.masked, plain.wrong, plain.pieces) == (0.8, 0.1, 0)
    none = policy(replaced_share=0.0, masking="piece")
    assert (none.masked, none.wrong) == (0.9, 0.0)
    assert none.pieces == LeafTokenizer.load(data / "tokenizer.json").vocab_size
    with pytest.raises(UsageError, match="replaced_share"):
        TrainConfig(replaced_share=1.0)
