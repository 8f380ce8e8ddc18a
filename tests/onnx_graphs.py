"""Small ONNX files for tests of what reads graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Sides = tuple[int | str, int | str]


def save_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, Any] | None = None,
    sides: Sides = (8, 16),
    channels: int = 3,
    output: list[int | str | None] | None = None,
) -> Path:
    """nodes read `input` (1, channels, *sides) and write `output`; weights: name -> array."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, *sides])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output or [None] * 4)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def node(op: str, inputs: str = "input", output: str = "output", **attributes: Any) -> Any:
    """inputs: names, separated by spaces; the node is named after its op."""
    return helper.make_node(op, inputs.split(), [output], name=op.lower(), **attributes)


def kernel(*shape: int) -> Any:
    return np.zeros(shape, np.float32)
