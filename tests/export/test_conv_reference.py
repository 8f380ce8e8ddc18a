"""The yardstick has the MACs it claims and nothing but 3x3 convolutions and ReLU."""

import onnx
import pytest
from onnx import numpy_helper

from pellucid_export.conv_reference import conv_stack


@pytest.mark.parametrize("gmac", [0.3, 4.78, 22.0])
def test_reference_has_equal_macs(gmac: float) -> None:
    model = conv_stack(gmac * 1e9, 720, 1280)
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} == {"Conv", "Relu"}
    kernels = [numpy_helper.to_array(w) for w in model.graph.initializer]
    assert all(k.shape[2:] == (3, 3) for k in kernels)
    assert sum(k.size for k in kernels) * 180 * 320 == pytest.approx(gmac * 1e9, rel=0.01)
