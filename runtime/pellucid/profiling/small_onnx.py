"""Two small networks as ONNX files, written without the onnx package: the yardsticks of a profile.

An ONNX file is one protobuf message; the field numbers are those of onnx.proto.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INTS = 1, 7  # TensorProto.FLOAT, AttributeProto.INTS
CHANNELS = 96  # at a quarter of the resolution: the shape that convolution kernels like best


def matrix_product(size: int) -> bytes:
    """(size, size) `input` times a constant of that shape."""
    weight = np.random.default_rng(0).standard_normal((size, size), np.float32)
    node = _node("MatMul", ["input", "weight"], "output")
    return _model([node], {"weight": weight}, [size, size], [size, size])


def conv_stack(macs: float, height: int, width: int) -> bytes:
    """3x3 convolutions with ReLU on (1, 96, height // 4, width // 4), `macs` to within 1 %."""
    rows, cols = max(1, height // 4), max(1, width // 4)
    depth = int(macs // (9 * CHANNELS * CHANNELS * rows * cols))
    last = round(macs / (9 * CHANNELS * rows * cols)) - depth * CHANNELS
    widths = [CHANNELS] * depth + ([last] if last > 0 else [])
    rng, nodes, weights, name, c_in = np.random.default_rng(0), [], {}, "input", CHANNELS
    for index, c_out in enumerate(widths):
        kernel = rng.standard_normal((c_out, c_in, 3, 3), np.float32)
        weights[f"w{index}"] = kernel / np.float32(3 * c_in**0.5)
        given = "output" if index == len(widths) - 1 else f"r{index}"
        nodes.append(_node("Conv", [name, f"w{index}"], f"c{index}", pads=[1, 1, 1, 1]))
        nodes.append(_node("Relu", [f"c{index}"], given))
        name, c_in = given, c_out
    return _model(nodes, weights, [1, CHANNELS, rows, cols], [1, c_in, rows, cols])


def _model(
    nodes: Iterable[bytes],
    weights: dict[str, NDArray[np.float32]],
    taken: Sequence[int],
    given: Sequence[int],
) -> bytes:
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"yardstick")
    graph += b"".join(_bytes(5, _tensor(name, value)) for name, value in weights.items())
    graph += _bytes(11, _port("input", taken)) + _bytes(12, _port("output", given))
    opset = _bytes(1, b"") + _number(2, 18)
    return _number(1, 9) + _bytes(7, graph) + _bytes(8, opset)


def _node(op: str, inputs: Sequence[str], output: str, pads: Sequence[int] = ()) -> bytes:
    node = b"".join(_bytes(1, name.encode()) for name in inputs)
    node += _bytes(2, output.encode()) + _bytes(3, output.encode()) + _bytes(4, op.encode())
    if pads:
        values = b"".join(_number(8, value) for value in pads)
        node += _bytes(5, _bytes(1, b"pads") + values + _number(20, INTS))
    return node


def _tensor(name: str, value: NDArray[np.float32]) -> bytes:
    sides = b"".join(_number(1, side) for side in value.shape)
    data = value.astype("<f4").tobytes()
    return sides + _number(2, FLOAT) + _bytes(8, name.encode()) + _bytes(9, data)


def _port(name: str, shape: Sequence[int]) -> bytes:
    sides = b"".join(_bytes(1, _number(1, side)) for side in shape)
    kind = _bytes(1, _number(1, FLOAT) + _bytes(2, sides))
    return _bytes(1, name.encode()) + _bytes(2, kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content
