"""Neovim and Emacs with the real server, where they are installed: bug shown, fixed, gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300
NEOVIM = ["nvim", "--headless", "--clean"]
EMACS = ["emacs", "--batch"]
HAS_LSP = ["-c", "lua os.exit(vim.lsp.start and vim.fs.find and 0 or 1)"]
FIND_EGLOT = """
(progn (unless (locate-library "eglot") (package-initialize))
       (kill-emacs (if (locate-library "eglot") 0 1)))
"""


def can(command: list[str]) -> bool:
    """Whether an editor is there, and new enough."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def run(command: list[str], **more: str) -> str:
    """What a check prints; it ends with an error if something was not as it should be."""
    server = f"{sys.executable} -m codemlm server"
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CODEMLM_SERVER": server, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("way", ["enable", "start"])
def test_neovim(way: str) -> None:
    if not can([*NEOVIM, *HAS_LSP]):
        pytest.skip("Neovim 0.9 or later is not installed")
    said = run([*NEOVIM, "-u", "lsp/nvim/check.lua"], CODEMLM_CHECK=way)
    assert "the code action mends the buffer" in said


def test_emacs() -> None:
    if not can([*EMACS, "--eval", FIND_EGLOT]):
        pytest.skip("Emacs with Eglot is not installed")
    said = run([*EMACS, "-l", "lsp/emacs/check.el"])
    assert "the code action mends the buffer" in said
