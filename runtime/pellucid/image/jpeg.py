"""JPEG: its segments, read one by one and written byte for byte.

libvips decodes and encodes the pixels. Its EXIF goes through libexif, which empties maker notes;
and it drops comments, extended XMP and whatever follows the picture. So these are copied here.
"""

import re
import struct
from collections.abc import Iterator

from ..errors import PhotoError
from .header import (
    BLOCK_NAMES,
    COMMENT,
    EXIF,
    ICC,
    IRB,
    MPF,
    RESOLUTION,
    SEGMENTS,
    TRAILER,
    XMP,
    Coding,
    Data,
    Header,
)  # fmt: skip
from .mpf import only_previews, with_places
from .resolution import Resolution, from_jfif

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame headers
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_BARE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a length
_SOS, _EOI, _APP0, _APP1, _APP2, _APP11, _APP13, _COM = (
    0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xFE,
)  # fmt: skip
_JFIF_NAME = b"JFIF\0"
_EXIF_NAME = b"Exif\0\0"
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE_NAME = b"http://ns.adobe.com/xmp/extension/\0"
_ICC_NAME = b"ICC_PROFILE\0"
_MPF_NAME = b"MPF\0"
_GAIN_MAP_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
_IRB_NAME = b"Photoshop 3.0\0"
_ROOM = 65533  # bytes in one segment
_DENSITY = struct.pack(">BHH", 0, 1, 1)  # square pixels of no size
PLAIN_START = 2  # bytes of an encoder's file in front of which `head` belongs


def read_jpeg(data: Data) -> Header:
    """Header of a JPEG. struct.error or IndexError if it ends before its first scan."""
    blocks: dict[int, bytes] = {}
    profile: dict[int, bytes] = {}  # number of the piece -> piece
    comments: list[bytes] = []
    verbatim: list[bytes] = []
    notes, refusal, coding = [], "", Coding()
    position = 2
    for marker, body, position in _segments(data):
        if marker in _SOF:
            coding, refusal = _frame(marker, body)
        elif marker == _APP0 and body.startswith(_JFIF_NAME):
            if resolution := from_jfif(body):
                blocks[RESOLUTION] = resolution
        elif marker == _APP1 and body.startswith(_EXIF_NAME):
            blocks.setdefault(EXIF, body[len(_EXIF_NAME) :])
        elif marker == _APP1 and body.startswith(_XMP_NAME):
            blocks.setdefault(XMP, body[len(_XMP_NAME) :].rstrip(b"\0"))
        elif marker == _APP2 and body.startswith(_ICC_NAME):
            profile[body[len(_ICC_NAME)]] = body[len(_ICC_NAME) + 2 :]
        elif marker == _APP2 and body.startswith(_MPF_NAME):
            blocks[MPF] = body[len(_MPF_NAME) :]
            mpf_place = position - len(blocks[MPF])
        elif marker == _APP13 and body.startswith(_IRB_NAME):
            blocks[IRB] = blocks.get(IRB, b"") + body[len(_IRB_NAME) :]
        elif marker == _COM:
            comments.append(body.rstrip(b"\0"))
        elif (marker, body[: len(_XMP_MORE_NAME)]) == (_APP1, _XMP_MORE_NAME) or (
            marker == _APP2 and body.startswith(_GAIN_MAP_NAME)
        ):
            verbatim.append(_segment(marker, body))
        elif marker == _APP11 and b"jumb" in body[:32]:
            notes.append("its content credentials (C2PA) are not kept: they vouch for the original")
    if profile:
        blocks[ICC] = b"".join(profile[number] for number in sorted(profile))
    if any(comments):
        blocks[COMMENT] = b"\0".join(comments)
    if verbatim:
        blocks[SEGMENTS] = b"".join(verbatim)
    end = _end_of_picture(data, position)
    if end == 0:
        refusal = refusal or "the JPEG is cut off: its end is missing"
    trailer = bytes(data[end:]) if end else b""
    if MPF in blocks and only_previews(blocks[MPF]):
        del blocks[MPF]
        notes.append("only its main picture is restored; the previews inside are not kept")
        trailer = b""
    elif MPF in blocks:  # places count from the start of this block's TIFF header
        blocks[MPF] += struct.pack(">I", end - mpf_place)
    if trailer.strip(b"\0"):
        blocks[TRAILER] = trailer
    elif MPF in blocks:
        del blocks[MPF]
        notes.append("the further pictures that it tells of are missing")
    if TRAILER not in blocks and _promises_gain_map(blocks):
        blocks[XMP] = without_trailer(blocks.get(XMP, b""))
        blocks[SEGMENTS] = b"".join(s for s in verbatim if _GAIN_MAP_NAME not in s[:64])
        blocks = {kind: block for kind, block in blocks.items() if block}
        notes.append("the HDR gain map that it tells of is missing")
    return Header("jpeg", refusal, tuple(dict.fromkeys(notes)), blocks, coding)


