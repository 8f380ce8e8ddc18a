"""Held-out synthetic crops: what a training never saw, restored and scored a task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.light import Image
from pellucid_teacher.data.stream import Batch, Samples, to_tensor
from pellucid_teacher.data.synthesis import TASKS, Synthesis
from pellucid_teacher.data.task_samples import Enlarging

from .objective import Restore

EVERY = 10  # one picture of ten is held out
LUMA = (65.481 / 255.0, 128.553 / 255.0, 24.966 / 255.0)  # BT.601, studio range
_T = TypeVar("_T")


def hold_out(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """(for training, held out): every tenth photo and pair. Layers and masks serve both.

    Raises ValueError where there are too few photos for both.
    """
    if len(corpus.clean) < 2:
        raise ValueError(
            f"expected at least 2 clean photos to hold one out, got {len(corpus.clean)}; "
            "put more under clean/"
        )
    parts = ("clean", "own", "lowlight", "noise", "depth")
    train = {name: _split(getattr(corpus, name), held=False) for name in parts}
    held = {name: _split(getattr(corpus, name), held=True) for name in parts}
    return replace(corpus, **train), replace(corpus, **held)


def _split(items: Sequence[_T], held: bool) -> list[_T]:
    return [item for index, item in enumerate(items) if (index % EVERY == 0) == held]


@dataclass(frozen=True)
class ValidationCrops:
    """task -> a batch of its crops, the same for every network that is compared.

    border: px cut off on every side before measuring on luma, as enlarging is; None: RGB, all.
    """

    tasks: dict[str, Batch]
    border: int | None = None

    @staticmethod
    def draw(held: Corpus, number: int = 16, crop: int = 128) -> "ValidationCrops":
        synthesis = Synthesis(held, crop)
        tasks = {}
        for place, task in enumerate(TASKS):
            tasks[task] = _batch(
                [
                    synthesis.draw(task, np.random.default_rng([7, place, index]))
                    for index in range(number)
                ]
            )
        return ValidationCrops(tasks)

    @staticmethod
    def of(samples: Samples, task: str, number: int = 16) -> "ValidationCrops":
        """Of one task that is not the synthesis': enlarging, filling holes, faces, camera blur."""
        batch = _batch([samples.pictures(7, index) for index in range(number)])
        border = samples.scale if isinstance(samples, Enlarging) else None
        return ValidationCrops({task: batch}, border)

    @torch.no_grad()
    def psnr(self, restore: Restore, device: torch.device | None = None) -> dict[str, float]:
        """Mean PSNR in dB a task of what is restored, not rounded to 8 bits."""
        figures = {}
        for task, batch in self.tasks.items():
            moved = batch.to(device or torch.device("cpu"))
            restored = restore(moved.degraded)
            figures[task] = float(_psnr(restored, moved.clean, self.border).mean())
        return figures

    def psnr_in(self) -> dict[str, float]:
        """The same of the degraded crops themselves."""
        return {
            task: float(_psnr(_given(b), b.clean, self.border).mean())
            for task, b in self.tasks.items()
        }


def _batch(pairs: Sequence[tuple[Image, ...]]) -> Batch:
    degraded, clean = (torch.stack([to_tensor(pair[side]) for pair in pairs]) for side in (0, 1))
    return Batch(degraded, clean)


def _given(batch: Batch) -> Tensor:
    """What is given, of the result's size (enlarged bicubically) and without the mask."""
    given = batch.degraded[:, :3]
    if given.shape[-2:] == batch.clean.shape[-2:]:
        return given
    return F.interpolate(given, batch.clean.shape[-2:], mode="bicubic").clamp(-1.0, 1.0)


def _psnr(a: Tensor, b: Tensor, border: int | None = None) -> Tensor:
    """(B,) dB for images in [-1, 1]; 60 dB at most, so that untouched clean crops have a mean."""
    difference = (a - b) / 2.0  # (B, 3, H, W)
    if border is not None:
        weights = difference.new_tensor(LUMA)[:, None, None]
        inside = slice(border, -border)
        difference = (difference * weights).sum(dim=1, keepdim=True)[..., inside, inside]
    mse = difference.square().mean(dim=(1, 2, 3))
    return -10.0 * torch.log10(mse.clamp(min=1e-6))
