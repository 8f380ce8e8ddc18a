"""Foreign files whose sides must be multiples restore pictures of any size."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pellucid import ModelError, Restorer
from pellucid.engine_choice import open_engine
from pellucid.frames import open_pass
from pellucid.multiple import find_multiple, pad


def blocks(path: Path, multiple: int, sides: tuple[int | str, int | str] = ("h", "w")) -> Path:
    """A foreign graph that halves the light in blocks of multiple x multiple, and only in whole."""
    nodes = [
        helper.make_node("SpaceToDepth", ["picture"], ["deep"], blocksize=multiple),
        helper.make_node("Mul", ["deep", "half"], ["dim"]),
        helper.make_node("DepthToSpace", ["dim"], ["restored"], blocksize=multiple),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *sides])
        for name in ("picture", "restored")
    ]
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    graph = helper.make_graph(nodes, "blocks", ports[:1], ports[1:], [half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("multiple", [1, 2, 8, 32])
def test_pictures_and_frames_of_any_size(engine: str, multiple: int, tmp_path: Path) -> None:
    path = blocks(tmp_path / "foreign.onnx", multiple)
    assert open_engine(path, 1, engine).size_multiple == multiple
    restore, frames = Restorer(path, threads=1, engine=engine), open_pass(str(path), 1, 1, engine)
    frames.expect_frames((37, 21))
    for size in [(37, 21), (1, 3), (64, 32)]:
        picture = np.random.default_rng(0).integers(0, 128, (*size, 3), dtype=np.uint8) * 2
        np.testing.assert_array_equal(restore(picture), picture // 2)
        np.testing.assert_array_equal(frames.run_frame(picture, None), picture // 2)


def test_a_graph_of_one_size_says_which(tmp_path: Path) -> None:
    engine = open_engine(blocks(tmp_path / "foreign.onnx", 8, (64, 32)), 1)
    assert engine.run(np.zeros((1, 3, 64, 32), np.float32), None).shape == (1, 3, 64, 32)
    with pytest.raises(ModelError, match="on a 32x40 picture: it takes 32x64 only; export it with"):
        engine.run(np.zeros((1, 3, 40, 32), np.float32), None)


def test_multiples_are_told_from_each_other() -> None:
    for wanted in (1, 2, 4, 16, 64, 128):
        assert find_multiple(lambda side, wanted=wanted: side % wanted == 0) == wanted  # type: ignore[misc]
    assert find_multiple(lambda side: False) == 1


def test_padding_repeats_the_border() -> None:
    padded = pad(np.arange(6).reshape(1, 2, 3), 4, (1, 2))
    assert padded.tolist() == [[[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]]
