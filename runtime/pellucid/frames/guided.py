"""A restored small picture carried over to the full frame.

The network runs on a k times smaller copy. What it did there is described as a local affine map
of each channel, out = a in + b, fitted in small windows (guided filter: He, Sun, Tang, TPAMI 2013,
eq. 5-6; fitted small and applied large: fast guided filter, arXiv 1505.00996). a and b are smooth
and can be enlarged; edges and texture come from the full frame itself. What a small picture does
not show, such as thin streaks of rain, cannot be taken away like this.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from .frame import Pixels

RADIUS = 1  # px of the small picture; wider windows gained on haze and lost on rain and texture
# Variance, in 8-bit levels squared, under which a window is flat. The slope is drawn to 1 there,
# not to 0 as in the paper: an unchanged picture must come back unchanged, texture included.
_FLAT = np.float32(4.0)


def reduce(pixels: Pixels, shrink: int) -> Pixels:
    """Mean of shrink x shrink blocks, (H // shrink, W // shrink, 3). A rest at the edges is cut."""
    if shrink == 1:
        return pixels
    high, wide = pixels.shape[0] // shrink, pixels.shape[1] // shrink
    whole = pixels[: high * shrink, : wide * shrink]
    return np.asarray(cv2.resize(whole, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)


class Carrier:
    """Carries what happened to a small picture over to the full frame.

    It keeps two float frames of scratch: asking the system for new ones takes longer than the
    arithmetic.
    """

    def __init__(self) -> None:
        self._slope: NDArray[np.float32] = np.empty((0, 0, 3), np.float32)
        self._offset = self._slope

    def __call__(self, pixels: Pixels, small: Pixels, restored: Pixels, shrink: int) -> Pixels:
        """The full frame, changed as `small` was changed into `restored`.

        pixels: (H, W, 3). small, restored: (H // shrink, W // shrink, 3), from `reduce` and from
        the network. All uint8 RGB; the result has the shape of pixels.
        """
        if self._slope.shape != pixels.shape:
            self._slope, self._offset = (np.empty(pixels.shape, np.float32) for _ in range(2))
        a, b = fit_affine(small.astype(np.float32), restored.astype(np.float32))
        _enlarge(a, self._slope, shrink)
        _enlarge(b, self._offset, shrink)
        cv2.multiply(pixels, self._slope, dst=self._slope, dtype=cv2.CV_32F)
        # Rounds and clips.
        return np.asarray(cv2.add(self._slope, self._offset, dtype=cv2.CV_8U), np.uint8)


def fit_affine(
    guide: NDArray[np.float32], target: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slope a and offset b, each (h, w, 3), of the best target = a guide + b around each pixel."""
    mean_guide, mean_target = _mean(guide), _mean(target)
    variance = _mean(guide * guide) - mean_guide * mean_guide
    covariance = _mean(guide * target) - mean_guide * mean_target
    # Rounding can leave a tiny negative variance in flat windows.
    flat_safe = np.maximum(variance, 0.0) + _FLAT
    a = np.asarray((covariance + _FLAT) / flat_safe, np.float32)
    b = mean_target - a * mean_guide
    return _mean(a), _mean(b)


def _mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    side = 2 * RADIUS + 1
    return np.asarray(cv2.blur(picture, (side, side)), np.float32)


def _enlarge(small: NDArray[np.float32], into: NDArray[np.float32], shrink: int) -> None:
    """Interpolate into the first whole blocks of `into`; repeat the last ones to its edges."""
    high, wide = small.shape[0] * shrink, small.shape[1] * shrink
    if (high, wide) == into.shape[:2]:
        cv2.resize(small, (wide, high), dst=into, interpolation=cv2.INTER_LINEAR)
        return
    into[:high, :wide] = cv2.resize(small, (wide, high), interpolation=cv2.INTER_LINEAR)
    into[:high, wide:] = into[:high, wide - 1 : wide]
    into[high:] = into[high - 1 : high]
