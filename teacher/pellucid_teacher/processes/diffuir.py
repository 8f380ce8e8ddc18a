"""Selective hourglass mapping (DiffUIR, Zheng et al., CVPR 2024, arXiv 2403.11157).

One residual diffusion for every degradation. Images are in [-1, 1]; I_0 is the clean image, I_in
the degraded one, I_res = I_in - I_0.

    forward    I_t = I_0 + ᾱ_t·I_res + β̄_t·ε - δ̄_t·I_in                            (closed form)
    objective  E_t | R_θ(I_t, I_in, 1000·ᾱ_t) - I_res |_1
    sampler    x <- x - (ᾱ_t - ᾱ_s)·r + (δ̄_t - δ̄_s)·I_in ,   r = R_θ(x, I_in, 1000·ᾱ_t)

The term -δ̄_t·I_in is the shared distribution term: it fades the degraded image so that all tasks
pass through nearly one distribution at t = T.

Where the published code departs from the paper, and what is used here
- The paper's reverse step also removes noise, -(β̄_t - β̄_s)·ε̂. The released sampler computes ε̂
  and never uses it: the state keeps the noise it started with. We use the released form, because
  the published results were made with it; for a noise-free state and exact residuals the two
  agree (ε̂ = 0).
- Training adds noise up to β̄_T ≈ 1 while the released sampler starts from std 0.1, a constant left
  over from RDDM. `start_noise` is that number: 0.1 reproduces the release, 1.0 is the consistent
  value, and 0 (our students, on both sides of training) makes the sampler a deterministic map.
- The last call's residual is subtracted from I_in, not from the state: earlier calls matter only
  through the state they leave behind.
- The release clips each residual to [-1, 1], half of its true range [-2, 2]: a dark photo could
  gain at most half of the scale. We clip the estimate I_in - r to [-1, 1] instead and use the
  residual that belongs to it.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..denoiser import Denoiser, noise_like

T = 1000


@dataclass(frozen=True)
class Schedule:
    """Cumulative coefficients of the process, one value per t = 0 .. T-1, float64.

    alpha_bar: share of the residual present at t, 0 -> ~1.
    beta_bar:  standard deviation of the noise at t, 0 -> ~1.
    delta_bar: share of I_in that the shared distribution term has removed, 0 -> 0.9.
    """

    alpha_bar: Tensor  # (T,)
    beta_bar: Tensor  # (T,)
    delta_bar: Tensor  # (T,)

    def time(self, t: Tensor) -> Tensor:
        """The time value that networks are fed: 1000·ᾱ_t, float32, same shape as t."""
        return (1000.0 * self.alpha_bar[t.cpu()]).float().to(t.device)


def schedule(delta_end: float = 1.8e-3) -> Schedule:
    """DiffUIR's schedules: DDPM's linear b_t converted as in RDDM, and δ_t rising linearly.

    ᾱ_t = 1 - sqrt(Π(1-b)),  β̄_t² = 1 - Π(1-b),  δ̄_t = clip(Σδ, 0, 1).
    delta_end: the last δ_t. 1.8e-3 is DiffUIR's, 1.4e-3 FoundIR's.
    """
    b = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    signal = torch.cumprod(1.0 - b, 0)
    delta = torch.linspace(1e-6, delta_end, T, dtype=torch.float64)
    return Schedule(
        alpha_bar=1.0 - signal.sqrt(),
        beta_bar=(1.0 - signal).sqrt(),
        delta_bar=delta.cumsum(0).clamp(0.0, 1.0),
    )


def step_grid(steps: int) -> list[int]:
    """The t visited by a sampler of `steps` steps, largest first: 3 -> [999, 665, 332].

    The released rule: int(linspace(-1, T-1, steps+1)) reversed, without the closing -1.
    """
    if not 1 <= steps <= T:
        raise ValueError(f"steps must be between 1 and {T}, got {steps}")
    grid = torch.linspace(-1, T - 1, steps + 1, dtype=torch.float64).int().tolist()
    return list(reversed(grid[1:]))


def forward_process(
    sched: Schedule, clean: Tensor, degraded: Tensor, t: Tensor, noise: Tensor | None
) -> Tensor:
    """I_t = I_0 + ᾱ_t·I_res + β̄_t·ε - δ̄_t·I_in, (B, 3, H, W); noise None means ε = 0.

    clean, degraded: (B, 3, H, W) in [-1, 1]. t: (B,) integers in [0, T).
    """
    alpha, beta, delta = (
        c[t.cpu()].to(clean)[:, None, None, None]  # (B, 1, 1, 1)
        for c in (sched.alpha_bar, sched.beta_bar, sched.delta_bar)
    )
    state = clean + alpha * (degraded - clean) - delta * degraded
    return state if noise is None else state + beta * noise


def residual_loss(
    denoiser: Denoiser,
    sched: Schedule,
    clean: Tensor,
    degraded: Tensor,
    t: Tensor,
    noise: Tensor | None,
) -> Tensor:
    """The published objective at given t and noise: L1 between predicted and true I_res, ()."""
    x_t = forward_process(sched, clean, degraded, t, noise)
    residual = denoiser(x_t, degraded, sched.time(t))
    return (residual - (degraded - clean)).abs().mean()


def start_state(
    sched: Schedule, degraded: Tensor, start_noise: float, generator: torch.Generator | None
) -> Tensor:
    """x_T = (1 - δ̄_T)·I_in + start_noise·n: where every sampler starts, (B, 3, H, W)."""
    state = (1.0 - float(sched.delta_bar[-1])) * degraded
    if start_noise == 0.0:
        return state
    return state + start_noise * noise_like(degraded, generator)


def reverse_step(
    sched: Schedule, state: Tensor, residual: Tensor, degraded: Tensor, t: int, s: int
) -> Tensor:
    """One deterministic step from t down to s: x - (ᾱ_t - ᾱ_s)·r + (δ̄_t - δ̄_s)·I_in."""
    d_alpha = float(sched.alpha_bar[t] - sched.alpha_bar[s])
    d_delta = float(sched.delta_bar[t] - sched.delta_bar[s])
    return state - d_alpha * residual + d_delta * degraded


def sample(
    denoiser: Denoiser,
    sched: Schedule,
    degraded: Tensor,
    steps: int = 3,
    start_noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Restore `degraded` in `steps` calls of the denoiser; returns I_0 in [-1, 1], (B, 3, H, W).

    Deterministic for start_noise 0. Every estimate of I_0 is clipped to [-1, 1].
    """
    grid = step_grid(steps)
    state = start_state(sched, degraded, start_noise, generator)
    for t, s in pairwise(grid):
        clean = estimate(denoiser, sched, state, degraded, t)
        state = reverse_step(sched, state, degraded - clean, degraded, t, s)
    return estimate(denoiser, sched, state, degraded, grid[-1])


def estimate(
    denoiser: Denoiser, sched: Schedule, state: Tensor, degraded: Tensor, t: int
) -> Tensor:
    """clip(I_in - R_θ(x_t, I_in, 1000·ᾱ_t), -1, 1): the clean image as seen from t."""
    residual = denoiser(state, degraded, time_of(sched, t, degraded))
    return (degraded - residual).clamp(-1.0, 1.0)


def time_of(sched: Schedule, t: int, like: Tensor) -> Tensor:
    """The time value of one t for every picture of a batch, (B,)."""
    return sched.time(torch.full((like.shape[0],), t, device=like.device))