def head(metadata: dict[int, bytes]) -> bytes:
    """The segments that follow a file's first two bytes. PhotoError if a block does not fit."""
    density = _DENSITY
    if RESOLUTION in metadata:
        density = Resolution.from_block(metadata[RESOLUTION]).to_jfif() or _DENSITY
    segments = [_segment(_APP0, _JFIF_NAME + b"\x01\x02" + density + b"\0\0")]
    for kind, name in ((EXIF, _EXIF_NAME), (XMP, _XMP_NAME)):
        if kind in metadata:
            if len(name) + len(metadata[kind]) > _ROOM:
                raise PhotoError(
                    f"its {BLOCK_NAMES[kind]} ({len(metadata[kind]) // 1000} kB) does not fit into "
                    "a JPEG, which has room for 65; write .png or .webp"
                )
            segments.append(_segment(_APP1, name + metadata[kind]))
    segments.append(metadata.get(SEGMENTS, b""))
    pieces = _pieces(metadata.get(ICC, b""), _ROOM - len(_ICC_NAME) - 2)
    if len(pieces) > 255:
        raise PhotoError("its ICC profile does not fit into a JPEG; write .png or .webp")
    for number, piece in enumerate(pieces, start=1):
        segments.append(_segment(_APP2, _ICC_NAME + bytes([number, len(pieces)]) + piece))
    for piece in _pieces(metadata.get(IRB, b""), _ROOM - len(_IRB_NAME)):
        segments.append(_segment(_APP13, _IRB_NAME + piece))
    for comment in metadata[COMMENT].split(b"\0") if COMMENT in metadata else ():
        segments += [_segment(_COM, piece) for piece in _pieces(comment, _ROOM)]
    if MPF in metadata:  # the last one, for its places are counted from here
        segments.append(_segment(_APP2, _MPF_NAME + metadata[MPF][:-4]))
    return b"".join(segments)


def with_further_pictures(before: bytes, size: int, metadata: dict[int, bytes]) -> bytes:
    """`head` with places of further pictures that hold for a file of `size` bytes, head included.

    size: without TRAILER, which follows. The main picture's size and the places change.
    """
    if MPF not in metadata:
        return before
    index, (was,) = metadata[MPF][:-4], struct.unpack(">I", metadata[MPF][-4:])
    here = PLAIN_START + len(before) - len(index)
    return before[: -len(index)] + with_places(index, size, size - here - was)


def has_more_xmp(segments: bytes) -> bool:
    """Whether SEGMENTS hold more than the version of a gain map."""
    return _XMP_MORE_NAME in segments


def without_trailer(xmp: bytes) -> bytes:
    """XMP that no longer promises what followed the picture, which would send viewers looking."""
    names = rb"(?:hdrgm:\w+|G?Camera:(?:MotionPhoto|MicroVideo)\w*)"
    xmp = re.sub(rb"\s+" + names + rb"""\s*=\s*("[^"]*"|'[^']*')""", b"", xmp)
    xmp = re.sub(rb"<(" + names + rb")(\s[^>]*)?>.*?</\1>", b"", xmp, flags=re.DOTALL)
    return re.sub(rb"<(\w*Container:Directory)\b.*?</\1>", b"", xmp, flags=re.DOTALL)


def _promises_gain_map(blocks: dict[int, bytes]) -> bool:
    return b"hdrgm:" in blocks.get(XMP, b"") or _GAIN_MAP_NAME in blocks.get(SEGMENTS, b"")


def _segments(data: Data) -> Iterator[tuple[int, bytes, int]]:
    """(marker, body, place behind it) up to the start of the first scan."""
    position, marker = 2, 0
    while marker != _SOS:
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # fill bytes
        if data[position] != 0xFF:
            raise PhotoError("the JPEG's header is damaged")
        marker = data[position + 1]
        if marker in _BARE:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = bytes(data[position + 4 : position + 2 + length])
        position += 2 + length
        yield marker, body, position


def _frame(marker: int, body: bytes) -> tuple[Coding, str]:
    """Chroma sampling, and why not if libvips cannot read such a frame."""
    bits, components = body[0], body[5]
    if bits != 8:
        return Coding(), f"JPEG of {bits} bits a channel is not supported; save it as PNG or TIFF"
    if marker in _LOSSLESS:
        return Coding(), "lossless JPEG is not supported; save it as PNG or TIFF"
    if components == 4:
        return Coding(), "CMYK is for print; save it as an RGB picture first"
    factors = [body[7 + 3 * index] for index in range(components)]
    halved = components == 3 and factors[0] == 0x22 and factors[1] == factors[2] == 0x11
    return Coding("4:2:0" if halved or components == 1 else "4:4:4"), ""


def _end_of_picture(data: Data, position: int) -> int:
    """The place behind the end marker; 0 if it is missing."""
    while (position := data.find(b"\xff", position)) >= 0:
        marker = data[position + 1 : position + 2]
        if not marker:
            return 0
        if marker[0] == _EOI:
            return position + 2
        if marker[0] in (0x00, 0xFF) or marker[0] in _BARE:
            position += 1 if marker[0] == 0xFF else 2
            continue
        length = data[position + 2 : position + 4]  # tables between the scans of a progressive one
        position += 2 + int.from_bytes(length, "big")
    return 0


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _pieces(block: bytes, size: int) -> list[bytes]:
    return [block[start : start + size] for start in range(0, len(block), size)]
