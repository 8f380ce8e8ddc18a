"""One path for students, alone and with a teacher: runs in miniature, resumed exactly."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid_student.frozen_teacher import FrozenTeacher, load_frozen_teacher
from pellucid_student.losses import Losses
from pellucid_student.plain_unet import PlainUNet, PlainUNetConfig
from pellucid_student.train import RunConfig, keep_student, kept_network, train_student
from pellucid_student.weights import Provenance, load_student, save_student
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.networks.diffuir_unet import DiffUIRConfig
from pellucid_teacher.systems.diffuir import DiffUIR, DiffUIROptions
from pellucid_teacher.training.loop import TrainConfig
from pellucid_teacher.weights import save_teacher

SMALL = PlainUNetConfig((16, 16), (1, 1), (1,), code_width=8)
WIDE = PlainUNetConfig((32, 16), (1, 1), (1,), code_width=8)
CONFIG = RunConfig(
    SMALL,
    losses=Losses(teacher_share=0.7),
    train=TrainConfig(steps=8, batch_size=2, workers=0, warmup=1, fast="code|curve", save_every=5),
    crop=32,
)


@pytest.fixture
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    return Corpus([rng.integers(0, 255, (170, 180, 3)).astype(np.uint8) for _ in range(2)])


@pytest.fixture
def teacher(tmp_path: Path) -> FrozenTeacher:
    path = tmp_path / "wide.safetensors"
    torch.manual_seed(1)
    save_student(path, PlainUNet(WIDE), Provenance("wide", "none", 0, "CC0-1.0"))
    return load_frozen_teacher(path)


@pytest.mark.parametrize("taught", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_killed_run_goes_on_alike(
    corpus: Corpus, tmp_path: Path, teacher: FrozenTeacher, taught: bool
) -> None:
    asked = teacher if taught else None

    def run(name: str, steps: int) -> list[float]:
        reports = train_student(CONFIG, corpus, tmp_path / name, teacher=asked)
        return [report.loss for report in islice(reports, steps)]

    whole = run("whole", 99)
    assert len(whole) == 8
    # Killed in step 7 with a checkpoint of step 5, where the teacher's weight has changed.
    assert run("killed", 6)[:5] + run("killed", 99) == pytest.approx(whole, rel=1e-5)
    network, step = kept_network(CONFIG, tmp_path / "whole")
    assert step == 8 and not torch.equal(network.head.weight, PlainUNet(SMALL).head.weight)


def test_what_is_kept_says_how_it_was_made_and_under_which_licence(
    corpus: Corpus, tmp_path: Path, teacher: FrozenTeacher
) -> None:
    config = replace(CONFIG, train=replace(CONFIG.train, steps=1))
    list(train_student(config, corpus, tmp_path / "run", teacher=teacher))
    path = keep_student(config, tmp_path / "run", "small", ["mine"], "CC-BY-4.0", teacher)
    _, told = load_student(path)
    assert (told.license, told.teacher, told.datasets) == ("CC-BY-4.0", "student wide", ["mine"])
    assert told.recipe.startswith("teacher and ground truth, photos, 0.3 of the batches")


def test_clips_are_learnt_without_a_teacher(
    corpus: Corpus, tmp_path: Path, teacher: FrozenTeacher
) -> None:
    config = replace(CONFIG, clip_frames=2)
    with pytest.raises(ValueError, match="without a teacher"):
        next(train_student(config, corpus, tmp_path, teacher=teacher))


def test_a_teachers_folder_is_a_frozen_teacher_and_answers_alike(tmp_path: Path) -> None:
    torch.manual_seed(1)
    system = DiffUIR(DiffUIROptions(DiffUIRConfig(8, (1, 1, 1, 1)), start_noise=0.1, steps=2))
    for parameter in system.network.parameters():  # untrained, it gives back what it is given
        torch.nn.init.normal_(parameter, std=0.2)
    save_teacher(tmp_path, system, 1, [], "CC0-1.0")
    told = load_frozen_teacher(tmp_path)
    image = 2 * torch.rand(2, 3, 16, 16) - 1
    assert torch.equal(told.restore(image), told.restore(image))
    once = load_frozen_teacher(tmp_path, steps=1)
    assert str(once) == f"teacher {tmp_path.name}, 1 steps"
    assert not torch.equal(once.restore(image), told.restore(image))
    with pytest.raises(ValueError, match="no such weights file"):
        load_frozen_teacher(tmp_path / "absent.safetensors")
