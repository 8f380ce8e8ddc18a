"""A teacher of several large networks: each picture goes to those whose task it may be.

Seven tasks in one network get in each other's way however large it is (LOG.md). Copies of one
general network that went on learning a single task each do not; who is asked is read off the
picture, so the whole is as blind and as universal as the student that learns from it.

    E[I_0 | I_in] = sum over tasks  p(task | I_in) · E[I_0 | I_in, task]

is what least squares asks for, and a router's doubt is p. Few pictures are doubtful, so mostly one
network runs: parameters add up, work does not (Shazeer et al., ICLR 2017, §1).
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
NEGLIGIBLE = 0.05  # opinions of less weight are not asked for


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
    def names(self) -> list[str]:
        """GENERAL, then the tasks of the specialists."""
        return list(self.networks)

    @property
    def multiple(self) -> int:
        """Input height and width must be multiples of this."""
        return self.general.config.multiple

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """The asked networks' estimates of I_res = I_in - I_0, weighted, (B, 3, H, W)."""
        picture = (condition + 1.0) / 2.0
        scene = measure_scene(picture)  # (B, SCENE_SIZE)
        weights = self.weights(picture, scene)  # (B, N)
        estimate = torch.zeros_like(condition)
        for name, weight in zip(self.names, weights.T, strict=True):
            at = weight.nonzero()[:, 0]
            if len(at):
                opinion = self.networks[name](x_t[at], condition[at], time[at], scene[at])
                estimate[at] += weight[at, None, None, None] * opinion
        return estimate

    def weights(self, picture: Tensor, scene: Tensor) -> Tensor:
        """What each of `names` has to say of each picture, (B, N), rows sum to 1.

        picture: (B, 3, H, W) in [0, 1]; scene: its code.
        """
        if self.router is None:
            found = self.general.diagnosis(scene)  # (B, 7)
        else:
            found = self.router(evidence(self.general, picture))
        who = [task if task in self.networks else GENERAL for task in TASKS]
        columns = [
            found[:, [n for n, asked in enumerate(who) if asked == name]].sum(dim=1)
            for name in self.names
        ]
        shares = torch.stack(columns, dim=1)
        shares = shares * (shares >= NEGLIGIBLE)
        return shares / shares.sum(dim=1, keepdim=True)


def holds_specialists(folder: Path) -> bool:
    return (folder / f"{GENERAL}.safetensors").exists()


def load_specialists(folder: Path) -> Specialists:
    """general.safetensors, TASK.safetensors, as `pellucid train student` writes them, renamed, and
    router.safetensors, if it is there. Raises ValueError for a file that is none of these."""
    if not holds_specialists(folder):
        raise ValueError(
            f"{folder}: expected {GENERAL}.safetensors and one file a task, found none"
        )
    files = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    chooser = files.pop(ROUTER, None)
    networks = {name: load_student(path)[0] for name, path in files.items()}
    general = networks.pop(GENERAL)
    router = None if chooser is None else load_router(chooser, general.config)
    try:
        return Specialists(general, networks, router)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
