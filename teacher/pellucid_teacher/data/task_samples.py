"""Samples of the tasks that are no degradation of the synthesis: enlarging, filling holes, faces,
camera blur, white noise. Each draws (degraded, clean) of one clean photo; sample i of seed s is
always the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from . import blind, faces
from .bicubic import imresize
from .camera import CameraRecipe, photographed, saturated
from .corpus import Corpus
from .crops import crop_alike
from .light import Image, quantise, to_linear
from .masks import MaskRecipe, draw_mask
from .shake import ShakeRecipe, shaken

REDUCED = 0.5  # chance that a crop shows more of the photo, reduced


def clean_crop(corpus: Corpus, side: int, rng: Generator) -> Image:
    """A random crop of a random clean photo, (side, side, 3)."""
    photo = corpus.clean[int(rng.integers(len(corpus.clean)))]
    return crop_alike((photo,), side, rng, REDUCED)[0]


@dataclass(frozen=True)
class Enlarging:
    """(1/scale of the side, crop). is_blind: degraded as unknown real photos; else MATLAB's bicubic
    alone."""

    corpus: Corpus
    crop: int
    scale: int = 4
    is_blind: bool = False

    def pictures(self, seed: int, index: int) -> tuple[Image, Image]:
        rng = np.random.default_rng([seed, index])
        clean = clean_crop(self.corpus, self.crop, rng)
        if self.is_blind:
            return blind.degrade(clean, rng, self.scale), clean
        return quantise(imresize(clean, 1.0 / self.scale)), clean

    def describe(self) -> str:
        how = "blind" if self.is_blind else "bicubic"
        return f"enlarging x{self.scale}, {how}, {self.crop} px, {self.corpus.fingerprint()}"


@dataclass(frozen=True)
class Holes:
    """degraded: the photo with black holes and, as a fourth channel, 1 where a hole is."""

    corpus: Corpus
    crop: int
    recipe: MaskRecipe

    def pictures(self, seed: int, index: int) -> tuple[Image, Image]:
        rng = np.random.default_rng([seed, index])
        clean = clean_crop(self.corpus, self.crop, rng)
        mask = draw_mask(rng, self.crop, self.crop, self.recipe)[..., None]
        return np.concatenate([clean * (1.0 - mask), mask], axis=2), clean

    def describe(self) -> str:
        return f"holes {self.recipe}, {self.crop} px, {self.corpus.fingerprint()}"


@dataclass(frozen=True)
class Faces:
    """Whole aligned portraits under the published face degradation; the corpus holds portraits."""

    corpus: Corpus
    crop: int

    def pictures(self, seed: int, index: int) -> tuple[Image, Image]:
        rng = np.random.default_rng([seed, index])
        photo = self.corpus.clean[int(rng.integers(len(self.corpus.clean)))]
        side = min(photo.shape[:2])
        square = photo[:side, :side].astype(np.float32) / np.float32(255.0)
        clean = np.clip(imresize(square, self.crop / side), 0.0, 1.0)[: self.crop, : self.crop]
        if rng.random() < 0.5:
            clean = np.ascontiguousarray(clean[:, ::-1])
        return faces.degrade(clean, rng)

    def describe(self) -> str:
        return f"faces, {self.crop} px, {self.corpus.fingerprint()}"


@dataclass(frozen=True)
class CameraBlur:
    """Blur as cameras make it: shake, layers that move, saturated lights, RAW noise, JPEG."""

    corpus: Corpus
    crop: int
    shake: ShakeRecipe = ShakeRecipe()
    camera: CameraRecipe = CameraRecipe()

    def pictures(self, seed: int, index: int) -> tuple[Image, Image]:
        rng = np.random.default_rng([seed, index])
        sharp = to_linear(clean_crop(self.corpus, self.crop, rng))
        lit = saturated(sharp, sharp, rng, self.camera)
        return photographed(shaken(lit, rng, self.shake), sharp, rng, self.camera)

    def describe(self) -> str:
        return f"camera blur, {self.shake}, {self.crop} px, {self.corpus.fingerprint()}"


@dataclass(frozen=True)
class Noisy:
    """White noise of a sigma of `sigmas`, not clipped: what a prior is measured on. Its training
    looks at the clean crops alone."""

    corpus: Corpus
    crop: int
    sigmas: tuple[float, ...] = (15.0, 25.0, 50.0)  # of 255

    def pictures(self, seed: int, index: int) -> tuple[Image, Image]:
        rng = np.random.default_rng([seed, index])
        clean = clean_crop(self.corpus, self.crop, rng)
        sigma = np.float32(rng.choice(self.sigmas) / 255.0)
        return clean + sigma * rng.standard_normal(clean.shape, np.float32), clean

    def describe(self) -> str:
        return f"white noise {self.sigmas}, {self.crop} px, {self.corpus.fingerprint()}"
