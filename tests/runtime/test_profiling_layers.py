"""Times of layers add up to the call that they were counted in. Clocks and counters are given."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from pellucid.card import ModelCard
from pellucid.profiling import Layered, LayerTime, Target
from pellucid.profiling.calls_onnxruntime import by_run
from pellucid.profiling.calls_openvino import undo_average
from pellucid.profiling.counting import COUNTED, FEWEST_COUNTED, count_layers
from pellucid.profiling.opened import Opened, nothing

OPENVINO = Target("openvino", "CPU", "cpu")


class Clock:
    """A clock that stands still unless something takes time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.now += seconds

        return call


def event(name: str, us: float) -> dict[str, Any]:
    return {"name": name, "op": "Convolution", "kernel": "jit_f32", "us": us, "device": "CPU"}


def test_each_call_comes_out_of_the_means_of_all_calls_so_far() -> None:
    spent = {"a": [900.0, 100.0, 110.0, 104.0], "b": [30.0, 20.0, 20.0, 23.0]}
    means = [[event(name, sum(us[:n]) // n) for name, us in spent.items()] for n in range(1, 4 + 1)]
    told = undo_average(means)
    for n, events in enumerate(told, 1):
        for found in events:
            assert found["us"] == pytest.approx(spent[found["name"]][n - 1], abs=n)
    flat = [call[0]["us"] for call in means]
    assert all(later < earlier for earlier, later in pairwise(flat))  # the slow first call drags on


def test_a_layer_that_first_runs_later_is_not_charged_with_the_past() -> None:
    told = undo_average([[event("a", 10.0)], [event("a", 10.0), event("b", 4.0)]])
    assert [found["us"] for found in told[1]] == [10.0, 8.0]


def test_nodes_are_given_to_their_run() -> None:
    def node(name: str) -> dict[str, str]:
        return {"cat": "Node", "name": name}

    start, end = {"cat": "Session", "name": "session_initialization"}, {"name": "model_run"}
    runs = by_run([start, node("a"), node("b"), end, node("a"), end, node("stray")])
    assert [[found["name"] for found in run] for run in runs] == [["a", "b"], ["a"]]


def test_layers_and_what_is_between_them_make_the_whole() -> None:
    """Half of the calls are disturbed by 50 ms between their layers: those are left out."""
    clock, calls = Clock(), [0]
    told: list[list[dict[str, Any]]] = []

    def counted() -> None:
        calls[0] += 1
        disturbed = calls[0] % 2 == 0
        clock.now += 0.010 + (0.050 if disturbed else 0.0)
        told.append([event("a", 6000.0), event("b", 3000.0)])

    plain = Opened(clock.takes(0.008), ModelCard("fake"))
    reading = clock.takes(5.0)  # of the counters, which is outside of the call
    opened = Opened(counted, ModelCard("fake"), after=reading, events=lambda: told)
    layered = count_layers("key", OPENVINO, plain, opened, clock=clock)
    assert calls == [COUNTED] and layered.calls == COUNTED // 2
    assert layered.whole_ms == pytest.approx(10.0)
    assert [layer.ms for layer in layered.layers] == pytest.approx([6.0, 3.0])
    assert [layer.share for layer in layered.layers] == pytest.approx([0.6, 0.3])
    assert layered.between_ms == pytest.approx(1.0)


def test_the_first_call_is_dropped_and_counting_has_its_price() -> None:
    clock, told = Clock(), []
    times = iter([0.001, *[0.012] * COUNTED])  # the first is quick, and no example

    def counted() -> None:
        clock.now += next(times)
        told.append([event("a", 9000.0)])

    plain = Opened(clock.takes(0.010), ModelCard("fake"))
    layered = count_layers(
        "key", OPENVINO, plain, Opened(counted, ModelCard("fake"), events=lambda: told), clock=clock
    )
    assert layered.whole_ms == pytest.approx(12.0)
    assert layered.overhead == pytest.approx(0.2)


def test_counting_keeps_its_limit() -> None:
    clock, told = Clock(), []

    def counted() -> None:
        clock.now += 1.0
        told.append([event("a", 9e5)])

    plain = Opened(clock.takes(1.0), ModelCard("fake"))
    opened = Opened(counted, ModelCard("fake"), after=nothing, events=lambda: told)
    count_layers("key", OPENVINO, plain, opened, 0.0, clock)
    assert len(told) == FEWEST_COUNTED
    told.clear()
    count_layers("key", OPENVINO, plain, opened, 12.0, clock)
    assert len(told) == 6


def test_rounding_below_zero_is_no_time() -> None:
    clock = Clock()
    told = [[event("a", 5000.0), event("tiny", -3.0)] for _ in range(COUNTED)]
    opened = Opened(clock.takes(0.006), ModelCard("fake"), events=lambda: told)
    layered = count_layers(
        "k", OPENVINO, Opened(clock.takes(1.0), ModelCard("f")), opened, clock=clock
    )
    assert [layer.ms for layer in layered.layers] == pytest.approx([5.0, 0.0])


def test_the_saved_form_tells_what_is_between() -> None:
    layer = LayerTime("a", "Conv", "jit", "f32", "CPU", 3.0, 0.75)
    told = Layered("key", 4.0, 0.1, 7, [layer]).to_dict()
    assert told["between_ms"] == 1.0 and told["layers"][0]["ms"] == 3.0
