"""What the client may set: parsed once, unknown keys named, bad values left at their defaults."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from codemlm.commands import check_rules
from codemlm.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the server, or of one workspace folder.

    Attributes:
        min_confidence: least confidence of a finding; None: the model's threshold.
        select, ignore: prefixes of rule codes.
        debounce_ms: pause in typing after which a text is scanned.
        heat_map: whether inlay hints show how likely doubtful leaves are.
        code_lens: whether functions show their most surprising leaf.
        workspace_diagnostics: whether all files of the workspace are scanned, not only open ones.
        model: folder of the model; None: the one that comes with codemlm.
        threads: of the model; None: one a core, at most 8.
    """

    min_confidence: float | None = None
    select: tuple[str, ...] = ("",)
    ignore: tuple[str, ...] = ()
    debounce_ms: int = 150
    heat_map: bool = False
    code_lens: bool = False
    workspace_diagnostics: bool = False
    model: Path | None = None
    threads: int | None = None


KEYS = {
    "".join(part.title() if i else part for i, part in enumerate(f.name.split("_"))): f.name
    for f in fields(Settings)
}
"""Names that clients use, and those of ``Settings``."""


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
        given = inner if isinstance(inner, Mapping) else given
    found, problems = base, list[str]()
    entries: Mapping[str, Any] = given
    for key, value in entries.items():
        name = KEYS.get(key)
        if name is None:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"there is no setting {key!r}{meant}")
            continue
        if value is None:
            continue
        try:
            found = replace(found, **{name: _CHECKS[name](value)})
        except (UsageError, ValueError, TypeError) as error:
            problems.append(f"{key}: {error}")
    return found, problems


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"a number from {low:g} to {high:g} is wanted, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false is wanted, not {value!r}")
    return value


def _codes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        raise ValueError(f"a list of rule codes is wanted, not {value!r}")
    codes = tuple(code.upper() for code in value)
    check_rules(codes)
    return codes


def _folder(value: Any) -> Path:
    if not isinstance(value, str):
        raise ValueError(f"the path of a folder is wanted, not {value!r}")
    return Path(value).expanduser()


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "min_confidence": lambda value: _number(value, 0, 1),
    "select": lambda value: _codes(value) or ("",),
    "ignore": _codes,
    "debounce_ms": lambda value: int(_number(value, 0, 60_000)),
    "heat_map": _flag,
    "code_lens": _flag,
    "workspace_diagnostics": _flag,
    "model": _folder,
    "threads": lambda value: int(_number(value, 1, 256)),
}
