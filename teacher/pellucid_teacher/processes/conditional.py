"""Image-conditional diffusion with a continuous noise level (Whang et al., CVPR 2022, arXiv
2112.02475; Chen et al., WaveGrad, ICLR 2021), the base of structure-guided deblurring.

    forward    x̃ = sqrt(ᾱ)·x_0 + sqrt(1 - ᾱ)·ε ,  sqrt(ᾱ) even between neighbours of the grid
    objective  E |ε - ε_θ(x̃, y, sqrt(ᾱ))|_1
    reverse    x_{t-1} = (x_t - β_t / sqrt(1 - ᾱ_t)·ε_θ) / sqrt(1 - β_t) + sqrt(β̃_t)·z

The sampler's grid is free: its number of steps and largest β are searched for dB and for perceptual
distance apart. Networks here predict either ε, as published, or x_0, which holds a small network
near the degraded picture; the two are one equation apart.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from ..denoiser import Denoiser, noise_like

Target = Literal["noise", "clean"]
LEAST_BETA = 1e-6


@dataclass(frozen=True)
class Grid:
    """beta[t] for t = 0 .. T - 1, from clean to noise, float64."""

    beta: Tensor  # (T,)

    @property
    def alpha_bar(self) -> Tensor:
        """Π (1 - β), (T,)."""
        return torch.cumprod(1.0 - self.beta, dim=0)


def grid(steps: int, most_beta: float) -> Grid:
    """β linear from LEAST_BETA to `most_beta`. Raises ValueError unless 0 < most_beta < 1."""
    if steps < 1 or not LEAST_BETA < most_beta < 1.0:
        raise ValueError(
            f"expected at least 1 step and a largest beta in (0, 1), got {steps} and {most_beta}"
        )
    return Grid(torch.linspace(LEAST_BETA, most_beta, steps + 1, dtype=torch.float64)[1:])


def training_grid() -> Grid:
    """2,000 steps up to β = 0.01: ᾱ ends at 4e-5."""
    return grid(2000, 0.01)


def draw_level(sched: Grid, batch: int, generator: torch.Generator) -> Tensor:
    """sqrt(ᾱ) between two neighbours of the grid, (batch,), float32."""
    roots = torch.cat([torch.ones(1).double(), sched.alpha_bar.sqrt()])  # (T + 1,)
    t = torch.randint(1, len(roots), (batch,), generator=generator)
    share = torch.rand(batch, generator=generator, dtype=torch.float64)
    return (roots[t] + share * (roots[t - 1] - roots[t])).float()


def diffused(clean: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """sqrt(ᾱ)·x_0 + sqrt(1 - ᾱ)·ε, (B, C, H, W); level: sqrt(ᾱ), (B,)."""
    root = level[:, None, None, None]
    return root * clean + (1.0 - root.square()).sqrt() * noise


def clean_of(state: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """x_0 = (x̃ - sqrt(1 - ᾱ)·ε) / sqrt(ᾱ)."""
    root = level[:, None, None, None]
    return (state - (1.0 - root.square()).sqrt() * noise) / root


def sample(
    denoiser: Denoiser,
    sched: Grid,
    condition: Tensor,
    target: Target,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Restore `condition` (B, 3, H, W) in [-1, 1] in T calls; estimates are clipped to [-1, 1]."""
    state = noise_like(condition, generator)
    alpha_bar = sched.alpha_bar
    clean = state
    for t in reversed(range(len(sched.beta))):
        level = alpha_bar[t].sqrt().float().expand(len(condition)).to(condition.device)
        out = denoiser(state, condition, level)
        clean = (out if target == "clean" else clean_of(state, out, level)).clamp(-1.0, 1.0)
        if t > 0:
            state = posterior(sched, t, state, clean, noise_like(condition, generator))
    return clean


def posterior(sched: Grid, t: int, state: Tensor, clean: Tensor, fresh: Tensor) -> Tensor:
    """A draw of q(x_{t-1} | x_t, x_0) with noise `fresh`, for t >= 1 (Ho et al., 2020, eq. 7)."""
    alpha_bar = sched.alpha_bar
    now, before, beta = float(alpha_bar[t]), float(alpha_bar[t - 1]), float(sched.beta[t])
    on_clean = sqrt(before) * beta / (1.0 - now)
    on_state = sqrt(1.0 - beta) * (1.0 - before) / (1.0 - now)
    variance = beta * (1.0 - before) / (1.0 - now)
    return on_clean * clean + on_state * state + sqrt(variance) * fresh
