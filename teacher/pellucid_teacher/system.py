"""What a restoration system is: the one seam between systems and everything that uses them.

Training, weights on disk, held-out evaluation, distillation and `pellucid eval` name `System` only.
A system joins a network, a process and a recipe; `systems/` has those of this package.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from .data.stream import Batch
from .training.config import Recipe


@dataclass(frozen=True)
class Condition:
    """What is computed once for a picture and used in every step.

    picture: (B, C, H, W) where the process starts: what is degraded, of the result's size and in
    the result's space. guides: what else the network is shown, by name, such as a mask.
    """

    picture: Tensor
    guides: Mapping[str, Tensor] = field(default_factory=dict)


class System(Protocol):
    """A restoration system: a network, its process, its recipe.

    network: what is trained, averaged and kept. The loop puts a wrapped one in its place while
    `loss` runs, so `loss` must call `self.network`, and as a whole, not a part of it.
    """

    network: nn.Module

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        """Once for a picture, (B, 3, h, w) in [-1, 1]. mask: (B, 1, h, w), 1 what is to be made
        up, for systems that fill in; None: nothing."""

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """What is minimised, (). Every random draw comes from `generator`, which is on the CPU."""

    def restore(
        self,
        degraded: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Restored pictures in [-1, 1], for any height and width, (B, 3, h, w) -> (B, 3, H, W).

        steps: None: as many as the system's own recipe says. generator: of the noise, on the
        pictures' device; None: the device's own. It decides itself whether it needs gradients.
        Raises ValueError for steps that it cannot do.
        """

    def header(self) -> dict[str, Any]:
        """JSON values that `SystemKind.from_header` makes the system from again, but for its
        weights. Key "system": the kind's name."""


@dataclass(frozen=True)
class Preset:
    """make: the system with fresh weights. recipe: how it is trained."""

    make: Callable[[], System]
    recipe: Recipe


@dataclass(frozen=True)
class SystemKind:
    """What commands need to know of a kind of systems.

    name: as in headers. presets: the first is the default. from_header: see `System.header`.
    """

    name: str
    presets: Mapping[str, Preset]
    from_header: Callable[[Mapping[str, Any]], System]


class BaseSystem(ABC):
    """What most systems share: no mask, and a sampler that needs no gradients. See `System`.

    options: all that makes the system again but for its weights. scale: sides of the result over
    those of what is given.
    """

    network: nn.Module
    scale = 1

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        """Raises ValueError for a mask."""
        if mask is not None:
            raise ValueError("this system restores what it is given; it cannot fill a mask")
        return Condition(degraded)

    @torch.no_grad()
    def restore(
        self,
        degraded: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        restored = self.sample(self.prepare(degraded, mask), steps, generator)
        height, width = (self.scale * side for side in degraded.shape[-2:])
        return restored[..., :height, :width]  # `prepare` may have padded

    @abstractmethod
    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        """Restored pictures, at least of the result's size, (B, 3, H, W) in [-1, 1]."""


Options = TypeVar("Options")


def read_options(
    make: Callable[..., Options], network: object, header: Mapping[str, Any]
) -> Options:
    """What `make`, a dataclass, gets from a header beside its network; absent ones are default."""
    known = {name: header[name] for name in signature(make).parameters if name in header}
    return make(**{**known, "network": network})


AnySystem = TypeVar("AnySystem", bound=System)


def with_network(system: AnySystem, network: nn.Module) -> AnySystem:
    """The same system around another network, for instance the averaged one."""
    other = copy.copy(system)
    other.network = network
    return other
