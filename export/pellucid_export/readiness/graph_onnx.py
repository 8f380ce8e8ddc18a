"""The layers of an ONNX file as a table. Needs the onnx package, no torch.

With a height and a width, free sizes are fixed, and ONNX Runtime folds the arithmetic on sizes.
"""

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx
import onnxruntime
from onnx import helper, shape_inference

from .graph import Graph, GraphError, Layer, Shape, count_elements

QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
# What may stand between a kernel and its layer; ONNX Runtime puts a Cast before every fp16 kernel
# on processors that have no such arithmetic.
WRAPPERS = (*QUANTISERS, "Cast")


def read_onnx(path: Path, height: int | None, width: int | None) -> Graph:
    """Its layers, for pictures of (height, width) where its sizes are free. Raises GraphError."""
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's DecodeError and OSError
        raise GraphError(f"{path}: not a readable ONNX file ({error})") from error
    if not model.graph.node:
        raise GraphError(f"{path}: expected an ONNX file with layers, found none")
    free = any(None in shape for shape in _inputs(model).values())
    if height is not None and width is not None and free:
        model = fix_sizes(model, height, width, path)
    return Graph(path, "onnx", tuple(_layers(_inferred(model, path))), _inputs(model))


def _shape(value: onnx.ValueInfoProto) -> Shape | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)


def _inputs(model: onnx.ModelProto) -> dict[str, Shape]:
    return {value.name: _shape(value) or () for value in model.graph.input}


def fix_sizes(model: onnx.ModelProto, height: int, width: int, path: Path) -> onnx.ModelProto:
    """The same model for one size, with all arithmetic on sizes folded into constants."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        sides = [height, width]
        for axis, dim in enumerate(dims):
            if not dim.HasField("dim_value"):
                dim.dim_value = sides.pop(0) if sides and (axis > 0 or len(dims) < 3) else 1
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "fixed.onnx"
        options.optimized_model_filepath = str(written)
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own types, which it does not export
            words = str(error).splitlines()[0]
            raise GraphError(f"{path} at {width}x{height}: {words}") from error
        return onnx.load(str(written))


def _inferred(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # shape_inference.InferenceError, ValueError
        raise GraphError(f"{path}: shapes do not fit together ({error})") from error


def _layers(model: onnx.ModelProto) -> Iterable[Layer]:
    graph = model.graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    shapes = {value.name: _shape(value) for value in infos}
    types = {value.name: value.type.tensor_type.elem_type for value in infos}
    sizes: dict[str, Shape] = {i.name: tuple(i.dims) for i in graph.initializer}
    # An initializer that is also an input is a default that the caller may replace: no constant.
    for value in graph.input:
        sizes.pop(value.name, None)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            sizes[node.output[0]] = tuple(node.attribute[0].t.dims)
    made_by = {name: node for node in graph.node for name in node.output}

    def constant(name: str) -> bool:
        if name in sizes:
            return True
        maker = made_by.get(name)
        return maker is not None and maker.op_type in WRAPPERS and constant(maker.input[0])

    for index, node in enumerate(graph.node):
        if node.op_type in (*QUANTISERS, "Constant") or constant(node.output[0]):
            continue
        names = [name for name in node.input if name]
        fixed = tuple(i for i, name in enumerate(node.input) if name and constant(name))
        moving = [name for name in names if not constant(name)]
        weights = [_source(name, made_by) for name in names if constant(name)]
        first = made_by.get(moving[0]) if moving else None
        kind = types.get(node.output[0], 0)
        weight_shapes = [sizes.get(name, ()) for name in weights]
        yield Layer(
            name=node.name or f"{node.op_type}_{index}",
            op=node.op_type,
            inputs=tuple(shapes.get(name) for name in moving),
            outputs=tuple(shapes.get(name) for name in node.output if name),
            weights=sum(count_elements(shape) for shape in weight_shapes),
            constants=fixed,
            macs=_macs(node, shapes, weight_shapes),
            dtype=helper.tensor_dtype_to_np_dtype(kind).name if kind else "float32",
            quantised=first is not None and first.op_type == "DequantizeLinear",
            kernel=_sides(node.op_type, weight_shapes),
            attributes={a.name: helper.get_attribute_value(a) for a in node.attribute},
        )


def _sides(op: str, weights: list[Shape]) -> tuple[int, ...]:
    kernel = max(weights, key=count_elements, default=())
    return tuple(size or 1 for size in kernel[2:]) if op in ("Conv", "ConvTranspose") else ()


def _source(name: str, made_by: dict[str, onnx.NodeProto]) -> str:
    """The initializer behind a chain of wrappers."""
    while name in made_by and made_by[name].op_type in WRAPPERS:
        name = made_by[name].input[0]
    return name


def _macs(node: onnx.NodeProto, shapes: dict[str, Shape | None], weights: list[Shape]) -> int:
    """Conv: outputs x kernel values each; ConvTranspose: inputs x kernel values each."""
    out, first = shapes.get(node.output[0]), shapes.get(node.input[0])
    kernel = max(weights, key=count_elements, default=())
    if node.op_type == "Conv" and len(kernel) > 2:
        return count_elements(out) * math.prod(size or 1 for size in kernel[1:])
    if node.op_type == "ConvTranspose" and len(kernel) > 2:
        return count_elements(first) * math.prod(size or 1 for size in kernel[1:])
    if node.op_type in ("Gemm", "MatMul") and first:
        across = first[-1] or 1
        if node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute):
            across = first[0] or 1
        return count_elements(out) * across
    return 0
