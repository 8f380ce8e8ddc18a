"""Format x precision x ports x size on a tiny student, each file opened and run again."""

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from export_fakes import PROVENANCE, SMALL, small_pictures, small_student

from pellucid import Restorer
from pellucid.card import KEY
from pellucid.session import open_session
from pellucid.size import Size
from pellucid_apps.inspect.command import describe, render
from pellucid_export.pipeline import Exporter, digest
from pellucid_export.readiness.readers import read_graph
from pellucid_export.report import Row
from pellucid_export.request import PRECISIONS, Request
from pellucid_export.source import ExportSource

pytest.importorskip("coremltools", reason="Core ML packages need pellucid[coreml]")
pytest.importorskip("nncf", reason="OpenVINO files need pellucid[export]")

pytestmark = pytest.mark.slow  # torch traces graphs

FIXED: Size = (48, 64)
FLOAT_FLOOR = {"fp32": 100.0, "fp16": 55.0}
IMAGE_FLOOR = {"fp32": 75.0, "fp16": 55.0}


class Made:
    def __init__(self, out: Path, exporter: Exporter) -> None:
        self.out, self.exporter = out, exporter
        self.rows = {(r.format, r.precision, r.size): r for r in exporter.run()}

    def row(self, form: str, precision: str, size: str = "any") -> Row:
        return self.rows[form, precision, size]


def export(out: Path, image_io: bool, formats: str, sizes: tuple[Size | None, ...]) -> Made:
    source = ExportSource(small_student(), PROVENANCE, 1, small_pictures(), image_io)
    request = Request(tuple(formats.split()), PRECISIONS, out, sizes, image_io, max_drop=0.5)
    return Made(out, Exporter(source, request, lambda line: None))


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("float")
    return export(out, False, "onnx openvino darktable", (None,))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return export(tmp_path_factory.mktemp("image"), True, "onnx openvino coreml", (FIXED,))


def test_every_file_passes_its_gate(floats: Made, images: Made) -> None:
    assert len(floats.rows) == 3 + 3 + 2 and len(images.rows) == 3 + 3 + 5
    for made, floor in ((floats, FLOAT_FLOOR), (images, IMAGE_FLOOR)):
        for row in made.rows.values():
            assert row.made, row.refused
            assert row.parity_db is not None
            assert row.parity_db >= floor.get(row.precision, 20.0), row
            assert row.worst[1] <= 0.5
            assert (made.out / row.file).exists()
            assert row.sha256 == digest(made.out / row.file)
        assert not list(made.out.glob(".partial*"))


def test_names_follow_the_conventions(floats: Made, images: Made) -> None:
    held = {p.relative_to(floats.out).as_posix() for p in floats.out.rglob("*") if p.is_file()}
    assert held == {
        *(f"onnx/model{end}.onnx" for end in ("", "_fp16", "_int8")),
        *(
            f"openvino/openvino_model{e}.{x}"
            for e in ("", "_fp16", "_int8")
            for x in ("xml", "bin")
        ),
        *(f"darktable/denoise-pellucid-small{end}.dtmodel" for end in ("", "-fp16")),
        "darktable/versions.json",
    }
    assert images.row("onnx", "w8a8", "64x48").file == "onnx/model_int8_u8_64x48.onnx"
    assert (images.out / "coreml" / "allinone-small_image.mlpackage").is_dir()


def test_the_same_card_is_inside_every_file(floats: Made, images: Made) -> None:
    for made in (floats, images):
        expected = made.exporter.source.card
        for row in made.rows.values():
            told = describe(made.out / row.file)
            assert told["id"] == "allinone-small"
            assert told["weights sha256"] == expected["sha256_weights"]
            assert "px to each side" in render(told)
    held = json.loads(onnx_metadata(floats.out / "onnx/model_int8.onnx"))
    assert held == json.loads(json.dumps(floats.exporter.source.card))


def onnx_metadata(path: Path) -> str:
    return str({p.key: p.value for p in onnx.load(path).metadata_props}[KEY])


