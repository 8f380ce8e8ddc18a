"""Noise: Gaussian as the benchmarks define it, sensor noise in linear light, coarse grain, JPEG."""

import cv2
import numpy as np
from numpy.random import Generator

from .light import (
    Image,
    gaussian,
    jpeg,
    maybe_jpeg,
    quantise,
    shot_read_noise,
    to_linear,
    to_srgb,
)


def add_noise(clean: Image, rng: Generator) -> Image:
    """Noisy version of `clean`, (H, W, 3); Gaussian noise is left unclipped half of the time,
    because benchmarks add it so and files cannot hold it so."""
    kind = rng.random()
    if kind < 0.6:
        sigma = float(rng.uniform(2.0, 55.0)) / 255.0
        noisy = clean + sigma * gaussian(rng, clean.shape)
        return noisy if rng.random() < 0.6 else quantise(noisy)
    if kind < 0.8:
        shot = float(np.exp(rng.uniform(np.log(1e-4), np.log(2e-2))))
        read = float(np.exp(rng.uniform(np.log(5e-4), np.log(3e-2))))
        noisy = to_srgb(shot_read_noise(to_linear(clean), rng, shot, read))
        return maybe_jpeg(quantise(noisy), rng, chance=0.4)
    if kind < 0.9:  # demosaicked grain is coarser than a pixel and shared between channels
        grain = gaussian(rng, clean.shape)
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.4, 0.9))))
        shared = gaussian(rng, (*clean.shape[:2], 1))
        sigma = float(rng.uniform(3.0, 30.0)) / 255.0
        mixed = grain / max(float(grain.std()), 1e-6) + float(rng.uniform(0.0, 1.0)) * shared
        return maybe_jpeg(quantise(clean + sigma * mixed.astype(np.float32)), rng, chance=0.4)
    return jpeg(clean, int(rng.integers(15, 80)))
