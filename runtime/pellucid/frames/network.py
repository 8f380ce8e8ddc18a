"""The network as a live stream sees it: a frame in, a frame out, on a chosen rung."""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..card import ModelCard
from ..degradations import BLIND, Choice
from ..engine import Engine
from ..engine_choice import AnyEngine, open_engine
from ..engine_openvino import OpenVinoEngine
from ..estimator import with_amounts
from ..motion import PreviousOutput
from ..recurrent import find_frames
from ..restorer import bundled_names, find_model
from ..steps import Measure, Scene, measure_of, refine
from .budget import Rung
from .frame import Pixels
from .guided import Carrier, reduce


class Pass(Protocol):
    """A network for frames, (H, W, 3) uint8 RGB. state: for files that go on from the last one."""

    def run_frame(self, frame: Pixels, scene: Scene | None, state: Pixels | None = None) -> Pixels:
        """The restored frame."""

    def expect_frames(self, size: tuple[int, int] | None = None) -> None:
        """Frames of this size will come: get ready without holding up others. None: of any."""


OpenPass = Callable[[str, int], Pass]
OpenFrames = Callable[[str], Pass | None]


class Restored(NamedTuple):
    """A restored frame, (H, W, 3) uint8 RGB, and the network's part of the time, in seconds."""

    pixels: Pixels
    network_s: float


class FrameRestorer(Protocol):
    """Restores one frame on a rung; the frame is not written to. anew: a shot begins, or frames
    were left out before it."""

    def __call__(self, pixels: Pixels, scene: Scene, rung: Rung, anew: bool) -> Restored: ...

    def expect(self, size: tuple[int, int], rung: Rung) -> None:
        """Frames of (H, W) may soon be restored on this rung."""