def test_inspect_tells_the_precision_of_layers(floats: Made, images: Made) -> None:
    def precision(made: Made, form: str, kind: str, size: str = "any") -> str:
        return str(describe(made.out / made.row(form, kind, size).file)["precision"])

    assert "weights fp16, activations fp16" in precision(floats, "onnx", "fp16")
    for made, size in ((floats, "any"), (images, "64x48")):
        for form in ("onnx", "openvino"):
            assert "weights int8, activations int8" in precision(made, form, "w8a8", size)
            assert "int8" not in precision(made, form, "fp32", size)
    assert "weights int8, activations int8" in precision(images, "coreml", "w8a8", "64x48")
    assert "weights int8, activations fp16" in precision(images, "coreml", "w8", "64x48")
    assert "weights palette, activations fp16" in precision(images, "coreml", "w6p", "64x48")


def test_what_measures_the_scene_stays_in_floats(floats: Made, images: Made) -> None:
    """In int8 it cost 9 dB on haze, which no spared layer gave back."""
    for made, form, size in (
        (floats, "onnx", "any"),
        (floats, "openvino", "any"),
        (images, "coreml", "64x48"),
    ):
        graph = read_graph(made.out / made.row(form, "w8a8", size).file, 48, 64)
        convolutions = [layer for layer in graph.layers if layer.op == "Conv"]
        scene = [layer for layer in convolutions if layer.weights <= 144]  # planes, Haar levels
        assert len(scene) == 4 and not any(layer.quantised for layer in scene)
        assert any(layer.quantised for layer in convolutions)


@pytest.mark.parametrize("size", [(1, 1), (33, 7), (7, 33), (48, 64), (50, 31)])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8a8"])
def test_any_size_runs_in_both_runtimes(floats: Made, size: Size, precision: str) -> None:
    picture = np.random.default_rng(0).random((1, 3, *size), np.float32)
    outputs = []
    for form in ("onnx", "openvino"):
        path = floats.out / floats.row(form, precision).file
        outputs.append(floats.exporter.makers[form].runner(path, None, 1)(picture))
        assert outputs[-1].shape == picture.shape
        assert outputs[-1].min() >= 0 and outputs[-1].max() <= 1
    assert np.abs(outputs[0] - outputs[1]).max() < (0.1 if precision == "w8a8" else 0.005)


def test_image_ports_are_bytes(images: Made) -> None:
    import openvino

    session = open_session(images.out / images.row("onnx", "fp32", "64x48").file)
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.type, taken.shape) == ("tensor(uint8)", [1, 48, 64, 3])
    assert (given.type, given.shape) == ("tensor(uint8)", [1, 48, 64, 3])
    model = openvino.Core().read_model(images.out / images.row("openvino", "fp32", "64x48").file)
    for port, name in ((model.input(0), "input"), (model.output(0), "output")):
        assert port.get_names() == {name}
        assert port.element_type == openvino.Type.u8 and list(port.shape) == [1, 48, 64, 3]


def test_the_runtime_opens_integer_and_half_files(floats: Made) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = Restorer(floats.out / "onnx" / "model.onnx", threads=1)(pixels).astype(int)
    for name, most in (("model_fp16.onnx", 1), ("model_int8.onnx", 12)):
        restore = Restorer(floats.out / "onnx" / name, threads=1)
        assert restore.card.tile_multiple == SMALL.multiple
        assert np.abs(restore(pixels).astype(int) - expected).max() <= most


def test_darktable_package_is_what_its_importer_reads(floats: Made) -> None:
    folder = floats.out / "darktable"
    listing = json.loads((folder / "versions.json").read_text())
    assert listing["schema"] == 1 and len(listing["models"]) == 2
    name = "denoise-pellucid-small"
    entry = listing["models"][name]
    path = folder / f"{name}.dtmodel"
    assert entry["sha256"] == digest(path) and entry["size"] == path.stat().st_size
    assert entry["task"] == "denoise" and entry["version"] == "1.0"
    with zipfile.ZipFile(path) as package:
        assert sorted(package.namelist()) == [f"{name}/config.json", f"{name}/model.onnx"]
        config = json.loads(package.read(f"{name}/config.json"))
        session = open_session(package.read(f"{name}/model.onnx"))
    assert config["id"] == name and config["backend"] == "onnx" and config["num_inputs"] == 1
    assert [i.name for i in session.get_inputs()] == ["input"]
    assert session.get_inputs()[0].type == "tensor(float)"
    assert onnx.load_from_string(zip_model(path)).opset_import[0].version <= 20


def zip_model(path: Path) -> bytes:
    with zipfile.ZipFile(path) as package:
        return package.read(f"{path.stem}/model.onnx")
