"""Rain: additive streak layers, drawn once into a bank and recombined for every sample.

Streaks are point-like drops smeared by their motion over the exposure (Garg & Nayar, 2007): sparse
noise convolved with a thin oriented line. One home-made style makes a student that sees only that
style, so the bank mixes lengths, widths, densities and softness with streak layers taken from real
composites (input - target of rain pairs).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from .haze import imagined_depth
from .light import Image, gaussian, smooth_field

LAYER_SIZE = 384


def streak_kernel(length: float, angle: float, width: float) -> Image:
    """Anti-aliased line of `length` px at `angle` degrees from vertical, unit peak, odd square."""
    half = int(np.ceil(length / 2 + 2 * width)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    theta = np.deg2rad(angle)
    along = x * np.sin(theta) + y * np.cos(theta)
    across = x * np.cos(theta) - y * np.sin(theta)
    body = np.clip(length / 2 + 0.5 - np.abs(along), 0.0, 1.0)
    return np.asarray(body * np.exp(-0.5 * (across / width) ** 2), dtype=np.float32)


def smear(layer: Image, kernel: Image) -> Image:
    """Convolve a layer with a kernel, wrapping around: layers tile without a seam."""
    pad = kernel.shape[0] // 2
    wrapped = np.pad(layer, pad, mode="wrap")
    return np.asarray(cv2.filter2D(wrapped, -1, kernel)[pad:-pad, pad:-pad], dtype=np.float32)


def draw_streaks(
    rng: Generator, density: float, length: float, angle: float, width: float, spread: float
) -> Image:
    """One streak layer in [0, 1], (LAYER_SIZE, LAYER_SIZE).

    density: drops a pixel. spread: standard deviation of the angle in degrees between the three
    groups that the drops are split into, since wind is never exactly one direction.
    """
    layer = np.zeros((LAYER_SIZE, LAYER_SIZE), np.float32)
    for _ in range(3):
        hit = rng.random(layer.shape, dtype=np.float32) < density / 3
        drops = np.where(hit, rng.uniform(0.3, 1.0, layer.shape), 0.0).astype(np.float32)
        own_length = length * float(rng.uniform(0.7, 1.3))
        kernel = streak_kernel(own_length, angle + spread * float(rng.standard_normal()), width)
        layer += smear(drops, kernel)
    return np.clip(layer, 0.0, 1.0)


def draw_grainy_streaks(rng: Generator, length: float, angle: float, keep: float) -> Image:
    """The photo editor's rain: thresholded grain, motion-blurred and stretched back to [0, 1]."""
    grain = gaussian(rng, (LAYER_SIZE, LAYER_SIZE))
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.5, 1.2))), np.float32)
    grain = np.maximum(grain - float(np.quantile(grain, 1.0 - keep)), 0.0)
    kernel = streak_kernel(length, angle, 0.6)
    layer = smear(grain, kernel / kernel.sum())
    brightest = max(float(np.quantile(layer, 0.995)), 1e-6)
    return np.asarray(np.clip(layer / brightest, 0.0, 1.0), dtype=np.float32)


def streak_bank(rng: Generator, count: int) -> list[Image]:
    """`count` layers of mixed style, float32 in [0, 1]."""
    bank = []
    for index in range(count):
        angle = float(rng.uniform(-45, 45)) if index % 3 else float(rng.uniform(-15, 15))
        if index % 4 == 3:
            bank.append(
                draw_grainy_streaks(rng, rng.uniform(12, 60), angle, rng.uniform(0.01, 0.12))
            )
            continue
        length = float(np.exp(rng.uniform(np.log(8), np.log(70))))
        bank.append(
            draw_streaks(
                rng,
                density=float(np.exp(rng.uniform(np.log(0.02), np.log(0.9)))) / length,
                length=length,
                angle=angle,
                width=float(rng.uniform(0.4, 1.6)),
                spread=float(rng.uniform(0, 4)),
            )
        )
    return bank


def real_layers(pairs: Sequence[tuple[Image, Image]]) -> list[Image]:
    """Streak layers of real composites, (H, W): input - target where positive, channel mean.

    Where the target is bright the composite was clipped, so part of the streak is lost there: one
    more reason to mix these with drawn layers.
    """
    return [np.clip((rainy - clean).mean(axis=2), 0.0, 1.0) for rainy, clean in pairs]


