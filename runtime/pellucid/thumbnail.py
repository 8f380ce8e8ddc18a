"""The whole picture on a small grid, for models that see it whole before they see its tiles.

Such a model's file brings, besides its graph, a second one in the metadata entry KEY, which makes
maps of the whole picture once; every tile is then given the maps and where it lies.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .embedded import embedded_graph, open_graph
from .image.photo import full_scale

KEY = "pellucid.thumbnail"
MAPS, WINDOW = "maps", "window"  # optional inputs of the model
GRID = 128  # cells in each direction, whatever the picture's size and shape
_ROWS = 256  # of the picture, that are turned into floats at a time

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """A part of a picture. maps: (1, 6, GRID, GRID), of the whole. window: (1, 4), top and left of
    the part, height and width of the whole, px."""

    maps: Floats
    window: Floats

    @staticmethod
    def of(maps: Floats, top: int, left: int, size: tuple[int, int]) -> "Place":
        return Place(maps, np.array([[top, left, *size]], np.float32))


class WholePath:
    """The graph that makes maps: picture (1, 3, GRID, GRID) in [0, 1] and scene (1, S) -> maps.

    graph: the ONNX file's bytes. options: of the session, None for ONNX Runtime's own.
    Raises ModelError for anything else.
    """

    def __init__(self, graph: bytes, options: Any = None) -> None:
        self._session = open_graph(graph, f"{KEY} entry", options)

    def maps(self, pixels: NDArray[Any], scene: Floats) -> Floats:
        """(1, 6, GRID, GRID) of a whole picture (H, W, 3 or 1), in uint8, uint16 or [0, 1], with
        its scene vector."""
        planes = np.ascontiguousarray(shrink(pixels).transpose(2, 0, 1)[None])
        feeds = {"picture": planes, "scene": scene.reshape(1, -1)}
        return np.asarray(self._session.run(None, feeds)[0], np.float32)


def open_whole_path(metadata: dict[str, str], options: Any) -> WholePath | None:
    """What makes maps in a file's metadata; None for models that see no whole picture.

    Raises ModelError if the entry is damaged.
    """
    graph = embedded_graph(metadata, KEY)
    return None if graph is None else WholePath(graph, options)


def shrink(pixels: NDArray[Any]) -> Floats:
    """The means of GRID x GRID equal parts of a picture, (H, W, 3 or 1) -> (GRID, GRID, 3).

    pixels: uint8, uint16 or float in [0, 1]. Smaller pictures are enlarged by repetition.
    """
    height, width, channels = pixels.shape
    cols = area_weights(width).T  # (W, GRID)
    narrow = np.empty((height, channels, GRID), np.float32)
    for top in range(0, height, _ROWS):
        part = pixels[top : top + _ROWS].astype(np.float32).transpose(0, 2, 1)
        narrow[top : top + _ROWS] = part @ cols
    small = area_weights(height) @ narrow.reshape(height, -1)  # (GRID, channels * GRID)
    unit = small.reshape(GRID, channels, GRID).transpose(0, 2, 1) / np.float32(
        full_scale(pixels.dtype)
    )
    return np.ascontiguousarray(np.broadcast_to(unit, (GRID, GRID, 3)), np.float32)


def area_weights(length: int) -> Floats:
    """Share of each of `length` pixels in each of GRID equal parts of their row, (GRID, length)."""
    part = length / GRID
    cells = np.arange(GRID)[:, None] * part
    pixels = np.arange(length)[None, :]
    overlap = np.minimum(cells + part, pixels + 1.0) - np.maximum(cells, pixels)
    return np.asarray(np.maximum(overlap, 0.0) / part, np.float32)
