"""The alert budget: at most so many findings in 1,000 lines of scanned code, the surest ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codemlm.rules import UNUSED_PRAGMA
from codemlm.scanner import FileResult
from codemlm.source import Failure

OVER_BUDGET = "over the budget"


def within_budget(
    results: Iterable[FileResult | Failure], per_kloc: float
) -> Iterator[FileResult | Failure]:
    """The results in their order, with the findings that the budget allows; at least one.

    All results are held until the last has come. Pragmas that silence nothing count for nothing:
    they are no guesses.

    Args:
        results: of a scan.
        per_kloc: findings in 1,000 lines.
    """
    held = list(results)
    files = [result for result in held if isinstance(result, FileResult)]
    lines = sum(file.source.count(b"\n") + 1 for file in files if not file.is_generated)
    allowed = max(1, int(per_kloc * lines / 1000))
    ranked = sorted(
        (-finding.confidence, at, finding.span.start, finding.leaf)
        for at, file in enumerate(files)
        for finding in file.findings
        if finding.rule != UNUSED_PRAGMA
    )
    kept = {(at, leaf) for _, at, _, leaf in ranked[:allowed]}
    at = -1
    for result in held:
        if isinstance(result, Failure):
            yield result
            continue
        at += 1
        yield result.keep(
            OVER_BUDGET,
            [f for f in result.findings if f.rule == UNUSED_PRAGMA or (at, f.leaf) in kept],
        )
