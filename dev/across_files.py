"""Measures what the exact rules find once they see the other files of a project.

    python dev/across_files.py fixes --repos REPOS.tsv PAIRS.jsonl.gz [PAIRS.jsonl.gz ...]
    python dev/across_files.py folders FOLDER [FOLDER ...]

`fixes` takes mined fixes with their texts (`codemlm corpus pairs`), and reads the other files as
they were before each fix from the repository's git directory, only those that the imports reach;
who else sets a member, or inherits, is looked up by `git grep`. `folders` takes checkouts that
`codemlm adapt` has been in, and looks at all their files. Both print each finding that the other
files bring (`+`), each that they take away (`-`) and each that stays (`=`) as a line of JSON, and
counts in the end.
"""

from __future__ import annotations

import argparse
import gzip
import json
import posixpath
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from codemlm.errors import SourceError
from codemlm.exact import Exact, exact_findings
from codemlm.fixes import FixPair
from codemlm.interface_reader import interface_of
from codemlm.interfaces import Interface
from codemlm.positions import LineIndex
from codemlm.project import Index
from codemlm.rules import UNKNOWN_KEYWORD, UNKNOWN_MEMBER, UNKNOWN_MODULE_MEMBER
from codemlm.source import MAX_BYTES, SourceFile, decode_source
from codemlm.surroundings import Surroundings
from codemlm.syntax import ParsedFile, parse
from codemlm_corpus.git import git_environment

MOST_FILES = 60
"""Files with a name that are looked at; where there are more, somebody is taken to set it."""
RULES = frozenset({UNKNOWN_MEMBER, UNKNOWN_MODULE_MEMBER, UNKNOWN_KEYWORD})
LIKELY = frozenset({"attribute", "function", "keyword-argument", "prefix-added", "variable"})
MOST_USES = 2
"""Kinds of mistakes that the rules may see, and how often their file may have the wrong name."""


