"""The configuration: one table of keys, what their values may be, and how layers of them combine.

The fields of ``Config`` are the table: validation, the options of the command line, what
``codemlm config`` shows and the reference are all made from it. Nothing here reads a file; see
`codemlm.config_files`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from codemlm.config_kinds import (
    ALL_RULES,
    CODES,
    CODES_BY_GLOB,
    COUNT,
    FLAG,
    FORMAT,
    FORMATS,
    GLOBS,
    NUMBER,
    PATH,
    PROBABILITIES,
    Glob,
    Kind,
    toml_of,
)
from codemlm.discovery import DEFAULT_EXCLUDES, Patterns, WalkRules
from codemlm.errors import ConfigError
from codemlm.source import MAX_BYTES


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the configuration.

    Attributes:
        name: in files.
        kind: what its values may be.
        help: one sentence.
        option: of `codemlm scan`; empty: none.
        unset: what holds without a value, for keys whose default is none.
        env: environment variable that sets it; empty: none.
        of_run: whether one value, that of the working directory, holds for a whole run; else each
            file has that of the configuration nearest to it.
    """

    name: str
    kind: Kind
    help: str
    option: str = ""
    unset: str = ""
    env: str = ""
    of_run: bool = False


def _key(default: Any, kind: Kind, text: str, option: str = "", **more: Any) -> Any:
    """A field of ``Config``; its key takes the field's name."""
    facts = {"kind": kind, "help": text, "option": option, **more}
    return field(default=default, metadata={"key": facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Effective values; each key's help says what they mean."""

    select: tuple[str, ...] = _key((ALL_RULES,), CODES, "Rules that are reported.", "--select")
    extend_select: tuple[str, ...] = _key(
        (), CODES, "Rules that are reported, too, besides those of `select`.", "--extend-select"
    )
    ignore: tuple[str, ...] = _key(
        (),
        CODES,
        "Rules that are not reported. Where a rule is selected and ignored, the longer prefix "
        "decides.",
        "--ignore",
    )
    per_file_ignores: tuple[tuple[Glob, tuple[str, ...]], ...] = _key(
        (),
        CODES_BY_GLOB,
        "Rules that are not reported in the files that match; `!` before a pattern means all "
        "other files.",
        "--per-file-ignores",
    )
    min_confidence: tuple[tuple[str, float], ...] = _key(
        (),
        PROBABILITIES,
        "Least confidence of a finding, for all rules or by rule prefix; 0 shows everything that "
        "could be one.",
        "--min-confidence",
        unset="what the model was calibrated for",
    )
    max_per_kloc: float | None = _key(
        None,
        NUMBER,
        "At most so many findings in 1,000 lines of the scanned code, but at least one: the most "
        "confident ones.",
        "--max-per-kloc",
        unset="no limit",
        of_run=True,
    )
    exclude: tuple[Glob, ...] = _key(
        tuple(Glob("", name) for name in DEFAULT_EXCLUDES),
        GLOBS,
        "Files and folders that are left out, besides what .gitignore says.",
        "--exclude",
    )
    extend_exclude: tuple[Glob, ...] = _key(
        (), GLOBS, "Files and folders left out besides those of `exclude`.", "--extend-exclude"
    )
    force_exclude: bool = _key(
        False, FLAG, "Leave out excluded files that are named explicitly, too.", "--force-exclude"
    )
    include_generated: bool = _key(
        False,
        FLAG,
        "Scan what nobody wrote by hand here, too: folders such as `vendor` and `third_party`; "
        "files whose name or first comment says that a tool wrote them; minified files, and tables "
        "of data.",
        "--include-generated",
    )
    respect_gitignore: bool = _key(
        True, FLAG, "Leave out what .gitignore files say.", "--respect-gitignore"
    )
    max_bytes: int = _key(
        MAX_BYTES, COUNT, "Size in bytes above which a file is left out.", "--max-bytes"
    )
    output_format: str = _key(
        "full",
        FORMAT,
        " ".join(f"{name}: {what}." for name, what in FORMATS.items()),
        "--output-format",
        env="CODEMLM_OUTPUT_FORMAT",
        of_run=True,
    )
    adapt: bool = _key(
        True,
        FLAG,
        "Look into the other modules of the project, where `codemlm adapt` has been.",
        "--adapt",
    )
    baseline: str | None = _key(
        None,
        PATH,
        "File of known findings, which are not reported; `--write-baseline` writes it.",
        "--baseline",
        unset="none",
        of_run=True,
    )
    cache: bool = _key(
        True, FLAG, "Remember what was found in files, by their content.", "--cache", of_run=True
    )
    cache_dir: str | None = _key(
        None,
        PATH,
        "Folder of the cache.",
        "--cache-dir",
        unset="codemlm in the user's folder for caches",
        env="CODEMLM_CACHE_DIR",
        of_run=True,
    )
    model: str | None = _key(
        None,
        PATH,
        "Folder of the model that is used.",
        "--model",
        unset="the one that comes with codemlm",
        env="CODEMLM_MODEL",
        of_run=True,
    )
    threads: int | None = _key(
        None,
        COUNT,
        "Threads of the model.",
        "--threads",
        unset="one a core, at most 8",
        of_run=True,
    )

    @property
    def model_folder(self) -> Path | None:
        """Folder of the model; None: the one that comes with codemlm."""
        return None if self.model is None else Path(self.model)

    def walk_rules(self) -> WalkRules:
        """What a walk leaves out."""
        globs: dict[str, list[str]] = {}
        for glob in (*self.exclude, *self.extend_exclude):
            globs.setdefault(glob.base, []).append(glob.pattern)
        return WalkRules(
            exclude=tuple(Patterns(base, lines) for base, lines in globs.items()),
            force_exclude=self.force_exclude,
            include_generated=self.include_generated,
            respect_gitignore=self.respect_gitignore,
        )

    def ignored_in(self, path: str) -> tuple[str, ...]:
        """Rule prefixes that ``per-file-ignores`` takes out of a file."""
        found: list[str] = []
        for glob, codes in self.per_file_ignores:
            negated = glob.pattern.startswith("!")
            if Patterns(glob.base, [glob.pattern.removeprefix("!")]).covers(path) != negated:
                found += codes
        return tuple(found)


KEYS: dict[str, Key] = {
    name: Key(name=name, **f.metadata["key"])
    for f in fields(Config)
    for name in [f.name.replace("_", "-")]
}
"""The keys by name."""

DEFAULTS = Config()


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place.

    Attributes:
        table: values as TOML has them, by key.
        origin: where they are from, for people: a path, or "the command line".
        base: folder that paths and patterns are relative to; empty: the working directory.
    """

    table: Mapping[str, object]
    origin: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Effective values, and where each that is no default is from."""

    config: Config
    origins: Mapping[str, str]


def combine(layers: Sequence[Layer]) -> Settings:
    """The effective values; a later layer stands above those before it.

    Values replace those below, except: ``extend-exclude`` adds to them; ``select`` begins anew,
    while ``ignore`` and ``extend-select`` alone change what was selected; a table of
    ``min-confidence`` adds to the one below, and a number replaces it.

    Raises:
        ConfigError: if a key is unknown, or a value is not of its kind.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        above: dict[str, Any] = {
            name: _read(name, value, layer) for name, value in layer.table.items()
        }
        _put_selection(values, above)
        below = values.get("extend-exclude")
        if below and "extend-exclude" in above:
            above["extend-exclude"] = (*below, *above["extend-exclude"])
        by_rule = dict(above.get("min-confidence", ()))
        if by_rule and "" not in by_rule:
            below = dict(values.get("min-confidence", ()))
            above["min-confidence"] = tuple({**below, **by_rule}.items())
        values.update(above)
        origins.update(dict.fromkeys(above, layer.origin))
    config = Config(**{name.replace("-", "_"): value for name, value in values.items()})
    return Settings(config, origins)


def _put_selection(values: dict[str, Any], above: dict[str, Any]) -> None:
    """Makes what a layer selects and ignores stand above what is there."""
    if "select" in above:
        values.pop("ignore", None)
        values.pop("extend-select", None)
        return
    ignored, added = above.get("ignore", ()), above.get("extend-select", ())
    for name, contrary in (("select", ignored), ("extend-select", ignored), ("ignore", added)):
        below = values.get(name)
        if below is not None:
            values[name] = tuple(code for code in below if not code.startswith(contrary or ("?",)))
    for name in ("ignore", "extend-select"):
        if name in above:
            above[name] = (*values.get(name, ()), *above[name])


def _read(name: str, value: object, layer: Layer) -> object:
    key = KEYS.get(name)
    if key is None:
        raise ConfigError(f"{layer.origin}: unknown key {name!r}; {nearest(name)}")
    try:
        return key.kind.read(value, layer.base)
    except ValueError as error:
        wrong = str(error) or f"{_shown(value)} is not {key.kind.name}"
        where = layer.origin if layer.origin == key.option else f"{layer.origin}: {name}"
        raise ConfigError(f"{where}: {wrong}") from error


def nearest(name: str) -> str:
    """Which known key ``name`` was probably meant for, for a message."""
    close = difflib.get_close_matches(name.lower().replace("_", "-"), KEYS, 1, 0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"the keys are {', '.join(KEYS)}"


def _shown(value: object) -> str:
    text = toml_of(value)
    return text if len(text) <= 60 else text[:57] + "..."
