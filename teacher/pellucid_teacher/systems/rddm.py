"""RDDM (Liu et al., CVPR 2024, arXiv 2308.13712) for restoration, with DiffUIR's U-Net.

The network predicts the residual (SM-Res), which the published training settles on for restoration,
or the noise (SM-N), for which the generation schedule is meant. Steps remove residual and noise.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from ..data.stream import Batch
from ..denoiser import Denoiser
from ..networks.diffuir_unet import DIFFUIR_L, DiffUIRConfig, DiffUIRUNet
from ..processes import diffuir, rddm
from ..system import Condition, Preset, SystemKind, refuse_mask
from ..training.config import SMALL, Recipe, TrainConfig

NAME = "rddm"


@dataclass(frozen=True)
class RDDMOptions:
    """predicts: what the network learns. sum_scale: variance of the noise at T of the restoration
    schedule; None: the generation schedule. steps: of the sampler."""

    network: DiffUIRConfig
    predicts: Literal["residual", "noise"] = "residual"
    sum_scale: float | None = 0.01
    steps: int = 5


class RDDM:
    """See `System`."""

    def __init__(self, options: RDDMOptions) -> None:
        self.options = options
        self.network: torch.nn.Module = DiffUIRUNet(options.network)
        scale = options.sum_scale
        self.schedule = (
            rddm.generation_schedule() if scale is None else rddm.restoration_schedule(scale)
        )

    @property
    def _denoisers(self) -> tuple[Denoiser | None, Denoiser | None]:
        """(of the residual, of the noise)."""
        return (self.network, None) if self.options.predicts == "residual" else (None, self.network)

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        refuse_mask(mask)
        return Condition(degraded)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """L1 of what is predicted, t ~ U{0..999}."""
        degraded = self.prepare(batch.degraded).picture
        t = torch.randint(diffuir.T, (len(degraded),), generator=generator).to(degraded.device)
        noise = torch.randn(degraded.shape, generator=generator).to(degraded.device)
        return rddm.loss(self.schedule, batch.clean, degraded, t, noise, *self._denoisers)

    @torch.no_grad()
    def restore(
        self,
        degraded: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        picture, number = self.prepare(degraded, mask).picture, steps or self.options.steps
        return rddm.sample(
            self.schedule, picture, *self._denoisers, steps=number, generator=generator
        )

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


def from_header(header: Mapping[str, Any]) -> RDDM:
    network, scale = header["network"], header["sum_scale"]
    config = DiffUIRConfig(int(network["width"]), tuple(network["multipliers"]))
    scale = None if scale is None else float(scale)
    return RDDM(RDDMOptions(config, header["predicts"], scale, int(header["steps"])))


# Batch 1, accumulated twice, Adam 8e-5 constant, 120 k steps (the released settings).
PUBLISHED = Recipe(
    TrainConfig(
        steps=120_000,
        batch_size=1,
        accumulate=2,
        lr=8e-5,
        final_lr=8e-5,
        warmup=1,
        ema=0.995,
        ema_every=10,
        clip=1.0,
    ),
    crop=256,
)
KIND = SystemKind(
    NAME,
    {
        "small": Preset(partial(RDDM, RDDMOptions(DiffUIRConfig(16, (1, 1, 1, 1)))), SMALL),
        "published": Preset(partial(RDDM, RDDMOptions(DIFFUIR_L)), PUBLISHED),
    },
    from_header,
)
