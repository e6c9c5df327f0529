"""Writes and reads gzipped JSON lines, one file a task, with the standard library's json only.

datatrove's own JSON steps need orjson, and its disk reader deals files to ranks by their order,
which shifts when a task wrote none: here the file of a rank is found by its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

from datatrove.data import Document
from datatrove.io import get_datafolder
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.disk_base import DiskWriter


class JsonLinesWriter(DiskWriter):  # type: ignore[misc]  # datatrove is untyped
    """Writes ``id``, the chosen metadata fields and ``text`` of each document, and forwards it."""

    type = "writer"
    name = "json lines"

    def __init__(self, folder: str, filename: str, fields: Sequence[str]) -> None:
        super().__init__(folder, output_filename=filename, compression="gzip", mode="wb")
        self.fields = tuple(fields)

    def _default_adapter(self, document: Document) -> dict[str, Any]:
        row = {"id": document.id, **{name: document.metadata[name] for name in self.fields}}
        return {**row, "text": document.text}

    def _write(self, document: dict[str, Any], file_handler: IO[bytes], filename: str) -> None:
        file_handler.write(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
        file_handler.write(b"\n")


class JsonLinesReader(PipelineStep):  # type: ignore[misc]  # datatrove is untyped
    """Yields the documents that task ``rank`` of an earlier stage wrote, if any."""

    type = "reader"
    name = "json lines"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Reads ``{rank:05d}.jsonl.gz``."""
        source = get_datafolder(self.folder)
        filename = f"{rank:05d}.jsonl.gz"
        if not source.isfile(filename):
            return
        with source.open(filename, "rb", compression="gzip") as lines:
            for line in lines:
                row = json.loads(line)
                yield Document(text=row.pop("text"), id=row.pop("id"), metadata=row)
