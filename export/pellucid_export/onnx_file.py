"""Student weights -> one ONNX file that is compared with torch before it gets its name.

The graph has one required input, `input`. The scene code is an overridable initializer: a host that
knows only `input` gets it measured inside, while a tiling runtime measures it once and feeds it.
"""

import json
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from pellucid_student.plain_unet import PlainUNet
from pellucid_student.weights import Provenance

from .card import KEY, card
from .restoration import Restoration, unmeasured_scene

OPSET = 20
PARITY_FLOOR_DB = 100.0
# Odd sides, both orders, smaller than the network's own multiple, and one that needs no padding.
PROBE_SIZES = ((64, 96), (97, 61), (61, 97), (5, 3))


class ParityError(Exception):
    """The exported graph does not compute what the network computes; nothing was written."""


@dataclass(frozen=True)
class Exported:
    """path of the file; parity_db: worst agreement with torch over the probe sizes; its card."""

    path: Path
    parity_db: float
    card: dict[str, object]


def export_onnx(
    student: PlainUNet,
    provenance: Provenance,
    steps: int,
    path: Path,
    parity_floor_db: float = PARITY_FLOOR_DB,
) -> Exported:
    """Write the K-step restorer as ONNX, opset 20, float32, dynamic height and width.

    student: folded (`load_student` or `fold`). Raises ParityError, leaving no file, if any probe
    agrees with torch by less than `parity_floor_db` (PSNR of the difference, peak 1).
    """
    restoration = Restoration(student, steps).eval()
    model = _trace(restoration)
    told = card(student, provenance, steps)
    _finish(model, told)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    parity = _parity_db(data, restoration)
    if parity < parity_floor_db:
        raise ParityError(
            f"{path.name}: ONNX Runtime agrees with torch to {parity:.1f} dB, "
            f"expected at least {parity_floor_db:.0f} dB; nothing was written"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(path, parity, told)


def _trace(restoration: Restoration) -> onnx.ModelProto:
    dynamic = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports absent torchvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch.export, not ours to mend
        program = torch.onnx.export(
            restoration,
            (torch.rand(1, 3, 50, 70), unmeasured_scene()),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input", "scene"],
            output_names=["output"],
            dynamic_shapes={"input": dynamic, "scene": {}},
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


def _finish(model: onnx.ModelProto, told: dict[str, object]) -> None:
    """Name the free dimensions, give `scene` its default, embed the card."""
    default = unmeasured_scene().numpy()
    model.graph.initializer.append(numpy_helper.from_array(default, "scene"))
    for value in (model.graph.input[0], model.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("batch", "channels", "height", "width"), strict=True):
            if name in ("height", "width"):
                dim.dim_param = name
    model.producer_name = "pellucid"
    model.doc_string = str(told["purpose"])
    for key in ("id", "license", "version"):
        model.metadata_props.add(key=key, value=str(told[key]))
    model.metadata_props.add(key=KEY, value=json.dumps(told))


def _parity_db(data: bytes, restoration: Restoration) -> float:
    """Worst PSNR between ONNX Runtime and torch, with the scene measured inside and given."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that `scene` is overridable, which is the point
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = np.inf
    for height, width in PROBE_SIZES:
        image = torch.rand(1, 3, height, width, generator=generator)
        given = torch.rand(1, unmeasured_scene().shape[1], generator=generator)
        for scene in (unmeasured_scene(), given):
            with torch.no_grad():
                expected = restoration(image, scene).numpy()
            feeds = {"input": image.numpy(), "scene": scene.numpy()}
            got = np.asarray(session.run(["output"], feeds)[0])
            worst = min(worst, agreement_db(got, expected))
    return float(worst)


def agreement_db(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """PSNR of the difference for peak 1; 200 dB for identical arrays; -inf where not finite."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return float("-inf")
    mse = float(np.mean((got.astype(np.float64) - expected) ** 2))
    return 200.0 if mse == 0.0 else min(200.0, -10.0 * float(np.log10(mse)))
