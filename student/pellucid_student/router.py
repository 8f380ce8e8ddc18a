"""Who of several specialists is asked? Read off the maps of the general network's encoder.

The classifier inside a student sees 176 numbers, which is what a phone can afford. It takes two of
25 pictures in light rain for something else, and a specialist that never saw rain leaves it there.
A network that removes rain knows what streaks look like: the mean and the RMS of every map of its
encoder, beside the scene code, name nine pictures of ten.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.weights import read_tensors, write_tensors

from .classifier import TaskClassifier, fit, labelled
from .plain_unet import FIRST_DEGRADATIONS, PlainUNet, PlainUNetConfig

WIDTH = 64
KEY = "pellucid.router"  # in the header: names of the tasks, licence; the first files had none


def evidence_size(config: PlainUNetConfig) -> int:
    return config.scene_size + 2 * sum(config.widths)


@torch.no_grad()
def evidence(network: PlainUNet, picture: Tensor, scene: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1], H and W multiples of the network's, and its scene vector
    -> (B, evidence_size)."""
    code = network.scene_code(scene)
    condition = 2.0 * picture - 1.0
    toned = network.tone(condition, code)
    maps = network.encode(torch.cat([condition, toned], dim=1), code)
    parts = [scene]
    for x in maps:
        parts += [x.mean(dim=(2, 3)), x.square().mean(dim=(2, 3)).sqrt()]
    return torch.cat(parts, dim=1)


def train_router(
    network: PlainUNet, synthesis: Synthesis, seed: int, samples: int, workers: int
) -> tuple[TaskClassifier, float]:
    """A frozen classifier of `evidence`, and the loss of its last epoch, in nats.

    Raises ValueError for a corpus without clean photos, whose pairs have no labels.
    """
    if not synthesis.corpus.clean:
        raise ValueError("a router learns from clean photos with synthesis; put some under clean/")
    codes, tasks = labelled(
        synthesis,
        seed,
        samples,
        workers,
        lambda pictures: evidence(network, pictures, network.measure(pictures)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        router = TaskClassifier(WIDTH, inputs=evidence_size(network.config))
    return router, fit(router, codes, tasks, seed)


def save_router(path: Path, router: TaskClassifier, license: str) -> None:
    """Write float32 safetensors, replacing `path` atomically."""
    entry = {"tasks": router.tasks, "license": license}
    write_tensors(path, router.state_dict(), {KEY: json.dumps(entry)})


def load_router(path: Path, config: PlainUNetConfig) -> TaskClassifier:
    """The router of a general network of `config`. Raises ValueError for any other file."""
    tensors, header = read_tensors(path)
    tasks = json.loads(header[KEY])["tasks"] if KEY in header else FIRST_DEGRADATIONS
    router = TaskClassifier(WIDTH, tuple(tasks), evidence_size(config)).requires_grad_(False)
    try:
        router.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{path}: no router for a general network of widths {config.widths}; train it again "
            f"with `pellucid train router {path.parent} --data FOLDER --weights-licence L`"
        ) from error
    return router
