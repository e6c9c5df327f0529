"""Reads the Python files of one repository a task, at its recorded commit, straight from git."""

from __future__ import annotations

import io
import json
import tokenize
from collections.abc import Iterator, Mapping, Sequence

from datatrove.data import Document
from datatrove.io import get_datafolder
from datatrove.pipeline.base import PipelineStep

from codemlm.errors import CorpusError
from codemlm_corpus import licences
from codemlm_corpus.config import Repository
from codemlm_corpus.git import TreeEntry, list_files, read_blobs

SUFFIX = ".py"


class GitReader(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Yields a Document for each Python file of ``repositories[rank]``.

    A repository whose licence is not allowed, or that git cannot read, yields nothing: all its
    files count as dropped for that reason. Its licence goes to ``{facts_folder}/{rank}.json``.
    """

    type = "reader"
    name = "git"

    def __init__(self, repositories: Sequence[Repository], facts_folder: str) -> None:
        super().__init__()
        self.repositories = list(repositories)
        self.facts_folder = facts_folder

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Reads the repository of this rank (``world_size`` equals the number of repositories)."""
        assert world_size == len(self.repositories), "one task per repository"
        repository = self.repositories[rank]
        try:
            entries = list_files(repository.git_dir, repository.commit)
            found, evidence = detect_licence(repository, entries)
        except CorpusError as error:
            write_facts(self.facts_folder, rank, {"error": str(error)})
            self.stat_update("dropped_unreadable_repository")
            return
        sources = [entry for entry in entries if entry.path.endswith(SUFFIX)]
        write_facts(
            self.facts_folder, rank, {"licence": licence_expression(found), "evidence": evidence}
        )
        if not licences.is_allowed(found):
            self.stat_update("dropped_repository_licence", value=len(sources))
            return
        refused = refused_subtrees(repository, entries)
        yield from self._documents(repository, sources, licence_expression(found), refused)

    def _documents(
        self,
        repository: Repository,
        sources: Sequence[TreeEntry],
        licence: str,
        refused: Sequence[str],
    ) -> Iterator[Document]:
        contents = read_blobs(repository.git_dir, [entry.blob for entry in sources])
        for entry, content in zip(sources, contents, strict=True):
            self.stat_update("total")
            text = None if content is None else decode_source(content)
            if content is None:
                self.stat_update("dropped_missing_object")
            elif text is None:
                self.stat_update("dropped_undecodable")
            elif entry.path.startswith(tuple(refused)):
                self.stat_update("dropped_subtree_licence")
            elif not text.strip():
                self.stat_update("dropped_empty")
            else:
                yield Document(
                    text=text,
                    id=f"{repository.name}:{entry.path}",
                    metadata={
                        "repo": repository.name,
                        "commit": repository.commit,
                        "licence": licence,
                        "path": entry.path,
                        "blob": entry.blob,
                        "split": repository.split,
                        "slug": repository.slug,
                    },
                )


def write_facts(folder: str, rank: int, facts: Mapping[str, object]) -> None:
    """Writes what a task learnt of its repository to ``{folder}/{rank}.json``."""
    with get_datafolder(folder).open(f"{rank:05d}.json", "w") as out:
        out.write(json.dumps(facts, sort_keys=True))


def licence_expression(found: set[str]) -> str:
    """Returns the licences as one SPDX-like expression; empty if there are none."""
    return " AND ".join(sorted(found))


def detect_licence(
    repository: Repository, entries: Sequence[TreeEntry]
) -> tuple[set[str], list[str]]:
    """Returns the licences of a repository, and the files that say so.

    Licence files at the root count; only without any recognised one does packaging metadata.
    """
    by_path = {entry.path: entry.blob for entry in entries}
    paths = licences.root_licence_paths(by_path)
    found: set[str] = set()
    for text in _texts(repository.git_dir, [by_path[p] for p in paths]):
        found |= licences.classify(text)
    if found:
        return found, paths
    paths = [p for p in licences.DECLARING_FILES if p in by_path]
    for text in _texts(repository.git_dir, [by_path[p] for p in paths]):
        found |= licences.classify_declared(text)
    return found, paths


def refused_subtrees(repository: Repository, entries: Sequence[TreeEntry]) -> list[str]:
    """Returns the folders (with a trailing ``/``) whose own licence file is a refused one."""
    by_path = {entry.path: entry.blob for entry in entries}
    paths = licences.subtree_licence_paths(by_path)
    texts = _texts(repository.git_dir, [by_path[p] for p in paths])
    found = [(path, licences.classify(text)) for path, text in zip(paths, texts, strict=True)]
    return [f"{path.rsplit('/', 1)[0]}/" for path, names in found if names - licences.ALLOWED]


def decode_source(content: bytes) -> str | None:
    """Returns a source file's text by its own coding cookie; None if it is not text."""
    if b"\0" in content:
        return None
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return None


def _texts(git_dir: str, blobs: Sequence[str]) -> list[str]:
    return [(raw or b"").decode("utf-8", "replace") for raw in read_blobs(git_dir, blobs)]
