"""Models that the server has loaded, and how they are shared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from codemlm import commands
from codemlm.config import Config
from codemlm.scanner import Scanner, ScanOptions
from codemlm.scoring import LeafModel, Scorer
from codemlm.terminal import default_threads

if TYPE_CHECKING:
    import numpy as np

    from codemlm.calibration import Calibration

BATCH_WINDOWS = 2
"""Windows a forward pass: small, since urgent work waits for the pass that is under way."""


class Models:
    """Loaded models, one for each folder and number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Path | None, int], tuple[Scorer, Calibration]] = {}

    def scanner(self, config: Config, path: str) -> Scanner:
        """A scanner with the model that the configuration names, for a file.

        Raises:
            ModelError: if it is missing, corrupt, or made for another version.
        """
        key = (config.model_folder, config.threads or default_threads())
        with self._lock:
            if key not in self._loaded:
                scorer, calibration = commands.load_model(*key)
                scorer.batch_windows = BATCH_WINDOWS
                self._loaded[key] = (scorer, calibration)
            return Scanner(*self._loaded[key], ScanOptions.of(config, path))

    def clear(self) -> None:
        """Forgets all models, so that they are read again."""
        with self._lock:
            self._loaded.clear()


class Polite:
    """A model that lets something else go first before each pass."""

    def __init__(self, model: LeafModel, first: Callable[[], None]) -> None:
        self._model, self._first = model, first
        self.num_global, self.window = model.num_global, model.window

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As the model's."""
        self._first()
        return self._model.run(arrays)
