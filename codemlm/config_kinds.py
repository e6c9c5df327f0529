"""What values of the configuration may be: each kind reads what TOML gives, and shows it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codemlm.discovery import Patterns
from codemlm.errors import ConfigError

FORMATS = {
    "full": "code frames",
    "concise": "a line a finding",
    "json": "an object a line",
    "sarif": "SARIF 2.1.0, as GitHub's code scanning takes it",
    "github": "annotations of a GitHub workflow",
    "gitlab": "GitLab's Code Quality report",
    "rdjson": "reviewdog's diagnostics",
    "junit": "JUnit's XML",
    "html": "a page for browsers, with heat maps",
}
"""Names of the output formats, and what they print; `codemlm.formats` makes a reporter of each."""

ALL_RULES = "CM"
"""The prefix of every rule."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A gitignore pattern, and the folder that it is relative to."""

    base: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What the values of a key may be.

    Attributes:
        name: for people, such as "a list of rule prefixes".
        read: takes a value as TOML has it and the folder that its paths are relative to; raises
            ValueError, with what is wrong or without a word, if it is none.
        show: the value as TOML has it.
    """

    name: str
    read: Callable[[Any, str], Any]
    show: Callable[[Any], Any] = lambda value: value


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError
    return tuple(value)


def _prefix(text: str) -> str:
    """A prefix of rule codes, in capitals.

    Raises:
        ValueError: if no rule begins with it.
    """
    from codemlm.rules import RULES

    prefix = text.strip().upper()
    if not prefix or not any(code.startswith(prefix) for code in RULES):
        raise ValueError(f"no rule begins with {text!r}; `codemlm rule` lists them")
    return prefix


def _codes(value: Any, _: str) -> tuple[str, ...]:
    return tuple(map(_prefix, _strings(value)))


def _globs(value: Any, base: str) -> tuple[Glob, ...]:
    patterns = _strings(value)
    if not all(pattern.strip() for pattern in patterns):
        raise ValueError("a pattern is empty")
    try:
        Patterns(base, patterns)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return tuple(Glob(base, pattern) for pattern in patterns)


def _codes_by_glob(value: Any, base: str) -> tuple[tuple[Glob, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ValueError
    _globs([pattern.removeprefix("!") for pattern in value], base)
    return tuple((Glob(base, pattern), _codes(codes, base)) for pattern, codes in value.items())


def _number(value: Any, _: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError
    return float(value)


def _probability(value: Any, base: str) -> float:
    number = _number(value, base)
    if number > 1:
        raise ValueError
    return number


def _probabilities(value: Any, base: str) -> tuple[tuple[str, float], ...]:
    if isinstance(value, dict):
        return tuple((_prefix(code), _probability(p, base)) for code, p in value.items())
    return (("", _probability(value, base)),)


def _show_probabilities(value: tuple[tuple[str, float], ...]) -> Any:
    shown = {code or ALL_RULES: number for code, number in value}
    return shown[ALL_RULES] if list(shown) == [ALL_RULES] else shown


def _count(value: Any, _: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _flag(value: Any, _: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _path(value: Any, base: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return os.path.normpath(os.path.join(base, os.path.expanduser(value)))  # noqa: PTH111, PTH118


def _choice(*names: str) -> Kind:
    def read(value: Any, _: str) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return Kind("one of " + ", ".join(names), read)


CODES = Kind("a list of rule prefixes", _codes, list)
GLOBS = Kind("a list of gitignore patterns", _globs, lambda value: [g.pattern for g in value])
CODES_BY_GLOB = Kind(
    "a table of gitignore patterns to lists of rule prefixes",
    _codes_by_glob,
    lambda value: {glob.pattern: list(codes) for glob, codes in value},
)
PROBABILITIES = Kind(
    "a number from 0 to 1, or a table of rule prefixes to such numbers",
    _probabilities,
    _show_probabilities,
)
NUMBER = Kind("a number, 0 or more", _number)
COUNT = Kind("a whole number, 1 or more", _count)
FLAG = Kind("true or false", _flag)
PATH = Kind("a path", _path)
FORMAT = _choice(*FORMATS)


def toml_of(value: object) -> str:
    """A value of TOML, written on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    if isinstance(value, Mapping):
        entries = (f"{_bare(str(name))} = {toml_of(one)}" for name, one in value.items())
        return "{ " + ", ".join(entries) + " }" if value else "{}"
    return str(value)  # a date or a time


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    plain = "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped)
    return f'"{plain}"'


def _bare(name: str) -> str:
    return name if name.replace("-", "_").isidentifier() and name.isascii() else _quoted(name)
