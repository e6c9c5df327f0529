"""A checkpoint to the model folder that ships: ONNX graph, tokenizer, manifest."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from codemlm.backend import INPUT_NAMES, OUTPUT_NAMES, OnnxModel, open_session
from codemlm.batches import Batch, WindowShape
from codemlm.errors import CheckpointError, CodemlmError, UsageError
from codemlm.languages import LANGUAGES
from codemlm.manifest import MODEL, TOKENIZER, Manifest, ModelFile, fingerprint
from codemlm.masking import MaskPolicy
from codemlm.syntax import node_type_names
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.checkpoint import folders, verified_state
from codemlm.train.config import path_fields
from codemlm.train.data import fill_random, load_shards
from codemlm.train.graph import ScoringGraph, example_inputs
from codemlm.train.model import CodeMLMForLeafPrediction
from codemlm.train.parity import Limits, check, compare, with_selected
from codemlm.train.provenance import of_shards
from codemlm.train.quantize import MAX_NOISE, measure_ranges, quantize, smooth
from codemlm.train.shards import hash_tokenizer

OPSET = 20
_VALUES = ("input", "output", "value_info")
Batches = list[dict[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How to export.

    Attributes:
        name, version: of the model, for its manifest.
        max_noise: see `codemlm.train.quantize.quantize`.
        range_batches, parity_batches: sample batches that ranges are measured on, and that the
            exported graph is compared with the trained model on.
        batch_windows: windows a batch.
        limits: what the export fails at.
    """

    name: str = "codemlm-python"
    version: str = "0"
    max_noise: float = MAX_NOISE
    range_batches: int = 8
    parity_batches: int = 8
    batch_windows: int = 8
    limits: Limits = field(default_factory=Limits)


