"""Core ML on macOS: a package on one of its sets of compute units."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ..card import read_card
from ..errors import ModelError
from .opened import Opened, picture
from .targets import Target

_WANTED = {"CPU_AND_NE": "NeuralEngine", "CPU_AND_GPU": "GPU"}  # that a silent fallback leaves idle


def open_coreml(target: Target, path: Path, size: tuple[int, int], strict: bool) -> Opened:
    """See `open_call`. Threads and precision are Core ML's own; it counts no layers."""
    if path.suffix != ".mlpackage":
        raise ModelError(f"Core ML reads .mlpackage, not {path.suffix or 'folders'}")
    import coremltools

    units = coremltools.ComputeUnit[target.device]
    model: Any = coremltools.models.MLModel(str(path), compute_units=units)
    description = model.get_spec().description
    if len(description.input) != 1:
        raise ModelError(f"expected one input, got {len(description.input)}")
    feeds = {description.input[0].name: _feed(description.input[0].type, size)}
    card = read_card(dict(model.user_defined_metadata), path.stem)
    placed = ""
    if target.device in _WANTED:
        spent = _placement(coremltools, model, units)
        if not spent and strict:
            raise ModelError("no fallback can be ruled out: macOS tells placement from 14.4 on")
        most = max(spent, key=lambda device: spent[device], default="")
        placed = "" if most == _WANTED[target.device] else most
    return Opened(lambda: model.predict(feeds), card, placed)


def _feed(port: Any, size: tuple[int, int]) -> Any:
    """What `predict` takes for a port: an array, or a PIL picture for an image port."""
    if port.WhichOneof("Type") != "imageType":
        array = port.multiArrayType
        fixed = (
            list(array.shape) if not array.WhichOneof("ShapeFlexibility") else [1, 3, None, None]
        )
        return picture(fixed, size)
    image = port.imageType
    flexible = image.WhichOneof("SizeFlexibility")
    levels = picture([1, 3, *((None, None) if flexible else (image.height, image.width))], size)
    try:
        from PIL import Image
    except ImportError as error:
        raise ModelError("its input is an image; that needs Pillow: pip install pillow") from error
    return Image.fromarray(np.rint(255.0 * levels[0].transpose(1, 2, 0)).astype(np.uint8))


def _placement(coremltools: Any, model: Any, units: Any) -> dict[str, float]:
    """Device -> share of Core ML's own estimate of the cost; empty before macOS 14.4.

    coremltools.models.compute_plan.MLComputePlan; operations without a device are constants.
    """
    try:
        plan = coremltools.models.compute_plan.MLComputePlan.load_from_path(
            path=model.get_compiled_model_path(), compute_units=units
        )
        operations = plan.model_structure.program.functions["main"].block.operations
    except Exception:  # coremltools raises plain Exception and ValueError; old systems lack the API
        return {}
    spent: dict[str, float] = defaultdict(float)
    for operation in operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
        if usage is not None and cost is not None:
            kind = type(usage.preferred_compute_device).__name__
            spent[kind.removeprefix("ML").removesuffix("ComputeDevice")] += cost.weight
    return dict(spent)
