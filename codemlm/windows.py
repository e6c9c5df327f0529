"""Cuts a file into overlapping windows for scanning: every leaf has context on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codemlm.units import EncodedFile


@dataclass(frozen=True, slots=True)
class ScanWindow:
    """Units ``[start, stop)`` in one forward pass, of which ``[first, last)`` are judged in it."""

    start: int
    stop: int
    first: int
    last: int


def plan_windows(file: EncodedFile, size: int, margin: int) -> list[ScanWindow]:
    """Windows of at most ``size`` subtokens that judge each unit once, ``margin`` from their edges.

    Windows begin at logical lines where the margin allows; at a file's ends there is no context to
    have, and the first and last windows judge up to them.

    Args:
        file: the encoded file.
        size: subtokens a window.
        margin: subtokens of context on either side of what a window judges.

    Raises:
        ValueError: if the margins leave nothing to judge.
    """
    if 2 * margin >= size:
        raise ValueError(f"margin {margin} leaves nothing of a window of {size}")
    ends = np.cumsum(file.unit_lengths.astype(np.int64))
    count = len(ends)
    if not count:
        return []
    begins = ends - file.unit_lengths
    is_line_start = np.ones(count, dtype=bool)
    is_line_start[1:] = file.text_is_run[file.unit_text[:-1]]
    rank = _rank(file)
    windows: list[ScanWindow] = []
    start = first = 0
    while True:
        stop = int(np.searchsorted(ends, begins[start] + size, side="right"))
        stop = max(stop, start + 1)
        if stop >= count:
            windows.append(ScanWindow(start, count, first, count))
            return windows
        last = int(np.searchsorted(ends, ends[stop - 1] - margin, side="right"))
        last = max(last, first + 1)
        windows.append(ScanWindow(start, stop, first, last))
        first = last
        following = int(np.searchsorted(begins, begins[first] - margin, side="left"))
        # Prefer the beginning of a line, a quarter margin around: models are trained on such ones.
        # Which one depends on its text alone, so that below an edit the old windows soon fit again.
        early = int(np.searchsorted(begins, begins[following] - margin // 4, side="left"))
        lines = np.flatnonzero(is_line_start[early : first + 1]) + early
        close = lines[begins[lines] <= begins[following] + margin // 4]
        start = max(int(close[np.argmin(rank[close])]) if len(close) else following, start + 1)
        if begins[-1] - begins[start] < size:  # near the end: move back so that the window is full
            full = int(np.searchsorted(begins, max(0, int(ends[-1]) - size), side="left"))
            start = max(windows[-1].start + 1, min(start, full))
        fitting = int(np.searchsorted(begins, ends[first] - size, side="left"))
        start = max(start, min(fitting, first))  # a long unit that comes next is inside


def shifted_window(
    file: EncodedFile, unit: int, window: ScanWindow, size: int, margin: int
) -> tuple[int, int]:
    """Units [start, stop) of another window for ``unit``, about a third of a window away.

    It is ``window`` itself where the file has no other place for it.

    Args:
        file: the encoded file.
        unit: the unit.
        window: of ``plan_windows``, the one that judges it.
        size: subtokens a window.
        margin: subtokens of context on either side of the unit, where the file has them.
    """
    ends = np.cumsum(file.unit_lengths.astype(np.int64))
    begins = ends - file.unit_lengths
    latest = max(0, int(ends[-1]) - size)
    low = min(max(0, int(ends[unit]) + margin - size), latest)
    high = max(low, min(int(begins[unit]) - margin, latest))
    here = int(begins[window.start])
    there = max(
        (min(max(here + by, low), high) for by in (size // 3, -(size // 3))),
        key=lambda begin: abs(begin - here),
    )
    start = min(unit, int(np.searchsorted(begins, there, side="left")))
    return start, int(np.searchsorted(ends, begins[start] + size, side="right"))


def _rank(file: EncodedFile) -> np.ndarray:
    """A number for each unit, by its text and those of the two that follow: uint32 (U,)."""
    first_piece = file.text_pieces[file.text_offsets[:-1]].astype(np.uint32)
    width = file.unit_lengths.astype(np.uint32)
    own = first_piece[file.unit_text] * np.uint32(31) + width
    rank = own * np.uint32(2654435761)
    rank[:-1] += own[1:] * np.uint32(2246822519)
    rank[:-2] += own[2:] * np.uint32(3266489917)
    return np.asarray(rank ^ (rank >> np.uint32(15)))


def window_around(file: EncodedFile, unit: int, size: int) -> tuple[int, int]:
    """Units [start, stop) of at most ``size`` subtokens, ``unit`` in the middle where possible.

    A unit of more than ``size // 2`` subtokens may make a window that is longer.
    """
    ends = np.cumsum(file.unit_lengths.astype(np.int64))
    begins = ends - file.unit_lengths
    low = max(0, min(int(ends[unit]) - size // 2, int(ends[-1]) - size))
    start = min(unit, int(np.searchsorted(begins, low, side="left")))
    stop = int(np.searchsorted(ends, begins[start] + size, side="right"))
    return start, max(stop, unit + 1)
