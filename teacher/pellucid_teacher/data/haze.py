"""Haze: Koschmieder's law over a depth map, I = J·t + A·(1 - t), t = exp(-β·d)."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .light import Image, maybe_jpeg, smooth_field

RESIDE = (0.6, 1.8)  # β of the training set that others use (Li et al., TIP 2019, §III)


def fill_depth(depth_mm: NDArray[np.uint16]) -> Image:
    """Depth in metres with the sensor's holes filled from around them, (H, W).

    Holes are 0 or 65535 in structured-light depth.
    """
    depth = depth_mm.astype(np.float32) / 1000.0
    hole = ((depth_mm == 0) | (depth_mm == 65535)).astype(np.uint8)
    top = float(depth[hole == 0].max()) if (hole == 0).any() else 1.0
    codes = np.clip(depth / top * 255.0, 0, 255).astype(np.uint8)
    filled = cv2.inpaint(codes, hole, 3, cv2.INPAINT_TELEA)
    return np.where(hole == 1, np.asarray(filled, np.float32) / 255.0 * top, depth)


def imagined_depth(clean: Image, rng: Generator) -> Image:
    """Plausible depth in [0, 1] for a photo without one, (H, W).

    A ground plane rising to the far end, some smooth relief, and steps along the photo's own edges
    (a guided average of its luminance), so that haze changes where objects do.
    """
    height, width = clean.shape[:2]
    rows = np.linspace(1.0, 0.0, height, dtype=np.float32)[:, None]
    cols = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    plane = rows * float(rng.uniform(-0.2, 1.0)) + cols * float(rng.uniform(-0.6, 0.6))
    relief = smooth_field(rng, height, width, int(rng.integers(1, 5)))
    luma = clean.mean(axis=2)
    radius = max(height, width) // int(rng.integers(12, 40)) | 1
    objects = cv2.medianBlur((luma * 255).astype(np.uint8), min(radius, 31))
    sign = 1.0 if rng.random() < 0.7 else -1.0  # skies are bright and far, lamps bright and near
    depth = (
        plane
        + relief * float(rng.uniform(0.0, 0.8))
        + sign * objects.astype(np.float32) / 255.0 * float(rng.uniform(0.0, 0.8))
    )
    depth -= depth.min()
    return np.asarray(depth / max(float(depth.max()), 1e-6), dtype=np.float32)


def add_haze(clean: Image, rng: Generator, depth: Image | None = None) -> Image:
    """Hazy version of `clean`, (H, W, 3); `depth` (H, W) in metres, or None to imagine one."""
    return maybe_jpeg(veiled(clean, rng, depth), rng, chance=0.2, low=75)


def veiled(clean: Image, rng: Generator, depth: Image | None = None) -> Image:
    """`add_haze` without the camera's JPEG."""
    if depth is None:
        distance = imagined_depth(clean, rng) + float(rng.uniform(0.0, 0.35))
        # Outdoors most haze is thin: only the distance pales.
        kind = rng.random()
        if kind < 0.35:
            beta = float(rng.uniform(0.15, 0.9))
        else:
            beta = float(rng.uniform(*RESIDE) if kind < 0.7 else rng.uniform(0.8, 3.2))
    elif rng.random() < 0.5:  # benchmarks' rooms: the farthest wall is at 1
        distance = depth / max(float(depth.max()), 1e-6)
        beta = float(rng.uniform(*RESIDE))
    else:
        # What is nearest may be clear while the far wall is gone: indoor benchmarks look so.
        distance = depth - float(rng.uniform(0.0, 0.9)) * float(depth.min())
        beta = float(rng.uniform(0.6, 1.8)) * float(rng.uniform(0.4, 1.2))
    # Grey by day; dimmer and of a colour at dusk, or where sand or smoke are in the air.
    low, tint = (0.45, 0.1) if rng.random() < 0.2 else (0.6, 0.03)
    airlight = float(rng.uniform(low, 1.0)) + tint * rng.standard_normal(3).astype(np.float32)
    t = np.exp(-beta * distance)[..., None]
    hazy = clean * t + np.clip(airlight, 0.0, 1.0) * (1.0 - t)
    return np.asarray(hazy, dtype=np.float32)
