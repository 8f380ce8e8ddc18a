"""The training loop, as a generator: the caller watches every step, no callbacks, no logger.

    for report in train(system, samples, config, folder, minutes=90):
        print(report.step, report.loss)

One CPU, one GPU or many: accelerate decides from how the program was started (`torchrun` or
`accelerate launch` for several processes); nothing here changes. A run is a folder, `state.pt` in
it holds everything that the next step depends on, so a killed run goes on with the losses it would
have had. It is written every minute, at the end, and on Ctrl-C and SIGTERM, after the step at hand.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import cos, pi
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..data.stream import Batch, Samples, Shard, batches
from ..system import System, with_network
from .checkpoint import RunState, resume, save
from .config import TrainConfig as TrainConfig
from .interruption import Interruption
from .muon import MuonAndAdam


@dataclass(frozen=True)
class StepReport:
    """One optimiser step. loss: mean over the step's samples of all processes.
    progress: 0..1 of the run, by steps or by the time budget, whichever is further. average: the
    system with averaged weights. pictures: that all processes have seen so far."""

    step: int
    loss: float
    lr: float
    elapsed: float
    progress: float
    average: System
    is_main: bool
    pictures: int = 0


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Linear warm-up over `warmup` steps, then a cosine over the run's progress 0..1."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    swing = 0.5 * (1.0 + cos(pi * min(1.0, progress)))
    return warm * (config.final_lr + (config.lr - config.final_lr) * swing)


def train(
    system: System,
    samples: Samples,
    config: TrainConfig,
    folder: Path,
    minutes: float | None = None,
    began: float | None = None,
) -> Iterator[StepReport]:
    """Train `system.network` in place, resuming from folder/state.pt if there is one.

    minutes: time budget of the whole run over all its sessions; the learning rate is annealed to it
    and the run ends with it, or with config.steps, whichever comes first.
    began: `time.monotonic()` at which the command began, so that loading counts; None: now.
    Raises KeyboardInterrupt, with the state saved, after Ctrl-C or SIGTERM.
    Raises ValueError if the checkpoint was written by another recipe.
    """
    with flushed_denormals():
        yield from _train(system, samples, config, folder, minutes, began)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """The momentum of a filter whose ReLU has died decays through the denormal numbers, on which
    x86 is a hundred times slower: within this block they are zero.

    Threads inherit it from the one that starts them, so enter it before a process' first torch
    work. It is undone at the end, for code that relies on denormals.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _train(
    system: System,
    samples: Samples,
    config: TrainConfig,
    folder: Path,
    minutes: float | None,
    began: float | None,
) -> Iterator[StepReport]:
    called = time.monotonic()
    accelerator = Accelerator(mixed_precision="no")
    folder.mkdir(parents=True, exist_ok=True)
    path, processes = folder / "state.pt", accelerator.num_processes
    model = system.network.to(accelerator.device)
    optimizer = _optimizer(model, config)
    average = AveragedModel(model, multi_avg_fn=partial(_follow, config.ema))
    state = RunState(model, average, optimizer, data=samples.describe())
    resume(path, config, processes, state)
    wrapped = accelerator.prepare_model(model)
    if config.compile:
        wrapped = torch.compile(wrapped)
    shard = Shard(config.batch_size, accelerator.process_index, processes)
    stream = batches(
        samples,
        config.seed,
        shard,
        state.step * config.accumulate,
        config.steps * config.accumulate,
        config.workers,
    )
    averaged = with_network(system, average.module)
    start = (called if began is None else began) - state.elapsed
    saved_at, saved, stopping = state.step, time.monotonic(), False
    interruption = Interruption()
    with interruption.listening():
        while state.step < config.steps:
            # Here and not after the step: what the caller does to the network belongs to it.
            due = time.monotonic() - saved >= config.save_seconds
            if state.step != saved_at and (due or state.step % config.save_every == 0):
                saved_at, saved = state.step, time.monotonic()
                if accelerator.is_main_process:
                    save(path, config, processes, state)
            state.elapsed = time.monotonic() - start
            progress = _progress(config, state, minutes)
            progress, stopping = _agree(progress, interruption.asked, accelerator)
            if stopping or progress >= 1.0:
                break
            lr = learning_rate(config, state.step, progress)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["scale"]
            micro = list(islice(stream, config.accumulate))
            system.network = wrapped
            try:
                value = _step(system, micro, config, state.step, optimizer, accelerator)
            finally:
                system.network = model
            state.step += 1
            if state.step % config.ema_every == 0:
                average.update_parameters(model)
            yield StepReport(
                state.step,
                value,
                lr,
                state.elapsed,
                progress,
                averaged,
                accelerator.is_main_process,
                state.step * config.accumulate * config.batch_size * processes,
            )
        if state.step != saved_at and accelerator.is_main_process:
            save(path, config, processes, state)
    accelerator.wait_for_everyone()
    if stopping:
        raise KeyboardInterrupt


