"""Runs something again whenever files change, by asking for their times of change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

Stamps = Mapping[str, tuple[int, int]]
"""By path: time of change in nanoseconds, and size."""

LEAST_PAUSE_S = 0.5
SHARE = 10
"""The pause is so many times what looking took: watching a large tree costs a tenth of a core."""


def stamps_of(paths: Iterable[str]) -> Stamps:
    """The stamps of the files that exist."""
    found = {}
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116  # paths may hold bytes that are no text
        except (OSError, ValueError):
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def watch(
    run: Callable[[], object],
    look: Callable[[], Stamps],
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    """Runs once, and again after every change, until ``sleep`` or ``run`` raises.

    Args:
        run: what is run.
        look: the stamps as they are now.
        sleep: waits for some seconds.
        clock: seconds of a monotonic clock.
    """
    before = look()  # taken before the run, so that a change during it is seen
    run()
    while True:
        began = clock()
        now = look()
        if now != before:
            before = now
            run()
        else:
            sleep(max(LEAST_PAUSE_S, SHARE * (clock() - began)))
