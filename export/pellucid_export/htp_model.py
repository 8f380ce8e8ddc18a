"""A float ONNX restorer -> an int8 file that Qualcomm's HTP takes whole.

Measured on the HTP emulator of onnxruntime-qnn 2.7.0: a graph compiles if it has fixed sizes, if
every op is quantised (floats beside integers do not compile, nor do 8 bits beside 16), and if the
scene code comes in as an input (the reductions that measure it do not compile in integers). So the
host measures the scene, as it does for tiles: 40 numbers from a thumbnail, `pellucid.scene`.

Activations in 8 bits are the fast form, in 16 bits the faithful one; weights are int8 a channel.
What lies outside the ranges that the calibration saw is cut off, and a scene darker than any of
its pictures reaches outside. 16 bits have room for that: their ranges are widened by MARGIN.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from pellucid.errors import PellucidError
from pellucid.scene import measure_scene

from .onnx_rewrites import drop_unused, rewrite_for_devices
from .proof.graph import fix_sizes

SCENE = "scene"
MARGIN = {8: 1.0, 16: 4.0}  # times the range seen; 4 costs 2 of 16 bits


class HTPModelError(PellucidError):
    """The model or the pictures do not fit what the HTP needs."""


def htp_model(
    model: onnx.ModelProto,
    height: int,
    width: int,
    pictures: Sequence[NDArray[np.float32]],
    bits: int = 16,
) -> onnx.ModelProto:
    """Fixed to height x width, scene fed, every op quantised with ranges measured on `pictures`.

    model: a float32 restorer with the inputs `input` (1, 3, H, W) and `scene`; it is not changed.
    pictures: (height, width, 3) RGB in [0, 1], at least one; they should span what the file will
        meet: dark ones, hazy ones, noisy ones. bits: 8 or 16 for activations.
    The new file's inputs `input` and `scene` are both required. Metadata is carried over.
    """
    if bits not in (8, 16):
        raise HTPModelError(f"expected activations of 8 or 16 bits, got {bits}")
    wrong = [p.shape for p in pictures if p.shape != (height, width, 3)]
    if wrong or not pictures:
        raise HTPModelError(
            f"expected calibration pictures of {(height, width, 3)}, got {wrong or 'none'}"
        )
    fixed = _scene_fed(model, height, width)
    feeds = [
        {
            "input": np.ascontiguousarray(np.moveaxis(picture, 2, 0)[None], dtype=np.float32),
            SCENE: measure_scene(picture)[None],
        }
        for picture in pictures
    ]
    made = _quantised(fixed, feeds, bits)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    made.producer_name, made.doc_string = model.producer_name, model.doc_string
    return made


def _scene_fed(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """Fixed sizes, `scene` an ordinary input, no op that does nothing, all ops fit for devices."""
    given = onnx.ModelProto()
    given.CopyFrom(model)
    rewrite_for_devices(given)
    if any(not d.HasField("dim_value") for d in _dims(given, "input")):
        given = fix_sizes(given, height, width, Path("model"))
    if [d.dim_value for d in _dims(given, "input")] != [1, 3, height, width]:
        raise HTPModelError(
            f"the model's size is {[d.dim_value for d in _dims(given, 'input')]}, "
            f"asked for {[1, 3, height, width]}"
        )
    chosen = [n for n in given.graph.node if n.op_type == "Where" and SCENE in n.input]
    if len(chosen) != 1:
        raise HTPModelError(
            f"expected a model with an input {SCENE} that replaces what it measures itself, found "
            f"{len(chosen)} such places; export it with pellucid_export"
        )
    _rewire(given, chosen[0].output[0], SCENE)
    held = [tensor for tensor in given.graph.initializer if tensor.name != SCENE]
    del given.graph.initializer[:]
    given.graph.initializer.extend(held)
    drop_unused(given)
    _drop_idle(given)
    inferred = shape_inference.infer_shapes(given, data_prop=True)
    if any(node.op_type in ("Pad", "Slice") for node in inferred.graph.node):
        raise HTPModelError(
            f"{height}x{width} needs padding inside the graph, which the HTP would run in floats; "
            "choose sides that are multiples of the model's (`tile_multiple` in its card)"
        )
    return inferred


def _dims(model: onnx.ModelProto, name: str) -> list[Any]:
    for value in model.graph.input:
        if value.name == name:
            return list(value.type.tensor_type.shape.dim)
    raise HTPModelError(f"expected a model with an input named {name}")


def _rewire(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new


def _drop_idle(model: onnx.ModelProto) -> None:
    """Leave out pads by nothing, crops of nothing, and reshapes to the same shape."""
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    }
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {output.name for output in model.graph.output}
    for node in list(model.graph.node):
        same = node.op_type in ("Pad", "Slice", "Reshape") and (
            shapes.get(node.input[0]) == shapes.get(node.output[0], []) != []
        )
        if same and node.op_type == "Pad":
            pads = constants.get(node.input[1])
            same = pads is not None and not numpy_helper.to_array(pads).any()
        if not same:
            continue
        if node.output[0] in outputs:  # keep the output's name: its maker takes it over
            maker = next(n for n in model.graph.node if node.input[0] in n.output)
            renamed = node.input[0]
            maker.output[list(maker.output).index(renamed)] = node.output[0]
            _rewire(model, renamed, node.output[0])
        else:
            _rewire(model, node.output[0], node.input[0])
        model.graph.node.remove(node)
    drop_unused(model)


def _quantised(
    model: onnx.ModelProto, feeds: list[dict[str, NDArray[np.float32]]], bits: int
) -> onnx.ModelProto:
    import onnxruntime
    from onnxruntime import quantization

    onnxruntime.set_default_logger_severity(3)
    kind = quantization.QuantType.QUInt8 if bits == 8 else quantization.QuantType.QUInt16
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, made = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, given)
        quantization.quantize_static(
            given,
            made,
            _Reader(feeds),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=kind,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"TensorQuantOverrides": _widened_ranges(model, feeds, MARGIN[bits])},
        )
        return onnx.load(str(made))


def _widened_ranges(
    model: onnx.ModelProto, feeds: list[dict[str, NDArray[np.float32]]], margin: float
) -> dict[str, list[dict[str, np.float32]]]:
    """Overrides for ONNX Runtime's quantiser: tensor -> `margin` times the range it takes."""
    import onnxruntime

    if margin == 1.0:
        return {}
    told = onnx.ModelProto()
    told.CopyFrom(model)
    known = {output.name for output in told.graph.output}
    inner = [name for node in told.graph.node for name in node.output if name not in known]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = onnxruntime.InferenceSession(
        told.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for feed in feeds:
        for name, value in zip(names, session.run(None, feed), strict=True):
            if value.dtype == np.float32:
                low[name] = min(low[name], float(value.min()))
                high[name] = max(high[name], float(value.max()))
    return {
        name: [{"rmin": np.float32(margin * low[name]), "rmax": np.float32(margin * high[name])}]
        for name in names
        if high[name] > low[name]
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """It advises a pre-processing that changes nothing here, and that 16 bits need opset 21."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(level)


class _Reader:
    """What ONNX Runtime's calibration asks for: one feed after another, then None."""

    def __init__(self, feeds: list[dict[str, NDArray[np.float32]]]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.float32]]] = iter(feeds)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)
