"""Names that are undefined in one file after another: something puts them there.

A template's file, a test harness or ``gettext.install`` gives names to many files, and a mistake
stands in one, or was copied to a few. What a file is full of is judged by its own findings
(`codemlm.findings.MOST_UNDEFINED`); here it is the files of a scan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from codemlm.findings import Finding, share_in_crowd
from codemlm.rules import UNDEFINED_NAME
from codemlm.scanner import FileResult
from codemlm.source import Failure

EVERYWHERE = "undefined in many files"


def less_sure_everywhere(
    results: Iterable[FileResult | Failure], least: Callable[[str], float]
) -> Iterator[FileResult | Failure]:
    """The results as they come; from the fourth file on, an undefined name is less sure.

    Args:
        results: of a scan.
        least: least confidence of an undefined name that is reported in a file, by its path.
    """
    files: Counter[str] = Counter()
    for result in results:
        if isinstance(result, Failure) or not result.findings:
            yield result
            continue
        files.update({f.text for f in result.findings if f.rule == UNDEFINED_NAME})
        found = tuple(_less_sure(finding, files) for finding in result.findings)
        if found == result.findings:
            yield result
            continue
        ordered = tuple(sorted(found, key=lambda f: (-f.confidence, f.leaf)))
        kept = [
            f for f in ordered if f.rule != UNDEFINED_NAME or f.confidence >= least(result.path)
        ]
        yield replace(result, findings=ordered).keep(EVERYWHERE, kept)


def _less_sure(finding: Finding, files: Counter[str]) -> Finding:
    share = share_in_crowd(files[finding.text]) if finding.rule == UNDEFINED_NAME else 1.0
    return finding if share == 1.0 else replace(finding, confidence=finding.confidence * share)