def export(checkpoint: Path, data: Path, out: Path, settings: ExportSettings) -> Manifest:
    """Writes the model folder of a checkpoint.

    Args:
        checkpoint: its folder, or a run's, of which the newest is taken.
        data: folder of the training data: `tokenizer.json`, and shards whose validation split
            (or else training split) gives the sample windows.
        out: the model folder; its manifest, graph and tokenizer are replaced.
        settings: see there.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or of another model.
        UsageError: the tokenizer is not the one that the model was trained with.
        CorpusError: there are no shards.
        ModelError: the graph does not give what the model gives.
    """
    path, state = _find(checkpoint)
    model = _load(path)
    tokenizer_path = data / TOKENIZER
    tokenizer_content = _check_tokenizer(tokenizer_path, model)
    batches = sample_batches(
        data, model, settings.range_batches + settings.parity_batches, settings.batch_windows
    )
    graphs, report = build(model, batches, settings)
    content = {MODEL: graphs, TOKENIZER: tokenizer_content}
    manifest = Manifest(
        name=settings.name,
        version=settings.version,
        window=model.config.max_subtokens,
        num_global=model.config.num_global_candidates,
        vocab_size=model.config.vocab_size,
        node_types={name: fingerprint(node_type_names(spec)) for name, spec in LANGUAGES.items()},
        files={name: ModelFile.of(each) for name, each in content.items()},
        training=training_facts(state, model, data),
        parity=report,
        repositories=of_shards(data),
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, each in content.items():
        temporary = out / f".{name}.tmp"
        temporary.write_bytes(each)
        temporary.replace(out / name)
    manifest.write(out)
    OnnxModel.load(out)
    return manifest


def build(
    model: CodeMLMForLeafPrediction, batches: Batches, settings: ExportSettings
) -> tuple[bytes, dict[str, Any]]:
    """The quantised graph, and its parity report.

    Args:
        model: in float32.
        batches: training batches; the first `range_batches` measure ranges, the rest is compared.
        settings: see there.

    Raises:
        ModelError: the graph does not give what the model gives.
    """
    batches = [with_selected(arrays) for arrays in batches]
    samples, held_out = batches[: settings.range_batches], batches[settings.range_batches :]
    graph = ScoringGraph(model)
    smooth(graph, samples)
    exact = to_onnx(graph, model)
    quantized = quantize(exact, measure_ranges(exact, samples), settings.max_noise)
    content = quantized.model.SerializeToString()
    onnx.checker.check_model(content)
    sessions = {
        "float32": open_session(exact.SerializeToString()),
        "int8": open_session(content),
    }
    reports = compare(model, sessions, held_out)
    check(reports, settings.limits)
    matrices = {"int8": quantized.n_int8, "float32": quantized.n_float32}
    return content, {**reports, "matrices": matrices, "windows": sum(map(_windows, held_out))}


def describe(manifest: Manifest) -> str:
    """What to tell of an export, on a few lines."""
    size = sum(file.bytes for file in manifest.files.values())
    report, matrices = manifest.parity["int8"], manifest.parity["matrices"]
    return (
        f"{size / 1e6:.1f} MB; {matrices['int8']} matrices in 8 bits, "
        f"{matrices['float32']} in float32\n"
        f"on {manifest.parity['windows']} windows, against the trained model: "
        f"best candidate the same at {report['top1_agreement']:.1%} of the leaves; "
        f"keep probability off by {report['keep_max_drift']:.3f} at most "
        f"(correlation {report['keep_correlation']:.5f}); "
        f"gate loss {report['trained_gate_loss']:.4f} -> {report['exported_gate_loss']:.4f}, "
        f"masked accuracy {report['trained_masked_accuracy']:.1%} -> "
        f"{report['exported_masked_accuracy']:.1%}"
    )


def to_onnx(graph: ScoringGraph, model: CodeMLMForLeafPrediction) -> onnx.ModelProto:
    """The float32 graph, without PyTorch's notes on it (which hold source paths)."""
    dim = torch.export.Dim
    batch, leaves, candidates = (dim(n, min=1) for n in ("batch", "leaves", "candidates"))
    subtokens = dim("subtokens", min=1, max=model.config.max_subtokens)
    dynamic: dict[str, dict[int, Any]] = {n: {0: batch, 1: subtokens} for n in INPUT_NAMES[:6]}
    dynamic["leaf_positions"] = {0: batch, 1: leaves}
    dynamic |= {name: {0: batch, 1: candidates} for name in INPUT_NAMES[7:]}
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it lists torchvision's operators, which are not there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.eval(),
                kwargs=example_inputs(model.config),
                dynamo=True,
                dynamic_shapes=dynamic,
                input_names=list(INPUT_NAMES),
                output_names=list(OUTPUT_NAMES),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    finally:
        log.setLevel(level)
    assert program is not None
    exact: onnx.ModelProto = program.model_proto
    exact.ClearField("metadata_props")
    exact.graph.ClearField("metadata_props")
    graph_parts = (getattr(exact.graph, n) for n in ("node", "initializer", *_VALUES))
    for part in chain.from_iterable(graph_parts):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return exact


def sample_batches(
    data: Path, model: CodeMLMForLeafPrediction, count: int, windows: int
) -> Batches:
    """Random windows of the validation split, or of the training split where there is no other.

    Raises:
        CorpusError: there are no shards.
    """
    split = data / "validation"
    shards = load_shards(
        split if split.is_dir() else data / "train", hash_tokenizer(data / TOKENIZER)
    )
    sizes = np.array([shard.tokens[-1] for shard in shards], dtype=float)
    shape = WindowShape.for_window(model.config.max_subtokens)
    batches = []
    for number in range(count):
        batch = Batch(windows, shape, model.config.num_global_candidates)
        for row in range(windows):
            rng = np.random.default_rng((11, number, row))
            shard = shards[int(rng.choice(len(shards), p=sizes / sizes.sum()))]
            fill_random(batch, row, shard, shape, MaskPolicy(), rng)
        batches.append(batch.arrays)
    return batches


def training_facts(
    state: dict[str, Any], model: CodeMLMForLeafPrediction, data: Path
) -> dict[str, Any]:
    """Where the model comes from, without anything of the machine that it was trained on."""
    of_machine = path_fields() | {"workers", "threads"}
    saved: dict[str, Any] = state.get("config", {})
    config = {name: value for name, value in saved.items() if name not in of_machine}
    rows = state.get("metrics_tail", [])
    last = {row["kind"]: row for row in rows if isinstance(row, dict) and "kind" in row}
    facts: dict[str, Any] = {}
    facts |= {name: state[name] for name in ("step", "tokens", "git_commit") if name in state}
    facts |= {"config": config, "metrics": list(last.values())}
    facts["parameters"] = sum(p.numel() for p in model.parameters())
    facts["encoder"] = model.config.encoder_type
    totals = data / "train" / "totals.json"
    if totals.is_file():
        facts["corpus"] = json.loads(totals.read_text("utf-8"))
    return facts


def _windows(arrays: dict[str, np.ndarray]) -> int:
    return len(arrays["input_ids"])


def _find(checkpoint: Path) -> tuple[Path, dict[str, Any]]:
    """A checkpoint's folder and the contents of its sidecar; {} for a bare model folder."""
    steps: Sequence[Path] = folders(checkpoint)
    path = steps[0] if steps else checkpoint
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"{path}: no checkpoint (there is no config.json); name a folder step-... of a run"
        )
    if not (path / "checkpoint.json").exists():
        return path, {}
    try:
        return path, verified_state(path, model_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: the checkpoint is damaged ({error}); use the one before"
        ) from error


def _load(path: Path) -> CodeMLMForLeafPrediction:
    """The model of a checkpoint, in float32."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: object = CodeMLMForLeafPrediction.from_pretrained(path, dtype=torch.float32)
    except CodemlmError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds
        raise CheckpointError(f"{path}: cannot load its model ({error})") from error
    assert isinstance(model, CodeMLMForLeafPrediction)
    config = model.config
    if config.causal or not (config.keep_gate and config.use_slots and config.use_syntax):
        raise UsageError(f"{path}: its model lacks a part that scans need; export a complete one")
    model.train(False)
    return model


def _check_tokenizer(path: Path, model: CodeMLMForLeafPrediction) -> bytes:
    """The tokenizer's file, once it is found to be the model's."""
    tokenizer = LeafTokenizer.load(path)
    pieces = model.global_candidate_ids.numpy()
    if tokenizer.vocab_size != model.config.vocab_size or not np.array_equal(
        tokenizer.frequent_pieces(), pieces
    ):
        raise UsageError(
            f"{path}: not the tokenizer that the model was trained with; give --data the folder "
            "that training had"
        )
    return path.read_bytes()
