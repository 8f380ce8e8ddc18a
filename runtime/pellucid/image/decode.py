"""A file's bytes to pixels and metadata, or one sentence why not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError, TooLargeError
from .channel_order import swap_red_and_blue
from .exif import set_upright, upright
from .formats import read_header
from .header import BLOCK_NAMES, EXIF, ICC, RESOLUTION, XMP, Header
from .libjpeg_warnings import jpeg_warnings

Array = NDArray[Any]

MAX_MEGAPIXELS_VARIABLE = "PELLUCID_MAX_MEGAPIXELS"
DEFAULT_MAX_MEGAPIXELS = 256.0
# OpenCV has a limit of its own, which it reads when it is loaded.
_OPENCV_VARIABLE = "OPENCV_IO_MAX_IMAGE_PIXELS"
_OPENCV_MAX_PIXELS = 1 << 30

_SUFFIX_OF_FORMAT = {"jpeg": ".jpg", "tiff": ".tif"}


def decode(data: bytes) -> tuple[Array, dict[int, bytes], str, tuple[str, ...]]:
    """Pixels in RGB order as stored, metadata blocks, suffix, notes on what does not travel on."""
    header = read_header(data)
    _refuse(header)
    buffer = np.frombuffer(data, np.uint8)
    if header.blank[1]:
        buffer = buffer.copy()
        buffer[header.blank[0] : header.blank[1]] = 0
    libjpeg_warnings: list[str] = []
    listening = jpeg_warnings() if header.format == "jpeg" else nullcontext(libjpeg_warnings)
    try:
        with _quiet_opencv(), listening as libjpeg_warnings:
            stored, kinds, blocks = cv2.imdecodeWithMetadata(buffer, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise PhotoError(f"the {header.format.upper()} cannot be decoded ({error.err})") from error
    if stored is None:
        raise PhotoError(f"the {header.format.upper()} is damaged and cannot be decoded")
    pixels = _to_rgb(np.asarray(stored))
    metadata = {
        int(kind): block.tobytes()
        for kind, block in zip(kinds, blocks, strict=True)
        if int(kind) in BLOCK_NAMES and block.size
    }
    if header.metadata is not None:
        own_exif = {EXIF: metadata[EXIF]} if EXIF in metadata else {}
        metadata = own_exif | header.metadata
    if header.resolution:
        metadata[RESOLUTION] = header.resolution
    if XMP in metadata:
        metadata[XMP] = metadata[XMP].rstrip(b"\0")
    if EXIF in metadata:
        metadata[EXIF] = metadata[EXIF].removeprefix(b"Exif\0\0")
    if header.format == "avif":
        # Its turn overrules EXIF. Only EXIF can be written, so the pixels are turned instead.
        pixels = np.ascontiguousarray(upright(pixels, header.orientation))
        if EXIF in metadata:
            metadata[EXIF] = set_upright(metadata[EXIF])
    damage = (
        (f"its picture data are damaged, look it over ({libjpeg_warnings[0]})",)
        if libjpeg_warnings
        else ()
    )
    notes = header.notes + damage + _drop_bad_profile(metadata, grey=pixels.ndim == 2)
    return pixels, metadata, _SUFFIX_OF_FORMAT.get(header.format, f".{header.format}"), notes


def _refuse(header: Header) -> None:
    told = os.environ.get(MAX_MEGAPIXELS_VARIABLE)
    try:
        limit = float(told) if told else DEFAULT_MAX_MEGAPIXELS
    except ValueError:
        raise PhotoError(f"{MAX_MEGAPIXELS_VARIABLE} must be a number, got {told!r}") from None
    pixels = header.width * header.height
    size = f"{header.width}x{header.height} is {pixels / 1e6:.0f} megapixels"
    if pixels > limit * 1e6:
        raise TooLargeError(
            f"{size}, the limit is {limit:.0f}; "
            f"raise it with {MAX_MEGAPIXELS_VARIABLE}={-(-pixels // 10**6)}"
        )
    if pixels > int(os.environ.get(_OPENCV_VARIABLE, _OPENCV_MAX_PIXELS)):
        raise TooLargeError(
            f"{size}, more than OpenCV reads; set {_OPENCV_VARIABLE}={pixels} as well"
        )
    if not header.complete:
        raise PhotoError(f"the {header.format.upper()} is cut off: its end is missing")
    if header.frames > 1:
        raise PhotoError(
            f"holds {header.frames} or more pictures ({header.format.upper()}); "
            "save the one to restore as a file of its own"
        )
    if header.refusal:
        raise PhotoError(header.refusal)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV logs what it also reports; the user gets one sentence, not both."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _to_rgb(stored: Array) -> Array:
    """OpenCV's BGR order to RGB in place; one-channel pictures to (H, W)."""
    if stored.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise PhotoError(f"pixels of type {stored.dtype} are not supported; save as 8 or 16 bits")
    if stored.dtype == np.float64:
        stored = stored.astype(np.float32)
    if stored.ndim == 3 and stored.shape[2] == 1:
        return stored[..., 0]
    if stored.ndim == 3:
        swap_red_and_blue(stored)
    return stored


def _drop_bad_profile(metadata: dict[int, bytes], grey: bool) -> tuple[str, ...]:
    """Take out an ICC profile that no reader would accept, and say so."""
    profile = metadata.get(ICC)
    if profile is None:
        return ()
    size = int.from_bytes(profile[:4], "big")
    if len(profile) < 128 or size < 128 or size > len(profile) or profile[36:40] != b"acsp":
        del metadata[ICC]
        return ("its ICC profile is damaged and not kept",)
    metadata[ICC] = profile[:size]  # some writers pad it
    if profile[16:20] != (b"GRAY" if grey else b"RGB "):
        del metadata[ICC]
        space = profile[16:20].decode("latin-1").strip()
        return (f"its ICC profile is for {space} pictures, which this is not, and not kept",)
    return ()
