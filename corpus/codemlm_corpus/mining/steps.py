"""The steps of a mine: commits in, records of fixes out. Each drop is counted under one reason.

| step | drops |
|---|---|
| HistoryReader | refused licences, unreadable histories, commits of more than one source file |
| MessageFilter | messages that do not read as a bug fix (some wait for ExplainFilter) |
| PathFilter | vendored and generated files, held-out packages (shared with the corpus build) |
| PlaceFilter | paths without product code, sub-folders under a refused licence |
| TextReader | ``missing-object``, ``undecodable`` |
| ExplainFilter | changes that no single mistake explains |
| HeaderFilter | copies of held-out projects, refused licences, generated files |
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from codemlm.errors import CorpusError
from codemlm.fixes import Fix
from codemlm_corpus import licences
from codemlm_corpus.config import Repository
from codemlm_corpus.exclude import ExcludedPaths, is_excluded
from codemlm_corpus.git import list_files, read_each
from codemlm_corpus.mining import messages
from codemlm_corpus.mining.explain import explain
from codemlm_corpus.mining.history import Change, changes, is_aside
from codemlm_corpus.mining.middle import quick_refusal
from codemlm_corpus.mining.records import Mined, edit_digest, write_lines
from codemlm_corpus.reader import (
    decode_source,
    detect_licence,
    licence_expression,
    refused_subtrees,
    write_facts,
)

_BATCH = 200  # changes whose texts are asked of one git process
COMMITS = "commits"  # what HistoryReader counts


class HistoryReader(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Yields a Document for each commit of ``repositories[rank]`` that changed one source file.

    Its text is the commit's message, and ``metadata["change"]`` the change. A history that ends
    with an error counts as such; what was read of it before is used.
    """

    type = "reader"
    name = "history"

    def __init__(self, repositories: Sequence[Repository], facts_folder: str) -> None:
        super().__init__()
        self.repositories = list(repositories)
        self.facts_folder = facts_folder

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Reads the repository of this rank (``world_size`` equals the number of repositories)."""
        assert world_size == len(self.repositories), "one task per repository"
        repository = self.repositories[rank]
        facts: dict[str, object] = {}
        try:
            entries = list_files(repository.git_dir, repository.commit)
            found, evidence = detect_licence(repository, entries)
            facts = {"licence": licence_expression(found), "evidence": evidence}
            if licences.is_allowed(found):
                refused = tuple(refused_subtrees(repository, entries))
                del entries  # a large tree's listing need not stay through the history
                yield from self._documents(repository, refused)
            else:
                self.stat_update("dropped_repository_licence")
        except CorpusError as error:
            reason = "history-cut-short" if facts else "unreadable-repository"
            self.stat_update(f"dropped_{reason}")
            facts["error"] = str(error)
        write_facts(self.facts_folder, rank, facts)

    def _documents(self, repository: Repository, refused: tuple[str, ...]) -> Iterator[Document]:
        def drop(reason: str) -> None:
            self.stat_update(COMMITS, f"dropped_{reason}")

        for change in changes(repository.git_dir, repository.commit, drop):
            self.stat_update(COMMITS)
            metadata = {
                "path": change.path,
                "change": change,
                "repository": repository,
                "refused": refused,
            }
            yield Document(change.message, f"{repository.name}@{change.commit}", metadata=metadata)


class MessageFilter(BaseFilter):  # type: ignore[misc]  # datatrove is untyped
    """Keeps the commits whose message reads as the fix of a bug.

    Others of some kinds are kept too, with the reason in ``metadata["doubt"]``: ExplainFilter drops
    them unless the change itself shows a bug.
    """

    type = "filter"
    name = "message"

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, or False and the reason, ``message-...``."""
        reason = messages.refusal(doc.text)
        if reason is None or reason in messages.DOUBTS:
            doc.metadata["doubt"] = reason and f"message-{reason}"
            return True
        return False, f"message-{reason}"


