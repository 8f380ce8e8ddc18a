"""The table of layers: multiply-accumulates by hand, sizes fixed, quantisers folded away."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from fakes import card
from onnx_graphs import kernel, node, save_graph

from pellucid.scene import SCENE_SIZE
from pellucid_export.readiness.graph import GraphError
from pellucid_export.readiness.readers import read_graph


def test_macs_by_hand(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "m.onnx",
        [
            node("Conv", "input w b", "a", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("ConvTranspose", "a u", "c", strides=[2, 2]),
            node("Relu", "c"),
        ],
        {"w": kernel(5, 3, 3, 3), "b": kernel(5), "u": kernel(5, 2, 2, 2)},
    )
    conv, up, relu = read_graph(path).layers
    assert conv.macs == (5 * 4 * 8) * (3 * 3 * 3)
    assert up.macs == (5 * 4 * 8) * (2 * 2 * 2)  # each input value meets 2 x 2 x 2 weights
    assert relu.macs == 0
    assert (conv.weights, up.weights) == (5 * 27 + 5, 40)
    assert (conv.elements_in, conv.elements_out) == (3 * 8 * 16, 5 * 4 * 8)
    assert conv.attributes["strides"] == [2, 2]
    assert conv.constants == (1, 2)


def test_a_kernel_behind_a_cast_is_still_a_kernel(tmp_path: Path) -> None:
    """ONNX Runtime reads fp16 kernels through one where it has no fp16 arithmetic."""
    path = save_graph(
        tmp_path / "m.onnx",
        [node("Cast", "w", "v", to=onnx.TensorProto.FLOAT), node("Conv", "input v")],
        {"w": kernel(5, 3, 3, 3).astype(np.float16)},
    )
    (conv,) = read_graph(path).layers
    assert (conv.op, conv.weights, conv.macs) == ("Conv", 135, 5 * 6 * 14 * 27)


def test_grouped_convolutions_and_products(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "m.onnx",
        [
            node("Conv", "input w", "a", group=3),
            node("GlobalAveragePool", "a", "p"),
            node("Flatten", "p", "f"),
            node("Gemm", "f g", transB=1),
        ],
        {"w": kernel(3, 1, 3, 3), "g": kernel(7, 3)},
        output=[1, 7],
    )
    graph = read_graph(path)
    assert graph.layers[0].macs == 3 * 6 * 14 * 9
    assert graph.layers[3].macs == 7 * 3
    assert graph.macs == 3 * 6 * 14 * 9 + 21


def test_free_sizes_are_known_as_free_until_fixed(
    write_model: Callable[[str, dict[str, str]], Path],
) -> None:
    path = write_model("free.onnx", {"pellucid.config": card()})
    free = read_graph(path)
    assert free.inputs["input"] == (1, 3, None, None)
    assert free.size is None
    assert any(layer.free for layer in free.layers)
    fixed = read_graph(path, 8, 12)
    assert fixed.size == (8, 12)
    assert not any(layer.free for layer in fixed.layers)
    assert not {layer.op for layer in fixed.layers} & {"Shape", "Mod", "Neg"}
    (conv,) = [layer for layer in fixed.layers if layer.weights == 81]
    assert conv.macs == 3 * 8 * 12 * 27


def test_a_default_that_the_caller_may_replace_is_no_constant(
    write_model: Callable[[str, dict[str, str]], Path],
) -> None:
    graph = read_graph(write_model("scene.onnx", {"pellucid.config": card()}), 8, 12)
    (first,) = [layer for layer in graph.layers if layer.inputs == ((1, SCENE_SIZE),)]
    assert first.op == "Slice"


def test_quantisers_fold_into_their_layers(tmp_path: Path) -> None:
    scale, zero = np.float32(0.1), np.uint8(0)
    path = save_graph(
        tmp_path / "q.onnx",
        [
            node("QuantizeLinear", "input s z", "xq"),
            node("DequantizeLinear", "xq s z", "x"),
            node("DequantizeLinear", "wq s z8", "w"),
            node("Conv", "x w", "y"),
            node("QuantizeLinear", "y s z", "yq"),
            node("DequantizeLinear", "yq s z"),
        ],
        {"s": scale, "z": zero, "z8": np.int8(0), "wq": np.zeros((4, 3, 3, 3), np.int8)},
    )
    graph = read_graph(path)
    (conv,) = graph.layers
    assert conv.quantised
    assert graph.quantised
    assert (conv.weights, conv.macs) == (108, 4 * 6 * 14 * 27)


def test_nhwc_pictures_have_a_size_too(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "n.onnx", [node("Relu")], sides=(20, 3), channels=10)
    assert read_graph(path).size == (10, 20)


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no protobuf")
    with pytest.raises(GraphError, match="not a readable ONNX file"):
        read_graph(tmp_path / "text.onnx")
    with pytest.raises(GraphError, match="not a readable ONNX file"):
        read_graph(tmp_path / "absent.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(GraphError, match="found none"):
        read_graph(tmp_path / "empty.onnx")


def test_a_size_that_does_not_fit_is_told(tmp_path: Path) -> None:
    mask = {"mask": kernel(1, 3, 9, 9)}
    path = save_graph(tmp_path / "m.onnx", [node("Mul", "input mask")], mask, ("h", "w"))
    assert read_graph(path, 9, 9).size == (9, 9)
    with pytest.raises(GraphError, match="at 4x4"):
        read_graph(path, 4, 4)
