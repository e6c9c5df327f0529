"""A tiny model from checkpoint to model folder, and how near the exported graph stays to it."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from codemlm.backend import INPUT_NAMES, OnnxModel, default_model_path, open_session
from codemlm.batches import NUM_SLOTS
from codemlm.errors import CheckpointError, ModelError, UsageError
from codemlm.manifest import MODEL, TOKENIZER, Manifest
from codemlm.syntax import MAX_NODE_TYPES
from codemlm.tokenizer import MAX_PIECES, LeafTokenizer
from codemlm.train import __main__ as cli
from codemlm.train.config import path_fields
from codemlm.train.export import ExportSettings, export, sample_batches, to_onnx
from codemlm.train.graph import ScoringGraph
from codemlm.train.model import CodeMLMConfig, CodeMLMForLeafPrediction
from codemlm.train.parity import Limits, check, compare, run_trained, with_selected
from codemlm.train.prepare import build_tokenizer, pack
from codemlm.train.quantize import Range, measure_ranges, quantize, smooth

from .fakes import SAMPLE

WINDOW = 48
SETTINGS = ExportSettings(
    version="7",
    range_batches=3,
    parity_batches=2,
    batch_windows=4,
    # Random weights make near ties, and judge badly either way.
    limits=Limits(top1=0.8, correlation=0.98, gate_loss=0.1, accuracy=0.2),
)


def make_model(tokenizer: LeafTokenizer, family: str = "modernbert") -> CodeMLMForLeafPrediction:
    """A model wide enough to be quantised, with weights off their neutral values."""
    torch.manual_seed(0)
    config = CodeMLMConfig(
        encoder_type=family,
        encoder={
            "hidden_size": 64,
            "num_hidden_layers": 2 if family == "modernbert" else 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
        vocab_size=tokenizer.vocab_size,
        num_slots=NUM_SLOTS,
        num_node_types=MAX_NODE_TYPES,
        num_global_candidates=len(tokenizer.frequent),
        max_pieces=MAX_PIECES,
        max_subtokens=WINDOW,
        composer_size=64,
        gate_size=32,
    )
    model = CodeMLMForLeafPrediction(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and ("norm" in name or "bias" in name):
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.set_global_candidates(torch.from_numpy(tokenizer.frequent_pieces()))
    model.train(False)
    return model


@dataclass(frozen=True)
class Exported:
    model: CodeMLMForLeafPrediction
    checkpoint: Path
    data: Path
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    root = tmp_path_factory.mktemp("export")
    for split in ("train", "validation"):
        (root / "corpus" / split).mkdir(parents=True)
        with gzip.open(root / "corpus" / split / "owner__r.jsonl.gz", "wt", encoding="utf-8") as f:
            for name in ("rows", "größe"):
                f.write(json.dumps({"text": SAMPLE.replace("rows", name)}) + "\n")
    data = root / "data"
    sizes: dict[str, Any] = {"vocab_size": 1024, "num_frequent": 64}
    tokenizer = build_tokenizer(root / "corpus" / "train", data / TOKENIZER, **sizes)
    for split in ("train", "validation"):
        pack(root / "corpus" / split, data / split, data / TOKENIZER)
    model = make_model(tokenizer)
    checkpoint = root / "run" / "step-00000012"
    model.save_pretrained(checkpoint)
    state = {"format": 1, "step": 12, "tokens": 345, "files": {}}
    state["config"] = {"seed": 3, "data": str(data), "out": str(root)}
    state["metrics_tail"] = [{"kind": "train", "step": s, "loss": 1.5} for s in (6, 12)]
    (checkpoint / "checkpoint.json").write_text(json.dumps(state), encoding="utf-8")
    folder = root / "model"
    manifest = export(checkpoint, data, folder, SETTINGS)
    return Exported(model, checkpoint, data, folder, manifest)


def batch_of(exported: Exported, number: int = 9, windows: int = 3) -> dict[str, np.ndarray]:
    """A batch that the export has not seen."""
    batches = sample_batches(exported.data, exported.model, number + 1, windows)
    return with_selected(batches[number])


def cut(arrays: dict[str, np.ndarray], **sizes: int) -> dict[str, np.ndarray]:
    """The graph's inputs with fewer windows, subtokens, leaves or candidates."""
    found = {}
    for name in INPUT_NAMES:
        array = arrays[name][: sizes.get("windows")]
        if name == "leaf_positions":
            array = array[:, : sizes.get("leaves")]
        elif name.startswith("candidate"):
            array = array[:, : sizes.get("candidates")]
        else:
            array = array[:, : sizes.get("subtokens")]
        found[name] = array
    if "subtokens" in sizes:
        found["leaf_positions"] = np.minimum(found["leaf_positions"], sizes["subtokens"] - 1)
    return found


