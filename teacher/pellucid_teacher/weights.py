"""Teacher weights on disk: bf16 safetensors in parts of at most 16 MB, with config in the header.

bf16 keeps fp32's range at half of the size; teachers are run, distilled from, and not trained on
from these files.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .networks.diffuir_unet import DiffUIRConfig, DiffUIRUNet
from .teachers import TeacherRecipe, own

KEY = "pellucid.teacher"
PART_BYTES = 15_500_000


def save_teacher(
    folder: Path, weights: dict[str, Tensor], recipe: TeacherRecipe, step: int, datasets: list[str]
) -> list[Path]:
    """Write `folder`/teacher-01-of-NN.safetensors; every part carries the whole header."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in weights.items():
        tensor = value.detach().to("cpu", torch.bfloat16).contiguous()
        if size and size + tensor.nbytes > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    header = {"recipe": asdict(recipe), "step": step, "datasets": datasets, "license": "Apache-2.0"}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("teacher-*.safetensors"):
        old.unlink()
    written = []
    for number, part in enumerate(parts, start=1):
        path = folder / f"teacher-{number:02}-of-{len(parts):02}.safetensors"
        write_tensors(path, part, {KEY: json.dumps(header)})
        written.append(path)
    return written


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Write a safetensors file, replacing `path` atomically."""
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=header)
    os.replace(partial, path)


def load_teacher(folder: Path) -> tuple[DiffUIRUNet, TeacherRecipe]:
    """Network in float32 and its recipe. Raises ValueError if a part is missing."""
    paths = sorted(folder.glob("teacher-*-of-*.safetensors"))
    if not paths:
        raise ValueError(f"{folder}: no teacher-NN-of-NN.safetensors in it; train a teacher first")
    expected = int(paths[0].stem.split("-")[-1])
    if len(paths) != expected:
        raise ValueError(f"{folder}: {len(paths)} of {expected} parts are there; fetch the others")
    weights: dict[str, Tensor] = {}
    told: dict[str, object] = {}
    for path in paths:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})[KEY])
            weights |= {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    recipe = _recipe(told["recipe"])  # type: ignore[arg-type]
    model = DiffUIRUNet(recipe.network)
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False), recipe


def _recipe(told: dict[str, object]) -> TeacherRecipe:
    """The parts of a recipe that running a teacher needs; training settings stay at default."""
    network = told["network"]
    assert isinstance(network, dict)
    config = DiffUIRConfig(int(network["width"]), tuple(network["multipliers"]))
    return replace(
        own("diffuir-t"),
        network=config,
        delta_end=float(str(told["delta_end"])),
        start_noise=float(str(told["start_noise"])),
        train_noise=float(str(told["train_noise"])),
        steps=int(str(told["steps"])),
    )
