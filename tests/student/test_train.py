"""Training a student end to end, in miniature: watched, resumed, kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid import Photo
from pellucid_student.train import main
from pellucid_student.watch import Watch, restore_whole
from pellucid_student.weights import load_student
from pellucid_teacher.training.checkpoint import averaged_weights


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train/clean", "dev/set/input", "dev/set/target"):
        (tmp_path / part).mkdir(parents=True)
        pixels = rng.integers(0, 255, (170, 180, 3)).astype(np.uint8)
        Photo(pixels, {}).save(tmp_path / part / "a.png")
    return tmp_path


def test_train_watch_resume_keep(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", data / "train", "--out", data / "run", "--preset", "pico"]
    arguments += ["--crop", 32, "--workers", 0, "--steps", 2]
    arguments += ["--dev", data / "dev", "--dev-every", 1, "--dataset", "noise (own)"]
    assert main([str(a) for a in arguments]) == 0
    told = capsys.readouterr().out
    assert told.count("dev   set ") == 2
    student, provenance = load_student(data / "run" / "student.safetensors")
    assert provenance.steps == 2 and provenance.datasets == ["noise (own)"]
    average, step = averaged_weights(data / "run")
    assert step == 2
    assert torch.equal(student.down[0].weight, average["down.0.weight"])
    # Asked again, there is nothing left to train; the weights are written again.
    assert main([str(a) for a in arguments]) == 0
    assert "dev" not in capsys.readouterr().out


def test_mistakes_end_in_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data), "--out", str(data / "run")]) == 2
    assert "put clean photos there" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no checkpoint yet"):
        averaged_weights(data)


def test_watch_measures_what_it_says(data: Path) -> None:
    class Untouched(torch.nn.Module):
        class config:  # noqa: N801
            multiple = 16

        def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(arguments[0])

    watch = Watch.load(data / "dev", pairs=1)
    line = watch.line(Untouched())  # type: ignore[arg-type]
    was, now = line.split()[1].split("->")
    assert float(was) == pytest.approx(float(now), abs=0.06)
    picture = watch.sets[0][1][0].degraded[:33, :21]
    same = restore_whole(Untouched(), picture, 3)  # type: ignore[arg-type]
    assert same.shape == (33, 21, 3) and np.abs(same - picture).max() < 1e-6


def test_header_is_json(data: Path) -> None:
    main(
        [
            "--data",
            str(data / "train"),
            "--out",
            str(data / "r"),
            "--preset",
            "pico",
            "--steps",
            "1",
            "--crop",
            "32",
            "--workers",
            "0",
        ]
    )
    raw = (data / "r" / "student.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])["__metadata__"]["pellucid.student"]
    assert json.loads(header)["provenance"]["preset"] == "pico"
