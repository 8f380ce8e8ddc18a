"""Blur: camera shake along random trajectories, straight motion, and defocus."""

import cv2
import numpy as np
from numpy.random import Generator

from .light import Image, gaussian, maybe_jpeg, to_linear, to_srgb
from .rain import streak_kernel


def shake_kernel(rng: Generator, extent: float) -> Image:
    """PSF of a hand-held shot, unit sum, odd square of about `extent` px.

    A trajectory with inertia and small jerks (after Boracchi & Foi, 2012), rasterised bilinearly.
    """
    samples = 96
    jerk = rng.standard_normal((samples, 2)) * float(rng.uniform(0.1, 0.6))
    velocity = np.cumsum(jerk, axis=0) * 0.3 + rng.standard_normal(2) * 2.0
    path = np.cumsum(velocity, axis=0)
    path -= path.mean(axis=0)
    path *= (extent / 2) / max(float(np.abs(path).max()), 1e-6)
    half = int(np.ceil(extent / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    xy = path + half
    base = np.floor(xy).astype(int)
    frac = xy - base
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - frac[:, 0]) * np.abs(1 - dy - frac[:, 1])
            np.add.at(kernel, (base[:, 1] + dy, base[:, 0] + dx), weight)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def defocus_kernel(radius: float) -> Image:
    """Disk PSF with a soft rim, unit sum."""
    half = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    disk = np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0)
    return np.asarray(disk / disk.sum(), dtype=np.float32)


def blur_kernel(rng: Generator) -> Image:
    """A random PSF, unit sum: half shake, a quarter straight motion, a quarter defocus."""
    kind = rng.random()
    if kind < 0.5:
        return shake_kernel(rng, float(rng.uniform(5, 27)))
    if kind < 0.75:
        line = streak_kernel(float(rng.uniform(4, 25)), float(rng.uniform(-90, 90)), 0.5)
        return np.asarray(line / line.sum(), dtype=np.float32)
    return defocus_kernel(float(rng.uniform(0.8, 4.5)))


def add_blur(clean: Image, rng: Generator, kernels: list[Image]) -> Image:
    """Blurred `clean`, (H, W, 3), with a little noise and the camera's JPEG now and then."""
    blurred = smoothed(clean, rng, kernels)
    if rng.random() < 0.5:
        blurred = blurred + gaussian(rng, blurred.shape) * float(rng.uniform(0.0, 0.012))
    return maybe_jpeg(np.clip(blurred, 0.0, 1.0), rng, chance=0.3, low=75)


def smoothed(clean: Image, rng: Generator, kernels: list[Image]) -> Image:
    """`clean` through one of the kernels, mostly in linear light: light adds up before the tone
    curve."""
    kernel = kernels[int(rng.integers(len(kernels)))]
    if rng.random() < 0.5:
        kernel = np.ascontiguousarray(np.rot90(kernel, int(rng.integers(4))))
    if rng.random() < 0.6:
        light = cv2.filter2D(to_linear(clean), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        return to_srgb(np.asarray(light, dtype=np.float32))
    coded = cv2.filter2D(clean, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(coded, dtype=np.float32)
