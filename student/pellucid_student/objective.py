"""The student's loss: PSNR of one call, at the pictures that its own steps visit.

A student restores without noise, so it learns without noise too. A later call sees a picture,
half-restored (steps.py), and is an ordinary call on that picture.
"""

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch

from .losses import rms

# Softens the logarithm (root mean square error, scale 2) where a sample is as good as clean.
ENOUGH = 0.05
LATER = 0.3  # share of the batches that are pictures of later calls
LEAST_INPUT_WEIGHT = 0.4  # of what was given, in such a picture; a third call sees a half of it


@torch.no_grad()
def half_restored(model: nn.Module, degraded: Tensor, weight: float) -> Tensor:
    """weight·I_in + (1 - weight)·model(I_in): what a later call sees, (B, 3, H, W)."""
    estimate: Tensor = model(degraded).float()
    return estimate + weight * (degraded - estimate)


def at_some_call(
    model: nn.Module, batch: Batch, generator: torch.Generator, later: float = LATER
) -> Batch:
    """The batch as a first call gets it or, a share `later` of the time, as a later one does."""
    draw, how_far = torch.rand(2, generator=generator).tolist()
    if draw >= later:
        return batch
    weight = LEAST_INPUT_WEIGHT + (1.0 - LEAST_INPUT_WEIGHT) * how_far
    return Batch(half_restored(model, batch.degraded, weight), batch.clean)


def call_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Log of each sample's RMS error after one call, batch mean, ().

    But for ENOUGH this is PSNR. The logarithm weighs a sample by the inverse of its own error:
    without it the worst samples of a batch decide alone. L1 in its place leaves more of the
    brightest streaks (0.1 dB on noise, 0.3 dB on rain).
    """
    seen = at_some_call(model, batch, generator)
    restored = model(seen.degraded)
    return torch.log(rms(restored.float(), seen.clean) + ENOUGH).mean()
