"""From light on a sensor to a file: saturation, RAW noise, demosaicing, camera curve, JPEG.

What makes synthetic blur resemble that of cameras (RSBlur, Rim et al., ECCV 2022, §4: noise brings
five times as much as everything else). Steps and ranges follow their pipeline; curves are ours.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .light import Image, jpeg, quantise, shot_read_noise, to_srgb

WHITE = 65535.0
# Place of red in the mosaic -> how OpenCV calls the pattern, which it names after the second row.
PATTERNS = {
    (0, 0): cv2.COLOR_BayerBG2RGB,
    (0, 1): cv2.COLOR_BayerGB2RGB,
    (1, 0): cv2.COLOR_BayerGR2RGB,
    (1, 1): cv2.COLOR_BayerRG2RGB,
}


@dataclass(frozen=True)
class CameraRecipe:
    """exposure: of saturated lights, how much brighter than white they may be. shot, read: noise in
    linear light (variance shot·x + read²), drawn on a logarithmic scale. red, blue: white balance
    gains. contrast: of the curve after sRGB. quality: of JPEG; file: chance of JPEG."""

    exposure: tuple[float, float] = (1.0, 2.75)
    saturates: float = 0.5
    shot: tuple[float, float] = (1e-5, 2e-3)
    read: tuple[float, float] = (2e-4, 6e-3)
    red: tuple[float, float] = (1.9, 2.4)
    blue: tuple[float, float] = (1.5, 1.9)
    contrast: tuple[float, float] = (-0.15, 0.35)
    quality: tuple[int, int] = (60, 98)
    file: float = 0.5


@dataclass(frozen=True)
class Camera:
    """One camera's numbers, the same for a blurred picture and for its sharp partner."""

    red: float
    blue: float
    shot: float
    read: float
    contrast: float
    place: tuple[int, int]  # of red in the mosaic

    @staticmethod
    def draw(rng: Generator, recipe: CameraRecipe) -> "Camera":
        def between(ends: tuple[float, float]) -> float:
            return float(rng.uniform(*ends))

        def scaled(ends: tuple[float, float]) -> float:
            return float(np.exp(rng.uniform(*np.log(ends))))

        place = (int(rng.integers(2)), int(rng.integers(2)))
        return Camera(
            between(recipe.red),
            between(recipe.blue),
            scaled(recipe.shot),
            scaled(recipe.read),
            between(recipe.contrast),
            place,
        )

    def gains(self) -> NDArray[np.float32]:
        return np.array([self.red, 1.0, self.blue], np.float32)

    def develop(self, linear: Image) -> Image:
        """sRGB and the camera's own S-curve, v + c·v·(1 - v)·(2v - 1), (H, W, 3) in [0, 1]."""
        v = to_srgb(linear)
        curved = v + self.contrast * v * (1.0 - v) * (2.0 * v - 1.0)
        return np.asarray(np.clip(curved, 0.0, 1.0), dtype=np.float32)

    def expose(self, linear: Image, rng: Generator) -> Image:
        """Through mosaic, noise and demosaicing, linear light in and out. Saturated photosites have
        no noise: they read white whatever falls on them."""
        full = np.clip(linear, 0.0, None)
        sensor = full / self.gains()
        noisy = shot_read_noise(sensor, rng, self.shot, self.read)
        sensor = np.where(full >= 1.0, 1.0 / self.gains(), noisy)
        colour = demosaic(mosaic(sensor, self.place), self.place) * self.gains()
        return np.asarray(np.clip(colour, 0.0, 1.0), dtype=np.float32)


def mosaic(image: Image, place: tuple[int, int]) -> Image:
    """One colour a photosite, (H, W, 3) -> (H, W): red at `place` of each 2x2 cell, blue across."""
    y, x = place
    out = image[..., 1].copy()
    out[y::2, x::2] = image[y::2, x::2, 0]
    out[1 - y :: 2, 1 - x :: 2] = image[1 - y :: 2, 1 - x :: 2, 2]
    return out


def demosaic(raw: Image, place: tuple[int, int]) -> Image:
    """(H, W) in [0, 1] -> (H, W, 3), edge-aware, by OpenCV at 16 bits."""
    codes = np.round(np.clip(raw, 0.0, 1.0) * WHITE).astype(np.uint16)
    cells = cv2.copyMakeBorder(codes, 2, 2, 2, 2, cv2.BORDER_REFLECT_101)  # keeps the pattern
    colour = cv2.demosaicing(cells, PATTERNS[place])
    return np.asarray(colour[2:-2, 2:-2].astype(np.float32) / np.float32(WHITE))


def saturated(linear: Image, sharp: Image, rng: Generator, recipe: CameraRecipe) -> Image:
    """`linear` light with what clips in `sharp` made up to `exposure` times as bright, so that
    blurred lamps stay white lines; not clipped. (H, W, 3) both."""
    if rng.random() >= recipe.saturates:
        return linear
    white = (sharp.min(axis=2, keepdims=True) > 0.95).astype(np.float32)
    return np.asarray(linear + (float(rng.uniform(*recipe.exposure)) - 1.0) * white * linear)


def photographed(
    blurred: Image, sharp: Image, rng: Generator, recipe: CameraRecipe | None = None
) -> tuple[Image, Image]:
    """(degraded, clean) files of two pictures in linear light, (H, W, 3) each, in [0, 1] sRGB. Both
    go through one camera's curve; noise, mosaic and JPEG only meet the degraded one."""
    recipe = recipe or CameraRecipe()
    camera = Camera.draw(rng, recipe)
    degraded = camera.develop(camera.expose(blurred, rng))
    if rng.random() < recipe.file:
        degraded = jpeg(degraded, int(rng.integers(recipe.quality[0], recipe.quality[1] + 1)))
    return quantise(degraded), quantise(camera.develop(np.clip(sharp, 0.0, 1.0)))
