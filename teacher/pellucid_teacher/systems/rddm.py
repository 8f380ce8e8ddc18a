"""RDDM (Liu et al., CVPR 2024, arXiv 2308.13712) for restoration, with DiffUIR's U-Net.

The network predicts the residual (SM-Res), which the published training settles on for restoration,
or the noise (SM-N), for which the generation schedule is meant. Steps remove residual and noise.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..data.stream import Batch
from ..networks.diffuir_unet import DIFFUIR_L, DiffUIRConfig, DiffUIRUNet
from ..processes import diffuir, rddm
from ..system import BaseSystem, Condition, Preset, SystemKind, read_options
from ..training.config import RELEASED, SMALL, Recipe

NAME = "rddm"


@dataclass(frozen=True)
class RDDMOptions:
    """predicts: what the network learns. sum_scale: variance of the noise at T of the restoration
    schedule; None: the generation schedule. steps: of the sampler."""

    network: DiffUIRConfig
    predicts: rddm.Predicts = "residual"
    sum_scale: float | None = 0.01
    steps: int = 5


class RDDM(BaseSystem):
    """See `System`."""

    def __init__(self, options: RDDMOptions) -> None:
        self.options = options
        network = DiffUIRUNet(options.network)
        if options.predicts == "residual":
            network.begin_at_zero()
        self.network: torch.nn.Module = network
        scale = options.sum_scale
        self.schedule = (
            rddm.generation_schedule() if scale is None else rddm.restoration_schedule(scale)
        )

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """L1 of what is predicted, t ~ U{0..999}."""
        degraded, predicts = batch.degraded, self.options.predicts
        t = torch.randint(diffuir.T, (len(degraded),), generator=generator).to(degraded.device)
        noise = torch.randn(degraded.shape, generator=generator).to(degraded.device)
        return rddm.loss(self.network, self.schedule, batch.clean, degraded, t, noise, predicts)

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        predicts, number = self.options.predicts, steps or self.options.steps
        return rddm.sample(
            self.network, self.schedule, condition.picture, predicts, number, generator
        )

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


def from_header(header: Mapping[str, Any]) -> RDDM:
    return RDDM(read_options(RDDMOptions, DiffUIRConfig.read(header["network"]), header))


PUBLISHED = Recipe(replace(RELEASED, steps=120_000, batch_size=1), crop=256)
KIND = SystemKind(
    NAME,
    {
        "small": Preset(partial(RDDM, RDDMOptions(DiffUIRConfig(16, (1, 1, 1, 1)))), SMALL),
        "published": Preset(partial(RDDM, RDDMOptions(DIFFUIR_L)), PUBLISHED),
    },
    from_header,
)
