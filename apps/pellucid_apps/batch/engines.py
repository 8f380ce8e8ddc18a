"""Who hands photos to workers: this process, Ray or Dask. All give one row a photo."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from pellucid import PellucidError

from .child import Child
from .rows import Row
from .settings import Settings

# Photos that travel together: large enough that the engine's own work does not show, small enough
# that the death of a machine repeats little. Results that are written are not made again.
BLOCK = 16


@dataclass(frozen=True)
class Pool:
    """workers: photos at a time. address: of a running cluster; None starts one on this machine."""

    workers: int
    address: str | None = None


# Closing the iterator ends the workers; what they have at hand is dropped.
Rows = Generator[Row, None, None]
Engine = Callable[[Sequence[str], Settings, Pool], Rows]


def run_local(names: Sequence[str], settings: Settings, pool: Pool) -> Rows:
    """One thread a worker process: it waits for its worker and hands it the next photo."""
    todo, taking = iter(names), threading.Lock()
    told: queue.SimpleQueue[Row | BaseException | None] = queue.SimpleQueue()
    children = [Child(settings) for _ in range(min(pool.workers, len(names)))]
    stopping = threading.Event()

    def serve(child: Child) -> None:
        try:
            while not stopping.is_set():
                with taking:
                    name = next(todo, None)
                if name is None:
                    break
                told.put(child.restore(name))
        except BaseException as error:
            told.put(error)
        finally:
            child.close()
            told.put(None)

    threads = [threading.Thread(target=serve, args=(child,)) for child in children]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            answer = told.get()
            if answer is None:
                running -= 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                yield answer
    finally:
        stopping.set()
        if running:
            for child in children:
                child.kill()
        for thread in threads:
            thread.join()


def find_engine(name: str) -> Engine:
    """local, ray or dask. Raises PellucidError with the pip line if it is not installed."""
    if name == "local":
        return run_local
    try:
        if name == "ray":
            from .ray_data import run_ray

            return run_ray
        if name == "dask":
            from .dask_futures import run_dask

            return run_dask
    except ImportError as error:
        raise PellucidError(
            f"--engine {name} needs its package: pip install 'pellucid[{name}]' ({error})"
        ) from error
    raise PellucidError(f"--engine must be local, ray or dask, got {name!r}")
