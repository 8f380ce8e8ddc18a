"""How long a profile takes, and how sure a ratio is: with clocks that only calls move."""

from pathlib import Path

import numpy as np
import pytest

from pellucid.card import ModelCard
from pellucid.profiling import Conditions, Profile, State, Target, profile_files
from pellucid.profiling import measure as measure_module
from pellucid.profiling.opened import Opened
from pellucid.profiling.timing import (
    FEWEST,
    MOST,
    PATIENCE,
    SETTLED,
    Series,
    ratio_error,
    take_turns,
)

CPU = Target("onnxruntime", "CPUExecutionProvider", "cpu")
OTHER = Target("openvino", "CPU", "cpu")


class Clock:
    """A clock that stands still unless something takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


def test_equal_times_stop_when_the_seconds_are_over() -> None:
    clock = Clock()
    told = take_turns([lambda: clock.spend(0.1)] * 2, 1.0, clock=clock)
    assert len(told[0].wall) == pytest.approx(10, abs=1)


def test_uncertain_ratios_get_more_time_but_not_for_ever() -> None:
    clock = Clock()
    wild = iter([0.05, 0.15] * MOST)
    told = take_turns([lambda: clock.spend(0.1), lambda: clock.spend(next(wild))], 1.0, clock=clock)
    assert ratio_error(told[1], told[0]) > SETTLED
    assert len(told[0].wall) == pytest.approx(PATIENCE * 10, abs=1)


def test_a_limit_stops_before_the_fewest_rounds_but_leaves_one() -> None:
    clock = Clock()
    calls = [lambda: clock.spend(2.0), lambda: clock.spend(2.0)]
    assert len(take_turns(calls, 1.0, limit=0.0, clock=clock)[1].wall) == 1
    assert len(take_turns(calls, 1.0, limit=9.0, clock=clock)[1].wall) == 2  # after the warm-up
    assert len(take_turns(calls, 1.0, clock=clock)[1].wall) == FEWEST


def test_the_error_of_a_ratio_is_that_of_a_median() -> None:
    """Against the closed form for normal noise: 1.96 * sqrt(pi / 2) * sigma / sqrt(n)."""
    rng = np.random.default_rng(0)
    n, sigma = 4001, 0.1
    reference = Series(list(rng.uniform(1.0, 3.0, n)))
    own = Series([2.0 * r * (1.0 + sigma * e) for r, e in zip(reference.wall, rng.standard_normal(n), strict=True)])  # fmt: skip  # noqa: E501
    expected = 1.96 * (np.pi / 2) ** 0.5 * sigma / n**0.5
    assert ratio_error(own, reference) == pytest.approx(expected, rel=0.15)
    assert ratio_error(Series([1.0, 1.0]), Series([1.0, 1.0])) == 1.0


def profile(
    monkeypatch: pytest.MonkeyPatch,
    files: int,
    call_s: float,
    load_s: float,
    seconds: float,
    budget: float,
) -> tuple[Profile, float]:
    """`files` files at two sizes on two targets, whose calls and loads take given times."""
    clock = Clock()

    def open_call(*_: object, **__: object) -> Opened:
        clock.spend(load_s)
        return Opened(lambda: clock.spend(call_s), ModelCard("fake"))

    def peak(threads: int) -> float:
        clock.spend(0.5)
        return 50.0

    monkeypatch.setattr(measure_module, "open_call", open_call)
    monkeypatch.setattr(measure_module, "matrix_peak", peak)
    monkeypatch.setattr(
        measure_module, "_reference", lambda size, threads: lambda: clock.spend(call_s)
    )
    paths = [Path(f"{index}.onnx") for index in range(files)]
    conditions = Conditions(((360, 640), (720, 1280)), 2, seconds, budget=budget)
    told = profile_files(paths, [CPU, OTHER], conditions, clock=clock)
    return told, clock.now


@pytest.mark.parametrize(("call_s", "load_s"), [(0.03, 0.1), (0.4, 0.7), (1.5, 2.0)])
def test_twelve_files_at_two_sizes_take_less_than_three_minutes(
    monkeypatch: pytest.MonkeyPatch, call_s: float, load_s: float
) -> None:
    told, spent = profile(monkeypatch, 12, call_s, load_s, seconds=1.0, budget=150.0)
    assert spent < 165.0  # leaves 15 s for the reports
    assert len(told.rows) == 12 * 2 * 2
    assert all(row.rounds >= 1 for row in told.rows if row.state == State.MEASURED)


def test_time_that_quick_files_leave_is_not_wasted(monkeypatch: pytest.MonkeyPatch) -> None:
    told, spent = profile(monkeypatch, 3, 0.01, 0.1, seconds=1.0, budget=150.0)
    assert told.hurried == 0
    assert spent < 30.0  # nobody waits for a budget
    assert all(row.rounds == pytest.approx(100, abs=1) for row in told.rows)


def test_rows_that_are_cut_short_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = profile(monkeypatch, 12, 0.1, 0.1, seconds=5.0, budget=60.0)
    assert told.hurried == 48
    assert all(0 < row.rounds < 50 for row in told.rows)


def test_files_after_the_budget_are_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, spent = profile(monkeypatch, 4, 1.0, 30.0, seconds=1.0, budget=60.0)
    skipped = [row for row in told.rows if row.state == State.SKIPPED]
    assert skipped and "60 s of --budget are used up" in skipped[0].reason
    assert told.rows[0].state == State.MEASURED
    one_file = 2 * (30.0 + 1.0) + 2 * 3  # loads and first calls, warm-up and a round
    assert spent <= 60.0 + one_file + 1.0
