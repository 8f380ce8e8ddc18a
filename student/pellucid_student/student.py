"""A student as a system: what trains and measures teachers does the same with students."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch
from pellucid_teacher.system import BaseSystem, Condition

from .enlarger import Enlarger
from .objective import EnlargingLoss, StudentLoss
from .plain_unet import PlainUNet
from .steps import restore

# loss(network, batch, generator) -> scalar tensor to minimise
Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]


class Student(BaseSystem):
    """See `System`. network: a PlainUNet; the loop may wrap it. Its steps take no noise.
    loss: None: `StudentLoss` without a teacher."""

    def __init__(self, network: nn.Module, loss: Loss | None = None) -> None:
        self.network, self._loss = network, loss or StudentLoss()

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self._loss(self.network, batch, generator)

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        return restore(self.plain, condition.picture, 1 if steps is None else steps)

    @property
    def plain(self) -> PlainUNet:
        """The network itself. Raises TypeError while it is wrapped."""
        if not isinstance(self.network, PlainUNet):
            raise TypeError(f"expected a PlainUNet, got {type(self.network).__name__}")
        return self.network

    def header(self) -> dict[str, Any]:
        """For completeness: students are kept by `pellucid_student.weights`."""
        return {"system": "student", "config": self.plain.config.to_dict()}


class EnlargingStudent(BaseSystem):
    """See `System`; the loop may wrap the network. loss: None: `EnlargingLoss`, no teacher."""

    def __init__(self, network: Enlarger, loss: Loss | None = None) -> None:
        self.network: nn.Module = network
        self.scale, self._loss = network.config.scale, loss or EnlargingLoss()

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self._loss(self.network, batch, generator)

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        """Raises ValueError for other steps than one."""
        if steps not in (None, 1):
            raise ValueError(f"a student enlarges in one step, got {steps}")
        enlarged: Tensor = self.network(condition.picture)
        return enlarged.clamp(-1.0, 1.0)

    def header(self) -> dict[str, Any]:
        """For completeness: students are kept by `pellucid_student.weights`."""
        return {"system": "enlarging student", "scale": self.scale}
