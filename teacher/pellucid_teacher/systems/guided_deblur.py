"""Multiscale structure-guided deblurring (Ren et al., ICCV 2023, arXiv 2212.01789).

Image-conditional diffusion whose encoder is shown, at each scale, features of a regression of the
sharp gray picture; regression and denoiser learn together:

    L = L_diffusion + Σ_s mean |φ_s(gray(y)↓s) - gray(x)↓s|²

The sampler's grid (steps, largest β) is chosen after training: few steps and little noise for dB,
more for looks; several samples may be averaged.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.corpus import Corpus
from ..data.stream import Batch, Samples
from ..data.task_samples import CameraBlur
from ..networks.guided_unet import PUBLISHED as PUBLISHED_NETWORK
from ..networks.guided_unet import SMALL as SMALL_NETWORK
from ..networks.guided_unet import GuidanceConfig, GuidedUNet, GuidedUNetConfig
from ..processes import conditional
from ..processes.conditional import Target
from ..system import BaseSystem, Condition, Preset, SystemKind, read_options
from ..training.config import Recipe, TrainConfig

NAME = "guided-deblur"


@dataclass(frozen=True)
class GuidedDeblurOptions:
    """predicts: noise, as published, or clean. steps, most_beta: of the sampler's grid. samples:
    how many are averaged. guidance_weight: of the regressions' loss."""

    network: GuidedUNetConfig
    predicts: Target = "noise"
    steps: int = 20
    most_beta: float = 0.2
    samples: int = 1
    guidance_weight: float = 1.0


class GuidedDeblur(BaseSystem):
    """See `System`. steps, most_beta and samples may be changed for a measurement: `options`."""

    def __init__(self, options: GuidedDeblurOptions) -> None:
        self.options = options
        self.network: torch.nn.Module = Learner(GuidedUNet(options.network), options)
        self.schedule = conditional.training_grid()

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        """The picture, padded to whole cells, and the guidance of every scale, made once."""
        degraded, multiple = super().prepare(degraded, mask).picture, self.options.network.multiple
        height, width = degraded.shape[-2:]
        pad = (0, -width % multiple, 0, -height % multiple)
        picture = F.pad(degraded, pad, mode="replicate")
        guides = self._unet.guide(picture)
        return Condition(picture, {str(scale): found for scale, found in guides.items()})

    @property
    def _unet(self) -> GuidedUNet:
        unet = getattr(self.network, "module", self.network).unet
        assert isinstance(unet, GuidedUNet)
        return unet

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """L1 of what is predicted and the regressions' loss."""
        level = conditional.draw_level(self.schedule, len(batch.clean), generator)
        noise = torch.randn(batch.clean.shape, generator=generator)
        loss: Tensor = self.network(
            batch.degraded, batch.clean, level.to(batch.clean), noise.to(batch.clean)
        )
        return loss

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        options, unet = self.options, self._unet
        guide = {int(scale): found for scale, found in condition.guides.items()}
        sched = conditional.grid(steps or options.steps, options.most_beta)
        total = torch.zeros_like(condition.picture)
        for _ in range(options.samples):
            total += conditional.sample(
                lambda x_t, y, time: residual(unet(x_t, y, time, guide), y, options.predicts),
                sched,
                condition.picture,
                options.predicts,
                generator,
            )
        return total / options.samples

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


class Learner(torch.nn.Module):
    """The network with its loss as `forward`: wrappers for several processes see one call."""

    def __init__(self, unet: GuidedUNet, options: GuidedDeblurOptions) -> None:
        super().__init__()
        self.unet, self.options = unet, options

    def forward(self, degraded: Tensor, clean: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        """(), of one batch; level: sqrt(ᾱ), (B,)."""
        guide = self.unet.guide(degraded)
        state = conditional.diffused(clean, level, noise)
        out = residual(self.unet(state, degraded, level, guide), degraded, self.options.predicts)
        loss = (out - (clean if self.options.predicts == "clean" else noise)).abs().mean()
        if self.unet.guidance is not None:
            found = self.unet.guidance.loss(guide, degraded, clean)
            loss = loss + self.options.guidance_weight * found
        return loss


def residual(out: Tensor, degraded: Tensor, predicts: Target) -> Tensor:
    """A network that predicts the clean picture adds to the degraded one."""
    return degraded + out if predicts == "clean" else out


def from_header(header: Mapping[str, Any]) -> GuidedDeblur:
    network = dict(header["network"])
    guidance = network.pop("guidance")
    if guidance is not None:
        guidance = GuidanceConfig(**{**guidance, "scales": tuple(guidance["scales"])})
    network["widths"] = tuple(network["widths"])
    config = GuidedUNetConfig(**network, guidance=guidance)
    return GuidedDeblur(read_options(GuidedDeblurOptions, config, header))


def camera_blur(corpus: Corpus, crop: int) -> Samples:
    return CameraBlur(corpus, crop)


# Batch 256 of 128 px, 1 M steps, Adam 1e-4 after a warm-up, EMA 0.9999: as far as it is known.
PUBLISHED = Recipe(
    TrainConfig(
        steps=1_000_000,
        batch_size=32,
        accumulate=8,
        lr=1e-4,
        final_lr=1e-4,
        warmup=10_000,
        ema=0.9999,
        clip=1.0,
    ),
    crop=128,
    draw=camera_blur,
)
SMALL = Recipe(
    TrainConfig(steps=60_000, batch_size=8, lr=5e-4, warmup=500, clip=1.0),
    crop=128,
    draw=camera_blur,
)
# With little noise and the clean picture as the target a small network stays near what it is given.
SMALL_OPTIONS = GuidedDeblurOptions(SMALL_NETWORK, "clean", steps=2, most_beta=0.05)
ABLATIONS: dict[str, GuidanceConfig | None] = {
    "no-guidance": None,
    "colour": GuidanceConfig(gray=False),
    "not-reduced": GuidanceConfig(reduced=False),
    "loss-only": GuidanceConfig(injected=False),
}


def _presets() -> dict[str, Preset]:
    presets = {
        "small": Preset(partial(GuidedDeblur, SMALL_OPTIONS), SMALL),
        "published": Preset(
            partial(GuidedDeblur, GuidedDeblurOptions(PUBLISHED_NETWORK)), PUBLISHED
        ),
    }
    for name, guidance in ABLATIONS.items():
        network = replace(SMALL_NETWORK, guidance=guidance)
        make = partial(GuidedDeblur, replace(SMALL_OPTIONS, network=network))
        presets[f"small-{name}"] = Preset(make, SMALL)
    return presets


KIND = SystemKind(NAME, _presets(), from_header)
