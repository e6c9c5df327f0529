"""Command line of training.

In the order of use::

    python -m codemlm.train tokenizer --corpus CORPUS --data DATA
    python -m codemlm.train pack --corpus CORPUS --data DATA
    python -m codemlm.train pretrain --data DATA --out RUN
    python -m codemlm.train split-pairs --pairs PAIRS --data DATA --tune TUNE --rest REST
    python -m codemlm.train fixes --pairs TUNE --data DATA --out FIXES
    python -m codemlm.train propose --model RUN --corpus CORPUS/train --out PROPOSALS
    python -m codemlm.train pretrain --init-from RUN --fixes FIXES --proposals PROPOSALS ...
    python -m codemlm.train probe --checkpoint TUNED --pairs VALIDATION
    python -m codemlm.train export --checkpoint TUNED --data DATA --out MODEL
    python -m codemlm.train rank --model MODEL --pairs REST
    python -m codemlm.train collect --model MODEL --pairs REST --out REST.npz
    python -m codemlm.train collect --model MODEL --pairs OTHERS --out OTHERS.npz
    python -m codemlm.train fit --model MODEL --rows REST.npz --calibration-rows OTHERS.npz

PAIRS are the training fixes with their texts (`codemlm corpus pairs`), of which TUNE goes into the
weights and REST into the confidence; VALIDATION and OTHERS are pairs of those splits.

What a scan masks is chosen by the confidence that a model has: collecting and fitting once more,
with the model that was just fitted, lets the second stage see what its own first stage chooses.

``recover`` makes a checkpoint of an exported model, where the run that it came from is gone.

An export and a fit note the repositories that they have seen in the model's manifest.
``repositories`` writes them anew from lists, such as a corpus's ``manifest.jsonl``.

The options of ``pretrain`` are made from the fields of `TrainConfig`. torch and transformers are
imported once a run begins, so ``--help`` answers at once. Under torchrun, every process runs this
same command.
"""

from __future__ import annotations

import ctypes
import os
import types
from dataclasses import fields, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import click

from codemlm.errors import UsageError
from codemlm.help import Group
from codemlm.train.build import build_model
from codemlm.train.config import NUM_FREQUENT, VOCAB_SIZE, TrainConfig
from codemlm.train.console import ConsoleReporter, ProgressLines, reported
from codemlm.train.fit_commands import collect_command, fit_command, rank_command
from codemlm.train.loop import Trainer, open_source

if TYPE_CHECKING:
    from collections.abc import Callable


