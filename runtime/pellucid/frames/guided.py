"""A restored small picture carried over to the full frame.

The network runs on a k times smaller copy. What it did there is described as a local affine map
of each channel, out = a in + b, fitted in small windows (guided filter: He, Sun, Tang, TPAMI 2013,
eq. 5-6; fitted small and applied large: fast guided filter, arXiv 1505.00996). a and b are smooth
and can be enlarged; edges and texture come from the full frame itself. What a small picture does
not show, such as thin streaks of rain, cannot be taken away like this.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engine import default_threads
from .frame import Pixels

RADIUS = 1  # px of the small picture; wider windows gained on haze and lost on rain and texture
# Variance, in 8-bit levels squared, under which a window is flat. The slope is drawn to 1 there,
# not to 0 as in the paper: an unchanged picture must come back unchanged, texture included.
_FLAT = np.float32(4.0)
_WINDOW = np.full(2 * RADIUS + 1, 1.0 / (2 * RADIUS + 1), np.float32)
_BAND = 64  # rows of a full frame, about, that are worked on at a time


def reduce(pixels: Pixels, shrink: int) -> Pixels:
    """Mean of shrink x shrink blocks, (H // shrink, W // shrink, 3). A rest at the edges is cut.

    Even steps go by halves, each rounded: OpenCV averages 2x2 pixels in a third of the time.
    """
    if shrink == 1:
        return pixels
    high, wide = pixels.shape[0] // shrink, pixels.shape[1] // shrink
    step = 2 if shrink % 2 == 0 else shrink
    size = (wide * shrink // step, high * shrink // step)
    whole = pixels[: high * shrink, : wide * shrink]
    means = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    return reduce(means, shrink // step)


class Carrier:
    """Carries what happened to a small picture over to the full frame.

    Slope and offset are enlarged for a band of rows at a time and by several threads: two float
    frames of them would not stay in the cache, and fetching them takes longer than the arithmetic.
    """

    def __init__(self) -> None:
        self._threads = default_threads()  # OpenCV's arithmetic takes only one by itself
        self._workers = ThreadPoolExecutor(self._threads, "pellucid-carrier")
        self._scratch: NDArray[np.float32] = np.empty((0, 0, 0, 0, 3), np.float32)

    def __call__(self, pixels: Pixels, small: Pixels, restored: Pixels, shrink: int) -> Pixels:
        """The full frame, changed as `small` was changed into `restored`.

        pixels: (H, W, 3). small, restored: (H // shrink, W // shrink, 3), from `reduce` and from
        the network. All uint8 RGB; the result has the shape of pixels.
        """
        maps = fit_affine(small, restored)
        count = max(1, _BAND // shrink)  # rows of `small` in a band
        room = (self._threads, 2, (count + 3) * shrink, pixels.shape[1], 3)
        if self._scratch.shape != room:
            self._scratch = np.empty(room, np.float32)
        changed: Pixels = np.empty(pixels.shape, np.uint8)
        starts = range(0, len(small), count)

        def apply(worker: int) -> None:
            for start in starts[worker :: self._threads]:
                last = start + count >= len(small)
                rows = slice(start * shrink, None if last else (start + count) * shrink)
                slope, offset = (
                    _enlarge_rows(part, start, len(pixels[rows]), shrink, scratch)
                    for part, scratch in zip(maps, self._scratch[worker], strict=True)
                )
                cv2.multiply(pixels[rows], slope, dst=slope, dtype=cv2.CV_32F)
                # Rounds and clips.
                cv2.add(slope, offset, dst=changed[rows], dtype=cv2.CV_8U)

        list(self._workers.map(apply, range(self._threads)))
        return changed


def _enlarge_rows(
    small: NDArray[np.float32], start: int, height: int, shrink: int, scratch: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`height` rows of the enlarged picture, from row start * shrink on, as a part of `scratch`.

    Interpolated between the pixels of `small` (h, w, 3); what lies beyond its last whole block, at
    the right and at the bottom, repeats the last value.
    """
    above = min(start, 1)  # the neighbours that a band's edges are interpolated with
    stop = min(start + -(-height // shrink) + 1, len(small))
    part = small[start - above : stop]
    high, wide = len(part) * shrink, part.shape[1] * shrink
    cv2.resize(part, (wide, high), dst=scratch[:high, :wide], interpolation=cv2.INTER_LINEAR)
    scratch[:high, wide:] = scratch[:high, wide - 1 : wide]
    end = above * shrink + height
    scratch[high:end] = scratch[high - 1]
    return scratch[above * shrink : end]


def fit_affine(
    guide: NDArray[Any], target: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slope a and offset b of the best target = a guide + b around each pixel.

    guide, target: (h, w, 3), uint8 or float32 in 8-bit levels. a, b: (h, w, 3).
    """
    mean_guide, mean_target = _mean(guide), _mean(target)
    variance = _mean(_times(guide, guide))
    variance -= mean_guide * mean_guide
    a = _mean(_times(guide, target))  # the covariance, to begin with
    a -= mean_guide * mean_target
    np.maximum(variance, 0.0, out=variance)  # rounding can leave less in flat windows
    variance += _FLAT
    a += _FLAT
    a /= variance
    mean_target -= a * mean_guide
    return _mean(a), _mean(mean_target)


def _times(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(cv2.multiply(one, other, dtype=cv2.CV_32F), np.float32)


def _mean(picture: NDArray[Any]) -> NDArray[np.float32]:
    # In floats: the sums of cv2.blur are doubles, which takes half as long again.
    return np.asarray(cv2.sepFilter2D(picture, cv2.CV_32F, _WINDOW, _WINDOW), np.float32)
