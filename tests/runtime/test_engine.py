"""ONNX Runtime and OpenVINO run the same files with the same results."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import card as fake_card
from fakes import doubling_model

from pellucid import ModelError, PhotoError, Restorer
from pellucid.card import KEY, read_card
from pellucid.engine import Engine
from pellucid.engine_choice import open_engine
from pellucid.restorer import find_model
from pellucid.scene import SCENE_SIZE, measure_scene

RNG = np.random.default_rng(7)
PICTURE = RNG.random((1, 3, 37, 50), np.float32)
SCENE = RNG.random(SCENE_SIZE).astype(np.float32)


def test_an_absent_openvino_is_answered_with_the_pip_line(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"pip install 'pellucid\[openvino\]'"):
        Restorer(model_file, engine="openvino")


def test_wrong_choices_are_told(model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="auto, onnxruntime, openvino, got 'tensorrt'"):
        Restorer(model_file, engine="tensorrt")
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(ModelError, match="use the engine openvino"):
        Restorer(tmp_path / "model.xml", engine="onnxruntime")
    with pytest.raises(ModelError, match="no such model file"):
        Restorer(tmp_path / "none.xml")


def test_memory_that_runs_out_is_no_fault_of_the_model(model_file: Path) -> None:
    """ONNX Runtime tells it by the text alone; callers lower their demand and try again."""

    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer")

    engine = Engine(model_file, 1)
    engine._session = Full()
    with pytest.raises(MemoryError, match="requested buffer"):
        engine.run(PICTURE, None)


def test_auto_goes_by_the_suffix(model_file: Path) -> None:
    assert isinstance(open_engine(model_file, 1), Engine)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_model_that_enlarges_is_a_model(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    onnx.save(doubling_model(), tmp_path / "double.onnx")
    onnx.save(doubling_model(scale=3), tmp_path / "wrong.onnx")
    opened = open_engine(tmp_path / "double.onnx", 1, engine)
    assert opened.card.scale == 2 and opened.card.task == "super-resolution"
    expected = PICTURE.repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_array_equal(opened.run(PICTURE, None), expected)
    with pytest.raises(ModelError, match="50x37 picture .* its card says scale 3"):
        open_engine(tmp_path / "wrong.onnx", 1, engine).run(PICTURE, None)
    with pytest.raises(ModelError, match="makes pictures 2 times as large"):
        Restorer(tmp_path / "double.onnx", engine=engine)


def test_cards_of_older_files_get_defaults(model_file: Path) -> None:
    card = open_engine(model_file, 1).card
    assert (card.scale, card.mask, card.degradations) == (1, False, ())


def test_a_card_keeps_the_order_of_its_degradations() -> None:
    told = json.loads(fake_card()) | {"degradations": ["snow", "rain"], "mask": True}
    card = read_card({KEY: json.dumps(told)}, "x")
    assert card.degradations == ("snow", "rain") and card.mask
    with pytest.raises(ModelError, match="damaged.*scale"):
        read_card({KEY: json.dumps(told | {"scale": 0})}, "x")


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("name", ["fake", "tiny"])
def test_openvino_agrees_with_onnx_runtime(model_file: Path, name: str, fed: bool) -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    path = model_file if name == "fake" else find_model("tiny")
    theirs = open_engine(path, 1, "openvino")
    ours = open_engine(path, 1, "onnxruntime")
    assert theirs.card == ours.card and theirs.takes_scene and ours.takes_scene
    scene = RNG.random(ours.card.scene_size).astype(np.float32) if fed else None
    # Where pellucid's graph would measure the scene, OpenVINO's engine does it by itself.
    measured = measure_scene(PICTURE[0].transpose(1, 2, 0)) if name == "tiny" else None
    given = measured if scene is None else scene
    np.testing.assert_allclose(theirs.run(PICTURE, scene), ours.run(PICTURE, given), atol=2e-4)


def test_the_scene_arrives(model_file: Path) -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    engine = open_engine(model_file, 1, "openvino")
    brighter = np.zeros(SCENE_SIZE, np.float32)
    brighter[0] = 1.0  # added before the sigmoid
    plain = engine.run(PICTURE, None)
    expected = 1.0 / (1.0 + (1.0 / plain - 1.0) / np.e)
    np.testing.assert_allclose(engine.run(PICTURE, brighter), expected, atol=1e-5)


def test_a_result_outlives_the_next_call(model_file: Path) -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    engine = open_engine(model_file, 1, "openvino")
    first = engine.run(PICTURE, None)
    kept = first.copy()
    engine.run(1.0 - PICTURE, None)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", ["fake", "tiny"])
def test_tiles_agree_with_the_whole_picture(
    model_file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    restorer = Restorer(model_file if name == "fake" else "tiny", threads=1, engine="openvino")
    # Two halves of unlike exposure: a scene measured per tile would show.
    pixels = RNG.random((300, 420, 3), np.float32)
    pixels[:, :210] *= 0.2
    whole = restorer(pixels)
    side = 2 * (restorer.card.receptive_field or 0) + 64
    calls = []
    monkeypatch.setattr(restorer, "_window_pixels", side * side)
    from pellucid.tiles import plan

    card = restorer.card
    reach = card.receptive_field
    assert reach is not None
    monkeypatch.setattr(restorer, "_tiling", plan(reach, card.tile_multiple, side * side))
    tiled = pixels.copy()
    restorer.restore_pixels(tiled, progress=lambda done, total: calls.append(total))
    assert calls[-1] > 1
    np.testing.assert_allclose(tiled, whole, atol=2e-6)


def test_ir_written_by_openvino_keeps_card_and_scene(model_file: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    core = openvino.Core()
    model = core.read_model(model_file)
    text = model.get_rt_info(["framework", "pellucid.config"]).astype(str)
    model.set_rt_info(text, ["model_info", "pellucid.config"])
    openvino.save_model(model, tmp_path / "m.xml", compress_to_fp16=False)
    ir, onnx = open_engine(tmp_path / "m.xml", 1), open_engine(model_file, 1)
    assert ir.card == onnx.card and ir.takes_scene
    np.testing.assert_allclose(ir.run(PICTURE, SCENE), onnx.run(PICTURE, SCENE), atol=1e-5)


@pytest.mark.parametrize("scene", [None, SCENE])
def test_frames_are_rounded_and_interleaved_inside_the_graph(
    model_file: Path, scene: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    from pellucid import engine_openvino_frames
    from pellucid.engine_openvino import OpenVinoEngine
    from pellucid.engine_openvino_frames import KEPT_SIZES

    # What waits for a thread of the lowest priority waits for minutes beside other work.
    monkeypatch.setattr(engine_openvino_frames, "_give_way", lambda: None)
    engine = OpenVinoEngine(model_file, 1)
    graphs = engine._frames
    for side in range(20, 20 + 2 * KEPT_SIZES):  # more sizes than are kept, odd ones too
        frame = RNG.integers(0, 256, (side, 31, 3), np.uint8)
        image = np.ascontiguousarray(frame.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        expected = engine.run(image, scene)[0].transpose(1, 2, 0) * 255.0
        for call in range(3):  # the graph for any size twice, then the one for this size
            restored = engine.run_frame(frame, scene)
            assert restored.dtype == np.uint8 and restored.shape == frame.shape
            assert np.abs(restored - expected).max() <= 0.5 + 1e-3
            if call == 1:
                graphs._made[side, 31].result()
    assert len(graphs._made) == KEPT_SIZES
    with pytest.raises(PhotoError, match="uint8 frame"):
        engine.run_frame(frame[..., 0], scene)


def test_a_size_that_is_still_being_compiled_does_not_hold_up_the_stream(model_file: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    from pellucid.engine_openvino_frames import FrameGraphs

    started, refine = Event(), Event()

    def compile_slowly(model: Any) -> str:
        if model.input(0).get_partial_shape().is_dynamic:
            return "any size"
        started.set()
        assert refine.wait(30.0)
        return "this size"

    model = openvino.Core().read_model(model_file)
    graphs = FrameGraphs(model, 1, compile_slowly, any_size=True)
    assert graphs.request((40, 31)) == "any size" and not graphs._made  # it may be the only frame
    assert graphs.request((40, 31)) == "any size" and started.wait(30.0)
    assert graphs.request((40, 31)) == "any size"
    refine.set()
    graphs._made[40, 31].result()
    assert graphs.request((40, 31)) == "this size"


def test_files_that_are_no_restorers_are_refused(
    write_model: Callable[[str, dict[str, str]], Path], tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    (tmp_path / "broken.xml").write_text("<net")
    with pytest.raises(ModelError, match="not a model OpenVINO can load"):
        open_engine(tmp_path / "broken.xml", 1)
    foreign = open_engine(write_model("foreign3.onnx", {}), 1, "openvino")
    assert foreign.card.receptive_field is None and not foreign.takes_scene
    with pytest.raises(ModelError, match="threads"):
        open_engine(tmp_path / "broken.xml", 0)
