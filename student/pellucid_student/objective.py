"""The student's loss: DiffUIR's residual objective on the states that its own sampler visits.

A student is used without noise (start_noise 0), so it is trained without noise too: this removes
the published mismatch between training (β̄_T ≈ 1) and sampling (0.1). Later calls of a sampler see
states built from the student's own earlier estimates; they are trained on exactly those states.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch
from pellucid_teacher.processes import diffuir

FIRST_CALL_SHARE = 0.7
# Softens the logarithm (mean absolute error, scale 2) where a sample is already as good as clean.
ENOUGH = 0.05
SCHEDULE = diffuir.schedule()


def unrolled_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Log of each sample's L1 at one call of a one- to three-step sampler, batch mean, ().

    The logarithm weighs a sample by the inverse of its own error, as PSNR does: without it the
    worst samples of a batch decide alone.

    With FIRST_CALL_SHARE it is the first call, the only one of the one-step student; otherwise a
    later call of a two- or three-step sampler, earlier ones run without gradient.
    """
    draw = torch.rand(2, generator=generator)
    calls = 1
    grid = diffuir.step_grid(1)
    if float(draw[0]) >= FIRST_CALL_SHARE:
        calls, steps = ((2, 2), (2, 3), (3, 3))[int(draw[1] * 3)]
        grid = diffuir.step_grid(steps)[:calls]
    degraded, clean = batch.degraded, batch.clean
    with torch.no_grad():
        state = diffuir.start_state(SCHEDULE, degraded, 0.0, None)
        for t, s in pairwise(grid):
            own = diffuir.estimate(model, SCHEDULE, state, degraded, t)
            state = diffuir.reverse_step(SCHEDULE, state, degraded - own, degraded, t, s)
    residual = model(state, degraded, diffuir.time_of(SCHEDULE, grid[-1], degraded))
    error = (residual.float() - (degraded - clean)).abs().mean(dim=(1, 2, 3))  # (B,)
    return torch.log(error + ENOUGH).mean()
