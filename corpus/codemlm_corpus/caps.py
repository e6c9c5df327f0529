"""Caps what one repository, and its tests, may contribute."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

_TEST_FOLDERS = frozenset(("test", "tests", "testing", "unittest", "unittests", "functional_tests"))
_TEST_FILE = re.compile(r"(^test_.*|.*_tests?|^tests?|^conftest)\.py$")


def is_test(path: str) -> bool:
    """True if ``path`` names a test by pytest's or unittest's conventions."""
    *folders, name = path.lower().split("/")
    return not _TEST_FOLDERS.isdisjoint(folders) or bool(_TEST_FILE.match(name))


class RepositoryCap(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Keeps at most ``max_bytes`` of a repository, of which at most ``test_share`` are tests.

    What to keep is drawn by a hash of the path, so it is a fair sample, and the same each time.
    Holds one repository in memory.
    """

    type = "filter"
    name = "repository cap"

    def __init__(self, max_bytes: int, test_share: float) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self.test_share = test_share

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Forwards the kept documents, in their order."""
        documents = list(data)
        kept = self._choose(documents)
        for document in documents:
            size = len(document.text.encode("utf-8"))
            self.stat_update("total")
            test = is_test(document.metadata["path"])
            if document.id in kept:
                self.stat_update("kept")
                self.stat_update("kept_bytes", value=size, unit="doc")
                if test:
                    self.stat_update("kept_test_bytes", value=size, unit="doc")
                yield document
            else:
                reason = "test_cap" if test else "repository_cap"
                self.stat_update("dropped", f"dropped_{reason}")
                self.stat_update(f"bytes_{reason}", value=size, unit="doc")

    def _choose(self, documents: list[Document]) -> set[str]:
        tests: list[Document] = []
        others: list[Document] = []
        for document in sorted(documents, key=_draw):
            (tests if is_test(document.metadata["path"]) else others).append(document)
        test_budget = min(_size(tests), int(self.test_share * self.max_bytes))
        chosen, used = _fill(others, self.max_bytes - test_budget)
        ratio = self.test_share / max(1 - self.test_share, 1e-9)
        more, _ = _fill(tests, min(int(used * ratio), self.max_bytes - used))
        return chosen | more


def _draw(document: Document) -> bytes:
    return hashlib.sha256(document.id.encode("utf-8")).digest()


def _size(documents: Iterable[Document]) -> int:
    return sum(len(document.text.encode("utf-8")) for document in documents)


def _fill(documents: Iterable[Document], budget: int) -> tuple[set[str], int]:
    """The ids of the documents that fit, in the order given, and the bytes they take."""
    chosen: set[str] = set()
    used = 0
    for document in documents:
        size = len(document.text.encode("utf-8"))
        if used + size <= budget:
            chosen.add(document.id)
            used += size
    return chosen, used
