"""AVIF: what libvips neither tells nor writes: chroma sampling, and the colour tag (nclx).

libvips hands EXIF to libexif, which empties maker notes. So a block that only holds room is given
to it, and the photo's own bytes are put there afterwards.
"""

import struct
from collections.abc import Iterator

from .header import CICP, EXIF, ICC, Coding, Data, Header
from .png import HDR_TRANSFERS

_HEAD = 1 << 16  # bytes; the boxes that describe a picture come before its pixels
_DEFAULT_NCLX = bytes([1, 13, 6, 1])  # BT.709 primaries, sRGB, BT.601 matrix, full range
_BT601 = 6
_ROOM_TAG = 0x9C9C  # XPComment, any bytes
_CONTAINERS = (b"iprp", b"ipco")


def read_avif(data: Data) -> Header:
    """What the boxes of an AVIF or HEIC picture tell; libvips has its metadata and size."""
    head = bytes(data[:_HEAD])
    refusal = "holds 2 or more pictures (AVIF); save the one to restore as a file of its own"
    blocks: dict[int, bytes] = {}
    if (at := head.find(b"colrnclx")) >= 0:
        codes = struct.unpack_from(">HHHB", head, at + 8)
        blocks[CICP] = bytes([*(min(v, 255) for v in codes[:3]), codes[3] >> 7])
    coding = Coding()
    if (at := head.find(b"av1C")) >= 0:
        flags = head[at + 6]
        bits = 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
        coding = Coding("4:2:0" if flags & 0x0C == 0x0C else "4:4:4", bits)
    return Header("avif", refusal if head[8:12] == b"avis" else "", (), blocks, coding)


def hdr_note(tag: bytes) -> str:
    """What to say of a colour tag whose light is not coded as sRGB codes it; empty if it is."""
    name = HDR_TRANSFERS.get(tag[1]) if len(tag) == 4 else None
    if name is None:
        return ""
    return f"its colours are HDR ({name}); it is restored as if they were sRGB, the tag says what"


def room_for(exif: bytes) -> bytes:
    """An EXIF block that libexif writes out at least as long as `exif`."""
    entry = struct.pack("<IHHHII", 8, 1, _ROOM_TAG, 1, len(exif), 26)
    return b"II*\0" + entry + bytes(4) + b"\x01" * len(exif)


def with_metadata(avif: bytes, metadata: dict[int, bytes]) -> bytes:
    """An encoder's AVIF with the photo's own EXIF in the room made for it, and its colour tag.

    The encoder was given `room_for` EXIF, and a stand-in profile if there is no ICC.
    """
    if EXIF in metadata:
        mark = avif.rfind(b"Exif\0\0", 0, avif.rfind(b"\x01" * min(len(metadata[EXIF]), 64)))
        start = mark + 6
        stop = start + len(metadata[EXIF])
        avif = avif[:start] + metadata[EXIF] + avif[stop:]
    if ICC in metadata:
        return avif
    # The coded matrix is the encoder's, whatever the source's was.
    primaries, transfer, _, _ = metadata.get(CICP, _DEFAULT_NCLX)
    return _with_nclx(avif, struct.pack(">HHHB", primaries, transfer, _BT601, 0x80))


def _with_nclx(avif: bytes, tag: bytes) -> bytes:
    """The stand-in profile replaced by a tag; a box of free space takes up what is left over.

    So nothing else moves, and no place that the file tells changes.
    """
    whole = _boxes(avif, 0, len(avif))
    start, stop = next((start, stop) for kind, start, stop in whole if kind == b"meta")
    path = [(start - 8, stop) for start, stop in _path(avif, start + 4, stop)]
    if len(path) != 3:
        return avif  # iprp, ipco and colr
    (iprp, after), (ipco, _), (colr, end) = path
    box = struct.pack(">I", 12 + len(tag)) + b"colrnclx" + tag
    spare = end - colr - len(box)
    moved = bytearray(avif[:colr] + box + avif[end:after])
    for at in (iprp, ipco):
        struct.pack_into(">I", moved, at, struct.unpack_from(">I", avif, at)[0] - spare)
    return bytes(moved) + struct.pack(">I", spare) + b"free" + bytes(spare - 8) + avif[after:]


def _path(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Bodies of iprp, of ipco in it, and of the first profile in that."""
    for kind, a, b in _boxes(data, start, stop):
        if kind in _CONTAINERS:
            yield a, b
            yield from _path(data, a, b)
            return
        if kind == b"colr":
            yield a, b
            return


def _boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of body, end) of the boxes in [start, stop)."""
    while start + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, start)
        end = stop if size == 0 else min(start + max(size, 8), stop)
        yield kind, start + 8, end
        start = end
