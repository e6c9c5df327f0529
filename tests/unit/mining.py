"""Tiny git repositories with fixed dates, for the tests of mining."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
    "\nThe above copyright notice and this permission notice shall be included in all copies.\n"
)
# A wrong argument that nothing but the names beside it betrays, and its fix.
WRONG = """\
def area(rows, cols, scale):
    total = rows * cols
    return total * scale


def resize(table, rows, cols):
    table.rows = rows
    table.cols = rows
    return area(rows, cols, 1)
"""
RIGHT = WRONG.replace("table.cols = rows", "table.cols = cols")


class Repository:
    """A repository with one commit, which holds a licence and ``files``."""

    def __init__(self, folder: Path, files: Mapping[str, str], licence: str = MIT) -> None:
        self.folder = folder
        self.clock = 1_600_000_000
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.commit("Start", {"LICENSE": licence, **files})

    @property
    def git_dir(self) -> str:
        """Its git directory."""
        return str(self.folder / ".git")

    def git(self, *arguments: str) -> str:
        """What git prints."""
        date = f"{self.clock} +0000"
        fixed = {
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_COMMITTER_DATE": date,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        run = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **fixed},
            check=True,
            capture_output=True,
            text=True,
        )
        return run.stdout.strip()

    def commit(self, message: str, files: Mapping[str, str | None]) -> str:
        """Writes (or, for None, deletes) the files and commits, a minute later; returns the id."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
        self.clock += 60
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")
