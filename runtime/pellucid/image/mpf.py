"""The index of further pictures in a JPEG (CIPA DC-007 Multi-Picture Format).

Its places count from the TIFF header that it starts with; the main picture's own place is 0.
"""

import struct
from collections.abc import Iterator

_ENTRIES = 0xB002
_ENTRY = 16  # bytes: attributes, size, place, two dependants
_KIND = 0x00FFFFFF
_PREVIEWS = (0x010001, 0x010002, 0x010003, 0x010004, 0x010005)  # large thumbnails


def only_previews(index: bytes) -> bool:
    """Whether all further pictures are previews, which would show the unrestored picture."""
    try:
        order, places = _places(index)
        kinds = [struct.unpack_from(order + "I", index, at)[0] & _KIND for at in places]
    except struct.error:
        return True  # of no use to any reader
    return all(kind in _PREVIEWS for kind in kinds[1:])


def with_places(index: bytes, size: int, shift: int) -> bytes:
    """The index where the main picture has `size` bytes and the others moved by `shift`."""
    moved = bytearray(index)
    order, places = _places(index)
    for number, at in enumerate(places):
        if number == 0:
            struct.pack_into(order + "I", moved, at + 4, size)
            continue
        (place,) = struct.unpack_from(order + "I", index, at + 8)
        if place:
            struct.pack_into(order + "I", moved, at + 8, (place + shift) & 0xFFFFFFFF)
    return bytes(moved)


def _places(index: bytes) -> tuple[str, list[int]]:
    """Byte order, and where each picture's entry starts. struct.error if there is none."""
    order = "<" if index[:2] == b"II" else ">"
    return order, [at for first, count in _tables(index, order) for at in _steps(first, count)]


def _steps(first: int, count: int) -> range:
    return range(first, first + count, _ENTRY)


def _tables(index: bytes, order: str) -> Iterator[tuple[int, int]]:
    (directory,) = struct.unpack_from(order + "I", index, 4)
    (entries,) = struct.unpack_from(order + "H", index, directory)
    for at in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, _, count, place = struct.unpack_from(order + "HHII", index, at)
        if tag == _ENTRIES:
            struct.unpack_from(f"{count}x", index, place)
            yield place, count // _ENTRY * _ENTRY
