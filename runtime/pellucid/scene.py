"""The scene code: the little that a network must know about the whole picture.

A student sees a bounded neighbourhood, which is what makes tiles exact. What belongs to the whole
picture is measured once and the same numbers go into every tile:

- light, on a thumbnail: soft histograms of R, G, B and min(R, G, B). Exposure, colour cast and
  airlight can be read off them.
- texture, at full resolution: soft histograms of Haar details and of the peaks over and under
  their 4x4 neighbourhood. Streaks, flakes, grain and blur differ in them.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import to_floats

# Finer where sRGB codes are dark: that is where exposure is decided.
KNOTS = (0.0, 0.02, 0.05, 0.1, 0.18, 0.3, 0.45, 0.6, 0.8, 1.0)
LIGHT_SIGNALS = 4
THUMBNAIL_SIDE = 128

TEXTURE_KNOTS = (0.0, 0.004, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
# Peaks over and under; 3 scales of luma details; 2 scales of colour details; 3 directions each.
TEXTURE_SIGNALS = 2 + 3 * 3 + 2 * 3
BAND = 8  # rows, and columns, of a cell of the coarsest scale, px
ENOUGH_PIXELS = 2**17  # larger pictures are sampled in bands of rows
# Texture of 8-bit pictures is a whole number of 1/STEPS, so that counting is exact.
STEPS = 24480

SCENE_SIZE = LIGHT_SIGNALS * len(KNOTS) + TEXTURE_SIGNALS * len(TEXTURE_KNOTS)

Floats = NDArray[np.float32]


def measure_scene(pixels: NDArray[Any], visible: NDArray[np.bool_] | None = None) -> Floats:
    """Scene code (SCENE_SIZE,) of a picture (H, W, 3) RGB, uint8, uint16 or float in [0, 1].

    Per signal the mean of each hat on its knots, so each signal's entries are >= 0 with sum 1.
    visible: (H, W), the pixels that count; None counts all. Hidden ones should be filled from
    their neighbours, for a thumbnail's pixel can be of both kinds.
    """
    if visible is None or visible.all():
        return np.concatenate([measure_light(pixels), measure_texture(pixels)])
    small = shrink(pixels)
    counted = shrink(visible.astype(np.uint8) * np.uint8(255)) >= 128
    light = _measure_small(small[counted][None] if counted.any() else small)
    height, width = (side // BAND * BAND for side in visible.shape)
    blocks = visible[:height, :width].reshape(height // BAND, BAND, width // BAND, BAND)
    rows, columns = np.nonzero(blocks.all(axis=(1, 3)))
    if len(rows) == 0:  # nowhere a whole cell
        return np.concatenate([light, measure_texture(pixels)])
    cells = pixels[:height, :width].reshape(height // BAND, BAND, width // BAND, BAND, 3)
    shown = cells[rows, :, columns].reshape(-1, BAND, 3)  # cells one under another
    return np.concatenate([light, measure_texture(shown)])


def shrink(pixels: NDArray[Any]) -> NDArray[Any]:
    """Area-averaged copy with long side at most THUMBNAIL_SIDE, in the picture's own type."""
    height, width = pixels.shape[:2]
    scale = THUMBNAIL_SIDE / max(height, width)
    if scale >= 1.0:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(np.asarray(pixels), size, interpolation=cv2.INTER_AREA))


def thumbnail(pixels: NDArray[Any]) -> Floats:
    """`shrink` in [0, 1], (h, w, 3)."""
    return _unit(shrink(pixels))


def measure_light(pixels: NDArray[Any]) -> Floats:
    """(H, W, 3) -> (LIGHT_SIGNALS * len(KNOTS),)."""
    return _measure_small(shrink(pixels))


def _measure_small(small: NDArray[Any]) -> Floats:
    """The light of a thumbnail, (h, w, 3)."""
    if small.dtype != np.uint8:
        small = _unit(small)
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    signals = (red, green, blue, np.minimum(np.minimum(red, green), blue))
    return np.concatenate([_soft_histogram(signal, KNOTS) for signal in signals])


