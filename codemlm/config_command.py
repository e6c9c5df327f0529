"""What `codemlm config` shows: effective values and their origins, and what a key means."""

from __future__ import annotations

import json
from collections.abc import Iterator

from codemlm.config import DEFAULTS, KEYS, Config, Key, Settings, nearest
from codemlm.config_kinds import toml_of
from codemlm.errors import UsageError


def value_of(config: Config, key: Key) -> object:
    """A key's value as TOML has it; None if it has none."""
    value = getattr(config, key.name.replace("-", "_"))
    return None if value is None else key.kind.show(value)


def settings_lines(settings: Settings) -> Iterator[str]:
    """The effective values in TOML, each with its origin."""
    for key in KEYS.values():
        origin = settings.origins.get(key.name, "default")
        value = value_of(settings.config, key)
        if value is None or (value == {} and key.unset):
            yield f"# {key.name}: {key.unset}  # {origin}"
        else:
            yield f"{key.name} = {toml_of(value)}  # {origin}"


def settings_json(settings: Settings) -> str:
    """The effective values and their origins as one JSON object."""
    table = {
        key.name: {
            "value": value_of(settings.config, key),
            "origin": settings.origins.get(key.name, "default"),
        }
        for key in KEYS.values()
    }
    return json.dumps(table, indent=2)


def key_lines(name: str, settings: Settings) -> Iterator[str]:
    """What a key means, and its value.

    Raises:
        UsageError: if there is no such key.
    """
    key = KEYS.get(name)
    if key is None:
        raise UsageError(f"there is no key {name!r}; {nearest(name)}")
    default = value_of(DEFAULTS, key)
    unset = default is None or (default == {} and key.unset)
    yield f"{key.name}: {key.kind.name}\n\n{key.help}\n"
    yield f"Default: {key.unset if unset else toml_of(default)}"
    if key.option:
        yield f"Option: {key.option}"
    if key.env:
        yield f"Environment: {key.env}"
    value = value_of(settings.config, key)
    if key.name in settings.origins:
        yield f"Here: {toml_of(value)}, by {settings.origins[key.name]}"
