"""Jobs in worker processes that each load a model once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

Loaded = TypeVar("Loaded")
Job = TypeVar("Job")
Result = TypeVar("Result")

_OF_WORKER: list[Any] = []
"""What this worker has loaded, and what it does with it."""


def mapped(
    load: Callable[[], Loaded],
    run: Callable[[Loaded, Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """The results of jobs, in their order.

    Args:
        load: makes what the jobs need, once in every process; can be pickled, as ``run`` can.
        run: does a job.
        jobs: what is done.
        workers: processes; 1: this one alone.
        progress: called with the jobs done and the jobs in all.
    """
    if workers == 1:
        loaded = load()
        yield from _told((run(loaded, job) for job in jobs), len(jobs), progress)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (load, run)) as pool:
        yield from _told(pool.map(_run, jobs), len(jobs), progress)


def _told(
    results: Iterator[Result], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[Result]:
    for done, result in enumerate(results, 1):
        if progress is not None:
            progress(done, total)
        yield result


def _start(load: Callable[[], Any], run: Callable[[Any, Any], Any]) -> None:
    _OF_WORKER[:] = [load(), run]


def _run(job: Any) -> Any:
    loaded, run = _OF_WORKER
    return run(loaded, job)
