"""What the commands do, once the command line is read. Everything heavy is imported here, late."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from codemlm.errors import ModelError, SourceError
from codemlm.source import MAX_BYTES, Failure, Reason, SourceFile, decode_source, read_source
from codemlm.terminal import (
    ProgressLine,
    default_threads,
    open_output,
    utf8_path,
    wants_color,
    width_of,
)

if TYPE_CHECKING:
    from codemlm.calibration import Calibration
    from codemlm.config import Config
    from codemlm.manifest import Manifest
    from codemlm.names_file import NameFinder
    from codemlm.scoring import Scorer

STDIN = "-"
DEFAULT_NOTES = 20
"""Leaves that a listing notes."""


@dataclass(frozen=True, slots=True)
class Output:
    """How results are printed.

    Attributes:
        format: of the command's formats.
        file: path to write to; None: standard output.
        color: "auto", "always" or "never".
        quiet: whether the summary is left out.
    """

    format: str
    file: str | None
    color: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What `codemlm score` was asked for; see its options."""

    path: str
    output: Output
    exact: bool
    gate_only: bool
    top: int | None
    stdin_filename: str
    config: Config


def load_model(folder: Path | None, threads: int) -> tuple[Scorer, Calibration]:
    """The model of a folder, or the shipped one, and its calibration.

    Raises:
        ModelError: if it is missing, corrupt, or made for another version.
    """
    from codemlm.backend import OnnxModel, default_model_path
    from codemlm.manifest import TOKENIZER
    from codemlm.scoring import Scorer
    from codemlm.tokenizer import LeafTokenizer

    folder = folder or default_model_path()
    model = OnnxModel.load(folder, threads=threads)
    _check_grammars(folder, model.manifest)
    tokenizer = LeafTokenizer.load(folder / TOKENIZER)
    return Scorer(model, tokenizer), _calibration_of(model.manifest)


