"""The stages of a build.

::

    read       one task a repository: git -> filters -> intermediate files, exact-duplicate hashes
    exact      one task: finds exact duplicates
    signature  one task a repository: MinHash signatures of what is left
    buckets    one task a bucket: finds near-duplicate pairs
    cluster    one task: joins pairs, picks one file of each cluster
    write      one task a repository: drops duplicates, caps, writes the splits
    manifest   one task: gathers counts

Each stage marks its finished tasks, so a build that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.exact_dedup import ExactDedupSignature, ExactFindDedups
from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster

from codemlm.errors import CorpusError
from codemlm_corpus.caps import RepositoryCap
from codemlm_corpus.config import BuildConfig, Repository
from codemlm_corpus.dedup import (
    CodeSignature,
    ExactFilter,
    NearFilter,
    exact_config,
    minhash_config,
)
from codemlm_corpus.engine import Engine, Stage, run_stages, write_plan
from codemlm_corpus.exclude import ExcludedPaths
from codemlm_corpus.filters import (
    DataFilter,
    ExcludedPathFilter,
    HeaderFilter,
    PathFilter,
    SizeFilter,
    SyntaxFilter,
)
from codemlm_corpus.git import resolve_commit
from codemlm_corpus.heldout import HeldOut, normalise_name
from codemlm_corpus.jsonl import JsonLinesReader, JsonLinesWriter
from codemlm_corpus.manifest import ManifestStep
from codemlm_corpus.reader import GitReader
from codemlm_corpus.split import split_of

_OUTPUT_FIELDS = ("repo", "commit", "licence", "path")
_LINES_BUFFERED = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A build's fixed input; written to ``plan.json``, so that a resumed build is the same one."""

    config: BuildConfig
    repositories: tuple[Repository, ...]
    held_out: HeldOut
    excluded: tuple[str, ...]
    excluded_paths: ExcludedPaths = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the plan as JSON, the same text for equal plans."""
        document = {
            "config": asdict(self.config),
            "repositories": [asdict(repository) for repository in self.repositories],
            "held_out": sorted(self.held_out.repositories),
            "excluded_held_out": list(self.excluded),
            "excluded_paths": {k: sorted(paths) for k, paths in self.excluded_paths.items()},
        }
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


def make_plan(
    rows: Sequence[tuple[str, str, str]],
    config: BuildConfig,
    held_out: HeldOut,
    pins: Mapping[str, str],
    resolve: Callable[[str], str] = resolve_commit,
    excluded_paths: ExcludedPaths | None = None,
) -> Plan:
    """Returns the plan for ``(name, git directory, commit)`` rows, without held-out ones.

    Args:
        resolve: gives the commit of a row without one, from its git directory.
        excluded_paths: what is left out of which repository.

    Raises:
        CorpusError: if two rows name the same repository, or none is left.
    """
    kept: dict[str, Repository] = {}
    excluded = []
    for name, git_dir, commit in rows:
        key = normalise_name(name)
        if held_out.excludes_repository(name):
            excluded.append(name)
            continue
        if key in kept:
            raise CorpusError(f"{name} is listed twice")
        split = split_of(name, config.split_shares, pins)
        kept[key] = Repository(name, git_dir, commit or resolve(git_dir), split)
    if not kept:
        raise CorpusError("no repository is left to read")
    repositories = tuple(kept[k] for k in sorted(kept))
    return Plan(config, repositories, held_out, tuple(sorted(excluded)), excluded_paths or {})


def build(plan: Plan, out: Path, engine: Engine, keep_work: bool = False) -> None:
    """Runs the whole build into ``out``; on Slurm it only queues it.

    Raises:
        CorpusError: if ``out`` holds a build of another plan, or a stage cannot be run.
    """
    write_plan(plan.to_json(), out)
    run_stages(stages(plan, out), out, engine)
    if engine.kind == "local" and not keep_work:
        shutil.rmtree(out / "work", ignore_errors=True)


def stages(plan: Plan, out: Path) -> list[Stage]:
    """Returns the stages in order: name, number of tasks, steps."""
    config, count, work = plan.config, len(plan.repositories), out / "work"
    exact, minhash = exact_config(), minhash_config(config)
    documents = str(work / "documents")
    deduplicated: list[PipelineStep] = [
        JsonLinesReader(documents),
        ExactFilter(str(work / "exact"), config=exact),
    ]
    read = [*_read_steps(plan, work), ExactDedupSignature(str(work / "hashes"), config=exact)]
    result: list[Stage] = [
        ("read", count, read),
        ("exact", 1, [_find_exact(work)]),
    ]
    near: list[PipelineStep] = []
    if config.near_duplicates:
        signatures, pairs = str(work / "signatures"), str(work / "pairs")
        near = [NearFilter(str(work / "clusters"), lines_to_buffer=_LINES_BUFFERED)]
        result += [
            ("signature", count, [*deduplicated, CodeSignature(signatures, minhash)]),
            (
                "buckets",
                config.minhash_buckets,
                [
                    MinhashDedupBuckets(
                        signatures, pairs, config=minhash, lines_to_buffer=_LINES_BUFFERED
                    )
                ],
            ),
            ("cluster", 1, [MinhashDedupCluster(pairs, str(work / "clusters"), config=minhash)]),
        ]
    write = [
        *deduplicated,
        *near,
        RepositoryCap(config.max_repository_bytes, config.test_share),
        JsonLinesWriter(str(out), "${split}/${slug}.jsonl.gz", _OUTPUT_FIELDS),
    ]
    return [*result, ("write", count, write), ("manifest", 1, [ManifestStep(str(out))])]


def _read_steps(plan: Plan, work: Path) -> list[PipelineStep]:
    config = plan.config
    return [
        GitReader(plan.repositories, str(work.parent / "logs" / "facts")),
        PathFilter(plan.held_out, config.drop_migrations),
        ExcludedPathFilter(plan.excluded_paths),
        SizeFilter(config),
        HeaderFilter(plan.held_out),
        SyntaxFilter(),
        DataFilter(config.data_share),
        JsonLinesWriter(
            str(work / "documents"), "${rank}.jsonl", (*_OUTPUT_FIELDS, "split", "slug")
        ),
    ]


def _find_exact(work: Path) -> PipelineStep:
    found = work / "exact"
    found.mkdir(parents=True, exist_ok=True)  # datatrove lists it even when nothing was found
    return ExactFindDedups(
        str(work / "hashes"), str(found), config=exact_config(), lines_to_buffer=_LINES_BUFFERED
    )
