"""sRGB coding, camera noise and JPEG: what a degraded scene passes through to become a file."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.float32]

GAMMA = 2.2


def to_linear(image: Image) -> Image:
    """Scene-linear light, (H, W, 3): the power law is close enough to sRGB for synthesis."""
    return np.power(np.clip(image, 0.0, 1.0), GAMMA, dtype=np.float32)


def to_srgb(linear: Image) -> Image:
    return np.power(np.clip(linear, 0.0, 1.0), 1.0 / GAMMA, dtype=np.float32)


def gaussian(rng: Generator, shape: tuple[int, ...]) -> Image:
    return rng.standard_normal(shape, dtype=np.float32)


def shot_read_noise(linear: Image, rng: Generator, shot: float, read: float) -> Image:
    """Heteroscedastic sensor noise in linear light: variance shot·x + read² (Foi, 2008)."""
    sigma = np.sqrt(shot * np.maximum(linear, 0.0) + read * read)
    return np.asarray(linear + sigma * gaussian(rng, linear.shape), dtype=np.float32)


def quantise(image: Image) -> Image:
    """Round to 8 bits, as every photo that reaches a user has been."""
    return np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.float32) / 255.0


def jpeg(image: Image, quality: int) -> Image:
    """Through a real JPEG encoder at `quality` 1..100, 4:2:0 chroma."""
    codes = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    bgr = np.ascontiguousarray(codes[..., ::-1])  # so that chroma gets its own weights
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a {codes.shape} array as JPEG")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return decoded[..., ::-1].astype(np.float32) / 255.0


def maybe_jpeg(image: Image, rng: Generator, chance: float, low: int = 60) -> Image:
    if rng.random() < chance:
        return jpeg(image, int(rng.integers(low, 97)))
    return image


def smooth_field(rng: Generator, height: int, width: int, cells: int) -> Image:
    """Smooth random field in [0, 1], (H, W): bicubic from a grid of about cells x cells."""
    grid = rng.random((cells + 3, cells + 3), dtype=np.float32)
    field = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.asarray(field, dtype=np.float32), 0.0, 1.0)
