"""Student weights on disk: one safetensors file whose header says everything about itself.

The header's `pellucid.student` entry is JSON: network config, preset, provenance, licence. A file
therefore reloads with nothing beside it, and nothing in it is code.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from .layers import RepConv, fold
from .plain_unet import PlainUNet, PlainUNetConfig

KEY = "pellucid.student"


@dataclass(frozen=True)
class Provenance:
    """Where weights come from. datasets: names with their licences. recipe: how they were made."""

    preset: str
    recipe: str
    steps: int
    datasets: list[str] = field(default_factory=list)
    license: str = "Apache-2.0"
    teacher: str | None = None
    date: str = ""


def save_student(path: Path, model: PlainUNet, provenance: Provenance) -> None:
    """Write the folded student, float32, replacing `path` atomically."""
    deployed = fold(model)
    header = {"config": model.config.to_dict(), "provenance": asdict(provenance)}
    tensors = {name: value.contiguous() for name, value in deployed.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={KEY: json.dumps(header)})
    os.replace(partial, path)


def load_student(path: Path) -> tuple[PlainUNet, Provenance]:
    """The folded network and where it comes from. Raises ValueError for any other file."""
    if not path.exists():
        raise ValueError(f"{path}: no such weights file; make one with `pellucid train student`")
    with safe_open(path, framework="pt") as file:
        header = (file.metadata() or {}).get(KEY)
        if header is None:
            raise ValueError(f"{path}: not a student's weights (no {KEY!r} in its header)")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    told = json.loads(header)
    model = PlainUNet(PlainUNetConfig.from_dict(told["config"]))
    for module in model.modules():
        if isinstance(module, RepConv):
            module.fold_()
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False), Provenance(**told["provenance"])


def begin_from(model: PlainUNet, path: Path) -> None:
    """Folded weights into an unfolded network: the kernel carries all, other branches keep 0.

    Raises ValueError if `path` holds a network of another shape.
    """
    kept, _ = load_student(path)
    if kept.config != model.config:
        raise ValueError(f"{path} holds {kept.config}, expected {model.config}")
    model.load_state_dict(kept.state_dict(), strict=False)


def parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
