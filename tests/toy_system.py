"""A restoration system from outside the package, as somebody else would write it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch
from pellucid_teacher.system import Condition, Preset, SystemKind
from pellucid_teacher.training.config import Recipe, TrainConfig

Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]


class Toy:
    """Two convolutions that predict what is to be added; each step starts from the last one's."""

    def __init__(self, width: int = 4) -> None:
        self.width = width
        self.network: nn.Module = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1)
        )

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        return Condition(degraded, {} if mask is None else {"mask": mask})

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        restored = batch.degraded + self.network(batch.degraded)
        value: Tensor = (restored - batch.clean).square().mean()
        return value

    @torch.no_grad()
    def restore(
        self,
        degraded: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        picture = self.prepare(degraded, mask).picture
        for _ in range(steps or 1):
            picture = (picture + self.network(picture)).clamp(-1.0, 1.0)
        return picture

    def header(self) -> dict[str, Any]:
        return {"system": "toy", "width": self.width}


class Around(Toy):
    """Any network with any loss, for tests of the loop."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        self.network, self._loss = network, loss

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self._loss(self.network, batch, generator)


TRAINING = TrainConfig(steps=3, batch_size=2, lr=1e-2, warmup=1, workers=0, ema=0.5)
KIND = SystemKind(
    "toy",
    {"small": Preset(Toy, Recipe(TRAINING, crop=32))},
    lambda header: Toy(int(header["width"])),
)
