"""A teacher of several large networks: each picture goes to the one that its diagnosis names.

Seven tasks in one network get in each other's way however large it is (LOG.md). Copies of one
general network that went on learning a single task each do not; who is asked is read off the
picture, so the whole is as blind and as universal as the student that learns from it. One network
runs a picture: parameters add up, work does not (hard routing; Shazeer et al., ICLR 2017, §1).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid_teacher.data.synthesis import TASKS

from .plain_unet import PlainUNet
from .scene import measure_scene
from .weights import load_student

GENERAL = "general"  # file name of the network that takes what no specialist takes


class Specialists(nn.Module):
    """Denoiser for DiffUIR's process, by the denoiser contract; specialists: task -> its network.

    Raises ValueError for a task that is none of TASKS.
    """

    def __init__(self, general: PlainUNet, specialists: dict[str, PlainUNet]) -> None:
        super().__init__()
        unknown = sorted(specialists.keys() - set(TASKS))
        if unknown:
            raise ValueError(f"no task is called {unknown[0]!r}; tasks: {', '.join(TASKS)}")
        self.general = general
        self.specialists = nn.ModuleDict(specialists)

    @property
    def multiple(self) -> int:
        """Input height and width must be multiples of this."""
        return self.general.config.multiple

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """The chosen networks' estimates of I_res = I_in - I_0, (B, 3, H, W)."""
        scene = measure_scene((condition + 1.0) / 2.0)  # (B, SCENE_SIZE)
        asked = self.asked(scene)
        networks = {GENERAL: self.general, **self.specialists}
        estimate = torch.empty_like(condition)
        for name in set(asked):
            at = [n for n, other in enumerate(asked) if other == name]
            estimate[at] = networks[name](x_t[at], condition[at], time[at], scene[at])
        return estimate

    def asked(self, scene: Tensor) -> list[str]:
        """Who restores each picture: a specialist's task or GENERAL; scene (B, SCENE_SIZE)."""
        tasks = [TASKS[n] for n in self.general.diagnosis(scene).argmax(dim=1).tolist()]
        return [task if task in self.specialists else GENERAL for task in tasks]


def holds_specialists(folder: Path) -> bool:
    return (folder / f"{GENERAL}.safetensors").exists()


def load_specialists(folder: Path) -> Specialists:
    """general.safetensors and TASK.safetensors of a folder, as `pellucid train student` writes
    them, renamed. Raises ValueError for a file that is no student's or no task's."""
    files = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    networks = {name: load_student(path)[0] for name, path in files.items()}
    try:
        return Specialists(networks.pop(GENERAL), networks)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
