"""Low light: an under-exposed photo of the same scene, from linear light to the camera's file."""

import numpy as np
from numpy.random import Generator

from .light import Image, maybe_jpeg, quantise, shot_read_noise, to_linear, to_srgb


def add_lowlight(clean: Image, rng: Generator) -> Image:
    """Darkened version of `clean`, (H, W, 3).

    Exposure falls by 1 to 6 stops in linear light, white balance drifts, the sensor adds shot and
    read noise, the camera applies a tone curve of its own, and the file has 8 bits.
    """
    stops = float(rng.uniform(1.0, 6.0))
    balance = np.exp(0.08 * rng.standard_normal(3)).astype(np.float32)
    linear = to_linear(clean) * balance * 2.0**-stops
    shot = float(np.exp(rng.uniform(np.log(2e-5), np.log(1.2e-3))))
    read = float(np.exp(rng.uniform(np.log(2e-4), np.log(4e-3))))
    if rng.random() < 0.85:
        linear = shot_read_noise(linear, rng, shot, read)
    dark = to_srgb(linear)
    dark = np.power(dark, float(rng.uniform(0.85, 1.3)), dtype=np.float32)
    return maybe_jpeg(quantise(dark), rng, chance=0.3, low=75)
