"""Which commit brought a bug in: the one that last wrote the line that a fix then corrected.

Source: the SZZ algorithm (Śliwerski, Zimmermann & Zeller, "When do changes induce fixes?", 2005).
Differs in that only the lines with wrong leaves are blamed, and that commits that moved or
formatted the statement alone are passed over: the blame goes on from before them. Copies within a
file are no moves: whoever copied a line wrote it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codemlm.fixes import Fix, Introduction
from codemlm_corpus.git import git_environment
from codemlm_corpus.mining.relocate import Edits, along_lines, along_statements, lines_of
from codemlm_corpus.reader import decode_source

TIMEOUT_S = 60.0
MAX_HOPS = 8
"""How many commits that moved or formatted a statement are passed over."""

_HUNK = re.compile(rb"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Place:
    """Edits in one version of a file."""

    commit: str
    path: str
    source: bytes
    edits: Edits


@dataclass(slots=True)
class _Origin:
    """The commit that wrote some lines.

    Attributes:
        commit: its id.
        path: of the file then.
        time: of the commit, seconds since the epoch.
        previous: (commit, path) of the file before it; None if it was not there.
        line_of: line in that commit by line in the file that was blamed.
    """

    commit: str
    path: str = ""
    time: int = 0
    previous: tuple[str, str] | None = None
    line_of: dict[int, int] = field(default_factory=dict)


class _RefusedError(Exception):
    """The introduction cannot be told; the message is the reason."""


def introduction(git_dir: str, fix: Fix, *, timeout_s: float = TIMEOUT_S) -> Introduction | None:
    """The commit that brought a bug in; None if it cannot be told (see ``trace``)."""
    found = trace(git_dir, fix, timeout_s=timeout_s)
    return found if isinstance(found, Introduction) else None


def trace(git_dir: str, fix: Fix, *, timeout_s: float = TIMEOUT_S) -> Introduction | str:
    """The commit that brought a bug in, or the reason why it cannot be told.

    The reasons: "no-such-file" and "undecodable" (a version of the file), "edits-beyond-file",
    "git" (an object is missing, say), "timeout", "shallow" (the history ends there), "merge",
    "odd-path", "not-located" (the line is there, the wrong leaf is not).

    Args:
        git_dir: git directory of the fix's repository.
        fix: the record.
        timeout_s: seconds after which one call of git is ended.
    """
    git = _Git(git_dir, timeout_s)
    try:
        return _trace(git, fix)
    except _RefusedError as refusal:
        return str(refusal)


def _trace(git: _Git, fix: Fix) -> Introduction:
    source = git.source(fix.parent, fix.old_path)
    place = _Place(fix.parent, fix.old_path, source, fix.edits)
    if fix.edits[-1][1] > len(source):
        raise _RefusedError("edits-beyond-file")
    for _ in range(MAX_HOPS):
        origin = git.blame(place)
        if len(git.parents(origin.commit)) > 1:
            raise _RefusedError("merge")
        written = git.source(origin.commit, origin.path)
        edits = _carried(place, origin, written)
        if edits is None:
            raise _RefusedError("not-located")
        place = _Place(origin.commit, origin.path, written, edits)
        if origin.previous is None:
            break
        earlier = git.source(*origin.previous)
        moved = along_statements(written, edits, earlier)
        if moved is None:
            break
        place = _Place(*origin.previous, earlier, moved)
    else:
        raise _RefusedError("too-many-moves")
    text = place.source.decode()
    lines = git.changed_lines(origin, text)
    return Introduction(place.commit, place.path, text, lines, place.edits)


def _carried(place: _Place, origin: _Origin, written: bytes) -> Edits | None:
    """The edits in the file as the commit left it that wrote (some of) their lines."""
    along = along_lines(place.source, place.edits, written, origin.line_of)
    if along is not None:
        return along
    return along_statements(place.source, place.edits, written, near=origin.line_of.values())


class _Git:
    """Questions to one git directory; every answer that is not had is a refusal."""

    def __init__(self, git_dir: str, timeout_s: float) -> None:
        self.git_dir = git_dir
        self.timeout_s = timeout_s
        shallow = Path(git_dir) / "shallow"
        self._ends = set(shallow.read_text("ascii").split()) if shallow.is_file() else set()

    def source(self, commit: str, path: str) -> bytes:
        """A version of a file, decoded as Python does and encoded as UTF-8."""
        try:
            content = self._run("cat-file", "blob", f"{commit}:{path}")
        except _RefusedError as refusal:
            raise _RefusedError("no-such-file" if str(refusal) == "git" else str(refusal)) from None
        text = decode_source(content)
        if text is None:
            raise _RefusedError("undecodable")
        return text.encode()

    def blame(self, place: _Place) -> _Origin:
        """The newest commit that wrote one of the lines of a place.

        No ``-M`` or ``-C``: they take a copied line for the original's.
        """
        lines = lines_of(place.source, place.edits)
        ranges = [f"-L{line},{line}" for line in lines]
        options = ["-w", "--root", "--line-porcelain", *ranges]
        out = self._run("blame", *options, place.commit, "--", place.path)
        found = max(_origins(out), key=lambda origin: origin.time, default=None)
        if found is None or not found.path:
            raise _RefusedError("git")
        if found.commit in self._ends:
            raise _RefusedError("shallow")
        return found

    def parents(self, commit: str) -> list[str]:
        """Ids of a commit's parents."""
        return self._run("rev-list", "--parents", "-n1", commit).decode("ascii").split()[1:]

    def changed_lines(self, origin: _Origin, text: str) -> tuple[int, ...]:
        """The 1-based lines of a file that a commit added or changed; all of them if it is new."""
        if origin.previous is None:
            return tuple(range(1, text.count("\n") + (not text.endswith("\n")) + 1))
        before, path = origin.previous
        sides = (f"{before}:{path}", f"{origin.commit}:{origin.path}")
        out = self._run("diff", "-U0", "--no-color", "--no-ext-diff", "--no-textconv", *sides)
        found: list[int] = []
        for hunk in _HUNK.finditer(out):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            found += range(first, first + count)
        return tuple(found)

    def _run(self, *arguments: str) -> bytes:
        # The user's own settings could leave commits out of a blame, or quote names.
        settings = ["-c", "blame.ignoreRevsFile=", "-c", "core.quotePath=false"]
        try:
            run = subprocess.run(
                ["git", f"--git-dir={self.git_dir}", *settings, *arguments],
                capture_output=True,
                env=git_environment(),
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _RefusedError("timeout") from None
        if run.returncode:
            raise _RefusedError("git")
        return run.stdout


def _origins(porcelain: bytes) -> Sequence[_Origin]:
    """The commits that ``git blame --line-porcelain`` names, with the lines that each wrote."""
    found: dict[tuple[str, str], _Origin] = {}
    head: tuple[str, int, int] | None = None
    facts: dict[bytes, bytes] = {}
    for row in porcelain.split(b"\n"):
        if row.startswith(b"\t"):  # the line itself ends its record
            if head is not None:
                _add(found, head, facts)
            head, facts = None, {}
        elif head is None:
            words = row.split()
            if len(words) >= 3:
                head = (words[0].decode("ascii"), int(words[1]), int(words[2]))
        else:
            name, _, value = row.partition(b" ")
            facts[name] = value
    return list(found.values())


def _add(
    found: dict[tuple[str, str], _Origin], head: tuple[str, int, int], facts: dict[bytes, bytes]
) -> None:
    commit, line_then, line_now = head
    path = _path(facts[b"filename"])
    origin = found.setdefault((commit, path), _Origin(commit, path))
    origin.time = int(facts[b"committer-time"])
    if b"previous" in facts:
        before, _, name = facts[b"previous"].partition(b" ")
        origin.previous = (before.decode("ascii"), _path(name))
    origin.line_of[line_now] = line_then


def _path(name: bytes) -> str:
    if name.startswith(b'"'):  # quoted in spite of the setting: a control character or a quote
        raise _RefusedError("odd-path")
    return name.decode("utf-8", "surrogateescape")
