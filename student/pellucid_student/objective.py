"""The student's loss: DiffUIR's residual objective on the states that its own sampler visits.

A student is used without noise (start_noise 0), so it is trained without noise too: this removes
the published mismatch between training (beta_bar_T near 1) and sampling (0.1).
"""

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch

from .rollout import draw_grid, last_call

# Softens the logarithm (mean absolute error, scale 2) where a sample is already as good as clean.
ENOUGH = 0.05


def unrolled_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Log of each sample's L1 at one call of a one- to three-step sampler, batch mean, ().

    The logarithm weighs a sample by the inverse of its own error, as PSNR does: without it the
    worst samples of a batch decide alone.
    """
    residual = last_call(model, batch.degraded, draw_grid(generator))
    error = (residual.float() - (batch.degraded - batch.clean)).abs().mean(dim=(1, 2, 3))  # (B,)
    return torch.log(error + ENOUGH).mean()
