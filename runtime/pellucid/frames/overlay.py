"""What is drawn over the frames that a person watches."""

import cv2
import numpy as np

from .frame import Pixels

_FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def split(before: Pixels, after: Pixels) -> Pixels:
    """Left half before, right half after, a white line between; (H, W, 3), a new array."""
    shown = after.copy()
    middle = shown.shape[1] // 2
    shown[:, :middle] = before[:, :middle]
    shown[:, middle : middle + 2] = 255
    return shown


def draw_lines(pixels: Pixels, lines: list[str]) -> Pixels:
    """A copy with lines of text in the upper left corner, smaller where they would not fit."""
    shown = pixels.copy()
    scale = max(0.45, pixels.shape[0] / 1080)
    for number, line in enumerate(lines):
        (width, height), _ = cv2.getTextSize(line, _FONT, scale, 1)
        fitting = scale * min(1.0, (pixels.shape[1] - 16) / max(1, width))
        place = (8, 8 + round(height * (1 + 1.6 * number) + 2))
        thick = max(1, round(2 * scale))
        # A shadow of the same weight: OpenCV 5 spaces heavier letters differently.
        for colour, move in ((BLACK, 1), (WHITE, 0)):
            moved = (place[0] + move, place[1] + move)
            cv2.putText(shown, line, moved, _FONT, fitting, colour, thick, cv2.LINE_AA)
    return np.asarray(shown, np.uint8)
