"""The student's loss: DiffUIR's residual objective at the state where its own sampler starts.

A student is used without noise (start_noise 0), so it is trained without noise too: this removes
the published mismatch between training (beta_bar_T near 1) and sampling (0.1). Later calls are
opinions of the same network on the mirrored picture and need no training of their own.
"""

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch

from .rollout import all_calls
from .terms import rms

# Softens the logarithm (root mean square error, scale 2) where a sample is as good as clean.
ENOUGH = 0.05


def first_call_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Log of each sample's RMS error after one call, batch mean, (). Nothing is drawn.

    But for ENOUGH this is PSNR. The logarithm weighs a sample by the inverse of its own error:
    without it the worst samples of a batch decide alone. L1 in its place leaves more of the
    brightest streaks (LOG.md: 0.1 dB on noise, 0.3 dB on rain).
    """
    (residual,) = all_calls(model, batch.degraded, steps=1)
    return torch.log(rms(residual.float(), batch.degraded - batch.clean) + ENOUGH).mean()
