"""Restoring with a student in one to three steps; `pellucid.steps` has the rule and its reasons."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from pellucid.steps import MOST_STEPS, refine_with
from pellucid_teacher.training.dev_set import Picture, restore_whole

from .plain_unet import PlainUNet


def restore(network: PlainUNet, degraded: Tensor, steps: int = 1) -> Tensor:
    """Restore pictures in `steps` calls: (B, 3, H, W) in [-1, 1] -> same, clipped.

    Height and width must be multiples of `network.config.multiple`.
    Raises ValueError for other steps than 1 to 3.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps of a student: expected 1 to {MOST_STEPS}, got {steps}")

    def predict(seen: Tensor) -> Tensor:
        mirrored: Tensor = network(seen.flip(3), network.scene_of(seen))
        return mirrored.flip(3).clamp(-1.0, 1.0)

    return refine(degraded, network(degraded).clamp(-1.0, 1.0), steps, predict)


def restore_photo(network: nn.Module, picture: Picture, steps: int = 1) -> Picture:
    """A whole picture of any size, (H, W, 3) in [0, 1], by a PlainUNet, on its device."""
    assert isinstance(network, PlainUNet)
    device = network.read_scene.weight.device
    return restore_whole(
        partial(restore, network, steps=steps), picture, network.config.multiple, device
    )


def refine(given: Tensor, first: Tensor, steps: int, predict: Callable[[Tensor], Tensor]) -> Tensor:
    """The estimate after calls 2 to `steps`, like `first`, the estimate after one, (B, C, H, W).

    predict(picture): one call's prediction, in the value range of `given`.
    """
    return refine_with(given, first, steps, lambda seen, call: predict(seen), _mix)


def _mix(one: Tensor, other: Tensor, share: float) -> Tensor:
    """one + share·(other - one)."""
    return one + share * (other - one)