def test_the_graph_scores_as_the_model(exported: Exported) -> None:
    exact, small = exported.manifest.parity["float32"], exported.manifest.parity["int8"]
    assert exact["leaves"] == small["leaves"] > 50
    assert exact["masked_leaves"] > 5
    assert max(exact["keep_logit_max_diff"], exact["leaf_logit_max_diff"]) < 1e-4
    assert 0 < small["keep_logit_max_diff"] < 0.2
    # A layer has 7 matrices; composer 2, classifier 1, gate 1, global candidates 1.
    assert sum(exported.manifest.parity["matrices"].values()) == 2 * 7 + 5
    assert exported.manifest.parity["matrices"]["int8"] > 10


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"windows": 1},
        {"leaves": 1, "candidates": 1},
        {"windows": 1, "subtokens": 1, "leaves": 1, "candidates": 2},
    ],
)
def test_every_size_of_batch_runs(exported: Exported, sizes: dict[str, int]) -> None:
    arrays = cut(batch_of(exported), **sizes)
    keep, leaf = OnnxModel.load(exported.folder).run(arrays)
    trained_keep, trained_leaf = run_trained(exported.model, arrays)
    assert (keep.shape, leaf.shape) == (trained_keep.shape, trained_leaf.shape)
    real = arrays["leaf_positions"] >= 0
    assert np.abs(keep - trained_keep)[real].max() < 0.3
    competes = trained_leaf > -1000
    assert np.array_equal(competes[real], leaf[real] > -1000)
    assert np.abs(leaf - trained_leaf)[real[..., None] & competes].max() < 0.5


def test_a_windows_scores_do_not_depend_on_its_neighbours(exported: Exported) -> None:
    arrays = cut(batch_of(exported))
    model = OnnxModel.load(exported.folder)
    together, alone = model.run(arrays), model.run(cut(arrays, windows=1))
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a[:1], b, atol=1e-5)


