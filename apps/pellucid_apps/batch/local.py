"""Photos through worker processes of this machine."""

import queue
import threading
from collections.abc import Iterator, Sequence

from .child import Child
from .pool import Pool, Rows
from .rows import Row
from .settings import Settings


def run_local(names: Sequence[str], settings: Settings, pool: Pool) -> Rows:
    """One thread a worker process: it hands photos to its worker and waits for the rows."""
    todo, taking = iter(names), threading.Lock()
    answers: queue.SimpleQueue[Row | BaseException | None] = queue.SimpleQueue()
    children = [Child(settings) for _ in range(min(pool.workers, len(names)))]
    stopping = threading.Event()

    def handed_out() -> Iterator[str]:
        while not stopping.is_set():
            with taking:
                name = next(todo, None)
            if name is None:
                return
            yield name

    def serve(child: Child) -> None:
        try:
            for row in child.restore(handed_out()):
                answers.put(row)
        except BaseException as error:
            answers.put(error)
        finally:
            child.close()
            answers.put(None)

    threads = [threading.Thread(target=serve, args=(child,)) for child in children]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            answer = answers.get()
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
