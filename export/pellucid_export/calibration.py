"""Pictures for an export: some that set the integer ranges, some that show what was lost.

Both are cut once and used for every format, so that the formats can be compared.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import PhotoError
from pellucid.image.encode import SUFFIXES, to_8_bits
from pellucid.pairs import Image, pictures_below, read_rgb
from pellucid_teacher.data.bicubic import imresize
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.light import quantise
from pellucid_teacher.data.synthesis import Synthesis, TaskMix
from pellucid_teacher.data.task_samples import Enlarging

from .thresholds import ExportError

SIDE = 256
SMALLEST = 32
MILD_SIGMA = 5.0  # of 255
# Equal shares: a rare task's range counts as much as a frequent one's.
MIX = TaskMix(rain=1, lowlight=1, haze=1, snow=1, blur=1, noise=1, clean=1)
CLEAN = TaskMix(rain=0, lowlight=0, haze=0, snow=0, blur=0, noise=0, clean=1)
# Of 255. Nothing drives activations further than strong noise, and few draws of MIX hold any: a
# range that is too short cuts off whole pictures (13 dB on noise), one too long costs little.
NOISE_SIGMAS = (15.0, 25.0, 35.0, 50.0)

Planes = NDArray[np.float32]  # (1, 3, H, W) in [0, 1]


@dataclass(frozen=True)
class ValidationPair:
    """A degraded picture and its clean partner, (1, 3, H, W) in [0, 1]; the partner may have
    `scale` times the sides."""

    task: str
    degraded: Planes
    clean: Planes

    @property
    def scale(self) -> int:
        return int(self.clean.shape[2] // self.degraded.shape[2])


@dataclass(frozen=True)
class Pictures:
    """calibration: what ranges are measured on. validation: what the drop is measured on.
    source: where the calibration pictures come from, for the report."""

    calibration: list[Planes]
    validation: list[ValidationPair]
    source: str


def synthesised(clean: Path, count: int) -> list[Planes]:
    """`count` degraded crops of the photos in a folder, always the same: all tasks in turn, and a
    sixth of them with Gaussian noise, of NOISE_SIGMAS in turn.
    """
    photos = [to_8_bits(read_rgb(path)) for path in pictures_below(clean)]
    if not photos:
        raise ExportError(f"{clean}: no photos to synthesise calibration pictures from")
    noisy = count // 6
    stream = Synthesis(Corpus(clean=photos), SIDE, MIX, samples_per_task=1)
    samples = [stream.sample(seed=0, index=index)[0] for index in range(count - noisy)]
    plain = Synthesis(Corpus(clean=photos), SIDE, CLEAN, samples_per_task=1)
    generator = np.random.default_rng(0)
    for index in range(noisy):
        sigma = NOISE_SIGMAS[index % len(NOISE_SIGMAS)] / 255.0
        crop = plain.sample(seed=1, index=index)[1]
        noise = generator.standard_normal(crop.shape, np.float32)
        samples.append(crop + np.float32(sigma) * noise)
    return [_batch(np.clip(degraded, 0.0, 1.0)) for degraded in samples]


def from_folder(folder: Path, count: int) -> list[Planes]:
    """Centre crops of up to `count` pictures of a folder, spread evenly over its names.

    Raises ExportError for a folder that holds an evaluation set: ranges fitted to the pictures that
    a quality is later measured on would flatter it.
    """
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such folder; --calib takes a folder of typical photos")
    _refuse_evaluation_sets(folder)
    found = pictures_below(folder)
    if not found:
        raise ExportError(
            f"{folder}: no pictures in it; --calib takes a folder of typical degraded photos "
            f"({', '.join(SUFFIXES)})"
        )
    chosen = [found[i * len(found) // count] for i in range(min(count, len(found)))]
    if len(found) < count:
        chosen = found
    crops = []
    for path in chosen:
        try:
            picture = read_rgb(path)
        except PhotoError as error:
            raise ExportError(f"calibration picture {path}: {error}") from error
        if min(picture.shape[:2]) < SMALLEST:
            raise ExportError(
                f"calibration picture {path}: {picture.shape[1]}x{picture.shape[0]}, "
                f"expected at least {SMALLEST}x{SMALLEST}"
            )
        crops.append(fit(_batch(picture), (SIDE, SIDE)))
    return crops


def sample_pairs(degraded: Path, clean: Path) -> list[ValidationPair]:
    """The pairs of two folders that share stems; the stem names the task."""
    partners = {path.stem: path for path in pictures_below(clean)}
    return [
        ValidationPair(
            path.stem,
            fit(_batch(read_rgb(path)), (SIDE, SIDE)),
            fit(_batch(read_rgb(partners[path.stem])), (SIDE, SIDE)),
        )
        for path in pictures_below(degraded)
        if path.stem in partners
    ]


def reduced(clean: Path, count: int, scale: int) -> list[Planes]:
    """`count` crops of the photos in a folder, reduced bicubically, always the same: what ranges of
    a student that enlarges are measured on."""
    photos = [to_8_bits(read_rgb(path)) for path in pictures_below(clean)]
    if not photos:
        raise ExportError(f"{clean}: no photos to reduce")
    samples = Enlarging(Corpus(clean=photos), SIDE // scale * scale, scale)
    return [_batch(samples.pictures(0, index)[0]) for index in range(count)]


def reduced_pairs(clean: Path, scale: int) -> list[ValidationPair]:
    """The photos of a folder, and what they are reduced to; named by their stems."""
    pairs = []
    for path in pictures_below(clean):
        photo = fit(_batch(read_rgb(path)), (SIDE // scale * scale,) * 2)
        small = quantise(imresize(photo[0].transpose(1, 2, 0), 1.0 / scale))
        pairs.append(ValidationPair(path.stem, _batch(small), photo))
    return pairs


def mild_pair(clean: Path) -> ValidationPair:
    """The first photo of a folder with a little noise, as good cameras give: nothing to gain, so
    that whatever an integer file adds to it shows."""
    photo = fit(_batch(read_rgb(pictures_below(clean)[0])), (SIDE, SIDE))
    noise = np.random.default_rng(0).standard_normal(photo.shape) * (MILD_SIGMA / 255.0)
    return ValidationPair("mild", np.clip(photo + noise, 0.0, 1.0).astype(np.float32), photo)


def fit(picture: Planes, size: tuple[int, int]) -> Planes:
    """A centre crop of exactly `size` (H, W); sides that are too short are mirrored first."""
    short = [max(0, want - have) for want, have in zip(size, picture.shape[2:], strict=True)]
    if any(short):
        widths = [(0, 0), (0, 0), *((0, missing) for missing in short)]
        picture = np.pad(picture, widths, mode="symmetric")
    top, left = ((have - want) // 2 for want, have in zip(size, picture.shape[2:], strict=True))
    return np.ascontiguousarray(picture[:, :, top : top + size[0], left : left + size[1]])


def _refuse_evaluation_sets(folder: Path) -> None:
    inside = (path.parent for path in sorted(folder.rglob("set.json")))
    around = (home for home in folder.resolve().parents if (home / "set.json").is_file())
    for home in (*inside, *around):
        if (home / "target").is_dir():
            raise ExportError(
                f"{folder}: holds the evaluation set {home.name!r} (set.json beside target/). "
                "Ranges fitted to it would flatter the figures measured on it; give --calib other "
                "photos, or leave it out to use the bundled samples"
            )


def _batch(picture: Image) -> Planes:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
