"""ZeroAIR as it was published (Gou et al., arXiv 2312.02197, v4: TAO, ICML 2024), for comparison.

At every step of DDPM's sampler, with x̂_0 in [0, 1] and G, D, D' new for each picture:

    G  minimises  λ_1·|G(x̂_0) - x̂_0|² + λ_2·VGG(G(x̂_0), x̂_0) + λ_3·BCE(D(G(x̂_0)), real)
    D  tells y from G(x̂_0), D' tells x̂_0 - G(x̂_0) from x̂_0 - y
    the mean moves by -scale·∇L at x̂_0 ,  where L is
        t >= 700   w(t)·|G(x̂_0) - y|² ,  w growing from 0 to w_0
        t < 700    |G(x̂_0) - y|² + γ_1·VGG(G(x̂_0), y) + γ_2·BCE(D'(x̂_0 - y), real)
        t < 50     the same + γ_3·TV(x̂_0)

The constants are tuned by hand for each degradation, as in the released code. DDPM's t is the noise
σ_t = sqrt(1/ᾱ_t - 1) here; a prior that was not trained up to σ_999 starts later, from y + σ·n.
Published for 256x256; elsewhere the scale follows the number of pixels, since L is a mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.zero_air import Adapter, Critic, VGGFeatures
from .edm import EDMConfig

Prior = Callable[[Tensor, float], Tensor]
Progress = Callable[[int, int], None]
T = 1000
VALUES = 3 * 256 * 256
FIRST_STAGE, LAST_STAGE = 700, 50


@dataclass(frozen=True)
class ZeroAIRConfig:
    """same, same_vgg, look: λ of G. critic_lr: of both D; G's is 1e-3. ramp: w_0. vgg, adversarial,
    smooth: γ of the guidance. scale: of its gradient. stride: 1 visits every t, as published."""

    same: float
    same_vgg: float
    look: float
    critic_lr: float
    ramp: float
    vgg: float
    adversarial: float
    smooth: float
    scale: float
    stride: int = 1


DEHAZE = ZeroAIRConfig(0.2, 0.5, 0.3, 5e-4, 2.0, 1e-3, 0.0, 1e-4, 25_000.0)
LOWLIGHT = ZeroAIRConfig(0.02, 0.3, 0.6, 5e-5, 0.0, 2e-3, 5e-5, 4e-5, 50_000.0)
DENOISE = ZeroAIRConfig(3.0, 2e-3, 1e-3, 1e-3, 0.5, 0.0, 0.0, 6e-4, 6_000.0)
SETTINGS = {"dehaze": DEHAZE, "lowlight": LOWLIGHT, "denoise": DENOISE}


def noise_levels() -> Tensor:
    """σ_t of DDPM's linear schedule, (1000,), float64, growing."""
    beta = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    return (1.0 / torch.cumprod(1.0 - beta, 0) - 1.0).sqrt()


def restore(
    prior: Prior,
    process: EDMConfig,
    degraded: Tensor,
    config: ZeroAIRConfig,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
    features: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """One picture restored, (1, 3, H, W) in [-1, 1], as it came. features: None: VGG's.

    Raises ValueError where VGG's weights are not installed.
    """
    features = VGGFeatures().to(degraded.device) if features is None else features
    game = Game((degraded + 1.0) / 2.0, config, features)
    sigmas = noise_levels()
    first = int((sigmas <= process.most).sum()) - 1
    times = list(range(first, -1, -config.stride))
    x = degraded + float(sigmas[first]) * _like(degraded, generator)
    for index, t in enumerate(times):
        sigma = float(sigmas[t])
        clean = prior(x, sigma).clamp(-1.0, 1.0)
        game.learn((clean + 1.0) / 2.0)
        scale = config.scale * clean.numel() / VALUES
        shift = -scale * game.gradient((clean + 1.0) / 2.0, t) / 2.0
        if index + 1 == len(times):
            x = clean + shift
        else:
            target = float(sigmas[times[index + 1]])
            # DDPM's mean is moved, which is 1 / sqrt(1 + σ²) of the state in units of σ.
            x = _posterior(x, clean, sigma, target, generator) + sqrt(1.0 + target**2) * shift
        if progress is not None:
            progress(index + 1, len(times))
    return x


def _posterior(
    x: Tensor, clean: Tensor, sigma: float, target: float, generator: torch.Generator | None
) -> Tensor:
    """A draw from q(x_target | x_σ, x_0) in units of σ: DDPM's step."""
    keep = target**2 / sigma**2
    return clean + keep * (x - clean) + target * sqrt(1.0 - keep) * _like(x, generator)


class Game:
    """G, D and D' of one picture y, (1, 3, H, W) in [0, 1], and what they say."""

    def __init__(
        self, y: Tensor, config: ZeroAIRConfig, features: Callable[[Tensor], Tensor]
    ) -> None:
        self.y, self.config, self.features = y, config, features
        self.adapter = Adapter().to(y.device)
        self.look, self.change = Critic().to(y.device), Critic().to(y.device)
        lr = config.critic_lr
        self._adapting = torch.optim.Adam(self.adapter.parameters(), 1e-3)
        self._looking = torch.optim.Adam(self.look.parameters(), lr)
        self._changing = torch.optim.Adam(self.change.parameters(), lr)

    @torch.enable_grad()
    def learn(self, clean: Tensor) -> None:
        """One step of the critics and of G, at x̂_0 (1, 3, H, W) in [0, 1]."""
        config, made = self.config, self.adapter(clean)
        _descend(self._looking, _critic_loss(self.look, self.y, made.detach()))
        loss = config.same * F.mse_loss(made, clean) + config.look * _is(self.look(made), 1.0)
        _descend(self._adapting, loss + config.same_vgg * self._vgg(made, clean))
        if config.adversarial:
            taken, all_of_it = clean - self.adapter(clean).detach(), clean - self.y
            _descend(self._changing, _critic_loss(self.change, taken, all_of_it))

    @torch.enable_grad()
    def gradient(self, clean: Tensor, t: int) -> Tensor:
        """∇L at x̂_0, like `clean`."""
        clean = clean.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.guidance(clean, t), clean)
        return gradient

    def guidance(self, clean: Tensor, t: int) -> Tensor:
        """L, ()."""
        config, made = self.config, self.adapter(clean)
        loss = F.mse_loss(made, self.y)
        if t >= FIRST_STAGE:
            return config.ramp * (T - 1 - t) / (T - 1 - FIRST_STAGE) * loss
        if config.vgg:
            loss = loss + config.vgg * self._vgg(made, self.y)
        if config.adversarial:
            loss = loss + config.adversarial * _is(self.change(clean - self.y), 1.0)
        return loss + config.smooth * total_variation(clean) if t < LAST_STAGE else loss

    def _vgg(self, a: Tensor, b: Tensor) -> Tensor:
        return F.mse_loss(self.features(a), self.features(b))


def total_variation(x: Tensor) -> Tensor:
    """Twice the mean squared difference of neighbours, both ways, ()."""
    return 2.0 * (x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean())


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _critic_loss(critic: Critic, real: Tensor, made: Tensor) -> Tensor:
    return _is(critic(real), 1.0) + _is(critic(made), 0.0)


def _is(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))


def _like(picture: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(picture.shape, generator=generator, device=picture.device)
