"""What an estimator is chosen by: held-out pictures, what is said of them, what becomes of them.

    score = ( recognised + left ) / 2 + gained / 10 dB

recognised: of pictures with a degradation of at least MIDDLE, the share in which it is found, mean
over the degradations. left: the share of good pictures in which nothing is found and which keep
LEFT dB, mean over kinds. gained: dB by which the student restores, mean over degradations,
strengths and compounds: whether something faint is better restored or left is decided by that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from pellucid.degradations import DEGRADATIONS, FOUND
from pellucid.guards import is_drawn, is_night_sky
from pellucid_teacher.data.compound import COMPANIONS, Amounts, Banks, amount, degrade
from pellucid_teacher.data.corpus import Corpus, Pixels, is_held, load_corpus
from pellucid_teacher.data.labelled import known_of, seen_by_eye
from pellucid_teacher.data.light import Image

from .plain_unet import PlainUNet
from .scene import SCENE_SIZE

STRENGTHS = {"faint": 0.2, "middle": 0.4, "strong": 0.65}  # amounts aimed at
MIDDLE = 0.35
TRIES = 8  # of which the one nearest to the strength is taken
CROPS = 6  # of each degradation and strength
SIDE = 256
WORTH = 10.0  # dB of gain that count as much as recognising and leaving everything
LEFT = 40.0  # dB that a good picture keeps at least
LARGEST = 640  # long side of a real or a good picture, px
DARK, BRIGHT = 60, 170  # mean levels: night scenes; snow, skies and white rooms


@dataclass(frozen=True)
class Case:
    """One held-out picture. group: what the gain is averaged over. degraded: (H, W, 3) in [0, 1].
    clean: the same without, None where nobody knows. amounts: (7,), NaN where unknown."""

    group: str
    degraded: Image
    amounts: Amounts
    clean: Image | None = None


@dataclass(frozen=True)
class EstimatorScore:
    """recognised, left: name -> share. gained, by_hand: group -> dB, with the estimator's amounts
    and with the true ones."""

    recognised: dict[str, float]
    left: dict[str, float]
    gained: dict[str, float]
    by_hand: dict[str, float]

    @property
    def total(self) -> float:
        """The one number to choose by, about 0 to 1."""
        recognised, left, gained = (
            float(np.mean(list(part.values())))
            for part in (self.recognised, self.left, self.gained)
        )
        return (recognised + left) / 2.0 + gained / WORTH

    def __str__(self) -> str:
        def shares(part: dict[str, float]) -> str:
            return ", ".join(f"{name} {share:.2f}" for name, share in part.items())

        gained = (
            f"{group} {dB:+.2f} of {self.by_hand[group]:+.2f}" for group, dB in self.gained.items()
        )
        return (
            f"score {self.total:.3f}\nrecognised: {shares(self.recognised)}\n"
            f"left alone: {shares(self.left)}\ngained, dB: {', '.join(gained)}"
        )


class EstimatorValidation:
    """The held-out part of a training folder, drawn once; everything is the same in every run."""

    def __init__(self, root: Path) -> None:
        corpus = load_corpus(root, wanted=is_held)
        banks = Banks.draw(corpus, seed=1)  # not the ones of training
        self.known = [*_synthetic(corpus, banks), *_pairs(corpus)]
        seen = seen_by_eye()
        self.real = [
            Case("real", _unit(photo), known_of(place, seen.get(place, {})))
            for photo, place in corpus.real
        ]
        self.good = _good(corpus)

    def score(self, network: PlainUNet, least: float = FOUND) -> EstimatorScore:
        """Of a network with its estimator. least: amount from which a picture is restored."""
        found: dict[str, list[float]] = {}
        gained: dict[str, list[float]] = {}
        by_hand: dict[str, list[float]] = {}
        for case in (*self.known, *self.real):
            scene = network.measure(_tensor(case.degraded))
            estimated = scene[0, SCENE_SIZE:].numpy()
            for place, name in enumerate(DEGRADATIONS):
                if case.amounts[place] >= MIDDLE:
                    kind = name if case.clean is not None else f"real {name}"
                    found.setdefault(kind, []).append(estimated[place] >= FOUND)
            if case.clean is not None:
                true = np.where(np.isnan(case.amounts), estimated, case.amounts)
                acts = estimated.max() >= least
                gained.setdefault(case.group, []).append(
                    _gain(network, case, estimated) if acts else 0.0
                )
                by_hand.setdefault(case.group, []).append(_gain(network, case, true))
        left = {
            kind: [float(is_left(network, picture, least)) for picture in pictures]
            for kind, pictures in self.good.items()
        }
        return EstimatorScore(*(_means(part) for part in (found, left, gained, by_hand)))


@torch.no_grad()
def is_left(network: PlainUNet, picture: Pixels, least: float) -> bool:
    """Whether nothing is found in a good picture, and what is done to it keeps LEFT dB."""
    given = _unit(picture)
    scene = network.measure(_tensor(given))
    largest = float(scene[0, SCENE_SIZE:].max())
    if largest >= FOUND or largest < least:
        return largest < least
    return _psnr(_restored(network, given, scene), given) >= LEFT


def _gain(network: PlainUNet, case: Case, amounts: Amounts) -> float:
    """dB by which one call brings a case nearer to its clean picture."""
    assert case.clean is not None
    scene = network.measure(_tensor(case.degraded))
    scene[0, SCENE_SIZE:] = torch.from_numpy(amounts)
    restored = _restored(network, case.degraded, scene)
    return _psnr(restored, case.clean) - _psnr(case.degraded, case.clean)


def _restored(network: PlainUNet, picture: Image, scene: Tensor) -> Image:
    with torch.no_grad():
        restored = network(2.0 * _tensor(picture) - 1.0, scene)
    unit = ((restored[0] + 1.0) / 2.0).clamp(0.0, 1.0)
    return np.asarray(unit.permute(1, 2, 0).numpy(), np.float32)


def _psnr(a: Image, b: Image) -> float:
    return -10.0 * float(np.log10(max(float(np.mean(np.square(a - b))), 1e-7)))


def _tensor(picture: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


def _unit(picture: Pixels) -> Image:
    """At most LARGEST px, both sides multiples of 16, in [0, 1]."""
    scale = LARGEST / max(picture.shape[:2])
    if scale < 1.0:
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    rows, cols = (side // 16 * 16 for side in picture.shape[:2])
    return picture[:rows, :cols].astype(np.float32) / np.float32(255.0)


def _means(parts: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in parts.items()}


def _synthetic(corpus: Corpus, banks: Banks) -> Iterator[Case]:
    """CROPS of each degradation and strength, and of each pair that comes together."""
    rng = np.random.default_rng(0)
    alone = [((name,), strength) for name in DEGRADATIONS for strength in STRENGTHS]
    both = [((main, other), "middle") for main, others in COMPANIONS.items() for other in others]
    for wanted, strength in (*alone, *both):
        index = DEGRADATIONS.index(wanted[0])
        for _ in range(CROPS):
            clean = _window(corpus.clean, rng)
            tries = [degrade(clean, wanted, rng, banks) for _ in range(TRIES)]
            errors = [abs(float(made[1][index]) - STRENGTHS[strength]) for made in tries]
            degraded, amounts = tries[int(np.argmin(errors))]
            yield Case(f"{strength} {' and '.join(wanted)}", degraded, amounts, clean)


def _pairs(corpus: Corpus) -> Iterator[Case]:
    """Real pairs: camera noise, darkness, blur; and haze over measured depth."""
    for name in ("noise", "lowlight", "blurred"):
        pairs = getattr(corpus, name)
        kind = "blur" if name == "blurred" else name
        for degraded, clean in pairs[:: max(1, len(pairs) // (2 * CROPS))]:
            before, after = _unit(clean), _unit(degraded)
            amounts = np.zeros(len(DEGRADATIONS), np.float32)
            amounts[DEGRADATIONS.index(kind)] = amount(kind, before, after)
            yield Case(f"real {kind}", after, amounts, before)


def _window(photos: list[Pixels], rng: Generator) -> Image:
    """SIDE x SIDE px of some photo, reduced to 1.5 times that first where it is larger."""
    photo = photos[int(rng.integers(len(photos)))]
    scale = min(1.0, max(SIDE / min(photo.shape[:2]), 1.5 * SIDE / max(photo.shape[:2])))
    if scale < 1.0:
        size = (max(SIDE, round(photo.shape[1] * scale)), max(SIDE, round(photo.shape[0] * scale)))
        photo = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    top, left = (int(rng.integers(max(1, side - SIDE + 1))) for side in photo.shape[:2])
    part = photo[top : top + SIDE, left : left + SIDE]
    rows, cols = (side // 16 * 16 for side in part.shape[:2])
    return part[:rows, :cols].astype(np.float32) / np.float32(255.0)


def _good(corpus: Corpus) -> dict[str, list[Pixels]]:
    """Good pictures by what is hard about them; those that guards settle do not count."""
    kinds: dict[str, list[Pixels]] = {
        "night": [],
        "snow and sky": [],
        "photos": [],
        "faces and drawn": [],
    }
    for picture in corpus.clean:
        mean = float(picture.mean())
        kind = "night" if mean < DARK else "snow and sky" if mean > BRIGHT else "photos"
        kinds[kind].append(picture)
    kinds["faces and drawn"] = corpus.good
    return {
        kind: [x for x in pictures if not is_drawn(x) and not is_night_sky(x)]
        for kind, pictures in kinds.items()
        if pictures
    }
