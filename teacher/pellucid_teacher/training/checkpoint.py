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
_FREE = ("workers", "save_every", "save_seconds", "compile")


@dataclass
class RunState:
    """What a step changes. elapsed: seconds of all sessions of the run. data: description of
    the samples, which no step changes."""

    model: nn.Module
    average: AveragedModel
    optimizer: MuonAndAdam
    step: int = 0
    elapsed: float = 0.0
    data: str = ""


def save(path: Path, config: Any, processes: int, state: RunState) -> None:
    """Write the checkpoint under a temporary name, then rename: a kill leaves the previous one."""
    saved = {
        "config": asdict(config) | {"processes": processes},
        "step": state.step,
        "elapsed": state.elapsed,
        "data": state.data,
        "model": state.model.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(saved, partial)
    os.replace(partial, path)


def resume(path: Path, config: Any, processes: int, state: RunState) -> None:
    """Load a checkpoint into `state` if there is one.

    Raises ValueError, two lines that name what differs, if it was written by another recipe, by
    another number of processes (their samples would differ), on other data or for another network.
    """
    if not path.exists():
        return
    saved = torch.load(path, weights_only=True, map_location="cpu")
    ours, theirs = asdict(config) | {"processes": processes}, {"processes": 1} | saved["config"]
    differs = [k for k in ours if k not in _FREE and ours[k] != theirs.get(k)]
    if differs:
        listed = ", ".join(f"{k}: {theirs.get(k)} then, {ours[k]} now" for k in differs)
        raise _refusal(path, f"was written by another recipe ({listed})")
    if state.data and saved.get("data") and saved["data"] != state.data:
        raise _refusal(path, f"was trained on other data: {saved['data']} then, {state.data} now")
    if difference := _difference(saved["model"], state.model.state_dict()):
        raise _refusal(path, f"holds another network, of another --preset perhaps ({difference})")
    state.model.load_state_dict(saved["model"])
    state.average.load_state_dict(saved["average"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.step, state.elapsed = int(saved["step"]), float(saved["elapsed"])


def _refusal(path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path} {what}.\nGo on with what the run was begun with, or give another folder with -o."
    )


def _difference(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> str:
    """The first tensor that differs in name or shape; empty if all agree."""
    for name in [*ours, *theirs]:
        then, now = (
            "absent" if name not in side else "x".join(map(str, side[name].shape)) or "a number"
            for side in (theirs, ours)
        )
        if then != now:
            return f"{name}: {then} then, {now} now"
    return ""


def averaged_weights(folder: Path) -> tuple[dict[str, Tensor], int]:
    """The EMA weights of a run's last checkpoint, the ones to keep, by name; and its step."""
    path = folder / "state.pt"
    if not path.exists():
        raise ValueError(f"{path}: no checkpoint yet; train first")
    prefix = "module."
    saved = torch.load(path, weights_only=True, map_location="cpu")
    average = {
        name.removeprefix(prefix): value
        for name, value in saved["average"].items()
        if name.startswith(prefix)
    }
    return average, int(saved["step"])


def run_so_far(folder: Path) -> tuple[int, float]:
    """(steps, seconds) of training in a run's last checkpoint; zeros where there is none."""
    path = folder / "state.pt"
    if not path.exists():
        return 0, 0.0
    saved = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    return int(saved["step"]), float(saved["elapsed"])
