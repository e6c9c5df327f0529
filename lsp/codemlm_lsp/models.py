"""Models that the server has loaded, and how they are shared."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from codemlm import commands
from codemlm.cache import Cache, code_fingerprint, default_folder
from codemlm.config import Config
from codemlm.names_file import NameFinder
from codemlm.scanner import Scanner, ScanOptions
from codemlm.scoring import LeafModel, Scorer
from codemlm.terminal import default_threads

if TYPE_CHECKING:
    import numpy as np

    from codemlm.calibration import Calibration

BATCH_WINDOWS = 2
"""Windows a forward pass: small, since urgent work waits for the pass that is under way."""


class Models:
    """Loaded models, one for each folder and number of threads.

    Attributes:
        notes: what is wrong with files of names, not told yet.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._names = NameFinder(self.notes.append)
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Path | None, int], tuple[Scorer, Calibration]] = {}
        self._caches: dict[tuple[str, Path | None], Cache] = {}

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
                gc.collect()
                gc.freeze()  # a model's tables need not be walked through again and again
            options = ScanOptions.of(config, path)
            return Scanner(*self._loaded[key], options, names=self._names)

    def cache(self, config: Config) -> Cache | None:
        """The store of what was found in files, the command line's; for the worker's thread alone.

        Raises:
            ModelError: as above.
        """
        folder = (config.cache_dir or default_folder()) if config.cache else None
        if folder is None:
            return None
        key = (folder, config.model_folder)
        if key not in self._caches:
            identity, _ = commands.identify_model(config.model_folder)
            self._caches[key] = Cache(folder, f"{identity} {code_fingerprint()}")
        return self._caches[key]

    def close_caches(self) -> None:
        """Writes what is not written yet; on the worker's thread, once files were scanned."""
        for cache in self._caches.values():
            cache.close()
        self._caches.clear()

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
