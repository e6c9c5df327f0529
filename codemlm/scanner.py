"""Scans files: reads and parses them, scores many in one forward pass, and streams their findings.

Files go through in chunks. The first is small, so that the first finding comes soon; later ones are
large enough to fill batches, and small enough that memory stays flat and results keep coming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from codemlm.alternatives import Context
from codemlm.cache import FLOOR, Cache, Judged
from codemlm.calibration import Calibration
from codemlm.discovery import Target
from codemlm.errors import CodemlmError, SourceError
from codemlm.examination import examine
from codemlm.filters import ALL_FILTERS, FILTERS, Filter
from codemlm.findings import Finding, judge, least_by_default
from codemlm.generated import is_generated
from codemlm.injection import Sites
from codemlm.interface_reader import interface_of
from codemlm.interfaces import Interface
from codemlm.languages import PYTHON, language_for_path
from codemlm.names_file import NameFinder
from codemlm.notebooks import Cell, is_notebook, read_notebook
from codemlm.positions import LineIndex
from codemlm.pragmas import Pragmas, pragmas_of
from codemlm.recall import StoringScorer
from codemlm.recollection import Recollection
from codemlm.results import FileResult
from codemlm.rules import UNUSED_PRAGMA
from codemlm.scopes import enclosing_function
from codemlm.scoring import FileToScore, Scorer
from codemlm.selection import ScanOptions
from codemlm.source import Failure, Reason, SourceFile, read_source
from codemlm.surroundings import Surroundings
from codemlm.syntax import ParsedFile, parse
from codemlm.units import encode_with_texts
from codemlm.votes import most_votes, outvoted

__all__ = ["FileResult", "ScanOptions", "Scanner"]

FIRST_CHUNK_BYTES = 8_000
CHUNK_BYTES = 256_000
CHUNK_FILES = 64
NOTEBOOK_BYTES = 20
"""A notebook may be so many times as large as a source file: outputs are most of it."""


@dataclass(slots=True)
class _Work:
    """A file on its way through the model.

    Attributes:
        result: so far.
        pragmas: of the file.
        parsed: the file; None if what is known of it is enough.
        known: what is known of it.
        key: of the file in the cache; empty without one.
        around: the project around it.
    """

    result: FileResult
    pragmas: Pragmas
    parsed: ParsedFile | None
    known: Sequence[Finding] | None = None
    key: bytes = b""
    around: Surroundings | None = None


class Scanner:
    """Finds likely mistakes with a model.

    Args:
        scorer: the model's scorer, or what loads it when it is first needed.
        calibration: the model's calibration.
        options: what is reported; a function of the path where that differs from file to file.
        filters: what is no finding, whatever the model says.
        cache: what was found before; left alone unless every filter is on, as it was then.
        names: finds the project around a file; None: files are looked at one by one.

    Attributes:
        recollection: of earlier versions of the one text that is scanned; None: it is another.
    """

    def __init__(
        self,
        scorer: Scorer | Callable[[], Scorer],
        calibration: Calibration,
        options: ScanOptions | Callable[[str], ScanOptions] | None = None,
        filters: Sequence[Filter] = ALL_FILTERS,
        cache: Cache | None = None,
        names: NameFinder | None = None,
    ) -> None:
        self.calibration = calibration
        self.options = options or ScanOptions()
        self.filters = tuple(filters)
        self.recollection: Recollection | None = None
        self.cache = cache if self.filters == ALL_FILTERS else None
        self.names = names
        self._scorer = self._with_memory(scorer) if isinstance(scorer, Scorer) else scorer

    @property
    def scorer(self) -> Scorer:
        """The model's scorer; one that is still to be loaded is loaded now."""
        if not isinstance(self._scorer, Scorer):
            self._scorer = self._with_memory(self._scorer())
        return self._scorer

    @scorer.setter
    def scorer(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def _with_memory(self, scorer: Scorer) -> Scorer:
        """The scorer; with a cache, one that knows windows which were scored before."""
        return scorer if self.cache is None else StoringScorer(scorer, self.cache)

    def options_of(self, path: str) -> ScanOptions:
        """What is reported of a file."""
        return self.options if isinstance(self.options, ScanOptions) else self.options(path)

    def around(self, path: str, parsed: ParsedFile) -> Surroundings | None:
        """The project around a file, if it is known and counts."""
        if self.names is None or not self.options_of(path).adapt:
            return None
        return self.names.around(path, lambda: interface_of(parsed))

    def scan(
        self, targets: Iterable[Target | SourceFile | Failure]
    ) -> Iterator[FileResult | Failure]:
        """Results of files in the order of ``targets``; trouble with a file is a result too."""
        chunk: list[SourceFile | FileResult | Failure] = []
        size, budget = 0, FIRST_CHUNK_BYTES
        for target in targets:
            read = self._read(target)
            chunk.append(read)
            if isinstance(read, SourceFile):
                size += len(read.source)
            if size >= budget or len(chunk) >= CHUNK_FILES:
                yield from self._scan_chunk(chunk)
                chunk, size, budget = [], 0, min(2 * budget, CHUNK_BYTES)
        yield from self._scan_chunk(chunk)

    def scan_source(self, source: SourceFile) -> FileResult | Failure:
        """The result of one text."""
        return next(self._scan_chunk([source]))

    def scan_parsed(self, path: str, parsed: ParsedFile) -> FileResult | Failure:
        """The result of one text that was parsed already."""
        result = FileResult(path, parsed.source, num_errors=len(parsed.error_spans))
        work = _Work(result, pragmas_of(parsed), parsed, around=self.around(path, parsed))
        if work.pragmas.whole_file:
            return work.result
        found = self._find([work])[id(work)]
        return found if isinstance(found, Failure) else self._report(work, found)

    def findings(
        self,
        parsed: Sequence[ParsedFile],
        paths: Sequence[str] = (),
        floors: Sequence[float] = (),
    ) -> list[list[Finding]]:
        """Every leaf of each file that could be a finding, most confident first.

        Args:
            parsed: the files.
            paths: their paths, which tell stubs from modules, and tests from other code.
            floors: least confidence of what is of interest in each; none: everything is.
        """
        paths, floors = paths or [""] * len(parsed), floors or [0.0] * len(parsed)
        around = [self.around(path, one) for path, one in zip(paths, parsed, strict=True)]
        return [found for found, _ in self._judged(parsed, paths, floors, around)]

    def _judged(
        self,
        parsed: Sequence[ParsedFile],
        paths: Sequence[str],
        floors: Sequence[float],
        arounds: Sequence[Surroundings | None],
    ) -> list[tuple[list[Finding], tuple[Context, FileToScore]]]:
        """Findings of files, with what was made of each to find them."""
        if not parsed:
            return []
        files = [
            FileToScore(*encode_with_texts(one, self.scorer.tokenizer, Sites())) for one in parsed
        ]
        scores = self.scorer.score(files)
        filters = [one for one in self.filters if one in FILTERS]
        judged = []
        for one, file, of_file, path, floor, around in zip(
            parsed, files, scores, paths, floors, arounds, strict=True
        ):
            known = examine(
                *(self.scorer, self.calibration, one, file, of_file, path),
                recollection=self.recollection,
                around=around,
            )
            doubts = known.doubts
            found = judge(doubts, known.masked, known.exact, self.calibration, filters, floor)
            judged.append((found, (doubts.context, file)))
        return judged

    def _read(self, target: Target | SourceFile | Failure) -> SourceFile | FileResult | Failure:
        if isinstance(target, Failure):
            return target
        try:
            options = self.options_of(target.path)
        except CodemlmError as error:
            return Failure(target.path, Reason.CONFIGURATION, str(error), explicit=True)
        read: SourceFile | Failure
        if isinstance(target, SourceFile):
            read, explicit = target, False
        else:
            limit = options.max_bytes * (NOTEBOOK_BYTES if is_notebook(target.path) else 1)
            explicit = target.explicit
            read = read_source(target.path, explicit=explicit, limit=limit)
        # a notebook's JSON has nothing but literals
        passed_over = not (explicit or options.include_generated or is_notebook(target.path))
        if isinstance(read, SourceFile) and passed_over and is_generated(read.source):
            return FileResult(read.path, read.source, is_generated=True)
        return read

    def _scan_chunk(
        self, chunk: Sequence[SourceFile | FileResult | Failure]
    ) -> Iterator[FileResult | Failure]:
        prepared = [self._prepare(one) if isinstance(one, SourceFile) else one for one in chunk]
        works = [p for p in prepared if isinstance(p, _Work) and not p.pragmas.whole_file]
        found = self._find(works)
        for one in prepared:
            if not isinstance(one, _Work):
                yield one
            elif one.pragmas.whole_file:
                yield one.result
            else:
                findings = found[id(one)]
                yield findings if isinstance(findings, Failure) else self._report(one, findings)

    def _prepare(self, file: SourceFile) -> _Work | Failure:
        try:
            source = file.source
            cells: tuple[Cell, ...] = ()
            if is_notebook(file.path):
                notebook = read_notebook(source)
                if notebook is None:
                    return Failure(file.path, Reason.LANGUAGE, "the notebook is not in Python")
                source, cells = notebook
            result = FileResult(file.path, source, cells=cells)
            key = b""
            if self.cache is not None:
                key, known = self._known(file.path, source)
                if known is not None and self._is_enough(file.path, known):
                    result = replace(result, num_errors=known.num_errors)
                    return _Work(result, Pragmas(list(known.pragmas)), None, known.findings)
            parsed = parse(source, language_for_path(file.path) or PYTHON)
            result = replace(result, num_errors=len(parsed.error_spans))
            around = self.around(file.path, parsed)
            return _Work(result, pragmas_of(parsed), parsed, key=key, around=around)
        except Exception as error:  # noqa: BLE001  # one bad file must not stop the others
            return self._failure(file.path, error)

    def _known(self, path: str, source: bytes) -> tuple[bytes, Judged | None]:
        """The key of a text in the cache, and what is known of it and still holds."""
        assert self.cache is not None
        around = None
        if self.names is not None and self.options_of(path).adapt:
            around = self.names.around(path, Interface)  # of the file itself nothing is asked
        key = self.cache.key(source, path, "" if around is None else around.place)
        known = self.cache.get(key, self._floor(path))
        if known is not None and around is not None and not around.holds(known.trace):
            return key, None
        return key, known

    def _floor(self, path: str) -> float:
        """Confidence of findings that matter in a file: unused pragmas are told by half as much."""
        return self.options_of(path).floor(self.calibration.threshold) / 2

    def _least_of_interest(self, path: str) -> float:
        """The floor; a cache keeps some more, so that other options need no new scan."""
        return self._floor(path) if self.cache is None else min(self._floor(path), FLOOR)

    def _is_enough(self, path: str, known: Judged) -> bool:
        """Whether all that would be reported now has stood a second look then."""
        pairs = zip(known.findings, known.stood, strict=True)
        return all(stood or not self._is_reported(path, f) for f, stood in pairs)

    def _find(self, works: Sequence[_Work]) -> dict[int, Sequence[Finding] | Failure]:
        """Findings by identity of the work; if a batch fails, each of its files is tried alone."""
        new = [work for work in works if work.known is None]
        known = {id(work): work.known for work in works if work.known is not None}
        try:
            found = self._standing(new)
        except Exception as error:  # noqa: BLE001  # as above
            if len(new) == 1:
                return {**known, id(new[0]): self._failure(new[0].result.path, error)}
            self._failure(new[0].result.path, error)
            alone: dict[int, Sequence[Finding] | Failure] = {**known}
            for work in new:
                alone |= self._find([work])
            return alone
        return {
            **known,
            **{id(w): self._finished(w, of_work) for w, of_work in zip(new, found, strict=True)},
        }

    def _finished(self, work: _Work, found: Sequence[Finding]) -> Sequence[Finding]:
        """The findings of a file that may matter, to be reported and to be known again."""
        parsed, path = work.parsed, work.result.path
        assert parsed is not None
        floor = self._least_of_interest(path)
        kept = tuple(
            replace(f, function=enclosing_function(parsed, f.leaf))
            for f in found
            if f.confidence >= floor
        )
        if self.cache is not None:
            pragmas = tuple(work.pragmas.found)
            stood = tuple(self._is_reported(path, f) for f in kept)
            trace = () if work.around is None else work.around.trace
            judged = Judged(floor, work.result.num_errors, kept, stood, pragmas, trace)
            self.cache.put(work.key, judged)
        return kept

    def _standing(self, works: Sequence[_Work]) -> list[list[Finding]]:
        """Findings of files, without those that would be reported and do not stand."""
        paths = [work.result.path for work in works]
        parsed = [work.parsed for work in works if work.parsed is not None]
        floors = [self._least_of_interest(path) for path in paths]
        judged = self._judged(parsed, paths, floors, [work.around for work in works])
        reported = [
            (one, [f for f in found if self._is_reported(path, f)][: most_votes(one)])
            for one, path, (found, _) in zip(parsed, paths, judged, strict=True)
        ]
        made = [made for _, made in judged]
        gone = [set(map(id, some)) for some in outvoted(self.scorer, reported, self.filters, made)]
        return [
            [f for f in found if id(f) not in without]
            for (found, _), without in zip(judged, gone, strict=True)
        ]

    def _is_reported(self, path: str, finding: Finding) -> bool:
        options = self.options_of(path)
        return finding.confidence >= self._least(options, finding) and options.wants(finding.rule)

    def _least(self, options: ScanOptions, finding: Finding) -> float:
        return options.least(finding.rule, least_by_default(finding, self.calibration))

    def _failure(self, path: str, error: Exception) -> Failure:
        """The failure that an exception is, unless it must not be passed over."""
        if isinstance(error, SourceError):
            return Failure(path, Reason.UNDECODABLE, str(error))
        if self.options_of(path).debug or isinstance(error, CodemlmError):
            raise error
        return Failure(path, Reason.INTERNAL, f"{type(error).__name__}: {error}")

    def _report(self, work: _Work, found: Sequence[Finding]) -> FileResult:
        options = self.options_of(work.result.path)
        chosen = [f for f in found if options.wants(f.rule)]
        wanted = [f for f in chosen if f.confidence >= self._least(options, f)]
        if not work.pragmas.found:
            return replace(work.result, findings=tuple(wanted)) if wanted else work.result
        line_of = LineIndex(work.result.source).line_of
        kept = [f for f in wanted if not work.pragmas.silence(f.rule, line_of(f.span.start))]
        num_silenced = len(wanted) - len(kept)
        if options.wants(UNUSED_PRAGMA):
            for one in chosen:  # what comes near to a finding still needs its pragma
                if one.confidence >= self._least(options, one) / 2:
                    work.pragmas.silence(one.rule, line_of(one.span.start))
            kept = [*work.pragmas.unused(work.result.source, options.wants), *kept]
        return replace(work.result, findings=tuple(kept), num_silenced=num_silenced)
