"""Rewrites for devices: the same numbers from other ops; anything that only looks alike is left."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import pellucid
from pellucid_export.onnx.rewrites import rewrite_for_devices

Array = NDArray[Any]
BUNDLED = sorted((Path(pellucid.__file__).parent / "models").glob("*.onnx"))


def values(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def model(nodes: list[onnx.NodeProto], weights: dict[str, Array], channels: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, None, None])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(made)
    return made


def run(made: onnx.ModelProto, height: int = 12, width: int = 18) -> Array:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    feeds = {
        port.name: rng.random((1, port.shape[1], height, width), np.float32)
        for port in session.get_inputs()  # `input`, and `state` in files for frames
    }
    return np.asarray(session.run(None, feeds)[0])


def unshuffle(r: int, perm: tuple[int, ...] = (0, 1, 3, 5, 2, 4), **conv: Any) -> Any:
    nodes = [
        helper.make_node("Reshape", ["input", "six"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=perm),
        helper.make_node("Reshape", ["b", "four"], ["c"]),
        helper.make_node("Conv", ["c", "w", "bias"], ["output"], **conv),
    ]
    weights = {
        "six": np.array([1, 3, 12 // r, r, 18 // r, r]),
        "four": np.array([1, 3 * r * r, 12 // r, 18 // r]),
    }
    return nodes, weights


def ops(made: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


@pytest.mark.parametrize(("r", "k"), [(2, 3), (3, 3), (2, 1), (2, 5)])
def test_unshuffle_and_convolution_become_one(r: int, k: int) -> None:
    nodes, weights = unshuffle(r, pads=[k // 2] * 4)
    weights |= {"w": values(5, 3 * r * r, k, k), "bias": values(5)}
    made = model(nodes, weights, 3)
    expected = run(made)
    assert rewrite_for_devices(made) == {"strided": 1}
    assert ops(made) == ["Conv"]
    assert {tensor.name for tensor in made.graph.initializer} == {"w_strided", "bias"}
    np.testing.assert_allclose(run(made), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"perm": (0, 1, 5, 3, 2, 4)},  # columns of a cell before its rows
        {"strides": [2, 2]},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
    ],
)
def test_what_only_looks_alike_is_left(wrong: dict[str, Any]) -> None:
    nodes, weights = unshuffle(2, **wrong)
    weights |= {"w": values(5, 12, 3, 3), "bias": values(5)}
    made = model(nodes, weights, 3)
    expected = run(made)
    assert not rewrite_for_devices(made)
    assert ops(made) == ["Reshape", "Transpose", "Reshape", "Conv"]
    np.testing.assert_array_equal(run(made), expected)


def test_an_unshuffle_that_others_read_stays() -> None:
    nodes, weights = unshuffle(2, pads=[1, 1, 1, 1])
    nodes[-1].output[0] = "d"
    nodes.append(helper.make_node("Add", ["c", "d"], ["output"]))
    weights |= {"w": values(12, 12, 3, 3), "bias": values(12)}
    made = model(nodes, weights, 3)
    expected = run(made)
    assert rewrite_for_devices(made) == {"strided": 1}
    assert ops(made) == ["Reshape", "Transpose", "Reshape", "Conv", "Add"]
    np.testing.assert_allclose(run(made), expected, rtol=1e-5, atol=1e-5)


def shuffle(mode: str = "CRD") -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    nodes = [
        helper.make_node("Conv", ["input", "w", "bias"], ["a"]),
        helper.make_node("DepthToSpace", ["a"], ["output"], blocksize=2, mode=mode),
    ]
    return nodes, {"w": values(12, 3, 1, 1), "bias": values(12)}


def test_the_channel_order_moves_into_the_convolution() -> None:
    made = model(*shuffle(), 3)
    expected = run(made)
    assert rewrite_for_devices(made) == {"dcr": 1}
    assert helper.get_node_attr_value(made.graph.node[1], "mode") == b"DCR"
    np.testing.assert_array_equal(run(made), expected)


def test_dcr_is_left() -> None:
    assert not rewrite_for_devices(model(*shuffle("DCR"), 3))


def test_a_convolution_that_others_read_keeps_its_order() -> None:
    nodes, weights = shuffle()
    nodes.append(helper.make_node("DepthToSpace", ["a"], ["b"], blocksize=2, mode="DCR"))
    nodes[1].output[0] = "c"
    nodes.append(helper.make_node("Add", ["b", "c"], ["output"]))
    made = model(nodes, weights, 3)
    expected = run(made)
    assert not rewrite_for_devices(made)
    np.testing.assert_array_equal(run(made), expected)


def test_weights_shared_by_the_steps_are_changed_once() -> None:
    nodes = []
    for step, source in enumerate(["input", "input"]):
        nodes += [
            helper.make_node("Conv", [source, "w", "bias"], [f"a{step}"]),
            helper.make_node("DepthToSpace", [f"a{step}"], [f"b{step}"], blocksize=2, mode="CRD"),
        ]
    nodes.append(helper.make_node("Add", ["b0", "b1"], ["output"]))
    made = model(nodes, shuffle()[1], 3)
    expected = run(made)
    assert rewrite_for_devices(made) == {"dcr": 2}
    assert {tensor.name for tensor in made.graph.initializer} == {"w_dcr", "bias_dcr"}
    np.testing.assert_array_equal(run(made), expected)


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_the_released_models_give_the_same_pictures(path: Path) -> None:
    before, after = onnx.load(str(path)), onnx.load(str(path))
    rewrite_for_devices(after)
    onnx.checker.check_model(after, full_check=True)
    assert "Transpose" not in ops(after)
    assert all(
        helper.get_node_attr_value(node, "mode") == b"DCR"
        for node in after.graph.node
        if node.op_type == "DepthToSpace"
    )
    for size in ((17, 33), (5, 3)):
        np.testing.assert_allclose(run(after, *size), run(before, *size), atol=2e-6)
