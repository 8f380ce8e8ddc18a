"""Teach the estimator amounts: cross-entropy with soft targets where they are known.

    L = - sum_k [ a_k log p_k + (1 - a_k) log(1 - p_k) ]  over the known a_k

Where only a lower bound is known (a photo of a rain folder), a_k = max(bound, p_k), no gradient:
nothing pulls a larger estimate down.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pellucid_teacher.data.labelled import Labelled
from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.training.loop import TrainConfig, flushed_denormals
from pellucid_teacher.training.muon import MuonAndAdam

from .estimator import Estimator
from .plain_unet import PlainUNet
from .weights import load_student, save_student

# Height and width of a batch, px: photos are judged at many sizes.
SIZES = ((128, 128), (160, 224), (224, 160), (192, 192), (256, 256), (256, 384), (320, 320))

STEPS = 5_000


@dataclass(frozen=True)
class EstimatorTraining:
    """minutes: of the whole run. pixels: in a batch, about. seed: of samples. lr: peak.
    fast: bfloat16 and torch.compile, which needs a C++ compiler; a third of the time on a CPU that
    has bfloat16 products."""

    minutes: float = 15.0
    pixels: int = 32 * 192 * 192
    lr: float = 2e-3
    muon_scale: float = 8.0
    muon_decay: float = 0.1
    warmup: int = 200
    seed: int = 1
    workers: int = 1
    save_every: int = 500
    ema: float = 0.998
    steps: int = 5_000
    fast: bool = False


@dataclass(frozen=True)
class EstimatorReport:
    step: int
    loss: float
    progress: float


class _Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Whole batches of one size each: pictures (B, 3, H, W), amounts (B, 7), least (B, 7)."""

    def __init__(self, labelled: Labelled, config: EstimatorTraining, first: int) -> None:
        self.labelled, self.config, self.first = labelled, config, first

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([self.config.seed, self.first + index])
        height, width = SIZES[int(rng.integers(len(SIZES)))]
        count = max(8, round(self.config.pixels / (height * width)))
        drawn = [self.labelled.draw(rng, height, width) for _ in range(count)]
        pictures = np.stack([s.picture for s in drawn]).transpose(0, 3, 1, 2)
        amounts, least = (np.stack([getattr(s, n) for s in drawn]) for n in ("amounts", "least"))
        return torch.from_numpy(pictures.copy()), torch.from_numpy(amounts), torch.from_numpy(least)


def loss_of(logits: Tensor, amounts: Tensor, least: Tensor) -> Tensor:
    """The formula above, mean over what is known; all (B, 7), amounts NaN where unknown. -> ()."""
    known = ~amounts.isnan()
    target = torch.where(known, amounts, 0.0)
    target = torch.where(least, torch.maximum(target, logits.detach().sigmoid()), target)
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (losses * known).sum() / known.sum()


def prepare_estimator(
    network: PlainUNet, synthesis: Synthesis, config: TrainConfig, minutes: float | None
) -> None:
    """Train the estimator of a network that begins, unless it is trained, on as many samples as the
    run itself will see, at most STEPS batches, at most about a fifth of a run of `minutes`.

    A corpus of ready pairs alone has no labels: nothing is trained then.
    """
    estimator = network.estimator
    if estimator is None or estimator.is_trained or not synthesis.corpus.clean:
        return
    labelled = Labelled(synthesis.corpus, synthesis.banks)
    training = EstimatorTraining(
        minutes=15.0 if minutes is None else minutes / 5.0,
        pixels=config.batch_size * 128 * 128,
        steps=min(STEPS, config.steps),
        seed=config.seed,
        workers=config.workers,
    )
    estimator.requires_grad_(True)
    for _ in train_estimator(estimator, labelled, training):
        pass
    estimator.requires_grad_(False)


def train_estimator(
    estimator: Estimator,
    labelled: Labelled,
    config: EstimatorTraining,
    folder: Path | None = None,
) -> Iterator[EstimatorReport]:
    """Train in place; at the end the averaged weights are in `estimator`.

    folder: resume from folder/estimator.pt and write it now and then; None: neither.
    """
    path = None if folder is None else folder / "estimator.pt"
    estimator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kernels = [p for p in estimator.parameters() if p.dim() == 4]
    others = [p for p in estimator.parameters() if p.dim() != 4]
    optimizer = MuonAndAdam(kernels, [{"params": others}], (0.9, 0.99), config.muon_decay)
    average = {name: value.clone() for name, value in estimator.state_dict().items()}
    step, elapsed = 0, 0.0
    if path is not None and path.exists():
        state = torch.load(path, weights_only=True)
        estimator.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, step, elapsed = state["average"], state["step"], state["elapsed"]
    began = time.monotonic() - elapsed
    loader = DataLoader(
        _Batches(labelled, config, step),
        batch_size=None,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    logits_of = torch.compile(estimator.logits, dynamic=False) if config.fast else estimator.logits
    with flushed_denormals():
        for pictures, amounts, least in loader:
            elapsed = time.monotonic() - began
            progress = max(elapsed / (60.0 * config.minutes), step / config.steps)
            if progress >= 1.0:
                break
            swing = 0.5 * (1.0 + cos(pi * progress))
            lr = config.lr * min(1.0, (step + 1) / config.warmup) * (swing + 1e-3)
            for group in optimizer.param_groups:
                group["lr"] = lr * (config.muon_scale if "momentum" in group else 1.0)
            pictures = pictures.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.fast):
                logits = logits_of(pictures)
            loss = loss_of(logits.float(), amounts, least)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(estimator.parameters(), 1.0)
            optimizer.step()
            step += 1
            with torch.no_grad():
                decay = min(config.ema, (1.0 + step) / (10.0 + step))
                for name, value in estimator.state_dict().items():
                    average[name].lerp_(value, 1.0 - decay)
            if path is not None and step % config.save_every == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
                state = {
                    "model": estimator.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average,
                    "step": step,
                    "elapsed": elapsed,
                }
                torch.save(state, path)
            yield EstimatorReport(step, float(loss.detach()), progress)
    estimator.load_state_dict(average)


def with_estimator(weights: Path, estimator: Estimator, out: Path, steps: int) -> Path:
    """Write the student of `weights` with another estimator to `out`; its restoring stays.

    steps: of the estimator's training, for the provenance.
    Raises ValueError for a student of another kind.
    """
    network, provenance = load_student(weights)
    if network.estimator is None:
        raise ValueError(f"{weights}: this student has no estimator; train a new one")
    network.estimator.load_state_dict(estimator.state_dict())
    recipe = f"{provenance.recipe}; then {steps:,} steps of its estimator alone"
    out.parent.mkdir(parents=True, exist_ok=True)
    save_student(out, network, replace(provenance, recipe=recipe, date=date.today().isoformat()))
    return out
