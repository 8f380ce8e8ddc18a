"""`pellucid train student --teacher` end to end, in miniature."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pellucid import Photo
from pellucid_apps.cli import app
from pellucid_student.classifier import TaskClassifier
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.router import save_router
from pellucid_student.specialists import load_specialists
from pellucid_student.weights import Provenance, load_student, save_student


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "train").mkdir()
    pixels = rng.integers(0, 255, (170, 180, 3)).astype(np.uint8)
    Photo(pixels, {}).save(tmp_path / "train" / "a.png")
    save_student(
        tmp_path / "wide.safetensors", PlainUNet(PICO), Provenance("wide", "none", 0, "CC0-1.0")
    )
    return tmp_path


@pytest.mark.slow
def test_a_student_learns_from_a_student(data: Path) -> None:
    arguments = ["train", "student", "--data", data / "train", "-o", data / "run"]
    arguments += ["--preset", "pico", "--crop", 32, "--workers", 0, "--steps", 2]
    arguments += ["--teacher", data / "wide.safetensors", "--start", data / "wide.safetensors"]
    arguments += ["--weights-licence", "CC-BY-4.0"]
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    _, told = load_student(data / "run" / "student.safetensors")
    assert told.teacher == "student wide" and told.steps == 2
    assert told.license == "CC-BY-4.0"


def test_terms_that_are_gone_and_teachers_that_are_missing_are_told(data: Path) -> None:
    arguments = ["train", "student", "--data", str(data / "train"), "-o", str(data / "run")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and "--weights-licence" in done.output
    arguments += ["--weights-licence", "CC0-1.0"]
    done = CliRunner().invoke(app, [*arguments, "--ingredient", "features"])
    assert done.exit_code == 2 and "perceptual" in done.output
    done = CliRunner().invoke(app, [*arguments, "--teacher", str(data / "absent")])
    assert "no such weights file" in str(done.exception)
    assert not (data / "run").exists()


@pytest.mark.slow
def test_a_student_is_pruned_and_finetuned(data: Path) -> None:
    pytest.importorskip("torch_pruning", reason="pip install 'pellucid[prune]'")
    arguments = ["prune", data / "wide.safetensors", "--macs-ratio", 0.8, "-o", data / "pruned"]
    arguments += ["--data", data / "train", "--finetune-minutes", 0.05, "--workers", 0]
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    pruned, _ = load_student(data / "pruned" / "pruned.safetensors")
    tuned, told = load_student(data / "pruned" / "student.safetensors")
    assert tuned.config == pruned.config != PICO
    assert told.preset == "wide-pruned" and told.teacher is not None
    done = CliRunner().invoke(
        app, ["prune", str(data / "wide.safetensors"), "-o", "x", "--finetune-minutes", "1"]
    )
    assert "add --data FOLDER" in str(done.exception)


@pytest.mark.slow
def test_specialists_learn_who_is_asked(data: Path) -> None:
    arguments = ["train", "router", str(data), "--data", str(data / "train")]
    arguments += ["--samples", "14", "--crop", "32", "--workers", "0"]
    arguments += ["--weights-licence", "CC0-1.0"]
    done = CliRunner().invoke(app, arguments)
    assert "general.safetensors" in str(done.exception)
    (data / "wide.safetensors").rename(data / "general.safetensors")
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and "nats" in done.output
    router = load_specialists(data).router
    assert router is not None and bool(router.layer3.weight.any())


@pytest.mark.slow
def test_a_router_of_another_general_network_is_replaced(data: Path) -> None:
    (data / "wide.safetensors").rename(data / "general.safetensors")
    save_router(data / "router.safetensors", TaskClassifier(8, inputs=9), "CC0-1.0")
    with pytest.raises(ValueError, match="pellucid train router"):
        load_specialists(data)
    arguments = ["train", "router", str(data), "--data", str(data / "train")]
    arguments += ["--samples", "7", "--crop", "32", "--workers", "0"]
    arguments += ["--weights-licence", "CC0-1.0"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and load_specialists(data).router is not None
