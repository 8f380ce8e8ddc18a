"""Residual denoising diffusion (RDDM, Liu et al., CVPR 2024, arXiv 2308.13712).

Residual and noise have a schedule each. Images are in [-1, 1]; I_0 is the clean image, I_in the
degraded one, I_res = I_in - I_0.

    forward    I_t = I_0 + ᾱ_t·I_res + β̄_t·ε                                       (closed form)
    reverse    I_s = I_t - (ᾱ_t - ᾱ_s)·r̂ - (β̄_t - β̄_s)·ε̂               (the paper's σ = 0)

The model predicts the residual (SM-Res) or the noise (SM-N); the other follows from the forward
equation. Its third form, two networks for both, is left out: restoration does not use it.

DiffUIR is this process with a third schedule δ̄ that fades I_in. With δ̄ = 0 the forward processes
are equal, and so are the reverse steps where ε̂ = 0: DiffUIR's release never removes noise.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ..denoiser import Denoiser, noise_like
from . import diffuir
from .diffuir import T, step_grid

# SM-N divides by the clean image's share 1 - ᾱ_t, which a restoration schedule brings to 0 at T.
# Such a first estimate is noise clipped to [-1, 1]; SM-N wants the generation schedule.
SMALLEST_SHARE = 1e-6

Predicts = Literal["residual", "noise"]


@dataclass(frozen=True)
class Schedule:
    """Cumulative coefficients, one value per t = 0 .. T-1, float64.

    alpha_bar: share of the residual present at t, rising to 1.
    beta_bar:  standard deviation of the noise at t.
    """

    alpha_bar: Tensor  # (T,)
    beta_bar: Tensor  # (T,)

    def time(self, t: Tensor, predicts: Predicts) -> Tensor:
        """The time value that a network is fed: 1000·ᾱ_t if it predicts the residual, 1000·β̄_t if
        the noise; float32, same shape as t."""
        bar = self.alpha_bar if predicts == "residual" else self.beta_bar
        return (T * bar[t.cpu()]).float().to(t.device)


@dataclass(frozen=True)
class Estimate:
    """What is known at t, each (B, 3, H, W): Î_0 in [-1, 1], r̂ and ε̂."""

    clean: Tensor
    residual: Tensor
    noise: Tensor


def restoration_schedule(sum_scale: float = 0.01) -> Schedule:
    """α_t falling linearly to 0 with sum 1, β_t² rising linearly from 0 with sum `sum_scale`.

    sum_scale: variance of the noise at T. 0.01 is the release's for most tasks; 1 for raindrops and
    where the model learns by itself what to predict.
    """
    if sum_scale <= 0.0:
        raise ValueError(f"sum_scale is the variance at T and must be positive, got {sum_scale}")
    ramp = torch.linspace(0.0, 1.0, T, dtype=torch.float64)
    share = ramp / ramp.sum()
    return Schedule(
        alpha_bar=share.flip(0).cumsum(0).clamp(max=1.0),  # rounding may pass 1
        beta_bar=(sum_scale * share.cumsum(0)).sqrt(),
    )


def generation_schedule() -> Schedule:
    """DDPM's linear schedule converted, ᾱ_t = 1 - sqrt(Π(1-b)), β̄_t² = 1 - Π(1-b): DiffUIR's."""
    sched = diffuir.schedule()
    return Schedule(alpha_bar=sched.alpha_bar, beta_bar=sched.beta_bar)


def forward_process(
    sched: Schedule, clean: Tensor, degraded: Tensor, t: Tensor, noise: Tensor
) -> Tensor:
    """I_t = I_0 + ᾱ_t·I_res + β̄_t·ε, (B, 3, H, W). t: (B,) integers in [0, T)."""
    alpha, beta = (
        c[t.cpu()].to(clean)[:, None, None, None]  # (B, 1, 1, 1)
        for c in (sched.alpha_bar, sched.beta_bar)
    )
    return clean + alpha * (degraded - clean) + beta * noise


def estimate_sm_res(
    sched: Schedule, state: Tensor, residual: Tensor, degraded: Tensor, t: int
) -> Estimate:
    """Î_0 = I_in - r̂ ,  ε̂ = (I_t - I_in + (1 - ᾱ_t)·r̂) / β̄_t  (0 where there is no noise)."""
    alpha, beta = float(sched.alpha_bar[t]), float(sched.beta_bar[t])
    clean = (degraded - residual).clamp(-1.0, 1.0)
    residual = degraded - clean  # the one that belongs to the clipped estimate
    excess = state - degraded + (1.0 - alpha) * residual
    return Estimate(clean, residual, excess / beta if beta > 0.0 else torch.zeros_like(state))


def estimate_sm_n(
    sched: Schedule, state: Tensor, noise: Tensor, degraded: Tensor, t: int
) -> Estimate:
    """Î_0 = (I_t - ᾱ_t·I_in - β̄_t·ε̂) / (1 - ᾱ_t) ,  r̂ = I_in - Î_0."""
    alpha, beta = float(sched.alpha_bar[t]), float(sched.beta_bar[t])
    share = max(1.0 - alpha, SMALLEST_SHARE)
    clean = ((state - alpha * degraded - beta * noise) / share).clamp(-1.0, 1.0)
    return Estimate(clean, degraded - clean, noise)


def reverse_step(sched: Schedule, state: Tensor, estimate: Estimate, t: int, s: int) -> Tensor:
    """One deterministic step from t down to s: I_t - (ᾱ_t - ᾱ_s)·r̂ - (β̄_t - β̄_s)·ε̂."""
    d_alpha = float(sched.alpha_bar[t] - sched.alpha_bar[s])
    d_beta = float(sched.beta_bar[t] - sched.beta_bar[s])
    return state - d_alpha * estimate.residual - d_beta * estimate.noise


def sample(
    denoiser: Denoiser,
    sched: Schedule,
    degraded: Tensor,
    predicts: Predicts = "residual",
    steps: int = 5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Restore `degraded` in `steps` calls from I_in + β̄_T·n; returns I_0 in [-1, 1], (B, 3, H, W).

    n is the only randomness.
    """
    grid = step_grid(steps)
    state = degraded + float(sched.beta_bar[-1]) * noise_like(degraded, generator)
    for t, s in pairwise(grid):
        known = estimate(denoiser, sched, state, degraded, t, predicts)
        state = reverse_step(sched, state, known, t, s)
    return estimate(denoiser, sched, state, degraded, grid[-1], predicts).clean


def estimate(
    denoiser: Denoiser, sched: Schedule, state: Tensor, degraded: Tensor, t: int, predicts: Predicts
) -> Estimate:
    """Ask the denoiser at t."""
    index = torch.full((degraded.shape[0],), t, device=degraded.device)  # (B,)
    out = denoiser(state, degraded, sched.time(index, predicts))
    known = estimate_sm_res if predicts == "residual" else estimate_sm_n
    return known(sched, state, out, degraded, t)


def loss(
    denoiser: Denoiser,
    sched: Schedule,
    clean: Tensor,
    degraded: Tensor,
    t: Tensor,
    noise: Tensor,
    predicts: Predicts = "residual",
) -> Tensor:
    """The published objective at given t and noise: L1 of what is predicted, ()."""
    x_t = forward_process(sched, clean, degraded, t, noise)
    target = degraded - clean if predicts == "residual" else noise
    return (denoiser(x_t, degraded, sched.time(t, predicts)) - target).abs().mean()
