"""What restoring leaves alone: hidden pixels, black bars, flat pictures, greyness and highlights.

A network knows nothing of these. They are settled on the whole picture before its first call, or
pixel by pixel after each, so that tiles, steps, frames and strength all agree.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .image.photo import full_scale

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

LEVEL = 1.0 / 255.0
BAR_BLACK = 20 * LEVEL  # brightest code of a black bar: video black is 16
BAR_SPREAD = 2 * LEVEL  # codecs leave a level or two
BAR_EDGE = 3 * LEVEL  # mean step from a bar to the picture: dark photos have no such edge
BAR_SHARE = 0.02  # of a side, at least
DARK = 32 * LEVEL  # mean under which colours are too faint to call a picture grey
# Levels of 255: of the sky at most, of its brightest parts over it, of a star over them.
SKY_DARK, SKY_EVEN, SKY_BRIGHT = 40, 12, 100
SKY_POINTS = 40  # stars at least
SKY_POINT = 0.012  # side of what is a point, as a share of the picture's long side
SKY_SIDE = 512
TONED = 4  # levels of 255 by which the colours of a toned picture may stray
TONED_RANGE = 32  # levels of brightness, at least, over which its colours are compared
TONED_SIDE = 256  # px that are looked at
TONED_SAMPLE = 1024  # pixels: fewer share too few brightnesses
CELL = 8  # px
DRAWN_CELLS = 64  # about so many in each direction are looked at
DRAWN_RANGE = 64  # levels of 255 between the darkest and the brightest, at least
DRAWN_DARK = 12  # levels that most pixels exceed
DRAWN_SHARE = 0.85
_SPARSE = 16  # px between those of a first look
_STRIP = 256  # rows
_RINGING = 8  # rows that JPEG blurs a bar's edge over
HEADROOM = 0.25  # of what a pixel lacks to white, at least this share stays


@dataclass(frozen=True)
class Shown:
    """The part of a picture that is seen and may be restored.

    rows, cols: where it lies. colour: a view of it, (h, w, 3 or 1), written to in place; hidden
    pixels in it are filled. visible: (h, w), None if all are. grey: R = G = B, or toned as
    sepia is: only luma is restored.
    """

    rows: slice
    cols: slice
    colour: Array
    visible: Mask | None
    grey: bool


@contextmanager
def shown_part(pixels: Array) -> Iterator[Shown | None]:
    """What of a picture (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) may be restored; None: nothing.

    Left out are black bars and, at alpha 0, hidden pixels: these get their own colours back at the
    end. A picture of one flat colour has nothing to restore.
    """
    colour = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    rows, cols = slice(0, colour.shape[0]), slice(0, colour.shape[1])
    visible = None
    if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels[..., 3].min() == 0:
        visible = pixels[..., 3] > 0
        if not visible.any():
            yield None
            return
        rows, cols = _bounds(visible, axis=1), _bounds(visible, axis=0)
        visible = visible[rows, cols]
    colour = colour[rows, cols]
    if visible is None or visible.all():
        yield _without_bars(rows, cols, colour, None)
        return
    hidden = ~visible
    own = colour[hidden]
    fill_hidden(colour, visible)
    try:
        yield _without_bars(rows, cols, colour, visible)
    finally:
        colour[hidden] = own


def _bounds(visible: Mask, axis: int) -> slice:
    """From the first row (axis 1) or column (axis 0) that shows anything to the last."""
    places = np.flatnonzero(visible.any(axis=axis))
    return slice(int(places[0]), int(places[-1]) + 1)


def _without_bars(rows: slice, cols: slice, colour: Array, visible: Mask | None) -> Shown | None:
    if is_flat(colour):
        return None
    inner, across = find_content(colour)
    part = colour[inner, across]
    return Shown(
        slice(rows.start + inner.start, rows.start + inner.stop),
        slice(cols.start + across.start, cols.start + across.stop),
        part,
        None if visible is None else visible[inner, across],
        is_grey(part) or is_toned(part),
    )


def find_content(colour: Array) -> tuple[slice, slice]:
    """Rows and columns of a picture (H, W, C) without its black bars (letterbox, pillarbox).

    A bar is flat, nearly black, at least BAR_SHARE of the side, and ends in an edge.
    """
    top, bottom = _bar(colour), _bar(colour[::-1])
    across = colour.swapaxes(0, 1)
    left, right = _bar(across), _bar(across[::-1])
    height, width = colour.shape[:2]
    return slice(top, height - bottom), slice(left, width - right)


def _bar(colour: Array) -> int:
    """Rows of the bar at the top of (H, W, C), 0 if there is none."""
    peak = full_scale(colour.dtype)
    corner = colour[0, 0].astype(np.float64)
    if corner.max() > BAR_BLACK * peak:
        return 0
    flat = (np.abs(row - corner).max() <= BAR_SPREAD * peak for row in colour)
    rows = next((index for index, is_flat in enumerate(flat) if not is_flat), 0)
    if rows < BAR_SHARE * len(colour):
        return 0
    steps = np.abs(colour[rows : rows + _RINGING] - corner).mean(axis=(1, 2))
    return rows if steps.max() >= BAR_EDGE * peak else 0


def is_flat(colour: Array) -> bool:
    """Whether a picture (H, W, C) shows nothing: one colour, but for 2 of 255 levels."""
    # Most pictures end at the first look.
    return all(_spread(part) <= 2.0 for part in (colour[::_SPARSE, ::_SPARSE], colour))


def _spread(colour: Array) -> float:
    """Largest less smallest value of a channel, in levels of 255."""
    lows, highs = colour.min(axis=(0, 1)).astype(np.float64), colour.max(axis=(0, 1))
    return float((highs - lows).max()) / (LEVEL * full_scale(colour.dtype))


def is_grey(colour: Array) -> bool:
    """Whether R = G = B in a picture (H, W, 3), or within the level that codecs leave.

    Of dark pictures only R = G = B counts: their true colours may be as faint as a level.
    """
    if colour.shape[2] == 1:
        return True
    if _colourfulness(colour[::_SPARSE, ::_SPARSE]) > 1.0:  # most pictures end here
        return False
    apart = max(_colourfulness(colour[at : at + _STRIP]) for at in range(0, len(colour), _STRIP))
    peak = full_scale(colour.dtype)
    return apart == 0.0 or (apart <= 1.0 and cv2.mean(colour[..., 0])[0] >= DARK * peak)


def _colourfulness(colour: Array) -> float:
    """Largest difference between two channels of a pixel, in levels of 255."""
    spread = colour.max(axis=2).astype(np.float32) - colour.min(axis=2)
    return float(spread.max()) / (LEVEL * full_scale(colour.dtype))


def is_night_sky(colour: Array) -> bool:
    """Whether a picture (H, W, C) is an even dark with many bright points: stars, not a dark photo.

    Underexposed photos show things, if darkly, and a street's lamps are no points: both outlive the
    morphological opening that removes what is smaller than its square.
    """
    luma = _small_luma(colour)  # (h, w) uint8
    side = max(3, round(SKY_POINT * max(luma.shape)) | 1)
    without = cv2.morphologyEx(luma, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    median = float(np.median(without))
    if median > SKY_DARK or np.percentile(without, 99.9) > 1.3 * median + SKY_EVEN:
        return False
    peaks = np.asarray(cv2.subtract(luma, without) > SKY_BRIGHT, np.uint8)
    return cv2.connectedComponents(peaks)[0] - 1 >= SKY_POINTS


def is_drawn(colour: Array) -> bool:
    """Whether a picture (H, W, C) is text, an interface or a drawing, not a photo.

    Nearly all of its cells have a colour that a quarter of their pixels share exactly. A photo's
    grain forbids that, but where it is clipped, and in the dark, where few codes are left.
    """
    height, width = (side // CELL * CELL for side in colour.shape[:2])
    if not height or not width:
        return False
    cells = colour[:height, :width].reshape(height // CELL, CELL, width // CELL, CELL, -1)
    down, across = (max(1, count // DRAWN_CELLS) for count in cells.shape[0:3:2])
    cells = cells[::down, :, ::across].swapaxes(1, 2).reshape(-1, CELL * CELL, colour.shape[2])
    levels = np.rint(cells / (LEVEL * full_scale(colour.dtype))).astype(np.int64)
    low, middle, high = np.percentile(levels, (1, 50, 99), axis=(0, 1))
    if (high - low).max() < DRAWN_RANGE or middle.max() < DRAWN_DARK:
        return False
    codes = np.sort(levels @ (256 ** np.arange(colour.shape[2])), axis=1)
    alike = CELL * CELL // 4 - 1
    shared = (codes[:, alike:] == codes[:, :-alike]).any(axis=1)
    return bool(shared.mean() >= DRAWN_SHARE)


def _small_luma(colour: Array) -> NDArray[np.uint8]:
    """8-bit luma of (H, W, C), reduced to SKY_SIDE px at most, keeping the brightest of each cell:
    means would dim a star."""
    step = -(-max(colour.shape[:2]) // SKY_SIDE)
    brightest = colour.max(axis=2) if step == 1 else _brightest(colour, step)
    codes = np.clip(brightest / (LEVEL * full_scale(colour.dtype)), 0.0, 255.0)
    return np.asarray(codes, np.uint8)


def _brightest(colour: Array, step: int) -> Array:
    """Largest value of each cell of step x step px."""
    rows = np.maximum.reduceat(colour, range(0, len(colour), step), axis=0)
    cells = np.maximum.reduceat(rows, range(0, rows.shape[1], step), axis=1)
    return np.asarray(cells.max(axis=2))


def is_toned(colour: Array) -> bool:
    """Whether a picture (H, W, 3) is a toned monochrome, such as sepia: its brightness tells its
    colours. Of dark pictures, whose colours are faint, of nearly flat ones and of a few pixels,
    which may agree by chance, nothing is said."""
    step = max(1, max(colour.shape[:2]) // TONED_SIDE)
    sample = colour[::step, ::step].reshape(-1, colour.shape[2]) / (
        LEVEL * full_scale(colour.dtype)
    )
    if colour.shape[2] == 1 or len(sample) < TONED_SAMPLE or sample.mean() < 255.0 * DARK:
        return False
    code = np.clip(sample.mean(axis=1), 0.0, 255.0).astype(int)  # floats may leave 0..1 a little
    low, high = np.percentile(code, (5, 95))
    if high - low < TONED_RANGE:
        return False
    count = np.maximum(np.bincount(code, minlength=256), 1)
    for channel in sample.T:  # against its mean among the pixels of equal brightness
        mean = np.bincount(code, channel, minlength=256) / count
        if np.percentile(np.abs(channel - mean[code]), 95) > TONED:
            return False
    return True


def fill_hidden(colour: Array, visible: Mask) -> None:
    """Give hidden pixels of (H, W, C), in place, the colour of the nearest visible one.

    So nothing that is hidden reaches the result, and no edge is seen where the visible part ends.
    """
    _, label = cv2.distanceTransformWithLabels(
        (~visible).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((int(label.max()) + 1, colour.shape[2]), colour.dtype)
    nearest[label[visible]] = colour[visible]
    colour[~visible] = nearest[label[~visible]]


def keep_colour(image: Floats, restored: Floats) -> Floats:
    """Only the luma of a grey picture is restored, (3, h, w): every channel changes alike."""
    return np.asarray(np.clip(image + (restored - image).mean(axis=0), 0.0, 1.0))


def guard_frame(given: NDArray[np.uint8], restored: NDArray[np.uint8], hold: bool) -> Array:
    """A restored frame (H, W, 3) with the same two rules; grey frames become grey.

    hold: whether nothing may become white that was not.
    """
    if hold:
        restored = np.asarray(cv2.min(restored, cv2.LUT(given, _WHITEST)), np.uint8)
    if not is_grey(given):
        return restored
    luma = cv2.transform(restored, np.full((1, 3), 1.0 / 3.0))
    return np.asarray(cv2.merge([luma, luma, luma]))


def hold_highlights(image: Floats, restored: Floats) -> Floats:
    """No pixel becomes white that was not, (3, h, w) in [0, 1].

    The bound rises with the input, so that a bright sky keeps its nuances.
    """
    bound = np.minimum(1.0 - np.float32(HEADROOM) * (1.0 - image), np.float32(1.0 - LEVEL))
    return np.asarray(np.minimum(restored, np.maximum(bound, image)))


# The same bound for each 8-bit code.
_CODES = np.arange(256, dtype=np.float32) * np.float32(LEVEL)
_WHITEST = np.floor(hold_highlights(_CODES, np.ones_like(_CODES)) * 255.0 + 0.01).astype(np.uint8)