def option_type(hint: Any) -> tuple[Any, bool, bool]:
    """Click's type for a field's type; whether it repeats; whether it is a flag."""
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint)), False, False
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True, False
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is Path:
        return click.Path(path_type=Path), False, False
    return hint, False, hint is bool


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each field of `TrainConfig` that has a help text."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    for f in reversed(fields(TrainConfig)):
        if get_origin(hints[f.name]) is not Annotated:
            continue
        hint, text = get_args(hints[f.name])
        kind, multiple, flag = option_type(hint)
        required = f.name in ("data", "out")
        command = click.option(
            "--" + f.name.replace("_", "-"),
            type=None if flag else kind,
            is_flag=flag,
            multiple=multiple,
            required=required,
            default=None if required else f.default,
            show_default=not (flag or required or f.default in (None, ())),
            help=text,
        )(command)
    return command


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory for the next step; does nothing elsewhere.

    By default tensors over 32 MB are mapped and unmapped anew each time they are made, and the
    kernel has to clear their pages: two sums of 64 MB tensors took 2.5 times as long.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # their numbers in malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)
    mallopt(top_pad, 1 << 28)


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that all preparation of data has."""
    folder = click.Path(file_okay=False, path_type=Path)
    for option in (
        click.option("--force", is_flag=True, help="Make anew what is there already."),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Processes; each takes some hundred megabytes.",
        ),
        click.option(
            "--data",
            type=folder,
            required=True,
            help="Folder of training data, with tokenizer.json and a folder of shards a split.",
        ),
        click.option(
            "--corpus", type=folder, required=True, help="Folder that 'codemlm_corpus build' made."
        ),
    ):
        command = option(command)
    return command


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
def main() -> None:
    """Trains codemlm models: tokenizer, pack, pretrain, export, collect, then fit."""


main.add_command(collect_command)
main.add_command(fit_command)
main.add_command(rank_command)


@main.command()
@data_options
@click.option(
    "--vocab-size", default=VOCAB_SIZE, show_default=True, help="Subtokens, special ones included."
)
@click.option(
    "--frequent",
    default=NUM_FREQUENT,
    show_default=True,
    help="Global candidates: leaves that may be meant anywhere.",
)
def tokenizer(
    corpus: Path, data: Path, workers: int, force: bool, vocab_size: int, frequent: int
) -> None:
    """Trains the tokenizer on the training split of a corpus: DATA/tokenizer.json.

    Shards and models made with an older tokenizer do not fit a new one, so an existing one is only
    replaced with --force.
    """
    from codemlm.train.prepare import build_tokenizer

    path = data / "tokenizer.json"
    with reported():
        if path.exists() and not force:
            raise UsageError(
                f"{path} exists, and shards and models may need it; choose another --data folder, "
                "or replace it with --force"
            )
        made = build_tokenizer(
            corpus / "train",
            path,
            vocab_size=vocab_size,
            num_frequent=frequent,
            workers=workers,
            progress=ProgressLines("tokenizer"),
        )
    sizes = f"{made.vocab_size:,} subtokens, {len(made.frequent):,} frequent leaves"
    click.echo(f"{path}: {sizes}", err=True)


@main.command()
@data_options
def pack(corpus: Path, data: Path, workers: int, force: bool) -> None:
    """Encodes the splits of a corpus with DATA/tokenizer.json into shards that training reads.

    One shard a repository. A shard made from the same corpus file with the same tokenizer is kept,
    so a stopped run goes on where it was when run again; all others are made anew.
    """
    from codemlm.train.prepare import SPLITS, pack

    with reported():
        for split in SPLITS:
            if split != "train" and not any((corpus / split).glob("*.jsonl.gz")):
                if (data / split).exists():
                    raise UsageError(
                        f"{data / split}: the corpus has no such split (any longer); delete this "
                        "folder, or choose another --data folder"
                    )
                click.echo(f"{split}: the corpus has none", err=True)
                continue
            size = pack(
                corpus / split,
                data / split,
                data / "tokenizer.json",
                workers=workers,
                force=force,
                progress=ProgressLines(split),
            )
            click.echo(
                f"{split}: {size.repositories:,} repositories, {size.files:,} files, "
                f"{size.units:,} units, {size.subtokens:,} subtokens",
                err=True,
            )


@main.command("fixes")
@click.option("--pairs", type=Path, required=True, help="Fixes with their texts (corpus pairs).")
@click.option("--data", type=Path, required=True, help="Folder with tokenizer.json.")
@click.option("--out", type=Path, required=True, help="Folder for the shards.")
def fixes_command(pairs: Path, data: Path, out: Path) -> None:
    """Packs real fixes into shards for fine-tuning (pretrain --fixes)."""
    from codemlm.train.fixes import pack_fixes

    def progress(done: int, text: str) -> None:
        click.echo(f"fixes {done:,}  {text}", err=True)

    with reported():
        counts = pack_fixes(pairs, out, data / "tokenizer.json", progress)
    for reason, count in counts.most_common():
        click.echo(f"{count:>7,}  {reason}", err=True)


@main.command("split-pairs")
@click.option("--pairs", type=Path, required=True, help="Fixes with their texts (corpus pairs).")
@click.option("--data", type=Path, required=True, help="Folder of pre-training: its repositories.")
@click.option(
    "--share", default=0.4, show_default=True, help="Of the other repositories, for TUNE."
)
@click.option("--tune", type=Path, required=True, help="File for the pairs of fine-tuning.")
@click.option("--rest", type=Path, required=True, help="File for those of the confidence's fit.")
def split_pairs_command(pairs: Path, data: Path, share: float, tune: Path, rest: Path) -> None:
    """Parts the training fixes by repository: for fine-tuning, and for fitting the confidence."""
    from codemlm.train.fixes import write_split

    with reported():
        counts = write_split(pairs, data, share, tune, rest)
    click.echo(f"{tune}: {counts[0]:,} pairs; {rest}: {counts[1]:,}", err=True)


@main.command("propose")
@click.option("--model", type=Path, required=True, help="Exported model, or a checkpoint.")
@click.option("--corpus", type=Path, required=True, help="A training split of a corpus.")
@click.option("--out", type=Path, required=True, help="Folder for the shards.")
@click.option("--files", default=4000, show_default=True, help="How many to sample.")
@click.option("--threads", default=1, show_default=True, help="Of the model.")
def propose_command(model: Path, corpus: Path, out: Path, files: int, threads: int) -> None:
    """Takes a model's plausible wrong leaves and its alarms from training code, as shards."""
    from codemlm.train.proposals import propose_folder
    from codemlm.train.scorers import load_scorer
    from codemlm.train.shards import hash_tokenizer

    with reported():
        made = propose_folder(
            load_scorer(model, threads),
            corpus,
            out,
            files=files,
            tokenizer_sha256=hash_tokenizer(model / "tokenizer.json"),
            progress=ProgressLines("propose"),
        )
    click.echo(f"{out}: {made:,} files", err=True)


