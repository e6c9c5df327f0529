"""The shipped model behind `codemlm.scoring.LeafModel`, run by ONNX Runtime on the CPU.

ONNX Runtime is imported when a model is loaded, not before: a tenth of a second.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codemlm.errors import ModelError
from codemlm.manifest import MODEL, Manifest, ModelFile

INPUT_NAMES = (
    "input_ids",
    "role_ids",
    "slot_ids",
    "parent_ids",
    "grandparent_ids",
    "attention_mask",
    "leaf_positions",
    "candidate_ids",
    "candidate_slots",
    "candidate_global",
)
"""Inputs of the graph: arrays of `codemlm.masking.Batch`, except those that only training reads."""

OUTPUT_NAMES = ("keep_logits", "leaf_logits")


class OnnxModel:
    """A loaded model. `run` may be called from several threads at once.

    Attributes:
        manifest: of its folder.
        num_global: G, its global candidates.
        window: longest window in subtokens.
    """

    def __init__(self, session: Any, manifest: Manifest) -> None:
        self._session = session
        self.manifest = manifest
        self.num_global = manifest.num_global
        self.window = manifest.window

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> OnnxModel:
        """The model of a folder, once all its files are found to be whole.

        Args:
            folder: with a manifest; `default_model_path()` has the one that ships.
            threads: of one forward pass.

        Raises:
            ModelError: a file is missing, truncated, changed, or of another version.
        """
        manifest = Manifest.read(folder)
        content = {name: _read(folder / name, record) for name, record in manifest.files.items()}
        try:
            session = open_session(content[MODEL], threads)
        except ImportError as error:
            raise ModelError(
                f"ONNX Runtime cannot be loaded ({error}); reinstall onnxruntime, and on Windows "
                "install the Microsoft Visual C++ Redistributable"
            ) from error
        except Exception as error:  # it raises one class a kind of trouble
            raise ModelError(
                f"{folder / MODEL}: ONNX Runtime cannot run it ({error}); "
                "upgrade onnxruntime or reinstall codemlm"
            ) from error
        names = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
        if (sorted(names[0]), names[1]) != (sorted(INPUT_NAMES), list(OUTPUT_NAMES)):
            raise ModelError(
                f"{folder / MODEL}: made for another codemlm (it takes {', '.join(names[0])} and "
                f"gives {', '.join(names[1])}); reinstall codemlm, or export the model again"
            )
        return cls(session, manifest)

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns keep logits float32 (B, L) and leaf logits float32 (B, L, G + C).

        Both stand at `leaf_positions`, and mean nothing at its pads; a masked leaf is scored by
        putting its position there. A window's results do not depend on the batch's other windows.

        Args:
            arrays: `Batch.arrays`, of which `INPUT_NAMES` are read. No dimension may be empty.
        """
        feeds = {name: arrays[name] for name in INPUT_NAMES}
        keep, logits = self._session.run(OUTPUT_NAMES, feeds)
        return keep, logits


def default_model_path() -> Path:
    """The folder of the model that ships with codemlm."""
    return Path(str(importlib.resources.files("codemlm").joinpath("model")))


def open_session(model: bytes, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU for a serialised graph."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds log events to the system
    onnxruntime.set_default_logger_severity(3)  # it warns of GPUs that it cannot look at
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Waiting threads would burn a core each, in an editor's background.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _read(path: Path, record: ModelFile) -> bytes:
    """A file's content.

    Raises:
        ModelError: it is not as the manifest says.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read it ({error}); reinstall codemlm") from error
    if len(content) != record.bytes:
        raise ModelError(
            f"{path}: {len(content):,} bytes, where its manifest says {record.bytes:,}: truncated, "
            "or of another model; reinstall codemlm"
        )
    if ModelFile.of(content) != record:
        raise ModelError(f"{path}: damaged (its SHA-256 is wrong); reinstall codemlm")
    return content
