"""BMP, which libvips does not read: header and palette, colours of 1 to 32 bits.

Compressed ones go to OpenCV.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError
from .header import RESOLUTION, Coding, Data, Header
from .resolution import CENTIMETRE, Resolution

_CORE, _INFO, _V4 = 12, 40, 108  # bytes of the header behind the file's own 14
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_DEFAULT_MASKS = {16: (0x7C00, 0x03E0, 0x001F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_SRGB = 0x73524742

Array = NDArray[Any]


@dataclass(frozen=True)
class _Layout:
    """masks: of red, green, blue and alpha. top_down: whether the first row comes first."""

    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    palette: tuple[int, int, int]  # where it starts, entries, bytes of one
    masks: tuple[int, ...]
    pixels: int
    per_metre: tuple[int, int]


def read_bmp(data: Data) -> tuple[Header, tuple[int, int]]:
    """Header and (width, height). struct.error if the file ends inside its header."""
    layout = _layout(data)
    blocks = {}
    if all(0 < v < 10**6 for v in layout.per_metre):
        x, y = (Fraction(v, 100) for v in layout.per_metre)
        if resolution := Resolution(x, y, CENTIMETRE).to_block():
            blocks[RESOLUTION] = resolution
    refusal = ""
    if layout.compression not in (_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS):
        refusal = "this kind of BMP is not supported; save it as PNG"
    elif layout.bits not in (1, 4, 8, 16, 24, 32):
        refusal = f"BMP of {layout.bits} bits a pixel is not supported; save it as PNG"
    elif len(data) < _end(data, layout):
        refusal = "the BMP is cut off: its end is missing"
    return Header("bmp", refusal, (), blocks, Coding()), (layout.width, layout.height)


def decode_bmp(data: Data) -> Array:
    """(H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA uint8. PhotoError if it is damaged."""
    layout = _layout(data)
    if layout.compression in (_RLE8, _RLE4):
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise PhotoError("the BMP is damaged and cannot be decoded")
        return np.ascontiguousarray(np.asarray(decoded)[..., ::-1])
    rows = np.frombuffer(data, np.uint8, _row(layout) * layout.height, layout.pixels)
    rows = rows.reshape(layout.height, _row(layout))
    if not layout.top_down:
        rows = rows[::-1]
    if layout.bits <= 8:
        return _coloured(data, layout, rows)
    if layout.bits == 24:
        stored = rows[:, : 3 * layout.width].reshape(len(rows), -1, 3)
        return np.ascontiguousarray(stored[..., ::-1])
    code = "<u2" if layout.bits == 16 else "<u4"
    used = np.ascontiguousarray(rows[:, : layout.width * layout.bits // 8]).view(code)
    channels = [_channel(used, mask) for mask in layout.masks if mask]
    pixels = np.dstack(channels)
    if pixels.shape[2] == 4 and not pixels[..., 3].any():  # a mask that nobody filled in
        return np.ascontiguousarray(pixels[..., :3])
    return pixels


def encode_bmp(pixels: NDArray[np.uint8], resolution: bytes) -> list[bytes]:
    """The file's bytes in pieces; (H, W), (H, W, 3) or (H, W, 4) with straight alpha."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    stored = pixels if channels == 1 else pixels[..., [2, 1, 0, 3][:channels]]
    row = -(-width * channels // 4) * 4
    rows = np.zeros((height, row), np.uint8)
    rows[:, : width * channels] = stored.reshape(height, -1)
    per_metre = (0, 0)
    if resolution and (phys := Resolution.from_block(resolution).to_phys()) is not None:
        x, y, metres = struct.unpack(">IIB", phys)
        per_metre = (x, y) if metres else (0, 0)
    size = _V4 if channels == 4 else _INFO
    palette = b"".join(bytes([v, v, v, 0]) for v in range(256)) if channels == 1 else b""
    kind = _BITFIELDS if channels == 4 else _RGB
    start = 14 + size + len(palette)
    info = struct.pack(
        "<IiiHHIIiiII", size, width, height, 1, 8 * channels, kind, row * height, *per_metre, 0, 0
    )
    if channels == 4:
        info += struct.pack("<5I", *_DEFAULT_MASKS[32][:3], 0xFF000000, _SRGB) + bytes(48)
    head = b"BM" + struct.pack("<IHHI", start + row * height, 0, 0, start)
    return [head + info + palette, rows[::-1].tobytes()]


def _layout(data: Data) -> _Layout:
    start, size = struct.unpack_from("<II", data, 10)
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        palette = (14 + size, 1 << bits if bits <= 8 else 0, 3)
        return _Layout(width, height, False, bits, _RGB, palette, (), start, (0, 0))
    if size < _INFO:
        raise PhotoError("this kind of BMP (OS/2 2, short header) is not supported; save it as PNG")
    width, height, _, bits, compression, _, *per_metre, colours, _ = struct.unpack_from(
        "<iiHHIIiiII", data, 18
    )
    masks = _DEFAULT_MASKS.get(bits, ())
    if compression in (_BITFIELDS, _ALPHA_BITFIELDS):
        count = 4 if size >= 56 or compression == _ALPHA_BITFIELDS else 3
        masks = struct.unpack_from(f"<{count}I", data, 14 + _INFO)
        masks = (*masks, *[0] * (4 - count))
        if bits not in (16, 32) or not all(masks[:3]):
            raise PhotoError("the BMP is damaged: its colour masks make no sense")
    entries = min(colours or 1 << bits, 256) if bits <= 8 else 0
    palette = (14 + size, entries, 4)
    x, y = per_metre
    if width <= 0 or height == 0:
        raise PhotoError(f"the BMP is damaged: it says {width}x{height}")
    return _Layout(width, abs(height), height < 0, bits, compression, palette, masks, start, (x, y))


def _end(data: Data, layout: _Layout) -> int:
    """Bytes that the whole file has."""
    if layout.compression in (_RLE8, _RLE4):
        return int(struct.unpack_from("<I", data, 2)[0])
    return layout.pixels + _row(layout) * layout.height


def _row(layout: _Layout) -> int:
    """Bytes of a row, which is filled up to a multiple of 4."""
    return -(-layout.width * layout.bits // 32) * 4


def _coloured(data: Data, layout: _Layout, rows: NDArray[np.uint8]) -> Array:
    """Indices to their colours; (H, W) where all of those are grey."""
    start, entries, size = layout.palette
    table = np.zeros((256, 3), np.uint8)
    stored = np.frombuffer(data, np.uint8, entries * size, start).reshape(entries, size)
    table[:entries] = stored[:, 2::-1]
    per_byte = 8 // layout.bits
    shifts = np.arange(8 - layout.bits, -1, -layout.bits, dtype=np.uint8)
    spread = (rows[..., None] >> shifts) & ((1 << layout.bits) - 1)
    indices = spread.reshape(len(rows), rows.shape[1] * per_byte)[:, : layout.width]
    if (table[:entries] == table[:entries, :1]).all():
        return np.asarray(table[:, 0][indices])
    return np.asarray(table[indices])


def _channel(values: NDArray[Any], mask: int) -> NDArray[np.uint8]:
    """The bits under a mask, widened to 0..255."""
    low = (mask & -mask).bit_length() - 1
    most = mask >> low
    part = (values.astype(np.uint64) & mask) >> low
    return np.asarray((part * 255 + most // 2) // most, dtype=np.uint8)
