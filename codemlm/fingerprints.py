"""Names of findings that outlive edits elsewhere in the file: no line number is part of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from codemlm.findings import Finding
from codemlm.positions import LineIndex


def fingerprints(index: LineIndex, findings: Sequence[Finding]) -> list[str]:
    """A name for each finding, unique in its file: 32 hexadecimal digits.

    Made of the rule, the leaf, the function around it, and the text of its line with runs of white
    space as one. Findings that agree in all four are numbered in source order, so that taking one
    away never renames those before it. Moved, re-indented and neighbouring lines change nothing.

    Args:
        index: of the source.
        findings: of that file, in any order; the names come in the same order.
    """
    order = sorted(range(len(findings)), key=lambda at: findings[at].span.start)
    seen: Counter[tuple[bytes, ...]] = Counter()
    names = [""] * len(findings)
    for at in order:
        finding = findings[at]
        line = index.line_bytes(index.line_of(finding.span.start))
        named = (finding.rule.encode(), finding.text.encode(), finding.function.encode())
        key = (*named, b" ".join(line.split()))
        parts = (*key, str(seen[key]).encode())
        seen[key] += 1
        names[at] = hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]
    return names
