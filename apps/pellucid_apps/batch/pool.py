"""What the engines share: how many workers, and how photos travel to them."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from pellucid import PellucidError

from .rows import Row
from .settings import Settings

# Photos that travel together: many enough that the engine's own work does not show, and so few that
# rows come now and then: a block's rows are seen when all of it is done.
_BLOCK_BYTES, _MOST_IN_BLOCK = 32e6, 256
_BLOCKS_A_WORKER = 8  # at least, so that all workers end at about the same time


@dataclass(frozen=True)
class Pool:
    """workers: photos at a time. address: of a running cluster; None starts one on this machine.
    mean_bytes: of a photo's file."""

    workers: int
    address: str | None = None
    mean_bytes: float = 4e6

    def block(self, photos: int) -> int:
        """How many of so many photos travel together."""
        most = min(_MOST_IN_BLOCK, _BLOCK_BYTES / self.mean_bytes)
        return max(1, int(min(most, photos / (_BLOCKS_A_WORKER * self.workers))))


# Closing the generator ends the workers; what they have at hand is dropped.
Rows = Generator[Row, None, None]
Engine = Callable[[Sequence[str], Settings, Pool], Rows]


def check_room(cpus: float, workers: int, threads: int) -> None:
    """PellucidError unless a CPU is left beside the actors for Ray's own tasks."""
    most = int((cpus - 1) // threads)
    if workers > most:
        raise PellucidError(
            f"the Ray cluster has {cpus:.0f} CPUs; {workers} workers of {threads} thread(s) leave "
            f"none for Ray's own tasks, and it would wait for ever; use --workers {max(most, 1)}"
            + ("" if most >= 1 else " and fewer --threads, or a larger cluster")
        )
