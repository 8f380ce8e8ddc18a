"""A float ONNX restorer -> an integer file that Qualcomm's HTP takes whole, and one for its host.

Measured on the HTP emulator of onnxruntime-qnn 2.7.0: a graph compiles if it has fixed sizes and if
every op is quantised (floats beside integers do not compile, nor do 8 bits beside 16, nor do the
reductions that measure the scene). So the file holds what is computed for every pixel; what is
computed once a picture (`htp_cut`) is a small float file of its own, which the host runs on its CPU
before: picture in, vectors out, and these are inputs of the HTP's file by name.

Activations in 8 bits are the fast form, in 16 bits the faithful one; weights are int8 a channel.
What lies outside the ranges that the calibration saw is cut off, and a scene darker than any of
its pictures reaches outside. 16 bits have room for that: their ranges are widened by MARGIN.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from pellucid.session import open_session

from ..onnx.rewrites import drop_unused, rewrite_for_devices
from ..readiness.graph_onnx import fix_sizes
from .cut import HTPModelError, cut_at_vectors

MARGIN = {8: 1.0, 16: 4.0}  # times the range seen; 4 costs 2 of 16 bits
# A channel map that is zero on every picture has no range: its scale, and with it that of the bias
# behind it, becomes so small that the HTP's 32-bit biases overflow. Pictures are in [0, 1].
LEAST_RANGE = 0.1
WIDENED_FROM = "code_"  # vectors are as open-ended as activations; `input` is [0, 1] for certain

Feeds = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class HTPFiles:
    """code: input (1, 3, H, W) of any size, optional scene -> vectors, float32, for the host.
    network: input (1, 3, H, W) of one size and the vectors by name -> output, all integers inside.
    """

    code: onnx.ModelProto
    network: onnx.ModelProto


def htp_model(
    model: onnx.ModelProto,
    height: int,
    width: int,
    pictures: Sequence[NDArray[np.float32]],
    bits: int = 16,
) -> HTPFiles:
    """Fixed to height x width, vectors fed, every op quantised with ranges measured on `pictures`.

    model: a float32 restorer with the inputs `input` (1, 3, H, W) and `scene`; it is not changed.
        If its sizes are free, those of the `code` file are.
    pictures: (1, 3, height, width) RGB in [0, 1], at least one; they should span what the file will
        meet: dark ones, hazy ones, noisy ones. bits: 8 or 16 for activations.
    Metadata is carried over to both files.
    """
    if bits not in (8, 16):
        raise HTPModelError(f"expected activations of 8 or 16 bits, got {bits}")
    wrong = [p.shape for p in pictures if p.shape != (1, 3, height, width)]
    if wrong or not pictures:
        raise HTPModelError(
            f"expected calibration pictures of {(1, 3, height, width)}, got {wrong or 'none'}"
        )
    given = onnx.ModelProto()
    given.CopyFrom(model)
    rewrite_for_devices(given)
    halves = cut_at_vectors(given)
    network = _fixed(halves.network, height, width)
    session = open_session(halves.code.SerializeToString())
    names = [port.name for port in session.get_outputs()]
    feeds = [
        {"input": picture, **dict(zip(names, session.run(names, {"input": picture}), strict=True))}
        for picture in pictures
    ]
    made = _quantised(network, feeds, bits)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    made.producer_name, made.doc_string = model.producer_name, model.doc_string
    return HTPFiles(halves.code, made)


def _fixed(network: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """Of one size, without ops that do nothing there."""
    given = network
    if any(not d.HasField("dim_value") for d in _dims(given, "input")):
        given = fix_sizes(given, height, width, Path("model"))
    if [d.dim_value for d in _dims(given, "input")] != [1, 3, height, width]:
        raise HTPModelError(
            f"the model's size is {[d.dim_value for d in _dims(given, 'input')]}, "
            f"asked for {[1, 3, height, width]}"
        )
    _drop_idle(given)
    inferred = shape_inference.infer_shapes(given, data_prop=True)
    if any(node.op_type in ("Pad", "Slice") for node in inferred.graph.node):
        raise HTPModelError(
            f"{width}x{height} needs padding inside the graph, which the HTP would run in floats; "
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


def _quantised(model: onnx.ModelProto, feeds: list[Feeds], bits: int) -> onnx.ModelProto:
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
    model: onnx.ModelProto, feeds: list[Feeds], margin: float
) -> dict[str, list[dict[str, np.float32]]]:
    """Overrides for ONNX Runtime's quantiser: tensor -> `margin` times the range it takes, and at
    least LEAST_RANGE."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    known = {output.name for output in tapped.graph.output}
    inner = [name for node in tapped.graph.node for name in node.output if name not in known]
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = open_session(tapped.SerializeToString())
    inner = [output.name for output in session.get_outputs()]
    fed = [name for name in feeds[0] if name.startswith(WIDENED_FROM)]
    names = [*fed, *inner]
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    floats = []
    for feed in feeds:
        values = [*(feed[name] for name in fed), *session.run(inner, feed)]
        for name, value in zip(names, values, strict=True):
            if value.dtype == np.float32:
                floats.append(name)
                low[name] = min(low[name], float(value.min()))
                high[name] = max(high[name], float(value.max()))
    clipped = _clip_bounds(model)
    overrides = {}
    for name in dict.fromkeys(floats):
        bottom, top = margin * low[name], margin * high[name]
        top = max(top, bottom + LEAST_RANGE)
        bottom, top = clipped.get(name, (bottom, top))
        overrides[name] = [{"rmin": np.float32(bottom), "rmax": np.float32(top)}]
    return overrides


def _clip_bounds(model: onnx.ModelProto) -> dict[str, tuple[float, float]]:
    """Range of each Clip's output: the quantiser drops the op and leaves the clipping to that."""
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    held |= {
        n.output[0]: numpy_helper.to_array(n.attribute[0].t)
        for n in model.graph.node
        if n.op_type == "Constant" and n.attribute[0].name == "value"
    }
    return {
        node.output[0]: (float(held[node.input[1]]), float(held[node.input[2]]))
        for node in model.graph.node
        if node.op_type == "Clip" and len(node.input) == 3 and held.keys() >= set(node.input[1:])
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

    def __init__(self, feeds: list[Feeds]) -> None:
        self._feeds: Iterator[Feeds] = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)
