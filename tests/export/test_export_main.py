"""`python -m pellucid_export`: which files come out of which weights."""

import sys
from pathlib import Path

import pytest
import torch

from pellucid_export.__main__ import main
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.weights import Provenance, save_student


def files_of(weights: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["pellucid_export", str(weights), "-o", str(out)])
    assert main() == 0
    return sorted(path.name for path in out.iterdir())


def test_clips_give_the_file_for_frames_and_photos_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    photos, clips = tmp_path / "photos.safetensors", tmp_path / "clips.safetensors"
    save_student(photos, model, Provenance("pico", "test", 0))
    save_student(clips, model, Provenance("pico", "test", 0, clip_frames=4))
    assert files_of(clips, tmp_path / "a", monkeypatch) == ["allinone-pico-frames.onnx"]
    assert files_of(photos, tmp_path / "b", monkeypatch) == [
        "allinone-pico-frames.onnx",
        "allinone-pico.onnx",
    ]


def test_missing_weights_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "none.safetensors")
    monkeypatch.setattr(sys, "argv", ["pellucid_export", absent, "-o", str(tmp_path / "out")])
    assert main() == 2
    told = capsys.readouterr().err
    assert told.startswith("error:") and "none.safetensors" in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()
