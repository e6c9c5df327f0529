"""A fresh model from the settings of a run and from what its data decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemlm.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from codemlm.train.config import TrainConfig
    from codemlm.train.loop import BatchSource


def read_fields(path: Path | None) -> dict[str, Any]:
    """The model settings of a JSON file; none without one.

    Raises:
        UsageError: the file is not a JSON object.
    """
    if path is None:
        return {}
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot read it as JSON ({error})") from error
    if not isinstance(fields, dict):
        raise UsageError(f"{path}: not a JSON object of model settings")
    return fields


def model_fields(config: TrainConfig, known: dict[str, Any]) -> dict[str, Any]:
    """Fields of CodeMLMConfig: the data's, over those the JSON file gives, under model_set's.

    Raises:
        UsageError: the file is not JSON, or a setting is not FIELD=VALUE.
    """
    fields = read_fields(config.model_config)
    fields |= {"max_subtokens": config.window, **known}
    for setting in config.model_set:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"model setting {setting!r} is not of the form FIELD=VALUE")
        *parents, last = name.split(".")
        place = fields
        for parent in parents:
            place[parent] = place.get(parent) or {}
            place = place[parent]
        try:
            place[last] = json.loads(text)
        except ValueError:
            place[last] = text
    return fields


def build_model(config: TrainConfig, source: BatchSource) -> nn.Module:
    """A freshly initialised model, fp32 on the CPU, that fits the data."""
    import torch
    from transformers.utils import logging

    from codemlm.train.model import CodeMLMConfig, CodeMLMForLeafPrediction

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one at every checkpoint
    ids, counts = source.global_candidates()
    shape = {"num_global_candidates": ids.shape[0], "max_pieces": ids.shape[1]}
    fields = model_fields(config, {**shape, **source.model_fields()})
    try:
        model = CodeMLMForLeafPrediction(CodeMLMConfig(**fields))
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"model settings do not make a model: {error}") from error
    model.set_global_candidates(
        torch.from_numpy(ids), None if counts is None else torch.from_numpy(counts)
    )
    return model
