"""The calls of a one- to three-step sampler, run so that gradients go through all of them.

A call's state is built from the student's own earlier estimates, exactly as its sampler does, so
training and use see the same states. Later calls thus teach earlier ones which states to leave
behind.
"""

from torch import Tensor, nn

from pellucid_teacher.processes import diffuir

SCHEDULE = diffuir.schedule()


def all_calls(model: nn.Module, degraded: Tensor, steps: int) -> list[Tensor]:
    """Residuals of every call of a `steps`-step sampler, (B, 3, H, W) each."""
    grid = diffuir.step_grid(steps)
    state = diffuir.start_state(SCHEDULE, degraded, 0.0, None)
    residuals = []
    for call, t in enumerate(grid):
        residual: Tensor = model(state, degraded, diffuir.time_of(SCHEDULE, t, degraded))
        residuals.append(residual)
        if call + 1 < len(grid):
            own = (degraded - residual).clamp(-1.0, 1.0)
            state = diffuir.reverse_step(
                SCHEDULE, state, degraded - own, degraded, t, grid[call + 1]
            )
    return residuals
