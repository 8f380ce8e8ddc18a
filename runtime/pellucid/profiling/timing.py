"""Rounds in which all calls take turns, so that what else the machine does meets all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt

import numpy as np

from .resources import energy_joules

Call = Callable[[], object]
Clock = Callable[[], float]
FEWEST, MOST = 5, 1000  # rounds
NOISY = 0.10  # spread of the reference's times above which a ratio is doubtful
SETTLED = 0.02  # error of a ratio that is small enough to stop at
PATIENCE = 10  # times the seconds asked for are spent until then


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


def take_turns(
    calls: Sequence[Call],
    seconds: float,
    warm_up: int = 1,
    limit: float = inf,
    clock: Clock = time.perf_counter,
) -> list[Series]:
    """Run every call once a round, until each had `seconds` on average; at least FEWEST rounds.

    While the error of a ratio to the first call is above SETTLED it goes on, up to PATIENCE times
    as long. No round begins `limit` seconds after the start, but for the first.
    The order turns by one every round: no call always follows the same other. `warm_up` rounds
    are dropped.
    """
    series = [Series() for _ in calls]
    last = clock() + limit
    for _ in range(warm_up):
        for call in calls:
            if clock() < last:
                call()
    begun, planned = clock(), seconds * len(calls)
    for index in range(MOST):
        now = clock()
        if index >= 1 and now >= last:
            break
        if index >= FEWEST and now >= begun + planned:
            settled = all(ratio_error(own, series[0]) <= SETTLED for own in series[1:])
            if settled or now >= begun + PATIENCE * planned:
                break
        for place in range(len(calls)):
            which = (place + index) % len(calls)
            _time(calls[which], series[which], clock)
    return series


def ratio(own: Series, reference: Series) -> float:
    """Median over the rounds of own time / the reference's in the same round.

    Load of a shared machine comes in spells longer than a round: it divides out, round by round.
    """
    return float(np.median(np.divide(own.wall, reference.wall)))


def ratio_error(own: Series, reference: Series) -> float:
    """Half the width of the ratio's 95 % interval, over the ratio; 1.0 for less than 3 rounds.

    From order statistics: whatever the distribution, the median lies between the ranks
    n/2 -+ 0.98 sqrt(n) (Hollander and Wolfe, Nonparametric Statistical Methods, 3.6).
    """
    ratios = np.sort(np.divide(own.wall, reference.wall))
    n = len(ratios)
    if n < 3:
        return 1.0
    rank = max(0, int(n / 2 - 0.98 * sqrt(n)))
    return float((ratios[n - 1 - rank] - ratios[rank]) / 2 / np.median(ratios))


def _time(call: Call, series: Series, clock: Clock) -> None:
    energy, cpu, start = energy_joules(), time.process_time(), clock()
    call()
    series.wall.append(clock() - start)
    series.cpu.append(time.process_time() - cpu)
    after = energy_joules()
    if energy is not None and after is not None and after >= energy:  # the counter wraps around
        series.joules.append(after - energy)
