"""Keeping a frame budget by doing less, never by lagging. Pure logic: times come from outside.

A ladder of rungs goes from the best pass to the cheapest. The controller steps down when frames
take too long and up again when what it knows says that the better rung fits. A climb that failed
is not tried again for a while, and each failure doubles that while, so that it does not swing.
"""

import math
from collections import deque
from dataclasses import dataclass

SHRINKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)  # whole numbers: reduced by averaging k x k pixels
# Below half of the size streaks and grain are averaged away before the network sees them: a smaller
# model that still sees them is worth more than a larger one that does not.
FINE = 2
MIN_SIDE = 48  # px, of the reduced picture; smaller ones show the network nothing
MAX_PASS_PIXELS = 2_100_000  # of one network pass: 1920x1080, about 0.6 GB


@dataclass(frozen=True)
class Rung:
    """One way to restore a frame: which model, how many steps, at 1/shrink of the size.

    cost: network time relative to other rungs of the same ladder.
    """

    model: str
    steps: int
    shrink: int
    cost: float

    def __str__(self) -> str:
        size = "full size" if self.shrink == 1 else f"1/{self.shrink} size"
        return f"{self.model}, {self.steps} step{'s' * (self.steps > 1)}, {size}"


def ladder(
    width: int, height: int, steps: int = 1, models: tuple[tuple[str, float], ...] = (("tiny", 1),)
) -> tuple[Rung, ...]:
    """Rungs for frames of a size, best first: fewer steps, then half of the size, then a smaller
    model, and smaller still with the last one.

    models: (name, cost of a step and pixel), the wanted one first.
    """
    short, pixels = min(width, height), width * height
    shrinks = [
        k for k in SHRINKS if short // k >= MIN_SIDE and pixels <= MAX_PASS_PIXELS * k * k
    ] or [max(1, short // MIN_SIDE, round((pixels / MAX_PASS_PIXELS) ** 0.5))]
    name, cost = models[0]
    largest = shrinks[0] ** 2
    rungs = [Rung(name, s, shrinks[0], cost * s / largest) for s in range(steps, 0, -1)]
    for name, cost in models:
        enough = shrinks[-1] if name == models[-1][0] else max(FINE, shrinks[0])
        for k in shrinks:
            if k <= enough and cost / k**2 < rungs[-1].cost:
                rungs.append(Rung(name, 1, k, cost / k**2))
    return tuple(rungs)


@dataclass(frozen=True)
class Patience:
    """How the controller judges.

    settle: frames after a step that count for nothing (the first pass at a size is slow).
    window: frames it remembers. few, many: a step down follows when 2 of the last `few` or one in
    ten of `window` were over budget. headroom: a better rung must be foretold to take at most this
    share of the budget. climb_s: seconds before the first climb from a rung. longest_s: the
    longest wait after failed climbs. proof_s: a climb that holds this long has not failed; what was
    measured on a rung longer ago says nothing any more, the load has changed.
    """

    settle: int = 1
    window: int = 30
    few: int = 3
    headroom: float = 0.85
    climb_s: float = 1.0
    longest_s: float = 120.0
    proof_s: float = 30.0


class BudgetController:
    """Chooses the rung for each frame; tell it what the frame took.

    It starts on the cheapest rung, so that even the first frame is no slow one, and jumps from
    there to where the first times point.
    """

    def __init__(
        self, rungs: tuple[Rung, ...], budget_s: float, patience: Patience | None = None
    ) -> None:
        if not rungs or budget_s <= 0.0:
            raise ValueError(f"expected rungs and a positive budget, got {rungs}, {budget_s}")
        self.rungs, self.budget_s = rungs, budget_s
        self._patience = patience or Patience()
        self._at = len(rungs) - 1
        self._times: deque[tuple[float, float]] = deque(maxlen=self._patience.window)
        self._skip = self._patience.settle
        self._known: dict[Rung, tuple[float, float]] = {}  # when last used, network seconds then
        self._wait = dict.fromkeys(rungs, self._patience.climb_s)  # to climb onto it
        self._since: float | None = None  # when the rung was taken
        self._climbed = self._started = False
        self.steps_taken = 0

    @property
    def rung(self) -> Rung:
        """The rung for the next frame."""
        return self.rungs[self._at]

    @property
    def above(self) -> Rung:
        """The rung that a climb would lead to; on the best one, that."""
        return self.rungs[max(0, self._at - 1)]

    @property
    def kept(self) -> bool:
        """False once half of at least ten frames on the cheapest rung were over budget."""
        if self._at < len(self.rungs) - 1 or len(self._times) < 10:
            return True
        return _quantile([frame_s for frame_s, _ in self._times], 0.5) <= self.budget_s

    def observe(self, now_s: float, frame_s: float, network_s: float) -> None:
        """A frame done on the present rung: the whole work on it and the network's part of it."""
        if self._since is None:
            self._since = now_s
        if self._skip > 0:
            self._skip -= 1
            return
        self._times.append((frame_s, min(network_s, frame_s)))
        held_s = now_s - self._since
        if self._climbed and held_s >= self._patience.proof_s:
            self._wait[self.rung], self._climbed = self._patience.climb_s, False
        if self._over_budget():
            self._step_down(now_s)
        elif len(self._times) >= self._patience.few and not self._started:
            self._started = True
            self._move(self._best_that_fits(now_s), now_s)
        elif (
            self._at > 0
            and held_s >= self._wait[self.rungs[self._at - 1]]
            and self._foretell(self._at - 1, 0.9, now_s) <= self._patience.headroom * self.budget_s
        ):
            self._move(self._at - 1, now_s)

    def _over_budget(self) -> bool:
        over = [frame_s > self.budget_s for frame_s, _ in self._times]
        return sum(over[-self._patience.few :]) >= 2 or sum(over) > self._patience.window / 10

    def _step_down(self, now_s: float) -> None:
        self._started = True
        if self._at == len(self.rungs) - 1:
            return
        if self._climbed:  # it was not worth climbing here
            wait = 2.0 * self._wait[self.rung]
            self._wait[self.rung] = min(wait, self._patience.longest_s)
        below = self._at + 1
        while below < len(self.rungs) - 1 and self._foretell(below, 0.5, now_s) > self.budget_s:
            below += 1
        self._move(below, now_s)

    def _best_that_fits(self, now_s: float) -> int:
        limit = self._patience.headroom * self.budget_s
        fits = [k for k in range(self._at) if self._foretell(k, 0.5, now_s) <= limit]
        return min(fits, default=self._at)

    def _foretell(self, to: int, quantile: float, now_s: float) -> float:
        """Seconds a frame would take on another rung: its network time scales, the rest stays."""
        frame_s = _quantile([frame_s for frame_s, _ in self._times], quantile)
        networks = [network_s for _, network_s in self._times]
        network_s = _quantile(networks, quantile)
        here, there = self.rung, self.rungs[to]
        ratio = there.cost / here.cost
        when_s, known_s = self._known.get(there, (-math.inf, 0.0))
        if now_s - when_s < self._patience.proof_s:
            ratio = known_s / max(1e-9, _quantile(networks, 0.5))
        return max(0.0, frame_s - network_s) + network_s * ratio

    def _move(self, to: int, now_s: float) -> None:
        if to == self._at:
            return
        # The lowest: a rung that is left at once was measured while its graph was being made.
        self._known[self.rung] = (now_s, _quantile([n for _, n in self._times], 0.0))
        self._climbed = to < self._at
        self._at, self._since = to, now_s
        self._times.clear()
        self._skip = self._patience.settle
        self.steps_taken += 1


def _quantile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed; numpy takes longer for thirty numbers."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
