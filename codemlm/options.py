"""Options of the command line that set keys of the configuration, made from the table of keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from codemlm import config_kinds as kinds
from codemlm.config import DEFAULTS, KEYS, Key, Layer
from codemlm.config_kinds import Kind

if TYPE_CHECKING:
    from codemlm.config_files import ConfigRequest

Decorator = Callable[..., Any]

_METAVARS: dict[Kind, str] = {
    kinds.CODES: "CODE,...",
    kinds.GLOBS: "GLOB",
    kinds.CODES_BY_GLOB: "GLOB:CODE,...",
    kinds.PROBABILITIES: "P|CODE=P",
    kinds.NUMBER: "N",
    kinds.COUNT: "N",
    kinds.PATH: "PATH",
    kinds.FORMAT: "FORMAT",
}
_TYPES: dict[Kind, click.ParamType[Any]] = {
    kinds.NUMBER: click.FLOAT,
    kinds.COUNT: click.INT,
    kinds.FORMAT: click.Choice(list(kinds.FORMATS)),
}
_REPEATED = (kinds.CODES, kinds.GLOBS, kinds.CODES_BY_GLOB, kinds.PROBABILITIES)
_LONG_DEFAULTS = {
    "select": "all",
    "exclude": ".git, .venv, build, node_modules and their like; see `codemlm config exclude`",
}
"""Defaults in fewer words."""
_ALIASES = {"output-format": "--format"}


def together(*options: Decorator) -> Decorator:
    """One decorator out of several."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def config_options(*names: str) -> Decorator:
    """Options that set keys, and those that say where the configuration comes from.

    Args:
        names: the keys; none: all that have an option.
    """
    keys = [KEYS[name] for name in names] if names else [k for k in KEYS.values() if k.option]
    return together(
        *map(_option, keys),
        click.option(
            "--config",
            multiple=True,
            metavar="FILE|KEY=VALUE",
            help="A configuration file that holds instead of those found, or one value in TOML.",
        ),
        click.option("--isolated", is_flag=True, help="Read no configuration file."),
    )


def config_layers(given: Mapping[str, Any]) -> list[Layer]:
    """What the options of ``config_options`` set; options that were not given set nothing.

    Args:
        given: click's parameters.
    """
    layers = []
    for key in KEYS.values():
        value = given.get(_parameter(key))
        if value is not None and value != ():
            layers.append(Layer({key.name: _as_toml(key, value)}, key.option))
    return layers


def _parameter(key: Key) -> str:
    return "key_" + key.name.replace("-", "_")


def _option(key: Key) -> Decorator:
    name = key.option.removeprefix("--")
    default = getattr(DEFAULTS, key.name.replace("-", "_"))
    if key.kind is kinds.FLAG:
        text = f"{key.help}  [default: {'on' if default else 'off'}]"
        return click.option(f"{key.option}/--no-{name}", _parameter(key), default=None, help=text)
    text = key.help
    shown = key.unset or _LONG_DEFAULTS.get(key.name) or (default != () and str(default))
    if shown:
        text += f"  [default: {shown}]"
    if key.env:
        text += f"  [env: {key.env}]"
    names = [key.option, *([_ALIASES[key.name]] if key.name in _ALIASES else [])]
    return click.option(
        *names,
        _parameter(key),
        type=_TYPES.get(key.kind, click.STRING),
        multiple=key.kind in _REPEATED,
        metavar=_METAVARS.get(key.kind),
        help=text,
    )


def _as_toml(key: Key, value: Any) -> object:
    """An option's value as a file would have it."""
    if key.kind is kinds.CODES:
        return [code.strip() for one in value for code in one.split(",") if code.strip()]
    if key.kind is kinds.CODES_BY_GLOB:
        table: dict[str, list[str]] = {}
        for one in value:
            glob, colon, codes = one.rpartition(":")
            if not (colon and glob):
                raise click.BadParameter(f"{one!r} is not GLOB:CODES", param_hint=key.option)
            table.setdefault(glob, []).extend(codes.split(","))
        return table
    if key.kind is kinds.PROBABILITIES:
        return _probabilities(key, value)
    return list(value) if key.kind is kinds.GLOBS else value


def _probabilities(key: Key, values: tuple[str, ...]) -> object:
    by_code: dict[str, float] = {}
    for one in values:
        code, _, number = one.rpartition("=")
        try:
            by_code[code.strip() or kinds.ALL_RULES] = float(number)
        except ValueError as error:
            raise click.BadParameter(
                f"{one!r} is not P or CODE=P", param_hint=key.option
            ) from error
    everything = by_code.get(kinds.ALL_RULES)
    return everything if everything is not None and len(by_code) == 1 else by_code


OUTPUT_OPTIONS = together(
    click.option(
        "-o",
        "--output-file",
        type=click.Path(),
        metavar="FILE",
        help="Write the results to a file.",
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours. NO_COLOR and FORCE_COLOR are obeyed.",
    ),
)
"""Options of commands that print results of files."""

STDIN_OPTION = click.option(
    "--stdin-filename",
    default="<stdin>",
    metavar="NAME",
    help="Name of what - reads from standard input: for the report, and to find the configuration.",
)
"""Of commands that read standard input."""


def config_request(given: Mapping[str, Any]) -> ConfigRequest:
    """Where the configuration comes from, by click's parameters."""
    from codemlm.config_files import ConfigRequest

    return ConfigRequest(config_layers(given), given["config"], given["isolated"])
