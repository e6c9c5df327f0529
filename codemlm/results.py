"""What a scan makes of one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from codemlm.findings import Finding
from codemlm.notebooks import Cell
from codemlm.types import Span


@dataclass(frozen=True, slots=True)
class FileResult:
    """A file that was read.

    Attributes:
        path: as the user would write it.
        source: the UTF-8 text that spans refer to.
        findings: reported ones, most confident first.
        num_errors: places that did not parse; nothing inside them is judged.
        num_silenced: findings that a pragma silenced.
        is_generated: whether the file was passed over because a tool wrote it; see there.
        held_back: counts of findings that are not reported, by reason.
        cells: of a notebook, whose source is that of all its code cells.
        cell: number of the one cell that this is the result of; see ``parts``.
    """

    path: str
    source: bytes
    findings: tuple[Finding, ...] = ()
    num_errors: int = 0
    num_silenced: int = 0
    is_generated: bool = False
    held_back: tuple[tuple[str, int], ...] = ()
    cells: tuple[Cell, ...] = ()
    cell: int | None = None

    @property
    def label(self) -> str:
        """The path for people, with the cell if it is one."""
        return self.path if self.cell is None else f"{self.path}:cell {self.cell}"

    def keep(self, reason: str, findings: Sequence[Finding]) -> FileResult:
        """This result with only some of its findings; the others are held back for ``reason``."""
        count = len(self.findings) - len(findings)
        if not count:
            return self
        held_back = (*self.held_back, (reason, count))
        return replace(self, findings=tuple(findings), held_back=held_back)

    def parts(self) -> Iterator[FileResult]:
        """This result; or of a notebook one for each cell that has findings."""
        if not self.cells:
            yield self
        for cell in self.cells:
            inside = [f for f in self.findings if cell.start <= f.span.start < cell.end]
            if inside:
                source = self.source[cell.start : cell.end]
                found = tuple(_moved(finding, -cell.start) for finding in inside)
                yield replace(self, source=source, findings=found, cells=(), cell=cell.number)


def _moved(finding: Finding, by: int) -> Finding:
    """A finding with all its places moved."""

    def move(span: Span) -> Span:
        return Span(span.start + by, span.end + by)

    return replace(
        finding,
        span=move(finding.span),
        edits=tuple((move(span), text) for span, text in finding.edits),
        other=None if finding.other is None else move(finding.other),
    )
