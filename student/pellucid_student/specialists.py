"""A teacher of several large networks: each picture goes to the one whose task it is.

Seven tasks in one network get in each other's way however large it is. Copies of one
general network that went on learning a single task each do not; who is asked is read off the
picture, so the whole is as blind and as universal as the student that learns from it. One network
runs a picture: parameters add up, work does not (hard routing; Shazeer et al., ICLR 2017, §1).
A mean of all, weighted by their probabilities, was worse.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.degradations import FOUND
from pellucid_teacher.data.stream import Batch
from pellucid_teacher.system import BaseSystem, Condition

from .classifier import TaskClassifier
from .plain_unet import PlainUNet
from .router import evidence, load_router
from .steps import pad, restore
from .weights import load_student

GENERAL = "general"  # file name of the network that takes what no specialist takes
ROUTER = "router"  # file name of what chooses; without it the general network's classifier does


class Specialists(BaseSystem):
    """A general network and, for some tasks, a network of their own: task -> network. See `System`;
    it is a teacher only and cannot be trained as a whole.

    Raises ValueError for a task that the general network does not know.
    """

    def __init__(
        self,
        general: PlainUNet,
        specialists: dict[str, PlainUNet],
        router: TaskClassifier | None = None,
    ) -> None:
        tasks = general.config.degradations
        unknown = sorted(specialists.keys() - set(tasks))
        if unknown:
            raise ValueError(f"no task is called {unknown[0]!r}; tasks: {', '.join(tasks)}")
        self.general, self.specialists, self.router = general, specialists, router
        everything = [general, *specialists.values(), *([] if router is None else [router])]
        self.network: nn.Module = nn.ModuleList(everything)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        raise ValueError("specialists are trained one by one: pellucid train student")

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        """Each picture by its network."""
        picture = condition.picture
        asked = self.asked(pad(picture, self.general.config.multiple))
        restored = torch.empty_like(picture)
        for name in set(asked):
            at = [n for n, other in enumerate(asked) if other == name]
            network = self.specialists.get(name, self.general)
            restored[at] = restore(network, picture[at], 1 if steps is None else steps)
        return restored

    def header(self) -> dict[str, Any]:
        return {"system": "specialists", "tasks": list(self.specialists)}

    def asked(self, degraded: Tensor) -> list[str]:
        """Who restores each picture, (B, 3, H, W) in [-1, 1]: a specialist's task or GENERAL."""
        scene = self.general.scene_of(degraded)
        if self.router is None:
            found, names = self.general.amounts(scene), self.general.config.degradations
        else:
            unit = (degraded + 1.0) / 2.0
            found = self.router(evidence(self.general, unit, scene))  # (B, tasks)
            names = self.router.tasks
        surest, places = found.max(dim=1)
        likeliest = zip(surest.tolist(), places.tolist(), strict=True)
        tasks = [names[n] if share >= FOUND else GENERAL for share, n in likeliest]
        return [task if task in self.specialists else GENERAL for task in tasks]


def holds_specialists(folder: Path) -> bool:
    return (folder / f"{GENERAL}.safetensors").exists()


def load_specialists(folder: Path) -> Specialists:
    """general.safetensors, TASK.safetensors, as `pellucid train student` writes them, renamed, and
    router.safetensors, if it is there. Raises ValueError for a file that is none of these."""
    files = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    chooser = files.pop(ROUTER, None)
    networks = {name: load_student(path)[0] for name, path in files.items()}
    general = networks.pop(GENERAL)
    router = None if chooser is None else load_router(chooser, general.config)
    try:
        return Specialists(general, networks, router)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
