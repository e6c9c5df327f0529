"""Fetches the commits that a manifest records, one git directory a repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from codemlm.errors import CorpusError


def fetch_manifest(
    manifest: Path, into: Path, base_url: str, full: bool = False
) -> list[tuple[str, str]]:
    """Fetches every repository of ``manifest`` into ``into``, and writes ``into/repos.tsv``.

    What is already there is kept, so a fetch that was stopped goes on where it was.

    Args:
        full: whether the whole history is wanted, as for mining, or the commit alone.

    Returns:
        ``(repository, reason)`` of each that could not be had.

    Raises:
        CorpusError: if a line of the manifest is not one of ours.
    """
    into.mkdir(parents=True, exist_ok=True)
    rows, failed = [], []
    for number, line in enumerate(manifest.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            name, commit = str(row["repo"]), str(row["commit"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"{manifest}:{number}: not a manifest line: {error!r}") from error
        git_dir = into / f"{name.replace('/', '__')}.git"
        reason = _fetch(git_dir, f"{base_url.rstrip('/')}/{name}", commit, full)
        if reason:
            failed.append((name, reason))
        else:
            rows.append(f"{name}\t{git_dir.name}\t{commit}\n")
    (into / "repos.tsv").write_text("".join(rows), "utf-8")
    return failed


def _fetch(git_dir: Path, url: str, commit: str, full: bool) -> str | None:
    """Returns None once ``commit`` is there, else why it is not."""
    git = ("git", f"--git-dir={git_dir}")
    there = git_dir.exists() and _run(*git, "cat-file", "-e", commit) is None
    deepen = full and (git_dir / "shallow").exists()
    if there and not deepen:
        return None
    # --unshallow is an error on a directory that is not shallow.
    depth = ("--unshallow",) if deepen else () if full else ("--depth=1",)
    return _run("git", "init", "--quiet", "--bare", str(git_dir)) or _run(
        *git, "fetch", "--quiet", *depth, url, commit
    )


def _run(*command: str) -> str | None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return None
    return run.stderr.strip() or f"{command[0]} ended with status {run.returncode}"
