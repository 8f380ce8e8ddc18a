"""Restoring in the background of a server: a few workers, a short queue, a time limit each."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from pellucid import Restorer

Result = TypeVar("Result")
_AVERAGED = 16  # jobs that the expected time is averaged over


class QueueFullError(Exception):
    """No place is free. retry_after: seconds after which one probably is."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"busy: try again in {retry_after} s")
        self.retry_after = retry_after


class StoppedError(Exception):
    """The job ran out of time, or nobody waits for it any more."""


@dataclass
class Ticket:
    """A place in the queue. deadline: of `time.monotonic`. left: nobody waits for it any more."""

    deadline: float
    left: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """StoppedError if there is no point in going on."""
        if self.left.is_set() or time.monotonic() > self.deadline:
            raise StoppedError


@dataclass(frozen=True)
class Limits:
    """workers: photos restored at the same time. waiting: further ones that may wait.
    seconds: for one photo, waiting included."""

    workers: int = 1
    waiting: int = 16
    seconds: float = 60.0


class Jobs:
    """open_restorer is called once for each worker: a Restorer takes one call at a time."""

    def __init__(self, open_restorer: Callable[[], Restorer], limits: Limits) -> None:
        self.limits = limits
        self.restorer = open_restorer()  # a wrong model ends it before anything is served
        self._free: SimpleQueue[Restorer] = SimpleQueue()
        for restorer in [self.restorer, *(open_restorer() for _ in range(limits.workers - 1))]:
            self._free.put(restorer)
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="restore")
        self._held = 0  # tickets given out
        self._seconds = 1.0  # a job's mean time

    @property
    def held(self) -> int:
        """Photos that are restored or wait."""
        return self._held

    def enter(self) -> Ticket:
        """A place in the queue, to be given back with `leave`. Raises QueueFullError."""
        room = self.limits.workers + self.limits.waiting
        if self._held >= room:
            ahead = max(1, self._held - self.limits.workers) / self.limits.workers
            raise QueueFullError(max(1, math.ceil(self._seconds * min(ahead, 4))))
        self._held += 1
        return Ticket(time.monotonic() + self.limits.seconds)

    def leave(self, ticket: Ticket) -> None:
        ticket.left.set()
        self._held -= 1

    async def run(self, ticket: Ticket, work: Callable[[Restorer, Ticket], Result]) -> Result:
        """`work` in a worker's thread. Raises StoppedError, and what the work raises."""

        def job() -> Result:
            ticket.check()
            restorer = self._free.get()
            start = time.monotonic()
            try:
                return work(restorer, ticket)
            finally:
                self._free.put(restorer)
                self._seconds += (time.monotonic() - start - self._seconds) / _AVERAGED

        future = asyncio.get_running_loop().run_in_executor(self._pool, job)
        try:
            left = max(0.0, ticket.deadline - time.monotonic())
            return await asyncio.wait_for(asyncio.shield(future), left)
        except TimeoutError:
            # A thread cannot be ended: it stops at the end of its tile, which nobody awaits.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise StoppedError from None

    def close(self) -> None:
        """Wait for what is being restored; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
