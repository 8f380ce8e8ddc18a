"""The budget controller under a controlled clock: it keeps the budget and does not swing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.frames.budget import (
    MAX_PASS_PIXELS,
    MIN_SIDE,
    BudgetController,
    Rung,
    ladder,
)

MODELS = (("base", 4.0), ("tiny", 1.0))
HD = ladder(1280, 720, steps=3, models=MODELS)


class Machine:
    """A machine that runs cost 1 in full_s and everything around the network in fixed_s."""

    def __init__(self, full_s: float, fixed_s: float = 0.004) -> None:
        self.full_s, self.fixed_s, self.now = full_s, fixed_s, 0.0

    def run(self, controller: BudgetController, seconds: float) -> list[tuple[Rung, float]]:
        """Frames at 30 a second, or as fast as they are done. The rung and time of each."""
        done, end = [], self.now + seconds
        while self.now < end:
            network_s = self.full_s * controller.rung.cost
            frame_s = network_s + self.fixed_s
            done.append((controller.rung, frame_s))
            self.now += max(frame_s, 1 / 30)
            controller.observe(self.now, frame_s, network_s)
        return done

    def best(self, budget_s: float) -> int:
        fits = [
            k for k, r in enumerate(HD) if self.full_s * r.cost + self.fixed_s <= 0.85 * budget_s
        ]
        return min(fits, default=len(HD) - 1)


def test_ladder_gives_up_steps_then_size_then_model() -> None:
    told = [(r.model, r.steps, r.shrink) for r in HD]
    assert told[:4] == [("base", 3, 1), ("base", 2, 1), ("base", 1, 1), ("base", 1, 2)]
    # "tiny" at full size would cost as much as "base" at half of it.
    assert told[4:6] == [("tiny", 1, 2), ("tiny", 1, 3)] and told[-1] == ("tiny", 1, 12)
    alone = [(r.model, r.shrink) for r in ladder(1280, 720, models=MODELS[:1])]
    assert alone[:3] == [("base", 1), ("base", 2), ("base", 3)] and alone[-1] == ("base", 12)
    assert str(HD[0]) == "base, 3 steps, full size" and str(HD[3]) == "base, 1 step, 1/2 size"


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(1, 3))
def test_every_ladder_gets_cheaper_and_keeps_to_its_bounds(w: int, h: int, steps: int) -> None:
    rungs = ladder(w, h, steps, MODELS)
    costs = [r.cost for r in rungs]
    assert costs == sorted(costs, reverse=True) and len(set(rungs)) == len(rungs)
    for rung in rungs:
        assert min(w, h) // rung.shrink >= 1
        if min(w, h) >= MIN_SIDE and max(w, h) <= 4096:
            assert min(w, h) // rung.shrink >= MIN_SIDE
            assert w * h // rung.shrink**2 <= MAX_PASS_PIXELS


@given(st.floats(0.001, 2.0), st.floats(0.0, 0.02), st.sampled_from([0.015, 0.033, 0.1]))
@settings(max_examples=15, deadline=None)
def test_it_settles_on_the_best_rung_that_fits(full_s: float, fixed_s: float, b: float) -> None:
    machine, controller = Machine(full_s, fixed_s), BudgetController(HD, b)
    machine.run(controller, 30.0)
    assert controller.rungs.index(controller.rung) <= machine.best(b)
    done = machine.run(controller, 20.0)
    late = sum(frame_s > b for _, frame_s in done)
    if fixed_s + full_s * HD[-1].cost <= b:
        assert controller.kept and late <= 0.02 * len(done) + 4
    else:
        assert controller.rung == HD[-1] and not controller.kept


def test_the_first_frame_is_cheap_and_the_fifth_is_good() -> None:
    machine, controller = Machine(full_s=0.1), BudgetController(HD, 0.033)
    first = machine.run(controller, 0.2)
    assert first[0][0] == HD[-1]
    assert HD.index(first[5][0]) == machine.best(0.033)


def test_load_that_comes_and_goes_is_followed_both_ways() -> None:
    machine, controller = Machine(full_s=0.02), BudgetController(HD, 0.033)
    machine.run(controller, 20.0)
    calm = HD.index(controller.rung)
    machine.full_s = 0.2
    loaded = machine.run(controller, 10.0)
    assert sum(frame_s > 0.033 for _, frame_s in loaded) <= 12
    assert HD.index(controller.rung) > calm
    machine.full_s = 0.02
    machine.run(controller, 60.0)
    assert HD.index(controller.rung) == calm


def test_one_slow_frame_changes_nothing() -> None:
    machine, controller = Machine(full_s=0.02), BudgetController(HD, 0.033)
    machine.run(controller, 20.0)
    before, moves = controller.rung, controller.steps_taken
    controller.observe(machine.now, 0.5, 0.49)
    machine.run(controller, 10.0)
    assert controller.rung == before and controller.steps_taken == moves


def test_half_an_hour_at_the_brink_does_not_swing() -> None:
    """A rung that looks affordable but is not: measured cost is above the foretold one."""
    rungs = (Rung("tiny", 1, 1, 4.0), Rung("tiny", 1, 2, 1.0))
    controller, now, late = BudgetController(rungs, 0.033), 0.0, 0
    for _ in range(54_000):
        # 7 ms foretell 28 ms on the better rung; it takes 40.
        network_s = 0.040 if controller.rung.shrink == 1 else 0.007
        late += network_s > 0.033
        now += max(1 / 30, network_s)
        controller.observe(now, network_s, network_s)
    assert controller.steps_taken <= 60
    assert late <= 54_000 * 0.002


def test_a_failed_climb_waits_twice_as_long_each_time() -> None:
    """The better rung runs well for two seconds, then not: climbs must become rare."""
    rungs = (Rung("tiny", 1, 1, 2.0), Rung("tiny", 1, 2, 1.0))
    controller, now, on_top = BudgetController(rungs, 0.033), 0.0, 0.0
    climbs: list[float] = []
    for _ in range(54_000):
        top = controller.rung.shrink == 1
        on_top = on_top + 1 / 30 if top else 0.0
        before = controller.rung
        now += 1 / 30
        slow = top and on_top > 2.0
        controller.observe(now, 0.05 if slow else 0.012, 0.05 if slow else 0.012)
        if controller.rung.shrink == 1 and before.shrink == 2:
            climbs.append(now)
    gaps = [b - a for a, b in zip(climbs, climbs[1:], strict=False)]
    assert all(later > 1.3 * gap for gap, later in zip(gaps[1:4], gaps[2:5], strict=True))
    assert len(climbs) < 25


@pytest.mark.parametrize("bad", [((), 0.033), (HD, 0.0)])
def test_nonsense_is_refused(bad: tuple[tuple[Rung, ...], float]) -> None:
    with pytest.raises(ValueError, match="expected rungs and a positive budget"):
        BudgetController(*bad)