def window(layer: Image, rng: Generator, height: int, width: int) -> Image:
    """Random mirrored, rescaled window of a layer, (height, width)."""
    scale = float(rng.uniform(0.7, 1.5))
    need_h, need_w = int(np.ceil(height / scale)), int(np.ceil(width / scale))
    rows, cols = layer.shape
    if rows < need_h or cols < need_w:  # wrap small layers: streaks tile without a visible seam
        layer = np.tile(layer, (-(-need_h // rows), -(-need_w // cols)))
        rows, cols = layer.shape
    top = int(rng.integers(0, rows - need_h + 1))
    left = int(rng.integers(0, cols - need_w + 1))
    window = layer[top : top + need_h, left : left + need_w]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    resized = cv2.resize(
        np.ascontiguousarray(window), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(resized, dtype=np.float32)


def add_rain(clean: Image, rng: Generator, drawn: list[Image], real: list[Image]) -> Image:
    """Rainy version of `clean`, (H, W, 3): streaks, a heavy shower's under a veil that thickens
    with depth (Li et al., CVPR 2019)."""
    heavy = rng.random() < 0.45
    rainy = add_streaks(clean, rng, drawn, real, heavy)
    if heavy and rng.random() < 0.4:  # far drops are no streaks but mist, grey as the sky
        t = np.exp(-float(rng.uniform(0.1, 1.5)) * imagined_depth(clean, rng))[..., None]
        rainy = rainy * t + float(rng.uniform(0.35, 0.95)) * (1.0 - t)
    return np.asarray(np.clip(rainy, 0.0, 1.0), dtype=np.float32)


def add_streaks(
    clean: Image, rng: Generator, drawn: list[Image], real: list[Image], heavy: bool
) -> Image:
    """`clean` (H, W, 3) behind streaks as composites have them, unclipped.

    A light shower is one drawn layer; a heavy one sums several layers, real ones among them.
    Streaks add light: J + S, clipped by the sensor.
    """
    height, width = clean.shape[:2]
    rain = np.zeros((height, width), np.float32)
    if heavy:
        if real and rng.random() < 0.6:
            chosen = real[int(rng.integers(len(real)))]
            rain += window(chosen, rng, height, width) * float(rng.uniform(0.8, 1.3))
        for _ in range(int(rng.integers(1, 4))):
            chosen = drawn[int(rng.integers(len(drawn)))]
            rain += window(chosen, rng, height, width) * float(rng.uniform(0.2, 0.65))
    else:
        # From hardly seen to glaring: bright streaks are what people want gone, however few.
        strength = float(np.exp(rng.uniform(np.log(0.15), np.log(1.5))))
        chosen = drawn[int(rng.integers(len(drawn)))]
        rain += window(chosen, rng, height, width) * strength
    if rng.random() < 0.3:  # showers are patchy
        rain *= 0.4 + 0.9 * smooth_field(rng, height, width, 3)
    tint = 1.0 + 0.04 * gaussian(rng, (3,))
    streaks = np.clip(rain, 0.0, 1.0)[..., None] * tint
    through = clean
    if rng.random() < 0.3:  # a moving drop also hides what is behind it: alpha composite
        through = np.asarray(clean * (1.0 - streaks), dtype=np.float32)
        streaks = streaks * float(rng.uniform(0.75, 1.0))
    return np.asarray(through + streaks, dtype=np.float32)


def shower_bank(rng: Generator, count: int) -> list[Image]:
    """`count` layers of rain as photos show it, float32 (LAYER_SIZE, LAYER_SIZE) in [0, 1].

    In turn: near drops, long, wide and out of focus; fine streaks; short drops as a lamp or a flash
    shows them; a sheet, where single drops are not told apart.
    """
    kinds = (  # length from, to; width from, to; drops: share of a dense layer
        (25, 110, 1.2, 3.5, 0.35),
        (10, 55, 0.5, 1.2, 1.2),
        (3, 14, 0.6, 1.8, 0.25),
    )
    bank = []
    for index in range(count):
        angle = 14.0 * float(rng.standard_normal())
        if index % 4 == 3:
            grain = gaussian(rng, (LAYER_SIZE, LAYER_SIZE))
            kernel = streak_kernel(rng.uniform(20, 80), angle, rng.uniform(0.6, 2.0))
            sheet = smear(grain, kernel)
            sheet /= max(float(sheet.std()), 1e-6)
            bank.append(np.clip(rng.uniform(0.0, 0.4) + 0.25 * sheet, 0.0, 1.0))
            continue
        shortest, longest, thin, thick, drops = kinds[index % 4]
        length = float(rng.uniform(shortest, longest))
        layer = draw_streaks(
            rng,
            density=drops * float(np.exp(rng.uniform(np.log(0.08), 0.0))) / length,
            length=length,
            angle=angle,
            width=float(rng.uniform(thin, thick)),
            spread=float(rng.uniform(0, 3)),
        )
        focus = float(rng.uniform(0.3, 1.3))
        bank.append(np.asarray(cv2.GaussianBlur(layer, (0, 0), focus), np.float32))
    return bank


def add_shower(clean: Image, rng: Generator, showers: list[Image]) -> Image:
    """`clean` (H, W, 3) behind rain as photos show it, unclipped.

    A drop hides what is behind it and shows the light around it (Garg & Nayar, 2007):
    J (1 - a) + a E. So it shines before dark things and is hardly seen before the sky.
    """
    height, width = clean.shape[:2]
    cover = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        chosen = showers[int(rng.integers(len(showers)))]
        cover += window(chosen, rng, height, width) * float(rng.uniform(0.12, 0.6))
    if rng.random() < 0.5:  # gusts
        cover *= 0.3 + smooth_field(rng, height, width, 3)
    bright = float(np.quantile(clean.mean(axis=2), 0.9))
    light = min(1.0, max(0.3, bright * float(rng.uniform(0.8, 1.3))))
    colour = light * (1.0 + 0.03 * gaussian(rng, (3,)))
    a = np.clip(cover, 0.0, 0.9)[..., None]
    return np.asarray(clean * (1.0 - a) + colour * a, dtype=np.float32)
