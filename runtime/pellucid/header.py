"""What a picture file says about itself before a single pixel is decoded.

Reading the header first lets a decompression bomb, an animation or a half-downloaded file be
refused with a sentence, before a decoder allocates gigabytes or fills the missing part with grey.
"""

import struct
from dataclasses import dataclass

from .errors import PhotoError

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG frame headers


@dataclass(frozen=True)
class Header:
    """format: jpeg, png, webp, tiff, bmp or avif. width, height in px, 0 if not told here."""

    format: str
    width: int = 0
    height: int = 0
    frames: int = 1
    complete: bool = True
    gain_map: bool = False


def read_header(data: bytes) -> Header:
    """Header of a picture file's bytes. Raises PhotoError for anything pellucid does not read."""
    if not data:
        raise PhotoError("the file is empty")
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(data)
        if data[:2] == b"BM":
            width, height = struct.unpack_from("<ii", data, 18)
            return Header("bmp", width, abs(height))
        if data[4:8] == b"ftyp":
            if data[8:12] in (b"avif", b"avis"):
                return Header("avif")
            if data[8:12] in _HEIF_BRANDS:
                raise PhotoError("HEIC is not read yet; export the photo as JPEG or PNG first")
        if data[:6] in (b"GIF87a", b"GIF89a"):
            raise PhotoError("GIF is not a photo format; convert it to PNG first")
    except (struct.error, IndexError) as error:
        raise PhotoError("the file ends inside its header") from error
    raise PhotoError("not a picture pellucid reads (JPEG, PNG, WebP, TIFF, BMP, AVIF)")


def _jpeg(data: bytes) -> Header:
    position, width, height, gain_map = 2, 0, 0, False
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # fill bytes
        if data[position] != 0xFF:
            raise PhotoError("the JPEG's header is damaged")
        marker = data[position + 1]
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", data, position + 5)
        if marker == 0xE1:
            segment = data[position + 4 : position + 2 + length]
            gain_map = gain_map or b"hdrgm:Version" in segment
        position += 2 + length
        if marker == 0xDA:
            # The end marker may be followed by other things (motion photos), but must come.
            return Header("jpeg", width, height, 1, data.find(b"\xff\xd9", position) > 0, gain_map)


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    position, frames, complete = 8, 1, False
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, position + 8)
        position += 12 + length
        if kind == b"IEND":
            complete = position <= len(data)
            break
    return Header("png", width, height, frames, complete)


def _webp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    kind, complete = data[12:16], len(data) >= size + 8
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        return Header("webp", width, height, 2 if data[20] & 2 else 1, complete)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Header("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), 1, complete)
    width, height = struct.unpack_from("<HH", data, 26)
    return Header("webp", width & 0x3FFF, height & 0x3FFF, 1, complete)


def _tiff(data: bytes) -> Header:
    order = "<" if data[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(order + "I", data, 4)
    width = height = frames = 0
    while offset and frames < 1000:
        (entries,) = struct.unpack_from(order + "H", data, offset)
        for index in range(entries if frames == 0 else 0):
            at = offset + 2 + 12 * index
            tag, kind = struct.unpack_from(order + "HH", data, at)
            if tag in (256, 257):
                (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)
                width, height = (value, height) if tag == 256 else (width, value)
        (offset,) = struct.unpack_from(order + "I", data, offset + 2 + 12 * entries)
        frames += 1
    return Header("tiff", width, height, frames)


def read_orientation(exif: bytes) -> int:
    """Orientation tag (0x0112) of a raw EXIF block, 1..8; 1 if absent or unreadable."""
    start = exif.find(b"II*\0") if exif.find(b"II*\0") >= 0 else exif.find(b"MM\0*")
    if start < 0:
        return 1
    block = exif[start:]
    order = "<" if block[:2] == b"II" else ">"
    try:
        (offset,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, offset)
        for index in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, offset + 2 + 12 * index)
            if tag == 0x0112:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
