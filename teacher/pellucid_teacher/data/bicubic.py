"""Bicubic resizing as MATLAB's imresize does it, which made the standard super-resolution sets.

Keys' cubic kernel with a = -1/2 (Keys, 1981), widened by 1/scale when reducing (antialiasing),
weights normalised to unit sum, borders mirrored with the edge pixel repeated. OpenCV's
INTER_CUBIC does not widen the kernel and uses a = -3/4; Pillow cuts the kernel at borders instead
of mirroring.
"""

from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from .light import Image

Weights = NDArray[np.float64]


def cubic(x: Weights) -> Weights:
    """3/2|x|³ - 5/2|x|² + 1 up to |x| = 1, -1/2|x|³ + 5/2|x|² - 4|x| + 2 up to 2, then 0."""
    a = np.abs(x)
    near = 1.5 * a**3 - 2.5 * a**2 + 1.0
    far = -0.5 * a**3 + 2.5 * a**2 - 4.0 * a + 2.0
    return np.asarray(np.where(a <= 1.0, near, np.where(a <= 2.0, far, 0.0)))


@lru_cache(maxsize=64)
def contributions(length: int, target: int, scale: float) -> tuple[Weights, NDArray[np.intp]]:
    """Weights and source positions of every target sample, (target, P) each."""
    narrow = min(scale, 1.0)
    # Sample k covers [k, k + 1) in units of the source's pixels; pixel centres lie at + 1/2.
    centre = (np.arange(target) + 0.5) / scale - 0.5  # (target,)
    reach = 2.0 / narrow
    first = np.floor(centre - reach).astype(np.intp)
    at = first[:, None] + np.arange(ceil(2.0 * reach) + 2)[None, :]  # (target, P)
    weights = cubic(narrow * (centre[:, None] - at))
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.mod(at, 2 * length)
    return weights, np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)


def imresize(image: Image, scale: float) -> Image:
    """`image` (H, W, C) at `scale` times its size, sides rounded up; float32, not clipped.

    Raises ValueError for a scale that is not positive.
    """
    if scale <= 0.0:
        raise ValueError(f"scale must be positive, got {scale}")
    out = image.astype(np.float64)
    for axis in (0, 1):
        weights, at = contributions(out.shape[axis], ceil(out.shape[axis] * scale), scale)
        taken = np.moveaxis(out, axis, 0)  # (length, other, C)
        # A tap at a time: a photo's rows for all taps together would be many times the photo.
        summed = sum(weights[:, tap, None, None] * taken[at[:, tap]] for tap in range(at.shape[1]))
        out = np.moveaxis(np.asarray(summed), 0, axis)
    return np.ascontiguousarray(out, dtype=np.float32)
