"""What `codemlm surprise` does, once the command line is read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from codemlm import commands
from codemlm.changes import (
    Changes,
    changed_files,
    changes_since,
    old_contents,
    real_path,
    staged_changes,
)
from codemlm.commands import Output, failure_line, opened
from codemlm.config_files import ConfigFiles, ConfigRequest
from codemlm.discovery import Discovery
from codemlm.generated import is_generated
from codemlm.notebooks import is_notebook
from codemlm.positions import LineIndex
from codemlm.report import counted, json_text, number, place
from codemlm.source import Failure, Reason, SourceFile, decode_source, read_source
from codemlm.surprise import ChangedText, Surprise, surprises
from codemlm.terminal import ProgressLine, default_threads, utf8_path, wants_color, width_of


@dataclass(frozen=True, slots=True)
class SurpriseRequest:
    """What `codemlm surprise` was asked for; see its options.

    Attributes:
        paths: files and folders.
        config: where the configuration comes from.
        since: revision of git; None: what is staged.
        number: of leaves to show.
        output: how to print them.
    """

    paths: Sequence[str]
    config: ConfigRequest
    since: str | None
    number: int
    output: Output


def surprise(request: SurpriseRequest) -> int:
    """Runs `codemlm surprise`; returns the exit code.

    Raises:
        UsageError: if there is no git, no repository, or no such revision.
        ModelError: if there is no model.
    """
    files = request.config.files()
    changes = staged_changes() if request.since is None else changes_since(request.since)
    failures: list[Failure] = []
    texts = list(_texts(request, changes, files, failures))
    for failure in failures:
        if failure.is_error or failure.explicit:
            sys.stderr.write(failure_line(failure))
    found: list[Surprise] = []
    if texts:
        config = files.of_folder(".").config
        threads = config.threads or default_threads()
        scorer, _ = commands.load_model(config.model_folder, threads)
        progress = ProgressLine("masking", "leaves")
        try:
            found = surprises(
                scorer, texts, lambda path, done, total: progress.update(done, total, path)
            )
        finally:
            progress.clear()
    shown = [one for one in found if one.excess > 0][: request.number]
    with opened(request.output.file) as out:
        _print(request.output, out, shown)
    sys.stderr.write(_summary(request, texts, found, shown) + "\n")
    return 2 if any(failure.is_error for failure in failures) else 0


def _texts(
    request: SurpriseRequest, changes: Changes, files: ConfigFiles, failures: list[Failure]
) -> Iterator[ChangedText]:
    """The changed files that are source; adds what cannot be read to ``failures``."""
    old = old_contents(request.since)
    discovery = Discovery(files.walk_rules)
    for target in changed_files(request.paths, changes, discovery, files):
        read: SourceFile | Failure
        if isinstance(target, SourceFile | Failure):
            read = target
        else:
            limit = files.of_file(target.path).config.max_bytes
            read = read_source(target.path, explicit=target.explicit, limit=limit)
        if isinstance(read, SourceFile) and is_notebook(read.path):
            detail = "a notebook, whose lines are not those of its cells"
            read = Failure(read.path, Reason.LANGUAGE, detail, explicit=True)
        if isinstance(read, Failure):
            failures.append(read)
            continue
        generated = is_generated(read.source)
        if generated and not files.of_file(read.path).config.include_generated:
            continue
        yield _text(read, changes, old.get(real_path(read.path)))


def _text(read: SourceFile, changes: Changes, old: bytes | None) -> ChangedText:
    before = None if old is None else decode_source(old, read.path)
    ranges = changes.lines.get(real_path(read.path), ())

    def changed(line: int) -> bool:
        return ranges is None or any(first <= line <= last for first, last in ranges)

    source = before.source if isinstance(before, SourceFile) else None
    return ChangedText(read.path, read.source, source, changed)


def _summary(
    request: SurpriseRequest,
    texts: Sequence[ChangedText],
    found: Sequence[Surprise],
    shown: Sequence[Surprise],
) -> str:
    """One line that says what was looked at."""
    what = "staged" if request.since is None else f"changed since {request.since}"
    if not texts:
        return f"No source file is {what}."
    looked = f"{counted(len(found), 'leaf').replace('leafs', 'leaves')} of changed lines"
    looked += f" in {counted(len(texts), 'file')}"
    if not found:
        return f"No leaf that is judged stands on lines {what}."
    if not shown:
        return f"Nothing is more surprising than usual: {looked}."
    return f"{len(shown):,} of {looked}."


def _print(output: Output, out: TextIO, shown: Sequence[Surprise]) -> None:
    if output.format == "json":
        out.writelines(json_text(surprise_record(one)) + "\n" for one in shown)
        return
    from codemlm.surprise_text import SurprisePrinter

    printer = SurprisePrinter(out, color=wants_color(output.color, out), width=width_of(out))
    for one in shown:
        printer.print_one(one)


def surprise_record(one: Surprise) -> dict[str, Any]:
    """A leaf as the JSON object that ``codemlm surprise --output-format json`` prints."""
    return {
        "path": utf8_path(one.text.path),
        **place(LineIndex(one.text.source), one.leaf.span),
        "text": one.leaf.text,
        "role": one.leaf.role.name.lower(),
        "likelihood": number(one.likelihood),
        "surprisal": number(one.surprisal),
        "usual": number(one.usual),
        "usual_of": one.usual_of or None,
        "excess": number(one.excess),
        "alternatives": [
            {"text": a.text, "likelihood": number(a.likelihood)} for a in one.alternatives
        ],
    }
