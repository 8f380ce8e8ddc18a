"""TIFF: its tags. libvips reads and writes the pixels, and of the tags only a few."""

import struct
from fractions import Fraction
from typing import BinaryIO

from .directory import (
    Directory,
    Layout,
    Value,
    count_directories,
    layout_of,
    read_block,
    read_directory,
    write_block,
    write_directory,
)
from .header import EXIF, ICC, IRB, RESOLUTION, XMP, Data, Header
from .png import several
from .resolution import INCH, Resolution

_BITS, _PLANAR, _SAMPLE_FORMAT, _FLOAT = 258, 284, 339, 3
_SUBFILE, _PHOTOMETRIC, _DESCRIPTION, _SAMPLES, _EXTRA_SAMPLES = 254, 262, 270, 277, 338
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_SUBFILES, _IPTC, _DNG = 330, 33723, 50706
_BLOCK_TAGS = {XMP: 700, IRB: 34377, ICC: 34675}
_BYTE, _SHORT, _RATIONAL, _UNDEFINED = 1, 3, 5, 7
# What tells how pixels lie in the file: the result's writer says its own. 282 and 283 are the
# resolution; the last five have blocks of their own.
_STRUCTURE = frozenset(
    {*range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 285), *range(288, 294), 296, 297}
    | {301, 317, 318, 319, *range(320, 327), *range(330, 348), *range(512, 522), 529, 530, 531, 532}
    | {700, _IPTC, 34377, 34675, 32997, 32998}
)
_ASSOCIATED, _STRAIGHT = 1, 2  # alpha
_REDUCED = 1  # bit of _SUBFILE
_CMYK, _RAW = 5, (32803, 34892)
_NOT_READ = {8: "Lab", 9: "Lab", 10: "Lab", 32844: "LogLuv", 32845: "LogLuv"}
RAW = "a raw camera file; develop it to TIFF, PNG or JPEG first"
_SHAPE = b'{"shape":'  # tifffile's note on how the pixels lie, no description
_IRB_IPTC = b"8BIM\x04\x04\0\0"


def read_tiff(data: Data) -> Header:
    """Header of a TIFF or BigTIFF. struct.error if its directory is cut off."""
    layout, offset = layout_of(data)
    tags = read_directory(data, layout, offset)

    def number(tag: int, default: int = 0) -> int:
        value = tags.get(tag)
        return value.numbers()[0] if isinstance(value, Value) and value.numbers() else default

    blocks = {
        kind: value.data
        for kind, tag in _BLOCK_TAGS.items()
        if isinstance(value := tags.get(tag), Value)
    }
    iptc = tags.get(_IPTC)
    if IRB not in blocks and isinstance(iptc, Value):
        size = struct.pack(">I", len(iptc.data))
        blocks[IRB] = _IRB_IPTC + size + iptc.data + bytes(len(iptc.data) % 2)
    if resolution := _resolution(tags, number(_RESOLUTION_UNIT, INCH)):
        blocks[RESOLUTION] = resolution
    descriptive = {tag: value for tag, value in tags.items() if tag not in _STRUCTURE}
    about = descriptive.get(_DESCRIPTION)
    if isinstance(about, Value) and about.data.startswith(_SHAPE):
        del descriptive[_DESCRIPTION]
    if descriptive:
        blocks[EXIF] = write_block(descriptive)
    photometric, extra = number(_PHOTOMETRIC), number(_EXTRA_SAMPLES)
    refusal = ""
    if photometric in _RAW or _DNG in tags:
        refusal = RAW
    elif number(_SUBFILE) & _REDUCED:
        refusal = "its first picture is only a preview; save the one to restore as a file"
    elif (frames := count_directories(data, layout, offset)) > 1:
        refusal = several(frames, "TIFF")
    elif photometric == _CMYK:
        refusal = "CMYK is for print; save it as an RGB picture first"
    elif number(_PLANAR, 1) == 2 and number(_BITS) == 16 and number(_SAMPLE_FORMAT) == _FLOAT:
        # libvips takes its values for others, without a word.
        refusal = "half floats in planes are not supported; save it as float or in 16 bits"
    elif photometric in _NOT_READ:
        refusal = f"{_NOT_READ[photometric]} colours are not read; save it as an RGB picture first"
    elif extra == _ASSOCIATED:
        refusal = "this kind of TIFF transparency (premultiplied) is not read; save it as PNG"
    notes = ("its smaller copies are not kept",) if _SUBFILES in tags else ()
    return Header("tiff", refusal, notes, blocks)


