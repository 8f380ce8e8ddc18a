"""DiffUIR (Zheng et al., CVPR 2024, arXiv 2403.11157): its process, its U-Net, two recipes.

The published recipe trains with noise up to β̄_T ≈ 1 and samples from noise of 0.1, as released.
Our own has no noise on either side, so that training sees the states that sampling visits; the
students are the deterministic form of that.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..data.stream import Batch
from ..data.synthesis import TaskMix
from ..networks.diffuir_unet import PRESETS, DiffUIRConfig, DiffUIRUNet
from ..processes import diffuir
from ..system import BaseSystem, Condition, Preset, SystemKind, read_options
from ..training.config import RELEASED, SMALL, Recipe, TrainConfig

NAME = "diffuir"


@dataclass(frozen=True)
class DiffUIROptions:
    """delta_end: last δ_t of the shared distribution term. train_noise: factor on β̄_t in training.
    start_noise: of the sampler. steps: of the sampler."""

    network: DiffUIRConfig
    delta_end: float = 1.8e-3
    train_noise: float = 0.0
    start_noise: float = 0.0
    steps: int = 3


class DiffUIR(BaseSystem):
    """See `System`. start_noise may be changed for a measurement."""

    def __init__(self, options: DiffUIROptions) -> None:
        self.options, self.start_noise = options, options.start_noise
        network = DiffUIRUNet(options.network)
        network.begin_at_zero()  # an untrained system gives back what it is given
        self.network: torch.nn.Module = network
        self.schedule = diffuir.schedule(options.delta_end)
        beta_bar = options.train_noise * self.schedule.beta_bar
        self.training_schedule = replace(self.schedule, beta_bar=beta_bar)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """E_t |R_θ(I_t, I_in, 1000·ᾱ_t) - I_res|_1, t ~ U{0..999}, noise scaled by train_noise."""
        degraded = batch.degraded
        t = torch.randint(diffuir.T, (len(degraded),), generator=generator).to(degraded.device)
        noise = None
        if self.options.train_noise:
            noise = torch.randn(degraded.shape, generator=generator).to(degraded.device)
        schedule = self.training_schedule
        return diffuir.residual_loss(self.network, schedule, batch.clean, degraded, t, noise)

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        picture, number = condition.picture, steps or self.options.steps
        return diffuir.sample(
            self.network, self.schedule, picture, number, self.start_noise, generator
        )

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


def from_header(header: Mapping[str, Any]) -> DiffUIR:
    return DiffUIR(read_options(DiffUIROptions, DiffUIRConfig.read(header["network"]), header))


# Batch 10, 300 k steps; tasks drawn within a batch.
PUBLISHED = Recipe(
    replace(RELEASED, steps=300_000, batch_size=10),
    crop=256,
    mix=TaskMix(haze=4, lowlight=1, rain=2, snow=2, blur=1, noise=0, clean=0),
    one_task_batches=False,
)
# All our tasks, one a batch, cosine learning rate.
OWN = Recipe(
    TrainConfig(steps=300_000, batch_size=8, lr=3e-4, final_lr=1e-6, warmup=1000), crop=192
)


def _presets() -> dict[str, Preset]:
    presets = {}
    for name, network in PRESETS.items():
        presets[name] = Preset(_make(network), OWN)
        noisy = replace(DiffUIROptions(network), train_noise=1.0, start_noise=0.1)
        presets[f"{name}-published"] = Preset(partial(DiffUIR, noisy), PUBLISHED)
    presets["small"] = Preset(_make(DiffUIRConfig(16, (1, 1, 1, 1))), SMALL)
    return presets


def _make(network: DiffUIRConfig) -> partial[DiffUIR]:
    return partial(DiffUIR, DiffUIROptions(network))


KIND = SystemKind(NAME, _presets(), from_header)
