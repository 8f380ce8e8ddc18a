"""Whole pictures, for what is a matter of the whole picture: haze, veils and darkness.

`Wholes` are pictures reduced to a grid, as a network for the whole picture sees them in use.
`Parts` are crops of the same kind as the synthesis' own that bring their whole picture on the grid.
"""

from collections.abc import Sequence
from math import gcd

import cv2
import numpy as np
from numpy.random import Generator

from pellucid.thumbnail import GRID

from .compound import Amounts
from .corpus import Pixels
from .crops import crop_alike
from .light import Image
from .synthesis import Synthesis

LEAST = 0.7  # of a photo's height, and of its width, in a whole picture
DRAWN = 3 * GRID // 2  # side at which whole pictures are degraded: reduction takes noise away
LARGEST = 320  # side of the picture that crops are cut from, px
PARTS = 4  # crops of one picture: a whole one costs many times a crop's samples


class Wholes:
    """Pictures of GRID x GRID that show nearly all of a photo, whatever its shape.

    synthesis: of the tasks and their shares; it is not changed.
    """

    extra = ("amounts",)

    def __init__(self, synthesis: Synthesis) -> None:
        self.synthesis = synthesis.with_view(whole_alike, DRAWN)

    def pictures(self, seed: int, index: int) -> tuple[Image, Image, Amounts]:
        """(degraded, clean, amounts) of sample `index`."""
        degraded, clean, amounts = self.synthesis.pictures(seed, index)
        return on_grid(degraded), on_grid(clean), amounts

    def describe(self) -> str:
        return f"{self.synthesis.describe()}, whole pictures of {GRID}x{GRID}"


class Parts:
    """Crops of the side `synthesis.crop` with their whole picture. PARTS crops in a row are of one
    picture, as far as the synthesis' samples of one task allow it."""

    extra = ("amounts", "thumbnail", "window")

    def __init__(self, synthesis: Synthesis) -> None:
        self.crop, self.parts = synthesis.crop, gcd(PARTS, synthesis.samples_per_task)
        self.synthesis = synthesis.with_view(largest_alike, LARGEST)
        self.synthesis.samples_per_task //= self.parts
        self._last: tuple[tuple[int, int], tuple[Image, Image, Amounts]] | None = None

    def pictures(self, seed: int, index: int) -> tuple[Image, Image, Amounts, Image, Image]:
        """(degraded, clean, amounts of the whole, thumbnail, window) of sample `index`."""
        degraded, clean, amounts = self._whole(seed, index // self.parts)
        height, width = clean.shape[:2]
        rng = np.random.default_rng([seed, index, 1])
        top = int(rng.integers(height - self.crop + 1))
        left = int(rng.integers(width - self.crop + 1))
        at = (slice(top, top + self.crop), slice(left, left + self.crop))
        window = np.array([top, left, height, width], np.float32)
        cut = (np.ascontiguousarray(degraded[at]), np.ascontiguousarray(clean[at]))
        return *cut, amounts, on_grid(degraded), window

    def describe(self) -> str:
        return f"{self.synthesis.describe()}, parts of {self.crop} px"

    def _whole(self, seed: int, index: int) -> tuple[Image, Image, Amounts]:
        """The whole picture; the last one is kept, since its parts follow each other."""
        if self._last is None or self._last[0] != (seed, index):
            self._last = ((seed, index), self.synthesis.pictures(seed, index))
        return self._last[1]


def on_grid(picture: Image) -> Image:
    """The means of GRID x GRID equal parts, (H, W, 3) -> (GRID, GRID, 3)."""
    return np.asarray(cv2.resize(picture, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)


def whole_alike(
    pictures: Sequence[Pixels | Image], size: int, rng: Generator, shrink: float
) -> list[Image]:
    """The same window of registered pictures, LEAST to all of each side, as a square of `size` px,
    mirrored at random. shrink is not asked: all of the picture is shown."""
    height, width = pictures[0].shape[:2]
    high, wide = (int(rng.integers(int(LEAST * side), side + 1)) for side in (height, width))
    top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
    flip = rng.random() < 0.5
    out = []
    for picture in pictures:
        part = picture[top : top + high, left : left + wide]
        unit = part.astype(np.float32) / (255.0 if part.dtype == np.uint8 else 1.0)
        unit = np.asarray(cv2.resize(unit, (size, size), interpolation=cv2.INTER_AREA))
        out.append(np.ascontiguousarray(unit[:, ::-1] if flip else unit, np.float32))
    return out


def largest_alike(
    pictures: Sequence[Pixels | Image], size: int, rng: Generator, shrink: float
) -> list[Image]:
    """`crop_alike` of at most `size` px: of all that there is of smaller pictures."""
    return crop_alike(pictures, min(size, *pictures[0].shape[:2]), rng, shrink)
