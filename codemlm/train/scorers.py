"""Scorers of exported models and of training checkpoints."""

from __future__ import annotations

from pathlib import Path

from codemlm.evaluation.rescoring import WindowScorer
from codemlm.manifest import MANIFEST


def load_scorer(folder: Path, threads: int = 1) -> WindowScorer:
    """The scorer of an exported model, or of a training checkpoint."""
    if (folder / MANIFEST).is_file():
        from codemlm.commands import load_model

        scorer, _ = load_model(folder, threads)
        return WindowScorer(scorer.model, scorer.tokenizer)
    import torch

    from codemlm.train.torch_backend import TorchModel, load_tokenizer

    torch.set_num_threads(threads)
    return WindowScorer(TorchModel.load(folder), load_tokenizer(folder))
