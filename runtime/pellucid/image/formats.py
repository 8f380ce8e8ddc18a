"""Which format a file has, by its first bytes; the headers of WebP and BMP."""

import struct

from ..errors import PhotoError
from .avif import read_avif
from .header import Header
from .jpeg import read_jpeg
from .png import read_png
from .tiff import read_tiff

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def read_header(data: bytes) -> Header:
    """Header of a picture file's bytes. Raises PhotoError for anything pellucid does not read."""
    if not data:
        raise PhotoError("the file is empty")
    try:
        if data[:3] == b"\xff\xd8\xff":
            return read_jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return read_png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return read_tiff(data)
        if data[:4] in (b"II+\0", b"MM\0+"):
            raise PhotoError("BigTIFF is not read; save it as TIFF or PNG")
        if data[:2] == b"BM":
            return _bmp(data)
        if data[4:8] == b"ftyp":
            if data[8:12] in (b"avif", b"avis"):
                return read_avif(data)
            if data[8:12] in _HEIF_BRANDS:
                raise PhotoError("HEIC is not read yet; export the photo as JPEG or PNG first")
        if data[:6] in (b"GIF87a", b"GIF89a"):
            raise PhotoError("GIF is not a photo format; convert it to PNG first")
    except (struct.error, IndexError) as error:
        raise PhotoError("the file ends inside its header") from error
    raise PhotoError("not a picture pellucid reads (JPEG, PNG, WebP, TIFF, BMP, AVIF)")


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


def _bmp(data: bytes) -> Header:
    size, _, _, _, kind = struct.unpack_from("<IHHII", data, 2)  # kind: length of the next header
    width, height = struct.unpack_from("<HH" if kind == 12 else "<ii", data, 18)
    return Header("bmp", abs(width), abs(height), 1, len(data) >= size)
