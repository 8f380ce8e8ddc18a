"""The estimator as a small ONNX graph of its own, which travels in an exported file's metadata.

A host that feeds `scene`, as pellucid's runtime does for every tile, needs the amounts alone.
Weights are stored as float16, half the bytes, and computed with in float32.
"""

import base64
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pellucid_student.estimator import Estimator

OPSET = 20
SMALL = 64  # values; initializers up to this size stay float32


def encoded(estimator: Estimator) -> str:
    """`estimator_graph` as text, for a metadata entry."""
    graph = estimator_graph(estimator).SerializeToString()
    return base64.b64encode(graph).decode("ascii")


def estimator_graph(estimator: Estimator) -> onnx.ModelProto:
    """picture (1, 3, H, W) in [0, 1], H and W multiples of 16 -> amounts (1, K)."""
    graph = _Graph()
    x = graph.node("Clip", "picture", *graph.constants(low=0.0, high=1.0))
    x = graph.node("Sub", x, *graph.constants(middle=0.5))
    fine = graph.conv(graph.conv(x, estimator.stem), estimator.conv1)
    middle = graph.conv(graph.conv(fine, estimator.down1), estimator.conv2)
    coarse = graph.conv(graph.conv(middle, estimator.down2), estimator.conv3)
    pooled = [graph.node("GlobalAveragePool", maps) for maps in (fine, middle, coarse)]
    pooled.append(graph.node("GlobalMaxPool", coarse))
    seen = graph.node("Flatten", graph.node("Concat", *pooled, axis=1))
    hidden = graph.node("Relu", graph.linear(seen, estimator.hidden))
    graph.node("Sigmoid", graph.linear(hidden, estimator.out), output="amounts")
    return graph.model(estimator.out.out_features)


class _Graph:
    """Nodes and initializers, written in the order of computation."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.held: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constants(self, **values: float) -> list[str]:
        return [self.hold(name, np.float32(value)) for name, value in values.items()]

    def hold(self, name: str, value: NDArray[np.float32] | np.float32) -> str:
        array = np.asarray(value)
        if array.size <= SMALL:
            self.held.append(numpy_helper.from_array(array, name))
            return name
        self.held.append(numpy_helper.from_array(array.astype(np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def conv(self, x: str, layer: torch.nn.Conv2d) -> str:
        weights = self.layer(layer)
        assert isinstance(layer.padding, tuple)
        return self.node(
            "Relu",
            self.node("Conv", x, *weights, strides=list(layer.stride), pads=[*layer.padding] * 2),
        )

    def linear(self, x: str, layer: torch.nn.Linear) -> str:
        return self.node("Gemm", x, *self.layer(layer), transB=1)

    def layer(self, layer: torch.nn.Conv2d | torch.nn.Linear) -> tuple[str, str]:
        number = len(self.held)
        assert layer.bias is not None
        weight, bias = (np.asarray(p.detach().float().numpy()) for p in (layer.weight, layer.bias))
        return self.hold(f"weight_{number}", weight), self.hold(f"bias_{number}", bias)

    def model(self, count: int) -> onnx.ModelProto:
        free: list[str | int | None] = [1, 3, "height", "width"]
        graph = helper.make_graph(
            self.nodes,
            "estimator",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, free)],
            [helper.make_tensor_value_info("amounts", TensorProto.FLOAT, [1, count])],
            self.held,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model
