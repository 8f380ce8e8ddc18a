"""`pellucid train plan`: rehearsed at toy size, and what becomes of failures, without training."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pellucid import PellucidError, Photo
from pellucid_apps.cli import app
from pellucid_apps.train import plan as train_plan
from pellucid_apps.train.plan import REAL, TOY, TRAININGS, Plan, run_plan
from pellucid_student.specialists import load_specialists


def pack_of(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "train" / "clean").mkdir(parents=True)
    for number in range(3):
        pixels = rng.integers(0, 255, (170, 180, 3)).astype(np.uint8)
        Photo(pixels, {}).save(tmp_path / "train" / "clean" / f"{number}.jpg")
    given = ["train", "plan", "--data", str(tmp_path / "train"), "-o", str(tmp_path / "plan")]
    given += ["--weights-licence", "CC0-1.0"]
    done = CliRunner().invoke(app, [*given, "--pack"])
    assert done.exit_code == 0 and "3 samples" in done.output, done.output
    return tmp_path / "plan"


@pytest.mark.slow
def test_the_rehearsal_makes_a_teacher(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = pack_of(tmp_path)
    plan = Plan(str(out / "pack"), out, 25, TOY, workers=0, licence="CC0-1.0")
    lines = list(run_plan(plan))
    assert [line.partition(":")[0] for line in lines] == [t.name for t in TRAININGS] + ["next"]
    teacher = load_specialists(out / "teacher")
    assert set(teacher.specialists) == {"noise", "rain", "haze"} and teacher.router is not None
    assert "Traceback" not in capfd.readouterr().err


def test_the_real_plan_fits_its_time_and_starts_each_copy_from_the_general_network(
    tmp_path: Path,
) -> None:
    out = pack_of(tmp_path)
    written = json.loads((out / "plan.json").read_text())
    assert sum(t["minutes"] for t in written["trainings"]) < 25
    assert sum(t.share for t in TRAININGS) == pytest.approx(1.0)
    general, noise = (written["trainings"][place]["command"] for place in (0, 1))
    assert "--bf16" in general and "--compile" in general and "--start" not in general
    assert noise[noise.index("--start") + 1] == str(out / "general" / "student.safetensors")
    assert "noise=1" in noise and "rain=0" in noise
    size = sum(path.stat().st_size for path in (out / "pack").iterdir())
    assert size < 64 * 2**20


def test_a_batch_too_large_is_halved_and_what_is_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, int]] = []
    interrupted = {"at": "rain"}

    def call(arguments: list[str]) -> int:
        if arguments[1] == "router":
            called.append(("router", 0))
            return 0
        name = Path(arguments[arguments.index("-o") + 1]).name
        batch = int(arguments[arguments.index("--batch") + 1])
        called.append((name, batch))
        if name == interrupted["at"]:
            raise KeyboardInterrupt
        if batch > 32:
            return 1  # out of memory
        weights = tmp_path / name / "student.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"weights")
        return 0

    monkeypatch.setattr(train_plan, "_call", call)
    plan = Plan("data", tmp_path, 25, REAL, workers=0, licence="CC0-1.0")
    with pytest.raises(KeyboardInterrupt):
        list(run_plan(plan))
    tried = [128, 64, 32]
    assert called == [(n, b) for n in ("general", "noise") for b in tried] + [("rain", 128)]
    called.clear()
    interrupted["at"] = ""
    list(run_plan(plan))
    assert called == [(n, b) for n in ("rain", "haze") for b in tried] + [("router", 0)]


def test_a_training_that_fails_ends_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_plan, "_call", lambda _: 1)
    with pytest.raises(PellucidError, match="'general' failed"):
        list(run_plan(Plan("data", tmp_path, 25, REAL, workers=0, licence="CC0-1.0")))


def test_an_interrupted_training_interrupts_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 130)
    monkeypatch.setattr(subprocess, "run", lambda _: done)
    with pytest.raises(KeyboardInterrupt):
        train_plan._call([])
