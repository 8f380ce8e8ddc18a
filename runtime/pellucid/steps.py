"""Two and three steps with one network: later calls see the picture half-restored.

This is DiffUIR's sampler (Zheng et al., CVPR 2024) without noise, hence deterministic. Its state is
then a mix of the given picture and of the estimates so far, so a later step is the same network on
a picture with less wrong with it. The scene is measured anew, and the picture is mirrored, because
predictions from both sides have different errors (geometric self-ensemble, Timofte et al., CVPR
2016). The new estimate is the mean of all predictions.

`refine_with` is the rule, for pictures of any array library; `refine` is its numpy form.
`pellucid_student.steps` is its torch form, which exported files with several steps contain.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .image.scratch import bands, empty_picture
from .scene import measure_scene

# Share of the given picture in what the first, second and third call sees.
INPUT_WEIGHT = (1.0, 0.75, 0.5)
MOST_STEPS = len(INPUT_WEIGHT)
# Share of the newest estimate in the state that each call starts from: by how far DiffUIR's
# schedule moves the state in a step, alpha_t - alpha_s.
STATE_STEP = (1.0, 1.0, 0.823)

Pixels = NDArray[Any]
Mask = NDArray[np.bool_]
Scene = NDArray[np.float32]
Restore = Callable[[Pixels, Scene, int], Pixels]
Measure = Callable[[Pixels], Scene]
Picture = TypeVar("Picture")


def refine_with(
    given: Picture,
    first: Picture,
    steps: int,
    predict: Callable[[Picture, int], Picture],
    mix: Callable[[Picture, Picture, float], Picture],
) -> Picture:
    """The estimate after calls 2 to `steps`; first: the estimate after one.

    predict(picture, call): one call's prediction; call counts from 0, so the first here is 1.
    mix(one, other, share): one + share·(other - one).
    """
    estimate = state = first
    for call in range(1, steps):
        state = mix(state, estimate, STATE_STEP[call])
        prediction = predict(mix(state, given, INPUT_WEIGHT[call]), call)
        estimate = mix(state, prediction, 1.0 / (call + 1))
    return estimate


def refine(
    given: Pixels, first: Pixels, steps: int, restore: Restore, measure: Measure | None = None
) -> Pixels:
    """The estimate after calls 2 to `steps`, like `first`, the estimate after one.

    given, first: (H, W, C), of one type: uint8, uint16 or float in [0, 1].
    restore(picture, scene, call): one call's prediction of a mirrored picture that nobody else
    holds, mirrored too; scene: of it unmirrored. call counts from 0: the first here is 1.
    measure(picture): its scene; None: `measure_of`.
    """
    scene_of = measure or measure_of

    def predict(seen: Pixels, call: int) -> Pixels:
        return mirrored(restore(mirrored(seen), scene_of(seen), call))

    return refine_with(given, first, steps, predict, mix)


def measure_of(picture: Pixels, visible: Mask | None = None) -> Scene:
    """Statistics of a picture in colour or grey, (H, W, 3 or 1) -> (SCENE_SIZE,).

    visible: (H, W), the pixels that count; None: all.
    """
    return measure_scene(np.broadcast_to(picture, (*picture.shape[:2], 3)), visible)


def mix(one: Pixels, other: Pixels, share: float) -> Pixels:
    """one + share·(other - one), rounded for integers, in a new array."""
    mixed = empty_picture(one.shape, one.dtype)
    for band in bands(one):
        if np.issubdtype(one.dtype, np.floating):
            mixed[band] = one[band] + one.dtype.type(share) * (other[band] - one[band])
        else:
            sums = cv2.addWeighted(one[band], 1.0 - share, other[band], share, 0.0)
            mixed[band] = np.asarray(sums).reshape(mixed[band].shape)
    return mixed


def mirrored(picture: Pixels) -> Pixels:
    """Left to right, in a new array."""
    turned = empty_picture(picture.shape, picture.dtype)
    turned[...] = picture[:, ::-1]
    return turned
