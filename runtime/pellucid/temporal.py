"""What must not jump from frame to frame: the scene code, smoothed until the shot changes.

The scene code decides the exposure of the whole picture (see scene.py). Measured on every frame
for itself it trembles with noise and with whatever passes before the camera, and low light would
flicker. It follows the frames as an exponential average instead, and starts anew at a cut.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .estimator import Estimator
from .guards import find_content
from .scene import measure_light, measure_texture, shrink, thumbnail

# Correlation of neighbouring frames: above 0.96 within shots of the clips it was tried on, above
# 0.8 for frames a quarter of a second apart, below 0.55 across cuts.
CUT_CORRELATION = 0.7
_CUT_SIDE = 32  # px: details and noise are averaged away, the layout of the picture stays
_PARTS = 8  # frames over which a whole sample of the texture is spread: it takes the longest
_LOOK_EVERY_S = 0.5  # between two measures of what changes slowly: amounts, black bars
_FLAT = (0.5 / 255.0) ** 2  # variance under which a picture shows nothing to compare


class SceneSmoother:
    """Scene code of a stream of frames: exponential average, reset at cuts and size changes.

    time_constant_s: seconds after which a lasting change of the light has arrived by 63 %
    (1 - 1/e). It is time, not a number of frames: dropped frames and variable rates do not matter.
    0 switches smoothing off. Raises ValueError if negative.
    estimator: measures amounts of degradations, which then end the vector.

        >>> smoother = SceneSmoother()
        >>> scene = smoother.update(pixels, time_s)  # (scene_size,), for the network
    """

    def __init__(self, time_constant_s: float = 1.0, estimator: Estimator | None = None) -> None:
        if not time_constant_s >= 0.0:
            raise ValueError(f"time_constant_s must be at least 0, got {time_constant_s}")
        self._time_constant_s, self._estimator = time_constant_s, estimator
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame starts anew, as after a seek."""
        self._scene: NDArray[np.float32] | None = None
        self._layout: NDArray[np.float32] | None = None
        self._textures: list[NDArray[np.float32]] = []
        self._turn = 0
        self._shape: tuple[int, ...] = ()
        self._time_s = self._looked_s = 0.0
        self._amounts = np.zeros(0, np.float32)
        self._content = (slice(None), slice(None))
        self.started_anew = False
        """Whether the last frame began a shot: the first one, a cut, another size, back in time.
        Anything else that is carried from frame to frame must be dropped there, too."""

    def update(self, pixels: NDArray[Any], time_s: float) -> NDArray[np.float32]:
        """Smoothed scene vector after this frame, (scene_size,).

        pixels: (H, W, 3) RGB as for measure_scene. time_s: its capture or presentation time. Black
        bars do not count. A shot's first frame is measured whole; of the texture, each further one
        renews an eighth; amounts are measured every half second.
        """
        small = shrink(pixels)
        layout = _layout(small)
        self.started_anew = (
            self._scene is None
            or self._layout is None
            or pixels.shape != self._shape
            or time_s < self._time_s
            or not _correlate(self._layout, layout)
        )
        whole = self.started_anew or self._time_constant_s == 0.0
        look = whole or time_s - self._looked_s >= _LOOK_EVERY_S
        if look:
            self._content = find_content(pixels)
        shown = pixels[self._content]
        # measure_scene(shown), but for the thumbnail, which is there already.
        light = measure_light(small if shown.shape == pixels.shape else shown)
        measured = np.concatenate([light, self._texture(shown, whole)])
        if self._scene is None or whole:
            self._scene = measured
        else:
            self._scene = self._towards(self._scene, measured, time_s - self._time_s)
        if look and self._estimator is not None:
            amounts = self._estimator.amounts(shown)
            since_s = time_s - self._looked_s
            self._amounts = amounts if whole else self._towards(self._amounts, amounts, since_s)
        if look:
            self._looked_s = time_s
        self._layout, self._shape, self._time_s = layout, pixels.shape, time_s
        return np.concatenate([self._scene, self._amounts])

    def _towards(
        self, before: NDArray[np.float32], measured: NDArray[np.float32], since_s: float
    ) -> NDArray[np.float32]:
        share = -math.expm1(-since_s / self._time_constant_s)
        return np.asarray(before + np.float32(share) * (measured - before))

    def _texture(self, pixels: NDArray[Any], whole: bool) -> NDArray[np.float32]:
        """The texture of the last frames, one part of the sample from each of them."""
        if whole:
            self._textures = [measure_texture(pixels)] * _PARTS
            return self._textures[0]
        self._turn = (self._turn + 1) % _PARTS
        self._textures[self._turn] = measure_texture(pixels, self._turn, _PARTS)
        return np.asarray(np.mean(self._textures, axis=0))


def _correlate(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    # Dot products: these few numbers are worked on for every frame of a stream.
    flat = _FLAT * one.size
    variances = (float(np.vdot(one, one)) + flat) * (float(np.vdot(other, other)) + flat)
    return (float(np.vdot(one, other)) + flat) / math.sqrt(variances) >= CUT_CORRELATION


def _layout(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Centred luma in [0, 1] of a picture, at most _CUT_SIDE wide, (h, w)."""
    small = shrink(pixels)
    if small.dtype != np.uint8:
        small = thumbnail(pixels)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, _CUT_SIDE / max(luma.shape))
    size = (max(1, round(luma.shape[1] * scale)), max(1, round(luma.shape[0] * scale)))
    tiny = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
    if small.dtype == np.uint8:
        tiny *= np.float32(1.0 / 255.0)
    return np.asarray(tiny - cv2.mean(tiny)[0], np.float32)
