"""Restoring with a student in one to three steps; `pellucid.steps` has the rule and its reasons."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from pellucid.steps import MOST_STEPS, refine_with

from .plain_unet import PlainUNet


def restore(network: PlainUNet, degraded: Tensor, steps: int = 1) -> Tensor:
    """Restore whole pictures in `steps` calls: (B, 3, H, W) in [-1, 1] -> same, clipped.

    Sides that the network does not take are padded by repetition and cut again.
    Raises ValueError for other steps than 1 to 3.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps of a student: expected 1 to {MOST_STEPS}, got {steps}")

    def predict(seen: Tensor) -> Tensor:
        mirrored: Tensor = network(seen.flip(3), network.scene_of(seen))
        return mirrored.flip(3).clamp(-1.0, 1.0)

    given = pad(degraded, network.config.multiple)
    restored = refine(given, network(given).clamp(-1.0, 1.0), steps, predict)
    return restored[:, :, : degraded.shape[2], : degraded.shape[3]]


def pad(picture: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, (B, 3, H', W')."""
    below, right = -picture.shape[2] % multiple, -picture.shape[3] % multiple
    return F.pad(picture, (0, right, 0, below), mode="replicate") if below or right else picture


def refine(given: Tensor, first: Tensor, steps: int, predict: Callable[[Tensor], Tensor]) -> Tensor:
    """The estimate after calls 2 to `steps`, like `first`, the estimate after one, (B, C, H, W).

    predict(picture): one call's prediction, in the value range of `given`.
    """
    return refine_with(given, first, steps, lambda seen, call: predict(seen), _mix)


def _mix(one: Tensor, other: Tensor, share: float) -> Tensor:
    """one + share·(other - one)."""
    return one + share * (other - one)
