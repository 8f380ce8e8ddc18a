"""pellucid ready: what it prints, its exit codes, and mistakes that end in one line."""

import json
from pathlib import Path

import pytest
from onnx_graphs import kernel, node, save_graph
from typer.testing import CliRunner

from pellucid_apps.cli import app
from pellucid_apps.export.ready import ReadyError, check
from pellucid_export.htp import emulator as htp

run = CliRunner().invoke


def convolution(path: Path, sides: tuple[int | str, int | str] = (16, 32)) -> Path:
    nodes = [node("Conv", "input w", "a", pads=[1] * 4), node("Relu", "a")]
    return save_graph(path, nodes, {"w": kernel(4, 3, 3, 3)}, sides)


def test_a_ready_file(tmp_path: Path) -> None:
    done = run(app, ["ready", str(convolution(tmp_path / "m.onnx"))])
    assert done.exit_code == 0, done.output
    for title in ("Apple Neural Engine", "Intel NPU", "Qualcomm HTP", "LiteRT / NNAPI"):
        assert f"{title}: 2 layers" in done.output
    assert "ESTIMATE Apple M1, 32x16, fp16" in done.output
    assert "none was measured here" in done.output


def test_an_unsupported_layer_gives_exit_code_3(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "m.onnx", [node("Erf")])
    assert run(app, ["ready", str(path), "--target", "htp"]).exit_code == 3
    assert run(app, ["ready", str(path), "--target", "ane,intel-npu"]).exit_code == 0


def test_free_sizes_need_a_size(tmp_path: Path) -> None:
    path = str(convolution(tmp_path / "m.onnx", ("height", "width")))
    without = run(app, ["ready", path])
    assert without.exit_code == 3
    assert "give one with --size WxH" in without.output
    for size in (["--size", "1280x720"], ["--shape", "720x1280"]):
        given = run(app, ["ready", path, *size, "--target", "intel-npu"])
        assert given.exit_code == 0, given.output
        assert "1280x720" in given.stdout
        assert "Apple" not in given.stdout
        assert ("old: write --size 1280x720" in given.stderr) == (size[0] == "--shape")


def test_json(tmp_path: Path) -> None:
    done = run(app, ["ready", str(convolution(tmp_path / "m.onnx")), "--target", "htp", "--json"])
    told = json.loads(done.output)
    assert [report["target"] for report in told["readiness"]] == ["htp"]
    assert {estimate["label"] for estimate in told["estimates"]} == {"ESTIMATE"}
    assert told["emulator"] is None


def test_mistakes(tmp_path: Path) -> None:
    path = convolution(tmp_path / "m.onnx")
    with pytest.raises(ReadyError, match="no such file"):
        check(tmp_path / "absent.onnx", "", None, False)
    with pytest.raises(ReadyError, match="fixed to 32x16, --size asks for 16x32"):
        check(path, "", (32, 16), False)


def test_a_refusal_by_the_emulator_is_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = convolution(tmp_path / "m.onnx")
    refused = htp.HTPReport(False, {}, {"Conv": 1}, None, "because")
    monkeypatch.setattr(htp, "check", lambda file: refused)
    done = run(app, ["ready", str(path), "--target", "ane", "--emulate"])
    assert done.exit_code == 3
    assert "refused (because)" in done.output
