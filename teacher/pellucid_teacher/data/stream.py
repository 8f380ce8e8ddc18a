"""Endless, resumable stream of training batches from worker processes."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .light import Image


class Samples(Protocol):
    """What can be drawn, numbered: photos (synthesis.py) or clips (clips.py).

    Where `pictures` gives more than two, the attribute `extra` names the Batch's fields of them.
    """

    def pictures(self, seed: int, index: int) -> tuple[Image, ...]:
        """(degraded, clean), and what `extra` says."""

    def describe(self) -> str:
        """What is drawn from what, in words; other pictures or crops have another description."""


@dataclass(frozen=True)
class Batch:
    """Photos, or clips of F frames, in [-1, 1]. flow: of clips, to the frame before, in pixels.
    amounts: of photos, what is known of the degradations in them, NaN where unknown.
    thumbnail, window: of parts of photos, the whole degraded photo on a grid, and which part it is:
    top, left, and the whole's height and width, px.

    degraded may be smaller than clean (enlarging), or have a mask as its fourth channel: 1 to be
    filled, -1 known.
    """

    degraded: Tensor  # (B, 3 or 4, h, w) or (B, F, 3, H, W)
    clean: Tensor  # (B, 3, H, W) or (B, F, 3, H, W)
    flow: Tensor | None = None  # (B, F - 1, H, W, 2)
    amounts: Tensor | None = None  # (B, len(DEGRADATIONS))
    thumbnail: Tensor | None = None  # (B, 3, GRID, GRID)
    window: Tensor | None = None  # (B, 4)

    def to(self, device: torch.device) -> "Batch":
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: t.to(device) for name, t in held.items() if t is not None})


@dataclass(frozen=True)
class Shard:
    """Which samples of every batch are this process's: `size` of size·processes."""

    size: int
    process: int = 0
    processes: int = 1

    def sample(self, index: int) -> int:
        """Number in the common stream of this process's index-th sample.

        Batch n of all processes together holds samples n·size·processes onwards, so a run's data
        depend on the total batch alone, not on how many processes share it.
        """
        batch, place = divmod(index, self.size)
        return (batch * self.processes + self.process) * self.size + place


class _Samples(Dataset[tuple[Tensor, ...]]):
    """This process's samples from one batch to another, map-style: the loader keeps their order."""

    def __init__(self, samples: Samples, seed: int, shard: Shard, first: int, last: int) -> None:
        self.samples, self.seed, self.shard = samples, seed, shard
        self.first, self.last = first * shard.size, last * shard.size

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        number = self.shard.sample(self.first + index)
        degraded, clean, *extra = self.samples.pictures(self.seed, number)
        named = zip(getattr(self.samples, "extra", ()), extra, strict=True)
        rest = (to_tensor(x) if n == "thumbnail" else torch.from_numpy(x) for n, x in named)
        return to_tensor(degraded), to_tensor(clean), *rest


def to_tensor(image: Image) -> Tensor:
    """([F,] H, W, 3) in [0, 1] -> ([F,] 3, H, W) in [-1, 1]."""
    return torch.from_numpy(image).movedim(-1, -3) * 2.0 - 1.0


def single_thread_opencv() -> None:
    """Call before loading a corpus. OpenCV's thread pool does not survive the fork into a worker
    (it hangs, now and then), and workers must not fight the network for cores anyway."""
    cv2.setNumThreads(0)


def _leave_signals_to_parent(_: int) -> None:
    """Ctrl-C and a job's SIGTERM reach every process; the parent finishes its step first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def batches(
    samples: Samples, seed: int, shard: Shard, first: int, last: int, workers: int
) -> Iterator[Batch]:
    """This process's part of batches first..last-1."""
    loader = DataLoader(
        _Samples(samples, seed, shard, first, last),
        batch_size=shard.size,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_leave_signals_to_parent if workers else None,
    )
    for degraded, clean, *extra in loader:
        yield Batch(degraded, clean, **dict(zip(getattr(samples, "extra", ()), extra, strict=True)))
