"""Linters on real bugs: what they report of each, and how much they say of clean code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from codemlm.evaluation.injected import SampledFile, sampled
from codemlm.evaluation.linter_figures import (
    LintedBug,
    LintedFile,
    Populations,
    linted_bug,
    linted_file,
    linter_figures,
)
from codemlm.evaluation.linter_reports import bug_lines
from codemlm.evaluation.linters import InstalledLinters, LinterMessage, available
from codemlm.evaluation.real import Plan, fixed_source
from codemlm.fixes import FixPair
from codemlm.syntax import parse

_PAIRS_AT_ONCE = 100
Progress = Callable[[int, int], None]


class Linters(Protocol):
    """What runs linters; `codemlm.evaluation.linters` does."""

    @property
    def tools(self) -> Sequence[str]:
        """Their names."""
        ...

    def facts(self, tool: str) -> Mapping[str, Any]:
        """Version and options of a linter."""
        ...

    def run(self, files: Mapping[str, str]) -> Mapping[str, Mapping[str, Sequence[LinterMessage]]]:
        """Messages by linter and key of the file."""
        ...


@dataclass(slots=True)
class Linted:
    """What linters made of everything.

    Attributes:
        bugs: by linter, what it made of each bug; no linter where none ran.
        clean: by linter, what it made of each file without a mistake.
    """

    bugs: dict[str, list[LintedBug]] = field(default_factory=lambda: defaultdict(list))
    clean: dict[str, list[LintedFile]] = field(default_factory=lambda: defaultdict(list))


def lint(
    plan: Plan,
    groups: Mapping[str, int],
    linters: Linters,
    progress: Progress | None = None,
) -> Linted:
    """Runs linters on the files before and after fixes, some at a time.

    Args:
        plan: with the pairs.
        groups: numbers of the repositories, by key of the bugs that were judged.
        linters: which.
        progress: called with the bugs done and the bugs in all.
    """
    newest = plan.newest(list(groups))
    found = Linted()
    done = 0
    for pairs in _chunks(pair for pair in plan.pairs() if pair.fix.key in groups):
        files: dict[str, str] = {}
        for pair in pairs:
            files[_name(pair, "before")] = pair.before
            files[_name(pair, "after")] = _fixed(pair).decode()
        messages = linters.run(files)
        for pair in pairs:
            key = pair.fix.key
            _add(found, pair, groups[key], messages, is_clean=key in newest)
        done += len(pairs)
        if progress is not None:
            progress(done, len(groups))
    return found


def _add(
    found: Linted,
    pair: FixPair,
    group: int,
    messages: Mapping[str, Mapping[str, Sequence[LinterMessage]]],
    *,
    is_clean: bool,
) -> None:
    """Counts the messages of every linter before and after a fix.

    Args:
        found: what is added to.
        pair: the fix.
        group: number of the repository.
        messages: by linter and key of the file.
        is_clean: whether the file after the fix counts as clean code.
    """
    fix = pair.fix
    lines = bug_lines(pair.before, fix.edits)
    file: SampledFile | None = None
    if is_clean:
        file = sampled(f"{fix.repo}/{fix.path}", parse(_fixed(pair)))
    for tool, told in messages.items():
        before, after = told[_name(pair, "before")], told[_name(pair, "after")]
        found.bugs[tool].append(linted_bug((fix.key, group, fix.kind), before, after, *lines))
        if file is not None:
            found.clean[tool].append(linted_file(file, group, after))


def _fixed(pair: FixPair) -> bytes:
    after = fixed_source(pair)
    assert after is not None  # else it was not judged
    return after


def _chunks(pairs: Iterator[FixPair]) -> Iterator[list[FixPair]]:
    chunk: list[FixPair] = []
    for pair in pairs:
        chunk.append(pair)
        if len(chunk) == _PAIRS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _name(pair: FixPair, side: str) -> str:
    return f"{side}:{pair.fix.key}:{pair.fix.path}"  # linters treat an `__init__.py` as such


def as_json(
    linted: Linted, few: Populations | None, linters: Linters, groups: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Everything of every linter, for the result.

    Args:
        linted: what they made of everything.
        few: keys of bugs by population; see ``linter_figures.populations``.
        linters: for their versions and options.
        groups: how many repositories there are.
        seed: of the bootstrap over repositories.
    """
    return {
        tool: {
            **linters.facts(tool),
            **linter_figures(bugs, linted.clean[tool], few, groups, seed),
        }
        for tool, bugs in linted.bugs.items()
    }


def installed(cache: Path | None, jobs: int = 1) -> Linters | None:
    """The linters of this environment; None where there is none.

    Args:
        cache: file that keeps their messages for the next time; None keeps nothing.
        jobs: processes at a time.
    """
    tools = available()
    return InstalledLinters(tools, cache, jobs) if tools else None
