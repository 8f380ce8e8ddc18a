"""A training of twelve steps in milliseconds, for tests of the loop."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from toy_system import Around

from pellucid_teacher.data import compound
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Batch, Samples
from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.training.config import TrainConfig
from pellucid_teacher.training.loop import StepReport, train

CONFIG = TrainConfig(steps=12, batch_size=2, lr=1e-2, warmup=2, workers=0, save_every=4, ema=0.5)

# A tenth of the layers and kernels: whole banks take four seconds to draw.
SMALL_BANKS = {"RAIN_LAYERS": 12, "SNOW_LAYERS": 8, "BLUR_KERNELS": 40}


def draw_small_banks() -> None:
    """For processes of their own, which have no fixtures."""
    for name, count in SMALL_BANKS.items():
        setattr(compound, name, count)


def synthesis(seed: int = 0) -> Synthesis:
    rng = np.random.default_rng(seed)
    return Synthesis(Corpus([rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)]), 16)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, padding=1)


def plain_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    value: Tensor = (model(batch.degraded) - batch.clean).square().mean()
    return value


def run(
    folder: Path,
    config: TrainConfig = CONFIG,
    model: nn.Module | None = None,
    samples: Samples | None = None,
    minutes: float | None = None,
    began: float | None = None,
) -> Iterator[StepReport]:
    given = (samples or synthesis(), config, folder, minutes, began)
    return train(Around(model or network(), plain_loss), *given)
