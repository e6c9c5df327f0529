"""Random edits, as an editor sends them, against fresh scans of the text that they leave.

    python benchmarks/random_edits.py --files A.py B.py --edits 10000 --out RUN.md

Edits come in bursts of a few, with positions in each encoding in turn: typed words, half-open
brackets and quotes, other line ends, characters outside the basic plane, deletions, lines moved and
doubled, and now and then the text as it was. The session scans each burst; every few bursts, a scan
that remembers nothing has to find the same.
"""

from __future__ import annotations

import argparse
import bisect
import datetime
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsprotocol import types

from codemlm import commands
from codemlm.findings import Finding
from codemlm.scanner import FileResult, Scanner, ScanOptions
from codemlm.session import Session, View
from codemlm.source import Failure, SourceFile
from codemlm_lsp.documents import Store

URI, PATH = "file:///edited.py", "/edited.py"
MAX_BYTES = 1_000_000
CLOSE = 2e-3
"""Probabilities may differ so much: how windows share a pass moves the last digits of a score."""

PIECES = [
    *("x", "self", "rows", "rows.", "_count", "None", "0", "17", "e", " ", "    ", "\t"),
    *("(", ")", "[", "]", "{", "}", ":", ",", ".", "=", "==", "!=", " not ", " in ", " and "),
    *("'", '"', '"""', "#", "\\", "@", "lambda: ", "*", "**", "->", ":=", "f'{", "\f", "\r"),
    *("\n", "\r\n", "\n    ", "\n        ", "\n\n\n", "é", "ß", "\u2028", "\U0001f600", "变量"),
    *("if ", "else:", "for i in ", "while True:\n", "return ", "yield ", "del ", "global ", "pass"),
    *("def f(a, b=0):\n    return a\n", "class Grid:\n", "import os\n", "from m import name\n"),
    *(
        "self.total = total\n",
        "print(value)\n",
        "rows, cols = cols, rows\n",
        "try:\n",
        "except E:\n",
    ),
    *("# codemlm: ignore\n", "# codemlm: ignore-file\n", "  # noqa: F821", "async ", "match x:\n"),
]
ENCODINGS = [kind.value for kind in types.PositionEncodingKind]
_LINE_END = re.compile("\r\n|\n|\r")


def position(text: str, offset: int, encoding: str) -> types.Position:
    """Line and column of a code point, worked out anew from the text."""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    line = bisect.bisect_right(ends, offset)
    before = text[ends[line - 1] if line else 0 : offset]
    if encoding == types.PositionEncodingKind.Utf32:
        return types.Position(line, len(before))
    wide = encoding == types.PositionEncodingKind.Utf16
    units = len(before.encode("utf-16-le")) // 2 if wide else len(before.encode())
    return types.Position(line, units)


@dataclass(slots=True)
class Author:
    """Somebody who edits at random.

    Attributes:
        rng: draws.
        first: the text to go back to.
        text: the text as it is.
        place: where the last edit was: the next is often near.
    """

    rng: random.Random
    first: str
    text: str
    place: int = 0

    def edit(self) -> tuple[int, int, str]:
        """Start and end (code points) of what is replaced, and by what."""
        rng, text = self.rng, self.text
        near = rng.random() < 0.7
        start = min(len(text), self.place) if near else rng.randrange(len(text) + 1)
        kind = rng.random()
        if kind < 0.55:
            end, put = start, rng.choice(PIECES)
        elif kind < 0.75:
            end, put = min(len(text), start + rng.choice([1, 1, 1, 2, 5, 20, 90])), ""
        elif kind < 0.88:
            end, put = min(len(text), start + rng.randrange(12)), rng.choice(PIECES)
        else:  # a line of the text again, elsewhere
            lines = text.splitlines(keepends=True) or [""]
            end, put = start, rng.choice(lines)
        if start and text[start - 1 : start + 1] == "\r\n":
            start -= 1  # no position is between the two
        if text[end - 1 : end + 1] == "\r\n":
            end += 1
        return start, max(start, end), put

    def apply(self, start: int, end: int, put: str) -> None:
        """Makes an edit."""
        self.text = self.text[:start] + put + self.text[end:]
        self.place = start + len(put)