def identify_model(folder: Path | None) -> tuple[str, Calibration]:
    """What tells a model from others, and its calibration, without loading it.

    Raises:
        ModelError: if there is none.
    """
    import hashlib

    from codemlm.backend import default_model_path
    from codemlm.manifest import Manifest

    manifest = Manifest.read(folder or default_model_path())
    text = json.dumps(manifest.as_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest(), _calibration_of(manifest)


def name_finder(isolated: bool) -> NameFinder | None:
    """What finds the project around a file; None where no file of projects is read."""
    from codemlm.names_file import NameFinder

    return None if isolated else NameFinder(lambda text: print_note(f"warning: {text}"))


def print_note(text: str) -> None:
    """Prints a line for people to standard error."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in utf8_path(text))
    sys.stderr.write(f"{printable}\n")


def _calibration_of(manifest: Manifest) -> Calibration:
    from codemlm.calibration import Calibration

    facts = manifest.calibration
    return Calibration() if facts is None else Calibration.from_json(facts)


def _check_grammars(folder: Path, manifest: Manifest) -> None:
    """Checks that node types have the numbers that the model was trained with.

    Raises:
        ModelError: if a grammar's have changed.
    """
    from codemlm.languages import LANGUAGES
    from codemlm.manifest import fingerprint
    from codemlm.syntax import node_type_names

    for language, digest in manifest.node_types.items():
        spec = LANGUAGES.get(language)
        if spec is not None and fingerprint(node_type_names(spec)) != digest:
            raise ModelError(
                f"{folder}: made for another version of {spec.grammar_module}; "
                "install the one that this codemlm asks for, or export the model again"
            )


def stdin_bytes() -> bytes:
    """What standard input holds, up to one byte more than is read of a file."""
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def read_stdin(name: str, data: bytes) -> SourceFile | Failure:
    """What standard input holds as source, under a name."""
    if len(data) > MAX_BYTES:
        return Failure(name, Reason.TOO_LARGE, f"larger than {MAX_BYTES:,} bytes", explicit=True)
    return decode_source(data, name, explicit=True)


def failure_line(failure: Failure) -> str:
    """A line that says what is wrong with a file."""
    kind = "error" if failure.is_error else "note"
    plain = failure.reason in (Reason.MISSING, Reason.NOT_A_FILE)  # the detail says it all
    reason = "" if plain else f"{failure.reason}: "
    line = f"{utf8_path(failure.path)}: {reason}{failure.detail}"
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return f"{kind}: {printable}\n"


def score(request: ScoreRequest) -> int:
    """Runs `codemlm score`; returns the exit code.

    Raises:
        SourceError: if the file cannot be read.
    """
    from codemlm.heatmap import heat_of, heat_record, worst
    from codemlm.languages import PYTHON, language_for_path
    from codemlm.positions import LineIndex
    from codemlm.report import json_text
    from codemlm.syntax import parse

    if request.path == STDIN:
        read = read_stdin(request.stdin_filename, stdin_bytes())
    else:
        read = read_source(request.path, explicit=True)
    if isinstance(read, Failure):
        raise SourceError(failure_line(read).partition(": ")[2].rstrip("\n"))
    parsed = parse(read.source, language_for_path(read.path) or PYTHON)
    config = request.config
    scorer, _ = load_model(config.model_folder, config.threads or default_threads())
    progress = ProgressLine("masking", "leaves")
    try:
        heat = heat_of(
            parsed,
            scorer,
            exact=request.exact,
            gate_only=request.gate_only,
            advance=progress.update,
        )
    finally:
        progress.clear()
    with opened(request.output.file) as out:
        if request.output.format == "json":
            index = LineIndex(read.source)
            for one in heat if request.top is None else worst(heat, request.top):
                out.write(json_text(heat_record(read.path, index, one)) + "\n")
            return 0
        top = DEFAULT_NOTES if request.top is None else request.top
        if request.output.format == "html":
            from codemlm.formats.html import heat_page

            out.write(heat_page(read.path, read.source, heat, worst(heat, top)))
        else:
            from codemlm.listing import Listing

            listing = Listing(
                out, color=wants_color(request.output.color, out), width=width_of(out)
            )
            listing.print_file(read.path, read.source, heat, top)
    return 0


@contextmanager
def opened(path: str | None) -> Iterator[TextIO]:
    """The stream that results go to, flushed in the end, and closed if it is a file."""
    out = open_output(path)
    try:
        yield out
        out.flush()
    finally:
        if path is not None:
            out.close()


def model_facts(folder: Path | None, *, everything: bool = False) -> list[tuple[str, str]]:
    """Names and values of what `codemlm model info` prints.

    Args:
        folder: of the model; None: the shipped one.
        everything: whether the settings and figures of its training are wanted too.

    Raises:
        ModelError: if there is no such model.
    """
    from codemlm.backend import default_model_path
    from codemlm.calibration import Calibration
    from codemlm.manifest import Manifest

    folder = folder or default_model_path()
    manifest = Manifest.read(folder)
    size = sum(file.bytes for file in manifest.files.values())
    facts = [
        ("name", f"{manifest.name} {manifest.version}"),
        ("folder", str(folder)),
        ("size", f"{size / 1e6:.1f} MB"),
        ("languages", ", ".join(manifest.node_types)),
        ("window", f"{manifest.window} subtokens"),
        ("candidates", f"{manifest.num_global:,} frequent leaves, and the names of the file"),
    ]
    if manifest.calibration is None:
        facts.append(("calibration", "none: confidences are not measured"))
    else:
        calibration = Calibration.from_json(manifest.calibration)
        facts.append(("least confidence", f"{calibration.threshold:.3f}"))
        facts += _flat("calibration", calibration.notes, everything)
    if manifest.repositories is None:
        facts.append(("repositories seen", "not recorded"))
    for split, names in (manifest.repositories or {}).items():
        facts.append(
            (f"repositories seen, {split}", ", ".join(names) if everything else f"{len(names)}")
        )
    facts += _flat("training", manifest.training, everything)
    return facts + (list(_flat("parity", manifest.parity, everything)) if everything else [])


def _flat(prefix: str, table: Mapping[str, Any], everything: bool) -> Iterator[tuple[str, str]]:
    """The entries of a nested table under dotted names; without lists, unless all are wanted."""
    for name, value in table.items():
        if isinstance(value, dict):
            if everything or name != "config":
                yield from _flat(f"{prefix}.{name}", value, everything)
        elif everything or not (value is None or isinstance(value, list)):
            yield f"{prefix}.{name}", f"{value:.6g}" if isinstance(value, float) else str(value)
