"""What the model says of a file: of all leaves by one pass, and of suspicious ones by masking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codemlm.alternatives import Context
from codemlm.calibration import Calibration
from codemlm.confidence import Doubts
from codemlm.exact import Exact, exact_findings
from codemlm.recollection import Recollection
from codemlm.scoring import FileToScore, LeafScore, Scorer
from codemlm.surroundings import Surroundings
from codemlm.syntax import ParsedFile

LEAVES_PER_MASKING = 150
"""One judged leaf in so many may be verified by masking. A masked leaf costs a window of its own:
this rate adds about a third to the cost of the single pass."""
LEAST_MASKINGS = 4


@dataclass(frozen=True, slots=True)
class Examination:
    """What findings are made of.

    Attributes:
        doubts: leaves that could be findings, by the single pass.
        masked: scores by masking, of those that are the most suspicious.
        exact: what the exact rules find, by leaf.
    """

    doubts: Doubts
    masked: Mapping[int, LeafScore]
    exact: Mapping[int, Exact]


def examine(
    scorer: Scorer,
    calibration: Calibration,
    parsed: ParsedFile,
    file: FileToScore,
    scores: Sequence[LeafScore],
    path: str,
    recollection: Recollection | None = None,
    around: Surroundings | None = None,
) -> Examination:
    """Proposes leaves of a file by the single pass, and verifies them by masking.

    Args:
        scorer: the model's scorer.
        calibration: says which leaves are the most suspicious.
        parsed: the file.
        file: the same, encoded.
        scores: of the single pass.
        path: of the file, which tells a stub from a module, and a test from other code.
        recollection: of earlier versions of the file.
        around: the project around the file; None: nothing is known of it.
    """
    limit = max(LEAST_MASKINGS, len(scores) // LEAVES_PER_MASKING)
    exact = exact_findings(parsed, stub=path.endswith(".pyi"), around=around)
    doubts = Doubts(
        Context(parsed, scorer.common),
        scores,
        recollection=recollection,
        exact=exact,
        path=path,
        with_evidence=calibration.uses_evidence,
        ranker=calibration.ranker,
    )
    leaves = doubts.propose(calibration, limit)
    masked = {s.leaf: s for s in scorer.score_masked(file, leaves)} if leaves else {}
    return Examination(doubts, masked, exact)
