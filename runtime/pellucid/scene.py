"""The scene code: the little that a network must know about the whole picture.

A student sees a bounded neighbourhood, which is what makes tiles exact. Exposure, colour cast and
airlight belong to the whole picture; they are measured once, on a thumbnail, as a soft histogram of
R, G, B and min(R, G, B), and the same 40 numbers go into every tile.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .photo import full_scale

# Finer where sRGB codes are dark: that is where exposure is decided.
KNOTS = (0.0, 0.02, 0.05, 0.1, 0.18, 0.3, 0.45, 0.6, 0.8, 1.0)
SCENE_SIZE = 4 * len(KNOTS)
THUMBNAIL_SIDE = 128


# What every uint8 value adds to each knot, (256, knots): video cannot wait for np.interp.
_HATS = np.stack([np.interp(np.arange(256) / 255.0, KNOTS, hat) for hat in np.eye(len(KNOTS))], 1)


def thumbnail(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Area-averaged copy in [0, 1] with long side at most THUMBNAIL_SIDE, (h, w, 3).

    pixels: (H, W, 3) RGB, uint8, uint16 or float in [0, 1].
    """
    small = shrink(pixels)
    return np.asarray(
        np.clip(small.astype(np.float32) / full_scale(small.dtype), 0.0, 1.0), dtype=np.float32
    )


def measure_scene(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Scene code of a picture, (SCENE_SIZE,): per signal, the mean of each hat on KNOTS, sum 1."""
    eight_bit = pixels.dtype == np.uint8
    small: NDArray[Any] = shrink(pixels) if eight_bit else thumbnail(pixels)
    signals = [small[..., 0], small[..., 1], small[..., 2]]  # each (h, w)
    signals.append(np.minimum(np.minimum(signals[0], signals[1]), signals[2]))
    code = [_mean_hats_u8(signal) if eight_bit else _mean_hats(signal) for signal in signals]
    return np.asarray(code, dtype=np.float32).reshape(SCENE_SIZE)  # (4, knots) in a row


def _mean_hats(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    means = [np.interp(signal, KNOTS, hat).mean() for hat in np.eye(len(KNOTS))]
    return np.asarray(means, dtype=np.float64)


def _mean_hats_u8(signal: NDArray[np.uint8]) -> NDArray[np.float64]:
    counts = np.bincount(signal.ravel(), minlength=256)
    return np.asarray(counts @ _HATS / signal.size, dtype=np.float64)


def shrink(pixels: NDArray[Any]) -> NDArray[Any]:
    """Area-averaged copy with long side at most THUMBNAIL_SIDE, in the picture's own type."""
    height, width = pixels.shape[:2]
    scale = THUMBNAIL_SIDE / max(height, width)
    if scale >= 1.0:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(np.asarray(pixels), size, interpolation=cv2.INTER_AREA))
