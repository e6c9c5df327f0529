r"""Trains a model without each of its parts, at an equal budget, and writes one table of them all.

    python benchmarks/ablations.py --data DATA --model-config MODEL.json --pairs PAIRS.jsonl.gz \
        --injected CORPUS/validation --tokens 20000000 --out OUT -- --window 384

Each variant is a set of options of `python -m codemlm.train pretrain`, put after those that all
have in common (what follows `--`). They run one after the other; a run that was stopped goes on
where it was, and a variant with a probe is finished. `--tune` adds a second stage, with real fixes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed import commit, cores, machine, version

from codemlm.evaluation.probe import RATIO
from codemlm.evaluation.rankers import GATE_RATIO, MASKED_RATIO

VERSIONS = ("codemlm", "torch", "transformers", "numpy")


@dataclass(frozen=True, slots=True)
class Variant:
    """A model with something changed.

    Attributes:
        name: of its folder and its row.
        what: the change, for readers.
        options: of `pretrain`.
        untuned: options of the second stage that it goes without, each with its value; a variant
            that has some differs in that stage alone, and starts from the full model.
        ranker: by which its single pass is judged.
    """

    name: str
    what: str
    options: tuple[str, ...] = ()
    untuned: tuple[str, ...] = ()
    ranker: str = GATE_RATIO


def _model(setting: str) -> tuple[str, ...]:
    return ("--model-set", setting)


FULL = "full"
VARIANTS = (
    Variant(FULL, "everything"),
    Variant("piece-masking", "single subtokens masked, not whole leaves", ("--masking", "piece")),
    Variant(
        "no-wrong-leaves",
        "no injected wrong leaves: 90 % masked, 10 % kept",
        ("--replaced-share", "0", "--wrong-rate-start", "0", "--wrong-rate-end", "0"),
        ranker=RATIO,
    ),
    # With a weight of 0 the gate would still learn, as a factor of the likelihood.
    Variant("no-gate", "no keep gate", _model("keep_gate=false"), ranker=RATIO),
    Variant("no-fixes", "fine-tuned without real fixes", untuned=("--fixes", "--fixes-share")),
    Variant("left-to-right", "attention to what stands before alone", _model("causal=true")),
    Variant("no-slots", "no slots of names", _model("use_slots=false")),
    Variant("no-syntax", "no parent and grandparent types", _model("use_syntax=false")),
    Variant("mask-15", "15 % of leaves selected", ("--mask-rate", "0.15")),
    Variant("mask-30", "30 % of leaves selected", ("--mask-rate", "0.3")),
    Variant("bert", "BERT as the encoder", _model("encoder_type=bert")),
    Variant("roberta", "RoBERTa as the encoder", _model("encoder_type=roberta")),
    Variant("deberta", "DeBERTa v2 as the encoder", _model("encoder_type=deberta-v2")),
)

COLUMNS = (
    "variant", "parameters", "tokens/s", "masked accuracy", "masked loss", "ranked by", "AUC",
    "at 0.1 %", "top-1", "repair", "AUC, masked", "repair, masked", "AUC, injected",
    "top-1, injected",
)  # fmt: skip


def call(command: Sequence[str]) -> None:
    """Runs a command; its output is this script's.

    Raises:
        SystemExit: if it fails.
    """
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SystemExit(f"`{shlex.join(command)}` failed with {code}")


class Ablations:
    """Runs variants, and keeps what came of them in a folder.

    Args:
        options: of the command line.
        common: options of `pretrain` that all variants have.
    """

    def __init__(self, options: argparse.Namespace, common: Sequence[str]) -> None:
        self.options = options
        self.common = list(common)

    def commands(self, variant: Variant) -> list[list[str]]:
        """What trains a variant, and what probes it last."""
        options, out = self.options, self.options.out
        first = out / (FULL if variant.untuned else variant.name) / "pretrain"
        budget = ["--total-tokens", str(options.tokens), *self._sources(), *self.common]
        commands = [[*self._trainer(), "--out", str(first), *budget, *variant.options]]
        if options.tune:
            second = out / variant.name / "tuned"
            chosen = without(shlex.split(options.tune), variant.untuned)
            given = [*self._sources(), *self.common, *variant.options, *chosen]
            start = ["--out", str(second), "--init-from", str(first)]
            commands.append([*self._trainer(), *start, *given])
            first = second
        probe = [sys.executable, "-m", "codemlm.train", "probe", "--checkpoint", str(first)]
        probe += ["--pairs", str(options.pairs), "--threads", str(options.threads)]
        probe += ["--json", str(self.probe_file(variant))]
        if options.limit is not None:
            probe += ["--limit", str(options.limit)]
        if options.injected is not None:
            probe += ["--injected", str(options.injected)]
            probe += ["--injected-files", str(options.injected_files)]
        return [*commands, probe]

    def _trainer(self) -> list[str]:
        if self.options.processes == 1:
            return [sys.executable, "-m", "codemlm.train", "pretrain"]
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(self.options.processes)]
        return [sys.executable, *launcher, "-m", "codemlm.train", "pretrain"]

    def _sources(self) -> list[str]:
        options = self.options
        found = ["--data", str(options.data), "--seed", str(options.seed)]
        found += ["--threads", str(options.threads), "--keep-checkpoints", "1", "--eval-every", "0"]
        if options.model_config is not None:
            found += ["--model-config", str(options.model_config)]
        return found

    def probe_file(self, variant: Variant) -> Path:
        """Where a variant's figures go."""
        path: Path = self.options.out / variant.name / "probe.json"
        return path

    def run(self, variant: Variant) -> None:
        """Trains and probes a variant, unless it is finished.

        Raises:
            SystemExit: a command fails, or the folder holds a run with other options.
        """
        commands = self.commands(variant)
        folder = self.options.out / variant.name
        known = folder / "commands.json"
        wanted = [command[1:] for command in commands]
        if known.exists() and json.loads(known.read_text("utf-8")) != wanted:
            raise SystemExit(
                f"{folder}: a run with other options; remove it, or give another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(wanted, indent=1), "utf-8")
        if self.probe_file(variant).exists():
            return
        for command in commands:
            print(f"{variant.name}: {shlex.join(command[1:])}", file=sys.stderr, flush=True)
            call(command)

    def result(self, variant: Variant) -> dict[str, Any] | None:
        """What is known of a finished variant; None if it is not finished."""
        path = self.probe_file(variant)
        if not path.exists():
            return None
        found = {"variant": variant.name, "what": variant.what, "options": list(variant.options)}
        first = FULL if variant.untuned else variant.name
        speed = tokens_per_s(self.options.out / first / "pretrain" / "metrics.jsonl")
        probe = json.loads(path.read_text("utf-8"))
        return {**found, "ranker": variant.ranker, "tokens_per_s": speed, "probe": probe}


def without(words: Sequence[str], names: Iterable[str]) -> list[str]:
    """A command line without some options and their values."""
    left, waiting = [], iter(words)
    for word in waiting:
        if word in names:
            next(waiting, None)
        elif word.partition("=")[0] not in names:
            left.append(word)
    return left


def tokens_per_s(path: Path) -> float | None:
    """Median speed of a run's training, by its metrics; None if it was too short to tell."""
    if not path.exists():
        return None
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    speeds = [row["tokens_per_s"] for row in rows if row["kind"] == "train"]
    return float(statistics.median(speeds)) if speeds else None


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """The table: a row a variant."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    for result in results:
        real, injected = result["probe"]["real"], result["probe"].get("injected")
        masked, single = real["masked"], real["rankers"][result["ranker"]]
        hidden = real["rankers"][MASKED_RATIO]
        other = injected["rankers"][result["ranker"]] if injected else {}
        speed = result["tokens_per_s"]
        cells = [
            f"{result['variant']}: {result['what']}",
            f"{result['probe']['parameters'] / 1e6:.2f} M",
            "-" if speed is None else f"{speed:,.0f}",
            percent(masked.get("accuracy")),
            number(masked.get("loss")),
            result["ranker"],
            *(percent(single.get(n)) for n in ("auc", "recall_at_0.1", "top1", "repair_top1")),
            *(percent(hidden.get(name)) for name in ("auc", "repair_top1")),
            *(percent(other.get(name)) for name in ("auc", "top1")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def percent(figure: Mapping[str, float | None] | None) -> str:
    """A share and its 95 % interval in per cent."""
    if not figure or figure["value"] is None:
        return "-"
    value, low, high = (100 * (figure[name] or 0.0) for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.0f}-{high:.0f})"


def number(figure: Mapping[str, float | None] | None) -> str:
    """A figure and its 95 % interval."""
    if not figure or figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} ({figure['low']:.2f}-{figure['high']:.2f})"


def head(options: argparse.Namespace, common: Sequence[str]) -> str:
    """Where and how it ran, as Markdown; folders of this machine have made-up names."""
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    words = f"--data DATA --pairs PAIRS --out OUT --tokens {options.tokens}"
    words += f" -- {shlex.join(common)}" if common else ""
    budget = f"{options.tokens:,} subtokens a variant, seed {options.seed}"
    budget += "; with a second stage (`--tune`)" if options.tune else ""
    lines = [
        f"# Ablations, {datetime.datetime.now(datetime.UTC).date()}",
        "",
        f"- Machine: {machine()}, {cores()} cores, {platform.system()} {platform.machine()}",
        f"- Commit: {commit()}; Python {platform.python_version()}, {versions}",
        f"- {budget}; {options.processes} processes of {options.threads} threads",
        f"- Command: `python benchmarks/ablations.py {words}`",
        "- One run a variant: differences within the intervals may be chance.",
    ]
    return "\n".join([*lines, "", ""])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--data", type=Path, required=True, help="folder of shards and tokenizer")
    made.add_argument("--model-config", type=Path, help="JSON with fields of CodeMLMConfig")
    made.add_argument("--pairs", type=Path, required=True, help="real fixes to probe with")
    made.add_argument("--limit", type=int, help="of those, evenly over repositories")
    made.add_argument("--injected", type=Path, help="documents (.jsonl.gz) to put mistakes into")
    made.add_argument("--injected-files", type=int, default=200, help="how many of them")
    made.add_argument("--tokens", type=int, default=20_000_000, help="subtokens a variant")
    made.add_argument("--tune", help="options of pretrain for a second stage, as one word")
    made.add_argument("--only", nargs="+", choices=[v.name for v in VARIANTS], help="variants")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--processes", type=int, default=1, help="of training, by torchrun")
    made.add_argument("--threads", type=int, default=1, help="a process")
    made.add_argument("--out", type=Path, required=True, help="folder for runs and the table")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is not finished yet, and writes the table after each variant."""
    own = list(sys.argv[1:] if arguments is None else arguments)
    common: list[str] = []
    if "--" in own:
        own, common = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser().parse_args(own)
    ablations = Ablations(options, common)
    options.out.mkdir(parents=True, exist_ok=True)
    full = VARIANTS[0]
    for variant in VARIANTS:
        if options.only and variant.name not in options.only:
            continue
        if variant.untuned and not options.tune:
            print(f"{variant.name}: needs --tune; left out", file=sys.stderr)
            continue
        if variant.untuned:
            ablations.run(full)  # it starts from there
        ablations.run(variant)
        results = [found for each in VARIANTS if (found := ablations.result(each)) is not None]
        (options.out / "ablations.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        page = head(options, common) + markdown(results)
        (options.out / "ablations.md").write_text(page, "utf-8")
    print(options.out / "ablations.md")


if __name__ == "__main__":
    main()
