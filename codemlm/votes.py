"""The dearest filters, for what would be reported: findings that break the file, or that waver.

A finding stands if a second window agrees: the same leaf, judged by the single pass once more with
another beginning of the window and other slots, which costs one window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from codemlm.alternatives import Context
from codemlm.filters import BROKEN, SECOND_WINDOW, Filter, breaks_syntax
from codemlm.findings import Finding
from codemlm.injection import Sites
from codemlm.rules import EXACT
from codemlm.scoring import FileToScore, LeafScore, Scorer
from codemlm.syntax import ParsedFile
from codemlm.units import encode_with_texts

AMONG = 8
"""The first suggestion has to be among so many of the second window's."""
DOUBT_MARGIN = 1.5
"""The gate's logit may be so much less doubtful in the second window."""
LEAST_VOTES = 8
LEAVES_PER_VOTE = 200
"""One leaf in so many may be judged again, the most confident findings of a file first: at the
threshold all are, and where one asks for every suspicion a scan does not take many times as long.
"""


def most_votes(parsed: ParsedFile) -> int:
    """How many findings of a file are asked about."""
    return max(LEAST_VOTES, len(parsed) // LEAVES_PER_VOTE)


def outvoted(
    scorer: Scorer,
    findings: Sequence[tuple[ParsedFile, Sequence[Finding]]],
    filters: Sequence[Filter],
    made: Sequence[tuple[Context, FileToScore]] = (),
) -> list[list[Finding]]:
    """The findings that do not stand, by file.

    Args:
        scorer: the model's scorer.
        findings: files, and what is asked about of each.
        filters: of those that are applied, ``BROKEN`` and ``SECOND_WINDOW`` play a part here.
        made: what was made of each file before; none: it is made again where it is needed.
    """
    found: list[list[Finding]] = []
    ballots: list[tuple[int, Context, FileToScore, Finding]] = []
    for number, (parsed, some) in enumerate(findings):
        broken = [f for f in some if BROKEN in filters and breaks_syntax(parsed, f)]
        found.append(broken)
        doubtful = [f for f in some if f.rule not in EXACT and f not in broken]
        if doubtful and SECOND_WINDOW in filters:
            context, file = made[number] if made else _made(scorer, parsed)
            ballots += [(number, context, file, finding) for finding in doubtful]
    again = scorer.score_shifted([(file, finding.leaf) for _, _, file, finding in ballots])
    for (number, context, _, finding), score in zip(ballots, again, strict=True):
        if not agrees(context, finding, score):
            found[number].append(finding)
    return found


def _made(scorer: Scorer, parsed: ParsedFile) -> tuple[Context, FileToScore]:
    file = FileToScore(*encode_with_texts(parsed, scorer.tokenizer, Sites()))
    return Context(parsed, scorer.common), file


def agrees(context: Context, finding: Finding, again: LeafScore) -> bool:
    """Whether a second window says the same of a leaf as the first.

    Args:
        context: of the file.
        finding: what the first led to.
        again: the second window's score.
    """
    first = math.log(max(finding.keep, 1e-9) / max(1.0 - finding.keep, 1e-9))
    if again.keep_logit > first + DOUBT_MARGIN:
        return False
    possible = context.possible(finding.leaf, again.alternatives)
    best = sorted(possible, key=lambda alternative: -alternative.likelihood)[:AMONG]
    return finding.suggestions[0].text in {alternative.text for alternative in best}
