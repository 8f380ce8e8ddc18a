"""One line of a profile: a file on a device at a size."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    MEASURED = "measured"
    FAILED = "failed"  # the file is broken, or does not run at this size
    ABSENT = "absent"  # the engine or the device is not here
    FALLBACK = "fallback"  # it ran, but not where it was asked to
    SKIPPED = "skipped"  # the time given to the whole profile was up


@dataclass(frozen=True)
class Row:
    """Figures are None where they could not be read; all of them are where nothing was measured.

    load_ms: reading and compiling. first_ms: the first inference. p50_ms .. p99_ms: percentiles
    after the warm-up, over `rounds` calls. peak_mb: MiB above what the process held before, the
    first inference included. cpu_share: of the threads allowed, 1.0 keeps all of them busy.
    joules: the package's, for one inference, whatever else ran. gmac: of one inference.
    peak_share: of the machine's measured matrix-product rate. ratio: over the reference's time,
    median of the rounds. ratio_error: half its 95 % interval, over the ratio. spread: of the
    reference's times, (p75 - p25) / p50.
    """

    file: str
    engine: str
    device: str
    height: int
    width: int
    state: State
    reason: str = ""
    load_ms: float | None = None
    first_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    fps: float | None = None
    rounds: int = 0
    peak_mb: float | None = None
    cpu_share: float | None = None
    joules: float | None = None
    gmac: float | None = None
    gmac_per_s: float | None = None
    peak_share: float | None = None
    ratio: float | None = None
    ratio_error: float | None = None
    spread: float | None = None
    quality_db: float | None = None

    @property
    def key(self) -> str:
        """The same measurement in another run has the same key."""
        return f"{self.file} {self.engine} {self.device} {self.width}x{self.height}"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "state": self.state.value}
