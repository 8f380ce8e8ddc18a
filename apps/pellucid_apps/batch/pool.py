"""What the engines share: how many workers, and how photos travel to them."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from pellucid import PellucidError

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
