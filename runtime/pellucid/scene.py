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


def thumbnail(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Area-averaged copy in [0, 1] with long side at most THUMBNAIL_SIDE, (h, w, 3).

    pixels: (H, W, 3) RGB, uint8, uint16 or float in [0, 1].
    """
    height, width = pixels.shape[:2]
    scale = THUMBNAIL_SIDE / max(height, width)
    small = pixels
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(np.asarray(pixels), size, interpolation=cv2.INTER_AREA))
    return np.asarray(
        np.clip(small.astype(np.float32) / full_scale(small.dtype), 0.0, 1.0), dtype=np.float32
    )


def measure_scene(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Scene code of a picture, (SCENE_SIZE,): per signal, the mean of each hat on KNOTS, sum 1."""
    small = thumbnail(pixels)
    signals = np.concatenate([small, small.min(axis=2, keepdims=True)], axis=2)  # (h, w, 4)
    hats = np.eye(len(KNOTS))
    code = [
        [np.interp(signals[..., s], KNOTS, hat).mean() for hat in hats] for s in range(4)
    ]  # (4, knots)
    return np.asarray(code, dtype=np.float32).reshape(SCENE_SIZE)
