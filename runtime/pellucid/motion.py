"""Where the pixels of a frame were in the frame before, and a picture carried along.

Dense inverse search (Kroeger et al., ECCV 2016) as OpenCV has it, on small grey pictures: rain and
grain that would be taken for motion are averaged away there, and it costs a few milliseconds.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .image.photo import full_scale

FLOW_SIDE = 320  # px, long side of the pictures that are compared
_LEAST_SIDE = 24  # px; below it there is nothing to search in: no motion is assumed
_SPREAD = 48.0  # levels of standard deviation that every grey picture is brought to
_LEAST_SPREAD = 2.0  # levels; what is flatter is noise and must not be blown up

Flow = NDArray[np.float32]  # (H, W, 2): pixel (x, y) of now was at (x + u, y + v) before


class MotionEstimator:
    """Motion from frame to frame of a stream.

    >>> flow = estimator.follow(pixels)  # None for the first frame
    >>> carried = carry(last_result, flow)  # as it would look now
    """

    def __init__(self) -> None:
        # Without the refinement of the slower presets, which takes as long as all the rest and
        # brings pictures no nearer to each other; one scale finer than any preset, which does.
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(1)
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self._last: NDArray[np.uint8] | None = None
        self._size = (0, 0)

    def follow(self, pixels: NDArray[Any]) -> Flow | None:
        """Motion since the last frame, in pixels of this one; None if that had another size.

        pixels: (H, W, 3) RGB, uint8, uint16 or float in [0, 1]. Brightness and contrast are evened
        out first, so that dark frames move as well as bright ones.
        """
        height, width = pixels.shape[:2]
        last, this = self._last, _comparable(pixels)
        known = last is not None and self._size == (height, width)
        self._last, self._size = this, (height, width)
        if last is None or not known:
            return None
        if min(this.shape) < _LEAST_SIDE:
            return np.zeros((height, width, 2), np.float32)
        start = np.zeros((*this.shape, 2), np.float32)
        flow = np.asarray(self._search.calc(this, last, start), np.float32)
        if flow.shape[:2] == (height, width):
            return flow
        factors = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
        return np.asarray(cv2.resize(flow * factors, (width, height)), np.float32)


class PreviousOutput:
    """What a chain goes on from: the last frame's result, as it would look now."""

    def __init__(self) -> None:
        self._motion = MotionEstimator()
        self._result: NDArray[Any] | None = None

    def carried_to(self, pixels: NDArray[Any], anew: bool) -> NDArray[Any] | None:
        """It, moved to where this frame shows it; None where a chain begins.

        pixels: the frame, every frame of a stream in turn. anew: a shot begins here; another size
        begins one by itself.
        """
        flow = self._motion.follow(pixels)
        return None if anew or flow is None or self._result is None else carry(self._result, flow)

    def keep(self, result: NDArray[Any]) -> None:
        """The result of the frame that was asked about last."""
        self._result = result

    def drop(self) -> None:
        """Frames will be missing: the next one begins anew."""
        self._motion.reset()
        self._result = None


def carry(picture: NDArray[Any], flow: Flow) -> NDArray[Any]:
    """`picture` (H, W, 3) of the frame before as it would look now, same type; borders repeat."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)[None, :]
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    moved = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved)


def _comparable(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey, at most FLOW_SIDE wide, of one mean and contrast, (h, w)."""
    scale = min(1.0, FLOW_SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small = pixels
    if scale < 1.0:
        small = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    grey = cv2.cvtColor(np.asarray(small, np.float32), cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    least = _LEAST_SPREAD / 255.0 * full_scale(pixels.dtype)
    gain = _SPREAD / max(float(deviation[0, 0]), least)
    levels = np.clip((grey - np.float32(mean[0, 0])) * np.float32(gain) + 128.0, 0.0, 255.0)
    return np.asarray(levels, np.uint8)
