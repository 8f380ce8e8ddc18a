"""Clips of a few frames: a photo under a moving camera, degraded alike from frame to frame.

What falls or trembles differs between frames of one shower, of one sensor; what stays, stays.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from pellucid.motion import MotionEstimator

from .light import Image
from .synthesis import Synthesis

MARGIN = 24  # px around a crop that the camera can move into; beyond, the border is mirrored


@dataclass(frozen=True)
class Clip:
    """degraded, clean: (F, H, W, 3) in [0, 1]. flow: (F - 1, H, W, 2), from each frame back to the
    one before, as the runtime estimates it on degraded frames."""

    degraded: Image
    clean: Image
    flow: Image


class Clips:
    """Draws clips of `frames` frames; sample number i of a seed is always the same, as photos are.

    Tasks come in the synthesis' own cycle. Raises ValueError without clean photos: pairs of real
    photos do not move.
    """

    extra = ("flow",)

    def __init__(self, synthesis: Synthesis, frames: int = 4) -> None:
        if not synthesis.corpus.clean:
            raise ValueError("clips are made of clean photos; expected some in a folder clean/")
        if frames < 2:
            raise ValueError(f"a clip has at least 2 frames, got {frames}")
        self.synthesis, self.frames = synthesis, frames

    def pictures(self, seed: int, index: int) -> tuple[Image, Image, Image]:
        """(degraded, clean, flow) of sample `index`."""
        rng = np.random.default_rng([seed, index])
        cycle = self.synthesis.cycle
        clip = self.draw(cycle[index // self.synthesis.samples_per_task % len(cycle)], rng)
        return clip.degraded, clip.clean, clip.flow

    def describe(self) -> str:
        """The synthesis' description, and the length of a clip."""
        return f"{self.synthesis.describe()}, {self.frames} frames"

    def draw(self, task: str, rng: Generator) -> Clip:
        """One clip of `task`."""
        clean = self._moving(rng)
        degraded = self._degrade(task, clean, rng)
        estimator = MotionEstimator()
        flows = [estimator.follow(frame) for frame in degraded]
        found = [flow for flow in flows if flow is not None]
        return Clip(degraded, clean, np.stack(found))

    def _degrade(self, task: str, clean: Image, rng: Generator) -> Image:
        frames, side = len(clean), clean.shape[1]
        if task in ("haze", "blur"):
            # Depth and shake belong to the scene: the same numbers are drawn for every frame.
            seed = int(rng.integers(2**32))
            views = [self.synthesis.degrade(task, f, np.random.default_rng(seed)) for f in clean]
            return np.stack(views)
        # One tall picture: one exposure, one shower; other drops and other noise in every frame.
        tall = clean.reshape(frames * side, side, 3)
        return self.synthesis.degrade(task, tall, rng).reshape(clean.shape)

    def _moving(self, rng: Generator) -> Image:
        """(F, H, W, 3): a photo before a moving camera, now and then with something in its way."""
        side = self.synthesis.crop
        view = self._view(rng, side)
        path = CameraPath.draw(rng, fastest=10.0)
        frames = [path.at(view, f, side) for f in range(self.frames)]
        if rng.random() < 0.4:
            thing, cover = self._view(rng, side), _blob(rng, side + 2 * MARGIN)
            own = CameraPath.draw(rng, fastest=10.0)
            for f in range(self.frames):
                mask = own.at(cover, f, side)[..., None]
                frames[f] = frames[f] * (1.0 - mask) + own.at(thing, f, side) * mask
        return np.clip(np.stack(frames), 0.0, 1.0)

    def _view(self, rng: Generator, side: int) -> Image:
        """Part of a photo, `MARGIN` wider than a crop on every side, perhaps reduced."""
        photos = self.synthesis.corpus.clean
        photo = photos[int(rng.integers(len(photos)))]
        whole = side + 2 * MARGIN
        largest = min(photo.shape[:2])
        window = int(rng.integers(whole, largest + 1)) if largest > whole else largest
        top = int(rng.integers(0, photo.shape[0] - window + 1))
        left = int(rng.integers(0, photo.shape[1] - window + 1))
        part = photo[top : top + window, left : left + window].astype(np.float32) / 255.0
        if window == whole:
            return np.ascontiguousarray(part)
        return np.asarray(cv2.resize(part, (whole, whole), interpolation=cv2.INTER_AREA))


@dataclass(frozen=True)
class CameraPath:
    """Steady motion: what a frame adds. speed: px. turn: radians. zoom: logarithm of the scale."""

    speed: tuple[float, float]
    turn: float
    zoom: float

    @staticmethod
    def draw(rng: Generator, fastest: float) -> "CameraPath":
        """Mostly slow, up to `fastest` px a frame; one camera in five stands still."""
        if rng.random() < 0.2:
            return CameraPath((0.0, 0.0), 0.0, 0.0)
        speed = float(np.exp(rng.uniform(np.log(0.2), np.log(fastest))))
        angle = float(rng.uniform(0.0, 2.0 * np.pi))
        turn, zoom = rng.normal(0.0, (0.006, 0.01))
        return CameraPath((speed * np.cos(angle), speed * np.sin(angle)), float(turn), float(zoom))

    def at(self, view: Image, frame: int, side: int) -> Image:
        """The crop of `side` px that the camera sees in this frame, view (S, S[, 3])."""
        centre = view.shape[0] / 2.0 - 0.5
        scale, angle = float(np.exp(self.zoom * frame)), self.turn * frame
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        half = side / 2.0 - 0.5
        x, y = centre + self.speed[0] * frame, centre + self.speed[1] * frame
        to_view = np.array(
            [
                [cosine, -sine, x - cosine * half + sine * half],
                [sine, cosine, y - sine * half - cosine * half],
            ]
        )
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        size, mirrored = (side, side), cv2.BORDER_REFLECT
        return np.asarray(
            cv2.warpAffine(view, to_view, size, flags=flags, borderMode=mirrored), np.float32
        )


def _blob(rng: Generator, side: int) -> Image:
    """Soft-edged ellipse somewhere in the picture, (side, side) in [0, 1]."""
    mask = np.zeros((side, side), np.uint8)
    centre = tuple(int(v) for v in rng.integers(side // 4, 3 * side // 4, 2))
    axes = tuple(int(v) for v in rng.integers(side // 12, side // 4, 2))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.7), np.float32) / 255.0
