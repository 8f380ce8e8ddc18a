"""A teacher of several large networks: each picture goes to the one whose task it is.

Seven tasks in one network get in each other's way however large it is. Copies of one
general network that went on learning a single task each do not; who is asked is read off the
picture, so the whole is as blind and as universal as the student that learns from it. One network
runs a picture: parameters add up, work does not (hard routing; Shazeer et al., ICLR 2017, §1).
Opinions weighted by their probability were worse.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from .diagnosis import Diagnosis
from .plain_unet import PlainUNet
from .router import evidence, load_router
from .scene import measure_scene
from .steps import restore
from .weights import load_student

GENERAL = "general"  # file name of the network that takes what no specialist takes
ROUTER = "router"  # file name of what chooses; without it the general network's diagnosis does


class Specialists(nn.Module):
    """A general network and, for some tasks, a network of their own: task -> network.

    Raises ValueError for a task that the general network's classifier does not know.
    """

    def __init__(
        self,
        general: PlainUNet,
        specialists: dict[str, PlainUNet],
        router: Diagnosis | None = None,
    ) -> None:
        super().__init__()
        tasks = general.config.degradations
        unknown = sorted(specialists.keys() - set(tasks))
        if unknown:
            raise ValueError(f"no task is called {unknown[0]!r}; tasks: {', '.join(tasks)}")
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

    def restore(self, degraded: Tensor, steps: int = 1) -> Tensor:
        """Each picture by its network, in `steps` calls: (B, 3, H, W) in [-1, 1] -> same."""
        picture = (degraded + 1.0) / 2.0
        asked = self.asked(picture, measure_scene(picture))
        restored = torch.empty_like(degraded)
        for name in set(asked):
            at = [n for n, other in enumerate(asked) if other == name]
            network = self.networks[name]
            assert isinstance(network, PlainUNet)
            restored[at] = restore(network, degraded[at], steps)
        return restored

    def asked(self, picture: Tensor, scene: Tensor) -> list[str]:
        """Who restores each picture, (B, 3, H, W) in [0, 1] with its scene code: a specialist's
        task or GENERAL."""
        if self.router is None:
            found, names = self.general.diagnosis(scene), self.general.config.degradations
        else:
            found = self.router(evidence(self.general, picture, scene))  # (B, tasks)
            names = self.router.tasks
        tasks = [names[n] for n in found.argmax(dim=1).tolist()]
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
