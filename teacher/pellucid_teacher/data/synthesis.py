"""From a corpus to training samples: pick a task, cut a crop, degrade it, tell how much.

Sample number i of seed s is drawn from its own generator, default_rng([s, i]): any sample can be
made again alone, and a resumed training goes on with exactly the samples it would have seen.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from pellucid.degradations import DEGRADATIONS

from .blur import add_blur
from .compound import MAIN, Amounts, Banks, amount, chosen, companions, degrade
from .corpus import Corpus
from .crops import View, crop_alike
from .haze import add_haze
from .light import Image
from .lowlight import add_lowlight
from .noise import add_noise
from .rain import add_rain
from .snow import add_snow

OWN_SHARE = 0.5  # of the samples come from a user's own pairs, if there are photos as well
TASKS = ("rain", "lowlight", "haze", "snow", "blur", "noise", "clean", "compound")
# What a task's own camera may add unseen: of that no amount is known.
UNSEEN = {
    "rain": ("haze",),
    "snow": ("haze",),
    "haze": ("jpeg",),
    "lowlight": ("noise", "jpeg"),
    "blur": ("noise", "jpeg"),
    "noise": ("jpeg",),
}


@dataclass(frozen=True)
class TaskMix:
    """Relative shares of the tasks in a batch; clean = input is already good, keep it;
    compound = several degradations at once, as photos have them (compound.py)."""

    rain: float = 0.27
    lowlight: float = 0.1
    haze: float = 0.09
    snow: float = 0.03
    blur: float = 0.05
    noise: float = 0.42
    clean: float = 0.04
    compound: float = 0.25

    def with_shares(self, replaced: Sequence[str]) -> "TaskMix":
        """This mix with some shares replaced, each as "rain=0.4"; ValueError names a bad one."""
        shares: dict[str, float] = {}
        for text in replaced:
            task, _, number = text.partition("=")
            try:
                shares[task] = float(number)
            except ValueError:
                raise ValueError(f"task share {text!r}: expected e.g. rain=0.4") from None
            if task not in TASKS or not 0.0 <= shares[task] < float("inf"):
                known = ", ".join(TASKS)
                raise ValueError(f"task share {text!r}: expected TASK=NUMBER >= 0; tasks: {known}")
        return replace(self, **shares)

    def __str__(self) -> str:
        return ", ".join(f"{task} {getattr(self, task):g}" for task in TASKS)

    def cycle(self, length: int = 32) -> list[str]:
        """`length` tasks in the mix's proportions, in a fixed shuffled order."""
        shares = np.array([float(getattr(self, task)) for task in TASKS])
        if shares.min() < 0 or shares.sum() <= 0:
            raise ValueError(f"task shares must be >= 0 and not all 0, got {self}")
        exact = shares / shares.sum() * length
        counts = np.floor(exact).astype(int)
        for index in np.argsort(counts - exact)[: length - counts.sum()]:
            counts[index] += 1  # largest remainders
        tasks = [task for task, count in zip(TASKS, counts, strict=True) for _ in range(count)]
        return [tasks[i] for i in np.random.default_rng(0).permutation(length)]


