"""RGB to OpenCV's BGR and back."""

from typing import Any

import cv2
from numpy.typing import NDArray

_BAND = 64  # rows


def swap_red_and_blue(pixels: NDArray[Any]) -> None:
    """(H, W, 3) RGB <-> BGR or (H, W, 4) RGBA <-> BGRA, in place; uint8, uint16 or float32.

    In bands of rows: asked to swap an array in place, OpenCV first copies all of it, 324 MB at 108
    megapixels.
    """
    code = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    for top in range(0, len(pixels), _BAND):
        band = pixels[top : top + _BAND]
        band[:] = cv2.cvtColor(band, code)
