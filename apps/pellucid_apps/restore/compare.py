"""Before/after sheets: pictures side by side with a caption, as JPEG bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid.arrays import to_floats
from pellucid.image.encode import to_8_bits
from pellucid.image.exif import upright

Array = NDArray[Any]

GAP, BAND = 12, 34
PAPER, INK, FAINT = 250, 40, 120
PANEL_HEIGHT = 900  # px, at most
JPEG_LIMIT = 65_535  # px to a side


@dataclass(frozen=True)
class Panel:
    """picture: (H, W, 3) uint8 RGB. caption: drawn under it, in plain ASCII."""

    picture: Array
    caption: str


def before_after(before: Array, after: Array, orientation: int = 1) -> bytes:
    """A sheet of two panels, upright by the EXIF orientation."""
    panels = [
        Panel(np.ascontiguousarray(upright(displayable(pixels), orientation)), caption)
        for pixels, caption in ((before, "before"), (after, "after"))
    ]
    return encode_sheet([panels])


def as_large_as_shown(pixels: Array) -> Array:
    """A copy as large as a sheet shows it: a photo of 108 megapixels is held once."""
    height, width = pixels.shape[:2]
    scale = PANEL_HEIGHT / min(height, width)  # whichever way it will be turned
    if scale >= 1.0:
        return pixels.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def encode_sheet(rows: Sequence[Sequence[Panel]], quality: int = 92) -> bytes:
    """Rows of panels on paper white; every panel of a sheet has one height."""
    height = min(max(p.picture.shape[0] for row in rows for p in row), PANEL_HEIGHT)
    strips = [_strip(row, height) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=PAPER) for s in strips
    ]
    sheet = np.concatenate(padded)
    if max(sheet.shape[:2]) > JPEG_LIMIT:
        raise RuntimeError(f"a sheet of {sheet.shape[1]}x{sheet.shape[0]} is too large for JPEG")
    ok, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError("OpenCV could not encode the sheet")
    return data.tobytes()


def _strip(row: Sequence[Panel], height: int) -> Array:
    columns = [np.full((height + GAP + BAND, GAP, 3), PAPER, np.uint8)]
    for panel in row:
        picture = _to_height(panel.picture, height)
        column = np.full((height + GAP + BAND, picture.shape[1] + GAP, 3), PAPER, np.uint8)
        column[GAP : GAP + height, : picture.shape[1]] = picture
        baseline = (2, GAP + height + 23)
        font, size = cv2.FONT_HERSHEY_DUPLEX, 0.55
        cv2.putText(column, panel.caption, baseline, font, size, (INK,) * 3, 1, cv2.LINE_AA)
        columns.append(column)
    return np.concatenate(columns, axis=1)


def _to_height(picture: Array, height: int) -> Array:
    if picture.shape[0] == height:
        return picture
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    method = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method))


def displayable(pixels: Array) -> Array:
    """Any Photo's pixels as (H, W, 3) uint8; transparency over white."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    unit = to_floats(pixels)
    if unit.shape[2] == 4:
        alpha = unit[..., 3:]
        unit = unit[..., :3] * alpha + (1.0 - alpha)
    return to_8_bits(unit)
