"""Precision of every layer of an exported file, read from the file itself.

A layer is what holds most of the weights: convolutions, transposed convolutions, matrix products.
"""

import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from typing import Any

# (name, precision of its weights, precision of what enters it)
Layer = tuple[str, str, str]
ONNX_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
IR_LAYERS = ("Convolution", "ConvolutionBackpropData", "GroupConvolution", "MatMul")
MIL_LAYERS = ("conv", "conv_transpose", "linear", "matmul")
MIL_WEIGHTS = {
    "constexpr_affine_dequantize": "int8",
    "constexpr_blockwise_shift_scale": "int8",
    "constexpr_lut_to_dense": "palette",
    "constexpr_sparse_to_dense": "sparse",
}


def onnx_layers(data: bytes) -> list[Layer]:
    """Layers of an ONNX file; needs the onnx package."""
    import onnx

    graph = onnx.load_from_string(data).graph
    makers = {out: node for node in graph.node for out in node.output}
    held = {tensor.name: tensor for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type not in ONNX_LAYERS or len(node.input) < 2:
            continue
        name = node.input[1]
        weight = _through(makers, name, "DequantizeLinear")
        source = makers.get(node.input[0])
        entering = "int8" if source is not None and source.op_type == "DequantizeLinear" else ""
        kind = onnx.TensorProto.DataType.Name(held[weight].data_type) if weight in held else "FLOAT"
        kind = {"FLOAT": "fp32", "FLOAT16": "fp16"}.get(kind, kind.lower())
        found.append((_short(weight), kind, entering or ("fp32" if kind == "int8" else kind)))
    return found


def openvino_layers(root: ElementTree.Element) -> list[Layer]:
    """Layers of an OpenVINO IR's XML; needs no package."""
    layers = {layer.get("id"): layer for layer in root.iterfind("./layers/layer")}
    sources = {
        (edge.get("to-layer"), edge.get("to-port")): edge.get("from-layer")
        for edge in root.iterfind("./edges/edge")
    }

    def behind(layer: str | None, port: str, passing: tuple[str, ...]) -> ElementTree.Element:
        held = layers[sources[layer, port]]
        while held.get("type") in passing:
            held = layers[sources[held.get("id"), "0"]]
        return held

    found = []
    for number, layer in layers.items():
        if layer.get("type") not in IR_LAYERS:
            continue
        weight = behind(number, "1", ("Convert", "Multiply", "Subtract", "FakeQuantize", "Reshape"))
        entering = behind(number, "0", ()).get("type") == "FakeQuantize"
        data = weight.find("data")
        kind = (data.get("element_type") if data is not None else None) or "computed"
        kind = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8"}.get(kind, kind)
        found.append((_short(str(weight.get("name"))), kind, "int8" if entering else "float"))
    return found


def coreml_layers(spec: Any) -> list[Layer]:
    """Layers of an ML Program's protobuf."""
    function = spec.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    makers = {out.name: op for op in operations for out in op.outputs}
    found = []
    for op in operations:
        if op.type not in MIL_LAYERS or "weight" not in op.inputs:
            continue
        name = op.inputs["weight"].arguments[0].name
        maker = makers[name]
        stored = maker.outputs[0].type.tensorType.dataType
        kind = MIL_WEIGHTS.get(maker.type) or {10: "fp16", 11: "fp32"}.get(stored, str(stored))
        source = makers.get(op.inputs["x"].arguments[0].name)
        own = op.outputs[0].type.tensorType.dataType
        entering = "int8" if source is not None and source.type == "dequantize" else ""
        found.append((_short(name), kind, entering or {10: "fp16", 11: "fp32"}.get(own, "?")))
    return found


def summarise(layers: Iterable[Layer]) -> list[str]:
    """One line a kind of layer: how many, and their names where they are the fewer."""
    order = sorted(layers, key=lambda layer: layer[1:])
    groups = {
        kind: list(dict.fromkeys(name for name, *_ in group))
        for kind, group in itertools.groupby(order, key=lambda layer: layer[1:])
    }
    lines = []
    for (weights, entering), names in sorted(groups.items(), key=lambda g: -len(g[1])):
        listed = f": {', '.join(names)}" if len(groups) > 1 and len(names) <= 16 else ""
        lines.append(f"{len(names)} layers, weights {weights}, activations {entering}{listed}")
    return lines


def _through(makers: dict[str, Any], name: str, op_type: str) -> str:
    """The tensor behind nodes of one type."""
    while name in makers and makers[name].op_type == op_type:
        name = makers[name].input[0]
    return name


def _short(weight: str) -> str:
    """A layer's name from its weight's, as torch has it where the file still tells."""
    name = weight.rpartition("student.")[2].removesuffix("_quantized").removesuffix(".weight")
    name = name.rpartition("student_")[2]
    for ending in ("_to_fp16", "_quantized", "_palettized", "_weight", "_0"):
        name = name.removesuffix(ending)
    return name