@dataclass(slots=True)
class Desk:
    """An open document, edited in bursts, and its session.

    Attributes:
        author: who edits it.
        scanner: what a fresh scan is made with.
        store: holds the document.
        session: scans it.
        version: of the document.
        early: bursts of which a first look came before the whole.
    """

    author: Author
    scanner: Scanner
    encoding: str = types.PositionEncodingKind.Utf16.value
    store: Store = field(init=False)
    session: Session = field(init=False)
    version: int = 1
    early: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.encoding)
        self.store.open(types.TextDocumentItem(URI, "python", 1, self.author.text))
        self.session = Session(self.scanner)

    def burst(self, count: int) -> None:
        """Sends so many edits as one change."""
        changes: list[types.TextDocumentContentChangeEvent] = []
        for _ in range(count):
            author = self.author
            if author.rng.random() < 0.02 or len(author.text) > 3 * len(author.first):
                author.text = author.first
                changes.append(types.TextDocumentContentChangeWholeDocument(author.text))
                continue
            start, end, put = author.edit()
            where = [position(author.text, offset, self.encoding) for offset in (start, end)]
            author.apply(start, end, put)
            changes.append(types.TextDocumentContentChangePartial(types.Range(*where), put))
        self.version += 1
        self.store.change(URI, self.version, changes)

    def source(self, store: Store) -> SourceFile | Failure:
        """What is scanned of the document in a store."""
        snapshot = store.snapshot(URI, PATH)
        assert snapshot is not None
        return snapshot.file(MAX_BYTES)

    def scan(self) -> View | Failure:
        """The session's scan."""

        def early(view: View) -> None:
            self.early += 1

        source = self.source(self.store)
        return source if isinstance(source, Failure) else self.session.scan(source, early=early)

    def fresh(self) -> FileResult | Failure:
        """A scan of the author's text that knows nothing of the past."""
        store = Store(self.encoding)
        store.open(types.TextDocumentItem(URI, "python", 1, self.author.text))
        source = self.source(store)
        return source if isinstance(source, Failure) else self.scanner.scan_source(source)


def differences(found: View | Failure, fresh: FileResult | Failure) -> Iterator[str]:
    """What the two do not agree on."""
    if isinstance(found, Failure) or isinstance(fresh, Failure):
        if not (isinstance(found, Failure) and isinstance(fresh, Failure)):
            yield f"{found!r:.200} against {fresh!r:.200}"
        return
    if found.result.source != fresh.source:
        yield "the texts differ"
    ours, theirs = ({_key(f): f for f in r.findings} for r in (found.result, fresh))
    for key in ours.keys() ^ theirs.keys():
        yield f"{key} only {'with' if key in ours else 'without'} the session"
    for key in ours.keys() & theirs.keys():
        pairs = zip(_numbers(ours[key]), _numbers(theirs[key]), strict=False)
        if any(abs(a - b) > CLOSE for a, b in pairs):
            yield f"{key}: {ours[key].message} against {theirs[key].message}"


def _key(finding: Finding) -> tuple[object, ...]:
    texts = tuple(s.text for s in finding.suggestions[:1])
    return (finding.span.start, finding.rule, finding.text, finding.function, texts)


def _numbers(finding: Finding) -> list[float]:
    return [finding.confidence, finding.likelihood, *(s.likelihood for s in finding.suggestions)]


def run(scanner: Scanner, texts: Sequence[str], given: argparse.Namespace) -> dict[str, int]:
    """Counts of what was done; prints what differs."""
    rng = random.Random(given.seed)
    counts = dict.fromkeys(("edits", "scans", "first looks", "compared", "findings", "unequal"), 0)
    while counts["edits"] < given.edits:
        first = rng.choice(texts)
        desk = Desk(Author(rng, first, first), scanner, rng.choice(ENCODINGS))
        for number in range(given.bursts):
            size = rng.randint(1, 5)
            desk.burst(size)
            counts["edits"] += size
            counts["scans"] += 1
            found = desk.scan()
            if (number + 1) % given.every and number + 1 < given.bursts:
                continue
            fresh = desk.fresh()
            counts["compared"] += 1
            counts["findings"] += len(fresh.findings) if isinstance(fresh, FileResult) else 0
            unequal = list(differences(found, fresh))
            counts["unequal"] += bool(unequal)
            for line in unequal:
                print(f"after {counts['edits']} edits: {line}")
        counts["first looks"] += desk.early
    return counts


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=Path, nargs="+", required=True)
    options.add_argument("--lines", type=int, default=120)
    options.add_argument("--edits", type=int, default=10_000)
    options.add_argument("--bursts", type=int, default=60, help="of one file")
    options.add_argument("--every", type=int, default=3, help="bursts that are compared")
    options.add_argument("--min-confidence", type=float, default=0.02)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path)
    return options


def main() -> None:
    """Edits, compares, and writes what came of it."""
    given = parser().parse_args()
    scorer, calibration = commands.load_model(None, given.threads)
    scanner = Scanner(scorer, calibration, ScanOptions(min_confidence=given.min_confidence))
    texts = []
    for path in given.files:
        rows = path.read_text("utf-8").splitlines(keepends=True)[: given.lines]
        texts.append("".join(rows))
    begun = time.perf_counter()
    counts = run(scanner, texts, given)
    rows = [f"| {name} | {count:,} |" for name, count in counts.items()]
    names = ", ".join(path.name for path in given.files)
    text = "\n".join(
        [
            f"# Random edits, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "",
            f"First {given.lines} lines of {names}.",
            f"Seed {given.seed}, confidence of {given.min_confidence} or more; probabilities",
            f"may differ by {CLOSE}. {time.perf_counter() - begun:.0f} s.",
            "",
            "| what | count |",
            "| :--- | ---: |",
            *rows,
            "",
        ]
    )
    print(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")
    raise SystemExit(counts["unequal"] > 0)


if __name__ == "__main__":
    main()
