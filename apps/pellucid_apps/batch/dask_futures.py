"""Photos through Dask: blocks of names as tasks, rows as their results.

A plug-in of each Dask worker owns one worker process (child.py) a thread. Only a few blocks a
worker are handed out at a time, so that the scheduler holds no million tasks.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import dask
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from pellucid import PellucidError

from . import rows
from .child import Child
from .pool import Pool, Rows
from .rows import Row
from .settings import Settings

_AHEAD = 3  # blocks handed out for each worker
_NAME = "pellucid-batch"
_ALLOWED_FAILURES = 10  # deaths of Dask workers that a block survives; its photos seldom cause them


class _Children(WorkerPlugin):  # type: ignore[misc]
    """name: under which a worker knows the plug-in."""

    name = _NAME

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def setup(self, worker: Worker) -> None:
        self._own, self._all = threading.local(), list[Child]()

    def teardown(self, worker: Worker) -> None:
        for child in self._all:
            child.kill()
            child.close()

    def restore(self, names: Sequence[str]) -> list[str]:
        child = getattr(self._own, "child", None)
        if child is None:
            child = self._own.child = Child(self._settings)
            self._all.append(child)
        return [row.to_json() for row in child.restore(names)]


def _restore(names: Sequence[str]) -> list[str]:
    plugin = get_worker().plugins[_NAME]
    assert isinstance(plugin, _Children)
    return plugin.restore(names)


def run_dask(names: Sequence[str], settings: Settings, pool: Pool) -> Rows:
    """Raises PellucidError if the scheduler has no workers."""
    if not names:
        return
    with _client(pool) as client:
        client.register_plugin(_Children(settings))
        threads = sum(client.nthreads().values())
        size = pool.block(len(names))
        todo = (names[at : at + size] for at in range(0, len(names), size))
        blocks: dict[Future, Sequence[str]] = {}

        def hand_out(block: Sequence[str]) -> Future:
            future = client.submit(_restore, block, pure=False)
            blocks[future] = block
            return future

        running = as_completed([hand_out(b) for b in islice(todo, _AHEAD * threads)])
        for future in running:
            block = blocks.pop(future)
            try:
                lines = future.result()
            except KilledWorker as error:
                if len(block) == 1:
                    yield Row(block[0], rows.CRASHED, f"{block[0]}: {error}")
                for name in block if len(block) > 1 else ():
                    running.add(hand_out([name]))
                continue
            if block := next(todo, ()):
                running.add(hand_out(block))
            yield from (Row.from_json(line) for line in lines)


@contextmanager
def _client(pool: Pool) -> Iterator[Client]:
    if pool.address is not None:
        with Client(pool.address, timeout=30) as client:
            if not client.nthreads():
                raise PellucidError(f"{pool.address}: the Dask scheduler has no workers")
            try:
                yield client
            finally:
                client.unregister_worker_plugin(_NAME)
        return
    quiet = {
        "distributed.scheduler.allowed-failures": _ALLOWED_FAILURES,
        "distributed.worker.memory.terminate": False,  # the pictures are in the children
        # By the clock, a hundred times a second, Dask samples call stacks that nobody looks at and
        # watches its own event loop: two thirds of the CPU time that it takes itself.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500 ms",
        "distributed.worker.memory.monitor-interval": "1 s",
    }
    with (
        dask.config.set(quiet),
        LocalCluster(
            n_workers=pool.workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
