"""Runs pyflakes on files and prints each message as a line of JSON.

A script, not a module of codemlm: pyflakes prints messages without their kind.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pyflakes import checker


def messages(path: str) -> Iterator[tuple[int, int, str, str]]:
    """Line, column, code and text of each message of a file."""
    try:
        tree = ast.parse(Path(path).read_bytes(), filename=path)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        yield getattr(error, "lineno", None) or 1, 1, "unparsed", str(error)
        return
    except (RecursionError, MemoryError) as error:
        yield 1, 1, "failed", repr(error)
        return
    try:
        found = checker.Checker(tree, filename=path).messages
    except Exception as error:  # noqa: BLE001  # whatever a linter stumbles over
        yield 1, 1, "failed", repr(error)
        return
    for message in sorted(found, key=lambda told: (told.lineno, told.col)):
        text = message.message % message.message_args
        yield message.lineno, message.col + 1, type(message).__name__, text


def main() -> None:
    """Lints the files that are named as arguments."""
    for path in sys.argv[1:]:
        for line, col, code, text in messages(path):
            row = {"path": path, "line": line, "col": col, "code": code, "text": text}
            sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