def measure_texture(pixels: NDArray[Any], part: int = 0, parts: int = 1) -> Floats:
    """(H, W, 3) -> (TEXTURE_SIGNALS * len(TEXTURE_KNOTS),).

    part, parts: with parts = 4, part = 0..3 measures a quarter of the sample, spread as evenly.
    """
    red, green, blue = _unit(np.stack(cv2.split(_whole_bands(pixels, part, parts))))
    luma = (red + green + blue) / np.float32(3.0)
    colour = np.stack([red - green, blue - green])
    high, low = _of_cells(np.maximum, luma), _of_cells(np.minimum, luma)
    signals = []
    for scale in range(3):
        luma, details = haar(luma)
        signals += details
        if scale < 2:
            colour, details = haar(colour)
            signals += details
        if scale == 1:  # two scales up, luma is the mean of each cell
            signals = [high - luma, luma - low, *signals]
    return np.concatenate([_soft_histogram(np.abs(signal), TEXTURE_KNOTS) for signal in signals])


def haar(x: Floats) -> tuple[Floats, list[Floats]]:
    """One level of the Haar transform: (..., H, W) -> mean and [across, down, diagonal], H/2, W/2.

    Details are orthonormal: white noise keeps its standard deviation in them.
    """
    # Rows first: sums of whole rows are fast, and only two of their results are left to walk in
    # steps of two.
    halves = x * np.float32(0.5)
    above, below = halves[..., ::2, :], halves[..., 1::2, :]
    mean, down = above + below, above - below
    left, right = mean[..., ::2], mean[..., 1::2]
    details = [left - right, down[..., ::2] + down[..., 1::2], down[..., ::2] - down[..., 1::2]]
    return (left + right) * np.float32(0.5), details


def _of_cells(extreme: np.ufunc, x: Floats) -> Floats:
    """Largest or smallest value of each 4x4 cell, (H, W) -> (H/4, W/4)."""
    for _ in range(2):
        rows = extreme(x[::2], x[1::2])
        x = extreme(rows[:, ::2], rows[:, 1::2])
    return x


def _unit(pixels: NDArray[Any]) -> Floats:
    return np.asarray(np.clip(to_floats(pixels), 0.0, 1.0), dtype=np.float32)


def _whole_bands(pixels: NDArray[Any], part: int, parts: int) -> NDArray[Any]:
    """A part of the picture with sides that are multiples of BAND and at most about ENOUGH_PIXELS.

    Rows are taken in bands, spread evenly, so that no cell spans two places of the picture.
    """
    height, width = pixels.shape[:2]
    missing = [(0, max(0, BAND - side)) for side in (height, width)]
    if any(after for _, after in missing):
        pixels = np.pad(pixels, [*missing, (0, 0)], mode="edge")
        height, width = pixels.shape[:2]
    bands, columns = height // BAND, width // BAND * BAND
    every = max(1, round(bands * BAND * columns / ENOUGH_PIXELS))
    parts = min(parts, -(-bands // every))  # a part is at least one band
    banded = pixels[: bands * BAND, :columns].reshape(bands, BAND, columns, 3)
    return banded[part % parts * every :: parts * every].reshape(-1, columns, 3)


def _soft_histogram(signal: NDArray[Any], knots: tuple[float, ...]) -> Floats:
    """Mean of every hat on `knots` over a signal >= 0, (len(knots),). uint8 is taken as 0..1.

    Values are counted in whole steps first: one pass over the picture instead of one per hat, which
    video could not wait for.
    """
    hats = _hats(knots)  # (knots, levels)
    if signal.dtype == np.uint8:
        hats, steps = hats[:, :: STEPS // 255], signal
    else:
        steps = np.rint(signal * np.float32(STEPS)).astype(np.intp)
    counts = np.bincount(np.minimum(steps, hats.shape[1] - 1).ravel(), minlength=hats.shape[1])
    return np.asarray(hats @ counts / counts.sum(), dtype=np.float32)


@lru_cache
def _hats(knots: tuple[float, ...]) -> NDArray[np.float64]:
    """What one count at every level from 0 to the last knot adds to each knot, (knots, levels)."""
    levels = np.arange(round(knots[-1] * STEPS) + 1) / STEPS
    return np.stack([np.interp(levels, knots, hat) for hat in np.eye(len(knots))])
