"""A file's bytes to pixels and metadata, or one sentence why not."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError, TooLargeError
from . import avif, bmp, heic, raw, vips
from .exif import set_upright
from .formats import HEAD_BYTES, format_of, read_header
from .header import CICP, EXIF, ICC, XMP, Coding, Data, Header
from .libjpeg_warnings import damage_of
from .png import several
from .tiff import RAW

Array = NDArray[Any]

MAX_MEGAPIXELS_VARIABLE = "PELLUCID_MAX_MEGAPIXELS"
DEFAULT_MAX_MEGAPIXELS = 512.0

DAMAGED = "its picture data are damaged, look it over"  # begins a note

_SUFFIX_OF_FORMAT = {"jpeg": ".jpg", "tiff": ".tif", "heic": ".jpg", "raw": ".tif", "jxl": ".png"}
_VIPS_BLOCKS = {EXIF: "exif-data", XMP: "xmp-data", ICC: "icc-profile-data"}


@dataclass(frozen=True)
class Decoded:
    """pixels: in RGB order as stored. suffix: of the format that a result has by default."""

    pixels: Array
    metadata: dict[int, bytes]
    suffix: str
    notes: tuple[str, ...]
    coding: Coding


def decode(data: Data, descriptor: int | None = None, name: str = "") -> Decoded:
    """data: the file's bytes. descriptor: of the open file, from which large ones are read.

    name: tells raw files of cameras from TIFF.
    """
    header = _header(data, name)
    notes: tuple[str, ...] = ()
    if header.format == "bmp":
        check_size(*bmp.read_bmp(data)[1])
        pixels = bmp.decode_bmp(data)
    elif header.format == "heic":
        pixels, header, notes = heic.decode_heic(bytes(data), check_size)
    elif header.format == "raw":
        pixels, header, notes = raw.decode_raw(bytes(data), check_size)
    else:
        pixels, header = _decode(header, bytes(data) if descriptor is None else descriptor)
    if header.format == "jpeg" and (damage := damage_of(data)):
        notes = (f"{DAMAGED} ({damage})",)
    if header.format == "tiff" and _constant(pixels):
        _ask_opencv(bytes(data), pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # grey with alpha
        pixels = np.dstack([pixels[..., :1]] * 3 + [pixels[..., 1:]])
    metadata = dict(header.metadata)
    notes = header.notes + notes + _drop_bad_profile(metadata, grey=pixels.ndim == 2)
    if hdr := avif.hdr_note(metadata.get(CICP, b"")):
        notes = (*notes, hdr)
    suffix = _SUFFIX_OF_FORMAT.get(header.format, f".{header.format}")
    if suffix == ".jpg" and pixels.ndim == 3 and pixels.shape[2] == 4:
        suffix = ".png"  # of a HEIC with transparency
    return Decoded(pixels, metadata, suffix, notes, header.coding)


def size_of(data: Data, descriptor: int, name: str) -> tuple[int, int]:
    """(height, width) by a file's header where that tells it. PhotoError as `decode` raises."""
    header = _header(data, name)
    if header.format == "bmp":
        width, height = bmp.read_bmp(data)[1]
        return height, width
    if header.format in ("heic", "raw"):
        height, width = decode(data, descriptor, name).pixels.shape[:2]
        return height, width
    picture = vips.open_picture(_loader(header.format), descriptor)
    return picture.height, picture.width


def _header(data: Data, name: str) -> Header:
    """The header of a picture that is not refused; a raw file that looks like a TIFF is found."""
    header = read_header(data, format_of(bytes(data[:HEAD_BYTES]), name))
    if header.format == "tiff" and header.refusal == RAW:
        return Header("raw")
    if header.refusal:
        raise PhotoError(header.refusal)
    return header


def _loader(kind: str) -> str:
    """libvips' name of what reads a format."""
    if kind == "jxl" and not vips.can("jxlload_source"):
        raise PhotoError("JPEG XL is not in this libvips; save the picture as PNG or TIFF first")
    return "heifload" if kind == "avif" else f"{kind}load"


def check_size(width: int, height: int) -> None:
    """PhotoError for a picture over the limit, by its header, before it is decoded."""
    value = os.environ.get(MAX_MEGAPIXELS_VARIABLE)
    try:
        limit = float(value) if value else DEFAULT_MAX_MEGAPIXELS
    except ValueError:
        raise PhotoError(f"{MAX_MEGAPIXELS_VARIABLE} must be a number, got {value!r}") from None
    pixels = width * height
    if pixels > limit * 1e6:
        raise TooLargeError(
            f"{width}x{height} is {pixels / 1e6:.0f} megapixels, the limit is {limit:.0f}; "
            f"raise it with {MAX_MEGAPIXELS_VARIABLE}={math.ceil(pixels / 1e6)}"
        )


def _decode(header: Header, source: bytes | int) -> tuple[Array, Header]:
    """Through libvips. Damage inside a JPEG is passed over with a note; other damage is refused."""
    fail_on = "truncated" if header.format == "jpeg" else "error"
    picture = vips.open_picture(_loader(header.format), source, fail_on=fail_on)
    check_size(picture.width, picture.height)
    pages = vips.field_of(picture, "n-pages", 1)
    if pages > 1:
        raise PhotoError(several(pages, header.format.upper()))
    pixels = vips.read_pixels(picture)
    if header.format not in ("avif", "jxl"):
        return pixels, header
    blocks = dict(header.metadata)
    for block, field in _VIPS_BLOCKS.items():
        if value := bytes(vips.field_of(picture, field, b"")):
            blocks[block] = value.rstrip(b"\0") if block == XMP else value
    if EXIF in blocks:  # libvips has turned the picture, as its own boxes say
        blocks[EXIF] = set_upright(blocks[EXIF].removeprefix(b"Exif\0\0"))
    bits = vips.field_of(picture, "bits-per-sample", 8)
    if pixels.dtype == np.uint16 and bits < 16:
        pixels |= pixels >> bits  # libvips moves codes up; so that white is 65535
    coding = replace(header.coding, bits=bits)
    return pixels, replace(header, metadata=blocks, coding=coding)


def _constant(pixels: Array) -> bool:
    return bool((pixels[:1] == pixels[:1, :1]).all()) and bool((pixels == pixels[:1, :1]).all())


def _ask_opencv(data: bytes, pixels: Array) -> None:
    """A decoder that skips data it does not know leaves a picture of one colour: ask another."""
    reader: Callable[..., Any] = cv2.imdecode
    seen = reader(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if seen is not None and not _constant(np.asarray(seen)):
        raise PhotoError("this kind of TIFF is not supported (it decodes to one colour); use PNG")


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
