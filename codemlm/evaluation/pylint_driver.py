"""Runs pylint without sight of the packages that are installed beside it.

A script, not a module of codemlm. What pylint knows of other packages depends on the machine; here
it knows the standard library alone, on every machine.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pylint.lint import Run

if TYPE_CHECKING:
    from pylint.lint import PyLinter


def register(_linter: PyLinter) -> None:
    """As a plugin of pylint, which is loaded once pylint has loaded its own parts."""
    sys.path[:] = [path for path in sys.path if not path.rstrip("/\\").endswith("-packages")]


if __name__ == "__main__":
    sys.modules["pylint_driver"] = sys.modules["__main__"]
    Run(["--load-plugins=pylint_driver", *sys.argv[1:]])
