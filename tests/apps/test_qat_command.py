"""`pellucid qat` in miniature: fine-tuned, guarded, written, run by the runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from pellucid import PellucidError, Photo, Restorer
from pellucid_apps.cli import app
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.weights import Provenance, save_student


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "train" / "clean").mkdir(parents=True)
    for name in ("a", "b", "c"):
        pixels = rng.integers(0, 255, (170, 180, 3)).astype(np.uint8)
        Photo(pixels, {}).save(tmp_path / "train" / "clean" / f"{name}.png")
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    save_student(tmp_path / "w.safetensors", model, Provenance("pico", "drawn", 7, "CC0-1.0"))
    return tmp_path


def run(data: Path, *more: str) -> str:
    command = ["qat", str(data / "w.safetensors"), "--data", str(data / "train")]
    command += ["-o", str(data / "run"), "--steps", "2", "--crop", "32", "--workers", "0"]
    done = CliRunner().invoke(app, [*command, *more])
    if isinstance(done.exception, PellucidError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_an_int8_file_comes_out_runs_and_keeps_what_costs_too_much_in_float(data: Path) -> None:
    def eight_bit_ops() -> int:
        nodes = onnx.load(data / "run" / "model_qat.onnx").graph.node
        return [node.op_type for node in nodes].count("QuantizeLinear")

    told = run(data, "--max-drop", "100")
    assert "stays in float" not in told and "dB from torch" in told
    all_of_them = eight_bit_ops()
    assert all_of_them >= 20
    restorer = Restorer(data / "run" / "model_qat.onnx", threads=1)
    assert restorer.card.id == "allinone-pico"
    picture = np.random.default_rng(1).random((40, 52, 3)).astype(np.float32)
    assert restorer(picture).shape == picture.shape
    # The same run again has nothing left to train; only the guard is stricter.
    told = run(data, "--max-drop", "0")
    assert told.count("stays in float") >= 1 and 0 < eight_bit_ops() < all_of_them


def test_mistakes_are_told(data: Path) -> None:
    with pytest.raises(PellucidError, match="no bundled weights named"):
        CliRunner().invoke(
            app,
            ["qat", "gone", "--data", str(data / "train"), "-o", str(data / "run")],
            catch_exceptions=False,
        )
