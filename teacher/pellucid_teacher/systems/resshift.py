"""ResShift (Yue et al., NeurIPS 2023, arXiv 2307.12348) in pixels, with DiffUIR's U-Net.

The published system works in the latents of a VQ-GAN, whose weights are not free for every use;
this one shifts the residual of the pixels themselves, by the same equations and schedules. With
`scale` above 1 it enlarges: the process starts from the picture enlarged bicubically.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.stream import Batch
from ..denoiser import Denoiser
from ..networks.diffuir_unet import DIFFUIR_B, DiffUIRConfig, DiffUIRUNet
from ..processes import resshift
from ..system import Condition, Preset, SystemKind, refuse_mask
from ..training.config import SMALL, Recipe, TrainConfig

NAME = "resshift"


@dataclass(frozen=True)
class ResShiftOptions:
    """steps, least, kappa: of `resshift.schedule`. scale: sides of the result over the input's.
    residual: the network predicts y - x_0 instead of x_0, and begins as the identity.
    deterministic: SinSR's steps instead of draws from the posterior."""

    network: DiffUIRConfig
    steps: int = 4
    least: float = 0.2
    kappa: float = resshift.KAPPA
    scale: int = 1
    residual: bool = True
    deterministic: bool = False


class ResShift:
    """See `System`."""

    def __init__(self, options: ResShiftOptions) -> None:
        self.options = options
        self.network: torch.nn.Module = DiffUIRUNet(options.network)
        self.schedule = resshift.schedule(options.steps, options.least, options.kappa)

    @property
    def _denoiser(self) -> Denoiser:
        """x_0 as the network sees it, (x_t, y, t - 1) -> (B, 3, H, W)."""
        scaled = resshift.preconditioned(self.network, self.schedule, "pixel")
        if not self.options.residual:
            return scaled
        return lambda x_t, y, time: y - scaled(x_t, y, time)

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        refuse_mask(mask)
        if self.options.scale == 1:
            return Condition(degraded)
        y = F.interpolate(degraded, scale_factor=self.options.scale, mode="bicubic")
        return Condition(y.clamp(-1.0, 1.0))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """E_t |x̂_0 - x_0|², t ~ U{1..T}."""
        y = self.prepare(batch.degraded).picture
        t = torch.randint(1, self.schedule.steps + 1, (len(y),), generator=generator).to(y.device)
        noise = torch.randn(y.shape, generator=generator).to(y.device)
        return resshift.loss(self._denoiser, self.schedule, batch.clean, y, t, noise)

    @torch.no_grad()
    def restore(
        self,
        degraded: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        if steps not in (None, self.schedule.steps):
            expected = self.schedule.steps
            raise ValueError(f"this ResShift learnt a chain of {expected} steps, got {steps}")
        return resshift.sample(
            self._denoiser,
            self.schedule,
            self.prepare(degraded, mask).picture,
            deterministic=self.options.deterministic,
            generator=generator,
        )

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


def from_header(header: Mapping[str, Any]) -> ResShift:
    network = header["network"]
    return ResShift(
        ResShiftOptions(
            DiffUIRConfig(int(network["width"]), tuple(network["multipliers"])),
            int(header["steps"]),
            float(header["least"]),
            float(header["kappa"]),
            int(header["scale"]),
            bool(header["residual"]),
            bool(header["deterministic"]),
        )
    )


# Adam 5e-5 at batch 64, 500 k steps, EMA 0.999 (the released settings), in 8 parts of 8.
PUBLISHED = Recipe(
    TrainConfig(steps=500_000, batch_size=8, accumulate=8, lr=5e-5, final_lr=2e-5, warmup=5000),
    crop=256,
)
SMALL_NETWORK = DiffUIRConfig(16, (1, 1, 1, 1))
KIND = SystemKind(
    NAME,
    {
        "small": Preset(partial(ResShift, ResShiftOptions(SMALL_NETWORK)), SMALL),
        "pixel-15": Preset(
            partial(ResShift, ResShiftOptions(DIFFUIR_B, 15, 0.04, residual=False)), PUBLISHED
        ),
        "pixel-4": Preset(partial(ResShift, ResShiftOptions(DIFFUIR_B, residual=False)), PUBLISHED),
    },
    from_header,
)
