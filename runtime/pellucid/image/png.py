"""PNG: a walk over the chunks, with their checksums."""

import struct
import zlib

from .header import Header
from .resolution import Resolution, from_phys

_GREY = 0  # colour type
_AFTER_HEADER = 33  # where the chunks behind IHDR start


def read_png(data: bytes) -> Header:
    """Header of a PNG. struct.error if it ends before its size is told."""
    width, height, _, colour = struct.unpack_from(">IIBB", data, 16)
    view, position = memoryview(data), 8
    frames, ended, refusal, notes, resolution = 1, False, "", [], b""
    while position + 12 <= len(data) and not ended:
        length, kind = struct.unpack_from(">I4s", data, position)
        stop = position + 12 + length
        if stop > len(data):
            break
        # Damage in a chunk that matters (its name starts with a capital) is damage in the picture.
        (checksum,) = struct.unpack_from(">I", data, stop - 4)
        if kind[:1].isupper() and zlib.crc32(view[position + 4 : stop - 4]) != checksum:
            refusal = f"the PNG is damaged: wrong checksum in its {kind.decode('latin-1')} chunk"
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, position + 8)
        if kind == b"pHYs":
            resolution = from_phys(data[position + 8 : stop - 4])
        if kind == b"tRNS" and colour == _GREY:
            notes.append("its one transparent grey is not kept: the result is opaque")
        if kind == b"cICP":
            notes.append("its colour tag (cICP) is not kept: HDR colours look different")
        ended, position = kind == b"IEND", stop
    return Header("png", width, height, frames, ended, refusal, tuple(notes), resolution=resolution)


def with_resolution(png: memoryview, block: bytes) -> list[bytes | memoryview]:
    """An encoder's PNG with a pHYs chunk in it, in pieces."""
    body = Resolution.from_block(block).to_phys()
    if body is None:
        return [png]
    chunk = b"pHYs" + body
    chunk = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return [png[:_AFTER_HEADER], chunk, png[_AFTER_HEADER:]]
