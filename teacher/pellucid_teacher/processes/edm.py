"""Unconditional diffusion with EDM's preconditioning (Karras et al., NeurIPS 2022, 2206.00364).

    D(x; σ) = c_skip·x + c_out·F(c_in·x, c_noise)                                   (eq. 7)
    c_skip = σ_d² / (σ² + σ_d²) ,  c_out = σ·σ_d / sqrt(σ² + σ_d²) ,
    c_in = 1 / sqrt(σ² + σ_d²) ,   c_noise = ln(σ) / 4                              (table 1)
    objective  E λ(σ)·|D(x_0 + σ·n; σ) - x_0|² ,  λ = (σ² + σ_d²) / (σ·σ_d)² ,  ln σ ~ N(mean, std²)
    sampler    σ_i = (σ_max^(1/ρ) + i/(N-1)·(σ_min^(1/ρ) - σ_max^(1/ρ)))^ρ          (eq. 5)

Images are in [-1, 1]. A prior that restores is only ever asked about moderate noise, so training
does not spend itself on σ above 1.5 by default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

# D(x, σ): a whole picture or a patch (B, 3, H, W) and σ (B,) -> the estimate of x_0
Denoise = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class EDMConfig:
    """sigma_data: σ_d. mean, std: of ln σ in training, kept within `least` .. `most`. rho: of the
    sampler's grid."""

    sigma_data: float = 0.5
    mean: float = -1.6
    std: float = 1.2
    least: float = 0.01
    most: float = 1.5
    rho: float = 7.0


EDM = EDMConfig(mean=-1.2, least=0.002, most=80.0)  # published, for whole images from pure noise
RESTORING = EDMConfig()


def denoise(network: nn.Module, config: EDMConfig, x: Tensor, sigma: Tensor) -> Tensor:
    """D(x; σ), (B, 3, H, W); network(c_in·x, c_noise) -> (B, 3, H, W); sigma (B,)."""
    s = sigma[:, None, None, None]
    total = (s.square() + config.sigma_data**2).sqrt()
    skip, out = config.sigma_data**2 / total.square(), s * config.sigma_data / total
    predicted: Tensor = network(x / total, sigma.log() / 4.0)
    return skip * x + out * predicted


def draw_sigma(config: EDMConfig, batch: int, generator: torch.Generator) -> Tensor:
    """(batch,), log-normal within the config's range."""
    log = config.mean + config.std * torch.randn(batch, generator=generator)
    return log.exp().clamp(config.least, config.most)


def loss(
    network: nn.Module, config: EDMConfig, clean: Tensor, sigma: Tensor, noise: Tensor
) -> Tensor:
    """The objective at given σ (B,) and n like `clean`, mean over the batch, ()."""
    s = sigma[:, None, None, None]
    weight = (s.square() + config.sigma_data**2) / (s * config.sigma_data).square()
    error = denoise(network, config, clean + s * noise, sigma) - clean
    return (weight * error.square()).mean()


def sigmas(config: EDMConfig, steps: int, start: float) -> Tensor:
    """Noise levels from `start` down to the least one, then 0, (steps + 1,), float64."""
    if steps < 2:
        raise ValueError(f"expected at least 2 steps, got {steps}")
    share = torch.linspace(0.0, 1.0, steps, dtype=torch.float64)
    high, low = start ** (1.0 / config.rho), config.least ** (1.0 / config.rho)
    return torch.cat([(high + share * (low - high)) ** config.rho, torch.zeros(1).double()])


def euler_step(x: Tensor, clean: Tensor, sigma: float, target: float) -> Tensor:
    """From noise σ to `target` along the probability flow, given D(x; σ) (first order)."""
    return clean + (target / sigma) * (x - clean)


def renoised(x: Tensor, sigma: float, target: float, fresh: Tensor) -> Tensor:
    """x at noise σ with fresh noise up to `target` >= σ: one step back in time."""
    if target < sigma:
        raise ValueError(f"expected a noise of at least {sigma}, got {target}")
    return x + sqrt(target**2 - sigma**2) * fresh


def sample(
    model: Denoise,
    config: EDMConfig,
    shape: tuple[int, ...],
    steps: int,
    start: float,
    generator: torch.Generator,
) -> Tensor:
    """Pictures from noise of σ = `start`, Euler steps."""
    levels = sigmas(config, steps, start).tolist()
    x = start * torch.randn(shape, generator=generator)
    for sigma, target in zip(levels[:-1], levels[1:], strict=True):
        x = euler_step(x, model(x, torch.full((shape[0],), sigma)), sigma, target)
    return x
