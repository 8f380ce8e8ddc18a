"""Which calls of a one- to three-step sampler a training step is about, and the states they see.

A call's state is built from the student's own earlier estimates, exactly as its sampler does, so
training and use see the same states.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from pellucid_teacher.processes import diffuir

FIRST_CALL_SHARE = 0.5
SCHEDULE = diffuir.schedule()
LONGER = ((2, 2), (2, 3), (3, 3))  # (calls, steps of the sampler) after the first call


def draw_grid(generator: torch.Generator) -> list[int]:
    """The t of the calls to run, largest first; the last one is trained.

    With FIRST_CALL_SHARE it is the first call, the only one of the one-step student; otherwise
    the second or third of a two- or three-step sampler.
    """
    draw = torch.rand(2, generator=generator)
    if float(draw[0]) < FIRST_CALL_SHARE:
        return diffuir.step_grid(1)
    calls, steps = LONGER[int(draw[1] * 3)]
    return diffuir.step_grid(steps)[:calls]


def last_call(model: nn.Module, degraded: Tensor, grid: list[int]) -> Tensor:
    """Residual of the call at grid[-1], (B, 3, H, W); earlier calls run without gradient."""
    with torch.no_grad():
        state = diffuir.start_state(SCHEDULE, degraded, 0.0, None)
        for t, s in pairwise(grid):
            own = diffuir.estimate(model, SCHEDULE, state, degraded, t)
            state = diffuir.reverse_step(SCHEDULE, state, degraded - own, degraded, t, s)
    residual: Tensor = model(state, degraded, diffuir.time_of(SCHEDULE, grid[-1], degraded))
    return residual


def all_calls(model: nn.Module, degraded: Tensor, steps: int) -> list[Tensor]:
    """Residuals of every call of a `steps`-step sampler, with gradients through all of them.

    Later calls thus teach earlier ones which states to leave behind.
    """
    grid = diffuir.step_grid(steps)
    state = diffuir.start_state(SCHEDULE, degraded, 0.0, None)
    residuals = []
    for call, t in enumerate(grid):
        residual = model(state, degraded, diffuir.time_of(SCHEDULE, t, degraded))
        residuals.append(residual)
        if call + 1 < len(grid):
            own = (degraded - residual).clamp(-1.0, 1.0)
            state = diffuir.reverse_step(
                SCHEDULE, state, degraded - own, degraded, t, grid[call + 1]
            )
    return residuals
