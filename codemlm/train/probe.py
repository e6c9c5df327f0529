"""A probe of a checkpoint: `python -m codemlm.train probe`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from codemlm.errors import CorpusError
from codemlm.evaluation.probe import Case, Probe, injected_cases, real_cases
from codemlm.evaluation.probe_figures import summarise, table
from codemlm.tokenizer import LeafTokenizer
from codemlm.train.checkpoint import folders
from codemlm.train.torch_backend import TorchModel, load_tokenizer


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What a checkpoint is probed with.

    Attributes:
        pairs: file of real fixes with their texts.
        limit: bugs at the most, evenly over repositories; None: all.
        injected: folder of ``.jsonl.gz``, whose files are given one mistake each; None: none.
        injected_files: how many of them.
        seed: of every choice, and of the bootstrap.
    """

    pairs: Path
    limit: int | None = None
    injected: Path | None = None
    injected_files: int = 200
    seed: int = 0


def probe(checkpoint: Path, settings: ProbeSettings, *, threads: int, out: Path | None) -> str:
    """Figures of a checkpoint for people; the same go to ``out`` as JSON.

    Args:
        checkpoint: its folder, or a run's, of which the newest is taken.
        settings: with what.
        threads: CPU threads of the model.
        out: JSON file to write, None for none.

    Raises:
        CheckpointError: the folder holds no model or no tokenizer.
        CorpusError: the pairs or the corpus cannot be read, or none can be judged.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it would stand in the table
    torch.set_num_threads(threads)
    path = next(iter(folders(checkpoint)), checkpoint)
    model, tokenizer = TorchModel.load(path), load_tokenizer(path)
    skipped: Counter[str] = Counter()
    given = real_cases(settings.pairs, limit=settings.limit, seed=settings.seed, skipped=skipped)
    found = _figures(model, tokenizer, given, settings)
    found["skipped"] = dict(sorted(skipped.items()))
    text = table(found)
    result: dict[str, Any] = {"checkpoint": path.name, "window": model.window, "real": found}
    result["parameters"] = sum(p.numel() for p in model.model.parameters())
    if settings.injected is not None:
        cases = injected_cases(settings.injected, files=settings.injected_files, seed=settings.seed)
        result["injected"] = _figures(model, tokenizer, cases, settings)
        text += f"\n\nInjected: {table(result['injected'])}"
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return f"{path.name}: {text}"


def _figures(
    model: TorchModel, tokenizer: LeafTokenizer, cases: Iterable[Case], settings: ProbeSettings
) -> dict[str, Any]:
    began = time.monotonic()
    outcomes = list(Probe(model, tokenizer).run(cases))
    if not outcomes:
        raise CorpusError(f"{settings.pairs}: no bug in it can be judged; give another file")
    return summarise(outcomes, settings.seed) | {"seconds": round(time.monotonic() - began, 1)}
