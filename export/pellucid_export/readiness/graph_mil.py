"""The layers of an .mlpackage as a table. Needs coremltools for the protobuf classes, no torch."""

import math
from pathlib import Path
from typing import Any

from ..coreml.mil.proto import MLProgramError, proto_modules
from .graph import Graph, GraphError, Layer, Shape, count_elements

# MIL op -> the ONNX op that does the same, so that one table of rules serves both formats.
ONNX_NAMES = {
    "abs": "Abs",
    "add": "Add",
    "avg_pool": "AveragePool",
    "batch_norm": "BatchNormalization",
    "cast": "Cast",
    "clip": "Clip",
    "concat": "Concat",
    "conv": "Conv",
    "conv_transpose": "ConvTranspose",
    "cos": "Cos",
    "depth_to_space": "DepthToSpace",
    "elu": "Elu",
    "equal": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "expand_dims": "Unsqueeze",
    "fill": "ConstantOfShape",
    "fill_like": "ConstantOfShape",
    "gather": "Gather",
    "gelu": "Gelu",
    "greater": "Greater",
    "identity": "Identity",
    "instance_norm": "InstanceNormalization",
    "inverse": "Reciprocal",
    "layer_norm": "LayerNormalization",
    "leaky_relu": "LeakyRelu",
    "less": "Less",
    "linear": "Gemm",
    "log": "Log",
    "matmul": "MatMul",
    "max_pool": "MaxPool",
    "maximum": "Max",
    "minimum": "Min",
    "mod": "Mod",
    "mul": "Mul",
    "pad": "Pad",
    "pixel_shuffle": "DepthToSpace",
    "pixel_unshuffle": "SpaceToDepth",
    "pow": "Pow",
    "prelu": "PRelu",
    "real_div": "Div",
    "reduce_max": "ReduceMax",
    "reduce_mean": "ReduceMean",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
    "relu": "Relu",
    "relu6": "Clip",
    "reshape": "Reshape",
    "resize_bilinear": "Resize",
    "resize_nearest_neighbor": "Resize",
    "round": "Round",
    "rsqrt": "Sqrt",
    "select": "Where",
    "shape": "Shape",
    "sigmoid": "Sigmoid",
    "silu": "Swish",
    "sin": "Sin",
    "slice_by_index": "Slice",
    "slice_by_size": "Slice",
    "softmax": "Softmax",
    "space_to_depth": "SpaceToDepth",
    "split": "Split",
    "sqrt": "Sqrt",
    "square": "Mul",
    "squeeze": "Squeeze",
    "stack": "Concat",
    "sub": "Sub",
    "tanh": "Tanh",
    "tile": "Tile",
    "transpose": "Transpose",
    "upsample_bilinear": "Resize",
    "upsample_nearest_neighbor": "Resize",
}
QUANTISERS = ("quantize", "dequantize")


def read_package(path: Path) -> Graph:
    """The layers of the `main` function of an .mlpackage. Raises GraphError."""
    try:
        model_pb2, mil_pb2 = proto_modules()
    except MLProgramError as error:
        raise GraphError(f"{path}: {error}") from error
    spec = model_pb2.Model()
    try:
        spec.ParseFromString((path / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
        main = spec.mlProgram.functions["main"]
    except Exception as error:  # OSError, protobuf's DecodeError
        raise GraphError(f"{path}: not a readable .mlpackage ({error})") from error
    operations = main.block_specializations[main.opset].operations
    if not operations:
        raise GraphError(f"{path}: expected an ML Program with layers, found none")
    held = {i.name: i.type.tensorType for i in main.inputs}
    held |= {o.name: o.type.tensorType for op in operations for o in op.outputs}
    shapes = {name: _shape(kind) for name, kind in held.items()}
    made_by = {output.name: op for op in operations for output in op.outputs}
    constants = {
        output.name
        for op in operations
        if op.type == "const" or op.type.startswith("constexpr_")
        for output in op.outputs
    }
    layers = []
    for op in operations:
        if op.type in ("const", *QUANTISERS) or op.type.startswith("constexpr_"):
            continue
        bound = [b.name for argument in op.inputs.values() for b in argument.arguments if b.name]
        names = {key: [b.name for b in a.arguments] for key, a in op.inputs.items()}
        moving = [name for name in bound if name not in constants]
        kind = mil_pb2.DataType.Name(op.outputs[0].type.tensorType.dataType)
        layers.append(
            Layer(
                name=op.outputs[0].name,
                op=ONNX_NAMES.get(op.type, op.type),
                inputs=tuple(shapes[name] for name in moving),
                outputs=tuple(shapes[output.name] for output in op.outputs),
                weights=sum(
                    count_elements(shapes[name])
                    for key in ("weight", "bias")
                    for name in names.get(key, [])
                    if name in constants
                ),
                constants=tuple(i for i, name in enumerate(bound) if name in constants),
                macs=_macs(op, names, shapes),
                dtype=kind.lower().replace("fp", "float"),
                kernel=tuple(
                    size or 1
                    for name in names.get("weight", [])[: op.type.startswith("conv")]
                    for size in shapes[name][2:]
                ),
                quantised=any(n in made_by and made_by[n].type == "dequantize" for n in moving),
            )
        )
    inputs = {i.name: shapes[i.name] for i in main.inputs}
    return Graph(path, "mlpackage", tuple(layers), inputs, _enumerated(spec, inputs))


def _shape(tensor_type: Any) -> Shape:
    return tuple(
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
        for d in tensor_type.dimensions
    )


def _enumerated(spec: Any, inputs: dict[str, Shape]) -> bool:
    """Whether there are inputs with free sizes and all of them list these."""
    free = [name for name, shape in inputs.items() if None in shape]
    kinds = {feature.name: feature.type for feature in spec.description.input}
    return bool(free) and all(
        kinds[name].multiArrayType.HasField("enumeratedShapes")
        or kinds[name].imageType.HasField("enumeratedSizes")
        for name in free
    )


def _macs(op: Any, names: dict[str, list[str]], shapes: dict[str, Shape]) -> int:
    if op.type not in ("conv", "conv_transpose", "linear", "matmul"):
        return 0
    out, first = shapes[op.outputs[0].name], shapes[names["x"][0]]
    if op.type == "matmul":
        return count_elements(out) * (first[-1] or 1)
    kernel = shapes[names["weight"][0]]
    across = math.prod(size or 1 for size in kernel[1:])
    return (count_elements(first) if op.type == "conv_transpose" else count_elements(out)) * across
