"""Pixels and metadata to a file's bytes, and what a format cannot hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError
from . import jpeg, png, tiff
from .channel_order import swap_red_and_blue
from .exif import read_orientation, upright
from .header import BLOCK_NAMES, EXIF, ICC, IRB, RESOLUTION, XMP

Array = NDArray[Any]


@dataclass(frozen=True)
class Format:
    """What a format holds; quality: OpenCV's flag for it, None if lossless."""

    alpha: bool
    types: tuple[type, ...]
    blocks: frozenset[int]
    quality: int | None = None


_PHOTO = frozenset({EXIF, XMP, ICC})
_JPEG = Format(False, (np.uint8,), _PHOTO | {IRB, RESOLUTION}, cv2.IMWRITE_JPEG_QUALITY)
_TIFF = Format(True, (np.uint8, np.uint16, np.float32), frozenset({XMP, ICC, IRB, RESOLUTION}))
_FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": Format(True, (np.uint8, np.uint16), _PHOTO | {RESOLUTION}),
    ".webp": Format(True, (np.uint8,), _PHOTO, cv2.IMWRITE_WEBP_QUALITY),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": Format(True, (np.uint8,), _PHOTO, cv2.IMWRITE_AVIF_QUALITY),
    ".bmp": Format(True, (np.uint8,), frozenset()),
}
SUFFIXES = tuple(_FORMATS)


def find_format(suffix: str) -> Format:
    """Format of a suffix like ".jpg". PhotoError if pellucid does not write it."""
    if suffix not in _FORMATS:
        names = ", ".join(SUFFIXES)
        raise PhotoError(f"cannot write {suffix or 'a name without suffix'}; use {names}")
    return _FORMATS[suffix]


def losses(pixels: Array, metadata: dict[int, bytes], suffix: str) -> tuple[str, ...]:
    """What writing as `suffix` would lose, one sentence each."""
    kind = find_format(suffix)
    lost = [f"{suffix} cannot hold its {BLOCK_NAMES[b]}" for b in metadata if b not in kind.blocks]
    if pixels.dtype not in kind.types:
        given = {"uint16": "16-bit", "float32": "float"}.get(str(pixels.dtype), str(pixels.dtype))
        best = 16 if np.uint16 in kind.types else 8
        lost.append(f"{suffix} cannot hold {given} pixels: rounded to {best} bits")
    return tuple(lost)


def encode(
    pixels: Array, metadata: dict[int, bytes], suffix: str, quality: int
) -> list[bytes | memoryview]:
    """The file's bytes, in pieces. PhotoError rather than dropping alpha; `losses` has the rest.

    Pieces, because joining them would hold a file of 100 MB and more twice.
    """
    kind = find_format(suffix)
    if not 1 <= quality <= 100:
        raise PhotoError(f"quality must be between 1 and 100, got {quality}")
    alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    if alpha and not kind.alpha:
        raise PhotoError(f"{suffix} cannot hold this photo's transparency; write .png or .webp")
    if pixels.dtype not in kind.types:
        pixels = _to_16_bits(pixels) if np.uint16 in kind.types else to_8_bits(pixels)
    orientation = read_orientation(metadata.get(EXIF, b""))
    if not kind.blocks:  # nothing can tell a viewer to turn it
        pixels = upright(pixels, orientation)
    kept = {block: data for block, data in metadata.items() if block in kind.blocks}
    if suffix == ".png" and XMP in kept:
        kept[XMP] += b"\0"  # OpenCV reads on until it meets one, into memory that is not ours
    flags = [] if kind.quality is None else [kind.quality, quality]
    with _in_opencv_order(pixels) as image:
        if kind is _JPEG:
            return jpeg.with_metadata(_imencode(suffix, image, {}, flags), kept)
        if kind is _TIFF:
            plain = _imencode(suffix, image, {}, flags)
            return tiff.with_metadata(plain, kept, orientation, straight_alpha=alpha)
        resolution = kept.pop(RESOLUTION, b"")
        data = _imencode(suffix, image, kept, flags)
        return png.with_resolution(data, resolution) if resolution else [data]


def _imencode(
    suffix: str, image: Array, metadata: dict[int, bytes], flags: list[int]
) -> memoryview:
    blocks = [np.frombuffer(block, np.uint8) for block in metadata.values()]
    try:
        ok, data = cv2.imencodeWithMetadata(suffix, image, list(metadata), blocks, flags)
    except cv2.error as error:
        raise PhotoError(f"OpenCV cannot write {suffix}: {error.err}") from error
    if not ok:
        hint = "; one of its metadata blocks may be damaged" if metadata else ""
        raise PhotoError(f"OpenCV cannot write this picture as {suffix}{hint}")
    return np.asarray(data, dtype=np.uint8).ravel().data


@contextmanager
def _in_opencv_order(pixels: Array) -> Iterator[Array]:
    """The array in BGR order: swapped in place and back, so that it is there only once."""
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        yield np.ascontiguousarray(pixels)
        return
    if not (pixels.flags.c_contiguous and pixels.flags.writeable):
        pixels = np.array(pixels, order="C")
        swap_red_and_blue(pixels)
        yield pixels
        return
    swap_red_and_blue(pixels)
    try:
        yield pixels
    finally:
        swap_red_and_blue(pixels)


def to_8_bits(pixels: Array) -> NDArray[np.uint8]:
    """uint16 or float in [0, 1] to uint8, rounded and clipped; any shape."""
    if pixels.dtype == np.uint16:
        return np.asarray((pixels.astype(np.uint32) * 255 + 32767) // 65535, dtype=np.uint8)
    return np.asarray(np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 255), dtype=np.uint8)


def _to_16_bits(pixels: Array) -> NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 65535), dtype=np.uint16)
