"""The roofline: closed forms, ranges that contain each other, and labels that cannot be missed."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import kernel, node, save_graph

from pellucid_export.readiness.check import target_names
from pellucid_export.readiness.chips import CHIPS, Chip, chips_of
from pellucid_export.readiness.graph import GraphError
from pellucid_export.readiness.readers import read_graph
from pellucid_export.readiness.roofline import LABEL, chip_names, estimate, estimate_graph

TOY = Chip("toy", "Toy", "ane", 1.0, 4.0, (1.0, 2.0), (0.5, 1.5), "made up")


def convolution(path: Path, c_out: int = 4) -> Path:
    nodes = [node("Conv", "input w", "a", pads=[1] * 4), node("Relu", "a")]
    return save_graph(path, nodes, {"w": kernel(c_out, 3, 3, 3)}, sides=(40, 50))


def test_times_by_hand(tmp_path: Path) -> None:
    found = estimate_graph(read_graph(convolution(tmp_path / "m.onnx")), TOY, 40, 50)
    conv, relu = found.layers
    operations = 2 * (4 * 40 * 50 * 27)
    volume = 2 * (3 * 2000 + 4 * 2000 + 108)  # fp16: picture in, features out, weights
    assert conv.low_ms == pytest.approx(1e3 * max(operations / 0.4e12, volume / 2e9))
    assert conv.high_ms == pytest.approx(1e3 * max(operations / 0.1e12, volume / 1e9))
    assert conv.bound == "memory"
    assert relu.low_ms == 0.0  # fused at the low end
    assert relu.high_ms == pytest.approx(1e3 * 2 * 2 * 4 * 2000 / 1e9)
    assert found.low_ms == pytest.approx(0.5 + conv.low_ms)
    assert found.high_ms == pytest.approx(1.5 + conv.high_ms + relu.high_ms)


def test_many_channels_are_bound_by_compute(tmp_path: Path) -> None:
    path = convolution(tmp_path / "m.onnx", c_out=512)
    slow = Chip("toy", "Toy", "ane", 0.01, 0.01, (1e3, 1e3), (0.0, 0.0), "made up")
    conv = estimate_graph(read_graph(path), slow, 40, 50).layers[0]
    assert conv.bound == "compute"
    assert conv.high_ms == pytest.approx(4 * conv.low_ms)  # 10 % against 40 % of the peak


def test_int8_takes_the_int8_peak_and_half_the_bytes(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "q.onnx",
        [
            node("QuantizeLinear", "input s z", "xq"),
            node("DequantizeLinear", "xq s z", "x"),
            node("DequantizeLinear", "wq s zw", "w"),
            node("Conv", "x w", "y"),
            node("QuantizeLinear", "y s z", "yq"),
            node("DequantizeLinear", "yq s z"),
        ],
        {
            "s": np.float32(0.1),
            "z": np.uint8(0),
            "zw": np.int8(0),
            "wq": np.zeros((4, 3, 3, 3), np.int8),
        },
    )
    found = estimate_graph(read_graph(path), TOY, 8, 16)
    volume = 3 * 8 * 16 + 4 * 6 * 14 + 108
    assert found.precision == "int8"
    assert found.layers[0].high_ms == pytest.approx(1e3 * volume / 1e9)
    assert "peak 4 TOPS" in found.assumptions[0]


@pytest.mark.parametrize("chip", chip_names())
def test_every_chip_gives_a_labelled_range(chip: str, tmp_path: Path) -> None:
    found = estimate(convolution(tmp_path / "m.onnx"), chip, 40, 50)
    assert 0 < found.low_ms < found.high_ms
    assert found.label == LABEL == "ESTIMATE"
    assert found.lines[0].startswith("ESTIMATE ")
    assert CHIPS[chip].source in found.assumptions[0]
    told = json.loads(json.dumps(found.to_dict()))
    assert told["label"] == "ESTIMATE"
    assert told["assumptions"]


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.key)
def test_chips_are_sane(chip: Chip) -> None:
    assert chip.fp16 <= chip.int8 <= 2 * chip.fp16
    assert chip.gbs[0] <= chip.gbs[1]
    assert chip.dispatch[0] <= chip.dispatch[1]
    assert chip.target in target_names()
    assert chip in chips_of(chip.target)


def test_a_larger_picture_takes_longer(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "m.onnx",
        [node("Conv", "input w", pads=[1] * 4)],
        {"w": kernel(8, 3, 3, 3)},
        sides=("height", "width"),
    )
    small, large = (estimate(path, "m1", side, side) for side in (64, 640))
    assert large.macs == 100 * small.macs
    assert large.low_ms > small.low_ms


def test_wrong_questions_are_told(tmp_path: Path) -> None:
    path = convolution(tmp_path / "m.onnx")
    with pytest.raises(GraphError, match="did you mean m4"):
        estimate(path, "m44", 40, 50)
    with pytest.raises(GraphError, match="fixed to 50x40, asked for 40x50"):
        estimate(path, "m1", 50, 40)
