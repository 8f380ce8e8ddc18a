"""Train a system of a kind and keep its averaged weights."""

from collections.abc import Iterator
from pathlib import Path

import torch

from .data.corpus import Corpus
from .system import Preset, System
from .training.checkpoint import averaged_weights
from .training.config import Recipe
from .training.loop import StepReport, train
from .weights import save_teacher


def make_system(preset: Preset, recipe: Recipe) -> System:
    """The system with fresh weights, drawn from the recipe's seed."""
    torch.manual_seed(recipe.train.seed)
    return preset.make()


def train_teacher(
    system: System,
    recipe: Recipe,
    corpus: Corpus,
    folder: Path,
    minutes: float | None = None,
    began: float | None = None,
) -> Iterator[StepReport]:
    """Train or resume a teacher in `folder`; every report's `average` is the system to keep."""
    return train(system, recipe.samples(corpus), recipe.train, folder, minutes, began)


def keep_teacher(system: System, folder: Path, datasets: list[str], license: str) -> list[Path]:
    """Write the averaged weights of the last checkpoint: folder/teacher-*.safetensors."""
    weights, step = averaged_weights(folder)
    system.network.load_state_dict(weights)
    return save_teacher(folder, system, step, datasets, license)
