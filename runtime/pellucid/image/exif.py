"""The things in EXIF that concern pixels: which way is up, the thumbnail, and the size."""

import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ORIENTATION = 0x0112
_EXIF_TABLE = 0x8769
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)  # of the file, of the picture in it
_LONG = 4  # the type of a number with 32 bits
# Orientation -> (quarter turns anti-clockwise, mirrored left-right before them).
_TURNS = {
    1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True),
    5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False),
}  # fmt: skip


def read_orientation(exif: bytes) -> int:
    """Orientation tag of an EXIF block, 1..8; 1, upright, if absent or unreadable."""
    try:
        order, at, _ = _directory(exif)
        (value,) = struct.unpack_from(order + "H", exif, at) if at else (1,)
    except struct.error:
        return 1
    return int(value) if 1 <= value <= 8 else 1


def set_upright(exif: bytes) -> bytes:
    """The block with its orientation tag, if it has one, saying upright."""
    try:
        order, at, _ = _directory(exif)
    except struct.error:
        return exif
    return exif[:at] + struct.pack(order + "H", 1) + exif[at + 2 :] if at else exif


def without_thumbnail(exif: bytes) -> bytes:
    """The block without its link to the thumbnail, which shows the picture before restoration."""
    try:
        _, _, link = _directory(exif)
    except struct.error:
        return exif
    return exif[:link] + bytes(4) + exif[link + 4 :]


def with_size(exif: bytes, width: int, height: int) -> bytes:
    """The block with these sizes in px in the tags that tell one; tags are not added."""
    changed = bytearray(exif)
    try:
        order, _, _ = _directory(exif)
        (first,) = struct.unpack_from(order + "I", exif, 4)
        at_table = _place(exif, order, first, _EXIF_TABLE)
        tables = [first]
        if at_table:
            tables += struct.unpack_from(order + "I", exif, at_table + 8)
        for table in tables:
            for tags, side in ((_WIDTHS, width), (_HEIGHTS, height)):
                for at in filter(None, (_place(exif, order, table, tag) for tag in tags)):
                    struct.pack_into(order + "HII", changed, at + 2, _LONG, 1, side)
    except struct.error:
        return exif
    return bytes(changed)


def xmp_with_size(xmp: bytes, width: int, height: int) -> bytes:
    """An XMP packet with these sizes in px where it tells one, as attribute or as element."""
    for names, side in ((rb"PixelXDimension|ImageWidth", width),
                        (rb"PixelYDimension|ImageLength|ImageHeight", height)):  # fmt: skip
        told = rb"((?:exif|tiff):(?:" + names + rb")(?:\s*=\s*[\"']|>))\d+"
        xmp = re.sub(told, rb"\g<1>%d" % side, xmp)
    return xmp


def _place(exif: bytes, order: str, table: int, tag: int) -> int:
    """Where a directory's entry of a tag begins; 0 if there is none."""
    (entries,) = struct.unpack_from(order + "H", exif, table)
    places = range(table + 2, table + 2 + 12 * entries, 12)
    return next((at for at in places if struct.unpack_from(order + "H", exif, at)[0] == tag), 0)


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels (H, W, ...) as they are to be seen."""
    turns, mirrored = _TURNS[orientation]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)


def _directory(exif: bytes) -> tuple[str, int, int]:
    """Byte order, place of the orientation's value (0 if none), place of the thumbnail's link."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        raise struct.error("no EXIF block")
    order, found = "<" if exif[:2] == b"II" else ">", 0
    (offset,) = struct.unpack_from(order + "I", exif, 4)
    (entries,) = struct.unpack_from(order + "H", exif, offset)
    link = offset + 2 + 12 * entries
    struct.unpack_from(order + "I", exif, link)  # the directory is whole
    for at in range(offset + 2, link, 12):
        if struct.unpack_from(order + "H", exif, at)[0] == _ORIENTATION:
            found = at + 8
    return order, found, link
