"""The HTP emulator where it is installed, and what is said where it is not."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from pellucid_export.htp import emulator as htp
from pellucid_export.htp.emulator import HTPError, HTPReport

needs_emulator = pytest.mark.skipif(htp.missing() is not None, reason=str(htp.missing()))


def convolution(path: Path, height: int | str = 8) -> Path:
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["output"], name="relu"),
        ],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4, height, 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


class Noise(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.samples = [{"input": rng.random((1, 3, 8, 8), np.float32)} for _ in range(2)]

    def get_next(self) -> dict[str, Any] | None:
        return self.samples.pop() if self.samples else None


@needs_emulator
def test_a_quantised_convolution_runs_on_the_htp_alone(tmp_path: Path) -> None:
    quantised = tmp_path / "qdq.onnx"
    quantize_static(
        convolution(tmp_path / "float.onnx"),
        quantised,
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    report = htp.check(quantised)
    assert report.whole, report.reason
    assert report.share == 1.0
    assert report.accepted["Conv"] == 1
    assert report.agreement_db is not None
    assert report.agreement_db > 30  # outputs reach about 10, so this is about one step of 256


@needs_emulator
def test_an_op_that_the_htp_lacks_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Erf", ["input"], ["output"], name="erf")],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 8])],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "erf.onnx")
    report = htp.check(tmp_path / "erf.onnx")
    assert not report.whole
    assert report.refused == {"Erf": 1}
    assert "Erf x1" in report.lines[1]


def test_free_sizes_are_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(htp, "missing", lambda: None)
    with pytest.raises(HTPError, match=r"free sizes .*--size WxH"):
        htp.check(convolution(tmp_path / "free.onnx", "height"))


def test_absence_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HTPError, match=r"pip install 'pellucid\[htp\]'"):
        htp.check(Path("any.onnx"))


def test_an_emulator_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htp, "missing", lambda: None)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(HTPError, match="ended with code 1"):
        htp.check(tmp_path / "any.onnx", {"input": np.zeros(1, np.float32)})


def test_the_share_counts_nodes() -> None:
    report = HTPReport(False, {"Conv": 3}, {"Erf": 1}, None, "not all")
    assert report.share == 0.75
    assert report.to_dict()["share"] == 0.75
    assert HTPReport(False).share == 0.0
