"""TIFF directories (TIFF 6.0, section 2; BigTIFF): tags to dictionaries and back.

An EXIF block is a small TIFF file, so that its tags are read and written by the same lines.
"""

import struct
from dataclasses import dataclass

from .header import Data

EXIF_TABLE, GPS_TABLE, INTEROP_TABLE = 34665, 34853, 40965
_TABLES = (EXIF_TABLE, GPS_TABLE, INTEROP_TABLE)  # tags whose value is the place of a directory
# Type -> bytes of a value, bytes of the numbers that it is made of.
_TYPES = {
    1: (1, 1), 2: (1, 1), 3: (2, 2), 4: (4, 4), 5: (8, 4), 6: (1, 1), 7: (1, 1), 8: (2, 2),
    9: (4, 4), 10: (8, 4), 11: (4, 4), 12: (8, 8), 13: (4, 4), 16: (8, 8), 17: (8, 8), 18: (8, 8),
}  # fmt: skip
_LARGEST = 1 << 26  # bytes of one value; more is damage
_MOST_TAGS = 4096


@dataclass(frozen=True)
class Value:
    """A tag's value: its TIFF type, and little-endian bytes."""

    type: int
    data: bytes

    @property
    def count(self) -> int:
        return len(self.data) // _TYPES[self.type][0]

    def numbers(self) -> tuple[int, ...]:
        """Whole numbers of an unsigned type."""
        code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(self.type)
        return struct.unpack(f"<{self.count}{code}", self.data) if code else ()


Directory = dict[int, "Value | Directory"]


@dataclass(frozen=True)
class Layout:
    """order: "<" or ">". big: BigTIFF, with 64-bit counts and places."""

    order: str
    big: bool

    @property
    def place(self) -> str:
        return "Q" if self.big else "I"

    @property
    def entries(self) -> str:
        return "Q" if self.big else "H"

    @property
    def room(self) -> int:
        """Bytes of a value that are kept in the entry itself."""
        return 8 if self.big else 4

    @property
    def entry_size(self) -> int:
        return 20 if self.big else 12


def layout_of(data: Data) -> tuple[Layout, int]:
    """How a TIFF file is laid out and where its first directory is. struct.error if it is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None:
        raise struct.error("no TIFF header")
    (version,) = struct.unpack_from(order + "H", data, 2)
    if version == 43:
        return Layout(order, True), struct.unpack_from(order + "Q", data, 8)[0]
    return Layout(order, False), struct.unpack_from(order + "I", data, 4)[0]


def read_directory(data: Data, layout: Layout, offset: int, depth: int = 0) -> Directory:
    """The directory at `offset`, and those it refers to by EXIF's tags.

    A value that lies outside the file is left out. struct.error if the directory itself is cut off.
    """
    (count,) = struct.unpack_from(layout.order + layout.entries, data, offset)
    if count > _MOST_TAGS:
        raise struct.error("too many tags")
    start = offset + struct.calcsize(layout.entries)
    found: Directory = {}
    for at in range(start, start + count * layout.entry_size, layout.entry_size):
        tag, kind, length = struct.unpack_from(layout.order + "HH" + layout.place, data, at)
        value = _value(data, layout, at + 4 + layout.room, kind, length)
        if value is None or tag in found:  # of twins the first counts
            continue
        if tag in _TABLES and depth < 2 and value.numbers():
            found[tag] = read_directory(data, layout, value.numbers()[0], depth + 1)
        else:
            found[tag] = value
    return found


def count_directories(data: Data, layout: Layout, offset: int) -> int:
    """How many directories are chained, one a picture."""
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        (count,) = struct.unpack_from(layout.order + layout.entries, data, offset)
        after = offset + struct.calcsize(layout.entries) + count * layout.entry_size
        (offset,) = struct.unpack_from(layout.order + layout.place, data, after)
    return len(seen)


def write_directory(tags: Directory, start: int, big: bool = False) -> bytes:
    """Little-endian bytes of a directory that will lie at `start`, values and all."""
    layout = Layout("<", big)
    head = struct.calcsize(layout.entries)
    tail_start = start + head + len(tags) * layout.entry_size + layout.room
    entries, tail = [], b""
    for tag in sorted(tags):
        value, place = tags[tag], tail_start + len(tail)
        if isinstance(value, dict):
            tail += write_directory(value, place, big)
            value = Value(4, struct.pack("<I", place)) if not big else _long8(place)
            inline = value.data
        elif len(value.data) <= layout.room:
            inline = value.data
        else:
            inline = struct.pack("<" + layout.place, place)
            tail += value.data + bytes(len(value.data) % 2)
        entries.append(
            struct.pack("<HH" + layout.place, tag, value.type, value.count)
            + inline.ljust(layout.room, b"\0")
        )
    count = struct.pack("<" + layout.entries, len(tags))
    return count + b"".join(entries) + bytes(layout.room) + tail


def read_block(exif: bytes) -> Directory:
    """First directory of an EXIF block. struct.error if it is damaged."""
    return read_directory(exif, *layout_of(exif))


def write_block(tags: Directory) -> bytes:
    """An EXIF block of tags."""
    return b"II*\0" + struct.pack("<I", 8) + write_directory(tags, 8)


def _long8(place: int) -> Value:
    return Value(16, struct.pack("<Q", place))


def _value(data: Data, layout: Layout, at: int, kind: int, count: int) -> Value | None:
    if kind not in _TYPES:
        return None
    unit, number = _TYPES[kind]
    size = unit * count
    if size > layout.room:
        (at,) = struct.unpack_from(layout.order + layout.place, data, at)
    if size > _LARGEST or at + size > len(data):
        return None
    raw = bytes(data[at : at + size])
    if layout.order == ">" and number > 1:
        raw = b"".join(raw[i : i + number][::-1] for i in range(0, size, number))
    return Value(kind, raw)
