"""Which format a file has, by its first bytes, and what its container tells."""

import struct

from ..errors import PhotoError
from .avif import read_avif
from .bmp import read_bmp
from .header import Data, Header
from .jpeg import read_jpeg
from .png import read_png
from .tiff import read_tiff
from .webp import read_webp

HEAD_BYTES = 64  # of a file, enough for `format_of`
READ = ("jpeg", "png", "webp", "tiff", "bmp", "avif", "heic", "raw", "jxl")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II\x2a\x00\x10\x00\x00\x00CR", "raw"),  # Canon CR2
    (b"IIRO", "raw"),  # Olympus
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\0", "raw"),  # Panasonic
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"FOVb", "raw"),  # Sigma
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"BM", "bmp"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"8BPS", "psd"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)
_REFUSALS = {
    "gif": "GIF is not a photo format; convert it to PNG first",
    "psd": "PSD is not read; save the picture as TIFF or PNG first",
    "jpeg2000": "JPEG 2000 is not read; save the picture as TIFF or PNG first",
}
# Raw files that start as any TIFF does: here the name has to tell.
RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"),
    *(".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq"),
)


def format_of(head: bytes, name: str = "") -> str:
    """Format by a file's first HEAD_BYTES: one of READ, or gif, psd, jpeg2000; "" if unknown."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "avif"
        if brand == b"crx ":
            return "raw"
        if brand in _HEIC_BRANDS:
            return "avif" if brand in (b"mif1", b"msf1") and b"avif" in head else "heic"
        return ""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
    return "raw" if found == "tiff" and name.lower().endswith(RAW_SUFFIXES) else found


def read_header(data: Data, kind: str) -> Header:
    """What the container of a file tells. Raises PhotoError for anything pellucid does not read."""
    if not data:
        raise PhotoError("the file is empty")
    if kind in _REFUSALS:
        raise PhotoError(_REFUSALS[kind])
    try:
        if kind == "jpeg":
            return read_jpeg(data)
        if kind == "png":
            return read_png(data)
        if kind == "webp":
            return read_webp(data)
        if kind == "tiff":
            return read_tiff(data)
        if kind == "bmp":
            return read_bmp(data)[0]
        if kind == "avif":
            return read_avif(data)
    except (struct.error, IndexError) as error:
        raise PhotoError("the file ends inside its header") from error
    if kind in READ:
        return Header(kind)
    raise PhotoError("not a picture pellucid reads (JPEG, PNG, WebP, TIFF, BMP, AVIF, HEIC, raw)")
