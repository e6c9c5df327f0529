"""What the client may set: keys of the configuration, and those of the server alone.

Clients write keys as they like, ``minConfidence`` or ``min-confidence``. They stand above the
configuration files. What is wrong is named, and left at what it was.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from codemlm.config import KEYS, Layer, combine
from codemlm.errors import ConfigError

ORIGIN = "the editor's settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the server, or of one workspace folder.

    Attributes:
        table: keys of the configuration, with values as in its files.
        debounce_ms: pause in typing after which a text is scanned.
        heat_map: whether inlay hints show how likely doubtful leaves are.
        code_lens: whether functions show their most surprising leaf.
        workspace_diagnostics: whether all files of the workspace are scanned, not only open ones.
    """

    table: Mapping[str, object] = field(default_factory=dict)
    debounce_ms: int = 150
    heat_map: bool = False
    code_lens: bool = False
    workspace_diagnostics: bool = False

    @property
    def layer(self) -> Layer:
        """The configuration's keys, to stand above its files."""
        return Layer(self.table, ORIGIN)


def parse_settings(given: Any, base: Settings) -> tuple[Settings, list[str]]:
    """Settings that a client gave, and what is wrong with them.

    Args:
        given: decoded JSON; a ``settings`` or ``codemlm`` object in it is looked into.
        base: what holds where nothing is given.
    """
    if given is None:
        return base, []
    if not isinstance(given, Mapping):
        return base, [f"settings are an object, not {given!r}"]
    for outer in ("codemlm", "settings"):
        inner = given.get(outer)
        if isinstance(inner, Mapping):
            given = inner
        elif inner in ([], None):  # what Lua makes of an empty table
            given = {key: value for key, value in given.items() if key != outer}
    found, problems = base, list[str]()
    entries: Mapping[str, Any] = given
    for key, value in entries.items():
        name = re.sub("([A-Z])", r"-\1", str(key)).lower().replace("_", "-")
        if value is None:
            continue
        try:
            if name in _OWN:
                found = replace(found, **{name.replace("-", "_"): _OWN[name](value)})
            elif name in KEYS:
                combine([Layer({name: value}, ORIGIN)])
                found = replace(found, table={**found.table, name: value})
            else:
                near = difflib.get_close_matches(name, [*KEYS, *_OWN], n=1)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                problems.append(f"there is no setting {key!r}{meant}")
        except (ConfigError, ValueError) as error:
            problems.append(str(error) if isinstance(error, ConfigError) else f"{key}: {error}")
    return found, problems


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 60_000:
        raise ValueError(f"milliseconds from 0 to 60000 are wanted, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false is wanted, not {value!r}")
    return value


_OWN: dict[str, Callable[[Any], Any]] = {
    "debounce-ms": _milliseconds,
    "heat-map": _flag,
    "code-lens": _flag,
    "workspace-diagnostics": _flag,
}
