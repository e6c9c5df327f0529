"""Finds the configuration that holds for a file: the nearest one above it, and what overrides it.

In each folder, `codemlm.toml` stands before a `pyproject.toml` with a table ``[tool.codemlm]``. The
nearest folder that has one decides; those above it play no part. Stands for the command line and
for editors alike: whoever builds ``ConfigFiles`` says what overrides the files.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codemlm.config import KEYS, Config, Layer, Settings, combine
from codemlm.discovery import WalkRules
from codemlm.errors import ConfigError, UsageError
from codemlm.files import read_regular

OWN_FILE, SHARED_FILE = "codemlm.toml", "pyproject.toml"
TABLE = "codemlm"
NARROWING = ("select", "extend-select", "ignore", "per-file-ignores", "min-confidence")
"""Keys that decide what is a finding."""


class ConfigFiles:
    """Configurations by folder, each file read once.

    Args:
        overrides: layers that stand above any file, lowest first.
        file: the one file that holds everywhere, instead of those that would be found; its paths
            are relative to the working directory.
        isolated: whether no file is read at all.

    Raises:
        ConfigError: if ``file`` cannot be used.
    """

    def __init__(
        self, overrides: Iterable[Layer] = (), *, file: str | None = None, isolated: bool = False
    ) -> None:
        self._overrides = tuple(overrides)
        self._by_folder: dict[str, tuple[Settings, WalkRules] | ConfigError] = {}
        self._layers: dict[str, Layer | ConfigError | None] = {}
        self._fixed: tuple[Settings, WalkRules] | None = None
        if file is not None:
            self._fixed = self._combined(read_layer(file, base=""))
        elif isolated:
            self._fixed = self._combined(None)

    def of_folder(self, folder: str) -> Settings:
        """What holds for files in ``folder``.

        Raises:
            ConfigError: if the configuration there cannot be used.
        """
        return self._entry(folder)[0]

    def of_file(self, path: str) -> Settings:
        """What holds for the file ``path``, which need not exist.

        Raises:
            ConfigError: if the configuration there cannot be used.
        """
        return self.of_folder(os.path.dirname(path))  # noqa: PTH120  # paths may be no text

    def walk_rules(self, folder: str) -> WalkRules:
        """What a walk leaves out in ``folder``.

        Raises:
            ConfigError: if the configuration there cannot be used.
        """
        return self._entry(folder)[1]

    def nearest_file(self, folder: str) -> str | None:
        """Path of the file that holds for ``folder``, of those that are found; None: there is none.

        Raises:
            ConfigError: if that file cannot be used.
        """
        layer = self._nearest(os.path.abspath(folder or "."))  # noqa: PTH100
        return None if layer is None else layer.origin

    def candidates(self) -> list[str]:
        """Paths of files that decide, or would if they were there, as far as folders were asked."""
        folders = {*self._layers, os.path.abspath(".")}  # noqa: PTH100
        names = (OWN_FILE, SHARED_FILE)
        return [os.path.join(folder, name) for folder in sorted(folders) for name in names]  # noqa: PTH118

    def _entry(self, folder: str) -> tuple[Settings, WalkRules]:
        if self._fixed is not None:
            return self._fixed
        folder = os.path.abspath(folder or ".")  # noqa: PTH100
        found = self._by_folder.get(folder)
        if found is None:
            try:
                found = self._combined(self._nearest(folder))
            except ConfigError as error:
                found = error
            self._by_folder[folder] = found
        if isinstance(found, ConfigError):
            raise found
        return found

    def _combined(self, layer: Layer | None) -> tuple[Settings, WalkRules]:
        below = () if layer is None else (layer,)
        settings = combine((*below, *self._overrides))
        return settings, settings.config.walk_rules()

    def _nearest(self, folder: str) -> Layer | None:
        passed: list[str] = []
        found: Layer | ConfigError | None = None
        while True:
            if folder in self._layers:
                found = self._layers[folder]
                break
            passed.append(folder)
            try:
                found = _layer_in(folder)
            except ConfigError as error:
                found = error
            parent = os.path.dirname(folder)  # noqa: PTH120
            if found is not None or parent == folder:
                break
            folder = parent
        self._layers.update(dict.fromkeys(passed, found))
        if isinstance(found, ConfigError):
            raise found
        return found


@dataclass(frozen=True, slots=True)
class ConfigRequest:
    """Where the configuration comes from.

    Attributes:
        layers: what options set.
        config: values of `--config`.
        isolated: whether no file is read.
    """

    layers: Sequence[Layer] = ()
    config: Sequence[str] = ()
    isolated: bool = False

    def narrows(self) -> bool:
        """Whether the command line may report less than the configuration files would."""
        layers, file = option_layers(self.config)
        named = {name for layer in (*layers, *self.layers) for name in layer.table}
        return file is not None or self.isolated or not named.isdisjoint(NARROWING)

    def files(self) -> ConfigFiles:
        """The configurations of this request.

        Raises:
            ConfigError: if an option, a variable or the file that `--config` names cannot be used.
            UsageError: if the options contradict each other.
        """
        layers, file = option_layers(self.config)
        if file is not None and self.isolated:
            raise UsageError(f"--isolated reads no file, and --config names {file}: choose one")
        overrides = [*environment_layers(os.environ), *layers, *self.layers]
        return ConfigFiles(overrides, file=file, isolated=self.isolated)


def load_config(path: str) -> Config:
    """The configuration of the files for the file ``path``, without overrides but the environment.

    Raises:
        ConfigError: if it cannot be used.
    """
    return ConfigFiles(environment_layers(os.environ)).of_file(path).config


def environment_layers(environment: Mapping[str, str]) -> list[Layer]:
    """What environment variables set; empty ones set nothing."""
    return [
        Layer({key.name: environment[key.env]}, key.env)
        for key in KEYS.values()
        if key.env and environment.get(key.env)
    ]


def option_layers(values: Iterable[str]) -> tuple[list[Layer], str | None]:
    """What ``--config`` options say: layers of ``KEY=VALUE``, and the file if one is named.

    Raises:
        UsageError: if one is neither, or two files are named.
    """
    layers: list[Layer] = []
    file: str | None = None
    for value in values:
        name, equals, _ = value.partition("=")
        if os.path.exists(value) or not equals:  # noqa: PTH110
            if file is not None:
                raise UsageError(f"--config names two files, {file} and {value}; name one")
            file = value
            continue
        try:
            table = tomllib.loads(value)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"--config: {value!r} is neither a file nor KEY=VALUE in TOML ({error}); "
                f"strings need quotes: {name.strip()}='\"...\"'"
            ) from error
        layers.append(Layer(table, "--config"))
    return layers, file


def read_layer(path: str, *, base: str) -> Layer:
    """What a configuration file says.

    Args:
        path: of the file.
        base: folder that its paths and patterns are relative to.

    Raises:
        ConfigError: if it cannot be read, or is a `pyproject.toml` without our table.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot read the configuration ({reason})") from error
    table = _parse(path, data)
    if os.path.basename(path) == SHARED_FILE:  # noqa: PTH119
        found = _our_table(path, table)
        if found is None:
            raise ConfigError(f"{path}: there is no table [tool.{TABLE}] in it")
        table = found
    return Layer(table, path, base)


def _layer_in(folder: str) -> Layer | None:
    """The configuration of one folder itself, if it has one."""
    own = os.path.join(folder, OWN_FILE)  # noqa: PTH118
    if os.path.isfile(own):  # noqa: PTH113
        return read_layer(own, base=folder)
    path = os.path.join(folder, SHARED_FILE)  # noqa: PTH118
    try:
        data = read_regular(path)
    except OSError:
        return None  # there is none, or it is not for us to read
    if TABLE.encode() not in data:
        return None  # whatever else is wrong in it is not our concern
    table = _our_table(path, _parse(path, data))
    return None if table is None else Layer(table, path, folder)


def _our_table(path: str, table: Mapping[str, Any]) -> dict[str, Any] | None:
    tools = table.get("tool", {})
    found = tools.get(TABLE) if isinstance(tools, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ConfigError(f"{path}: [tool.{TABLE}] is no table")
    return found


def _parse(path: str, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, or not TOML
        raise ConfigError(f"{path}: not TOML ({error})") from error
