"""A teacher of several large networks: each picture goes to the one whose task it is.

Seven tasks in one network get in each other's way however large it is (LOG.md). Copies of one
general network that went on learning a single task each do not; who is asked is read off the
picture, so the whole is as blind and as universal as the student that learns from it. One network
runs a picture: parameters add up, work does not (hard routing; Shazeer et al., ICLR 2017, §1).
Opinions weighted by their probability were worse (LOG.md, 2026-11-22).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid_teacher.data.synthesis import TASKS

from .diagnosis import Diagnosis
from .plain_unet import PlainUNet
from .router import evidence, load_router
from .scene import measure_scene
from .weights import load_student

GENERAL = "general"  # file name of the network that takes what no specialist takes
ROUTER = "router"  # file name of what chooses; without it the general network's diagnosis does


class Specialists(nn.Module):
    """Denoiser for DiffUIR's process, by the denoiser contract; specialists: task -> its network.

    Raises ValueError for a task that is none of TASKS.
    """

    def __init__(
        self,
        general: PlainUNet,
        specialists: dict[str, PlainUNet],
        router: Diagnosis | None = None,
    ) -> None:
        super().__init__()
        unknown = sorted(specialists.keys() - set(TASKS))
        if unknown:
            raise ValueError(f"no task is called {unknown[0]!r}; tasks: {', '.join(TASKS)}")
        self.networks = nn.ModuleDict({GENERAL: general, **specialists})
        self.router = router

    @property
    def general(self) -> PlainUNet:
        network = self.networks[GENERAL]
        assert isinstance(network, PlainUNet)
        return network

    @property
    def multiple(self) -> int:
        """Input height and width must be multiples of this."""
        return self.general.config.multiple

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """The chosen networks' estimates of I_res = I_in - I_0, (B, 3, H, W)."""
        picture = (condition + 1.0) / 2.0
        scene = measure_scene(picture)  # (B, SCENE_SIZE)
        asked = self.asked(picture, scene)
        estimate = torch.empty_like(condition)
        for name in set(asked):
            at = [n for n, other in enumerate(asked) if other == name]
            estimate[at] = self.networks[name](x_t[at], condition[at], time[at], scene[at])
        return estimate

    def asked(self, picture: Tensor, scene: Tensor) -> list[str]:
        """Who restores each picture, (B, 3, H, W) in [0, 1] with its scene code: a specialist's
        task or GENERAL."""
        if self.router is None:
            found = self.general.diagnosis(scene)  # (B, 7)
        else:
            found = self.router(evidence(self.general, picture, scene))
        tasks = [TASKS[n] for n in found.argmax(dim=1).tolist()]
        return [task if task in self.networks else GENERAL for task in tasks]


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
