"""A tiny restorer for tests: a real ONNX file, made here, run by the real engine."""

import base64
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pellucid.estimator import KEY as ESTIMATOR_KEY
from pellucid.scene import SCENE_SIZE

RADIUS, MULTIPLE = 13, 4


def card(receptive_field: int = RADIUS, tile_multiple: int = MULTIPLE) -> str:
    return json.dumps(
        {
            "schema_version": 1,
            "id": "allinone-fake",
            "task": "allinone",
            "purpose": "tests",
            "params": 1,
            "macs_per_pixel": 1.0,
            "steps": 1,
            "receptive_field": receptive_field,
            "tile_multiple": tile_multiple,
            "scene_size": SCENE_SIZE,
            "license": "Apache-2.0",
            "version": "1.0",
        }
    )


def strided_model(metadata: dict[str, str]) -> onnx.ModelProto:
    """Pads to a multiple of 4 inside, convolves, goes down by 4 and up again, crops.

    Reach: 1 for the first convolution; up to 3 for the stride-4 cells; 4 for the coarse 3x3; 4 for
    padding that repeats an edge inside a cell: 13 is a safe bound.
    The scene's first entry is added to the picture, so that tests see whether it arrives.
    """
    rng = np.random.default_rng(0)

    def tensor(name: str, value: object, dtype: type = np.float32) -> TensorProto:
        return numpy_helper.from_array(np.asarray(value, dtype), name)

    def kernel(name: str, *shape: int) -> TensorProto:
        return tensor(name, rng.standard_normal(shape) * (2.0 / np.prod(shape[1:])) ** 0.5)

    nodes = [
        helper.make_node("Shape", ["input"], ["shape"], start=2),
        helper.make_node("Neg", ["shape"], ["negative"]),
        helper.make_node("Mod", ["negative", "four"], ["missing"]),
        helper.make_node("Concat", ["zeros4", "zeros2", "missing"], ["pads"], axis=0),
        helper.make_node("Slice", ["pads", "two", "eight"], ["pads8"]),
        helper.make_node("Pad", ["input", "pads8"], ["padded"], mode="edge"),
        helper.make_node("Conv", ["padded", "fine"], ["detail"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["padded", "down"], ["coarse"], strides=[4, 4]),
        helper.make_node("Relu", ["coarse"], ["coarse_"]),
        helper.make_node("Conv", ["coarse_", "mid"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["mixed", "up"], ["back"], strides=[4, 4]),
        helper.make_node("Add", ["back", "detail"], ["sum"]),
        helper.make_node("Slice", ["sum", "zeros2", "shape", "axes"], ["cropped"]),
        helper.make_node("Slice", ["scene", "zero1", "one1", "one1"], ["first"]),
        helper.make_node("Add", ["cropped", "first"], ["moved"]),
        helper.make_node("Sigmoid", ["moved"], ["output"]),
    ]
    weights = [
        kernel("fine", 3, 3, 3, 3),
        kernel("down", 8, 3, 4, 4),
        kernel("mid", 8, 8, 3, 3),
        kernel("up", 8, 3, 4, 4),
        tensor("four", [4, 4], np.int64),
        tensor("zeros4", [0, 0, 0, 0, 0, 0], np.int64),
        tensor("zeros2", [0, 0], np.int64),
        tensor("two", [2], np.int64),
        tensor("eight", [10], np.int64),
        tensor("axes", [2, 3], np.int64),
        tensor("zero1", [0], np.int64),
        tensor("one1", [1], np.int64),
        tensor("scene", np.zeros((1, SCENE_SIZE))),
    ]
    picture: list[str | int | None] = [1, 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "fake",
        [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, picture),
            helper.make_tensor_value_info("scene", TensorProto.FLOAT, [1, SCENE_SIZE]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, picture)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    return model


def doubling_model(scale: int = 2) -> onnx.ModelProto:
    """Each pixel becomes 2 x 2 alike; its card says `scale`."""
    nodes = [helper.make_node("Resize", ["input", "", "sizes"], ["output"], mode="nearest")]
    sizes = numpy_helper.from_array(np.asarray([1, 1, 2, 2], np.float32), "sizes")
    ports = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *sides])
        for name, sides in (("input", ("height", "width")), ("output", ("tall", "wide")))
    }
    graph = helper.make_graph(nodes, "double", [ports["input"]], [ports["output"]], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    described = json.loads(card()) | {"scale": scale, "scene_size": 0, "task": "super-resolution"}
    model.metadata_props.add(key="pellucid.config", value=json.dumps(described))
    return model


def frames_model(metadata: dict[str, str]) -> onnx.ModelProto:
    """A file for frames whose answer is known: the mean of the picture and the state."""
    picture: list[str | int | None] = [1, 3, "height", "width"]
    names = ("input", "state", "output")
    ports = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, picture) for n in names}
    graph = helper.make_graph(
        [helper.make_node("Mean", ["input", "state"], ["output"])],
        "frames",
        [ports["input"], ports["state"]],
        [ports["output"]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    return model


AMOUNTS = ("rain", "lowlight")


def estimator_model() -> onnx.ModelProto:
    """A file with an estimator, both with known answers, exact where no pixel is padded.

    rain is the mean of red, lowlight the mean of green. The output is the picture, brighter by 0.2
    of the amount of rain and 0.4 of that of lowlight it is given, clipped to [0, 1].
    """
    size = SCENE_SIZE + len(AMOUNTS)
    picture: list[str | int | None] = [1, 3, "height", "width"]
    value = helper.make_tensor_value_info
    weight = np.zeros((size, 1), np.float32)
    weight[SCENE_SIZE:, 0] = 0.2, 0.4
    held = {
        "scene": np.zeros((1, size), np.float32),
        "weight": weight,
        "low": np.float32(0.0),
        "high": np.float32(1.0),
    }
    restorer = helper.make_graph(
        [
            helper.make_node("MatMul", ["scene", "weight"], ["gain"]),
            helper.make_node("Add", ["input", "gain"], ["sum"]),
            helper.make_node("Clip", ["sum", "low", "high"], ["output"]),
        ],
        "restorer",
        [
            value("input", TensorProto.FLOAT, picture),
            value("scene", TensorProto.FLOAT, [1, size]),
        ],
        [value("output", TensorProto.FLOAT, picture)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()],
    )
    bounds = {"start": [0], "stop": [len(AMOUNTS)], "axis": [1]}
    estimator = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["picture"], ["means"]),
            helper.make_node("Flatten", ["means"], ["flat"]),
            helper.make_node("Slice", ["flat", "start", "stop", "axis"], ["amounts"]),
        ],
        "estimator",
        [value("picture", TensorProto.FLOAT, picture)],
        [value("amounts", TensorProto.FLOAT, [1, len(AMOUNTS)])],
        [numpy_helper.from_array(np.asarray(v, np.int64), name) for name, v in bounds.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    models = [
        helper.make_model(g, opset_imports=opset, ir_version=9) for g in (restorer, estimator)
    ]
    for model in models:
        onnx.checker.check_model(model, full_check=True)
    described = json.loads(card(0, 1)) | {"scene_size": size, "degradations": AMOUNTS, "id": "fake"}
    encoded = base64.b64encode(models[1].SerializeToString()).decode()
    for key, text in (("pellucid.config", json.dumps(described)), (ESTIMATOR_KEY, encoded)):
        models[0].metadata_props.add(key=key, value=text)
    return models[0]
