"""The scene is measured only where it is wanted, and the pictures stay the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pellucid_export.onnx.rewrites import drop_unused
from pellucid_export.onnx.scene_branch import measure_always, measure_on_demand

FLOAT = TensorProto.FLOAT


def graph() -> onnx.ModelProto:
    """out = input + sum(code); what is measured is the mean of each half of a 2x2 picture's rows,
    so measuring any other picture fails."""
    nodes = [
        helper.make_node("Relu", ["input"], ["picture"]),
        helper.make_node("Less", ["scene", "zero"], ["unmeasured"]),
        helper.make_node("Reshape", ["picture", "rows"], ["split"]),
        helper.make_node("ReduceMean", ["split", "axis"], ["measured"], keepdims=0),
        helper.make_node("Where", ["unmeasured", "measured", "scene"], ["code"]),
        helper.make_node("ReduceSum", ["code"], ["sum"], keepdims=0),
        helper.make_node("Add", ["picture", "sum"], ["output"]),
    ]
    held = {
        "zero": np.float32(0.0),
        "rows": np.array([1, 2, 2], np.int64),
        "axis": np.array([2], np.int64),
        "scene": np.full((1, 2), -1.0, np.float32),
    }
    made = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("input", FLOAT, [1, 1, "h", "w"]),
            helper.make_tensor_value_info("scene", FLOAT, [1, 2]),
        ],
        [helper.make_tensor_value_info("output", FLOAT, [1, 1, "h", "w"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: onnx.ModelProto, **feeds: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(["output"], feeds)[0])


@pytest.mark.parametrize("scene", [None, [[-1.0, 3.0]], [[0.0, 3.0]]])
def test_what_is_measured_and_what_is_given_stay_the_same(scene: list[list[float]] | None) -> None:
    before, after = graph(), graph()
    assert measure_on_demand(after)
    onnx.checker.check_model(after, full_check=True)
    feeds = {"input": np.array([[[[1, 2], [3, 5]]]], np.float32)}
    if scene is not None:
        feeds["scene"] = np.array(scene, np.float32)
    np.testing.assert_array_equal(run(after, **feeds), run(before, **feeds))


def test_nothing_is_measured_where_the_scene_is_given() -> None:
    model = graph()
    wide = {"input": np.ones((1, 1, 3, 5), np.float32), "scene": np.array([[1, 2]], np.float32)}
    with pytest.raises(Exception, match="Reshape"):  # both sides of `Where` are computed
        run(model, **wide)
    measure_on_demand(model)
    np.testing.assert_array_equal(run(model, **wide), np.full((1, 1, 3, 5), 4.0))


def test_what_a_branch_reads_is_not_dropped() -> None:
    model = graph()
    measure_on_demand(model)
    before = model.SerializeToString()
    drop_unused(model)
    assert model.SerializeToString() == before


def test_a_graph_without_a_choice_is_left() -> None:
    model = graph()
    measure_on_demand(model)
    before = model.SerializeToString()
    assert not measure_on_demand(model) and model.SerializeToString() == before


def test_undone_it_is_the_graph_that_it_was() -> None:
    before, after = graph(), graph()
    assert not measure_always(after) and measure_on_demand(after) and measure_always(after)
    drop_unused(after)
    onnx.checker.check_model(after, full_check=True)
    assert [n.op_type for n in after.graph.node] == [n.op_type for n in before.graph.node]
    feeds = {"input": np.array([[[[1, 2], [3, 5]]]], np.float32)}
    np.testing.assert_array_equal(run(after, **feeds), run(before, **feeds))
