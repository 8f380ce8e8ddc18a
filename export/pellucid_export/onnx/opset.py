"""Which ONNX operator set a file is written in: older programs load older ones only.

torch traces in 18. The few operators of these graphs that were written in another way before are
turned back here; of what came later nothing is needed, so newer sets differ by their number. Every
file is checked and compared with torch afterwards, whichever set it is in.
"""

import onnx
from onnx import helper, numpy_helper

TRACED = 18
# 17 is the newest that all of ONNX Runtime from 1.12, OpenCV from 4.8 and darktable read.
DEFAULT = 17
LOWEST, HIGHEST = 13, 23  # 13: scales a channel for int8; 23: onnxscript 0.5
LEAST_IR = 8  # ONNX Runtime 1.9; newer sets need newer ones


def to_opset(model: onnx.ModelProto, opset: int) -> None:
    """Write `model` in another set, in place. opset: LOWEST..HIGHEST.

    Raises onnx.checker.ValidationError for an operator that the set does not have.
    """
    if opset < TRACED:
        held = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Split":
                _drop(node, "num_outputs")  # equal parts were meant without it
            elif node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
                _axes_as_attribute(node, held)
    for used in model.opset_import:
        if used.domain in ("", "ai.onnx"):
            used.version = opset
    model.ir_version = max(LEAST_IR, helper.find_min_ir_version_for(model.opset_import))
    onnx.checker.check_model(model, full_check=True)


def _axes_as_attribute(node: onnx.NodeProto, held: dict[str, onnx.TensorProto]) -> None:
    if len(node.input) > 1:
        axes = numpy_helper.to_array(held[node.input[1]]).tolist()
        del node.input[1:]
        node.attribute.append(helper.make_attribute("axes", axes))
    _drop(node, "noop_with_empty_axes")


def _drop(node: onnx.NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
