"""More than one step with one file: later calls see the picture half-restored.

A call of a restorer judges a whole picture before it changes it: how dark, how hazy, how noisy. Its
estimate tells whether it judged right. So the next call gets a picture with less wrong with it, a
mix of the given one and the estimate so far (DiffUIR's state without noise), measures it anew, and
sees it mirrored, since opinions from both sides err apart. The mean of all opinions counts.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LEFT = (1.0, 0.75, 0.5)  # share of the given picture in what the first, second, third call sees
MOST_STEPS = len(LEFT)
# Share of the newest estimate in the state that a later call starts from: by how far DiffUIR's
# schedule moves the state in each step, alpha_t - alpha_s.
NEWEST = (1.0, 1.0, 0.823)

Pixels = NDArray[Any]
Restore = Callable[[Pixels, int], Pixels]


def go_on(given: Pixels, first: Pixels, steps: int, restore: Restore) -> Pixels:
    """The estimate after calls 2 to `steps`, like `first`, the estimate after one.

    given, first: (H, W, C), of one type: uint8, uint16 or float in [0, 1].
    restore(picture, call): one call's opinion of a half-restored picture that nobody else holds;
    call counts from 0, so the first of these is 1.
    """
    estimate = carried = first
    for call in range(1, steps):
        carried = mix(carried, estimate, NEWEST[call])
        opinion = restore(mix(carried, given, LEFT[call]), call)
        estimate = mix(carried, opinion, 1.0 / (call + 1))
    return estimate


def mix(one: Pixels, other: Pixels, share: float) -> Pixels:
    """one + share·(other - one), rounded for integers, in a new array."""
    if np.issubdtype(one.dtype, np.floating):
        return np.asarray(one + one.dtype.type(share) * (other - one))
    mixed = cv2.addWeighted(one, 1.0 - share, other, share, 0.0)
    return np.asarray(mixed).reshape(one.shape)


def mirrored(picture: Pixels) -> Pixels:
    """Left to right, in a new array."""
    return np.ascontiguousarray(picture[:, ::-1])
