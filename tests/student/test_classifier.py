"""The classifier learns what it is told and folds its scaling."""

import math

import numpy as np
import torch

from pellucid_student.classifier import TaskClassifier, fit, labelled
from pellucid_student.scene import SCENE_SIZE, measure_scene
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.synthesis import TASKS, Synthesis


def test_probabilities_sum_to_one() -> None:
    torch.manual_seed(0)
    told = TaskClassifier(16)(torch.rand(5, SCENE_SIZE))
    assert told.shape == (5, len(TASKS))
    assert torch.allclose(told.sum(dim=1), torch.ones(5)) and (told > 0).all()


def test_it_learns_classes_that_are_far_apart_and_folds_its_scaling() -> None:
    generator = torch.Generator().manual_seed(0)
    tasks = torch.arange(512) % 2
    codes = 3.0 + 0.1 * torch.randn(512, 5, generator=generator) + 0.8 * tasks[:, None]
    torch.manual_seed(0)
    classifier = TaskClassifier(16, ("a", "b"), 5)
    assert fit(classifier, codes, tasks, seed=1) < 0.5 * math.log(2)
    assert torch.equal(classifier(codes).argmax(dim=1), tasks)  # on codes as they come
    assert not any(p.requires_grad for p in classifier.parameters())


def test_labelled_crops_are_the_same_each_time() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    synthesis = Synthesis(Corpus([photo]), 32)
    first, again = (labelled(synthesis, 1, 6, 0, measure_scene) for _ in range(2))
    assert first[0].shape == (6, SCENE_SIZE) and torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
