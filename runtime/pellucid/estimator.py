"""How much of each degradation a picture has: the small network that exported files carry.

A model that takes amounts needs them once a picture, before any tile. So its file brings the
estimator as an ONNX graph of its own, in the metadata entry KEY, and this module runs it.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .card import ModelCard
from .degradations import FOUND
from .embedded import embedded_graph, open_graph
from .guards import is_drawn, is_night_sky, is_toned
from .image.photo import full_scale
from .scene import measure_scene

KEY = "pellucid.estimator"
UNMEASURED = -1.0  # entry of a scene vector that the model is to measure
MULTIPLE = 16  # sides of what the graph takes
# Larger pictures are judged reduced to this many pixels: rain and haze look alike at any
# resolution if the picture is seen whole, as they did in training.
WHOLE_PIXELS = 1 << 20
# Grain and JPEG blocks do not outlive reduction: they are looked for in windows of the original.
FINE = ("noise", "jpeg")
WINDOW, WINDOWS = 256, 3  # side in px; a grid of so many in each direction

Array = NDArray[Any]
Amounts = NDArray[np.float32]


class Estimator:
    """An estimator graph: picture (1, 3, H, W), sides multiples of 16 -> amounts (1, K), in [0, 1].

    graph: the ONNX file's bytes. names: of the K degradations (card.degradations). options: of the
    session, None for ONNX Runtime's own.
    Raises ModelError for anything else.
    """

    def __init__(self, graph: bytes, names: Sequence[str], options: Any = None) -> None:
        self.names = tuple(names)
        self._session = open_graph(graph, "estimator", options)

    def amounts(self, pixels: Array) -> Amounts:
        """Amounts in [0, 1] of a whole picture, (K,): (H, W, 3) or (H, W, 1), of any size, uint8,
        uint16 or float in [0, 1]. Of a sky of stars and of drawings all are 0: they are
        meant so.
        Toned pictures are judged by one channel: their cast is meant."""
        toned = pixels.shape[2] == 3 and is_toned(pixels)
        amounts = self._measure(pixels[..., 1:2] if toned else pixels)
        if amounts.max() >= FOUND and (is_night_sky(pixels) or is_drawn(pixels)):
            amounts[:] = 0.0
        return amounts

    def _measure(self, pixels: Array) -> Amounts:
        height, width = pixels.shape[:2]
        scale = (WHOLE_PIXELS / (height * width)) ** 0.5
        if scale >= 1.0:
            return self._judge(pixels)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(np.asarray(pixels), size, interpolation=cv2.INTER_AREA)
        amounts = self._judge(small.reshape(*small.shape[:2], -1))
        fine = np.mean([self._judge(window) for window in _windows(pixels)], axis=0)
        for index, name in enumerate(self.names):
            if name in FINE:
                amounts[index] = fine[index]
        return amounts

    def _judge(self, pixels: Array) -> Amounts:
        unit = pixels.astype(np.float32) / np.float32(full_scale(pixels.dtype))
        rows, cols = (-side % MULTIPLE for side in unit.shape[:2])
        padded = np.pad(unit, ((0, rows), (0, cols), (0, 0)), mode="edge")
        planes = np.broadcast_to(padded, (*padded.shape[:2], 3)).transpose(2, 0, 1)[None]
        batch = self._session.run(None, {"picture": np.ascontiguousarray(planes)})[0]
        return np.array(batch[0], np.float32)


def measure(pixels: Array, estimator: Estimator | None) -> NDArray[np.float32]:
    """Scene vector of a whole picture (H, W, 3): its statistics (scene.py) and, for a model with an
    estimator, its amounts."""
    statistics = measure_scene(pixels)
    if estimator is None:
        return statistics
    return np.concatenate([statistics, estimator.amounts(pixels)])


def with_amounts(
    scene: NDArray[np.float32], size: int, pixels: Array, estimator: Estimator | None
) -> NDArray[np.float32]:
    """The scene vector of `size` numbers that a model takes: `scene`, which may lack the amounts.
    They are then measured on `pixels` (H, W, 3), or UNMEASURED where a file brings no estimator."""
    missing = size - scene.size
    if missing <= 0:
        return scene
    amounts = np.full(missing, UNMEASURED) if estimator is None else estimator.amounts(pixels)
    return np.concatenate([scene.ravel(), amounts], dtype=np.float32)


def scene_for(metadata: dict[str, str], card: ModelCard, pixels: Array) -> NDArray[np.float32]:
    """The scene vector of a picture (H, W, 3) for a file with these metadata, (scene_size,)."""
    estimator = open_estimator(metadata, card.degradations, None)
    return with_amounts(measure_scene(pixels), card.scene_size, pixels, estimator)


def open_estimator(
    metadata: dict[str, str], names: Sequence[str], options: Any
) -> Estimator | None:
    """The estimator that a file's metadata carry; None without one. options: of its session.

    Raises ModelError if the entry is damaged.
    """
    graph = embedded_graph(metadata, KEY) if names else None
    return None if graph is None else Estimator(graph, names, options)


def _windows(pixels: Array) -> list[Array]:
    """A grid of windows, spread evenly over a picture larger than each of them."""
    spans = []
    for side in pixels.shape[:2]:
        last = max(0, side - WINDOW)
        spans.append(sorted({round(last * n / (WINDOWS - 1)) for n in range(WINDOWS)}))
    return [
        pixels[top : top + WINDOW, left : left + WINDOW] for top in spans[0] for left in spans[1]
    ]
