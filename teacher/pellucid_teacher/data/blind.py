"""Degradation of unknown real photos: blur, resize, noise and JPEG, once or twice in a row.

The two-order model of Real-ESRGAN (Wang et al., ICCVW 2021, arXiv 2107.10833, §3) with the
probabilities of ResShift's recipe for real photos.
"""

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np
from numpy.random import Generator

from .light import Image, gaussian, jpeg, quantise

RESAMPLE = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
KINDS = ("iso", "aniso", "generalised iso", "generalised aniso", "plateau iso", "plateau aniso")
KIND_SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)


@dataclass(frozen=True)
class Order:
    """One round. kernel: side, px. sigma: of the blur, px. blurs: chance of a blur. resize: chances
    to enlarge, reduce, keep. sizes: range of the factor. noise: range of sigma, 8-bit levels.
    poisson: range of the Poisson scale. quality: range of JPEG."""

    kernel: int = 21
    sigma: tuple[float, float] = (0.2, 3.0)
    blurs: float = 1.0
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)
    sizes: tuple[float, float] = (0.15, 1.5)
    noise: tuple[float, float] = (1.0, 30.0)
    poisson: tuple[float, float] = (0.05, 3.0)
    quality: tuple[int, int] = (30, 95)


@dataclass(frozen=True)
class BlindRecipe:
    """first, second: the rounds; `second_share`: chance of the second. sinc: chance that a blur is
    a sinc filter (ringing); last_sinc: chance of one at the end. gray: chance that noise is equal
    in all channels."""

    first: Order = Order()
    second: Order = Order(
        15, (0.2, 1.5), 0.8, (0.3, 0.4, 0.3), (0.3, 1.2), (1.0, 25.0), (0.05, 2.5), (30, 95)
    )
    second_share: float = 0.5
    sinc: float = 0.1
    last_sinc: float = 0.8
    gray: float = 0.4


REAL = BlindRecipe()


def gaussian_kernel(
    side: int, sigmas: tuple[float, float], angle: float, power: float = 1.0, plateau: bool = False
) -> Image:
    """Unit sum, (side, side). exp(-q^power / 2) or, as a plateau, 1 / (1 + q^power); q is the
    squared distance in units of the two sigmas (px), turned by `angle` (radians)."""
    half = side // 2
    y, x = np.mgrid[-half : side - half, -half : side - half].astype(np.float64)
    along = np.cos(angle) * x + np.sin(angle) * y
    across = -np.sin(angle) * x + np.cos(angle) * y
    q = (along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2
    kernel = 1.0 / (1.0 + q**power) if plateau else np.exp(-0.5 * q**power)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def sinc_kernel(side: int, cutoff: float) -> Image:
    """The circular low-pass of `cutoff` radians a pixel, ω·J1(ω·r) / (2π·r), unit sum."""
    half = side // 2
    y, x = np.mgrid[-half : side - half, -half : side - half].astype(np.float64)
    r = np.hypot(x, y)
    # J1(z) = (1/π)·∫ cos(θ - z·sin θ) dθ over [0, π], by the midpoint rule.
    theta = (np.arange(64) + 0.5) * pi / 64
    z = cutoff * r
    bessel = np.cos(theta - z[..., None] * np.sin(theta)).mean(axis=-1)
    kernel = np.where(r > 0, cutoff * bessel / (2 * pi * np.maximum(r, 1e-9)), cutoff**2 / (4 * pi))
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def random_kernel(rng: Generator, order: Order, sinc: float) -> Image:
    """A blur of one round, unit sum."""
    if rng.random() < sinc:
        lowest = pi / 3 if order.kernel < 13 else pi / 5
        return sinc_kernel(order.kernel, float(rng.uniform(lowest, pi)))
    kind = KINDS[int(rng.choice(len(KINDS), p=KIND_SHARES))]
    first, second = (float(s) for s in rng.uniform(*order.sigma, size=2))
    angle = float(rng.uniform(0.0, pi))
    sigmas = (first, second) if "aniso" in kind else (first, first)
    if kind.startswith("generalised"):
        return gaussian_kernel(order.kernel, sigmas, angle, float(rng.uniform(0.5, 4.0)))
    if kind.startswith("plateau"):
        return gaussian_kernel(order.kernel, sigmas, angle, float(rng.uniform(1.0, 2.0)), True)
    return gaussian_kernel(order.kernel, sigmas, angle)


def degrade(clean: Image, rng: Generator, scale: int = 4, recipe: BlindRecipe = REAL) -> Image:
    """`clean` (H, W, 3) in [0, 1] -> (H/scale, W/scale, 3), multiples of 1/255.

    Raises ValueError unless both sides are multiples of `scale`.
    """
    height, width = clean.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"sides must be multiples of {scale}, got {width}x{height}")
    image = _round(clean, (height, width), rng, recipe.first, recipe, blurs=True)
    if rng.random() < recipe.second_share:
        blurs = bool(rng.random() < recipe.second.blurs)
        image = _round(image, (height, width), rng, recipe.second, recipe, blurs)
    image = _resized(image, (height // scale, width // scale), rng)
    if rng.random() < recipe.last_sinc:
        image = _filtered(image, sinc_kernel(21, float(rng.uniform(pi / 3, pi))))
    return quantise(jpeg(image, int(rng.integers(30, 96))))


def _round(
    image: Image,
    size: tuple[int, int],
    rng: Generator,
    order: Order,
    recipe: BlindRecipe,
    blurs: bool,
) -> Image:
    """Blur, resize by a random factor of the original `size`, noise, JPEG."""
    if blurs:
        image = _filtered(image, random_kernel(rng, order, recipe.sinc))
    kind = int(rng.choice(3, p=order.resize))
    factor = (float(rng.uniform(1.0, order.sizes[1])), float(rng.uniform(order.sizes[0], 1.0)), 1.0)
    target = tuple(max(8, round(factor[kind] * side)) for side in size)
    image = _resized(image, (target[0], target[1]), rng)
    gray = bool(rng.random() < recipe.gray)
    if rng.random() < 0.5:
        sigma = float(rng.uniform(*order.noise)) / 255.0
        shape = (*image.shape[:2], 1) if gray else image.shape
        image = image + sigma * gaussian(rng, shape)
    else:
        image = image + poisson_noise(image, rng, float(rng.uniform(*order.poisson)), gray)
    return jpeg(np.clip(image, 0.0, 1.0), int(rng.integers(order.quality[0], order.quality[1] + 1)))


def poisson_noise(image: Image, rng: Generator, scale: float, gray: bool) -> Image:
    """`scale` times the Poisson noise of 255 photons at white, (H, W, 3) or (H, W, 1)."""
    light = image.mean(axis=2, keepdims=True) if gray else image
    photons = 255.0 * np.clip(light, 0.0, 1.0)
    return np.asarray(scale * (rng.poisson(photons) - photons) / 255.0, dtype=np.float32)


def _filtered(image: Image, kernel: Image) -> Image:
    out = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(out, dtype=np.float32)


def _resized(image: Image, size: tuple[int, int], rng: Generator) -> Image:
    """`image` at (height, width) by a random filter, clipped to [0, 1]."""
    how = RESAMPLE[int(rng.integers(len(RESAMPLE)))]
    out = cv2.resize(image, (size[1], size[0]), interpolation=how)
    return np.clip(np.asarray(out, dtype=np.float32), 0.0, 1.0)
