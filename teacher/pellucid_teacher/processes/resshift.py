"""Residual shifting (ResShift, Yue et al., NeurIPS 2023, arXiv 2307.12348) and the deterministic
form of it that SinSR distils (Wang et al., CVPR 2024, arXiv 2311.14760).

A Markov chain of few steps from the degraded y to the clean x_0.
η_0 = 0 < η_1 < .. < η_T ≈ 1 and α_t = η_t - η_{t-1}.

    forward    q(x_t | x_0, y)   = N( x_0 + η_t·(y - x_0) ,  κ²·η_t )
    posterior  q(x_{t-1} | x_t, x_0) = N( (η_{t-1}/η_t)·x_t + (α_t/η_t)·x_0 ,
                                          κ²·(η_{t-1}/η_t)·α_t )
    prior      x_T = y + κ·sqrt(η_T)·n
    SinSR      x_{t-1} = k·x_0 + m·x_t + j·y                             (no noise, invertible)

Denoisers predict x_0. t counts from 1 here as in the paper; the time value they are fed is t - 1,
as in the release. The paper gives η_T = 0.999, the released schedules end at 0.99² = 0.980: used.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from ..denoiser import Denoiser, noise_like

KAPPA = 2.0  # noise standard deviation at η = 1
POWER = 0.3  # under 1: sqrt(η) rises fast at first
SQRT_ETA_END = 0.99


@dataclass(frozen=True)
class Schedule:
    """eta[t] for t = 0 .. T, float64, eta[0] = 0; kappa scales the noise."""

    eta: Tensor  # (T + 1,)
    kappa: float

    @property
    def steps(self) -> int:
        return len(self.eta) - 1


def schedule(steps: int = 15, least: float = 0.04, kappa: float = KAPPA) -> Schedule:
    """Geometric schedule sqrt(η_t) = sqrt(η_1)·b^((T-1)·((t-1)/(T-1))^p), up to 0.99 at t = T.

    least: noise standard deviation at t = 1, which fixes sqrt(η_1) = min(least/κ, least). 15 steps
    from 0.04 are the conference's, 4 from 0.2 the journal's.
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2 for a geometric schedule, got {steps}")
    first = min(least / kappa, least)
    # b^(T-1) takes sqrt(η) from its first value to its last.
    progress = torch.linspace(0.0, 1.0, steps, dtype=torch.float64) ** POWER  # (T,)
    sqrt_eta = first * (SQRT_ETA_END / first) ** progress
    return Schedule(eta=torch.cat([torch.zeros(1).double(), sqrt_eta**2]), kappa=kappa)


def forward_process(
    sched: Schedule, clean: Tensor, degraded: Tensor, t: Tensor, noise: Tensor
) -> Tensor:
    """x_t = x_0 + η_t·(y - x_0) + κ·sqrt(η_t)·ε, (B, C, H, W). t: (B,) integers in 1 .. T."""
    eta = sched.eta[t.cpu()].to(clean)[:, None, None, None]  # (B, 1, 1, 1)
    return clean + eta * (degraded - clean) + sched.kappa * eta.sqrt() * noise


def posterior(sched: Schedule, t: int) -> tuple[float, float, float]:
    """Coefficients of x_t and x_0 in the mean of q(x_{t-1} | x_t, x_0), and its variance.

    At t = 1 they are (0, 1, 0): the last step is the estimate itself.
    """
    now, before = float(sched.eta[t]), float(sched.eta[t - 1])
    alpha = now - before
    return before / now, alpha / now, sched.kappa**2 * (before / now) * alpha


def posterior_step(sched: Schedule, state: Tensor, clean: Tensor, t: int, fresh: Tensor) -> Tensor:
    """x_{t-1} ~ q(x_{t-1} | x_t, x_0) with noise `fresh`, (B, C, H, W)."""
    on_state, on_clean, variance = posterior(sched, t)
    return on_state * state + on_clean * clean + sqrt(variance) * fresh


def sinsr(sched: Schedule, t: int) -> tuple[float, float, float]:
    """SinSR's k, m, j: the deterministic step that keeps ε while η_t falls to η_{t-1}.

    m = sqrt(η_{t-1}/η_t) ,  j = η_{t-1} - sqrt(η_{t-1}·η_t) ,  k = 1 - j - m .
    """
    now, before = float(sched.eta[t]), float(sched.eta[t - 1])
    m = sqrt(before / now)
    j = before - sqrt(before * now)
    return 1.0 - j - m, m, j


def sinsr_step(sched: Schedule, state: Tensor, clean: Tensor, degraded: Tensor, t: int) -> Tensor:
    """x_{t-1} = k·x_0 + m·x_t + j·y, (B, C, H, W)."""
    k, m, j = sinsr(sched, t)
    return k * clean + m * state + j * degraded


def time_value(t: Tensor) -> Tensor:
    """The time value that networks are fed: t - 1, float32, same shape as t."""
    return (t - 1).float()


def preconditioned(denoiser: Denoiser, sched: Schedule) -> Denoiser:
    """`denoiser` with its x_t brought into about [-1, 1]; wrap it for training and sampling alike.

    x_t / (3·κ·sqrt(η_t) + 1): three standard deviations and the image.
    """

    def scaled(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        t = time.round().long().cpu() + 1  # (B,)
        std = sched.kappa * sched.eta[t].sqrt().to(x_t)[:, None, None, None]  # (B, 1, 1, 1)
        return denoiser(x_t / (3.0 * std + 1.0), condition, time)

    return scaled


def loss(
    denoiser: Denoiser,
    sched: Schedule,
    clean: Tensor,
    degraded: Tensor,
    t: Tensor,
    noise: Tensor,
    condition: Tensor,
) -> Tensor:
    """Mean squared error of the predicted x_0 at given t and noise, (). condition: see `sample`."""
    x_t = forward_process(sched, clean, degraded, t, noise)
    estimate = denoiser(x_t, condition, time_value(t))
    return (estimate - clean).square().mean()


def prior(sched: Schedule, degraded: Tensor, noise: Tensor) -> Tensor:
    """x_T = y + κ·sqrt(η_T)·n, (B, C, H, W): where every sampler starts."""
    return degraded + sched.kappa * sqrt(float(sched.eta[-1])) * noise


def sample(
    denoiser: Denoiser,
    sched: Schedule,
    degraded: Tensor,
    condition: Tensor,
    deterministic: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Restore `degraded` (the chain's y) in T calls of the denoiser; returns x_0 in [-1, 1],
    (B, C, H, W). Every estimate is clipped.

    condition: what the denoiser sees beside x_t. deterministic: SinSR's steps, the map that it
    distils; the start noise stays random.
    """
    state = prior(sched, degraded, noise_like(degraded, generator))
    for t in range(sched.steps, 0, -1):
        index = torch.full((degraded.shape[0],), t, device=degraded.device)  # (B,)
        clean = denoiser(state, condition, time_value(index)).clamp(-1.0, 1.0)
        if deterministic:
            state = sinsr_step(sched, state, clean, degraded, t)
        else:
            state = posterior_step(sched, state, clean, t, noise_like(degraded, generator))
    return state
