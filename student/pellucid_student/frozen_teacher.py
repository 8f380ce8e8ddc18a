"""Teachers for distillation: any trained network here, frozen, as one deterministic map.

A teacher is asked once a crop: its own sampler, from one fixed noise (none where it learned
without), gives the picture that the student is pulled to. Asked on the fly, since a cache for fresh
crops would outgrow the data: 300,000 steps of 8 crops of 96 px are 130 GB in 16 bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid_teacher.processes import diffuir
from pellucid_teacher.weights import load_teacher

from .specialists import GENERAL, holds_specialists, load_specialists
from .steps import restore
from .weights import load_student


@dataclass(frozen=True)
class FrozenTeacher:
    """network: frozen. run(degraded, steps, start_noise): pictures in [-1, 1] -> restored.
    start_noise: of its sampler; students take none. multiple: of heights and widths."""

    name: str
    network: nn.Module
    run: Callable[[Tensor, int, float], Tensor]
    steps: int = 1
    start_noise: float = 0.0
    multiple: int = 1

    def restore(self, degraded: Tensor) -> Tensor:
        """The teacher's clean picture in [-1, 1], (B, 3, H, W), no gradient; equal every time."""
        self.network.to(degraded.device)
        with torch.no_grad():
            return self.run(degraded, self.steps, self.start_noise)


def load_frozen_teacher(path: Path, steps: int | None = None) -> FrozenTeacher:
    """A teacher's folder (`pellucid train teacher`), one of specialists, or a student's
    .safetensors.

    steps: of the teacher's sampler; None: what its recipe says, and 1 for what samples no noise.
    Raises ValueError for anything else.
    """
    if holds_specialists(path):
        several = load_specialists(path)
        names = ", ".join(name for name in several.networks if name != GENERAL)
        found = FrozenTeacher(
            f"specialists ({names})",
            several,
            lambda degraded, steps, noise: several.restore(degraded, steps),
            multiple=several.multiple,
        )
    elif path.is_dir():
        network, recipe = load_teacher(path)
        run = partial(_sample, network, diffuir.schedule(recipe.delta_end))
        found = FrozenTeacher(path.name, network, run, recipe.steps, recipe.start_noise)
    else:
        student, provenance = load_student(path)
        found = FrozenTeacher(
            f"student {provenance.preset}",
            student,
            lambda degraded, steps, noise: restore(student, degraded, steps),
            multiple=student.config.multiple,
        )
    found.network.eval().requires_grad_(False)
    return found if steps is None else replace(found, steps=steps)


def _sample(
    network: nn.Module, schedule: diffuir.Schedule, degraded: Tensor, steps: int, noise: float
) -> Tensor:
    generator = torch.Generator(degraded.device).manual_seed(0)
    return diffuir.sample(network, schedule, degraded, steps, noise, generator)