class PlaceFilter(BaseFilter):  # type: ignore[misc]  # datatrove is untyped
    """Drops by path what the shared PathFilter does not know of.

    Args:
        excluded: folders (with a trailing ``/``) and files to leave out, by normalised repository.
    """

    type = "filter"
    name = "place"

    def __init__(self, excluded: ExcludedPaths) -> None:
        super().__init__()
        self.excluded = dict(excluded)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, or False and ``no-product-code``, ``subtree-licence`` or ``excluded-path``."""
        change: Change = doc.metadata["change"]
        if is_aside(change.path):
            return False, "no-product-code"
        paths = (change.path, change.old_path)
        if any(path.startswith(doc.metadata["refused"]) for path in paths):
            return False, "subtree-licence"
        name = doc.metadata["repository"].name
        if any(is_excluded(self.excluded, name, path) for path in paths):
            return False, "excluded-path"
        return True


class TextReader(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Reads both versions of each change: ``text`` becomes the file after it."""

    type = "reader"
    name = "texts"

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Forwards the documents that have both, with ``metadata["before"]``."""
        documents = iter(data)
        while batch := deque(itertools.islice(documents, _BATCH)):
            git_dir = batch[0].metadata["repository"].git_dir
            found = [document.metadata["change"] for document in batch]
            blobs = [blob for change in found for blob in (change.blob_before, change.blob_after)]
            contents = read_each(git_dir, blobs)
            for before, after in zip(contents, contents, strict=True):
                # Taken off the batch, so that no more than one document's texts are held at a time.
                document = batch.popleft()
                self.stat_update("total")
                if before is None or after is None:
                    self.stat_update("dropped_missing-object")
                    continue
                texts = decode_source(before), decode_source(after)
                if texts[0] is None or texts[1] is None:
                    self.stat_update("dropped_undecodable")
                    continue
                document.metadata["before"], document.text = texts
                yield document


class ExplainFilter(BaseFilter):  # type: ignore[misc]  # datatrove is untyped
    """Keeps the changes that undo one mistake, and records it in ``metadata["mined"]``."""

    type = "filter"
    name = "explain"

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, or False and the reason: what the message said, or else what ``explain`` says."""
        before: str = doc.metadata["before"]
        change: Change = doc.metadata["change"]
        found = quick_refusal(before, doc.text) or explain(before, doc.text, change.path)
        doubt: str | None = doc.metadata["doubt"]
        if isinstance(found, str):
            return False, doubt or found
        if doubt is not None and not (found.undefined or found.slip):
            return False, doubt
        repository: Repository = doc.metadata["repository"]
        if found.doubt and repository.split != "train":
            return False, found.doubt  # training wants many fixes, measuring wants clear ones
        if any(len(text.splitlines()) > 1 for text in (found.before, found.after)):
            return False, "many-lines"
        fix = Fix(
            repo=repository.name,
            commit=change.commit,
            parent=change.parent,
            path=change.path,
            old_path=change.old_path,
            function=found.function,
            line=found.line,
            kind=found.kind,
            edits=found.edits,
            before=found.before,
            after=found.after,
            undefined=found.undefined,
            doubt=found.doubt,
            message=messages.subject_of(change.message),
            date=change.date,
            split=repository.split,
        )
        doc.metadata["mined"] = Mined(fix, edit_digest(fix, before))
        return True


class RecordWriter(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Writes what was mined from one repository to ``{folder}/{rank}.jsonl.gz``."""

    type = "writer"
    name = "records"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> None:
        """Writes all documents."""
        lines = (document.metadata["mined"].to_json() for document in data)
        count = write_lines(records_path(self.folder, rank), lines)
        self.stat_update("mined", value=count)


def records_path(folder: str | Path, rank: int) -> Path:
    """The file of one task."""
    return Path(folder) / f"{rank:05d}.jsonl.gz"
