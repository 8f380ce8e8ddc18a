"""Student weights -> one ONNX file that is compared with torch before it gets its name.

The graph has one required input, `input`. The scene code, and the maps of students of two scales,
are overridable initializers: a host that knows only `input` gets them measured inside, while a
tiling runtime measures them once and feeds them.
"""

import base64
import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from pellucid.estimator import KEY as ESTIMATOR_KEY
from pellucid.session import open_session
from pellucid.size import Size
from pellucid.thumbnail import GRID
from pellucid.thumbnail import KEY as THUMBNAIL_KEY
from pellucid_student.plain_unet import PlainUNet
from pellucid_student.weights import AnyStudent, Provenance

from ..card import KEY, card, frame_card
from ..restoration import (
    AnyRestoration,
    FrameRestoration,
    ImageRestoration,
    WholePath,
    make_restoration,
)
from ..thresholds import FLOAT_FLOOR_DB, ParityError, agreement_db
from .estimator import encoded
from .opset import LEAST_IR, TRACED
from .rewrites import rewrite_for_devices
from .scene_branch import measure_on_demand

EXAMPLE_SIZE = (50, 70)
# Odd sides, both orders, smaller than the network's own multiple, and one that needs no padding.
PROBE_SIZES = ((64, 96), (97, 61), (61, 97), (5, 3))

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Exported:
    """path of the file; parity_db: worst agreement with torch over the probe sizes; its card."""

    path: Path
    parity_db: float
    card: dict[str, object]


def export_onnx(
    student: AnyStudent,
    provenance: Provenance,
    path: Path,
    steps: int = 1,
    floor_db: float = FLOAT_FLOOR_DB["fp32"],
) -> Exported:
    """Write the K-step restorer as ONNX, opset 18, float32, dynamic height and width.

    student: folded (`load_student` or `fold`). Raises ParityError, leaving no file, if any probe
    agrees with torch by less than `floor_db` (PSNR of the difference, peak 1).
    """
    restoration = make_restoration(student, steps)
    return write_onnx(restoration, card(student, provenance, steps), path, floor_db)


def export_frames(
    student: PlainUNet, provenance: Provenance, path: Path, floor_db: float = FLOAT_FLOOR_DB["fp32"]
) -> Exported:
    """The same for frames of a stream, one call each: `input` and `state`, see FrameRestoration."""
    return write_onnx(FrameRestoration(student), frame_card(student, provenance), path, floor_db)


