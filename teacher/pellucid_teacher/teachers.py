"""Teachers: network, objective and recipe put together.

PUBLISHED is DiffUIR's recipe as released (methods: Zheng et al., CVPR 2024, and its code); OWN
trains all six tasks and the state the sampler really visits: no noise on either side.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .data.corpus import Corpus
from .data.stream import Batch
from .data.synthesis import Synthesis, TaskMix
from .networks.diffuir_unet import PRESETS, DiffUIRConfig, DiffUIRUNet
from .processes import diffuir
from .training.loop import Loss, Report, TrainConfig, train

PUBLISHED_MIX = TaskMix(haze=4, lowlight=1, rain=2, snow=2, blur=1, noise=0, clean=0)


@dataclass(frozen=True)
class TeacherRecipe:
    """crop: side of a training crop, px. delta_end: last δ_t of the shared distribution term.
    train_noise: factor on β̄_t in training. start_noise: of the sampler. steps: of the sampler.
    """

    network: DiffUIRConfig
    train: TrainConfig
    mix: TaskMix = field(default_factory=TaskMix)
    crop: int = 256
    delta_end: float = 1.8e-3
    train_noise: float = 1.0
    start_noise: float = 0.1
    steps: int = 3


def published(preset: str) -> TeacherRecipe:
    """The released recipe: batch 10, accumulated twice, Adam 8e-5 constant, 300 k steps."""
    config = TrainConfig(
        steps=300_000,
        batch_size=10,
        accumulate=2,
        lr=8e-5,
        final_lr=8e-5,
        warmup=1,
        ema=0.995,
        ema_every=10,
        clip=1.0,
    )
    return TeacherRecipe(PRESETS[preset], config, PUBLISHED_MIX)


def own(preset: str) -> TeacherRecipe:
    """Six tasks, one task a batch, noise-free states, cosine learning rate."""
    config = TrainConfig(steps=300_000, batch_size=8, lr=3e-4, final_lr=1e-6, warmup=1000)
    return TeacherRecipe(
        PRESETS[preset], config, TaskMix(), crop=192, train_noise=0.0, start_noise=0.0
    )


RECIPES: dict[str, Callable[[str], TeacherRecipe]] = {"published": published, "own": own}


def objective(recipe: TeacherRecipe) -> Loss:
    """E_t |R_θ(I_t, I_in, 1000·ᾱ_t) - I_res|_1, t ~ U{0..999}, noise scaled by train_noise."""
    sched = diffuir.schedule(recipe.delta_end)
    sched = replace(sched, beta_bar=recipe.train_noise * sched.beta_bar)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        device = batch.clean.device
        t = torch.randint(diffuir.T, (len(batch.clean),), generator=generator).to(device)
        noise = None
        if recipe.train_noise:
            noise = torch.randn(batch.clean.shape, generator=generator).to(device)
        return diffuir.residual_loss(model, sched, batch.clean, batch.degraded, t, noise)

    return loss


def train_teacher(
    recipe: TeacherRecipe, corpus: Corpus, folder: Path, minutes: float | None = None
) -> Iterator[Report]:
    """Train or resume a teacher in `folder`; every report's `ema` is the network to keep."""
    torch.manual_seed(recipe.train.seed)
    model = DiffUIRUNet(recipe.network)
    # One task a micro-batch under a fixed step length; the release draws tasks within a batch.
    hold = recipe.train.batch_size if recipe.mix != PUBLISHED_MIX else 1
    synthesis = Synthesis(corpus, recipe.crop, recipe.mix, hold)
    return train(model, objective(recipe), synthesis, recipe.train, folder, minutes)
