"""Writes the least confidence into a configuration file, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass

from codemlm.config_files import OWN_FILE, SHARED_FILE, TABLE, read_layer
from codemlm.config_kinds import ALL_RULES, toml_of
from codemlm.errors import ConfigError, UsageError
from codemlm.files import write_whole
from codemlm.terminal import utf8_path
from codemlm.toml_edit import with_value

KEY = "min-confidence"


@dataclass(frozen=True, slots=True)
class ThresholdFile:
    """A configuration file, and where in it the least confidence stands.

    Attributes:
        path: of the file.
        text: what it holds; empty if it is still to be made.
        keys: names of the tables, and of the key.
    """

    path: str
    text: str
    keys: tuple[str, ...]

    @classmethod
    def find(cls, path: str | None, folder: str) -> ThresholdFile:
        """The file, which can be written.

        Args:
            path: of a configuration file; None: there is none yet, and `codemlm.toml` is made: in
                the working directory, if ``folder`` lies in it.
            folder: of the code, absolute.

        Raises:
            UsageError: if it cannot be read, edited or written.
        """
        if path is None:
            here = os.path.abspath(".")  # noqa: PTH100
            inside = os.path.join(folder, "").startswith(os.path.join(here, ""))  # noqa: PTH118
            path = os.path.join(here if inside else folder, OWN_FILE)  # noqa: PTH118
            found = cls(path, "", (KEY,))
        else:
            value = read_layer(path, base="").table.get(KEY)
            keys = (KEY, ALL_RULES) if isinstance(value, dict) else (KEY,)
            if os.path.basename(path) == SHARED_FILE:  # noqa: PTH119
                keys = ("tool", TABLE, *keys)
            with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
                found = cls(path, file.read(), keys)
        found.with_value(0.5)
        place = path if os.path.exists(path) else os.path.dirname(path)  # noqa: PTH110, PTH120
        if not os.access(place, os.W_OK):
            raise UsageError(f"{utf8_path(path)}: not writable, so --write cannot work there")
        return found

    def with_value(self, value: float) -> str:
        """The text with the least confidence.

        Raises:
            ConfigError: if it cannot be put there without changing more.
        """
        edited = with_value(self.text, self.keys, toml_of(value))
        if edited is None:
            raise ConfigError(
                f"{utf8_path(self.path)}: cannot set {'.'.join(self.keys)} without changing more "
                "than that; write it by hand"
            )
        return edited

    def write(self, value: float) -> None:
        """Writes the file with the least confidence in it, whole or not at all.

        Raises:
            UsageError: if it cannot be written.
        """
        try:
            write_whole(self.path, self.with_value(value).encode("utf-8"))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"{utf8_path(self.path)}: not writable ({reason})") from error
