"""Snow: flakes at several distances over a light veil, composed like Snow100K (Liu et al., 2018).

I = J·(1 - z) + c·z ,  z the flakes' coverage in [0, 1], c their colour, close to white.
"""

import cv2
import numpy as np
from numpy.random import Generator

from .light import Image, smooth_field
from .rain import LAYER_SIZE, smear, streak_kernel, window


def draw_flakes(rng: Generator, radius: float, density: float, fall: float, angle: float) -> Image:
    """One layer of flakes of about `radius` px smeared over `fall` px, square of LAYER_SIZE."""
    canvas = np.zeros((LAYER_SIZE, LAYER_SIZE), np.uint8)  # 8 bits: OpenCV smooths edges only there
    count = max(1, int(density * LAYER_SIZE * LAYER_SIZE / (radius * radius)))
    centres = rng.uniform(0, LAYER_SIZE, (count, 2))
    sizes = radius * np.exp(0.35 * rng.standard_normal((count, 2)))
    for (x, y), (a, b) in zip(centres, sizes, strict=True):
        level = float(rng.uniform(100, 255))
        # Sixteenths of a pixel (shift 4), so that small flakes are not all one size.
        cv2.ellipse(
            canvas,
            (int(x * 16), int(y * 16)),
            (max(8, int(a * 16)), max(8, int(b * 16))),
            float(rng.uniform(0, 180)),
            0,
            360,
            level,
            -1,
            cv2.LINE_AA,
            4,
        )
    softness = max(0.4, radius * float(rng.uniform(0.15, 0.6)))
    soft = cv2.GaussianBlur(canvas, (0, 0), softness)
    layer = np.asarray(soft, dtype=np.float32) / 255.0
    if fall > 2:
        kernel = streak_kernel(fall, angle, 0.6)
        layer = smear(layer, kernel / kernel.sum())
    return np.clip(np.asarray(layer, dtype=np.float32), 0.0, 1.0)


def flake_bank(rng: Generator, count: int) -> list[Image]:
    bank = []
    for _ in range(count):
        radius = float(np.exp(rng.uniform(np.log(0.6), np.log(6.0))))
        density = float(rng.uniform(0.002, 0.03))
        fall = float(rng.uniform(0, 5 * radius + 3))
        bank.append(draw_flakes(rng, radius, density, fall, float(rng.uniform(-45, 45))))
    return bank


def snowfall_bank(rng: Generator, count: int) -> list[Image]:
    """`count` layers of falling snow as photos show it, float32 (LAYER_SIZE, LAYER_SIZE).

    In turn: near flakes, large and out of focus; flakes in focus; far ones, many and small; flakes
    that wind and exposure draw out into streaks.
    """
    kinds = (  # radius from, to; density from, to; fall from, to; out of focus by so many radii
        (3.0, 11.0, 0.0015, 0.006, 0.0, 10.0, 0.5),
        (1.2, 3.5, 0.003, 0.02, 0.0, 5.0, 0.2),
        (0.5, 1.2, 0.01, 0.05, 0.0, 3.0, 0.0),
        (0.8, 2.5, 0.004, 0.02, 6.0, 26.0, 0.1),
    )
    bank = []
    for index in range(count):
        near, far, few, many, short, long, focus = kinds[index % len(kinds)]
        radius = float(np.exp(rng.uniform(np.log(near), np.log(far))))
        fall, angle = float(rng.uniform(short, long)), 30.0 * float(rng.standard_normal())
        layer = draw_flakes(rng, radius, float(rng.uniform(few, many)), fall, angle)
        if fall > 5:  # a line spreads a flake's light thin
            layer = layer / max(float(np.quantile(layer, 0.999)), 1e-3)
        if focus:
            layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), focus * radius), np.float32)
        bank.append(np.clip(np.asarray(layer, np.float32), 0.0, 1.0))
    return bank


def add_snowfall(clean: Image, rng: Generator, falls: list[Image]) -> Image:
    """`clean` (H, W, 3) behind snow as photos show it: J (1 - a) + a E, E the light of the sky."""
    height, width = clean.shape[:2]
    cover = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        chosen = falls[int(rng.integers(len(falls)))]
        cover += window(chosen, rng, height, width) * float(rng.uniform(0.2, 0.9))
    if rng.random() < 0.4:  # lamps light a part of it
        cover *= 0.3 + smooth_field(rng, height, width, 2)
    bright = float(np.quantile(clean.mean(axis=2), 0.95))
    light = min(1.0, max(0.45, bright * float(rng.uniform(0.85, 1.2))))
    colour = light * (1.0 + 0.02 * rng.standard_normal(3).astype(np.float32))
    a = np.clip(cover, 0.0, 0.95)[..., None]
    return np.asarray(clean * (1.0 - a) + colour * a, dtype=np.float32)


def add_snow(clean: Image, rng: Generator, drawn: list[Image], real: list[Image]) -> Image:
    """Snowy version of `clean`, (H, W, 3); `real`: masks of photographed snow, (H, W) in [0, 1]."""
    snowy = add_flakes(clean, rng, drawn, real)
    if rng.random() < 0.35:
        veil = (
            float(rng.uniform(0.05, 0.3))
            * smooth_field(rng, clean.shape[0], clean.shape[1], 2)[..., None]
        )
        snowy = snowy * (1.0 - veil) + 0.85 * veil
    return np.asarray(np.clip(snowy, 0.0, 1.0), dtype=np.float32)


def add_flakes(clean: Image, rng: Generator, drawn: list[Image], real: list[Image]) -> Image:
    """`clean` (H, W, 3) behind falling flakes, without the veil."""
    height, width = clean.shape[:2]
    cover = np.zeros((height, width), np.float32)
    if real and rng.random() < 0.4:
        chosen = real[int(rng.integers(len(real)))]
        cover += window(chosen, rng, height, width) * float(rng.uniform(0.6, 1.2))
    for _ in range(int(rng.integers(1, 4))):
        chosen = drawn[int(rng.integers(len(drawn)))]
        cover += window(chosen, rng, height, width) * float(rng.uniform(0.4, 1.0))
    z = np.clip(cover, 0.0, 1.0)[..., None] * float(rng.uniform(0.7, 1.0))
    colour = float(rng.uniform(0.8, 1.0)) + 0.02 * rng.standard_normal(3).astype(np.float32)
    return np.asarray(clean * (1.0 - z) + np.clip(colour, 0.0, 1.0) * z, dtype=np.float32)
