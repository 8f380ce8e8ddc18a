"""Residual denoising diffusion (RDDM, Liu et al., CVPR 2024, arXiv 2308.13712).

Residual and noise have a schedule each. Images are in [-1, 1]; I_0 is the clean image, I_in the
degraded one, I_res = I_in - I_0.

    forward    I_t = I_0 + ᾱ_t·I_res + β̄_t·ε                                       (closed form)
    reverse    I_s = I_t - (ᾱ_t - ᾱ_s)·r̂ - (β̄_t - sqrt(β̄_s² - σ²))·ε̂ + σ·n
               σ² = η·(β̄_t² - β̄_s²)·β̄_s² / β̄_t²

The model may predict the residual (SM-Res), the noise (SM-N) or both (SM-Res-N); what it does not
predict follows from the forward equation. Every function here takes a `residual` denoiser, a
`noise` denoiser or both, and that choice is the variant.

DiffUIR is this process with a third schedule δ̄ that fades I_in. With δ̄ = 0 the forward processes
are equal, and so are the reverse steps where ε̂ = 0: DiffUIR's release never removes noise.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

from ..denoiser import Denoiser
from . import diffuir
from .diffuir import T, step_grid

# SM-N divides by the clean image's share 1 - ᾱ_t, which a restoration schedule brings to 0 at T.
# Such a first estimate is noise clipped to [-1, 1]; SM-N wants the generation schedule.
SMALLEST_SHARE = 1e-6
NO_DENOISER = "expected a residual denoiser, a noise denoiser or both; got neither"


@dataclass(frozen=True)
class Schedule:
    """Cumulative coefficients, one value per t = 0 .. T-1, float64.

    alpha_bar: share of the residual present at t, rising to 1.
    beta_bar:  standard deviation of the noise at t.
    """

    alpha_bar: Tensor  # (T,)
    beta_bar: Tensor  # (T,)

    def residual_time(self, t: Tensor) -> Tensor:
        """The time value that a residual predictor is fed: 1000·ᾱ_t, float32, same shape as t."""
        return (T * self.alpha_bar[t.cpu()]).float().to(t.device)

    def noise_time(self, t: Tensor) -> Tensor:
        """The time value that a noise predictor is fed: 1000·β̄_t, float32, same shape as t."""
        return (T * self.beta_bar[t.cpu()]).float().to(t.device)


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


def estimate_sm_res_n(
    sched: Schedule, state: Tensor, residual: Tensor, noise: Tensor, t: int
) -> Estimate:
    """Î_0 = I_t - ᾱ_t·r̂ - β̄_t·ε̂ ; both predictions stay as they are."""
    alpha, beta = float(sched.alpha_bar[t]), float(sched.beta_bar[t])
    clean = (state - alpha * residual - beta * noise).clamp(-1.0, 1.0)
    return Estimate(clean, residual, noise)


def reverse_step(
    sched: Schedule,
    state: Tensor,
    estimate: Estimate,
    t: int,
    s: int,
    eta: float = 0.0,
    fresh: Tensor | None = None,
) -> Tensor:
    """One step from t down to s, (B, 3, H, W).

    eta: 0 is deterministic; 1 draws from the posterior q(I_s | I_t, I_0, I_in), and then `fresh`,
    the noise n, is required.
    """
    d_alpha = float(sched.alpha_bar[t] - sched.alpha_bar[s])
    beta_t, beta_s = float(sched.beta_bar[t]), float(sched.beta_bar[s])
    variance = eta * (beta_t**2 - beta_s**2) * beta_s**2 / beta_t**2
    kept = sqrt(beta_s**2 - variance)  # β̄_s = sqrt(kept² + σ²)
    moved = state - d_alpha * estimate.residual - (beta_t - kept) * estimate.noise
    if eta == 0.0:
        return moved
    if fresh is None:
        raise ValueError(f"reverse_step with eta = {eta} adds noise: pass it as fresh=")
    return moved + sqrt(variance) * fresh


def sample(
    sched: Schedule,
    degraded: Tensor,
    residual: Denoiser | None = None,
    noise: Denoiser | None = None,
    steps: int = 5,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Restore `degraded` in `steps` steps from I_in + β̄_T·n; returns I_0 in [-1, 1], (B, 3, H, W).

    residual, noise: the denoisers that there are. eta: 0 leaves n as the only randomness.
    """
    grid = step_grid(steps)
    state = degraded + float(sched.beta_bar[-1]) * _randn(degraded, generator)
    for t, s in pairwise(grid):
        known = estimate(sched, state, degraded, t, residual, noise)
        fresh = _randn(degraded, generator) if eta > 0.0 else None
        state = reverse_step(sched, state, known, t, s, eta, fresh)
    return estimate(sched, state, degraded, grid[-1], residual, noise).clean


def estimate(
    sched: Schedule,
    state: Tensor,
    degraded: Tensor,
    t: int,
    residual: Denoiser | None,
    noise: Denoiser | None,
) -> Estimate:
    """Ask the denoisers at t: SM-Res with `residual` alone, SM-N with `noise`, else SM-Res-N."""
    index = torch.full((degraded.shape[0],), t, device=degraded.device)  # (B,)
    r = None if residual is None else residual(state, degraded, sched.residual_time(index))
    epsilon = None if noise is None else noise(state, degraded, sched.noise_time(index))
    if r is not None and epsilon is not None:
        return estimate_sm_res_n(sched, state, r, epsilon, t)
    if r is not None:
        return estimate_sm_res(sched, state, r, degraded, t)
    if epsilon is not None:
        return estimate_sm_n(sched, state, epsilon, degraded, t)
    raise ValueError(NO_DENOISER)


def loss(
    sched: Schedule,
    clean: Tensor,
    degraded: Tensor,
    t: Tensor,
    epsilon: Tensor,
    residual: Denoiser | None = None,
    noise: Denoiser | None = None,
) -> Tensor:
    """The published objective for restoration at given t and noise ε, ().

    L1 of the residual and of the noise, as far as they are predicted; at least one must be.
    """
    x_t = forward_process(sched, clean, degraded, t, epsilon)
    terms = []
    if residual is not None:
        error = residual(x_t, degraded, sched.residual_time(t)) - (degraded - clean)
        terms.append(error.abs().mean())
    if noise is not None:
        terms.append((noise(x_t, degraded, sched.noise_time(t)) - epsilon).abs().mean())
    if not terms:
        raise ValueError(NO_DENOISER)
    return torch.stack(terms).sum()


def _randn(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device).to(like)
