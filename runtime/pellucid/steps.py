"""More than one step with one file: later calls see the picture half-restored.

A call of a restorer judges a whole picture before it changes it: how dark, how hazy, how noisy. Its
estimate tells whether it judged right. So the next call gets a picture with less wrong with it, a
mix of the given one and the estimate so far (DiffUIR's state without noise), measures it anew, and
sees it mirrored, since predictions from both sides err apart. The mean of all predictions counts.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .scene import measure_scene

INPUT_WEIGHT = (
    1.0,
    0.75,
    0.5,
)  # share of the given picture in what the first, second, third call sees
MOST_STEPS = len(INPUT_WEIGHT)
# Share of the newest estimate in the state that a later call starts from: by how far DiffUIR's
# schedule moves the state in each step, alpha_t - alpha_s.
STATE_STEP = (1.0, 1.0, 0.823)

Pixels = NDArray[Any]
Mask = NDArray[np.bool_]
Scene = NDArray[np.float32]
Restore = Callable[[Pixels, Scene, int], Pixels]


def refine(
    given: Pixels, first: Pixels, steps: int, restore: Restore, visible: Mask | None = None
) -> Pixels:
    """The estimate after calls 2 to `steps`, like `first`, the estimate after one.

    given, first: (H, W, C), of one type: uint8, uint16 or float in [0, 1].
    restore(picture, scene, call): one call's prediction of a mirrored picture that nobody else
    holds, mirrored too; scene: of it unmirrored. call counts from 0: the first here is 1.
    visible: (H, W), the pixels that are measured; None: all.
    """
    estimate = carried = first
    for call in range(1, steps):
        carried = mix(carried, estimate, STATE_STEP[call])
        seen = mix(carried, given, INPUT_WEIGHT[call])
        prediction = restore(mirrored(seen), measure_of(seen, visible), call)
        estimate = mix(carried, mirrored(prediction), 1.0 / (call + 1))
    return estimate


def measure_of(picture: Pixels, visible: Mask | None = None) -> Scene:
    """Scene code of a picture in colour or grey, (H, W, 3 or 1) -> (SCENE_SIZE,).

    visible: (H, W), the pixels that count; None: all.
    """
    return measure_scene(np.broadcast_to(picture, (*picture.shape[:2], 3)), visible)


def mix(one: Pixels, other: Pixels, share: float) -> Pixels:
    """one + share·(other - one), rounded for integers, in a new array."""
    if np.issubdtype(one.dtype, np.floating):
        return np.asarray(one + one.dtype.type(share) * (other - one))
    mixed = cv2.addWeighted(one, 1.0 - share, other, share, 0.0)
    return np.asarray(mixed).reshape(one.shape)


def mirrored(picture: Pixels) -> Pixels:
    """Left to right, in a new array."""
    return np.ascontiguousarray(picture[:, ::-1])