class Blobs:
    """Interfaces of the blobs of a git directory."""

    def __init__(self, git_dir: str) -> None:
        self.git_dir = git_dir
        self._known: dict[str, tuple[Interface, str] | None] = {}
        self._process = subprocess.Popen(
            ["git", f"--git-dir={git_dir}", "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=git_environment(),
        )

    def interface(self, blob: str) -> tuple[Interface, str] | None:
        """What a blob shows; None if it is absent, or no source."""
        if blob not in self._known:
            self._known[blob] = self._read(blob)
        return self._known[blob]

    def _read(self, blob: str) -> tuple[Interface, str] | None:
        found = self.content(blob)
        read = None if found is None else decode_source(found[1], blob)
        if not isinstance(read, SourceFile) or len(read.source) > MAX_BYTES:
            return None
        try:
            return interface_of(parse(read.source)), blob
        except (SourceError, RecursionError):
            return None

    def content(self, name: str) -> tuple[bytes, bytes] | None:
        """Kind and content of an object; None if it is absent."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{name}\n".encode())
        self._process.stdin.flush()
        head = self._process.stdout.readline().split()
        if len(head) != 3:
            return None
        data = self._process.stdout.read(int(head[2]))
        self._process.stdout.read(1)
        return head[1], data

    def entries(self, name: str) -> dict[str, str]:
        """Ids of what is in a folder, by name; nothing if it is none."""
        found = self.content(name)
        if found is None or found[0] != b"tree":
            return {}
        entries, data, at = {}, found[1], 0
        while at < len(data):
            end = data.index(b"\0", at)
            one = data[at:end].partition(b" ")[2].decode("utf-8", "replace")
            entries[one] = data[end + 1 : end + 21].hex()
            at = end + 21
        return entries

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


class GitTree:
    """The files of a commit."""

    def __init__(self, blobs: Blobs, commit: str) -> None:
        self.blobs, self.commit, self.root = blobs, commit, blobs.git_dir
        self._folders: dict[str, dict[str, str]] = {}

    def _entries(self, folder: str) -> dict[str, str]:
        if folder not in self._folders:
            above, name = posixpath.split(folder)
            known = not folder or name in self._entries(above)
            self._folders[folder] = self.blobs.entries(f"{self.commit}:{folder}") if known else {}
        return self._folders[folder]

    def is_file(self, path: str) -> bool:
        """Whether the commit has a file."""
        folder, name = posixpath.split(path)
        return name in self._entries(folder)

    def listing(self, folder: str) -> frozenset[str]:
        """Names in a folder of the commit."""
        return frozenset(self._entries(folder))

    def interface(self, path: str) -> tuple[Interface, str] | None:
        """What a module of the commit shows."""
        folder, name = posixpath.split(path)
        blob = self._entries(folder).get(name)
        return None if blob is None else self.blobs.interface(blob)

    def index(self) -> GrepIndex:
        """Who else uses a name."""
        return GrepIndex(self)


class GrepIndex(Index):
    """Looks into the files that hold a name, and no others."""

    def __init__(self, tree: GitTree) -> None:
        super().__init__(())
        self.tree = tree

    def gives(self, name: str, besides: str, beside: tuple[str, ...] = ()) -> bool:
        """As the base's."""
        found = self._of(name)
        return not beside if found is None else found.gives(name, besides, beside)

    def opens(self, name: str, besides: str) -> bool:
        """As the base's."""
        found = self._of(name)
        return found is None or found.opens(name, besides)

    def heirs(self, name: str, besides: str) -> frozenset[str] | None:
        """As the base's, without heirs of heirs."""
        found = self._of(name)
        return frozenset() if found is None else found.heirs(name, besides)

    def _of(self, name: str) -> Index | None:
        command = ["git", f"--git-dir={self.tree.blobs.git_dir}", "grep", "-lwzF", "-e", name]
        command += [self.tree.commit, "--", "*.py"]
        done = subprocess.run(command, capture_output=True, check=False, env=git_environment())
        paths = [
            one.decode("utf-8", "replace").partition(":")[2]
            for one in done.stdout.split(b"\0")[:-1]
        ]
        if len(paths) > MOST_FILES:
            return None
        read = ((path, self.tree.interface(path)) for path in paths)
        return Index((path, found[0]) for path, found in read if found is not None)


def rows(
    parsed: ParsedFile, before: dict[int, Exact], after: dict[int, Exact]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Findings of members, modules and keywords: what is known of each, with its leaf.

    Their `sign` is `+` for those that the other files bring, `-` for those that they take away, and
    `=` for the others.
    """
    index = LineIndex(parsed.source)
    for leaf in sorted({*before, *after}):
        exact = after.get(leaf) or before[leaf]
        if exact.rule not in RULES:
            continue
        line = index.line_of(int(parsed.starts[leaf]))
        row = {
            "sign": "=" if leaf in before and leaf in after else "+" if leaf in after else "-",
            "rule": exact.rule,
            "line": line,
            "says": exact.says,
            "candidates": (exact.candidates or ())[:3],
            "text": index.line_bytes(line).decode().strip()[:120],
        }
        yield leaf, row


def of_fixes(arguments: argparse.Namespace) -> Counter[str]:
    """Findings in files as they were before their fix."""
    table = [line.split("\t") for line in Path(arguments.repos).read_text().splitlines()]
    folders = {row[0]: row[1] for row in table}
    counts: Counter[str] = Counter()
    blobs: Blobs | None = None
    pairs = sorted(_pairs(arguments), key=lambda pair: (pair.fix.repo, pair.fix.date))
    for number, pair in enumerate(pairs):
        fix = pair.fix
        git_dir = folders.get(fix.repo)
        if git_dir is None:
            counts["no repository"] += 1
            continue
        if blobs is None or blobs.git_dir != git_dir:
            if blobs is not None:
                blobs.close()
            blobs = Blobs(git_dir)
        if number % 200 == 0:
            print(f"{number}/{len(pairs)} {dict(counts)}", file=sys.stderr, flush=True)
        _one_fix(pair, blobs, counts)
    if blobs is not None:
        blobs.close()
    return counts


def _pairs(arguments: argparse.Namespace) -> Iterator[FixPair]:
    for path in arguments.paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number % arguments.sample:
                    continue
                pair = FixPair.from_json(json.loads(line))
                if number % arguments.every == 0 or (arguments.likely and _is_likely(pair)):
                    yield pair


def _is_likely(pair: FixPair) -> bool:
    """Whether a fix may be of such a mistake: of a member, function or keyword that is rare."""
    same = re.findall(rf"\b{re.escape(pair.fix.before)}\b", pair.before)
    return pair.fix.kind in LIKELY and len(same) <= MOST_USES


def _one_fix(pair: FixPair, blobs: Blobs, counts: Counter[str]) -> None:
    fix, source = pair.fix, pair.before.encode()
    parsed = parse(source)
    tree = GitTree(blobs, fix.parent)
    around = Surroundings(tree, fix.old_path, lambda: interface_of(parsed))
    before, after = exact_findings(parsed), exact_findings(parsed, around=around)
    counts["files"] += 1
    counts["lines"] += source.count(b"\n")
    spans = [(start, end) for start, end, _ in fix.edits]

    def is_bug(leaf: int) -> bool:  # what is taken away before a name, or put there, touches it
        start, end = int(parsed.starts[leaf]), int(parsed.ends[leaf])
        return any(start <= high and low <= end for low, high in spans)

    for leaf, row in rows(parsed, before, after):
        counts[f"{row['sign']} {row['rule']} {'bug' if is_bug(leaf) else 'else'}"] += 1
        if is_bug(leaf) and fix.after in row["candidates"][:1]:
            counts[f"{row['sign']} {row['rule']} bug, meant one first"] += 1
        head = {"repo": fix.repo, "commit": fix.commit[:12], "path": fix.old_path}
        told = {**head, "bug": is_bug(leaf), "meant": fix.after, **row}
        print(json.dumps(told), flush=True)


def of_folders(arguments: argparse.Namespace) -> Counter[str]:
    """Findings in whole checkouts."""
    from codemlm.names_file import NameFinder

    counts: Counter[str] = Counter()
    finder = NameFinder(lambda text: print(text, file=sys.stderr))
    spent = [0.0, 0.0]
    for root in arguments.paths:
        for path in sorted(Path(root).rglob("*.py")):
            try:
                read = decode_source(path.read_bytes(), str(path))
                if not isinstance(read, SourceFile) or len(read.source) > MAX_BYTES:
                    continue
                parsed = parse(read.source)
            except (OSError, RecursionError):
                continue
            counts["files"] += 1
            counts["lines"] += read.source.count(b"\n")
            around = finder.around(str(path), partial(interface_of, parsed))
            started = time.process_time()
            before = exact_findings(parsed)
            middle = time.process_time()
            after = exact_findings(parsed, around=around)
            spent[0] += middle - started
            spent[1] += time.process_time() - middle
            for _, row in rows(parsed, before, after):
                counts[f"{row['sign']} {row['rule']}"] += 1
                print(json.dumps({"path": str(path), **row}), flush=True)
    kloc = max(counts["lines"], 1) / 1000
    without, with_them = (seconds / kloc * 1e3 for seconds in spent)
    print(f"rules: {without:.1f} ms without, {with_them:.1f} with, a 1,000 lines")
    return counts


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    fixes = commands.add_parser("fixes")
    fixes.add_argument("--repos", required=True, help="owner/name<TAB>git directory a line")
    fixes.add_argument("--every", type=int, default=1, help="take each Nth fix")
    fixes.add_argument("--sample", type=int, default=1, help="look at each Nth fix alone")
    fixes.add_argument("--likely", action="store_true", help="and all that may be such mistakes")
    fixes.add_argument("paths", nargs="+")
    fixes.set_defaults(run=of_fixes)
    folders = commands.add_parser("folders")
    folders.add_argument("paths", nargs="+")
    folders.set_defaults(run=of_folders)
    arguments = parser.parse_args()
    for name, count in sorted(arguments.run(arguments).items()):
        print(f"{name}: {count:,}")


if __name__ == "__main__":
    main()
