"""What the export refuses, that it says why, and that it leaves nothing behind."""

import errno
import json
import os
import re
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from export_fakes import PROVENANCE, picture, small_pictures, small_student
from typer.testing import CliRunner

from pellucid import PellucidError
from pellucid_apps.cli import app
from pellucid_export import calibration, pipeline
from pellucid_export import request as asked
from pellucid_export.onnx.overflow import check_fp16_range
from pellucid_export.pipeline import Exporter
from pellucid_export.request import Request
from pellucid_export.restoration import Restoration
from pellucid_export.source import ExportSource
from pellucid_export.thresholds import ExportError, QualityError, parity_floor_db
from pellucid_export.weights import find_weights, open_student
from pellucid_student.weights import save_student

FIXED = (48, 64)


def exporter(
    out: Path, formats: str = "onnx", precisions: str = "fp32", drop: float = 0.5
) -> Exporter:
    source = ExportSource(small_student(), PROVENANCE, 1, small_pictures())
    request = Request(
        tuple(formats.split()), tuple(precisions.split()), out, (FIXED,), max_drop=drop
    )
    return Exporter(source, request, lambda line: None)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (asked.read_formats, "onx", "no format 'onx'; did you mean 'onnx'? choose from onnx, open"),
        (asked.read_formats, "onnx,dtmodel", "did you mean 'darktable'"),
        (asked.read_formats, "", "no format given; choose from"),
        (asked.read_precisions, "int8", "did you mean 'w8a8'"),
        (asked.read_precisions, "fp61", "did you mean 'fp16'"),
        (asked.read_ports, "images", "did you mean 'image'"),
        (asked.read_sizes, "720", "a size is WIDTHxHEIGHT such as 1280x720, got '720'"),
        (asked.read_sizes, "4x4", "its sides must be 8 to 16384"),
        (asked.read_sizes, " ", "--size is empty"),
    ],
)
def test_words_that_are_not_known(read: object, text: str, message: str) -> None:
    assert callable(read)
    with pytest.raises(PellucidError, match=re.escape(message)):
        read(text)


def test_words_that_are_known() -> None:
    assert asked.read_formats("coreml, onnx,onnx") == ("coreml", "onnx")
    assert asked.read_formats("all") == ("onnx", "openvino", "coreml", "darktable")
    assert asked.read_sizes("dynamic,1280x720") == (None, (720, 1280))
    assert asked.read_ports("image") and not asked.read_ports("float")


def test_combinations_that_cannot_be() -> None:
    with pytest.raises(ExportError, match="onnx cannot hold w6p; ask for -p fp32,fp16,w8a8"):
        exporter(Path("nowhere"), "onnx", "w6p")
    with pytest.raises(ExportError, match="darktable feeds float tiles"):
        exporter(Path("nowhere"), "darktable")  # of a fixed size
    left = Request(("onnx", "coreml"), ("fp32", "w8"), Path()).left_out()
    assert left == ["onnx w8: not made, onnx comes as fp32, fp16, w8a8"]


@pytest.mark.parametrize(
    ("form", "package", "line"),
    [
        ("openvino", "nncf", "pip install 'pellucid[export]'"),
        ("coreml", "coremltools", "pip install 'pellucid[coreml]'"),
    ],
)
def test_missing_package_is_told_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, package: str, line: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=re.escape(line)):
        exporter(tmp_path / "out", f"onnx {form}")
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match=r"is a file; -o takes a folder"):
        exporter(tmp_path / "file").run()
    with pytest.raises(ExportError, match=r"cannot write there \(Not a directory\).* -o"):
        exporter(tmp_path / "file" / "below").run()


@pytest.mark.slow
def test_full_disk_before_and_while_writing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_space(*names: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_space)
        with pytest.raises(ExportError, match="No space left on device"):
            exporter(out).run()
    assert [p for p in out.rglob("*") if p.is_file()] == []
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 1_000_000))
    with pytest.raises(ExportError, match=r"1 MB free, the export needs 5\d MB"):
        exporter(out).run()


@pytest.mark.slow
def test_parity_under_the_floor_is_a_row_and_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "parity_floor_db", lambda precision, image_io: 190.0)
    (row,) = exporter(tmp_path).run()
    assert re.search(r"agrees with torch to \d+\.\d dB, expected at least 190 dB", row.refused)
    assert not row.made and not row.recommended
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_integers_that_lose_too_much_name_task_and_layers(tmp_path: Path) -> None:
    (row,) = exporter(tmp_path, "onnx", "w8a8", drop=-9.0).run()
    told = r"loses .* dB on (rain|noise), --max-drop allows -9, even with \d of 10 layers"
    assert re.search(told, row.refused), row.refused
    assert not list(tmp_path.rglob("*.onnx"))


