"""Make the bundled samples: python apps/make_samples.py FOLDER_OF_CC0_PHOTOS

Six photos nobody trains on, one a task, degraded by the training synthesis with fixed seeds.
"""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid import Photo, read_photo
from pellucid_teacher.data import blur, haze, lowlight, noise, rain, snow
from pellucid_teacher.data.light import Image, quantise

SAMPLES = Path(__file__).parent / "pellucid_apps" / "samples"
SIZE = (480, 320)  # width, height
# task -> (photo, seed): scenes in which the degradation is believable
CHOSEN = {
    "rain": ("0011.jpg", 8),
    "lowlight": ("0017.jpg", 17),
    "haze": ("0008.jpg", 11),
    "snow": ("0009.jpg", 8),
    "blur": ("0013.jpg", 2),
    "noise": ("0004.jpg", 16),
}


def degrade(task: str, clean: Image, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    match task:
        case "rain":
            return rain.add_rain(clean, rng, rain.streak_bank(rng, 24), [])
        case "lowlight":
            return lowlight.add_lowlight(clean, rng)
        case "haze":
            return haze.add_haze(clean, rng)
        case "snow":
            return snow.add_snow(clean, rng, snow.flake_bank(rng, 24), [])
        case "blur":
            return blur.add_blur(clean, rng, [blur.shake_kernel(rng, 9.0)])
        case _:
            return noise.add_noise(clean, rng)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    for folder in ("clean", "degraded"):
        (SAMPLES / folder).mkdir(parents=True, exist_ok=True)
    for task, (name, seed) in CHOSEN.items():
        pixels = read_photo(Path(sys.argv[1]) / name).pixels
        small = _fit(pixels)
        Photo(small, {}).save(SAMPLES / "clean" / f"{task}.jpg", 92)
        clean = read_photo(SAMPLES / "clean" / f"{task}.jpg").pixels.astype(np.float32) / 255.0
        codes = np.rint(quantise(degrade(task, clean, seed)) * 255.0).astype(np.uint8)
        Photo(codes, {}).save(SAMPLES / "degraded" / f"{task}.png")
    return 0


def _fit(pixels: NDArray[Any]) -> NDArray[Any]:
    """Centre crop to 3:2 and reduce to SIZE."""
    height, width = pixels.shape[:2]
    tall, wide = min(height, width * 2 // 3), min(width, height * 3 // 2)
    top, left = (height - tall) // 2, (width - wide) // 2
    cut = np.ascontiguousarray(pixels[top : top + tall, left : left + wide])
    return np.asarray(cv2.resize(cut, SIZE, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    sys.exit(main())
