"""JPEG: a walk over the segments, and metadata segments for writing.

OpenCV takes every APP2 segment for a piece of the ICC profile, also the index of further pictures
(MPF) that most phones write; it refuses to write a profile over 64 kB; and it keeps the name of the
segment in front of XMP. So pellucid reads and writes these blocks itself.
"""

import re
import struct

from ..errors import PhotoError
from .header import BLOCK_NAMES, EXIF, ICC, IRB, RESOLUTION, XMP, Header
from .resolution import Resolution, from_jfif

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame headers
_BARE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a length
_APP0, _APP1, _APP2, _APP13 = 0xE0, 0xE1, 0xE2, 0xED
_JFIF_NAME = b"JFIF\0"
_EXIF_NAME = b"Exif\0\0"
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE_NAME = b"http://ns.adobe.com/xmp/extension/\0"
_ICC_NAME = b"ICC_PROFILE\0"
_MPF_NAME = b"MPF\0"
_GAIN_MAP_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
_IRB_NAME = b"Photoshop 3.0\0"
_ROOM = 65533  # bytes in one segment


def read_jpeg(data: bytes) -> Header:
    """Header of a JPEG. struct.error or IndexError if it ends before its first scan."""
    position, width, height, components = 2, 0, 0, 0
    blocks: dict[int, bytes] = {}
    profile: dict[int, bytes] = {}  # number of the piece -> piece
    gain_map = more_pictures = more_xmp = False
    marker, resolution = 0, b""
    while marker != 0xDA:  # start of scan
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # fill bytes
        if data[position] != 0xFF:
            raise PhotoError("the JPEG's header is damaged")
        marker = data[position + 1]
        if marker in _BARE:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in _SOF:
            height, width, components = struct.unpack_from(">HHB", body, 1)
        elif marker == _APP0 and body.startswith(_JFIF_NAME):
            resolution = from_jfif(body)
        elif marker == _APP1 and body.startswith(_EXIF_NAME):
            blocks.setdefault(EXIF, body[len(_EXIF_NAME) :])
        elif marker == _APP1 and body.startswith(_XMP_NAME):
            blocks.setdefault(XMP, body[len(_XMP_NAME) :])
        elif marker == _APP1 and body.startswith(_XMP_MORE_NAME):
            more_xmp = True
        elif marker == _APP2 and body.startswith(_ICC_NAME):
            profile[body[len(_ICC_NAME)]] = body[len(_ICC_NAME) + 2 :]
        elif marker == _APP2 and body.startswith(_MPF_NAME):
            more_pictures = True
        elif marker == _APP2 and body.startswith(_GAIN_MAP_NAME):
            gain_map = True
        elif marker == _APP13 and body.startswith(_IRB_NAME):
            blocks[IRB] = blocks.get(IRB, b"") + body[len(_IRB_NAME) :]
    if profile:
        blocks[ICC] = b"".join(profile[number] for number in sorted(profile))
    if b"hdrgm:Version" in blocks.get(XMP, b""):
        gain_map = True
        blocks[XMP] = _without_gain_map(blocks[XMP])
    notes = []
    if gain_map:
        notes.append("its HDR gain map is not kept: the result is the standard-range picture")
    elif more_pictures:
        notes.append("only its main picture is restored; the further ones inside are not kept")
    if more_xmp:
        notes.append("its extended XMP is not kept")
    # The end marker may be followed by other things (motion photos), but must come.
    complete = data.find(b"\xff\xd9", position) > 0
    refusal = "CMYK is for print; save it as an RGB picture first" if components == 4 else ""
    return Header(
        "jpeg",
        width,
        height,
        1,
        complete,
        refusal,
        tuple(notes),
        metadata=blocks,
        resolution=resolution,
    )


def with_metadata(jpeg: memoryview, metadata: dict[int, bytes]) -> list[bytes | memoryview]:
    """An encoder's JPEG with metadata blocks in it, in pieces. PhotoError if one does not fit."""
    segments: list[bytes | memoryview] = []
    for kind, marker, name in ((EXIF, _APP1, _EXIF_NAME), (XMP, _APP1, _XMP_NAME)):
        if kind in metadata:
            if len(name) + len(metadata[kind]) > _ROOM:
                raise PhotoError(
                    f"its {BLOCK_NAMES[kind]} ({len(metadata[kind]) // 1000} kB) does not fit into "
                    "a JPEG, which has room for 65; write .png or .webp"
                )
            segments.append(_segment(marker, name + metadata[kind]))
    pieces = _pieces(metadata.get(ICC, b""), _ROOM - len(_ICC_NAME) - 2)
    for number, piece in enumerate(pieces, start=1):
        segments.append(_segment(_APP2, _ICC_NAME + bytes([number, len(pieces)]) + piece))
    for piece in _pieces(metadata.get(IRB, b""), _ROOM - len(_IRB_NAME)):
        segments.append(_segment(_APP13, _IRB_NAME + piece))
    start = 2
    if jpeg[3] == _APP0:  # JFIF comes first
        start += 2 + struct.unpack_from(">H", jpeg, 4)[0]
    head = bytes(jpeg[:start])
    if start > 2 and RESOLUTION in metadata:
        density = Resolution.from_block(metadata[RESOLUTION]).to_jfif()
        if density is not None:
            head = head[:13] + density + head[18:]
    return [head, *segments, jpeg[start:]]


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _pieces(block: bytes, size: int) -> list[bytes]:
    return [block[start : start + size] for start in range(0, len(block), size)]


def _without_gain_map(xmp: bytes) -> bytes:
    """XMP that no longer promises the gain map, which would send viewers looking for it."""
    xmp = re.sub(rb"""\s+hdrgm:\w+\s*=\s*("[^"]*"|'[^']*')""", b"", xmp)
    return re.sub(rb"<Container:Directory\b.*?</Container:Directory>", b"", xmp, flags=re.DOTALL)
