"""Pixels and metadata to a file, and what a format cannot hold."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError
from . import avif, jpeg, png, tiff, vips, webp
from .bmp import encode_bmp
from .exif import read_orientation, upright
from .formats import HEAD_BYTES, format_of
from .header import (
    BLOCK_NAMES,
    CICP,
    COMMENT,
    EXIF,
    GAMMA,
    ICC,
    IRB,
    MPF,
    PLAIN,
    RESOLUTION,
    SEGMENTS,
    TEXT,
    TRAILER,
    XMP,
    Coding,
    Data,
)  # fmt: skip
from .jpeg import without_trailer

Array = NDArray[Any]


@dataclass(frozen=True)
class Format:
    """What a format holds. lossy: whether `quality` says something. longest: side, px."""

    name: str
    alpha: bool
    types: tuple[type, ...]
    blocks: frozenset[int]
    lossy: bool = False
    longest: int = 2**31 - 1


_PHOTO = frozenset({EXIF, XMP, ICC})
_JPEG = Format(
    "jpeg", False, (np.uint8,),
    _PHOTO | {IRB, RESOLUTION, COMMENT, SEGMENTS, MPF, TRAILER}, True, 65_500,
)  # fmt: skip
_TIFF = Format("tiff", True, (np.uint8, np.uint16, np.float32), _PHOTO | {IRB, RESOLUTION})
_FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".png": Format("png", True, (np.uint8, np.uint16), _PHOTO | {RESOLUTION, TEXT, CICP, GAMMA}),
    ".webp": Format("webp", True, (np.uint8,), _PHOTO, True, 16_383),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": Format("avif", True, (np.uint8, np.uint16), _PHOTO | {CICP}, True, 65_536),
    ".bmp": Format("bmp", True, (np.uint8,), frozenset({RESOLUTION})),
}
SUFFIXES = tuple(_FORMATS)
_BIG_TIFF_BYTES = 3_500_000_000
_PLAIN_CICP = ((1, 2), (1, 2, 6, 13))  # primaries and transfer that any reader assumes
_FULL_CHROMA_QUALITY = 90


def find_format(suffix: str) -> Format:
    """Format of a suffix like ".jpg". PhotoError if pellucid does not write it."""
    if suffix not in _FORMATS:
        names = ", ".join(SUFFIXES)
        raise PhotoError(f"cannot write {suffix or 'a name without suffix'}; use {names}")
    return _FORMATS[suffix]


def check_sides(suffix: str, shape: tuple[int, ...], scale: int) -> None:
    """PhotoError if a picture (H, W, ...), `scale` times as large, has sides that the format of a
    suffix cannot hold."""
    kind = find_format(suffix)
    height, width = scale * shape[0], scale * shape[1]
    if max(height, width) > kind.longest:
        raise PhotoError(
            f"{width}x{height} is too large for {suffix}, whose sides have at most {kind.longest} "
            "px; write .tif or .png"
        )


def same_format(suffix: str, other: str) -> bool:
    """Whether two suffixes mean one format: .jpg and .jfif, .tif and .tiff."""
    return suffix in _FORMATS and _FORMATS[suffix] is _FORMATS.get(other)


def holds_already(data: Data, suffix: str, name: str = "") -> bool:
    """Whether a file's own bytes may stand under a name with `suffix`. name: the file's."""
    return same_format(suffix, f".{format_of(bytes(data[:HEAD_BYTES]), name)}")


def losses(
    pixels: Array, metadata: dict[int, bytes], suffix: str, coding: Coding = PLAIN
) -> tuple[str, ...]:
    """What writing as `suffix` would lose, one sentence each."""
    kind = find_format(suffix)
    lost = [
        f"{suffix} cannot hold its {BLOCK_NAMES[block]}"
        for block, data in metadata.items()
        if block in BLOCK_NAMES and block not in kind.blocks and _says_something(block, data)
    ]
    if kind is _TIFF and EXIF in metadata and tiff.damaged_exif(metadata[EXIF]):
        lost.append(f"{suffix} cannot hold its EXIF, which is damaged")
    if kind.name == "avif" and {ICC, CICP} <= metadata.keys():
        lost.append(f"{suffix} cannot hold its colour tag (cICP) beside an ICC profile")
    if pixels.dtype not in kind.types:
        given = {"uint16": "16-bit", "float32": "float"}.get(str(pixels.dtype), str(pixels.dtype))
        best = 16 if np.uint16 in kind.types else 8
        lost.append(f"{suffix} cannot hold {given} pixels: rounded to {best} bits")
    elif kind.name == "avif" and pixels.dtype == np.uint16 and coding.bits not in (10, 12):
        lost.append(f"{suffix} cannot hold 16-bit pixels: rounded to 12 bits")
    return tuple(lost)


def encode(
    file: BinaryIO,
    pixels: Array,
    metadata: dict[int, bytes],
    suffix: str,
    quality: int,
    coding: Coding = PLAIN,
) -> None:
    """Write into an empty file opened for reading and writing.

    PhotoError rather than dropping alpha; `losses` has the rest.
    """
    kind = find_format(suffix)
    if not 1 <= quality <= 100:
        raise PhotoError(f"quality must be between 1 and 100, got {quality}")
    alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    if alpha and not kind.alpha:
        raise PhotoError(f"{suffix} cannot hold this photo's transparency; write .png or .webp")
    if pixels.dtype not in kind.types:
        pixels = to_16_bits(pixels) if np.uint16 in kind.types else to_8_bits(pixels)
    kept = {block: data for block, data in metadata.items() if block in kind.blocks}
    if TRAILER in metadata and TRAILER not in kept and XMP in kept:
        kept[XMP] = without_trailer(kept[XMP])
    if kind is _JPEG:
        _jpeg(file, pixels, kept, quality, coding)
    elif kind is _TIFF:
        big = pixels.nbytes > _BIG_TIFF_BYTES
        predictor = "none" if pixels.dtype == np.float32 else "horizontal"
        vips.write_pixels(
            "tiffsave", pixels, file, compression="deflate", predictor=predictor, bigtiff=big
        )
        tiff.add_metadata(file, kept)
    elif kind.name == "png":
        _png(file, pixels, kept)
    elif kind.name == "webp":
        made = BytesIO()
        lossless = {"lossless": True, "exact": True} if coding.lossless else {"Q": quality}
        vips.write_pixels("webpsave", pixels, made, **lossless)
        height, width = pixels.shape[:2]
        file.write(webp.with_metadata(made.getvalue(), kept, (width, height)))
    elif kind.name == "avif":
        _avif(file, pixels, kept, quality, coding)
    else:  # nothing in a BMP can tell a viewer to turn it
        turned = upright(pixels, read_orientation(metadata.get(EXIF, b"")))
        file.writelines(encode_bmp(turned, kept.get(RESOLUTION, b"")))


class _Headed:
    """An open file that puts `head` behind the first `start` bytes written to it.

    drop: bytes behind those that the head replaces.
    """

    def __init__(self, file: BinaryIO, start: int, head: bytes, drop: bytes = b"") -> None:
        self._file, self._start, self._head, self._drop = file, start, head, drop
        self._first = b""

    def tell(self) -> int:
        return 0

    def write(self, data: bytes) -> int:
        size = len(data)
        if self._start:
            self._first += bytes(data)
            if len(self._first) < self._start + 64:
                return size
            data = self._begun()
        self._file.write(data)
        return size

    def finish(self) -> None:
        """Write out what still waits, of a very small file."""
        if self._start:
            self._file.write(self._begun())

    def _begun(self) -> bytes:
        before, after = self._first[: self._start], self._first[self._start :]
        self._start = 0
        if self._drop and after[4:8] == self._drop:
            after = after[12 + int.from_bytes(after[:4], "big") :]
        return before + self._head + after

    def read(self, size: int) -> bytes:
        raise OSError("not readable")

    def seek(self, offset: int, whence: int = 0) -> int:
        raise OSError("not seekable")


def _jpeg(
    file: BinaryIO, pixels: Array, metadata: dict[int, bytes], quality: int, coding: Coding
) -> None:
    head = jpeg.head(metadata)
    full = coding.chroma == "4:4:4" or (not coding.chroma and quality >= _FULL_CHROMA_QUALITY)
    headed = _Headed(file, jpeg.PLAIN_START, head)
    vips.write_pixels("jpegsave", pixels, headed, Q=quality, subsample_mode="off" if full else "on")
    headed.finish()
    size = file.tell()
    indexed = jpeg.with_further_pictures(head, size, metadata)
    if indexed != head:
        file.seek(jpeg.PLAIN_START)
        file.write(indexed)
        file.seek(size)
    file.write(metadata.get(TRAILER, b""))


def _png(file: BinaryIO, pixels: Array, metadata: dict[int, bytes]) -> None:
    headed = _Headed(file, png.PLAIN_START, png.chunks(metadata), drop=b"pHYs")
    vips.write_pixels("pngsave", pixels, headed, compression=3, filter="all")
    headed.finish()


def _avif(
    file: BinaryIO, pixels: Array, metadata: dict[int, bytes], quality: int, coding: Coding
) -> None:
    bits = 8
    if pixels.dtype == np.uint16:
        bits = coding.bits if coding.bits in (10, 12) else 12
    made = BytesIO()
    profile = metadata.get(ICC, vips.srgb_profile())
    blobs = {"xmp-data": metadata.get(XMP, b""), "icc-profile-data": profile}
    if EXIF in metadata:
        blobs["exif-data"] = avif.room_for(metadata[EXIF])
    full = coding.chroma == "4:4:4" or (not coding.chroma and quality >= _FULL_CHROMA_QUALITY)
    vips.write_pixels(
        "heifsave", pixels, made, blobs,
        compression="av1", Q=quality, bitdepth=bits, subsample_mode="off" if full else "on",
    )  # fmt: skip
    file.write(avif.with_metadata(made.getvalue(), metadata))


def _says_something(block: int, data: bytes) -> bool:
    """Whether the loss of a block changes anything for those who look at the result."""
    if block == CICP:
        return data[0] not in _PLAIN_CICP[0] or data[1] not in _PLAIN_CICP[1]
    if block == GAMMA:  # nothing but the common gamma
        return abs(png.gamma_of({GAMMA: data}) / png.SRGB_GAMMA - 1) > 0.1 or b"cHRM" in data
    if block == SEGMENTS:
        return jpeg.has_more_xmp(data)
    return True


def to_8_bits(pixels: Array) -> NDArray[np.uint8]:
    """uint16 or float in [0, 1] to uint8, rounded and clipped; any shape."""
    if pixels.dtype == np.uint16:
        return np.asarray((pixels.astype(np.uint32) * 255 + 32767) // 65535, dtype=np.uint8)
    return np.asarray(np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 255), dtype=np.uint8)


def to_16_bits(pixels: Array) -> NDArray[np.uint16]:
    """Float in [0, 1] to uint16, rounded and clipped; any shape."""
    return np.asarray(np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 65535), dtype=np.uint16)
