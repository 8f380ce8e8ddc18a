"""The layers of an OpenVINO IR (.xml) as a table, read from its XML. Needs no OpenVINO.

What OpenVINO computes from constants alone it folds when it compiles; such layers are constants
here too. Names of element types and layers: docs.openvino.ai, Operation Sets.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from .graph import Graph, GraphError, Layer, Shape, count_elements

# OpenVINO type -> the ONNX op that does the same, where its name is another one.
ONNX_NAMES = {
    "AvgPool": "AveragePool",
    "Broadcast": "Expand",
    "Clamp": "Clip",
    "Convert": "Cast",
    "Convolution": "Conv",
    "ConvolutionBackpropData": "ConvTranspose",
    "Divide": "Div",
    "FloorMod": "Mod",
    "GroupConvolution": "Conv",
    "Interpolate": "Resize",
    "Maximum": "Max",
    "Minimum": "Min",
    "Multiply": "Mul",
    "Power": "Pow",
    "ReLU": "Relu",
    "Select": "Where",
    "ShapeOf": "Shape",
    "SoftMax": "Softmax",
    "StridedSlice": "Slice",
    "Subtract": "Sub",
    "VariadicSplit": "Split",
}
NO_LAYERS = ("Parameter", "Result", "Const", "FakeQuantize")
CONVOLUTIONS = ("Conv", "ConvTranspose")
TYPES = {"FP32": "float32", "FP16": "float16", "BF16": "bfloat16", "U8": "uint8", "I8": "int8",
         "I64": "int64", "I32": "int32", "BOOL": "bool"}  # fmt: skip

Port = tuple[str, str]  # layer, port


def read_ir(path: Path) -> Graph:
    """Raises GraphError for a file that is no IR."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise GraphError(f"{path}: not a readable OpenVINO IR ({error})") from error
    elements = {element.get("id", ""): element for element in root.iterfind("./layers/layer")}
    if root.tag != "net" or not elements:
        raise GraphError(f"{path}: expected an OpenVINO IR with layers, found none")
    feeds: dict[str, dict[str, Port]] = {}  # layer -> its port -> who feeds it
    for edge in root.iterfind("./edges/edge"):
        source = (edge.get("from-layer", ""), edge.get("from-port", ""))
        feeds.setdefault(edge.get("to-layer", ""), {})[edge.get("to-port", "")] = source
    constant = {key for key, element in elements.items() if element.get("type") == "Const"}
    layers = []
    for key, element in elements.items():  # the file lists them in the order of computation
        fed = feeds.get(key, {})
        makers = [fed[port] for port, _ in _ports(element, "input") if port in fed]
        if makers and all(maker in constant for maker, _ in makers):
            constant.add(key)
        elif element.get("type") not in NO_LAYERS:
            layers.append(_layer(element, makers, constant, elements))
    inputs = {
        element.get("name", ""): shape
        for element in elements.values()
        if element.get("type") == "Parameter"
        for _, shape in _ports(element, "output")
    }
    return Graph(path, "openvino", tuple(layers), inputs)


def _layer(
    element: ElementTree.Element,
    makers: list[Port],
    constant: set[str],
    elements: dict[str, ElementTree.Element],
) -> Layer:
    kind = element.get("type", "")
    op = ONNX_NAMES.get(kind, kind)
    taken = [shape for _, shape in _ports(element, "input")]
    given = [shape for _, shape in _ports(element, "output")]
    fixed = tuple(i for i, (maker, _) in enumerate(makers) if maker in constant)
    weights = [taken[i] for i in fixed]
    kernel = weights[0] if op in CONVOLUTIONS and weights else ()
    first = elements[makers[0][0]] if makers else element
    out = element.find("./output/port")
    data = element.find("data")
    return Layer(
        name=element.get("name", ""),
        op=op,
        inputs=tuple(shape for i, shape in enumerate(taken) if i not in fixed),
        outputs=tuple(given),
        weights=sum(count_elements(shape) for shape in weights),
        constants=fixed,
        macs=_macs(op, kind, taken, given, kernel),
        dtype=TYPES.get("" if out is None else out.get("precision", ""), "float32"),
        quantised=first.get("type") == "FakeQuantize",
        kernel=tuple(side or 1 for side in kernel[-2:]),
        attributes=_attributes(op, {} if data is None else dict(data.attrib)),
    )


def _ports(element: ElementTree.Element, side: str) -> list[tuple[str, Shape]]:
    """(id, shape) of each input or output; a free side, -1 in the file, is None."""
    return [
        (
            port.get("id", ""),
            tuple(None if dim.text == "-1" else int(dim.text or 0) for dim in port.iterfind("dim")),
        )
        for port in element.iterfind(f"./{side}/port")
    ]


def _attributes(op: str, data: dict[str, str]) -> dict[str, Any]:
    """Those that the rules ask for, as ONNX spells them."""
    if op in ("DepthToSpace", "SpaceToDepth"):
        order = b"DCR" if data.get("mode") == "blocks_first" else b"CRD"
        return {"blocksize": int(data.get("block_size", 1)), "mode": order}
    if op == "Pad":
        return {"mode": data.get("pad_mode", "constant").encode()}
    return {}


def _macs(op: str, kind: str, taken: list[Shape], given: list[Shape], kernel: Shape) -> int:
    """Kernels are (C_out, C_in, h, w); (C_in, C_out, h, w) where transposed; groups come first."""
    if op == "Conv" and kernel:
        return count_elements(given[0]) * count_elements(
            kernel[2 if kind == "GroupConvolution" else 1 :]
        )
    if op == "ConvTranspose" and kernel:
        return count_elements(taken[0]) * count_elements(kernel[1:])
    if op == "MatMul":
        return count_elements(given[0]) * (taken[0][-1] or 1)
    return 0
