"""WebP: chunks of its RIFF container. libvips reads and writes the pixels."""

import struct
from collections.abc import Iterator

from .header import EXIF, ICC, XMP, Coding, Data, Header

_NAMES = {b"ICCP": ICC, b"EXIF": EXIF, b"XMP ": XMP}
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_ALPHA = 0x10


def read_webp(data: Data) -> Header:
    """Header of a WebP. struct.error if it ends inside it."""
    (size,) = struct.unpack_from("<I", data, 4)
    blocks, lossless = {}, False
    for kind, start, stop in _chunks(data):
        lossless |= kind == b"VP8L"
        if kind in _NAMES:
            blocks[_NAMES[kind]] = bytes(data[start:stop])
    if EXIF in blocks:
        blocks[EXIF] = blocks[EXIF].removeprefix(b"Exif\0\0")
    refusal = "" if len(data) >= size + 8 else "the WEBP is cut off: its end is missing"
    return Header("webp", refusal, (), blocks, Coding(lossless=lossless))


def with_metadata(webp: bytes, metadata: dict[int, bytes], size: tuple[int, int]) -> bytes:
    """An encoder's WebP with metadata chunks. size: (width, height) in px."""
    kept = {name: metadata[block] for name, block in _NAMES.items() if block in metadata}
    if not kept:
        return webp
    flags, pictures = 0, []
    for kind, start, stop in _chunks(webp):
        if kind == b"VP8X":
            flags |= webp[start]
        elif kind not in _NAMES:
            pictures.append(_chunk(kind, webp[start:stop]))
        if kind == b"VP8L":  # a bit of its header tells of alpha
            flags |= _ALPHA if webp[start + 4] & 0x10 else 0
    for name in kept:
        flags |= _FLAGS[name]
    canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
    body = _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas)
    if b"ICCP" in kept:
        body += _chunk(b"ICCP", kept.pop(b"ICCP"))
    body += b"".join(pictures) + b"".join(_chunk(name, block) for name, block in kept.items())
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _chunks(data: Data) -> Iterator[tuple[bytes, int, int]]:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        stop = position + 8 + length
        if stop > len(data):
            return
        yield kind, position + 8, stop
        position = stop + length % 2


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
