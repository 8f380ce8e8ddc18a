"""Rounds in which all calls take turns, so that what else the machine does meets all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .resources import energy_joules

Call = Callable[[], object]
FEWEST, MOST = 5, 500  # rounds
NOISY = 0.10  # spread of the reference's times above which a ratio is doubtful


@dataclass
class Series:
    """Of one call: wall and CPU seconds and joules of each round; no joules where unreadable."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    def percentile_ms(self, share: float) -> float:
        """share: 0 to 100."""
        return 1e3 * float(np.percentile(self.wall, share))

    @property
    def spread(self) -> float:
        """(p75 - p25) / p50."""
        low, middle, high = np.percentile(self.wall, [25, 50, 75])
        return float((high - low) / middle)

    @property
    def busy(self) -> float:
        """Cores kept busy, mean."""
        return sum(self.cpu) / sum(self.wall)


def take_turns(calls: Sequence[Call], seconds: float, warm_up: int = 1) -> list[Series]:
    """Run every call once a round, until each had `seconds` on average; at least FEWEST rounds.

    The order turns by one every round: no call always follows the same other. `warm_up` rounds
    are dropped.
    """
    told = [Series() for _ in calls]
    for _ in range(warm_up):
        for call in calls:
            call()
    end = time.perf_counter() + seconds * len(calls)
    for index in range(MOST):
        if index >= FEWEST and time.perf_counter() >= end:
            break
        for place in range(len(calls)):
            which = (place + index) % len(calls)
            _time(calls[which], told[which])
    return told


def ratio(own: Series, reference: Series) -> float:
    """Median over the rounds of own time / the reference's in the same round."""
    return float(np.median(np.divide(own.wall, reference.wall)))


def _time(call: Call, series: Series) -> None:
    energy, cpu, start = energy_joules(), time.process_time(), time.perf_counter()
    call()
    series.wall.append(time.perf_counter() - start)
    series.cpu.append(time.process_time() - cpu)
    after = energy_joules()
    if energy is not None and after is not None and after >= energy:  # the counter wraps around
        series.joules.append(after - energy)
