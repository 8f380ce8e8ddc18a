"""TIFF: its first directory, and tags for writing.

OpenCV reads and writes TIFF pixels but no metadata. It turns pixels upright by the orientation tag.
"""

import struct
from fractions import Fraction
from typing import Any

from .header import ICC, IRB, RESOLUTION, XMP, Header
from .resolution import INCH, Resolution

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_SAMPLES, _EXTRA_SAMPLES, _EXIF_DIRECTORY, _DNG = 277, 338, 34665, 50706
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_BLOCK_TAGS = {XMP: 700, IRB: 34377, ICC: 34675}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1}  # bytes of a value, by type
_ASSOCIATED, _STRAIGHT = 1, 2  # alpha
_REDUCED = 1  # bit of _SUBFILE
_CMYK, _RAW = 5, (32803, 34892)
_LAB = (8, 9, 10)


def read_tiff(data: bytes) -> Header:
    """Header of a classic TIFF. struct.error if its directory is cut off."""
    order = "<" if data[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(order + "I", data, 4)
    at = _entries(data, order, offset)
    frames, seen = 1, {offset}
    while (offset := _next(data, order, offset)) and offset not in seen:
        seen.add(offset)
        frames += 1

    def number(tag: int, default: int = 0) -> int:
        return _number(data, order, at[tag]) if tag in at else default

    blocks = {kind: _block(data, order, at[tag]) for kind, tag in _BLOCK_TAGS.items() if tag in at}
    photometric, samples = number(_PHOTOMETRIC), number(_SAMPLES, 1)
    extra = number(_EXTRA_SAMPLES)
    refusal = ""
    if number(_SUBFILE) & _REDUCED or _DNG in at or photometric in _RAW:
        refusal = "a raw camera file; develop it to TIFF, PNG or JPEG first"
    elif photometric == _CMYK:
        refusal = "CMYK is for print; save it as an RGB picture first"
    elif photometric in _LAB:
        refusal = "Lab colours are not read; save it as an RGB picture first"
    elif samples == 2 or (samples == 4 and extra == _ASSOCIATED):
        refusal = "this kind of TIFF transparency is not read; save it as PNG"
    return Header(
        "tiff",
        number(_WIDTH),
        number(_HEIGHT),
        frames,
        refusal=refusal,
        notes=("its EXIF is not kept (TIFF)",) if _EXIF_DIRECTORY in at else (),
        metadata=blocks,
        # OpenCV would multiply 8-bit colours by straight alpha; told nothing, it leaves them alone.
        resolution=_resolution(data, order, at),
        blank=(at[_EXTRA_SAMPLES] + 8, at[_EXTRA_SAMPLES] + 10) if extra == _STRAIGHT else (0, 0),
    )


def with_metadata(
    tiff: memoryview, metadata: dict[int, bytes], orientation: int, straight_alpha: bool
) -> list[bytes | memoryview]:
    """OpenCV's TIFF, in pieces, with a longer directory at its end that also holds metadata."""
    order = "<" if bytes(tiff[:2]) == b"II" else ">"
    (offset,) = struct.unpack_from(order + "I", tiff, 4)
    entries = {tag: bytes(tiff[at : at + 12]) for tag, at in _entries(tiff, order, offset).items()}
    tail = b"\0" * (len(tiff) % 2)  # everything starts at an even place
    for kind, tag in _BLOCK_TAGS.items():
        if kind in metadata:
            block = metadata[kind]
            place = struct.pack(order + "I", len(tiff) + len(tail))
            if len(block) <= 4:
                place = block.ljust(4, b"\0")
            entries[tag] = struct.pack(order + "HHI", tag, 7, len(block)) + place
            tail += block + b"\0" * (len(block) % 2)
    if RESOLUTION in metadata:
        told = Resolution.from_block(metadata[RESOLUTION])
        for tag, value in ((_X_RESOLUTION, told.x), (_Y_RESOLUTION, told.y)):
            entries[tag] = struct.pack(order + "HHII", tag, 5, 1, len(tiff) + len(tail))
            tail += struct.pack(order + "II", value.numerator, value.denominator)
        unit = struct.pack(order + "HHIHH", _RESOLUTION_UNIT, 3, 1, told.unit, 0)
        entries[_RESOLUTION_UNIT] = unit
    if orientation != 1:
        entries[_ORIENTATION] = struct.pack(order + "HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    if straight_alpha:
        entries[_EXTRA_SAMPLES] = struct.pack(order + "HHIHH", _EXTRA_SAMPLES, 3, 1, _STRAIGHT, 0)
    directory = struct.pack(order + "H", len(entries))
    directory += b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    start = struct.pack(order + "I", len(tiff) + len(tail))
    return [tiff[:4], start, tiff[8:], tail, directory]


def _entries(data: bytes | memoryview, order: str, offset: int) -> dict[int, int]:
    """Where each tag's 12-byte entry starts."""
    (count,) = struct.unpack_from(order + "H", data, offset)
    places = [offset + 2 + 12 * index for index in range(count)]
    return {struct.unpack_from(order + "H", data, at)[0]: at for at in places}


def _next(data: bytes, order: str, offset: int) -> int:
    (count,) = struct.unpack_from(order + "H", data, offset)
    (following,) = struct.unpack_from(order + "I", data, offset + 2 + 12 * count)
    return int(following)


def _number(data: bytes, order: str, at: int) -> int:
    (kind,) = struct.unpack_from(order + "H", data, at + 2)
    code: Any = {1: "B", 3: "H", 4: "I"}.get(kind, "H")
    return int(struct.unpack_from(order + code, data, at + 8)[0])


def _resolution(data: bytes, order: str, at: dict[int, int]) -> bytes:
    """Block of the resolution tags; empty if they are missing or tell nothing."""
    values = []
    for tag in (_X_RESOLUTION, _Y_RESOLUTION):
        if tag not in at:
            return b""
        (place,) = struct.unpack_from(order + "I", data, at[tag] + 8)
        if place + 8 > len(data):
            return b""
        over, under = struct.unpack_from(order + "II", data, place)
        if under == 0:
            return b""
        values.append(Fraction(over, under))
    unit = _number(data, order, at[_RESOLUTION_UNIT]) if _RESOLUTION_UNIT in at else INCH
    return Resolution(values[0], values[1], unit).to_block() if unit in (1, 2, 3) else b""


def _block(data: bytes, order: str, at: int) -> bytes:
    kind, count, place = struct.unpack_from(order + "HII", data, at + 2)
    size = count * _SIZES.get(kind, 0)
    return data[at + 8 : at + 8 + size] if size <= 4 else data[place : place + size]