def test_padding_changes_nothing(exported: Exported) -> None:
    arrays = cut(batch_of(exported, windows=1), subtokens=20)
    padded = {name: array.copy() for name, array in arrays.items()}
    for name in INPUT_NAMES[:6]:
        padded[name] = np.pad(arrays[name], ((0, 0), (0, 9)))
    model = OnnxModel.load(exported.folder)
    for a, b in zip(model.run(arrays), model.run(padded), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_folder_tells_where_it_comes_from(exported: Exported) -> None:
    manifest = Manifest.read(exported.folder)
    assert manifest == OnnxModel.load(exported.folder).manifest
    assert (manifest.version, manifest.window) == ("7", WINDOW)
    assert manifest.training["step"] == 12
    assert manifest.training["config"] == {"seed": 3}
    assert [row["step"] for row in manifest.training["metrics"]] == [12]
    assert manifest.training["corpus"]["files"] == 2
    assert manifest.calibration is None
    assert (exported.folder / TOKENIZER).read_bytes() == (exported.data / TOKENIZER).read_bytes()


def test_the_graph_is_small_and_names_no_sources(exported: Exported) -> None:
    content = (exported.folder / MODEL).read_bytes()
    assert b".py" not in content
    assert content.count(b"torch") == 1  # the producer's name
    tensors = onnx.load_from_string(content).graph.initializer
    parameters = sum(int(np.prod(t.dims)) for t in tensors if t.data_type == onnx.TensorProto.INT8)
    assert parameters > 0.8 * exported.model.embed.token.weight.numel()
    assert len(content) < 1.6 * parameters


def test_smoothing_changes_no_score(exported: Exported) -> None:
    arrays = batch_of(exported)
    graph = ScoringGraph(exported.model)
    inputs = {name: torch.from_numpy(arrays[name]) for name in INPUT_NAMES}
    before = graph(**inputs)
    name = "body.layers.1.up.weight"
    weights = graph.state_dict()[name].clone()
    smooth(graph, [arrays])
    assert not torch.allclose(weights, graph.state_dict()[name], rtol=0.05)
    for a, b in zip(before, graph(**inputs), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_other_encoders_are_exported_too(exported: Exported) -> None:
    model = make_model(LeafTokenizer.load(exported.data / TOKENIZER), "bert")
    arrays = batch_of(exported)
    exact = to_onnx(ScoringGraph(model), model)
    ranges = measure_ranges(exact, [arrays])
    small = quantize(exact, ranges)
    all_float = quantize(exact, ranges, max_noise=0.0)
    assert (small.n_float32, all_float.n_int8) == (0, 0)
    sessions = {
        name: open_session(each.SerializeToString())
        for name, each in (("float32", exact), ("int8", small.model), ("tables", all_float.model))
    }
    reports = compare(model, sessions, [arrays])
    assert reports["float32"]["leaf_logit_max_diff"] < 1e-4
    assert reports["tables"]["keep_logit_rms_diff"] < reports["int8"]["keep_logit_rms_diff"] < 0.1


def test_ranges() -> None:
    spread = Range()
    assert (spread.noise, spread.zero_point) == (0.0, 0)
    values = np.linspace(-1, 3, 1001, dtype=np.float32)
    spread.add(values[:500])
    spread.add(values[500:])
    assert (spread.low, spread.high, spread.zero_point) == (-1.0, 3.0, 64)
    rounded = np.round(values / spread.step) * spread.step
    assert spread.noise == pytest.approx((rounded - values).std() / values.std(), rel=0.05)
    spread.add(np.zeros(0, dtype=np.float32))
    assert spread.count == 1001


GOOD = {
    "keep_logit_max_diff": 0.0,
    "leaf_logit_max_diff": 0.0,
    "keep_max_drift": 0.0,
    "keep_correlation": 1.0,
    "top1_agreement": 1.0,
    "trained_gate_loss": 0.2,
    "exported_gate_loss": 0.2,
    "trained_masked_accuracy": 0.5,
    "exported_masked_accuracy": 0.5,
}


@pytest.mark.parametrize(
    ("graph", "change", "words"),
    [
        ("float32", {"keep_logit_max_diff": 0.01}, "float32 difference 0.01, at most 0.001"),
        ("float32", {"leaf_logit_max_diff": float("nan")}, "float32 difference nan"),
        ("int8", {"keep_max_drift": 0.5}, "drift of the keep probability 0.5"),
        ("int8", {"keep_correlation": 0.9}, "keep correlation 0.9, at least"),
        ("int8", {"top1_agreement": 0.9}, "top-1 agreement 0.9, at least"),
        ("int8", {"exported_gate_loss": 0.21}, "growth of the gate's loss 0.05"),
        ("int8", {"exported_masked_accuracy": 0.4}, "loss of masked accuracy 0.1.*--max-noise"),
    ],
)
def test_drift_fails_the_export(graph: str, change: dict[str, float], words: str) -> None:
    reports = {"float32": dict(GOOD), "int8": dict(GOOD)}
    check(reports, Limits())
    reports[graph] |= change
    with pytest.raises(ModelError, match=words):
        check(reports, Limits())


def test_nothing_is_written_when_it_fails(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {name: (exported.folder / name).read_bytes() for name in (MODEL, TOKENIZER)}

    def fail(*_: object) -> None:
        raise ModelError("the exported model is not the trained one")

    monkeypatch.setattr("codemlm.train.export.build", fail)
    with pytest.raises(ModelError, match="not the trained one"):
        export(exported.checkpoint, exported.data, exported.folder, SETTINGS)
    assert content == {n: (exported.folder / n).read_bytes() for n in content}


def test_a_damaged_checkpoint_is_named(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        export(tmp_path, exported.data, tmp_path / "out", SETTINGS)
    copy = tmp_path / "step-00000001"
    shutil.copytree(exported.checkpoint, copy)
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot load its model"):
        export(copy, exported.data, tmp_path / "out", SETTINGS)
    (copy / "checkpoint.json").write_text('{"format": 1, "files": {"config.json": {}}}')
    with pytest.raises(CheckpointError, match="the one before"):
        export(tmp_path, exported.data, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


def test_the_manifest_says_what_training_has_seen(exported: Exported) -> None:
    seen = {"train": ["owner/r"], "validation": ["owner/r"]}
    assert exported.manifest.repositories == Manifest.read(exported.folder).repositories == seen


def test_another_tokenizer_is_refused(exported: Exported, tmp_path: Path) -> None:
    data = json.loads((exported.data / TOKENIZER).read_text("utf-8"))
    data["frequent"][5], data["frequent"][6] = data["frequent"][6], data["frequent"][5]
    (tmp_path / TOKENIZER).write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError, match="not the tokenizer that the model was trained with"):
        export(exported.checkpoint, tmp_path, tmp_path / "out", SETTINGS)


def test_the_command(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def fake(checkpoint: Path, data: Path, out: Path, settings: ExportSettings) -> Manifest:
        calls.append((checkpoint, data, out, settings.version, settings.max_noise))
        return exported.manifest

    monkeypatch.setattr("codemlm.train.export.export", fake)
    arguments = ["export", "--checkpoint", "a", "--data", "b", "--out", "c", "--version", "2"]
    result = CliRunner().invoke(cli.main, [*arguments, "--max-noise", "0.1"])
    assert result.exit_code == 0, result.output
    assert calls == [(Path("a"), Path("b"), Path("c"), "2", 0.1)]
    assert "matrices in 8 bits" in result.output
    monkeypatch.undo()
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 2
    assert "error: " in result.output


def test_settings_that_are_paths_are_known_by_their_type() -> None:
    wanted = {"data", "out", "model_config", "init_from", "fixes", "proposals"}
    assert path_fields() == wanted
    assert not wanted & set(Manifest.read(default_model_path()).training["config"])
