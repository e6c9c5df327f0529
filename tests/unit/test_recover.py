"""What ships becomes a checkpoint again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codemlm.errors import ModelError
from codemlm.train import __main__ as cli
from codemlm.train.checkpoint import newest, resumed_config
from codemlm.train.config import TrainConfig
from codemlm.train.model import CodeMLMForLeafPrediction
from codemlm.train.parity import run_trained
from codemlm.train.recover import recover

from .test_export import Exported, batch_of, exported

__all__ = ["exported"]


def test_a_recovered_model_scores_as_the_one_that_was_exported(
    exported: Exported, tmp_path: Path
) -> None:
    folder = recover(exported.folder, tmp_path / "run")
    model = CodeMLMForLeafPrediction.from_pretrained(folder, dtype=torch.float32)
    model.train(False)
    arrays = batch_of(exported)
    ours, theirs = run_trained(model, arrays), run_trained(exported.model, arrays)
    real = arrays["leaf_positions"] >= 0
    competes = theirs[1] > -1000
    assert np.abs(ours[0] - theirs[0])[real].max() < 0.3
    assert np.abs(ours[1] - theirs[1])[real[..., None] & competes].max() < 0.5
    # Not folded into others, and not in the graph itself: only what it makes of slots is.
    wanted = exported.model.composer.slot_map.weight
    assert (
        torch.nn.functional.cosine_similarity(
            model.composer.slot_map.weight.flatten(), wanted.flatten(), dim=0
        )
        > 0.99
    )


def test_a_run_goes_on_from_it_with_settings_of_its_own(exported: Exported, tmp_path: Path) -> None:
    recover(exported.folder, tmp_path / "run")
    found = newest(tmp_path / "run")
    assert found is not None
    assert (found.step, found.state["tokens"]) == (0, 345)
    config = TrainConfig(seed=9, batch_windows=4, window=48)
    assert resumed_config(config, found) == config
    tensors, layout = found.optimizer()
    assert sum(int(np.prod(shape)) for _, shape in layout) == len(tensors["master"])
    assert not tensors["exp_avg"].any()


def test_settings_that_a_graph_does_not_show_are_given(exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text('{"gate_weight": 3.0, "vocab_size": 5}')
    arguments = ["recover", "--model", str(exported.folder), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.main, [*arguments, "--model-config", str(path)])
    assert result.exit_code == 0, result.output
    model = CodeMLMForLeafPrediction.from_pretrained(result.stdout.strip())
    assert model.config.gate_weight == 3.0
    assert model.config.vocab_size == exported.model.config.vocab_size


def test_another_family_is_told(exported: Exported, tmp_path: Path) -> None:
    import json
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(exported.folder, folder)
    path = folder / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    data["training"]["encoder"] = "bert"
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ModelError, match="only the weights of a ModernBERT"):
        recover(folder, tmp_path / "run")