def _optimizer(model: nn.Module, config: TrainConfig) -> MuonAndAdam:
    """Every group carries its `scale`: learning rate in units of the schedule's."""
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    kernels = {name for name in learnt if config.muon and re.match(config.muon, name)}
    fast = {name for name in learnt if config.fast and re.match(config.fast, name)} - kernels
    rest = [
        {"params": chosen, "scale": scale}
        for scale, names in ((1.0, learnt.keys() - kernels - fast), (config.fast_scale, fast))
        if (chosen := [p for name, p in learnt.items() if name in names])
    ]
    by_muon = [p for name, p in learnt.items() if name in kernels]
    optimizer = MuonAndAdam(by_muon, rest, config.betas, config.muon_decay)
    for group in optimizer.param_groups:
        group.setdefault("scale", config.muon_scale)
    return optimizer


@torch.no_grad()
def _follow(decay: float, average: list[Tensor], now: list[Tensor], moved: Tensor) -> None:
    """Move the average, after `moved` times before, to the weights of now.

    At a fixed decay of 0.999 the average of an 800-step run were 45 % its start; (1 + n) / (10 + n)
    grows to it instead (as TensorFlow's ExponentialMovingAverage does with num_updates).
    """
    grown = min(decay, (1.0 + float(moved)) / (10.0 + float(moved)))
    torch._foreach_lerp_(average, now, 1.0 - grown)


def _step(
    system: System,
    micro: list[Batch],
    config: TrainConfig,
    step: int,
    optimizer: MuonAndAdam,
    accelerator: Accelerator,
) -> float:
    """One optimiser step over the micro-batches; its mean loss over all processes."""
    optimizer.zero_grad()
    total = torch.zeros((), device=accelerator.device)
    for index, batch in enumerate(micro):
        # Equal for all processes: they draw the same noise for different samples.
        generator = torch.Generator().manual_seed(
            (config.seed * 1_000_003 + step) * config.accumulate + index
        )
        # Not accelerate's own, which one process can never choose anew.
        kind = accelerator.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=config.bf16):
            value = system.loss(batch.to(accelerator.device), generator) / len(micro)
        accelerator.backward(value)
        total += value.detach()
    accelerator.clip_grad_norm_(system.network.parameters(), config.clip)
    optimizer.step()
    return float(accelerator.reduce(total, "mean"))


def _progress(config: TrainConfig, state: RunState, minutes: float | None) -> float:
    by_steps = state.step / config.steps
    return by_steps if minutes is None else max(by_steps, state.elapsed / (60.0 * minutes))


def _agree(progress: float, asked: bool, accelerator: Accelerator) -> tuple[float, bool]:
    """The main process's clock and anybody's signal count for all, or some would stop while others
    wait for them."""
    if accelerator.num_processes == 1:
        return progress, asked
    mine = [progress if accelerator.is_main_process else 0.0, float(asked)]
    summed = accelerator.reduce(torch.tensor(mine, device=accelerator.device), "sum")
    return float(summed[0]), bool(summed[1] > 0)
