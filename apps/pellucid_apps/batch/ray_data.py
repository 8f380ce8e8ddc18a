"""Photos through Ray Data: names in, rows out. Pixels never enter Ray's object store.

Each actor owns a worker process (child.py), so a photo that crashes costs itself. Without that, Ray
would restart the actor and repeat its block for ever, or drop the whole block. Actors that die with
their machine are restarted and their block is repeated, up to the photos that are written.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
# Ray's workers give way to everything else on the machine (15); those of the other engines do not.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # a warning about restarts in every run

import numpy as np
import ray
import ray.data
from numpy.typing import NDArray

from .child import Child
from .pool import Pool, Rows, check_room
from .rows import Row
from .settings import Settings

_OBJECT_STORE_BYTES = 200_000_000  # holds names and rows; Ray's default is 30 % of the memory


class _Actor:
    def __init__(self, settings: Settings) -> None:
        self._child = Child(settings)

    def __call__(self, batch: dict[str, NDArray[np.object_]]) -> dict[str, NDArray[np.object_]]:
        lines = [row.to_json() for row in self._child.restore(map(str, batch["name"]))]
        return {"row": np.array(lines, dtype=np.object_)}


def run_ray(names: Sequence[str], settings: Settings, pool: Pool) -> Rows:
    """One actor a worker, `settings.threads` CPUs each. Raises PellucidError if the cluster has too
    few CPUs, where Ray Data would wait for ever without a word."""
    workers = min(pool.workers, len(names))
    if not workers:
        return
    with _cluster(pool, workers, settings.threads):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # the meter tells the progress
        size = pool.block(len(names))
        data = ray.data.from_items(
            [{"name": name} for name in names], override_num_blocks=-(-len(names) // size)
        )
        rows = data.map_batches(
            _Actor,
            fn_constructor_args=(settings,),
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=settings.threads,
        )
        for row in rows.iter_rows():
            yield Row.from_json(row["row"])


@contextmanager
def _cluster(pool: Pool, workers: int, threads: int) -> Iterator[None]:
    if pool.address is None:
        # CPUs are only Ray's book-keeping: one more than the actors hold, or nothing else starts.
        ray.init(
            address="local",  # without it Ray joins any cluster that runs on this machine
            num_cpus=workers * threads + 1,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    else:
        ray.init(address=pool.address, logging_level=logging.ERROR, log_to_driver=False)
    try:
        check_room(float(ray.cluster_resources().get("CPU", 0.0)), workers, threads)
        yield
    finally:
        ray.shutdown()
