"""The command line with a model that is a table: ``python -m tests.cli.fake scan ...``.

The fake dislikes the leaves in WRONG, each by so much, and would rather see another text there.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from codemlm.calibration import Calibration, Logistic
from codemlm.errors import ModelError
from codemlm.scoring import Scorer
from codemlm.tokenizer import MASK, LeafTokenizer
from tests.unit.fakes import tiny_tokenizer

WRONG = {
    "rows": ("cols", -3.0),
    "height": ("width", -1.0),
    "<": ("<=", -2.0),
    "not": ("[DELETE]", -2.5),
    "empty": ("[NEGATE]", -2.2),
    "low": ("high", -2.0),
    "high": ("low", -2.0),
}
"""What the fake takes for wrong: the text it would rather see, and the gate's logit."""


DOUBT_ALONE = Calibration(
    single=Logistic(("doubt",), 0.0, (1.0,)),
    verified=Logistic(("doubt",), 0.0, (1.0,)),
    threshold=0.5,
    undefined=0.9,
)
"""A calibration that takes the gate's word for it."""


class FakeModel:
    """Recognises leaves by their first subtoken."""

    window = 128

    def __init__(self, tokenizer: LeafTokenizer) -> None:
        self.tokenizer = tokenizer
        self.num_global = len(tokenizer.frequent)

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        ids, places = arrays["input_ids"], np.maximum(arrays["leaf_positions"], 0)
        candidates = arrays["candidate_ids"]
        shown = np.take_along_axis(ids, places, axis=1)
        keep = np.full(shown.shape, 6.0, np.float32)
        logits = np.zeros((*shown.shape, self.num_global + candidates.shape[1]), np.float32)
        for text, (better, gate) in WRONG.items():
            pieces = self.tokenizer.pieces(text)
            here = shown == pieces[0]
            for offset, piece in enumerate(pieces[1:], start=1):
                after = np.minimum(places + offset, ids.shape[1] - 1)
                here &= np.take_along_axis(ids, after, axis=1) == piece
            keep[here] = gate
            column = self.tokenizer.frequent_id(better)
            if column >= 0:
                logits[here, column] = 9.0
            wanted = self.tokenizer.pieces(better)
            for row in range(len(ids)):
                same = (candidates[row, :, : len(wanted)] == wanted).all(axis=1)
                local = self.num_global + np.flatnonzero(same)
                for at in np.flatnonzero(here[row] | (shown[row] == MASK)):
                    logits[row, at, local] = 9.0 if here[row, at] else 4.0
        return keep, logits


def load(folder: Path | None, threads: int) -> tuple[Scorer, Calibration]:
    """Stands for `codemlm.commands.load_model`."""
    if folder is not None:
        raise ModelError(f"{folder}: no such model")
    assert threads >= 1
    if os.environ.get("FAKE_READY"):
        sys.stderr.write("ready\n")
    tokenizer = tiny_tokenizer()
    return Scorer(FakeModel(tokenizer), tokenizer), DOUBT_ALONE


def identify(folder: Path | None) -> tuple[str, Calibration]:
    """Stands for `codemlm.commands.identify_model`."""
    if folder is not None:
        raise ModelError(f"{folder}: no such model")
    return "fake", DOUBT_ALONE


def kill_at(number: int) -> None:
    """Kills the process just before it replaces a file for the ``number``-th time."""
    calls, replace = itertools.count(1), os.replace

    def replace_or_die(source: str, target: str) -> None:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die  # type: ignore[assignment]


def main() -> int:
    """The command line with the fake."""
    from codemlm import cli, commands, scan_command

    commands.load_model = load
    commands.identify_model = identify
    if os.environ.get("FAKE_KILL_AT"):
        kill_at(int(os.environ["FAKE_KILL_AT"]))
    if os.environ.get("FAKE_CRASH"):
        scan_command.scan = lambda request: 1 // 0
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
