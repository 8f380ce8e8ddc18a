"""OpenVINO IR: one input for other programs, a scene to feed for pellucid's tiles."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from export_fakes import PROVENANCE, small_pictures, small_student

from pellucid import Restorer
from pellucid.tiles import plan
from pellucid_export.onnx.maker import OnnxMaker
from pellucid_export.openvino.maker import OpenVinoMaker
from pellucid_export.readiness.check import readiness
from pellucid_export.readiness.graph import GraphError
from pellucid_export.readiness.readers import read_graph
from pellucid_export.source import ExportSource

openvino = pytest.importorskip("openvino", reason="OpenVINO files need pellucid[export]")
pytest.importorskip("nncf", reason="OpenVINO files need pellucid[export]")
pytestmark = pytest.mark.slow  # torch traces graphs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ir")
    source = ExportSource(small_student(), PROVENANCE, 1, small_pictures())
    onnx_maker = OnnxMaker(source)
    onnx.save(onnx_maker.finished("fp32", None, False), folder / "model.onnx")
    maker = OpenVinoMaker(source, onnx_maker)
    for precision, size in (("fp32", None), ("fp16", None), ("fp32", (48, 64))):
        maker.make(precision, size, (), folder)
    return folder


def large_picture() -> np.ndarray:
    """Dark on one side: tiles that measured their own scene would differ by far."""
    y, x = np.mgrid[0:230, 0:310] / 40.0
    pixels = np.stack([np.sin(x), np.cos(y), np.sin(x * y)], 2) * 0.4 + 0.5
    pixels[:, :150] *= 0.2
    return pixels.astype(np.float32)


def tiled(path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    restorer = Restorer(path, threads=1)
    reach = restorer.card.receptive_field
    assert reach is not None
    window = (2 * reach + 64) ** 2
    monkeypatch.setattr(restorer, "_window_pixels", window)
    monkeypatch.setattr(restorer, "_tiling", plan(reach, restorer.card.tile_multiple, window))
    pixels, calls = large_picture(), []
    restorer.restore_pixels(pixels, progress=lambda done, total: calls.append(total))
    assert calls[-1] > 1
    return pixels


@pytest.mark.parametrize("end", ["", "_fp16"])
def test_tiles_are_the_whole_picture_and_what_onnx_gives(
    folder: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    path = folder / f"openvino_model{end}.xml"
    whole = Restorer(path, threads=1)(large_picture())
    in_tiles = tiled(path, monkeypatch)
    np.testing.assert_allclose(in_tiles, whole, atol=1e-5)
    theirs = tiled(folder / "model.onnx", monkeypatch)
    np.testing.assert_allclose(in_tiles, theirs, atol=2e-3 if end else 1e-5)


@pytest.mark.parametrize("end", ["", "_fp16"])
def test_other_programs_see_one_input(folder: Path, end: str) -> None:
    compiled = openvino.Core().compile_model(folder / f"openvino_model{end}.xml", "CPU")
    assert [port.get_names() for port in compiled.inputs] == [{"input"}]
    assert [port.get_names() for port in compiled.outputs] == [{"output"}]


def test_layers_are_those_of_the_onnx_file(folder: Path) -> None:
    """Read from the XML without OpenVINO: the same work, the same verdict."""
    ir, ours = (
        read_graph(folder / "openvino_model_64x48.xml"),
        read_graph(folder / "model.onnx", 48, 64),
    )
    assert ir.size == (48, 64)
    assert ir.macs == pytest.approx(ours.macs, rel=0.02)
    assert sum(layer.op == "Conv" for layer in ir.layers) == sum(
        layer.op == "Conv" for layer in ours.layers
    )
    assert readiness(folder / "openvino_model_64x48.xml", "intel-npu").ready
    free = readiness(folder / "openvino_model.xml", "intel-npu")
    assert any("fixed sizes only" in finding.why for finding in free.findings)


def test_files_and_targets_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="OpenVINO reaches intel-npu; for htp give the ONNX"):
        readiness(folder / "openvino_model.xml", "htp")
    (tmp_path / "broken.xml").write_text("<net")
    with pytest.raises(GraphError, match="not a readable OpenVINO IR"):
        read_graph(tmp_path / "broken.xml")
    (tmp_path / "other.xml").write_text("<page/>")
    with pytest.raises(GraphError, match="expected an OpenVINO IR with layers"):
        read_graph(tmp_path / "other.xml")
