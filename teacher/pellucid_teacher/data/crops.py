"""The same random window of registered pictures."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator

from .corpus import Pixels
from .light import Image

# view(registered pictures, side of a crop, rng, chance to show more of them) -> the same of each
View = Callable[[Sequence[Pixels | Image], int, Generator, float], list[Image]]


def crop_alike(
    pictures: Sequence[Pixels | Image], size: int, rng: Generator, shrink: float
) -> list[Image]:
    """The same random window of registered pictures, float32, mirrored or transposed at random.

    With chance `shrink` the window is taken larger and reduced by area averaging, which also cleans
    the source's own noise and JPEG blocks.
    """
    height, width = pictures[0].shape[:2]
    window = size
    if rng.random() < shrink:
        window = int(rng.integers(size, min(height, width) + 1))
    top = int(rng.integers(0, height - window + 1))
    left = int(rng.integers(0, width - window + 1))
    flip, transpose = rng.random() < 0.5, rng.random() < 0.15
    out = []
    for picture in pictures:
        patch = picture[top : top + window, left : left + window]
        unit = patch.astype(np.float32) / (255.0 if patch.dtype == np.uint8 else 1.0)
        if window != size:
            unit = np.asarray(cv2.resize(unit, (size, size), interpolation=cv2.INTER_AREA))
        if flip:
            unit = unit[:, ::-1]
        if transpose:
            unit = np.swapaxes(unit, 0, 1)
        out.append(np.ascontiguousarray(unit, dtype=np.float32))
    return out
