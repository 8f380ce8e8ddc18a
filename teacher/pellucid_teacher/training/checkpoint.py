"""The state of a run on disk: everything the next step depends on, replaced atomically."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .muon import MuonAndAdam

# What changes no number of a run but in rounding: where samples are made, how often the state is
# written, whether the network is compiled.
_FREE = ("workers", "save_every", "compile")


@dataclass
class RunState:
    """What a step changes. elapsed: training seconds of all sessions of the run."""

    model: nn.Module
    average: AveragedModel
    optimizer: MuonAndAdam
    step: int = 0
    elapsed: float = 0.0


def save(path: Path, config: Any, processes: int, state: RunState) -> None:
    """Write the checkpoint under a temporary name, then rename: a kill leaves the previous one."""
    told = {
        "config": asdict(config) | {"processes": processes},
        "step": state.step,
        "elapsed": state.elapsed,
        "model": state.model.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(told, partial)
    os.replace(partial, path)


def resume(path: Path, config: Any, processes: int, state: RunState) -> None:
    """Load a checkpoint into `state` if there is one.

    Raises ValueError, naming what differs, if it was written by another recipe, by another number
    of processes (their samples would differ) or for another network.
    """
    if not path.exists():
        return
    told = torch.load(path, weights_only=True, map_location="cpu")
    ours, theirs = asdict(config) | {"processes": processes}, {"processes": 1} | told["config"]
    differs = [k for k in ours if k not in _FREE and ours[k] != theirs.get(k)]
    if differs:
        listed = ", ".join(f"{k}: {theirs.get(k)} then, {ours[k]} now" for k in differs)
        raise ValueError(f"{path} was written by another recipe ({listed}); use a new folder")
    try:
        state.model.load_state_dict(told["model"])
    except RuntimeError as error:
        raise ValueError(f"{path} holds another network: {error}; use a new folder") from error
    state.average.load_state_dict(told["average"])
    state.optimizer.load_state_dict(told["optimizer"])
    state.step, state.elapsed = int(told["step"]), float(told["elapsed"])


def averaged_weights(folder: Path) -> tuple[dict[str, Tensor], int]:
    """The EMA weights of a run's last checkpoint, the ones to keep, by name; and its step."""
    path = folder / "state.pt"
    if not path.exists():
        raise ValueError(f"{path}: no checkpoint yet; train first")
    prefix = "module."
    told = torch.load(path, weights_only=True, map_location="cpu")
    average = {
        name.removeprefix(prefix): value
        for name, value in told["average"].items()
        if name.startswith(prefix)
    }
    return average, int(told["step"])
