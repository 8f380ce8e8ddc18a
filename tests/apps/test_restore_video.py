"""`pellucid restore` on videos, through the command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="videos need the extra `video`")

import clips  # noqa: E402
import onnx  # noqa: E402
import typer  # noqa: E402
from fakes import card, strided_model  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from pellucid import Restorer  # noqa: E402
from pellucid_apps.cli import app, main  # noqa: E402
from pellucid_apps.restore import videos as restore_video  # noqa: E402


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, ["restore", *map(str, words)])


def test_folder_of_photos_and_videos(tmp_path: Path, model_file: Path) -> None:
    (tmp_path / "in").mkdir()
    clips.write_clip(tmp_path / "in" / "a.mp4", [0, 512, 1024])
    cv2.imwrite(str(tmp_path / "in" / "b.png"), np.zeros((8, 8, 3), np.uint8))
    done = invoke(tmp_path / "in", "-o", tmp_path / "out", "-m", model_file, "--threads", 1)
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mp4", "b.png"]
    assert "64x48x3" in done.output and "2 restored, 0 failed" in done.output
    assert clips.frame_times(tmp_path / "out" / "a.mp4") == [k * 512 * clips.BASE for k in range(3)]


def test_part_codec_and_quality(tmp_path: Path, model_file: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4")
    words = ("-m", model_file, "--start", "0:00.2", "--end", "0.4")
    done = invoke(source, "-o", tmp_path / "b.mkv", *words, "--codec", "ffv1")
    assert done.exit_code == 0, done.output
    assert len(clips.frame_times(tmp_path / "b.mkv")) == 5
    done = invoke(source, "-o", tmp_path / "c.mp4", *words, "--crf", "99")
    assert done.exit_code == 1 and "goes from 0 to 51" in done.output
    assert not (tmp_path / "c.mp4").exists()


@pytest.mark.parametrize(("text", "value"), [("90", 90.0), ("1:30", 90.0), ("1:00:00.5", 3600.5)])
def test_times(text: str, value: float) -> None:
    assert restore_video.seconds(text) == value


@pytest.mark.parametrize("text", ["", "a", "1:2:3:4", "-1", "nan"])
def test_wrong_times(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="h:mm:ss"):
        restore_video.seconds(text)


def test_interrupted_says_what_is_kept(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source, calls = clips.write_clip(tmp_path / "a.mp4", list(range(0, 512 * 70, 512))), []
    real = Restorer.restore_pixels

    def stop_late(self: Restorer, *words: Any, **more: Any) -> None:
        calls.append(1)
        if len(calls) == 65:
            raise KeyboardInterrupt
        real(self, *words, **more)

    monkeypatch.setattr(Restorer, "restore_pixels", stop_late)
    command = ["restore", str(source), "-o", str(tmp_path / "b.mp4"), "-m", str(model_file)]
    monkeypatch.setattr(sys, "argv", ["pellucid", *command])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    told = capsys.readouterr().err
    assert "interrupted at 64 of 70 frames" in told and "b.mp4.partial" in told
    with pytest.raises(SystemExit) as finished:
        main()
    assert finished.value.code == 0
    assert len(calls) == 65 + 10  # the first 60 were kept
    assert len(clips.frame_times(tmp_path / "b.mp4")) == 70


def test_a_run_does_not_go_on_with_other_weights_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is the same, only the constants differ, as after more training."""
    model, source = strided_model({"pellucid.config": card()}), tmp_path / "a.mp4"
    onnx.save(model, tmp_path / "m.onnx")
    clips.write_clip(source, list(range(0, 512 * 70, 512)))
    real, calls = Restorer.restore_pixels, []

    def stop_late(self: Restorer, *words: Any, **more: Any) -> None:
        calls.append(1)
        if len(calls) == 65:
            raise KeyboardInterrupt
        real(self, *words, **more)

    monkeypatch.setattr(Restorer, "restore_pixels", stop_late)
    words = (source, "-o", tmp_path / "b.mp4", "-m", tmp_path / "m.onnx")
    assert "interrupted at 64" in str(invoke(*words).exception)
    kernel = numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(0.5 * kernel, "fine"))
    onnx.save(model, tmp_path / "m.onnx")
    done = invoke(*words)
    assert done.exit_code == 1 and "--overwrite" in done.output
    assert len(calls) == 65, "nothing of the other model's was restored"


def test_without_pyav_the_fix_is_named(tmp_path: Path, model_file: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", [0])
    (tmp_path / "no" / "av").mkdir(parents=True)
    (tmp_path / "no" / "av" / "__init__.py").write_text("raise ImportError('none')")
    path = os.pathsep.join([str(tmp_path / "no"), *sys.path])
    command = [sys.executable, "-m", "pellucid_apps", "restore", str(source), "-o"]
    done = subprocess.run(
        [*command, str(tmp_path / "b.mp4"), "-m", str(model_file)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip install 'pellucid[video]'" in done.stderr


def test_a_photo_named_as_a_video_and_frames_that_begin_as_a_photo(
    tmp_path: Path, model_file: Path
) -> None:
    (tmp_path / "in").mkdir()
    jpeg = cv2.imencode(".jpg", np.indices((16, 24)).sum(0).astype(np.uint8) * 6)[1].tobytes()
    (tmp_path / "in" / "photo.mp4").write_bytes(jpeg)
    (tmp_path / "in" / "camera.mjpeg").write_bytes(3 * jpeg)
    done = invoke(tmp_path / "in", "-o", tmp_path / "out", "-m", model_file, "--threads", 1)
    assert done.exit_code == 0, done.output
    out = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert out == ["camera.mkv", "photo.jpg"] and "24x16x3" in done.output
