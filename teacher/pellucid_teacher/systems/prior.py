"""A prior of clean photos and nothing else: it learns without degraded pictures, and restores any
by zero-shot guidance (processes/zero_shot.py).

Networks see patches only; whole photos go through on a grid that shifts at every step
(processes/patches.py). They need no coordinates: photos look alike wherever one looks.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from ..data.corpus import Corpus
from ..data.stream import Batch, Samples
from ..data.task_samples import Noisy
from ..networks.prior_unet import CPU, GPU, WORKSTATION, PriorConfig, PriorUNet
from ..processes import edm, zero_air, zero_shot
from ..processes.edm import EDMConfig
from ..processes.patches import patched
from ..processes.zero_shot import Progress, ZeroShotConfig
from ..system import BaseSystem, Condition, Preset, SystemKind
from ..training.config import Recipe, TrainConfig

NAME = "prior"
Method = Literal["physical", "dehaze", "lowlight", "denoise"]


@dataclass(frozen=True)
class PriorOptions:
    """method: ours, or ZeroAIR as published with its constants for one degradation."""

    network: PriorConfig = CPU
    process: EDMConfig = edm.RESTORING
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    method: Method = "physical"


class Prior(BaseSystem):
    """See `System`."""

    def __init__(self, options: PriorOptions) -> None:
        self.options = options
        self.network: torch.nn.Module = PriorUNet(options.network)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """EDM's objective on clean patches; `batch.degraded` is not looked at."""
        clean, process = batch.clean, self.options.process
        sigma = edm.draw_sigma(process, len(clean), generator).to(clean)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        return edm.loss(self.network, process, clean, sigma, noise)

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        """One picture after another: each has a degradation of its own."""
        pictures = condition.picture  # (B, 3, H, W)
        return torch.cat([self.restore_one(one[None], steps, generator)[0] for one in pictures])

    def restore_one(
        self,
        degraded: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
    ) -> tuple[Tensor, str]:
        """(restored, (1, 3, H, W) in [-1, 1]; what was found to be wrong, in words).

        progress: called with (steps done, of all).
        """
        process, prior = self.options.process, partial(self.denoise, generator=generator)
        if self.options.method != "physical":
            if steps is not None:
                raise ValueError("the published ZeroAIR visits every step of DDPM; give no steps")
            setting = zero_air.SETTINGS[self.options.method]
            restored = zero_air.restore(prior, process, degraded, setting, generator, progress)
            return restored.clamp(-1.0, 1.0), ""
        how = self.options.zero_shot
        how = how if steps is None else replace(how, steps=steps)
        restored, found = zero_shot.restore(prior, process, degraded, how, generator, progress)
        return restored.clamp(-1.0, 1.0), found.describe()

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: float, generator: torch.Generator | None = None) -> Tensor:
        """D of one picture of any size, (1, 3, H, W), at noise σ, on a grid at a random place."""
        model = partial(edm.denoise, self.network, self.options.process)
        return patched(model, x, sigma, self.options.network.patch, generator)

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


def from_header(header: Mapping[str, Any]) -> Prior:
    network = {**header["network"], "widths": tuple(header["network"]["widths"])}
    how = {**header["zero_shot"], "parts": tuple(header["zero_shot"]["parts"])}
    process, guidance = EDMConfig(**header["process"]), ZeroShotConfig(**how)
    return Prior(PriorOptions(PriorConfig(**network), process, guidance, header["method"]))


def noisy(corpus: Corpus, crop: int) -> Samples:
    return Noisy(corpus, crop)


# Three hours of two cores: 28,000 steps of 32 patches.
HOURS = TrainConfig(
    steps=28_000, batch_size=32, lr=1e-3, final_lr=1e-5, warmup=500, clip=1.0, workers=1
)
LONG = TrainConfig(
    steps=400_000, batch_size=64, lr=3e-4, final_lr=1e-6, warmup=5000, ema=0.9999, clip=1.0
)
KIND = SystemKind(
    NAME,
    {
        "small": Preset(partial(Prior, PriorOptions(CPU)), Recipe(HOURS, CPU.patch, draw=noisy)),
        "medium": Preset(
            partial(Prior, PriorOptions(WORKSTATION)), Recipe(LONG, WORKSTATION.patch, draw=noisy)
        ),
        "large": Preset(
            partial(Prior, PriorOptions(GPU, edm.EDM)), Recipe(LONG, GPU.patch, draw=noisy)
        ),
    },
    from_header,
)
