"""The student's loss: DiffUIR's residual objective at the states that its own sampler visits.

A student is used without noise (start_noise 0), so it is trained without noise too: this removes
the published mismatch between training (beta_bar_T near 1) and sampling (0.1). A state is then a
picture, half-restored, and a later call is an ordinary one on that picture.
"""

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch
from pellucid_teacher.processes import diffuir

from .losses import rms

# Softens the logarithm (root mean square error, scale 2) where a sample is as good as clean.
ENOUGH = 0.05
LATER = 0.3  # share of the batches that are states of later calls
LEAST_INPUT_WEIGHT = 0.4  # of what was given, in such a state; a third call sees a half of it

SCHEDULE = diffuir.schedule()


def one_call(model: nn.Module, degraded: Tensor) -> Tensor:
    """Residual of a one-step sampler, (B, 3, H, W)."""
    state = diffuir.start_state(SCHEDULE, degraded, 0.0, None)
    last = diffuir.step_grid(1)[0]
    residual: Tensor = model(state, degraded, diffuir.time_of(SCHEDULE, last, degraded))
    return residual


@torch.no_grad()
def half_restored(model: nn.Module, degraded: Tensor, left: float) -> Tensor:
    """left·I_in + (1 - left)·E, E the model's estimate: what a later call sees, (B, 3, H, W)."""
    return degraded - (1.0 - left) * one_call(model, degraded).float()


def at_some_call(
    model: nn.Module, batch: Batch, generator: torch.Generator, later: float = LATER
) -> Batch:
    """The batch as a first call gets it or, a share `later` of the time, as a later one does."""
    draw, how_far = torch.rand(2, generator=generator).tolist()
    if draw >= later:
        return batch
    left = LEAST_INPUT_WEIGHT + (1.0 - LEAST_INPUT_WEIGHT) * how_far
    return Batch(half_restored(model, batch.degraded, left), batch.clean)


def call_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Log of each sample's RMS error after one call, batch mean, ().

    But for ENOUGH this is PSNR. The logarithm weighs a sample by the inverse of its own error:
    without it the worst samples of a batch decide alone. L1 in its place leaves more of the
    brightest streaks (LOG.md: 0.1 dB on noise, 0.3 dB on rain).
    """
    seen = at_some_call(model, batch, generator)
    residual = one_call(model, seen.degraded)
    return torch.log(rms(residual.float(), seen.degraded - seen.clean) + ENOUGH).mean()
