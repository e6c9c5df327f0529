"""Work beside the message loop: one thread with the most urgent job first, and a debounce."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Urgency(IntEnum):
    """What goes first."""

    ASKED = 0  # somebody waits for the answer
    VISIBLE = 1
    OPEN = 2
    EXPLANATION = 3  # somebody waits, and knows that it takes a while
    WORKSPACE = 4


class Worker:
    """A thread that runs jobs one by one, the most urgent first, in order among equals."""

    def __init__(self, name: str) -> None:
        self._jobs: list[tuple[int, int, Future[Any], Callable[[], Any]]] = []
        self._count = itertools.count()
        self._ready = threading.Condition()
        self._stopped = self._at_work = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, urgency: Urgency, job: Callable[[], T]) -> Future[T]:
        """Queues a job; the future has its result. Cancelling it takes it out of the queue."""
        future: Future[T] = Future()
        with self._ready:
            heapq.heappush(self._jobs, (urgency, next(self._count), future, job))
            self._ready.notify_all()
        return future

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        with self._ready:
            return sum(not future.cancelled() for _, _, future, _ in self._jobs)

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called: a job that runs long should end."""
        return self._stopped

    def let_pass(self, urgency: Urgency) -> None:
        """Runs what is more urgent; a long job of that urgency calls it between its steps."""
        while True:
            with self._ready:
                if not self._jobs or self._jobs[0][0] >= urgency:
                    return
                _, _, future, job = heapq.heappop(self._jobs)
            _complete(future, job)

    def wait_until_idle(self) -> None:
        """Waits while a job is at work or queued; for another worker's thread."""
        with self._ready:
            self._ready.wait_for(lambda: self._stopped or not (self._jobs or self._at_work))

    def stop(self, timeout_s: float = 5.0) -> None:
        """Drops what is queued and waits for the job at work."""
        with self._ready:
            self._stopped = True
            for _, _, future, _ in self._jobs:
                future.cancel()
            self._jobs.clear()
            self._ready.notify_all()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._jobs and not self._stopped:
                    self._ready.wait()
                if self._stopped:
                    return
                _, _, future, job = heapq.heappop(self._jobs)
                self._at_work = True
            _complete(future, job)
            with self._ready:
                self._at_work = False
                self._ready.notify_all()


def _complete(future: Future[Any], job: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except BaseException as error:  # noqa: BLE001  # the future hands it on
        future.set_exception(error)


class Timer(Protocol):
    """A call that was put off."""

    def cancel(self) -> None:
        """Takes it back."""
        ...


class Clock(Protocol):
    """What puts calls off."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` after a while, on the thread of the message loop."""
        ...


class LoopClock:
    """The running event loop's clock."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """As the loop's."""
        return asyncio.get_running_loop().call_later(delay_s, callback)


class Debouncer:
    """Puts a call off until nothing has asked for it for a while.

    Args:
        clock: what measures the while.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[str, Timer] = {}

    def call(self, key: str, delay_s: float, callback: Callable[[], None]) -> None:
        """Calls ``callback`` after ``delay_s``, unless ``key`` is asked for again before."""
        self.cancel(key)

        def fire() -> None:
            del self._timers[key]
            callback()

        self._timers[key] = self._clock.call_later(delay_s, fire)

    def cancel(self, key: str) -> None:
        """Takes back what was put off for ``key``."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
