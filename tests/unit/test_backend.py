"""Loading a model folder: what is checked, and what users read when it is not as it should be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from codemlm.backend import INPUT_NAMES, OnnxModel, default_model_path
from codemlm.errors import ModelError
from codemlm.manifest import FORMAT, MANIFEST, MODEL, TOKENIZER, Manifest, ModelFile, fingerprint

B, T, L, C, P = 2, 5, 3, 4, 8


def tiny_graph(inputs: tuple[str, ...] = INPUT_NAMES) -> bytes:
    """A graph that gives sums of its inputs: keep logits 2 * position, leaf logits candidates."""
    ranks = {"candidate_ids": 3}
    declared = [
        helper.make_tensor_value_info(
            name,
            TensorProto.BOOL if name == "attention_mask" else TensorProto.INT64,
            [None] * ranks.get(name, 2),
        )
        for name in inputs
    ]
    nodes = [
        helper.make_node("Cast", ["leaf_positions"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["floats", "floats"], ["keep_logits"]),
        helper.make_node("Cast", ["candidate_ids"], ["leaf_logits"], to=TensorProto.FLOAT),
    ]
    outputs = [
        helper.make_tensor_value_info("keep_logits", TensorProto.FLOAT, [None] * 2),
        helper.make_tensor_value_info("leaf_logits", TensorProto.FLOAT, [None] * 3),
    ]
    graph = helper.make_graph(nodes, "tiny", declared, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_folder(folder: Path, graph: bytes) -> Manifest:
    content = {MODEL: graph, TOKENIZER: b"{}"}
    for name, each in content.items():
        (folder / name).write_bytes(each)
    manifest = Manifest(
        name="tiny",
        version="1",
        window=T,
        num_global=7,
        vocab_size=9,
        node_types={"python": fingerprint(["end", "module"])},
        files={name: ModelFile.of(each) for name, each in content.items()},
        training={"step": 1},
        parity={"int8": {"leaves": 3}},
        calibration={"threshold": 0.5},
    )
    manifest.write(folder)
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path, tiny_graph())
    return tmp_path


def arrays() -> dict[str, np.ndarray]:
    found = {name: np.zeros((B, T), dtype=np.int64) for name in INPUT_NAMES[:6]}
    found["attention_mask"] = np.ones((B, T), dtype=bool)
    found["leaf_positions"] = np.arange(B * L).reshape(B, L)
    found["candidate_ids"] = np.ones((B, C, P), dtype=np.int64)
    found |= dict.fromkeys(
        ("candidate_slots", "candidate_global"), np.zeros((B, C), dtype=np.int64)
    )
    return found


def test_a_whole_folder_loads_and_runs(folder: Path) -> None:
    model = OnnxModel.load(folder, threads=2)
    assert (model.num_global, model.window, model.manifest.name) == (7, T, "tiny")
    # Batches hold arrays for training too; those are left alone.
    keep, leaf = model.run(arrays() | {"targets": np.zeros((B, 1))})
    assert keep.dtype == leaf.dtype == np.float32
    assert keep.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert leaf.shape == (B, C, P)


def test_the_manifest_survives_writing(folder: Path) -> None:
    manifest = Manifest.read(folder)
    assert Manifest.from_json(manifest.as_json()) == manifest
    assert manifest.calibration == {"threshold": 0.5}
    assert next(iter(manifest.as_json())) == "format"  # for people, and for older versions
    manifest.write(folder)
    assert Manifest.read(folder) == manifest


def test_the_fingerprint_depends_on_the_order() -> None:
    assert fingerprint(["a", "b"]) == fingerprint(["a", "b"]) != fingerprint(["b", "a"])


def truncate(folder: Path) -> None:
    path = folder / MODEL
    path.write_bytes(path.read_bytes()[:-10])


def flip(folder: Path) -> None:
    path = folder / TOKENIZER
    path.write_bytes(b"[]")


def pointer(folder: Path) -> None:
    (folder / MODEL).write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "file", "words"),
    [
        (shutil.rmtree, MANIFEST, "not found.*reinstall"),
        (lambda folder: (folder / MANIFEST).write_text("{"), MANIFEST, "not JSON.*reinstall"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), MANIFEST, "list, not dict"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), MANIFEST, "not JSON"),
        (lambda folder: (folder / MODEL).unlink(), MODEL, "cannot read it.*reinstall"),
        (truncate, MODEL, "truncated.*reinstall"),
        (pointer, MODEL, "truncated, or of another model"),
        (flip, TOKENIZER, "damaged.*SHA-256.*reinstall"),
        (lambda folder: write_folder(folder, b"no graph"), MODEL, "cannot run it.*upgrade"),
        (
            lambda folder: write_folder(folder, tiny_graph((*INPUT_NAMES, "kind_ids"))),
            MODEL,
            "another codemlm.*kind_ids.*export the model again",
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(
    folder: Path, harm: Callable[[Path], object], file: str, words: str
) -> None:
    harm(folder)
    with pytest.raises(ModelError, match=f"(?s){re.escape(str(folder / file))}.*{words}"):
        OnnxModel.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}, this codemlm reads {FORMAT}"),
        ({"format": None}, "format None"),
        ({"windows": 3}, "unknown key 'windows'"),
        ({"window": None}, "window is None, not a positive integer"),
        ({"window": 0}, "not a positive integer"),
        ({"window": True}, "not a positive integer"),
        ({"name": 3}, "name is int, not str"),
        ({"node_types": {"python": 1}}, "is int, not str"),
        ({"calibration": []}, "calibration is list, not dict"),
        ({"files": {}}, f"files has no {MODEL}"),
        ({"files": {"../../x": {"bytes": 1, "sha256": ""}}}, "no plain file name"),
        ({"files": {MODEL: {"bytes": 1}}}, "has no 'sha256'"),
        ({"files": {MODEL: {"bytes": 1, "sha256": "", "url": ""}}}, "unknown key 'url'"),
    ],
)
def test_a_manifest_is_checked(folder: Path, change: dict[str, Any], words: str) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change), encoding="utf-8")
    with pytest.raises(ModelError, match=words) as caught:
        Manifest.read(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["window", "files", "parity", "calibration"])
def test_a_manifest_is_complete(folder: Path, key: str) -> None:
    data = Manifest.read(folder).as_json()
    del data[key]
    with pytest.raises(ModelError, match=f"has no '{key}'"):
        Manifest.from_json(data)


def test_the_shipped_model_is_beside_the_code() -> None:
    assert default_model_path().name == "model"
    assert (default_model_path().parent / "backend.py").is_file()


def test_import_and_loading_need_no_torch(folder: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from codemlm.backend import OnnxModel\n"
        "assert 'onnxruntime' not in sys.modules\n"
        f"OnnxModel.load(pathlib.Path({str(folder)!r}))\n"
        "assert 'onnxruntime' in sys.modules\n"
        "print([n for n in ('torch', 'transformers', 'onnx', 'tokenizers') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)
