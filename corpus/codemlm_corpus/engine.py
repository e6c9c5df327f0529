"""Where stages run: datatrove's executors, one task after the other or many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from codemlm.errors import CorpusError

EXECUTORS = ("local", "slurm", "ray")
QUIET_VARIABLE = "CODEMLM_CORPUS_QUIET"
Stage = tuple[str, int, list[PipelineStep]]
"""Name, number of tasks, steps."""

# datatrove logs each task's whole pipeline to stderr. Workers import this module anew, so the wish
# travels in the environment.
if os.environ.get(QUIET_VARIABLE):
    logger.disable("datatrove")


@dataclass(frozen=True, slots=True)
class Engine:
    """Where a build runs: the executor's kind, its parallelism, and its own options."""

    kind: str = "local"
    workers: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


def run_stages(stages: Iterable[Stage], out: Path, engine: Engine) -> None:
    """Runs the stages one after the other, with logs in ``out/logs``; on Slurm only queues them.

    Finished tasks leave a mark there, so that a run that was stopped goes on where it was.

    Raises:
        CorpusError: if a stage cannot be run.
    """
    last: PipelineExecutor | None = None
    for name, tasks, pipeline in stages:
        last = make_executor(engine, name, tasks, pipeline, out / "logs" / name, last)
    assert last is not None
    last.run()


def make_executor(
    engine: Engine,
    name: str,
    tasks: int,
    pipeline: list[PipelineStep],
    logs: Path,
    depends: PipelineExecutor | None,
) -> PipelineExecutor:
    """Returns datatrove's executor for one stage, to run after ``depends``.

    Raises:
        CorpusError: for an unknown kind of engine, or one whose package is missing.
    """
    common: dict[str, Any] = {
        "pipeline": pipeline,
        "tasks": tasks,
        "workers": min(engine.workers, tasks) if engine.workers > 0 else tasks,
        "logging_dir": str(logs),
        "depends": depends,
    }
    if engine.kind == "local":
        from datatrove.executor.local import LocalPipelineExecutor

        return LocalPipelineExecutor(**common)
    if engine.kind == "slurm":
        from datatrove.executor.slurm import SlurmPipelineExecutor

        options = {"time": "04:00:00", "job_name": f"codemlm-{name}", **engine.options}
        if "partition" not in options:
            raise CorpusError("slurm needs a partition: --engine-option partition=NAME")
        return SlurmPipelineExecutor(**common, **options)
    if engine.kind == "ray":
        from datatrove.executor.ray import RayPipelineExecutor

        return RayPipelineExecutor(**common, **dict(engine.options))
    raise CorpusError(f"unknown executor {engine.kind!r}; one of {', '.join(EXECUTORS)}")


def write_plan(text: str, out: Path) -> None:
    """Notes in ``out/plan.json`` what is run there, so that a resumed run is the same one.

    Raises:
        CorpusError: if ``out`` holds a run of another plan, or something else.
    """
    path = out / "plan.json"
    if path.exists():
        if path.read_text("utf-8") != text:
            raise CorpusError(f"{out} holds another build; choose a new folder, or remove it")
        return
    if out.exists() and any(out.iterdir()):
        raise CorpusError(f"{out} is not empty and holds no build; choose a new folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
