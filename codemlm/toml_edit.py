"""Sets one value in a TOML file, and leaves every other byte as it is.

There is no TOML writer here: an edit is guessed by line, and taken only if the file then means what
it meant before, with that one value. What cannot be edited so is left alone.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

_HEADER = re.compile(r"\s*\[")
_NUMBER = r"[-+]?[\d_.]+(?:[eE][-+]?\d+)?"


def with_value(text: str, path: Sequence[str], value: str) -> str | None:
    """The text with a value set; None if no safe edit was found, or the text is no TOML.

    Args:
        text: of the file.
        path: names of the tables, outermost first, and of the key.
        value: as TOML has it.
    """
    try:
        wanted = _put(tomllib.loads(text), path, tomllib.loads(f"value = {value}")["value"])
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    if wanted is None:
        return None
    for edited in _edits(text, path, value):
        if _means(edited, wanted):
            return edited
    return None


def _put(data: dict[str, Any], path: Sequence[str], value: object) -> dict[str, Any] | None:
    """The data with the value; None if what should be a table is none."""
    changed = copy.deepcopy(data)
    table: Any = changed
    for name in path[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            return None
    table[path[-1]] = value
    return changed


def _means(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _edits(text: str, path: Sequence[str], value: str) -> Iterator[str]:
    """Texts that may have the value, the likeliest first; some mean something else."""
    lines = text.split("\n")
    *tables, key = path
    yield from _replacements(lines, key, value)
    if tables:
        yield from _inside_inline_tables(lines, tables[-1], key, value)
        yield from _replacements(lines, f"{tables[-1]}.{key}", value)
    yield from _insertions(lines, tables, key, value)
    if tables:
        yield from _insertions(lines, tables[:-1], f"{tables[-1]}.{key}", value)
        yield from _new_table(lines, tables, key, value)


def _name(key: str) -> str:
    """A pattern of a key, dotted or not, with or without quotes."""
    return r"\s*\.\s*".join(rf"([\"']?){re.escape(part)}\{n}" for n, part in _numbered(key))


def _numbered(key: str) -> Iterator[tuple[int, str]]:
    # Group 1 is all that stands before the value; the quotes of each part follow it.
    return iter(enumerate(key.split("."), start=2))


def _replacements(lines: list[str], key: str, value: str) -> Iterator[str]:
    pattern = re.compile(rf"^(\s*{_name(key)}\s*=\s*)(?P<old>[^#]*?)(?P<rest>\s*(?:#.*)?)$")
    for at, line in enumerate(lines):
        found = pattern.match(line)
        if found:
            yield _joined(lines, at, at + 1, [f"{found[1]}{value}{found['rest']}"])


def _inside_inline_tables(lines: list[str], table: str, key: str, value: str) -> Iterator[str]:
    opening = re.compile(rf"^(\s*{_name(table)}\s*=\s*)\{{")
    entry = re.compile(rf"([{{,]\s*{_name(key)}\s*=\s*){_NUMBER}")
    for at, line in enumerate(lines):
        found = opening.match(line)
        if not found:
            continue
        start = found.end() - 1
        old = entry.search(line, start)
        if old:
            yield _joined(lines, at, at + 1, [f"{line[: old.end(1)]}{value}{line[old.end() :]}"])
        rest = line[start + 1 :]
        comma = "" if rest.lstrip().startswith("}") else ","
        space = " " if comma and not rest.startswith(" ") else ""
        new = f"{line[: start + 1]} {key} = {value}{comma}{space}{rest}"
        yield _joined(lines, at, at + 1, [new])


def _insertions(lines: list[str], tables: Sequence[str], key: str, value: str) -> Iterator[str]:
    """A line of its own: at the end of its table's first paragraph, or of the whole text."""
    end = "\r" if any(line.endswith("\r") for line in lines) else ""
    new = f"{key} = {value}{end}"
    header = re.compile(rf"^\s*(\[)\s*{_name('.'.join(tables))}\s*\]\s*(?:#.*)?$")
    starts = [at + 1 for at, line in enumerate(lines) if tables and header.match(line)]
    for start in [0] if not tables else starts:
        stops = [at for at in range(start, len(lines)) if _HEADER.match(lines[at])]
        for stop in [*stops, len(lines)]:
            last = stop
            while last > start and not lines[last - 1].strip():
                last -= 1
            tail = [""] if last == len(lines) else []  # the last line had no end
            if tail and last > start and end and not lines[last - 1].endswith("\r"):
                yield _joined(lines, last - 1, last, [lines[last - 1] + end, new, *tail])
            gap = [end] if not tables and last < len(lines) and _HEADER.match(lines[last]) else []
            yield _joined(lines, last, last, [new, *gap, *tail])


def _new_table(lines: list[str], tables: Sequence[str], key: str, value: str) -> Iterator[str]:
    """The table, above the first of those inside it."""
    inside = re.compile(rf"^\s*(\[)\s*{_name('.'.join(tables))}\s*\.")
    for at, line in enumerate(lines):
        if inside.match(line):
            end = "\r" if line.endswith("\r") else ""
            new = [f"[{'.'.join(tables)}]{end}", f"{key} = {value}{end}", end]
            yield _joined(lines, at, at, new)
            return


def _joined(lines: list[str], first: int, stop: int, new: list[str]) -> str:
    return "\n".join([*lines[:first], *new, *lines[stop:]])
