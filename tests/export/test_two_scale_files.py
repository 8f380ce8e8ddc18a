"""Files of students of two scales: one input for others, exact tiles for the runtime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pellucid import Restorer
from pellucid.card import read_card
from pellucid.engine import Engine
from pellucid.engine_openvino import OpenVinoEngine
from pellucid.errors import ModelError
from pellucid.estimator import measure
from pellucid.thumbnail import KEY, Place, WholePath, open_whole_path
from pellucid_export.calibration import Pictures
from pellucid_export.card import card
from pellucid_export.htp.maker import HTPMaker
from pellucid_export.onnx.file import export_frames, export_onnx, to_onnx
from pellucid_export.onnx.maker import OnnxMaker
from pellucid_export.onnx.rewrites import rewrite_for_devices
from pellucid_export.restoration import Restoration
from pellucid_export.source import ExportSource
from pellucid_export.thresholds import ExportError
from pellucid_export.web.maker import WebMaker
from pellucid_student.layers import fold
from pellucid_student.plain_unet import PICO_TWO_SCALE, PlainUNet
from pellucid_student.steps import restore
from pellucid_student.weights import Provenance

pytestmark = pytest.mark.slow  # torch traces graphs

DRAWN = Provenance("pico-two-scale", "drawn", 0, "CC0-1.0")
NPU_LACKS = {"If", "Where", "NonZero", "ScatterND", "GatherND", "GridSample"}


@pytest.fixture(scope="module")
def student() -> PlainUNet:
    torch.manual_seed(0)
    model = PlainUNet(PICO_TWO_SCALE)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return fold(model)


@pytest.fixture(scope="module")
def exported(student: PlainUNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "two-scale.onnx"
    assert export_onnx(student, DRAWN, path).parity_db >= 100
    return path


def photo(height: int, width: int) -> NDArray[np.float32]:
    """Smooth in the large, rough in the small, (H, W, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    smooth = 0.5 + 0.3 * np.sin(x / 90.0 + y / 140.0)[..., None] * np.array([1.0, 0.8, 0.5])
    rough = 0.1 * np.random.default_rng(0).standard_normal((height, width, 3))
    return np.asarray(np.clip(smooth + rough, 0.0, 1.0), np.float32)


def planes(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_tiles_are_the_whole_picture_s(exported: Path, engine: str) -> None:
    picture = photo(613, 801)
    whole, tiled = (
        Restorer(exported, memory_mb=memory, engine=engine)(picture, fix="all")
        for memory in (2000, 50)
    )
    assert np.abs(whole - picture).max() > 0.05 and np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize("size", [(61, 97), (130, 47), (5, 3)])
def test_engines_agree_with_torch_whoever_looks_at_the_whole(
    student: PlainUNet, exported: Path, size: tuple[int, int]
) -> None:
    picture = photo(*size)
    engine, openvino = Engine(exported), OpenVinoEngine(exported)
    scene = measure(picture, engine.estimator)
    assert engine.whole_path is not None
    place = Place.of(engine.whole_path.maps(picture, scene), 0, 0, size)
    restoration = Restoration(student).eval()
    optional = dict(restoration.defaults) | {"scene": torch.from_numpy(scene[None])}
    with torch.no_grad():
        expected = restoration(torch.from_numpy(planes(picture)), *optional.values()).numpy()
    inside = engine.run(planes(picture), scene)
    for made in (inside, engine.run(planes(picture), scene, None, place)):
        assert np.abs(made - expected).max() <= 1e-5
    assert np.abs(openvino.run(planes(picture), scene) - expected).max() <= 2e-5


def test_a_part_that_is_told_its_place_is_the_whole_s(exported: Path) -> None:
    picture, engine = photo(160, 256), Engine(exported)
    scene = measure(picture, engine.estimator)
    assert engine.whole_path is not None
    maps = engine.whole_path.maps(picture, scene)
    whole = engine.run(planes(picture), scene, None, Place.of(maps, 0, 0, (160, 256)))
    part = planes(picture[:, 64:])
    given = engine.run(part, scene, None, Place.of(maps, 0, 64, (160, 256)))
    assert np.abs(given - whole[..., 64:])[..., 32:].max() <= 1e-5
    alone = engine.run(part, scene)
    assert np.abs(alone - whole[..., 64:])[..., 32:].max() > 1e-3


def test_others_see_one_input_and_one_output(exported: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported, options, ["CPUExecutionProvider"])
    assert [port.name for port in session.get_inputs()] == ["input"]
    assert [port.name for port in session.get_outputs()] == ["output"]
    optional = {port.name: port.shape for port in session.get_overridable_initializers()}
    assert optional["maps"] == [1, 6, 128, 128] and optional["window"] == [1, 4]
    metadata = session.get_modelmeta().custom_metadata_map
    assert read_card(metadata, "x").receptive_field is not None
    assert open_whole_path(metadata, options) is not None


def test_a_file_of_one_size_has_no_branches_and_agrees(student: PlainUNet, tmp_path: Path) -> None:
    restoration, size = Restoration(student).eval(), (96, 160)
    model = to_onnx(restoration, card(student, DRAWN), size)
    rewrite_for_devices(model)
    ops = {node.op_type for node in model.graph.node} - {"Where"}  # the choice, for who feeds it
    assert not ops & NPU_LACKS, ops
    onnx.save(model, tmp_path / "fixed.onnx")
    picture = planes(photo(*size))
    with torch.no_grad():
        expected = restoration(torch.from_numpy(picture), *restoration.defaults.values()).numpy()
    measured = restoration.scene_of(torch.from_numpy(picture), restoration.unmeasured)
    scene = measured[0].numpy()  # OpenVINO's would be measured outside, with other roundings
    for made in (Engine(tmp_path / "fixed.onnx"), OpenVinoEngine(tmp_path / "fixed.onnx")):
        assert np.abs(made.run(picture, scene) - expected).max() <= 2e-5


def test_several_steps_in_a_file_are_the_sampler(student: PlainUNet) -> None:
    picture = torch.from_numpy(planes(photo(64, 96)))
    restoration = Restoration(student, 2).eval()
    with torch.no_grad():
        got = restoration(picture, *restoration.defaults.values())
    expected = restore(student, 2.0 * picture - 1.0, 2)
    assert torch.allclose(got, (expected + 1.0) / 2.0, atol=1e-5)


def test_files_for_frames_see_the_whole_frame(student: PlainUNet, tmp_path: Path) -> None:
    path = tmp_path / "frames.onnx"
    assert export_frames(student, DRAWN, path).parity_db >= 100
    frame = planes(photo(64, 96))
    scene = measure(photo(64, 96), Engine(path).estimator)
    made = [kind(path).run(frame, scene, frame) for kind in (Engine, OpenVinoEngine)]
    assert np.abs(made[0] - made[1]).max() < 2e-5


def test_formats_without_an_input_for_the_whole_picture_are_refused(student: PlainUNet) -> None:
    source = ExportSource(student, DRAWN, 1, Pictures([], [], "none"))
    maker = OnnxMaker(source)
    with pytest.raises(ExportError, match="whole picture"):
        WebMaker(source, maker, Path())
    with pytest.raises(ExportError, match="whole picture"):
        HTPMaker(source, maker, ((64, 64),))


def test_a_damaged_entry_says_what_to_do() -> None:
    for text in ("!", "AAAA"):
        with pytest.raises(ModelError, match="export the model again"):
            open_whole_path({KEY: text}, None)
    with pytest.raises(ModelError, match="export the model again"):
        WholePath(b"no graph")
