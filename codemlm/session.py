"""A text that is scanned again after each edit, at the price of the windows that see it.

A session remembers what the model said of each window, by what the model read (``remembering``),
and what was possible at each leaf, by all that decides it (``Recollection``). So the result is that
of a fresh scan: there is nothing to go stale. Where an edit moves many windows, or brings a name
into the reach of all, the first look at it, which comes sooner, has former scores in the others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from codemlm.errors import CodemlmError
from codemlm.fragments import Fragments
from codemlm.languages import PYTHON, language_for_path
from codemlm.recollection import Recollection
from codemlm.remembering import RememberingScorer
from codemlm.scanner import FileResult, Scanner
from codemlm.scoring import FileToScore, LeafScore
from codemlm.source import Failure, Reason, SourceFile
from codemlm.syntax import ParsedFile, parse


class SupersededError(CodemlmError):
    """A scan was given up, because its text is no longer the current one."""


@dataclass(frozen=True, slots=True)
class View:
    """What is known of one version of a text.

    Attributes:
        parsed: the text's leaves.
        result: its findings.
        scores: of the single pass, by leaf.
        masked: of the leaves that were verified by masking, by leaf.
        file: the leaves as the model takes them; None if it was not asked.
    """

    parsed: ParsedFile
    result: FileResult
    scores: dict[int, LeafScore]
    masked: dict[int, LeafScore]
    file: FileToScore | None = None


class Session:
    """One text and its scans.

    Args:
        scanner: what it is scanned with.

    Attributes:
        scanner: the session's own; its options may be replaced between scans.
        scorer: the scanner's.
    """

    def __init__(self, scanner: Scanner) -> None:
        self.scorer = RememberingScorer(scanner.scorer)
        self.scanner = copy.copy(scanner)
        self.scanner.scorer = self.scorer
        self.scanner.cache = None  # the session remembers more
        self.scanner.recollection = self._recollection = Recollection()
        self._fragments = Fragments()

    def scan(
        self,
        source: SourceFile,
        check: Callable[[], None] = lambda: None,
        early: Callable[[View], None] | None = None,
    ) -> View | Failure:
        """What a scan of the text finds.

        Args:
            source: the text as it is now.
            check: called before each forward pass.
            early: called with a first look, where the whole takes much longer.

        Raises:
            SupersededError: if ``check`` raised it; what was scored until then is remembered.
            SourceError: if the text is not UTF-8.
        """
        self.scorer.check = check
        try:
            self._fragments.turn()
            language = language_for_path(source.path) or PYTHON
            parsed = parse(source.source, language, self._fragments)
            check()
            view = self._look(source.path, parsed, hurried=early is not None)
            if early is not None and self.scorer.put_off and isinstance(view, View):
                early(view)
                check()
                view = self._look(source.path, parsed, hurried=False)
        except RecursionError as error:  # nested deeper than the walk can follow
            return Failure(source.path, Reason.INTERNAL, str(error))
        if isinstance(view, View):
            self.scorer.forget()
        return view

    def _look(self, path: str, parsed: ParsedFile, *, hurried: bool) -> View | Failure:
        self.scorer.start(hurried=hurried)
        self._recollection.turn()
        result = self.scanner.scan_parsed(path, parsed)
        if isinstance(result, Failure):
            return result
        scorer = self.scorer
        return View(parsed, result, scorer.scores, scorer.masked, scorer.file)
