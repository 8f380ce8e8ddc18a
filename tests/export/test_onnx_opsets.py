"""Older and newer operator sets, and OpenCV as a reader: the same pixels from each."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from export_fakes import PROVENANCE, picture, small_pictures, small_student
from onnx_graphs import node, save_graph

from pellucid_apps.export.command import OPSET
from pellucid_export.onnx.file import onnx_runner
from pellucid_export.onnx.maker import OnnxMaker
from pellucid_export.onnx.opencv import opencv_reads, rewrite_for_opencv
from pellucid_export.onnx.opset import DEFAULT, HIGHEST, LOWEST, to_opset
from pellucid_export.pipeline import Exporter
from pellucid_export.request import Request
from pellucid_export.source import ExportSource
from pellucid_export.thresholds import ExportError, agreement_db

FIXED = (48, 64)


def source() -> ExportSource:
    return ExportSource(small_student(), PROVENANCE, 1, small_pictures())


@pytest.mark.parametrize("opset", [LOWEST - 1, 0, HIGHEST + 1])
def test_other_sets_are_refused_with_the_range(opset: int) -> None:
    request = Request(("onnx",), ("fp32",), Path("nowhere"), opset=opset)
    with pytest.raises(ExportError, match=f"opset {opset}: expected {LOWEST} to {HIGHEST}"):
        Exporter(source(), request, lambda line: None)


def test_the_command_has_the_default_of_the_library() -> None:
    assert OPSET == DEFAULT


def saved(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, Any]) -> onnx.ModelProto:
    for made in nodes:
        made.name = made.output[0]  # no two nodes may have one
    return onnx.load(save_graph(path, nodes, weights))


def reductions(path: Path) -> onnx.ModelProto:
    """Each operator that older sets write in another way, behind one another."""
    nodes = [
        node("ReduceMax", "input axis", "largest"),
        node("ReduceMin", "input axis", "least"),
        node("ReduceMean", "input sides", "mean", keepdims=1),
        node("ReduceSum", "input sides", "sum", noop_with_empty_axes=1),
        onnx.helper.make_node("Split", ["input"], ["r", "g", "b"], axis=1, num_outputs=3),
        node("Add", "largest least", "span"),
        node("Mul", "mean sum", "flat"),
        node("Sub", "span r", "lifted"),
        node("Add", "lifted flat", "output"),
    ]
    weights = {"axis": np.array([1]), "sides": np.array([2, 3])}
    return saved(path, nodes, weights)


@pytest.mark.parametrize("opset", range(LOWEST, HIGHEST + 1))
def test_every_set_computes_the_same(tmp_path: Path, opset: int) -> None:
    model, image = reductions(tmp_path / "a.onnx"), picture(3)[:, :, :8, :16]
    expected = onnx_runner(model.SerializeToString(), False)(image)
    to_opset(model, opset)
    assert model.opset_import[0].version == opset
    np.testing.assert_array_equal(onnx_runner(model.SerializeToString(), False)(image), expected)


def awkward(path: Path) -> onnx.ModelProto:
    """What OpenCV cannot read: axes together, constants shared, least of channels, clipped sums."""
    nodes = [
        node("ReduceMean", "input sides", "mean", keepdims=0),  # (1, 3)
        node("Unsqueeze", "mean sides", "wide"),
        node("ReduceMin", "input axis", "least"),
        node("Concat", "least margin", "first", axis=1),
        node("Concat", "first margin", "second", axis=1),
        node("Add", "wide second", "sum"),
        node("Clip", "sum low high", "output"),
    ]
    weights = {
        "axis": np.array([1]),
        "sides": np.array([2, 3]),
        "margin": np.full((1, 1, 8, 16), 0.25, np.float32),
        "low": np.float32(0.3),
        "high": np.float32(0.9),
    }
    return saved(path, nodes, weights)


def test_opencv_reads_what_it_stumbled_on(tmp_path: Path) -> None:
    model, image = awkward(tmp_path / "a.onnx"), picture(4)[:, :, :8, :16]
    expected = onnx_runner(model.SerializeToString(), False)(image)
    rewrite_for_opencv(model)
    to_opset(model, DEFAULT)
    np.testing.assert_array_equal(onnx_runner(model.SerializeToString(), False)(image), expected)
    ops = [n.op_type for n in model.graph.node]
    assert not {"Unsqueeze", "Clip", "ReduceMin"} & set(ops)
    onnx.save(model, tmp_path / "b.onnx")
    net = cv2.dnn.readNetFromONNX(str(tmp_path / "b.onnx"))
    net.setInput(image, "input")
    assert agreement_db(np.asarray(net.forward()), expected) > 100.0


def test_other_pixels_are_not_taken_for_reading(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "a.onnx", [node("Relu")])
    image = picture(5)[:, :, :8, :16]
    assert "dnn reads it" in opencv_reads(path, False, image, image)
    assert "its pixels are others" in opencv_reads(path, False, image, 1.0 - image)


def test_the_reason_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    image = picture(5)
    told = opencv_reads(tmp_path / "a.onnx", False, image, image)
    assert "does not read it: " in told and "\n" not in told and len(told) < 260


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8a8"])
def test_a_file_of_a_fixed_size_is_read_by_opencv(tmp_path: Path, precision: str) -> None:
    maker = OnnxMaker(source())
    path = maker.make(precision, FIXED, (), tmp_path)
    assert onnx.load(path).opset_import[0].version == DEFAULT
    image = picture(6)[:, :, : FIXED[0], : FIXED[1]]
    expected = maker.runner(path, FIXED, 1)(image)
    assert "dnn reads it" in opencv_reads(path, False, image, expected)
