"""OpenCV's `dnn` as a reader of exported files: what it stumbles on is written in another way, and
whether the installed one reads a file is tried.

Rewritten are files of a fixed size only: before 5, OpenCV reads no others.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from ..thresholds import agreement_db
from .file import from_levels, to_levels
from .rewrites import drop_unused

Picture = NDArray[np.float32]

FLOOR_DB = 50.0  # fp16 is computed in float32 there; below it a picture is visibly another one


def rewrite_for_opencv(model: onnx.ModelProto) -> None:
    """The same numbers by operators that OpenCV 4.8 to 5 compute rightly, in place.

    A constant that several Concats share cannot be read; several axes in one Unsqueeze neither;
    4.8 takes the least of channels wrongly and fails at a Clip of a sum.
    """
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    known = [*inferred.value_info, *inferred.input, *inferred.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in known}
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    nodes: list[onnx.NodeProto] = []
    used: set[str] = set()
    for node in model.graph.node:
        shape, given = shapes.get(node.output[0], []), shapes.get(node.input[0], [])
        if node.op_type == "Unsqueeze" and len(shape) > len(given) + 1 and all(shape):
            node.op_type, node.input[1] = "Reshape", f"{node.output[0]}_sides"
            sides = np.asarray(shape, np.int64)
            model.graph.initializer.append(numpy_helper.from_array(sides, node.input[1]))
        elif node.op_type == "Concat":
            for index, name in enumerate(node.input):
                if name in held and name in used:
                    node.input[index] = f"{name}_{node.output[0]}_{index}"
                    values = numpy_helper.to_array(held[name])
                    model.graph.initializer.append(
                        numpy_helper.from_array(values, node.input[index])
                    )
                used.add(name)
        elif _over_channels(node, held) and len(shape) == len(given) and given[1] > 1:
            nodes += _pairwise(node, given[1])
            continue
        elif node.op_type == "Clip" and makers.get(node.input[0]) == "Add" and all(node.input[1:]):
            nodes += _by_two(node)
            continue
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    drop_unused(model)


def _by_two(clip: onnx.NodeProto) -> list[onnx.NodeProto]:
    picture, low, *high = clip.input
    above = f"{clip.output[0]}_above" if high else clip.output[0]
    made = [helper.make_node("Max", [picture, low], [above])]
    return made + [helper.make_node("Min", [above, *high], clip.output)] if high else made


def _pairwise(node: onnx.NodeProto, channels: int) -> list[onnx.NodeProto]:
    """ReduceMin or ReduceMax as steps of two: 4.12 takes three at once wrongly."""
    name, op = node.output[0], node.op_type.removeprefix("Reduce")
    parts = [f"{name}_{index}" for index in range(channels)]
    made = [helper.make_node("Split", [node.input[0]], parts, axis=1, num_outputs=channels)]
    so_far = parts[0]
    for index, part in enumerate(parts[1:], 1):
        out = name if index == channels - 1 else f"{name}_to_{index}"
        made.append(helper.make_node(op, [so_far, part], [out]))
        so_far = out
    return made


def _over_channels(node: onnx.NodeProto, held: dict[str, onnx.TensorProto]) -> bool:
    """Whether it is a ReduceMin or ReduceMax along axis 1, as torch writes it in opset 18."""
    if node.op_type not in ("ReduceMin", "ReduceMax") or len(node.input) < 2:
        return False
    axes = held.get(node.input[1])
    return axes is not None and numpy_helper.to_array(axes).reshape(-1).tolist() == [1]


def opencv_reads(path: Path, image_io: bool, picture: Picture, expected: Picture) -> str:
    """What the installed OpenCV makes of a file, as a phrase.

    picture, expected: (1, 3, H, W) in [0, 1], an input and what the file is known to give.
    """
    fed = to_levels(picture) if image_io else picture
    classic = getattr(cv2.dnn, "ENGINE_CLASSIC", None)  # since 5, beside a new one
    trouble = ""
    before = cv2.utils.logging.setLogLevel(0)  # it prints its errors, too
    try:
        for engine in (None, classic) if classic is not None else (None,):
            try:
                options = () if engine is None else (engine,)
                net = cv2.dnn.readNetFromONNX(str(path), *options)
                net.setInput(fed, "input")
                out = np.asarray(net.forward())
                got = from_levels(out.astype(np.uint8)) if image_io else out.astype(np.float32)
            except (cv2.error, ValueError) as error:
                trouble = trouble or _reason(error)
                continue
            agreement = agreement_db(got, expected)
            if agreement >= FLOOR_DB:
                how = "" if engine is None else " with engine=cv2.dnn.ENGINE_CLASSIC"
                return f"OpenCV {cv2.__version__} dnn reads it{how} ({agreement:.0f} dB)"
            trouble = trouble or f"its pixels are others, {agreement:.0f} dB"
    finally:
        cv2.utils.logging.setLogLevel(before)
    return f"OpenCV {cv2.__version__} dnn does not read it: {trouble}"


def _reason(error: Exception) -> str:
    """OpenCV's own words without its source lines."""
    words = str(getattr(error, "err", "") or error).split("error: ")[-1]
    return " ".join(words.replace(">", " ").split())[:160]
