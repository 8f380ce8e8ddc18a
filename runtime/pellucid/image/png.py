"""PNG: a walk over the chunks with their checksums, and chunks for writing."""

import struct
import zlib
from collections.abc import Iterator

from .header import CICP, EXIF, GAMMA, ICC, RESOLUTION, TEXT, XMP, Coding, Data, Header
from .resolution import Resolution, from_phys

PLAIN_START = 33  # bytes of signature and IHDR, behind which `chunks` belong
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_COLOURS = (b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"cLLI", b"mDCv", b"cLLi")
SRGB_GAMMA = 1 / 2.2
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


def read_png(data: Data) -> Header:
    """Header of a PNG. struct.error if it ends before its size."""
    (bits,) = struct.unpack_from(">8xB", data, 16)
    blocks: dict[int, bytes] = {}
    refusal, ended = "", False
    for kind, start, stop in _chunks(data):
        body = bytes(data[start:stop]) if kind != b"IDAT" else b""
        # Damage in a chunk that matters (its name starts with a capital) is damage in the picture.
        if kind[:1].isupper() and _checksum(data, start, stop) != data[stop : stop + 4]:
            refusal = f"the PNG is damaged: wrong checksum in its {ascii(kind)[2:-1]} chunk"
        if kind == b"acTL" and (frames := struct.unpack_from(">I", body)[0]) > 1:
            refusal = refusal or several(frames, "PNG")
        elif kind == b"pHYs" and (resolution := from_phys(body)):
            blocks[RESOLUTION] = resolution
        elif kind == b"cICP" and len(body) == 4:
            blocks[CICP] = body
        elif kind == b"eXIf":
            blocks[EXIF] = body.removeprefix(b"Exif\0\0")
        elif kind == b"iCCP":
            blocks[ICC] = _inflated(body)
        elif kind == b"iTXt" and body.startswith(_XMP_KEYWORD):
            blocks[XMP] = _xmp(body)
        elif kind in _TEXTS:
            blocks[TEXT] = blocks.get(TEXT, b"") + _chunk(kind, body)
        elif kind in _COLOURS:
            blocks[GAMMA] = blocks.get(GAMMA, b"") + _chunk(kind, body)
        elif kind == b"IEND":
            ended = True
    if not ended:
        refusal = refusal or "the PNG is cut off: its end is missing"
    return Header("png", refusal, (), blocks, Coding(bits=max(bits, 8)))


def several(frames: int, kind: str) -> str:
    """The refusal of a file with several pictures."""
    return f"holds {frames} or more pictures ({kind}); save the one to restore as a file of its own"


def chunks(metadata: dict[int, bytes]) -> bytes:
    """Metadata as the chunks that follow IHDR."""
    chunks = []
    if CICP in metadata:
        chunks.append(_chunk(b"cICP", metadata[CICP]))
    if ICC in metadata:
        chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(metadata[ICC])))
    chunks.append(metadata.get(GAMMA, b""))
    if RESOLUTION in metadata:
        body = Resolution.from_block(metadata[RESOLUTION]).to_phys()
        chunks.append(_chunk(b"pHYs", body) if body is not None else b"")
    if EXIF in metadata:
        chunks.append(_chunk(b"eXIf", metadata[EXIF]))
    if XMP in metadata:
        chunks.append(_chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0" + metadata[XMP]))
    chunks.append(metadata.get(TEXT, b""))
    return b"".join(chunks)


def gamma_of(metadata: dict[int, bytes]) -> float:
    """Exponent that codes light, as a PNG tells it; sRGB's where something else says more."""
    block = metadata.get(GAMMA, b"")
    kinds = {kind: block[start:stop] for kind, start, stop in _chunks(block, 0)}
    if {ICC, CICP} & metadata.keys() or b"sRGB" in kinds or len(kinds.get(b"gAMA", b"")) != 4:
        return SRGB_GAMMA
    gamma = int.from_bytes(kinds[b"gAMA"], "big") / 100_000
    return gamma if 0.1 <= gamma <= 5.0 else SRGB_GAMMA


def _chunks(data: Data, position: int = 8) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of body, end of body) up to IEND or the last whole chunk."""
    kind = b""
    while position + 12 <= len(data) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        stop = position + 8 + length
        if stop + 4 > len(data):
            return
        yield kind, position + 8, stop
        position = stop + 4


def _checksum(data: Data, start: int, stop: int) -> bytes:
    """CRC of a chunk, of its name and body, read in pieces: IDAT may be all of the file."""
    crc = 0
    for at in range(start - 4, stop, 1 << 20):
        crc = zlib.crc32(data[at : min(at + (1 << 20), stop)], crc)
    return struct.pack(">I", crc)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _inflated(body: bytes, skip: int = 2) -> bytes:
    """What follows a name, its zero byte and the method; empty if it does not inflate."""
    try:
        return zlib.decompressobj().decompress(body[body.index(b"\0") + skip :], 1 << 26)
    except (ValueError, zlib.error):
        return b""


def _xmp(body: bytes) -> bytes:
    """Text of an iTXt chunk: compressed flag, method, language, translated keyword, text."""
    packed, text = body[len(_XMP_KEYWORD)], body[len(_XMP_KEYWORD) + 2 :].split(b"\0", 2)[-1]
    if not packed:
        return text
    return _inflated(b"\0\0" + text)
