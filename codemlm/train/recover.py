"""A checkpoint to train on from out of a model folder that ships.

An exported graph keeps all that was learnt, in 8 bits and partly folded (`codemlm.train.graph`,
`codemlm.train.quantize`). A graph of the same shape is exported here from fresh weights: constants
of the two correspond, products by their order and the rest by name. What rounding cost comes back
within a few hundred steps; the optimizer's moments are lost and start at zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

from codemlm.errors import ModelError
from codemlm.manifest import MODEL, TOKENIZER, Manifest
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.checkpoint import save
from codemlm.train.export import to_onnx
from codemlm.train.graph import ModernBertBody, ModernBertLayer, ScoringGraph
from codemlm.train.model import CodeMLMConfig, CodeMLMForLeafPrediction
from codemlm.train.optim import MasterAdamW

Constants = dict[str, np.ndarray]
_MAPPED = "composer.slot_map.weight"


def recover(folder: Path, run: Path, *, settings: dict[str, Any] | None = None) -> Path:
    """Writes a checkpoint with the weights of an exported model.

    Args:
        folder: the model's: graph, tokenizer, manifest.
        run: where `pretrain --init-from` is to look for it.
        settings: fields of CodeMLMConfig that a graph does not show (`gate_weight`).

    Returns:
        The checkpoint's folder.

    Raises:
        ModelError: the folder holds no model, or one whose graph this version does not write.
        CheckpointError: the checkpoint cannot be written.
    """
    manifest = Manifest.read(folder)
    graph = onnx.load(str(folder / MODEL))
    tokenizer = LeafTokenizer.load(folder / TOKENIZER)
    shipped = constants(graph)
    config = _config(manifest, graph, shipped, settings or {})
    model = CodeMLMForLeafPrediction(config)
    model.set_global_candidates(torch.from_numpy(tokenizer.frequent_pieces()))
    model.train(False)
    _copy(model, graph, shipped)
    optimizer = MasterAdamW(model)
    # Steps count from here, so that a warm-up comes first: there are no moments. What a resumed run
    # must agree on is left open.
    state = {
        "step": 0,
        "tokens": int(manifest.training.get("tokens", 0)),
        "elapsed_s": 0.0,
        "optimizer_steps": 0,
        "sums": {},
        "config": {"decay_start": -1},
        "metrics_tail": [],
        "recovered_from": f"{manifest.name} {manifest.version}",
    }
    return save(run, model, optimizer.tensors(), optimizer.layout, state)


def constants(graph: onnx.ModelProto) -> Constants:
    """The float constants of an exported graph by name; 8-bit ones as what they stand for."""
    found = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    for name in [n.removesuffix(".int8") for n in found if n.endswith(".int8")]:
        found[name] = found[f"{name}.int8"].astype(np.float32) * found[f"{name}.steps"]
    return found


def _products(graph: onnx.ModelProto, known: Constants) -> Iterator[str]:
    """The names of the constants that something is multiplied by, in the graph's order."""
    for node in graph.graph.node:
        if node.op_type in ("MatMul", "Gemm", "MatMulIntegerToFloat"):
            name = node.input[1].removesuffix(".int8")
            if name in known and known[name].ndim == 2:
                yield name


def _config(
    manifest: Manifest, graph: onnx.ModelProto, shipped: Constants, settings: dict[str, Any]
) -> CodeMLMConfig:
    """The configuration that a graph was exported from.

    Raises:
        ModelError: its encoder is not one that can be read back.
    """
    heads = {
        attribute.i
        for node in graph.graph.node
        if node.op_type == "MultiHeadAttention"
        for attribute in node.attribute
        if attribute.name == "num_heads"
    }
    layers = sum(name.endswith(".mlp_norm.weight") for name in shipped)
    if manifest.training.get("encoder") != "modernbert" or len(heads) != 1 or not layers:
        raise ModelError(
            f"{manifest.name} {manifest.version}: only the weights of a ModernBERT can be read "
            "back from its graph; train from a checkpoint of it instead"
        )
    width = shipped["norm.weight"].shape[0]
    matrices = [shipped[name] for name in _products(graph, shipped)]
    # A layer's fifth matrix widens: query, key, value, output, up, multiplier, down.
    encoder = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads.pop(),
        "intermediate_size": matrices[4].shape[1],
    }
    known: dict[str, Any] = {
        "encoder_type": "modernbert",
        "encoder": encoder,
        "vocab_size": manifest.vocab_size,
        "num_roles": shipped["embed.role.weight"].shape[0],
        "num_slots": shipped["embed.slot.weight"].shape[0] - 1,
        "num_node_types": shipped["embed.parent.weight"].shape[0],
        "num_global_candidates": manifest.num_global,
        "max_pieces": shipped["composer.piece_position.weight"].shape[0],
        "max_subtokens": manifest.window,
        "composer_size": shipped["composer.up.bias"].shape[0],
        "gate_size": shipped["gate.dense.bias"].shape[0],
    }
    return CodeMLMConfig(**{**settings, **known})


