"""`pellucid inspect` and `pellucid doctor`."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pellucid import ModelError
from pellucid.degradations import DEGRADATIONS
from pellucid.restorer import find_model
from pellucid.scene import SCENE_SIZE
from pellucid_apps.doctor import command as doctor
from pellucid_apps.inspect.command import describe, render


def test_inspect_tells_a_bundled_file_from_end_to_end() -> None:
    path = find_model("tiny")
    told = describe(path)
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["inputs"] == ["input tensor(float) [1, 3, 'height', 'width']"]
    assert told["optional inputs"] == [f"scene tensor(float) [1, {SCENE_SIZE + len(DEGRADATIONS)}]"]
    assert told["task"] == "allinone" and told["output"] == "as large as the input"
    assert told["steps"] == 1 and str(told["license"]).startswith("Apache-2.0")
    text = render(told)
    assert "allinone-tiny" in text and "BSDS500" in text and "1280x720" in text


def test_inspect_of_foreign_and_broken_files(
    write_model: Callable[[str, dict[str, str]], Path], tmp_path: Path
) -> None:
    assert "not written by pellucid" in render(describe(write_model("foreign2.onnx", {})))
    (tmp_path / "broken.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="not a model"):
        describe(tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match="no such"):
        describe(tmp_path / "none.onnx")


def test_doctor_is_content_here_and_says_what_it_tried() -> None:
    lines: list[str] = []
    assert doctor.run(lines.append)
    assert lines[-1] == "all good"
    assert any("a photo was read, restored and written" in line for line in lines)


def test_doctor_fails_with_a_fix_when_the_model_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pellucid.bundled.MODELS", tmp_path)
    lines: list[str] = []
    assert not doctor.run(lines.append)
    assert any(line.startswith("FAIL") and "pip install" in line for line in lines)
