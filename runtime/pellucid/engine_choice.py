"""Which program runs a model file: ONNX Runtime or OpenVINO."""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .card import ModelCard
from .engine import Engine
from .errors import ModelError
from .estimator import Estimator
from .thumbnail import Place, WholePath

ENGINES = ("auto", "onnxruntime", "openvino")


class AnyEngine(Protocol):
    """A loaded restorer graph. takes_scene, takes_state: whether it has such a port to feed."""

    card: ModelCard
    takes_scene: bool
    takes_state: bool

    @property
    def size_multiple(self) -> int:
        """What sides of pictures must be multiples of; `run` pads."""

    @property
    def estimator(self) -> Estimator | None:
        """What measures the amounts of `card.degradations`; None for files without one."""

    @property
    def whole_path(self) -> WholePath | None:
        """What makes the maps of a `Place`; None for files that take none."""

    def run(
        self,
        image: NDArray[np.float32],
        scene: NDArray[np.float32] | None,
        state: NDArray[np.float32] | None = None,
        place: Place | None = None,
    ) -> NDArray[np.float32]:
        """(1, 3, H, W) -> (1, 3, sH, sW) in [0, 1], s the card's scale; scene (scene_size,), None
        to measure it; state (1, 3, H, W) for files that take one; place of a part of a picture, for
        files with a `whole_path`."""


def model_digest(path: Path) -> str:
    """SHA-256 of a model file; of an OpenVINO .xml and the weights beside it together."""
    files = [path]
    if path.suffix.lower() == ".xml":
        files.append(path.with_suffix(".bin"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def open_engine(path: Path, threads: int | None = None, engine: str = "auto") -> AnyEngine:
    """Load a model file; "auto" takes OpenVINO for .xml and ONNX Runtime for all others.

    Raises ModelError for unknown or absent engines and for files that the engine cannot load.
    """
    if engine not in ENGINES:
        raise ModelError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    is_ir = path.suffix.lower() == ".xml"
    if engine == "onnxruntime" and is_ir:
        raise ModelError(f"{path}: ONNX Runtime reads .onnx files only; use the engine openvino")
    if engine == "openvino" or (engine == "auto" and is_ir):
        from .engine_openvino import OpenVinoEngine

        return OpenVinoEngine(path, threads)
    return Engine(path, threads)