@main.command()
@config_options
def pretrain(**options: Any) -> None:
    """Trains a model on a folder of shards, or goes on from the newest checkpoint in OUT.

    On several processes: torchrun --nproc-per-node N -m codemlm.train pretrain ...
    Ctrl-C and SIGTERM stop after the step under way, with a checkpoint.
    """
    # Read when torch is loaded. Threads that spin while they wait for each other made a run on a
    # busy machine (load 6 on 2 cores) about ten times slower than threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    reporter = ConsoleReporter()
    with reported():
        try:
            trainer = Trainer(TrainConfig(**options), open_source, build_model, reporter)
            result = trainer.run()
        finally:
            reporter.stop()
    if trainer.ranks.rank == 0:
        click.echo(result.checkpoint)


@main.command("recover")
@click.option("--model", type=Path, required=True, help="Model folder, as a package ships it.")
@click.option("--out", type=Path, required=True, help="Run folder for the checkpoint.")
@click.option(
    "--model-config", type=Path, help="JSON with fields of CodeMLMConfig, such as gate_weight."
)
def recover_command(model: Path, out: Path, model_config: Path | None) -> None:
    """Makes a checkpoint of an exported model, to train on from (pretrain --init-from OUT)."""
    from codemlm.train.build import read_fields
    from codemlm.train.recover import recover

    with reported():
        click.echo(recover(model, out, settings=read_fields(model_config)))


@main.command("probe")
@click.option("--checkpoint", type=Path, required=True, help="A step-... folder, or its run's.")
@click.option("--pairs", type=Path, required=True, help="Real fixes with texts, .jsonl.gz.")
@click.option("--limit", type=click.IntRange(min=1), help="Bugs, evenly over repositories.")
@click.option("--injected", type=Path, help="Documents (.jsonl.gz) to put mistakes into, as well.")
@click.option("--injected-files", default=200, show_default=True, help="How many of them.")
@click.option("--seed", default=0, show_default=True, help="Of choices, and of intervals.")
@click.option("--threads", default=1, show_default=True, help="Of the model.")
@click.option("--json", "out", type=Path, help="File for all figures.")
def probe_command(checkpoint: Path, threads: int, out: Path | None, **options: Any) -> None:
    """Tells within minutes how a checkpoint does on real bugs, each in one window around it."""
    from codemlm.train.probe import ProbeSettings, probe

    with reported():
        click.echo(probe(checkpoint, ProbeSettings(**options), threads=threads, out=out))


@main.command("export")
@click.option("--checkpoint", type=Path, required=True, help="A step-... folder, or its run's.")
@click.option("--data", type=Path, required=True, help="The folder that training had.")
@click.option("--out", type=Path, required=True, help="Model folder to write.")
@click.option("--version", default="0", show_default=True, help="Of the model.")
@click.option("--max-noise", type=float, help="Rounding error at which matrices stay float32.")
def export_command(max_noise: float | None, **options: Any) -> None:
    """Writes the 8-bit model that ships, if it scores as the trained one does."""
    from codemlm.train.export import ExportSettings, describe, export

    settings = ExportSettings(version=options.pop("version"))
    if max_noise is not None:
        settings = replace(settings, max_noise=max_noise)
    with reported():
        click.echo(describe(export(**options, settings=settings)))


@main.command("repositories")
@click.option("--model", type=Path, required=True, help="Model folder; its manifest is changed.")
@click.option(
    "--list",
    "lists",
    type=Path,
    required=True,
    multiple=True,
    metavar="FILE",
    help="JSON lines with `repo` and `split`, such as corpus/manifest.jsonl; can be repeated.",
)
def repositories_command(model: Path, lists: tuple[Path, ...]) -> None:
    """Notes in a model's manifest which repositories training and calibration have seen."""
    from codemlm.train.provenance import merged, of_listing, record

    with reported():
        seen = record(model, merged(map(of_listing, lists))).repositories or {}
        click.echo(", ".join(f"{split}: {len(names)}" for split, names in seen.items()))


if __name__ == "__main__":
    main(prog_name="python -m codemlm.train")
