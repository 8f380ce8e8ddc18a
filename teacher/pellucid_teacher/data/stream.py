"""Endless, resumable stream of training batches from worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .synthesis import Synthesis


@dataclass(frozen=True)
class Batch:
    degraded: Tensor  # (B, 3, H, W) in [-1, 1]
    clean: Tensor  # (B, 3, H, W) in [-1, 1]


class _Samples(Dataset[tuple[Tensor, Tensor]]):
    """Samples first..last of one seed, as a map-style dataset: the loader keeps their order."""

    def __init__(self, synthesis: Synthesis, seed: int, first: int, last: int) -> None:
        self.synthesis, self.seed, self.first, self.last = synthesis, seed, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        degraded, clean, _ = self.synthesis.sample(self.seed, self.first + index)
        return _to_tensor(degraded), _to_tensor(clean)


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1) * 2.0 - 1.0  # (3, H, W)


def single_thread_opencv() -> None:
    """Call before loading a corpus. OpenCV's thread pool does not survive the fork into a worker
    (it hangs, now and then), and workers must not fight the network for cores anyway."""
    cv2.setNumThreads(0)


def batches(
    synthesis: Synthesis, seed: int, batch_size: int, first_step: int, last_step: int, workers: int
) -> Iterator[Batch]:
    """Batches of steps first_step..last_step; step n always holds samples n·B .. (n+1)·B - 1."""
    samples = _Samples(synthesis, seed, first_step * batch_size, last_step * batch_size)
    loader = DataLoader(
        samples,
        batch_size=batch_size,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
    )
    for degraded, clean in loader:
        yield Batch(degraded, clean)
