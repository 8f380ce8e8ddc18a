"""One picture restored with a prior and no pairs, after ZeroAIR (Gou et al., arXiv 2312.02197; ICML
2024 as TAO): at every step the degradation is learnt from the picture at hand, and the sample is
guided by what is known of it by then. The three stages of the guidance:

    σ > coarse_above   the reduced picture alone: light and colour
    down to noise      every pixel
    at y's noise       the estimate itself is the result; below, y has nothing to say

Unlike the published code, the degradation is physical (networks/degradation.py), the guidance is
the posterior mean (guidance.py), and one setting serves all degradations.

The degradation is fitted to the prior's own estimate x̂_0 = E[x_0 | x_t], not to the guided one,
which explains y whatever the degradation is. Least squares of y on a posterior mean is unbiased,
since its error is uncorrelated with it (Berkson, 1950), if x_t is as noisy as σ says.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.degradation import ALL, Part, PhysicalDegradation
from . import edm
from .guidance import Degrade, guided, prior_variance

Prior = Callable[[Tensor, float], Tensor]  # D of one picture (1, 3, H, W) in [-1, 1] at noise σ
Progress = Callable[[int, int], None]  # (steps done, of all)
QUIETEST = 0.5 / 255  # 8 bits are never exact


@dataclass(frozen=True)
class ZeroShotConfig:
    """start: σ of the first step. churn: share of σ added as fresh noise before each step.
    coarse_above, reduction: of the first stage. fits, lr: Adam steps on the degradation at every
    step of the sampler. spread: ς of guidance.py. plain: weight of the degradation's penalty.
    parts: what may have degraded the picture besides noise. noise: its standard deviation where it
    is known, white is 1; None: measured."""

    steps: int = 25
    start: float = 0.8
    churn: float = 0.3
    coarse_above: float = 0.5
    reduction: int = 4
    fits: int = 3
    lr: float = 0.02
    spread: float = 0.15
    plain: float = 1e-4
    parts: tuple[Part, ...] = ALL
    noise: float | None = None


def restore(
    prior: Prior,
    process: edm.EDMConfig,
    degraded: Tensor,
    config: ZeroShotConfig,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, PhysicalDegradation]:
    """(the picture restored, what was found to be wrong with it), both (1, 3, H, W) in [-1, 1]."""
    y = (degraded + 1.0) / 2.0
    model = PhysicalDegradation(config.parts).to(y.device)
    model.begin(y)
    if config.noise is not None:
        model.noise = config.noise
    noise = max(model.noise, QUIETEST)
    with torch.enable_grad():
        optimizer = torch.optim.Adam(model.groups(config.lr)) if config.parts else None
    least = max(2.0 * noise, process.least)  # white is 2 above black in the prior's units
    start = min(max(config.start, 1.5 * least), process.most)
    levels = edm.sigmas(replace(process, least=min(least, start)), config.steps, start).tolist()
    x = 2.0 * model.undone(y).detach() - 1.0 + start * _like(degraded, generator)
    clean = x
    for index, (sigma, target) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        if index > 0:
            noisier = max(sigma, min(sigma * (1.0 + config.churn), process.most))
            x, sigma = edm.renoised(x, sigma, noisier, _like(x, generator)), noisier
        clean = prior(x, sigma)
        reduction = config.reduction if sigma > config.coarse_above else 1
        if min(y.shape[-2:]) < reduction:
            reduction = 1
        if optimizer is not None:
            _fit(model, optimizer, (clean + 1.0) / 2.0, y, reduction, config)
        seen = _reduced(degraded, reduction)
        variance = (2.0 * noise / reduction) ** 2
        ratio = prior_variance(sigma, config.spread) / variance
        clean = guided(_in_prior_units(model, reduction), seen, clean, ratio)
        x = edm.euler_step(x, clean, sigma, target)
        if progress is not None:
            progress(index + 1, config.steps)
    return clean, model


def _fit(
    model: PhysicalDegradation,
    optimizer: torch.optim.Optimizer,
    clean: Tensor,
    y: Tensor,
    reduction: int,
    config: ZeroShotConfig,
) -> None:
    """A few steps of the degradation towards what makes `clean` (1, 3, H, W) look like y."""
    with torch.enable_grad():
        for _ in range(config.fits):
            error = _reduced(model(clean), reduction) - _reduced(y, reduction)
            loss = error.square().mean() + config.plain * model.penalty()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _in_prior_units(model: PhysicalDegradation, reduction: int) -> Degrade:
    """G from [-1, 1] to [-1, 1], reduced."""
    return lambda x: _reduced(2.0 * model((x + 1.0) / 2.0) - 1.0, reduction)


def _reduced(picture: Tensor, reduction: int) -> Tensor:
    return F.avg_pool2d(picture, reduction) if reduction > 1 else picture


def _like(picture: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(picture.shape, generator=generator, device=picture.device)