def add_metadata(file: BinaryIO, metadata: dict[int, bytes]) -> None:
    """Give libvips' TIFF, in an open file, a longer directory at its end, that holds metadata."""
    file.seek(0)
    head = file.read(16)
    layout, offset = layout_of(head)
    file.seek(0, 2)
    end = file.tell()
    file.seek(offset)
    kept = _entries(file.read(1 << 16), layout)  # by their bytes: their values stay where they are
    added: Directory = {}
    try:
        given = read_block(metadata[EXIF]) if EXIF in metadata else {}
    except struct.error:
        given = {}
    added |= {tag: value for tag, value in given.items() if tag not in _STRUCTURE}
    for kind, tag in _BLOCK_TAGS.items():
        if kind in metadata:
            added[tag] = Value(_BYTE if kind == XMP else _UNDEFINED, metadata[kind])
    if iptc := _iptc(metadata.get(IRB, b"")):
        added[_IPTC] = Value(_UNDEFINED, iptc)
    if RESOLUTION in metadata:
        resolution = Resolution.from_block(metadata[RESOLUTION])
        for tag, ratio in ((_X_RESOLUTION, resolution.x), (_Y_RESOLUTION, resolution.y)):
            packed = struct.pack("<II", ratio.numerator, ratio.denominator)
            added[tag] = Value(_RATIONAL, packed)
        added[_RESOLUTION_UNIT] = Value(_SHORT, struct.pack("<H", resolution.unit))
    if not added:
        return
    start = end + end % 2
    body = _merged(kept, added, layout, start)
    file.seek(end)
    file.write(bytes(end % 2) + body)
    file.seek(8 if layout.big else 4)
    file.write(struct.pack(layout.order + layout.place, start))


def damaged_exif(exif: bytes) -> bool:
    """Whether a TIFF cannot take over this EXIF block's tags."""
    try:
        read_block(exif)
    except struct.error:
        return True
    return False


def _entries(table: bytes, layout: Layout) -> dict[int, bytes]:
    """Tag -> the bytes of its entry."""
    (count,) = struct.unpack_from(layout.order + layout.entries, table)
    start, size = struct.calcsize(layout.entries), layout.entry_size
    found = [table[start + i * size : start + (i + 1) * size] for i in range(count)]
    return {struct.unpack_from(layout.order + "H", entry)[0]: entry for entry in found}


def _merged(kept: dict[int, bytes], added: Directory, layout: Layout, start: int) -> bytes:
    """A directory at `start` of old entries, whose values stay in place, and of new ones."""
    if layout.order != "<":
        raise struct.error("libvips writes TIFF in the machine's order, which is little-endian")
    kept = {tag: entry for tag, entry in kept.items() if tag not in added}
    head, size = struct.calcsize(layout.entries), layout.entry_size
    # Written as if it stood alone, behind the room that the old entries take up.
    alone = write_directory(added, start + len(kept) * size, layout.big)
    count = struct.pack("<" + layout.entries, len(kept) + len(added))
    fresh = {
        struct.unpack_from("<H", alone, at)[0]: alone[at : at + size]
        for at in range(head, head + len(added) * size, size)
    }
    every = kept | fresh
    table = b"".join(every[tag] for tag in sorted(every))
    return count + table + alone[head + len(added) * size :]


def _resolution(tags: Directory, unit: int) -> bytes:
    """Block of the resolution tags; empty if they are missing or tell nothing."""
    values = []
    for tag in (_X_RESOLUTION, _Y_RESOLUTION):
        value = tags.get(tag)
        if not isinstance(value, Value) or value.type != _RATIONAL or len(value.data) < 8:
            return b""
        over, under = struct.unpack_from("<II", value.data)
        if under == 0:
            return b""
        values.append(Fraction(over, under))
    return Resolution(values[0], values[1], unit).to_block() if unit in (1, 2, 3) else b""


def _iptc(irb: bytes) -> bytes:
    """The caption records in Photoshop's image resources, which TIFF has a tag of its own for."""
    at = irb.find(_IRB_IPTC)
    if at < 0 or at + 12 > len(irb):
        return b""
    (size,) = struct.unpack_from(">I", irb, at + 8)
    return irb[at + 12 : at + 12 + size]
