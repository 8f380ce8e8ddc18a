"""The diagnosis learns what it is told, folds its scaling, and stays frozen in the student."""

import math

import numpy as np
import pytest
import torch

from pellucid_student.diagnosis import Diagnosis, train_diagnosis
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.scene import SCENE_SIZE, measure_scene
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.synthesis import TASKS, Synthesis


@pytest.fixture(scope="module")
def synthesis() -> Synthesis:
    rows, columns = np.mgrid[:96, :96]
    waves = [
        128 + 90 * np.sin(rows / (3.0 + n))[..., None] * np.cos(columns / (2.0 + n))[..., None]
        for n in range(4)
    ]
    photos = [np.repeat(np.rint(wave), 3, axis=2).astype(np.uint8) for wave in waves]
    return Synthesis(Corpus(photos), 48)


def test_probabilities_sum_to_one() -> None:
    torch.manual_seed(0)
    told = Diagnosis(16)(torch.rand(5, SCENE_SIZE))
    assert told.shape == (5, len(TASKS))
    assert torch.allclose(told.sum(dim=1), torch.ones(5)) and (told > 0).all()


@pytest.mark.slow
def test_it_tells_degradations_of_known_photos_apart(synthesis: Synthesis) -> None:
    torch.manual_seed(0)
    diagnosis = Diagnosis(32)
    loss = train_diagnosis(diagnosis, synthesis, seed=3, samples=400, workers=0)
    assert loss < 0.8 * math.log(len(TASKS))
    assert not any(p.requires_grad for p in diagnosis.parameters())
    right = 0
    for index in range(40):  # the folded layer works on scene codes as they come
        rng = np.random.default_rng([9, index])
        task = ("noise", "haze")[index % 2]
        degraded, _ = synthesis.draw(task, rng)
        code = measure_scene(torch.from_numpy(degraded).permute(2, 0, 1)[None])
        right += TASKS[int(diagnosis(code).argmax())] == task
    assert right >= 26


@pytest.mark.slow
def test_training_it_again_gives_the_same(synthesis: Synthesis) -> None:
    twice = []
    for _ in range(2):
        torch.manual_seed(0)
        diagnosis = Diagnosis(8)
        train_diagnosis(diagnosis, synthesis, seed=1, samples=32, workers=0)
        twice.append(diagnosis.layer1.weight)
    assert torch.equal(*twice)


def test_pairs_without_labels_teach_nothing() -> None:
    pair = (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))
    diagnosis = Diagnosis(8)
    before = diagnosis.layer1.weight.detach().clone()
    own = Synthesis(Corpus([], own=[pair]), 32)
    assert math.isnan(train_diagnosis(diagnosis, own, seed=0, samples=8, workers=0))
    assert torch.equal(diagnosis.layer1.weight, before)


def test_the_student_reads_the_diagnosis_and_does_not_train_it() -> None:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    scene = torch.rand(1, SCENE_SIZE)
    before = model.scene_code(scene)
    with torch.no_grad():
        model.diagnosis.layer3.bias[0] += 5.0
    assert not torch.equal(model.scene_code(scene), before)
    model.scene_code(scene).sum().backward()  # type: ignore[no-untyped-call]
    assert model.diagnosis.layer3.bias.grad is None
    assert model.read_diagnosis.weight.grad is not None