def write_onnx(
    restoration: AnyRestoration, model_card: dict[str, object], path: Path, floor_db: float
) -> Exported:
    """Trace, compare with torch, then write `path` whole. Raises ParityError."""
    restoration = restoration.eval()
    model = to_onnx(restoration, model_card)
    rewrite_for_devices(model)
    measure_on_demand(model)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    parity = _parity_db(data, restoration)
    if parity < floor_db:
        raise ParityError(
            f"{path.name}: ONNX Runtime agrees with torch to {parity:.1f} dB, "
            f"expected at least {floor_db:.0f} dB; nothing was written"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(path, parity, model_card)


def to_onnx(
    restoration: AnyRestoration,
    model_card: dict[str, object],
    size: Size | None = None,
    image_io: bool = False,
) -> onnx.ModelProto:
    """The traced, checked graph with its card inside.

    size: (H, W) of a graph with fixed sides, None for any. image_io: uint8 (1, H, W, 3) ports.
    """
    height, width = size or EXAMPLE_SIZE
    module: torch.nn.Module = restoration
    examples = {name: torch.rand(1, 3, height, width) for name in restoration.pictures}
    axes = (2, 3)
    if image_io:
        module, axes = ImageRestoration(restoration).eval(), (1, 2)
        levels = (examples["input"] * 255.0).to(torch.uint8)
        examples = {"input": levels.permute(0, 2, 3, 1).contiguous()}
    free_axes = None if size else axes
    model = _trace(module, examples, restoration.defaults, free_axes)
    _finish(model, restoration.defaults, free_axes)
    embed_card(model, model_card, restoration.student)
    onnx.checker.check_model(model, full_check=True)
    return model


def _trace(
    module: torch.nn.Module,
    examples: dict[str, torch.Tensor],
    defaults: Mapping[str, torch.Tensor],
    free_axes: tuple[int, int] | None,
) -> onnx.ModelProto:
    """examples: the pictures by name; defaults: the arguments after them, of fixed shapes."""
    dynamic = None
    if free_axes is not None:
        free: dict[int, object] = dict.fromkeys(free_axes, torch.export.Dim.DYNAMIC)
        dynamic = dict.fromkeys(examples, free) | {name: {} for name in defaults}
    examples = examples | dict(defaults)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports absent torchvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch.export, not ours to mend
        program = torch.onnx.export(
            module,
            tuple(examples.values()),
            dynamo=True,
            opset_version=TRACED,
            input_names=list(examples),
            output_names=["output"],
            dynamic_shapes=dynamic,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    model.ir_version = LEAST_IR
    return model


def _finish(
    model: onnx.ModelProto,
    defaults: Mapping[str, torch.Tensor],
    free_axes: tuple[int, int] | None,
) -> None:
    """Name the free dimensions, give the optional inputs their defaults."""
    for name, default in defaults.items():
        model.graph.initializer.append(numpy_helper.from_array(default.numpy(), name))
    enlarged = "" if defaults else "enlarged_"
    pictures = [(value, "") for value in model.graph.input if value.name not in defaults]
    for value, kind in (*pictures, (model.graph.output[0], enlarged)):
        dims = value.type.tensor_type.shape.dim
        for axis, name in zip(free_axes or (), ("height", "width"), strict=False):
            dims[axis].dim_param = kind + name
    # The exporter leaves stack traces in every node: this machine's paths, a tenth of the file.
    for held in (*model.graph.node, *model.graph.value_info, model.graph):
        del held.metadata_props[:]


def embed_card(model: onnx.ModelProto, model_card: dict[str, object], student: AnyStudent) -> None:
    """The card as `pellucid.config`, the three entries that other tools show, and, as graphs of
    their own for who feeds `scene` and `maps`, what measures the whole picture."""
    model.producer_name = "pellucid"
    model.doc_string = str(model_card["purpose"])
    del model.metadata_props[:]
    for key in ("id", "license", "version"):
        model.metadata_props.add(key=key, value=str(model_card[key]))
    model.metadata_props.add(key=KEY, value=json.dumps(model_card))
    for key, value in whole_picture_graphs(student).items():
        model.metadata_props.add(key=key, value=value)


def whole_picture_graphs(student: AnyStudent) -> dict[str, str]:
    """The estimator and what makes `maps`, as far as a student has them: entries of metadata."""
    entries: dict[str, str] = {}
    if not isinstance(student, PlainUNet):
        return entries
    if student.estimator is not None:
        entries[ESTIMATOR_KEY] = encoded(student.estimator)
    if student.thumbnail is not None:
        module, scene = WholePath(student).eval(), torch.rand(1, student.scene_size)
        made = _trace(module, {"picture": torch.rand(1, 3, GRID, GRID)}, {"scene": scene}, None)
        entries[THUMBNAIL_KEY] = base64.b64encode(made.SerializeToString()).decode("ascii")
    return entries


def onnx_runner(model: bytes | Path, image_io: bool, threads: int = 1) -> Run:
    """Pictures (1, 3, H, W) in [0, 1] through the file, whatever its ports are."""
    session = open_session(model, threads)

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        fed = to_levels(image) if image_io else image
        out = np.asarray(session.run(["output"], {"input": fed})[0])
        return from_levels(out) if image_io else out

    return run


def to_levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(1, 3, H, W) in [0, 1] -> (1, H, W, 3) in 0..255."""
    levels = np.rint(image * np.float32(255.0)).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def from_levels(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(1, H, W, 3) in 0..255 -> (1, 3, H, W) in [0, 1]."""
    return np.asarray(levels.transpose(0, 3, 1, 2) / np.float32(255.0), np.float32)


def _parity_db(data: bytes, restoration: AnyRestoration) -> float:
    """Worst PSNR between ONNX Runtime and torch, what is optional measured inside and given."""
    session = open_session(data)
    generator = torch.Generator().manual_seed(0)
    worst = np.inf
    for height, width in PROBE_SIZES:
        images = {
            name: torch.rand(1, 3, height, width, generator=generator)
            for name in restoration.pictures
        }
        defaults = restoration.defaults
        given = {name: torch.rand(t.shape, generator=generator) for name, t in defaults.items()}
        if "window" in given:
            given["window"] = torch.tensor([[8.0, 16.0, 2.0 * height + 8.0, width + 24.0]])
        for optional in (defaults, given):
            with torch.no_grad():
                expected = restoration(*images.values(), *optional.values()).numpy()
            feeds = {name: tensor.numpy() for name, tensor in (images | dict(optional)).items()}
            got = np.asarray(session.run(["output"], feeds)[0])
            worst = min(worst, agreement_db(got, expected))
    return float(worst)