def test_fp16_overflow_names_the_first_layer() -> None:
    student = small_student()
    first, second = student.encoder[0][0].conv1, student.encoder[0][0].conv2  # type: ignore[index]
    with torch.no_grad():
        for values in (first.weight, first.bias):
            values *= 1e6
        second.weight *= 1e-6
    restoration = Restoration(student, 1)
    with pytest.raises(QualityError, match=r"overflows in layer encoder\.0\.0\.conv1: it reaches"):
        check_fp16_range(restoration, [picture(0)])
    assert check_fp16_range(Restoration(small_student(), 1), [picture(0)]) > 100


def test_floors() -> None:
    assert parity_floor_db("fp32", False) == 100 and parity_floor_db("fp16", False) == 55
    assert parity_floor_db("w8a8", True) is None


def test_core_ml_sizes_must_be_multiples(tmp_path: Path) -> None:
    from pellucid_export.coreml.package import enumerated

    with pytest.raises(
        ExportError, match="multiples of 16: instead of 1920x1080 ask for --size 1920x1088"
    ):
        enumerated(((1080, 1920),), 16)
    assert (720, 1280) in enumerated((None,), 16)


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), codes)


def test_calibration_refuses_evaluation_sets(tmp_path: Path) -> None:
    for kind in ("input", "target"):
        write_picture(tmp_path / "sets" / "rain" / kind / "a.png")
    (tmp_path / "sets" / "rain" / "set.json").write_text(json.dumps({"task": "derain"}))
    for folder in ("sets", "sets/rain", "sets/rain/input"):
        with pytest.raises(ExportError, match="holds the evaluation set 'rain'"):
            calibration.from_folder(tmp_path / folder, 4)
    (tmp_path / "sets" / "rain" / "set.json").unlink()  # pairs alone are anybody's photos
    found = calibration.from_folder(tmp_path / "sets", 4)
    assert [p.shape for p in found] == [(1, 3, 256, 256)] * 2


def test_calibration_folder_without_use(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no such folder"):
        calibration.from_folder(tmp_path / "none", 4)
    with pytest.raises(ExportError, match="no pictures in it"):
        calibration.from_folder(tmp_path, 4)
    (tmp_path / "broken.png").write_bytes(b"x")
    with pytest.raises(ExportError, match=r"calibration picture .*broken\.png"):
        calibration.from_folder(tmp_path, 4)


def test_weights_that_are_none(tmp_path: Path) -> None:
    assert find_weights("tiny").name == "tiny.safetensors"
    for name, message in (
        ("tny", "did you mean 'tiny'"),
        ("x.onnx", "a result, not a start"),
        ("dir/x.safetensors", "no such file; make one with"),
    ):
        with pytest.raises(ExportError, match=message):
            find_weights(name)
    (tmp_path / "x.safetensors").write_bytes(b"junk that is no header")
    with pytest.raises(ExportError, match=r"x\.safetensors"):
        open_student(tmp_path / "x.safetensors")


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["export", *map(str, words)])
    broken = done.exception is not None and not isinstance(done.exception, SystemExit)
    return done.exit_code, str(done.exception) if broken else done.output


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_student(path, small_student(), PROVENANCE)
    return path


@pytest.mark.slow
def test_command_writes_files_reports_and_snippets(weights: Path, tmp_path: Path) -> None:
    code, told = command(weights, "--size", "64x48", "--threads", "1", "-o", tmp_path)
    assert code == 0, told
    held = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert held == {
        "onnx/model_64x48.onnx", "export.json", "export.md", "export.html",
        "snippets/restore.kt", "snippets/restore_onnx.cpp", "snippets/restore.mjs",
    }  # fmt: skip
    assert "pellucid inspect" in told and "pellucid restore" in told
    report = json.loads((tmp_path / "export.json").read_text())
    assert report["files"][0]["parity_db"] > 100 and report["model"]["id"] == "allinone-small"


@pytest.mark.slow
def test_command_ends_with_3_if_a_gate_failed(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "parity_floor_db", lambda precision, image_io: 190.0)
    code, told = command(weights, "--size", "64x48", "--json", "-o", tmp_path)
    assert code == 3
    assert '"made": false' in told
    assert not list(tmp_path.rglob("*.onnx"))
    assert "refused" in (tmp_path / "export.md").read_text()
