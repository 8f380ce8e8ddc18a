"""Teacher weights on disk: bf16 safetensors in parts of at most 16 MB, with a header in each.

bf16 keeps fp32's range at half of the size; teachers are run, distilled from, and not trained on
from these files. The header's `pellucid.teacher` entry is JSON: what `System.header` says, the
number of steps, datasets and licence. A file reloads with nothing beside it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .system import System, SystemKind
from .systems import SYSTEMS

KEY = "pellucid.teacher"
PART_BYTES = 15_500_000


def save_teacher(
    folder: Path, system: System, step: int, datasets: list[str], license: str
) -> list[Path]:
    """Write `folder`/teacher-01-of-NN.safetensors; every part carries the whole header.

    license: of the weights, as SPDX or in words.
    """
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in system.network.state_dict().items():
        tensor = value.detach().to("cpu", torch.bfloat16).contiguous()
        if size and size + tensor.nbytes > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    header = {**system.header(), "step": step, "datasets": datasets, "license": license}
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


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors by name, the header's metadata) of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def load_teacher(folder: Path, kinds: Mapping[str, SystemKind] = SYSTEMS) -> System:
    """The system, its network in float32 and frozen.

    kinds: by the names in headers; add those that live elsewhere. Raises ValueError if a part is
    missing, or the system is none of them.
    """
    paths = sorted(folder.glob("teacher-*-of-*.safetensors"))
    if not paths:
        raise ValueError(f"{folder}: no teacher-NN-of-NN.safetensors in it; train a teacher first")
    expected = int(paths[0].stem.split("-")[-1])
    if len(paths) != expected:
        raise ValueError(f"{folder}: {len(paths)} of {expected} parts are there; fetch the others")
    weights: dict[str, Tensor] = {}
    for path in paths:
        tensors, header = read_tensors(path)
        entry: dict[str, Any] = json.loads(header[KEY])
        weights |= {name: tensor.float() for name, tensor in tensors.items()}
    # The first files held DiffUIR alone, under "recipe".
    name, entry = entry.get("system", "diffuir"), entry.get("recipe", entry)
    if name not in kinds:
        raise ValueError(
            f"{folder} holds a system named {name!r}, which is none of {', '.join(kinds)}; say "
            "where it is: --system MODULE:KIND, or load_teacher(folder, kinds)"
        )
    system = kinds[name].from_header(entry)
    system.network.load_state_dict(weights)
    system.network.eval().requires_grad_(False)
    return system