class NetworkRestorer:
    """Runs a network, at full size or small with guided upsampling.

    open_pass(model, steps): called once for each model and number of steps that is met.
    open_frames(model): the pass that goes on from the last result, None if a model has none; where
    there is one, a single pass a frame is a chain (recurrent.py).
    """

    def __init__(self, open_pass: OpenPass, open_frames: OpenFrames = lambda model: None) -> None:
        self._open_pass, self._open_frames = open_pass, open_frames
        self._passes: dict[tuple[str, int], Pass] = {}
        self._frame_passes: dict[str, Pass | None] = {}
        self._expected: set[tuple[tuple[int, int], Rung]] = set()
        self._carry_over = Carrier()
        self._last = PreviousOutput()  # of the network's size

    def prepare(self, model: str, steps: int) -> Pass:
        """Open a model ahead of its first frame. ModelError if there is no such model."""
        key = (model, steps)
        if key not in self._passes:
            self._passes[key] = self._open_pass(*key)
            self._passes[key].expect_frames()
        if model not in self._frame_passes:
            self._frame_passes[model] = chained = self._open_frames(model)
            if chained is not None:
                chained.expect_frames()
        return self._passes[key]

    def expect(self, size: tuple[int, int], rung: Rung) -> None:
        """Frames of (H, W) may soon be restored on this rung."""
        if (size, rung) in self._expected or (rung.model, rung.steps) not in self._passes:
            return
        self._expected.add((size, rung))
        chained = self._frame_passes[rung.model] if rung.steps == 1 else None
        coming = chained or self._passes[rung.model, rung.steps]
        coming.expect_frames((size[0] // rung.shrink, size[1] // rung.shrink))

    def __call__(self, pixels: Pixels, scene: Scene, rung: Rung, anew: bool) -> Restored:
        run = self.prepare(rung.model, rung.steps)
        chained = self._frame_passes[rung.model] if rung.steps == 1 else None
        small = reduce(pixels, rung.shrink)
        state = None if chained is None else self._last.carried_to(small, anew)
        started = time.perf_counter()
        if chained is None or state is None:
            restored = run.run_frame(small, scene)
        else:
            restored = chained.run_frame(small, scene, state)
        network_s = time.perf_counter() - started
        if chained is None:
            self._last.drop()
        else:
            self._last.keep(restored)
        if rung.shrink > 1:
            restored = self._carry_over(pixels, small, restored, rung.shrink)
        return Restored(restored, network_s)


def open_pass(
    model: str | AnyEngine,
    steps: int,
    threads: int | None = None,
    engine: str = "auto",
    choice: Choice = BLIND,
) -> Pass:
    """A pass over whole frames. ModelError if there is no such model or engine.

    model: a name or file, or an engine that is open already; the next two say nothing then.
    engine: "onnxruntime", "openvino" or "auto", the second for .xml files only: it takes about half
    of the time on most CPUs and keeps frames in 8 bits up to the graph, but while it compiles for a
    new size, frames of large models come late.
    choice: the amounts of later steps; those of the first come with the scene.
    """
    opened = open_engine(find_model(model), threads, engine) if isinstance(model, str) else model
    opened.card.check_keeps_size()
    once = _frame_pass(opened)
    if steps == 1:
        return once
    card = opened.card

    def measure(seen: Pixels) -> Scene:
        scene = with_amounts(measure_of(seen), card.scene_size, seen, opened.estimator)
        return choice.tell(scene, card.degradations)

    return SteppedPass(once, steps, measure)


def open_frames(model: str, threads: int | None = None, engine: str = "auto") -> Pass | None:
    """The pass that goes on from the last result; None if the model has no file for frames."""
    path = find_frames(model)
    return None if path is None else _frame_pass(open_engine(path, threads, engine))


def _frame_pass(engine: AnyEngine) -> Pass:
    return engine if isinstance(engine, OpenVinoEngine) else OnnxPass(engine)


class SteppedPass:
    """Several calls a frame. measure: the scene vector of what a later one sees."""

    def __init__(self, once: Pass, steps: int, measure: Measure = measure_of) -> None:
        self._once, self._steps, self._measure = once, steps, measure

    def run_frame(self, frame: Pixels, scene: Scene | None, state: Pixels | None = None) -> Pixels:
        """The restored frame."""
        first = self._once.run_frame(frame, scene, state)

        def restore(seen: Pixels, scene: Scene, call: int) -> Pixels:
            return self._once.run_frame(seen, scene)

        return refine(frame, first, self._steps, restore, self._measure)

    def expect_frames(self, size: tuple[int, int] | None = None) -> None:
        """Frames of this size will come. None: of any."""
        self._once.expect_frames(size)


class OnnxPass:
    """Frames through ONNX Runtime's graph of floats."""

    def __init__(self, engine: AnyEngine) -> None:
        self._engine = engine

    def run_frame(self, frame: Pixels, scene: Scene | None, state: Pixels | None = None) -> Pixels:
        """The restored frame."""
        last = None if state is None else _to_planes(state)
        return _to_frame(self._engine.run(_to_planes(frame), scene, last)[0])

    def expect_frames(self, size: tuple[int, int] | None = None) -> None:
        """Any size is as good as another."""


def rank_models(wanted: str) -> tuple[tuple[str, float], ...]:
    """(name, cost of a step and pixel): the wanted model, then cheaper bundled ones, dearest first.

    A model given by its file has no cheaper sisters.
    """
    names = set(bundled_names())
    if wanted not in names or len(names) == 1:
        return ((wanted, 1.0),)
    cost = {name: _cost(Engine(find_model(name), 1).card) for name in names}
    cheaper = sorted((n for n in names if cost[n] < cost[wanted]), key=lambda n: -cost[n])
    return tuple((name, cost[name]) for name in [wanted, *cheaper])


def _cost(card: ModelCard) -> float:
    return card.macs_per_pixel or float(card.params)


def _to_planes(pixels: Pixels) -> NDArray[np.float32]:
    """(H, W, 3) uint8 to (1, 3, H, W) in [0, 1], in one walk over the frame."""
    return np.asarray(cv2.dnn.blobFromImage(pixels, 1.0 / 255.0), np.float32)


def _to_frame(planes: NDArray[np.float32]) -> Pixels:
    """(3, H, W) in [0, 1] to (H, W, 3) uint8, rounded and clipped."""
    levels = [cv2.addWeighted(p, 255.0, p, 0.0, 0.0, dtype=cv2.CV_8U) for p in planes]
    return np.asarray(cv2.merge(levels), np.uint8)
