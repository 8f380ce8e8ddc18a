"""Pictures with what is wrong in them: what a degradation estimator learns from.

Four kinds of samples, so that no source stands for one degradation
- clean photos with several synthetic degradations at once: every amount is known (compound.py);
- real pairs and averaged video frames: the amount of one is known;
- real degraded photos without a partner: the folder's own amount is at least REAL, or what a person
  saw (seen_by_eye.txt); the rest is unknown or none. Half of them get a synthetic one on top;
- pictures with nothing wrong: clean photos, faces, interfaces, graphics, sharp frames.
All of them are enlarged or reduced alike and go through JPEG alike.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from pellucid.degradations import DEGRADATIONS

from .compound import MAIN, Amounts, Banks, amount, chosen, companions, degrade
from .corpus import Corpus, Pixels
from .light import Image, jpeg

REAL = 0.5  # amount that a photo in a folder of real degraded ones has at least
# How often each kind of pair, and how often a picture is black and white.
PAIRS = {"noise": 0.35, "lowlight": 0.2, "blur": 0.2, "haze": 0.25}
GREY = 0.08
SEEN = Path(__file__).with_name("seen_by_eye.txt")
# What a photo of a real folder surely has not; nothing is known of what is not named.
SURELY_NOT = {
    "rain": ("snow",),
    "haze": ("rain", "snow", "lowlight"),
    "lowlight": ("rain", "snow", "haze"),
}


@dataclass(frozen=True)
class Sample:
    """picture (H, W, 3) in [0, 1]; amounts (7,), NaN where unknown; least (7,): the amount may be
    larger than that."""

    picture: Image
    amounts: Amounts
    least: np.ndarray


class Labelled:
    """Draws samples from a corpus. Sizes must be multiples of 16."""

    def __init__(self, corpus: Corpus, banks: Banks | None = None) -> None:
        self.corpus, self.banks = corpus, banks or Banks.draw(corpus)
        seen = seen_by_eye()
        self.real = [(photo, known_of(place, seen.get(place, {}))) for photo, place in corpus.real]
        named = {"noise": corpus.noise, "lowlight": corpus.lowlight, "blur": corpus.blurred}
        self.pairs = {name: pairs for name, pairs in named.items() if pairs}
        partners = [clean for pairs in self.pairs.values() for _, clean in pairs]
        self.good = [*corpus.good, *partners] or corpus.clean

    def draw(self, rng: Generator, height: int, width: int) -> Sample:
        """One sample of height x width px."""

        def view(photos: list[Pixels]) -> Image:
            photo = photos[int(rng.integers(len(photos)))]
            return _view([photo], rng, height, width)[0]

        kind = rng.random()
        least = np.zeros(len(DEGRADATIONS), bool)
        amounts = np.zeros(len(DEGRADATIONS), np.float32)
        if kind < 0.5:
            wanted = companions(chosen(MAIN, rng), rng)
            picture, amounts = degrade(view(self.corpus.clean), wanted, rng, self.banks)
        elif kind < 0.64 and (self.pairs or self.corpus.depth):
            picture, amounts = self._pair(rng, height, width)
        elif kind < 0.86 and self.real:
            photo, known = self.real[int(rng.integers(len(self.real)))]
            picture, amounts, least = view([photo]), known.copy(), known > 0.0
            if rng.random() < 0.4:
                picture, amounts = _on_top(picture, amounts, rng, self.banks)
        else:
            picture = view(self.good if rng.random() < 0.5 else self.corpus.clean)
        if rng.random() < GREY:
            picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
        return _filed(picture, amounts, least, rng)

    def _pair(self, rng: Generator, height: int, width: int) -> tuple[Image, Amounts]:
        """A real pair, or haze over a photo whose depth is known."""
        amounts = np.zeros(len(DEGRADATIONS), np.float32)
        shares = {name: PAIRS[name] for name in self.pairs}
        name = chosen(shares | ({"haze": PAIRS["haze"]} if self.corpus.depth else {}), rng)
        if name == "haze":
            photo, depth = self.corpus.depth[int(rng.integers(len(self.corpus.depth)))]
            scene, metres = _view([photo, depth], rng, height, width)
            return degrade(scene, companions("haze", rng), rng, self.banks, metres)
        degraded, clean = self.pairs[name][int(rng.integers(len(self.pairs[name])))]
        before, after = _view([clean, degraded], rng, height, width, name == "noise")
        if name == "noise":  # fainter and stronger than these cameras had it
            after = np.clip(before + np.float32(rng.uniform(0.5, 2.0)) * (after - before), 0.0, 1.0)
        amounts[DEGRADATIONS.index(name)] = amount(name, before, after)
        if name == "lowlight":
            amounts[DEGRADATIONS.index("noise")] = np.nan
        return after, amounts


def _view(
    pictures: list[Pixels | Image],
    rng: Generator,
    height: int,
    width: int,
    unreduced: bool = False,
) -> list[Image]:
    """One window of registered pictures at a random scale, mirrored at random."""
    rows, cols = pictures[0].shape[:2]
    most = min(rows / height, cols / width)
    scale = (
        1.0
        if unreduced
        else float(np.exp(rng.uniform(min(0.0, np.log(most)), np.log(max(most, 1.0)))))
    )
    scale = min(scale, most)
    high, wide = max(1, int(height * scale)), max(1, int(width * scale))
    top, left = int(rng.integers(rows - high + 1)), int(rng.integers(cols - wide + 1))
    flip = rng.random() < 0.5
    out = []
    for picture in pictures:
        part = picture[top : top + high, left : left + wide]
        unit = part.astype(np.float32) / np.float32(255.0 if part.dtype == np.uint8 else 1.0)
        if (high, wide) != (height, width):
            way = cv2.INTER_AREA if scale > 1.0 else cv2.INTER_CUBIC
            unit = np.asarray(cv2.resize(unit, (width, height), interpolation=way))
        if part.dtype == np.uint8:
            unit = np.clip(unit, 0.0, 1.0)
        out.append(np.ascontiguousarray(unit[:, ::-1] if flip else unit))
    return out


def _on_top(
    picture: Image, amounts: Amounts, rng: Generator, banks: Banks
) -> tuple[Image, Amounts]:
    """One more degradation on a real photo; what it has of the same kind is not counted."""
    name = ("snow", "blur", "noise", "jpeg", "rain")[int(rng.integers(5))]
    worse, added = degrade(picture, {name}, rng, banks)
    index = DEGRADATIONS.index(name)
    known = amounts.copy()
    known[index] = np.fmax(known[index], added[index])
    if name in ("blur", "snow"):  # they hide what else there is
        known[DEGRADATIONS.index("rain")] = np.nan if known[0] != 0.0 else 0.0
    return worse, known


def _filed(picture: Image, amounts: Amounts, least: np.ndarray, rng: Generator) -> Sample:
    """Through a camera's or a site's JPEG, mostly a good one, whatever the sample is."""
    index = DEGRADATIONS.index("jpeg")
    if rng.random() < 0.6 and amounts[index] == 0.0 or np.isnan(amounts[index]):
        after = jpeg(picture, int(rng.integers(75, 99)))
        if not np.isnan(amounts[index]):
            amounts[index] = amount("jpeg", picture, after)
        picture = after
    return Sample(np.asarray(picture, np.float32), amounts, least)


def seen_by_eye() -> dict[str, dict[str, float]]:
    """ "rain/037" -> {"snow": 0.6, "rain": NaN}."""
    seen: dict[str, dict[str, float]] = {}
    for line in SEEN.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            place, *entries = line.split()
            pairs = (entry.split("=") for entry in entries)
            seen[place] = {name: float("nan" if v == "?" else v) for name, v in pairs}
    return seen


def known_of(place: str, seen: dict[str, float]) -> Amounts:
    """What is known of the real photo NAME/STEM: amounts (7,), lower bounds where above 0."""
    name = place.split("/")[0]
    known = dict.fromkeys(SURELY_NOT.get(name, ()), 0.0) | {name: REAL} | seen
    return np.array([known.get(other, float("nan")) for other in DEGRADATIONS], np.float32)
