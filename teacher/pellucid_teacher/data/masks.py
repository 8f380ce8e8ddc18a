"""Holes to fill: strokes, boxes and outpainting, drawn as ResShift's inpainting recipe does.

One convention everywhere: in a mask's file 255 (white) is to be filled and 0 is known; in memory a
mask is (H, W) of 1 = to be filled. Some other programs (MI-GAN) mean the opposite.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from .light import Image

MARGIN = 10  # px between a box and the picture's border


@dataclass(frozen=True)
class MaskRecipe:
    """Sizes in pixels, inclusive ranges. lines: polylines a mask; turns: segments of one; length,
    width: of a segment. boxes: how many; side: of a box. border: share of a side that outpainting
    takes. kinds: shares of strokes, boxes, outpainting."""

    lines: tuple[int, int] = (1, 5)
    turns: tuple[int, int] = (1, 5)
    length: tuple[int, int] = (10, 209)
    width: tuple[int, int] = (5, 104)
    boxes: tuple[int, int] = (1, 4)
    side: tuple[int, int] = (30, 150)
    border: tuple[float, float] = (0.04, 0.25)
    kinds: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)


PUBLISHED = MaskRecipe()  # for crops of 256x256
# What a small network can fill: scratches, dust, text, wires and small objects, on crops of 128 px.
RETOUCH = MaskRecipe((1, 4), (1, 5), (6, 110), (1, 20), (1, 3), (4, 24), kinds=(0.8, 0.2, 0.0))


def draw_mask(rng: Generator, height: int, width: int, recipe: MaskRecipe = PUBLISHED) -> Image:
    """A random mask, (H, W) float32, 1 = to be filled; neither empty nor full."""
    draw = (strokes, boxes, outpainting)[int(rng.choice(3, p=recipe.kinds))]
    mask = draw(rng, height, width, recipe)
    while not 0.0 < float(mask.mean()) < 1.0:
        mask = draw(rng, height, width, recipe)
    return mask


def strokes(rng: Generator, height: int, width: int, recipe: MaskRecipe) -> Image:
    """Polylines with round ends; every second segment turns the other way."""
    mask = np.zeros((height, width), np.float32)
    for _ in range(_whole(rng, recipe.lines)):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        for turn in range(_whole(rng, recipe.turns)):
            angle = 0.01 + int(rng.integers(4))
            angle = 2 * np.pi - angle if turn % 2 == 0 else angle
            length, thick = _whole(rng, recipe.length), _whole(rng, recipe.width)
            to_x = int(np.clip(x + length * np.sin(angle), 0, width - 1))
            to_y = int(np.clip(y + length * np.cos(angle), 0, height - 1))
            cv2.line(mask, (x, y), (to_x, to_y), 1.0, thick)
            x, y = to_x, to_y
    return mask


def boxes(rng: Generator, height: int, width: int, recipe: MaskRecipe) -> Image:
    """Filled rectangles away from the border."""
    mask = np.zeros((height, width), np.float32)
    room_y, room_x = height - 2 * MARGIN, width - 2 * MARGIN
    for _ in range(_whole(rng, recipe.boxes)):
        tall, wide = min(_whole(rng, recipe.side), room_y), min(_whole(rng, recipe.side), room_x)
        top = MARGIN + int(rng.integers(room_y - tall + 1))
        left = MARGIN + int(rng.integers(room_x - wide + 1))
        mask[top : top + tall, left : left + wide] = 1.0
    return mask


def outpainting(rng: Generator, height: int, width: int, recipe: MaskRecipe) -> Image:
    """Bands along sides; each side with a chance of one half, at least one."""
    mask = np.zeros((height, width), np.float32)
    chosen = rng.random(4) < 0.5
    chosen[int(rng.integers(4))] = True
    share = rng.uniform(*recipe.border, size=4)
    if chosen[0]:
        mask[: max(1, int(share[0] * height))] = 1.0
    if chosen[1]:
        mask[height - max(1, int(share[1] * height)) :] = 1.0
    if chosen[2]:
        mask[:, : max(1, int(share[2] * width))] = 1.0
    if chosen[3]:
        mask[:, width - max(1, int(share[3] * width)) :] = 1.0
    return mask


def _whole(rng: Generator, ends: tuple[int, int]) -> int:
    return int(rng.integers(ends[0], ends[1] + 1))
