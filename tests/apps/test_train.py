"""`pellucid train` end to end, in miniature: watched, resumed, kept, evaluated."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pellucid import Enlarger, Photo
from pellucid_apps.cli import app
from pellucid_apps.evaluate.models import open_model
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.weights import (
    Provenance,
    load_any_student,
    load_student,
    save_student,
)
from pellucid_teacher.training.checkpoint import averaged_weights
from pellucid_teacher.weights import load_teacher

LICENCE = ("--weights-licence", "CC0-1.0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train/clean", "dev/set/input", "dev/set/target"):
        (tmp_path / part).mkdir(parents=True)
        pixels = rng.integers(0, 255, (170, 180, 3)).astype(np.uint8)
        Photo(pixels, {}).save(tmp_path / part / "a.png")
    return tmp_path


def pellucid(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_an_estimator_is_learnt_anew_and_the_rest_stays(data: Path) -> None:
    torch.manual_seed(0)
    given = PlainUNet(PICO)
    save_student(data / "w.safetensors", given, Provenance("pico", "none", 0, "CC0-1.0"))
    for name in "bcdefg":  # some of them are not held out
        (data / "train/clean" / f"{name}.png").write_bytes(
            (data / "train/clean/a.png").read_bytes()
        )
    arguments = ["train", "estimator", data / "w.safetensors", "--data", data / "train"]
    said = pellucid(
        *arguments, "-o", data / "run", "--minutes", 0.05, "--workers", 0, "--no-measure"
    )
    assert f"wrote {data / 'run' / 'student.safetensors'}" in said
    student, provenance = load_student(data / "run" / "student.safetensors")
    assert provenance.recipe.endswith("of its estimator alone")
    assert torch.equal(student.state_dict()["code.weight"], given.state_dict()["code.weight"])


@pytest.mark.slow
def test_student_is_watched_resumed_and_kept(data: Path) -> None:
    arguments = ["train", "student", *LICENCE, "--data", data / "train", "-o", data / "run"]
    arguments += ["--preset", "pico", "--crop", 32, "--workers", 0, "--steps", 2]
    arguments += ["--dev", data / "dev", "--dev-every", 1, "--dataset", "noise (own)"]
    arguments += ["--lr", 2e-4, "--share", "blur=0.25", "--seed", 5]
    assert pellucid(*arguments).count("dev  set ") == 2
    kept_file = data / "run" / "student.safetensors"
    student, provenance = load_student(kept_file)
    assert "Adam 0.0002" in provenance.recipe and "blur 0.25" in provenance.recipe
    assert provenance.steps == 2 and provenance.datasets == ["noise (own)"]
    average, step = averaged_weights(data / "run")
    assert step == 2 and torch.equal(
        student.state_dict()["down.0.weight"], average["down.0.weight"]
    )
    assert list((data / "run" / "tensorboard").iterdir())
    # The weights themselves can be measured, at any size.
    restore = open_model(str(kept_file), [2], None).runs[0][1]
    assert restore is not None
    assert restore(np.full((21, 33, 3), 0.5, np.float32)).shape == (21, 33, 3)
    # A new run begins where these weights end: its first restoration is theirs.
    again = [*arguments, "-o", data / "next", "--start", kept_file]
    pellucid(*[str(a) for a in again])
    _, longer = load_student(data / "next" / "student.safetensors")
    assert longer.steps == 4 and longer.recipe.startswith(f"{provenance.recipe}; then 2 steps: ")
    assert longer.datasets == ["noise (own)"]
    first, _ = averaged_weights(data / "next")
    assert torch.allclose(first["stem.weight"], student.state_dict()["stem.weight"], atol=1e-2)
    # Asked again, there is nothing left to train; the weights are written again.
    assert "dev" not in pellucid(*arguments)


@pytest.mark.slow
def test_a_student_learns_to_enlarge(data: Path) -> None:
    """Watched on sets of its own scale alone; its weights are exported, measured, and enlarge."""
    large = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    for part, pixels in (("input", large[::4, ::4]), ("target", large)):
        (data / "dev" / "set-x4" / part).mkdir(parents=True)
        Photo(np.ascontiguousarray(pixels), {}).save(data / "dev" / "set-x4" / part / "x.png")
    (data / "dev" / "set-x4" / "set.json").write_text('{"task": "sr-x4", "protocol": "luma"}')
    arguments = ["train", "student", *LICENCE, "--data", data / "train", "-o", data / "run"]
    arguments += ["--preset", "sr4", "--crop", 32, "--batch", 2, "--workers", 0, "--steps", 2]
    told = pellucid(*arguments, "--dev", data / "dev", "--dev-every", 2)
    assert "dev  set-x4 " in told and "dev  set " not in told
    kept = data / "run" / "student.safetensors"
    student, provenance = load_any_student(kept)
    assert provenance.recipe.startswith("ground truth only, bicubic, batch 2 of 32 px")
    restore = open_model(str(kept), [1], None).runs[0][1]
    assert restore is not None and restore(np.zeros((5, 7, 3), np.float32)).shape == (20, 28, 3)
    pellucid("export", kept, "-o", data / "made", "--for-pellucid")
    assert Enlarger(data / "made" / "enlarge-sr4.onnx")(large[:9, :8]).shape == (36, 32, 3)
    refused = CliRunner().invoke(app, [*map(str, arguments), "--share", "rain=1"])
    assert refused.exit_code == 2 and "sr4 takes no --clips, --share" in refused.output
    nothing = CliRunner().invoke(app, [*map(str, arguments), "--dev", str(data / "dev" / "set")])
    assert "no set with targets 4 times as large" in str(nothing.exception)


@pytest.mark.slow
def test_student_learns_from_clips(data: Path) -> None:
    arguments = ["train", "student", *LICENCE, "--data", data / "train", "-o", data / "run"]
    arguments += ["--preset", "pico", "--crop", 32, "--workers", 0, "--steps", 2]
    pellucid(*arguments, "--clips", 3)
    _, provenance = load_student(data / "run" / "student.safetensors")
    assert provenance.clip_frames == 3 and "clips of 3 frames" in provenance.recipe
    refused = CliRunner().invoke(app, [*[str(a) for a in arguments], "--clips", "1"])
    assert refused.exit_code == 2 and "at least 2 frames" in refused.output


def test_teacher_is_trained_kept_and_runs(data: Path) -> None:
    arguments = ["train", "teacher", "--data", data / "train", "-o", data / "run"]
    arguments += ["--recipe", "published", "--crop", 32, "--batch", 1, "--accumulate", 2]
    pellucid(*arguments, "--workers", 0, "--steps", 1, "--weights-licence", "CC0-1.0")
    system = load_teacher(data / "run")
    assert system.header()["start_noise"] == 0.1
    average, _ = averaged_weights(data / "run")
    head = average["head.weight"].bfloat16().float()
    assert torch.equal(system.network.state_dict()["head.weight"], head)
    subject = open_model(str(data / "run"), [3, 1], None, start_noise=1.0)
    assert "start noise 1" in subject.label and [steps for steps, _ in subject.runs] == [3, 1]
    restore = subject.runs[0][1]
    assert restore is not None
    assert restore(np.full((21, 33, 3), 0.5, np.float32)).shape == (21, 33, 3)


@pytest.mark.parametrize(
    "system",
    [*(pytest.param(s, marks=pytest.mark.slow) for s in ("rddm", "resshift")), "toy_system:KIND"],
)
def test_any_system_is_trained_watched_kept_measured_and_distilled(data: Path, system: str) -> None:
    arguments = ["train", "teacher", system, "--data", data / "train", "-o", data / "run"]
    arguments += ["--preset", "small", "--crop", 32, "--batch", 1, "--workers", 0, "--steps", 1]
    arguments += ["--dev", data / "dev", "--dev-every", 1, "--weights-licence", "CC0-1.0"]
    assert "dev  set " in pellucid(*arguments)
    own = ["--system", system] if ":" in system else []
    measured = pellucid("eval", "-m", data / "run", "--data", data / "dev", "--steps", 4, *own)
    assert "teacher run" in measured and "set-dev" in measured
    arguments = ["train", "student", *LICENCE, "--data", data / "train", "-o", data / "student"]
    arguments += ["--preset", "pico", "--crop", 32, "--workers", 0, "--steps", 1]
    pellucid(*arguments, "--teacher", data / "run", *own)
    _, provenance = load_student(data / "student" / "student.safetensors")
    assert provenance.teacher == "teacher run"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["resshift sr4", "resshift face", "resshift inpaint"])
def test_a_task_with_samples_of_its_own_is_measured_on_photos_kept_out(
    data: Path, task: str
) -> None:
    """Its results are larger than what is given, or what is given has a mask."""
    system, preset = task.split()
    for number in range(20):
        (data / f"train/clean/{number}.png").write_bytes((data / "train/clean/a.png").read_bytes())
    arguments = ["train", "teacher", system, "--preset", preset, "--data", data / "train"]
    arguments += ["-o", data / "run", "--crop", 64, "--batch", 1, "--workers", 0, "--steps", 1]
    given, start, _ = re.findall(
        r"crops ([\d.]+) -> ([\d.]+) -> ([\d.]+)", pellucid(*arguments, *LICENCE)
    )[0]
    assert start == given or preset == "inpaint", "an untrained enlarger is bicubic"


def test_mistakes_are_told(data: Path) -> None:
    (data / "empty").mkdir()
    arguments = ["train", "student", *LICENCE, "--data", str(data / "empty"), "-o", str(data / "r")]
    done = CliRunner().invoke(app, arguments)
    assert "put clean photos there" in str(done.exception)
    arguments = ["train", "student", *LICENCE, "--data", str(data), "-o", "r", "--preset", "huge"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and "tiny" in done.output
    done = CliRunner().invoke(app, [*arguments[:-2], "--share", "fog=1"])
    assert done.exit_code == 2 and "lowlight" in done.output
    teacher = ["train", "teacher", "gan", "--data", str(data), "-o", "r"]
    done = CliRunner().invoke(app, [*teacher, *LICENCE])
    assert done.exit_code == 2 and "resshift" in done.output
    done = CliRunner().invoke(app, teacher)
    assert done.exit_code == 2 and "--weights-licence" in done.output
    with pytest.raises(ValueError, match="no checkpoint yet"):
        averaged_weights(data)


def test_a_lost_part_of_a_teacher_is_noticed(data: Path) -> None:
    (data / "teacher-01-of-02.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="1 of 2 parts"):
        load_teacher(data)
    with pytest.raises(ValueError, match="train a teacher first"):
        load_teacher(data / "train")


@pytest.mark.slow
def test_an_estimator_is_kept_from_the_start_weights_or_learnt_anew(data: Path) -> None:
    arguments = [
        "train",
        "student",
        *LICENCE,
        "--data",
        data / "train",
        "--preset",
        "pico",
        "--crop",
        32,
    ]
    arguments += ["--workers", 0, "--steps", 2]
    pellucid(*arguments, "-o", data / "run")
    began = data / "run" / "student.safetensors"
    further = [*arguments, "--start", began, "--seed", 5]
    pellucid(*further, "-o", data / "kept")
    pellucid(*further, "-o", data / "anew", "--new-estimator")
    first, kept, anew = (
        load_student(data / run / "student.safetensors") for run in ("run", "kept", "anew")
    )
    layers = [s.get_parameter("estimator.out.weight") for s, _ in (first, kept, anew)]
    assert layers[0].any() and torch.equal(layers[0], layers[1])
    assert layers[2].any() and not torch.equal(layers[0], layers[2])
    assert "estimator trained anew" in anew[1].recipe and "anew" not in kept[1].recipe
