"""`pellucid export --for-pellucid`: which files come out of which weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from pellucid_apps.cli import app
from pellucid_export.onnx import file as onnx_file
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.weights import Provenance, save_student

pytestmark = pytest.mark.slow  # torch traces graphs


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, words), "--for-pellucid"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "photos.safetensors"
    save_student(path, PlainUNet(PICO), Provenance("pico", "test", 0, "CC0-1.0"))
    return path


def test_photos_give_both_files(photos: Path, tmp_path: Path) -> None:
    done = invoke(photos, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    names = ["allinone-pico-frames.onnx", "allinone-pico.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert done.output.count("dB vs torch") == 2


def test_clips_give_the_file_for_frames_only(tmp_path: Path) -> None:
    torch.manual_seed(0)
    clips = tmp_path / "clips.safetensors"
    save_student(clips, PlainUNet(PICO), Provenance("pico", "test", 0, "CC0-1.0", clip_frames=4))
    assert invoke(clips, "-o", tmp_path / "out").exit_code == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["allinone-pico-frames.onnx"]


def test_a_file_that_disagrees_with_torch_is_not_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_parity_db", lambda data, restoration: 40.0)
    done = invoke(photos, "-o", tmp_path / "out")
    assert done.exit_code != 0 and "expected at least 100 dB" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("none.safetensors", "-o", "out"), "none.safetensors: no such file"),
        (("tiny", "-o", "out", "-f", "coreml"), "takes a model and -o"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(*words)
    assert done.exit_code != 0 and told in str(done.exception)
    assert not (tmp_path / "out").exists()
