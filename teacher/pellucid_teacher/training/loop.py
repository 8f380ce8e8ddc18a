"""The training loop, as a generator: the caller watches every step, no callbacks, no logger.

    for report in train(model, loss, synthesis, config, folder, minutes=90):
        print(report.step, report.loss)

A run is a folder. `state.pt` holds everything that the next step depends on and is replaced
atomically, so a killed run goes on from its last checkpoint with the losses it would have had.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..data.stream import Batch, batches
from ..data.synthesis import Synthesis

# loss(model, batch, generator) -> scalar tensor to minimise
Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """steps: optimiser steps of the whole run. lr: peak, after `warmup` steps of linear rise.
    final_lr: end of the cosine. ema: decay of the averaged weights, the ones that are kept.
    clip: largest gradient norm; the default is always exceeded, so that every step has one length,
    whatever its task's error. save_every: steps between checkpoints. seed: of data and noise.
    """

    steps: int = 40_000
    batch_size: int = 8
    lr: float = 1e-3
    final_lr: float = 1e-5
    warmup: int = 500
    ema: float = 0.999
    clip: float = 0.05
    seed: int = 1
    workers: int = 1
    save_every: int = 1000
    bf16: bool = False


@dataclass(frozen=True)
class Report:
    """One optimiser step. elapsed: training seconds of all sessions of this run."""

    step: int
    loss: float
    lr: float
    elapsed: float
    progress: float  # 0..1 of the run, by steps or by the time budget, whichever is further
    ema: nn.Module


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Linear warm-up over `warmup` steps, then a cosine over the run's progress 0..1."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    swing = 0.5 * (1.0 + cos(pi * min(1.0, progress)))
    return warm * (config.final_lr + (config.lr - config.final_lr) * swing)


def train(
    model: nn.Module,
    loss: Loss,
    synthesis: Synthesis,
    config: TrainConfig,
    folder: Path,
    minutes: float | None = None,
) -> Iterator[Report]:
    """Train `model` in place, resuming from folder/state.pt if there is one.

    minutes: time budget of the whole run over all its sessions; the learning rate is annealed to it
    and the run ends with it, or with config.steps, whichever comes first.
    Raises ValueError if the checkpoint was written with another TrainConfig.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, betas=(0.9, 0.99))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema))  # type: ignore[no-untyped-call]
    first, elapsed = _resume(folder / "state.pt", config, model, average, optimizer)
    start = time.monotonic() - elapsed
    step, last_saved = first, first
    stream = batches(synthesis, config.seed, config.batch_size, first, config.steps, config.workers)
    for step, batch in enumerate(stream, start=first):
        elapsed = time.monotonic() - start
        progress = step / config.steps
        if minutes is not None:
            progress = max(progress, elapsed / (60.0 * minutes))
        if progress >= 1.0:
            break
        lr = learning_rate(config, step, progress)
        for group in optimizer.param_groups:
            group["lr"] = lr
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            value = loss(model, batch, generator)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        average.update_parameters(model)
        done = step + 1
        if done % config.save_every == 0:
            _save(folder / "state.pt", config, done, elapsed, model, average, optimizer)
            last_saved = done
        yield Report(done, value.item(), lr, elapsed, progress, average.module)
    else:
        step = config.steps
    if step != last_saved:
        elapsed = time.monotonic() - start
        _save(folder / "state.pt", config, step, elapsed, model, average, optimizer)


def _save(
    path: Path,
    config: TrainConfig,
    step: int,
    elapsed: float,
    model: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
) -> None:
    state = {
        "config": asdict(config),
        "step": step,
        "elapsed": elapsed,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)  # a kill while writing leaves the previous checkpoint whole


def _resume(
    path: Path,
    config: TrainConfig,
    model: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
) -> tuple[int, float]:
    """Load a checkpoint if there is one: (first step to do, seconds already spent)."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    ours = asdict(config)
    differs = [k for k in ours if ours[k] != state["config"].get(k)]
    # Where data is made and how often it is saved changes no number of the run.
    differs = [k for k in differs if k not in ("workers", "save_every")]
    if differs:
        told = ", ".join(f"{k}: {state['config'].get(k)} then, {ours[k]} now" for k in differs)
        raise ValueError(f"{path} was written by another recipe ({told}); use a new folder")
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise ValueError(f"{path} holds another network: {error}; use a new folder") from error
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["elapsed"])


def averaged_weights(folder: Path) -> dict[str, Tensor]:
    """The EMA weights of a run's last checkpoint, the ones to keep, by parameter name."""
    path = folder / "state.pt"
    if not path.exists():
        raise ValueError(f"{path}: no checkpoint yet; train first")
    prefix = "module."
    state = torch.load(path, weights_only=True)["average"]
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