class Synthesis:
    """Draws degraded and clean crops, with the amounts between them, from a corpus.

    samples_per_task: consecutive samples that share a task. With the batch size, every batch is of
    one task, so that a step of fixed length is a fixed share of attention, however large the task's
    errors. Streak layers, flake layers and blur kernels come from banks made once at the start, so
    that a sample costs a window of a layer instead of a large convolution.
    view: what cuts a window of a photo, as `crop_alike` does.
    """

    extra = ("amounts",)

    def __init__(
        self,
        corpus: Corpus,
        crop: int,
        mix: TaskMix | None = None,
        samples_per_task: int = 8,
        bank_seed: int = 0,
        view: View = crop_alike,
    ) -> None:
        self.corpus = corpus
        self.crop, self.view = crop, view
        self.samples_per_task = samples_per_task
        self.cycle = (mix or TaskMix()).cycle()
        self.banks = Banks.draw(corpus, bank_seed)

    def with_view(self, view: View, side: int) -> "Synthesis":
        """The same tasks on other windows of the same pictures: `view`, at `side` px."""
        other = copy.copy(self)
        other.view, other.crop = view, side
        return other

    def pictures(self, seed: int, index: int) -> tuple[Image, Image, Amounts]:
        """What a training step needs of a sample: (degraded, clean, amounts)."""
        rng = np.random.default_rng([seed, index])
        return self.with_amounts(self.task_of(index), rng)

    def describe(self) -> str:
        """Pictures, by number and fingerprint, and the side of a crop."""
        corpus = self.corpus
        count = len(corpus.clean) + len(corpus.own)
        return f"{count} photos ({corpus.fingerprint()}), crops of {self.crop} px"

    def sample(self, seed: int, index: int) -> tuple[Image, Image, str]:
        """Sample `index` of stream `seed`: (degraded, clean, task), images (crop, crop, 3)."""
        degraded, clean, _ = self.pictures(seed, index)
        return degraded, clean, self.task_of(index)

    def task_of(self, index: int) -> str:
        return self.cycle[index // self.samples_per_task % len(self.cycle)]

    def with_amounts(self, task: str, rng: Generator) -> tuple[Image, Image, Amounts]:
        """`draw`, with what is known of the amounts between the two, (7,), NaN where unknown."""
        if task == "compound" and self.corpus.clean:
            return self._compound(rng)
        degraded, clean = self.draw(task, rng)
        amounts = np.zeros(len(DEGRADATIONS), np.float32)
        if self.corpus.own:  # which may hold anything
            amounts[:] = np.nan
        elif task != "clean":
            amounts[DEGRADATIONS.index(task)] = amount(task, clean, degraded)
        for name in UNSEEN.get(task, ()):
            amounts[DEGRADATIONS.index(name)] = np.nan
        return degraded, clean, amounts

    def _compound(self, rng: Generator) -> tuple[Image, Image, Amounts]:
        main = chosen(MAIN, rng)
        wanted = companions(main, rng)
        depth = None
        if main == "haze" and self.corpus.depth and rng.random() < 0.3:
            pair = self.corpus.depth[int(rng.integers(len(self.corpus.depth)))]
            clean, depth = self.view(pair, self.crop, rng, 0.8)
        else:
            photo = self.corpus.clean[int(rng.integers(len(self.corpus.clean)))]
            shrink = 0.9 if "haze" in wanted else 0.5
            (clean,) = self.view((photo,), self.crop, rng, shrink)
        degraded, amounts = degrade(clean, wanted, rng, self.banks, depth)
        return degraded, clean, amounts

    def draw(self, task: str, rng: Generator) -> tuple[Image, Image]:
        """One (degraded, clean) crop of `task`, float32 (crop, crop, 3)."""
        corpus = self.corpus
        if corpus.own and (not corpus.clean or rng.random() < OWN_SHARE):
            pair = corpus.own[int(rng.integers(len(corpus.own)))]
            degraded, clean = self.view(pair, self.crop, rng, 0.0)
            return degraded, clean
        if task == "lowlight" and corpus.lowlight and rng.random() < 0.6:
            pair = corpus.lowlight[int(rng.integers(len(corpus.lowlight)))]
            degraded, clean = self.view(pair, self.crop, rng, 0.7)
            return degraded, clean
        if task == "noise" and corpus.noise and rng.random() < 0.12:
            pair = corpus.noise[int(rng.integers(len(corpus.noise)))]
            degraded, clean = self.view(pair, self.crop, rng, 0.0)
            return degraded, clean
        if task == "haze" and corpus.depth and rng.random() < 0.4:
            photo, metres = corpus.depth[int(rng.integers(len(corpus.depth)))]
            clean, depth = self.view((photo, metres), self.crop, rng, 0.8)
            return add_haze(clean, rng, depth), clean
        if task == "blur" and corpus.blurred and rng.random() < 0.3:
            pair = corpus.blurred[int(rng.integers(len(corpus.blurred)))]
            degraded, clean = self.view(pair, self.crop, rng, 0.3)
            return degraded, clean
        if task == "compound":
            degraded, clean, _ = self._compound(rng)
            return degraded, clean
        photo = corpus.clean[int(rng.integers(len(corpus.clean)))]
        # Haze and darkness are read off large regions: show more of the picture in a crop.
        shrink = {"haze": 0.9, "lowlight": 0.7}.get(task, 0.3)
        (clean,) = self.view((photo,), self.crop, rng, shrink)
        return self.degrade(task, clean, rng), clean

    def degrade(self, task: str, clean: Image, rng: Generator) -> Image:
        """`clean` (H, W, 3) as a camera would give it under `task`, same shape."""
        match task:
            case "rain":
                return add_rain(clean, rng, self.banks.streaks, self.banks.rain_layers)
            case "lowlight":
                return add_lowlight(clean, rng)
            case "haze":
                return add_haze(clean, rng)
            case "snow":
                return add_snow(clean, rng, self.banks.flakes, self.banks.snow_layers)
            case "blur":
                return add_blur(clean, rng, self.banks.kernels)
            case "noise":
                return add_noise(clean, rng)
            case "clean":
                return clean
            case "compound":
                return degrade(clean, companions(chosen(MAIN, rng), rng), rng, self.banks)[0]
        raise ValueError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