@torch.no_grad()
def _copy(model: CodeMLMForLeafPrediction, graph: onnx.ModelProto, shipped: Constants) -> None:
    """Puts a graph's constants into a model of the same shape.

    Raises:
        ModelError: the graph has other constants than one exported from this model.
    """
    view = ScoringGraph(model)
    exported = to_onnx(view, model)
    fresh = constants(exported)
    # Where one has more, a matrix is left without its partner, which is an error below.
    by_place = dict(zip(_products(exported, fresh), _products(graph, shipped), strict=False))
    found: dict[str, torch.Tensor] = {}
    for name, parameter in [*view.named_parameters(), *view.named_buffers()]:
        if name == _MAPPED:  # not in the graph, which has its results alone
            continue
        # Vectors and tables keep their names; matrices are turned, and lose them.
        value, turned = parameter.numpy(), name not in shipped
        theirs = shipped.get(name)
        if turned:
            place = next((ours for ours in by_place if _same(fresh[ours], value.T)), "")
            theirs = shipped.get(by_place.get(place, ""))
        wanted = value.T.shape if turned else value.shape
        if theirs is None or theirs.shape != wanted:
            raise ModelError(
                f"the graph has no constant for {name}: another version wrote it; recover it with "
                "the version that exported it"
            )
        found[name] = torch.from_numpy(np.array(theirs.T if turned else theirs))
    _unfold(model, view, found)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b))


def _unfold(
    model: CodeMLMForLeafPrediction, view: ScoringGraph, found: dict[str, torch.Tensor]
) -> None:
    """Undoes what `ScoringGraph` computed beforehand, and loads the model."""
    assert isinstance(view.body, ModernBertBody)
    width = model.classifier.dense.in_features
    state = model.state_dict()
    for part in ("embed", "composer", "gate"):
        for name in state:
            if name.startswith(f"{part}.") and name in found:
                state[name].copy_(found[name])
    state["classifier.dense.weight"].copy_(found["dense.weight"])
    state["classifier.dense.bias"].copy_(found["dense.bias"])
    for name in ("weight", "bias"):
        state[f"classifier.norm.{name}"].copy_(found[f"norm.{name}"] * width**0.5)
    state["classifier.global_bias"].copy_(found["global_bias"][:-1])
    # Only the mapped slots are in the graph: as many equations as slots, for each of its rows.
    normed = F.layer_norm(state["embed.slot.weight"][1:], (width,))
    mapped = found["slot_vectors"][1:]
    state[_MAPPED].copy_(torch.linalg.lstsq(normed, mapped).solution.T)
    state["encoder.embeddings.norm.weight"].copy_(found["body.norm.weight"])
    state["encoder.final_norm.weight"].copy_(found["body.final_norm.weight"])
    for number, layer in enumerate(view.body.layers):
        assert isinstance(layer, ModernBertLayer)
        ours, theirs = f"encoder.layers.{number}", f"body.layers.{number}"
        for name, parts in (
            ("attn.Wqkv", ("query", "key", "value")),
            ("attn.Wo", ("attn_out",)),
            ("mlp.Wi", ("up", "multiplier")),
            ("mlp.Wo", ("down",)),
        ):
            stacked = torch.cat([found[f"{theirs}.{part}.weight"] for part in parts])
            state[f"{ours}.{name}.weight"].copy_(stacked)
        for norm in ("attn_norm", "mlp_norm"):
            if f"{ours}.{norm}.weight" in state:
                state[f"{ours}.{norm}.weight"].copy_(found[f"{theirs}.{norm}.weight"])
    model.load_state_dict(state)
