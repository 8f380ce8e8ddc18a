"""Degradation of faces as blind face restoration trains on it (GFPGAN, Wang et al., CVPR 2021,
arXiv 2101.04061, §4.1): blur, reduction, noise and JPEG, back at the size it had.

    degraded = [ JPEG_q( (clean * k_σ) reduced by r + n_δ ) ] enlarged by r
"""

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np
from numpy.random import Generator

from .blind import gaussian_kernel
from .light import Image, gaussian, jpeg, quantise


@dataclass(frozen=True)
class FaceRecipe:
    """Ranges. kernel: side, px. sigma: blur, px at 512x512. reduce: r. noise: δ in 8-bit levels.
    quality: of JPEG. isotropic, gray: chances."""

    kernel: int = 41
    sigma: tuple[float, float] = (0.1, 15.0)
    reduce: tuple[float, float] = (0.8, 32.0)
    noise: tuple[float, float] = (0.0, 20.0)
    quality: tuple[int, int] = (30, 100)
    isotropic: float = 0.5
    gray: float = 0.01


TRAINING = FaceRecipe()
TESTING = FaceRecipe(41, (4.0, 16.0), (1.0, 32.0), (1.0, 20.0), (30, 70), isotropic=0.0, gray=0.0)
SIZE = 512  # px: the side that blur and reduction are meant for


def degrade(clean: Image, rng: Generator, recipe: FaceRecipe = TRAINING) -> tuple[Image, Image]:
    """(degraded, clean) of a face, (H, W, 3) in [0, 1], same sizes. clean comes back gray where the
    degraded face is. Blur is scaled to the height, so that smaller crops look alike."""
    if rng.random() < recipe.gray:
        clean = np.repeat(clean @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    height, width = clean.shape[:2]
    small = height / SIZE
    side = max(3, 2 * round(recipe.kernel * small / 2) + 1)
    first, second = (float(s) for s in rng.uniform(*recipe.sigma, size=2) * small)
    if rng.random() < recipe.isotropic:
        second = first
    kernel = gaussian_kernel(side, (first, second), float(rng.uniform(0.0, pi)))
    image = cv2.filter2D(clean, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    r = float(rng.uniform(*recipe.reduce))
    size = (max(2, round(width / r)), max(2, round(height / r)))
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    noisy = image + float(rng.uniform(*recipe.noise)) / 255.0 * gaussian(rng, image.shape)
    image = jpeg(
        np.asarray(noisy, dtype=np.float32),
        int(rng.integers(recipe.quality[0], recipe.quality[1] + 1)),
    )
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return quantise(np.asarray(image, dtype=np.float32)), clean
