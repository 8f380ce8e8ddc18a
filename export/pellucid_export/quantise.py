"""int8 for ONNX: QDQ nodes around convolutions, ranges measured on the calibration pictures.

Only the student's convolutions are quantised. Those that measure the scene look for grain of a
few levels, which int8 rounds away: it cost 9 dB on haze. The small matrix products
behind the scene code cost 0.2 dB in int8 and no time in float; sums, transposed convolutions and
the tone curve ran no faster.
"""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from .calibration import Planes
from .onnx.file import to_levels
from .onnx.rewrites import rewrite_for_devices
from .quiet import quiet_libraries
from .sensitivity import layer_of

QUANTISED_OPS = ("Conv",)


def quantise_onnx(
    model: onnx.ModelProto,
    pictures: Sequence[Planes],
    keep_float: Collection[str],
    shifts: Mapping[str, NDArray[np.float32]],
    image_io: bool = False,
) -> onnx.ModelProto:
    """Rewritten for devices; activations uint8, weights int8 a channel.

    model: a float32 graph of `to_onnx`. keep_float: torch names of layers left alone.
    shifts: see `Sensitivity`; one for each of the student's layers.
    The card is not carried over: see `onnx_file.embed_card`.
    """
    import onnxruntime
    from onnxruntime import quantization

    reader = _Reader(pictures, image_io)
    quantised = {layer: shift for layer, shift in shifts.items() if layer not in keep_float}
    corrected = _correct_biases(model, quantised)
    rewrite_for_devices(corrected)
    onnxruntime.set_default_logger_severity(3)  # it warns that `scene` is overridable
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(corrected, given)
        with quiet_libraries():  # it advises a pre-processing that changes nothing here
            quantization.quantize_static(
                given,
                made,
                reader,
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED_OPS),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=_left_in_float(corrected, quantised),
            )
        return onnx.load(made)


def _correct_biases(
    model: onnx.ModelProto, shifts: Mapping[str, NDArray[np.float32]]
) -> onnx.ModelProto:
    """A copy in which these layers' biases make up for the mean shift of rounding."""
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    held = {tensor.name: tensor for tensor in corrected.graph.initializer}
    seen = set()
    for node in corrected.graph.node:
        if node.op_type not in QUANTISED_OPS or len(node.input) < 3:
            continue
        layer = layer_of(node.input[1])
        bias = node.input[2]
        if layer not in shifts or bias not in held or bias in seen:
            continue
        seen.add(bias)  # a layer that several steps share is corrected once
        values = numpy_helper.to_array(held[bias]) - shifts[layer]
        held[bias].CopyFrom(numpy_helper.from_array(values.astype(np.float32), bias))
    return corrected


def _left_in_float(model: onnx.ModelProto, quantised: Collection[str]) -> list[str]:
    """Names of the convolutions that belong to none of these torch layers."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type in QUANTISED_OPS and layer_of(node.input[1]) not in quantised
    ]


class _Reader:
    """What ONNX Runtime's calibration asks for: one feed after another, then None."""

    def __init__(self, pictures: Sequence[Planes], image_io: bool) -> None:
        self._feeds: Iterator[dict[str, NDArray[Any]]] = iter(
            [{"input": to_levels(picture) if image_io else picture} for picture in pictures]
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._feeds, None)
