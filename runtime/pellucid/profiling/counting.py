"""Where the time of a call goes: the same file opened twice, with and without counting layers."""

import time
from math import inf

import numpy as np

from .layers import Layered, read_layers
from .opened import Opened
from .targets import Target
from .timing import Clock

COUNTED, FEWEST_COUNTED = 15, 4  # rounds, the first of which is dropped


def count_layers(
    key: str,
    target: Target,
    plain: Opened,
    counted: Opened,
    limit: float = inf,
    clock: Clock = time.perf_counter,
) -> Layered:
    """Times a layer, from the quieter half of the counted calls.

    Whole and layers are of the same calls, so that they add up; in the quieter half, because a
    core that is taken away between two layers belongs to none of them. plain and counted take
    turns. No round begins `limit` seconds after the start once there are FEWEST_COUNTED.
    """
    with_ms: list[float] = []
    without_ms: list[float] = []
    last = clock() + limit
    while len(with_ms) < COUNTED and (len(with_ms) < FEWEST_COUNTED or clock() < last):
        start = clock()
        plain.call()
        middle = clock()
        counted.call()
        end = clock()
        counted.after()
        without_ms.append(1e3 * (middle - start))
        with_ms.append(1e3 * (end - middle))
    events = counted.events()
    kept = 1 + np.argsort(with_ms[1:], kind="stable")[: len(with_ms) // 2]
    whole_ms = float(np.mean([with_ms[index] for index in kept]))
    overhead = float(np.median(np.divide(with_ms[1:], without_ms[1:]))) - 1.0
    layers = read_layers(target, [events[index] for index in kept], whole_ms)
    return Layered(key, whole_ms, overhead, len(kept), layers)
