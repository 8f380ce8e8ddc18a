"""Pictures padded for graphs whose sides must be multiples; foreign files do not tell of what."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRIED = (1, 2, 4, 8, 16, 32, 64, 128)
_SMALLEST = 64  # px; smaller pictures may fail for other reasons


def find_multiple(takes: Callable[[int], bool]) -> int:
    """The smallest power of two, to 128, whose odd multiples a graph takes as sides; 1 if none.

    takes(side): whether a picture of side x side comes back in its size.
    """
    for multiple in _TRIED:
        times = -(-_SMALLEST // multiple)
        if takes(multiple * (times | 1)):
            return multiple
    return 1


def pad(pixels: NDArray[Any], multiple: int, axes: tuple[int, int]) -> NDArray[Any]:
    """`pixels` with its last row and column repeated until both axes are multiples."""
    more = [(0, 0)] * pixels.ndim
    for axis in axes:
        more[axis] = (0, -pixels.shape[axis] % multiple)
    return pixels if not any(after for _, after in more) else np.pad(pixels, more, mode="edge")
