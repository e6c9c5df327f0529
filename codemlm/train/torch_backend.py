"""A training checkpoint as a `codemlm.scoring.LeafModel`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codemlm.errors import CheckpointError
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.heads import gather_rows
from codemlm.train.model import CodeMLMForLeafPrediction

INPUTS = ("input_ids", "role_ids", "slot_ids", "parent_ids", "grandparent_ids", "attention_mask")
CANDIDATES = ("candidate_ids", "candidate_slots", "candidate_global")


class TorchModel:
    """Runs a model in PyTorch.

    Args:
        model: the model, in float32; it is put into evaluation mode.
        window: longest window in subtokens that it was trained for.

    Attributes:
        num_global: G.
        window: as given.
    """

    def __init__(self, model: CodeMLMForLeafPrediction, window: int) -> None:
        self.model = model
        self.model.train(False)
        self.window = window
        self.num_global: int = model.config.num_global_candidates

    @classmethod
    def load(cls, checkpoint: Path) -> TorchModel:
        """The model of a checkpoint folder, or of a folder that ``save_pretrained`` wrote.

        Raises:
            CheckpointError: if the folder holds no model.
        """
        settings = _settings(checkpoint)
        try:
            model = CodeMLMForLeafPrediction.from_pretrained(checkpoint, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{checkpoint}: cannot load the model ({error})") from error
        return cls(model, int(settings.get("window") or model.config.max_subtokens))

    @torch.inference_mode()
    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Keep logits float32 (B, L) and leaf logits float32 (B, L, G + C) at leaf_positions."""
        needed = (*INPUTS, *CANDIDATES, "leaf_positions")
        given = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in needed}
        hidden = self.model.encode(*(given[name] for name in INPUTS))
        at_leaf = gather_rows(hidden, given["leaf_positions"])
        logits = self.model.leaf_logits(at_leaf, *(given[name] for name in CANDIDATES))
        return self.model.keep_logits(at_leaf).numpy(), logits.numpy()


def load_tokenizer(checkpoint: Path) -> LeafTokenizer:
    """The tokenizer of a checkpoint: beside it, or in the folder of data it was trained on.

    Raises:
        CheckpointError: if neither is there.
    """
    data = _settings(checkpoint).get("data")
    for folder in (checkpoint, *([Path(str(data))] if data else [])):
        if (folder / "tokenizer.json").is_file():
            return LeafTokenizer.load(folder / "tokenizer.json")
    raise CheckpointError(
        f"{checkpoint}: no tokenizer.json here nor in its data folder; copy it here"
    )


def _settings(checkpoint: Path) -> dict[str, Any]:
    """The training configuration that a checkpoint of `codemlm.train` holds, else nothing."""
    try:
        state = json.loads((checkpoint / "checkpoint.json").read_text("utf-8"))
        return dict(state["config"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint}: checkpoint.json cannot be read ({error})") from error
