"""AVIF: the boxes that tell its size, its turn and its ICC profile.

OpenCV decodes neither turn (`irot`, `imir`) nor profile.
"""

import struct
from collections.abc import Iterator

from .header import ICC, Header

# (quarter turns anti-clockwise, then mirror axis; -1 none) -> EXIF orientation.
# ISO/IEC 23008-12: axis 0 swaps top and bottom, 1 swaps left and right.
_ORIENTATIONS = {
    (0, -1): 1, (0, 1): 2, (2, -1): 3, (0, 0): 4, (1, 0): 5, (3, -1): 6, (3, 0): 7, (1, -1): 8,
    (1, 1): 7, (3, 1): 5, (2, 0): 2, (2, 1): 4,
}  # fmt: skip


def read_avif(data: bytes) -> Header:
    """Header of an AVIF picture. struct.error if it ends before its properties."""
    width = height = turns = 0
    axis = -1
    notes: tuple[str, ...] = ()
    blocks: dict[int, bytes] = {}
    for kind, start, stop in _properties(data):
        if kind == b"ispe":  # a grid's cells and an alpha plane tell theirs too: the largest counts
            size = struct.unpack_from(">II", data, start + 4)
            width, height = max((width, height), size, key=lambda s: s[0] * s[1])
        elif kind == b"irot":
            turns = data[start] & 3
        elif kind == b"imir":
            axis = data[start] & 1
        elif kind == b"colr" and data[start : start + 4] in (b"prof", b"rICC"):
            blocks[ICC] = data[start + 4 : stop]
    if b"application/rdf+xml" in data[:65536]:
        notes = ("its XMP is not kept (AVIF)",)
    return Header(
        "avif",
        width,
        height,
        2 if data[8:12] == b"avis" else 1,
        notes=notes,
        metadata=blocks,
        orientation=_ORIENTATIONS[turns, axis],
    )


def _properties(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The boxes inside meta / iprp / ipco."""
    for kind, start, stop in _boxes(data, 0, len(data)):
        if kind == b"meta":
            for inner, a, b in _boxes(data, start + 4, stop):
                if inner == b"iprp":
                    for container, c, d in _boxes(data, a, b):
                        if container == b"ipco":
                            yield from _boxes(data, c, d)


def _boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of body, end) of the boxes in [start, stop)."""
    while start + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        end = stop if size == 0 else start + max(size, head)
        yield kind, start + head, min(end, stop)
        start = end
