"""Student weights on disk: one safetensors file whose header says everything about itself.

The header's `pellucid.student` entry is JSON: network config, preset, provenance, licence. A file
therefore reloads with nothing beside it, and nothing in it is code.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from pellucid_teacher.weights import read_tensors, write_tensors

from .enlarger import Enlarger, EnlargerConfig
from .layers import fold
from .net2net import grow_from
from .plain_unet import PlainUNet, PlainUNetConfig

KEY = "pellucid.student"
ENLARGES = "enlarger"  # in the header of networks that enlarge
LARGEST_FILE = 16_000_000  # bytes; only teachers exceed it, whose targets need no more than 16 bits


AnyStudent = PlainUNet | Enlarger


@dataclass(frozen=True)
class Provenance:
    """Where weights come from. recipe: how they were made. license: of the weights, as SPDX or in
    words; exported files carry it. datasets: names with their licences.
    clip_frames: length of the clips they have learnt to carry estimates over; 0: photos only."""

    preset: str
    recipe: str
    steps: int
    license: str
    datasets: list[str] = field(default_factory=list)
    teacher: str | None = None
    date: str = ""
    clip_frames: int = 0


def save_student(path: Path, model: AnyStudent, provenance: Provenance) -> None:
    """Write the folded student, replacing `path` atomically; float32, or bfloat16 if it would be
    larger than LARGEST_FILE."""
    deployed = fold(model)
    header: dict[str, object] = {"config": model.config.to_dict(), "provenance": asdict(provenance)}
    if isinstance(model, Enlarger):
        header["network"] = ENLARGES
    half = 4 * parameter_count(deployed) > LARGEST_FILE
    dtype = torch.bfloat16 if half else torch.float32
    tensors = {name: value.to(dtype).contiguous() for name, value in deployed.state_dict().items()}
    write_tensors(path, tensors, {KEY: json.dumps(header)})


def load_student(path: Path) -> tuple[PlainUNet, Provenance]:
    """The folded network and where it comes from. Raises ValueError for any other file."""
    model, provenance = load_any_student(path)
    if isinstance(model, Enlarger):
        raise ValueError(f"{path}: enlarges pictures; expected a student that keeps their size")
    return model, provenance


def load_any_student(path: Path) -> tuple[AnyStudent, Provenance]:
    """`load_student`, also of students that enlarge."""
    if not path.exists():
        raise ValueError(f"{path}: no such weights file; make one with `pellucid train student`")
    tensors, header = read_tensors(path)
    if KEY not in header:
        raise ValueError(f"{path}: not a student's weights (no {KEY!r} in its header)")
    entry = json.loads(header[KEY])
    model: AnyStudent
    if entry.get("network") == ENLARGES:
        model = fold(Enlarger(EnlargerConfig.from_dict(entry["config"])))
    else:
        model = fold(PlainUNet(PlainUNetConfig.from_dict(entry["config"])))
        # The shipped teachers' stems have channels for an earlier estimate, which photos left at 0.
        tensors["stem.weight"] = tensors["stem.weight"][:, : model.stem.weight.shape[1]]
    model.load_state_dict(tensors)  # back to float32
    return model, Provenance(**entry["provenance"])


def begin_from(model: PlainUNet, path: Path) -> None:
    """Folded weights into an unfolded network, which may be larger: the kernel carries all, other
    branches keep 0.

    Raises ValueError if `path` holds a network that is larger somewhere.
    """
    kept, _ = load_student(path)
    try:
        grow_from(kept, model)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def begin_enlarging_from(model: Enlarger, path: Path) -> None:
    """Folded weights into an unfolded network of the same size: the kernels carry all.

    Raises ValueError for weights of another size.
    """
    kept, _ = load_any_student(path)
    if kept.config != model.config:
        raise ValueError(f"{path}: expected weights of {model.config}, got {kept.config}")
    model.load_state_dict(kept.state_dict(), strict=False)  # the other branches keep 0


def continued(own: Provenance, start: Path | None) -> Provenance:
    """Provenance of a run that began from the weights in `start`: theirs, and then its own."""
    if start is None:
        return own
    _, old = load_any_student(start)
    before = old.recipe if old.preset == own.preset else f"{old.preset}: {old.recipe}"
    return replace(
        own,
        recipe=f"{before}; then {own.steps:,} steps: {own.recipe}",
        steps=old.steps + own.steps,
        datasets=list(dict.fromkeys([*old.datasets, *own.datasets])),
    )


def parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
