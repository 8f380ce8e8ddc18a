"""Several degradations at once, in the order in which light meets them, with their amounts.

scene (haze, darkness) -> particles in the air (rain, snow) -> optics (blur) -> sensor (noise) ->
file (JPEG). Photos have what belongs together: heavy rain comes with a veil, darkness with noise.

An amount is 0..1 and says how much one stage changed the picture:

    amount = r / (r + HALF),  r the root mean square of (after - before), sRGB values in [0, 1]

so 0 is none, 0.5 is a change of HALF, plainly seen, and nothing measured ever reaches 1.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pellucid.degradations import DEGRADATIONS

from .blur import blur_kernel, smoothed
from .corpus import Corpus
from .haze import veiled
from .light import (
    Image,
    gaussian,
    jpeg,
    shot_read_noise,
    smooth_field,
    to_linear,
    to_srgb,
)
from .rain import add_shower, add_streaks, shower_bank, streak_bank
from .snow import add_flakes, add_snowfall, flake_bank, snowfall_bank

Amounts = NDArray[np.float32]  # (len(DEGRADATIONS),); NaN: unknown

# Root mean square change at which an amount is 0.5.
HALF = {
    "rain": 0.03,
    "snow": 0.04,
    "haze": 0.08,
    "lowlight": 0.12,
    "noise": 0.04,
    "blur": 0.03,
    "jpeg": 0.03,
}
# What comes with what, and how often: {main: {companion: chance}}.
COMPANIONS: dict[str, dict[str, float]] = {
    "rain": {"haze": 0.4, "lowlight": 0.25, "noise": 0.2, "jpeg": 0.35, "blur": 0.05},
    "snow": {"haze": 0.4, "lowlight": 0.2, "noise": 0.15, "jpeg": 0.35},
    "haze": {"noise": 0.25, "jpeg": 0.4, "lowlight": 0.1},
    "lowlight": {"noise": 0.75, "blur": 0.15, "jpeg": 0.35},
    "blur": {"noise": 0.35, "jpeg": 0.4, "lowlight": 0.1},
    "noise": {"jpeg": 0.35},
    "jpeg": {},
}
# How often each is the main thing.
MAIN = {
    "rain": 0.22,
    "snow": 0.14,
    "haze": 0.18,
    "lowlight": 0.14,
    "noise": 0.17,
    "blur": 0.12,
    "jpeg": 0.06,
}
# How often a stage is faint, and how much is left of it then; a blur or a JPEG mixed with what it
# was made from would be neither.
FAINT = 0.35
FAINTNESS = (0.12, 0.7)
PHYSICAL_ORDER = ("haze", "lowlight", "rain", "snow", "blur", "noise", "jpeg")


@dataclass(frozen=True)
class Banks:
    """Layers and kernels drawn once, from which every sample takes windows.

    rain_layers, snow_layers: of real composites and photos, (H, W) in [0, 1].
    """

    streaks: list[Image]
    showers: list[Image]
    flakes: list[Image]
    falls: list[Image]
    kernels: list[Image]
    rain_layers: list[Image] = field(default_factory=list)
    snow_layers: list[Image] = field(default_factory=list)

    @staticmethod
    def draw(corpus: Corpus, seed: int = 0) -> "Banks":
        return replace(_drawn(seed), rain_layers=corpus.rain_layers, snow_layers=corpus.snow_layers)


RAIN_LAYERS, SNOW_LAYERS, BLUR_KERNELS = 96, 64, 400  # of each bank


@cache  # seconds to draw, the same for every stream of a process; nobody writes to them
def _drawn(seed: int) -> Banks:
    rng = np.random.default_rng(seed)
    return Banks(
        streak_bank(rng, RAIN_LAYERS),
        shower_bank(rng, RAIN_LAYERS),
        flake_bank(rng, SNOW_LAYERS),
        snowfall_bank(rng, SNOW_LAYERS),
        [blur_kernel(rng) for _ in range(BLUR_KERNELS)],
    )


def amount(name: str, before: Image, after: Image) -> float:
    """How much of `name` a stage added, by the formula above; both (H, W, 3)."""
    change = np.clip(after, 0.0, 1.0) - np.clip(before, 0.0, 1.0)
    r = float(np.sqrt(np.mean(np.square(change))))
    return r / (r + HALF[name])


def chosen(shares: dict[str, float], rng: Generator) -> str:
    """A name, by shares that need not add up to 1."""
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]


def companions(main: str, rng: Generator) -> set[str]:
    """`main` and what came with it this time."""
    chances = COMPANIONS[main].items()
    return {main, *(name for name, chance in chances if rng.random() < chance)}


def degrade(
    clean: Image,
    wanted: Collection[str],
    rng: Generator,
    banks: Banks,
    depth: Image | None = None,
) -> tuple[Image, Amounts]:
    """`clean` (H, W, 3) with every wanted degradation, and their amounts, in [0, 1].

    depth: (H, W) in metres, for haze; None: imagined. Raises ValueError for an unknown name.
    """
    unknown = sorted(set(wanted) - set(DEGRADATIONS))
    if unknown:
        known = ", ".join(DEGRADATIONS)
        raise ValueError(f"unknown degradation {unknown[0]!r}; known: {known}")
    amounts = np.zeros(len(DEGRADATIONS), np.float32)
    picture = clean
    for name in PHYSICAL_ORDER:
        if name in wanted:
            after = np.clip(_stage(name, picture, rng, banks, depth), 0.0, 1.0)
            if name not in ("blur", "jpeg") and rng.random() < FAINT:
                after = picture + faintness(rng) * (after - picture)
            amounts[DEGRADATIONS.index(name)] = amount(name, picture, after)
            picture = after
    return np.asarray(picture, np.float32), amounts


def faintness(rng: Generator) -> np.float32:
    """What is left of a faint degradation: as often a half as a fifth."""
    low, high = np.log(FAINTNESS)
    return np.float32(np.exp(rng.uniform(low, high)))


def _stage(name: str, picture: Image, rng: Generator, banks: Banks, depth: Image | None) -> Image:
    match name:
        case "haze":
            return veiled(picture, rng, depth)
        case "lowlight":
            return darkened(picture, rng)
        case "rain":
            if rng.random() < 0.6:
                return add_shower(picture, rng, banks.showers)
            return add_streaks(
                picture, rng, banks.streaks, banks.rain_layers, bool(rng.random() < 0.45)
            )
        case "snow":
            if rng.random() < 0.5:
                return add_snowfall(picture, rng, banks.falls)
            return add_flakes(picture, rng, banks.flakes, banks.snow_layers)
        case "blur":
            return smoothed(picture, rng, banks.kernels)
        case "noise":
            return grainy(picture, rng)
        case "jpeg":
            return jpeg(picture, int(rng.integers(8, 70)))
    raise AssertionError(name)


def darkened(clean: Image, rng: Generator) -> Image:
    """A camera's under-exposure of `clean` without noise, (H, W, 3).

    Two kinds: everything 1 to 6 stops down, or a bright sky over dark ground: a steep tone curve.
    """
    balance = np.exp(0.06 * gaussian(rng, (3,)))
    if rng.random() < 0.6:
        stops = float(rng.uniform(1.0, 6.0))
        dark = to_srgb(to_linear(clean) * balance * 2.0**-stops)
        return np.power(dark, float(rng.uniform(0.85, 1.3)), dtype=np.float32)
    stops = float(rng.uniform(1.0, 5.0))
    luma = np.asarray(cv2.GaussianBlur(clean.mean(axis=2), (0, 0), 6.0), np.float32)
    field = smooth_field(rng, clean.shape[0], clean.shape[1], 2)
    kept = 0.5 * field + np.clip(1.6 * luma - 0.4, 0.0, 1.0)
    local = stops * (1.0 - np.clip(kept, 0.0, 1.0))[..., None]
    return to_srgb(to_linear(clean) * balance * np.exp2(-local, dtype=np.float32))


def grainy(picture: Image, rng: Generator) -> Image:
    """Sensor noise on `picture`, (H, W, 3): white, of shot and read noise, or coarse grain."""
    kind = rng.random()
    if kind < 0.3:
        sigma = float(rng.uniform(3.0, 55.0)) / 255.0
        return picture + np.float32(sigma) * gaussian(rng, picture.shape)
    if kind < 0.6:
        shot = float(np.exp(rng.uniform(np.log(2e-4), np.log(2e-2))))
        read = float(np.exp(rng.uniform(np.log(1e-3), np.log(3e-2))))
        return to_srgb(shot_read_noise(to_linear(picture), rng, shot, read))
    grain = gaussian(rng, picture.shape)
    coarse = float(np.exp(rng.uniform(np.log(0.4), np.log(1.8))))
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), coarse), np.float32)
    shared = gaussian(rng, (*picture.shape[:2], 1))
    mixed = grain / max(float(grain.std()), 1e-6) + float(rng.uniform(0.0, 1.5)) * shared
    darker = 1.0 - float(rng.uniform(0.0, 0.8)) * picture.mean(axis=2, keepdims=True)
    sigma = float(rng.uniform(4.0, 35.0)) / 255.0
    return np.asarray(picture + sigma * darker * mixed, np.float32)
