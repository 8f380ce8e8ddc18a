"""Teachers for distillation: any trained system here, frozen, as one deterministic map.

A teacher is asked once a crop: its own sampler, from one fixed noise (none where it learned
without), gives the picture that the student is pulled to. Asked on the fly, since a cache for fresh
crops would outgrow the data: 300,000 steps of 8 crops of 96 px are 130 GB in 16 bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid_teacher.system import System, SystemKind
from pellucid_teacher.systems import SYSTEMS
from pellucid_teacher.weights import load_teacher

from .enlarger import Enlarger
from .specialists import holds_specialists, load_specialists
from .student import EnlargingStudent, Student
from .weights import load_any_student


@dataclass(frozen=True)
class FrozenTeacher:
    """steps: of the system's sampler; None: what its recipe says."""

    name: str
    system: System
    steps: int | None = None

    def restore(self, degraded: Tensor) -> Tensor:
        """The teacher's clean picture in [-1, 1], (B, 3, H, W), no gradient; equal every time."""
        self.system.network.to(degraded.device)
        generator = torch.Generator(degraded.device).manual_seed(0)
        return self.system.restore(degraded, self.steps, generator).detach()

    def __str__(self) -> str:
        return self.name if self.steps is None else f"{self.name}, {self.steps} steps"


def load_frozen_teacher(
    path: Path, steps: int | None = None, kinds: Mapping[str, SystemKind] = SYSTEMS
) -> FrozenTeacher:
    """A teacher's folder (`pellucid train teacher`), one of specialists, or a student's
    .safetensors.

    steps: of the teacher's sampler; None: what its recipe says. kinds: of systems, by the name in
    their headers. Raises ValueError for anything else.
    """
    system: System
    if holds_specialists(path):
        system = load_specialists(path)
        name = f"specialists ({', '.join(system.specialists)})"
    elif path.is_dir():
        system, name = load_teacher(path, kinds), f"teacher {path.name}"
    else:
        student, provenance = load_any_student(path)
        name = f"student {provenance.preset}"
        system = EnlargingStudent(student) if isinstance(student, Enlarger) else Student(student)
    system.network.eval().requires_grad_(False)
    return FrozenTeacher(name, system, steps)
