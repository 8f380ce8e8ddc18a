"""Distillation: closed forms of the terms, where gradients flow, and runs in miniature."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_system import Toy

from pellucid_student import losses
from pellucid_student.distill import (
    CONTROL,
    FULL,
    DistillLoss,
    DistillRecipe,
    RunConfig,
    kept_student,
    train_distilled,
    with_ingredients,
)
from pellucid_student.frozen_teacher import FrozenTeacher, load_frozen_teacher
from pellucid_student.objective import ENOUGH, LATER, call_loss
from pellucid_student.plain_unet import PlainUNet, PlainUNetConfig
from pellucid_student.weights import Provenance, save_student
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.rain import streak_bank
from pellucid_teacher.data.snow import flake_bank
from pellucid_teacher.data.stream import Batch
from pellucid_teacher.networks.diffuir_unet import DiffUIRConfig
from pellucid_teacher.systems.diffuir import DiffUIR, DiffUIROptions
from pellucid_teacher.training.loop import TrainConfig
from pellucid_teacher.weights import save_teacher

SMALL = PlainUNetConfig((16, 16), (1, 1), (1,), code_width=8)
WIDE = PlainUNetConfig((32, 16), (1, 1), (1,), code_width=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(side: int = 16) -> Batch:
    generator = seeded()
    degraded, clean = (2 * torch.rand(2, 3, side, side, generator=generator) - 1 for _ in range(2))
    return Batch(degraded, clean)


class Fixed(nn.Module):
    """A restorer with one answer."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer.clone())

    def forward(self, picture: Tensor) -> Tensor:
        return self.answer + 0.0 * picture


def frozen(answer: Tensor) -> FrozenTeacher:
    """A teacher with one answer."""

    class Oracle(Toy):
        def restore(
            self,
            degraded: Tensor,
            steps: int | None = None,
            generator: torch.Generator | None = None,
            mask: Tensor | None = None,
        ) -> Tensor:
            return answer

    return FrozenTeacher("fake", Oracle())


def test_gate_is_the_share_of_the_error_that_the_teacher_removes() -> None:
    truth = torch.zeros(1, 3, 1, 4)
    student = torch.tensor([0.4, 0.4, 0.4, 0.4]).expand(1, 3, 1, 4)
    teacher = torch.tensor([0.0, 0.1, 0.4, -0.9]).expand(1, 3, 1, 4)
    expected = torch.tensor([1.0, 0.75, 0.0, 0.0])
    assert torch.allclose(losses.gate(student, teacher, truth)[0, 0, 0], expected)
    # A student that is right is left alone, and 0/0 is not NaN.
    assert losses.gate(truth, truth, truth).abs().max() == 0.0


def test_no_pull_where_the_teacher_is_worse() -> None:
    """Student 0.1 off everywhere; the teacher 0.3 off on the left, right on the right."""
    data = Batch(torch.full((1, 3, 8, 8), 0.2), torch.zeros(1, 3, 8, 8))
    taught = data.clean.clone()
    taught[..., :4] += 0.3
    gradients = {}
    for gating in (True, False):
        model = Fixed(data.clean + 0.1)
        recipe = replace(CONTROL, teacher=2.0, teacher_end=2.0, gating=gating)
        DistillLoss(recipe, frozen(taught))(model, data, seeded()).backward()  # type: ignore[no-untyped-call]
        assert model.answer.grad is not None
        gradients[gating] = model.answer.grad
    # Error 0.1, gate 1 on the right: sums to 0.1 + 2·0.1/2 = 0.2 inside the logarithm.
    pull = 1.0 / (data.clean.numel() * (0.2 + ENOUGH))
    assert torch.allclose(gradients[True][..., :4], torch.tensor(pull), rtol=1e-4)
    assert torch.allclose(gradients[True][..., 4:], torch.tensor(3.0 * pull), rtol=1e-4)
    # Without the gate the teacher drags the left away from the truth.
    assert (gradients[False][..., :4] < 0).all()


def test_frequency_term_is_zero_for_equal_and_knows_a_constant() -> None:
    image = torch.rand(2, 3, 8, 8, generator=seeded())
    assert losses.frequency_l1(image, image).tolist() == [0.0, 0.0]
    # A constant difference d has one coefficient, d·sqrt(64), among 8 x 5.
    expected = 0.25 * 8 / (8 * 5)
    assert losses.frequency_l1(image + 0.25, image).tolist() == pytest.approx([expected] * 2, 1e-4)


def test_schedules_of_a_run() -> None:
    assert [losses.coarseness(p, 0.2) for p in (0.0, 0.09, 0.11, 0.2, 0.9)] == [4, 4, 2, 1, 1]
    assert losses.coarseness(0.0, 0.0) == 1
    assert losses.annealed(1.0, 0.1, 0.5) == pytest.approx(0.55)
    assert losses.annealed(1.0, 0.1, 1.5) == pytest.approx(0.1)


def test_with_everything_off_but_later_calls_it_is_the_students_own_loss() -> None:
    torch.manual_seed(0)
    student, data = PlainUNet(SMALL), batch()
    for seed in range(12):
        expected = call_loss(student, data, seeded(seed))
        loss = DistillLoss(replace(CONTROL, unroll=LATER))
        assert torch.equal(loss(student, data, seeded(seed)), expected)


@pytest.fixture
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    return Corpus([rng.integers(0, 255, (170, 180, 3)).astype(np.uint8) for _ in range(2)])


def course(recipe: DistillRecipe, steps: int) -> RunConfig:
    config = TrainConfig(steps=steps, batch_size=2, workers=0, warmup=1, fast="code|curve")
    return RunConfig(recipe, config, crop=32)


@pytest.fixture(autouse=True)
def _small_banks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaks, flakes and kernels are not what is tested here, and take seconds to make."""
    monkeypatch.setattr("pellucid_teacher.data.synthesis.streak_bank", _small(streak_bank))
    monkeypatch.setattr("pellucid_teacher.data.synthesis.flake_bank", _small(flake_bank))


def _small(bank: Callable[[np.random.Generator, int], Any]) -> Callable[..., Any]:
    return lambda rng, number: bank(rng, 2)


def test_every_ingredient_runs_and_a_killed_run_goes_on_alike(
    corpus: Corpus, tmp_path: Path
) -> None:
    save_student(tmp_path / "wide.safetensors", PlainUNet(WIDE), Provenance("wide", "none", 0))
    told = load_frozen_teacher(tmp_path / "wide.safetensors")
    plan = course(replace(FULL, teacher_share=0.7), 8)
    plan = replace(plan, train=replace(plan.train, save_every=5))

    def run(name: str, steps: int) -> list[float]:
        torch.manual_seed(3)
        reports = train_distilled(PlainUNet(SMALL), plan, corpus, tmp_path / name, frozen=told)
        return [report.loss for report in islice(reports, steps)]

    whole = run("whole", 99)
    assert len(whole) == 8
    # Killed at step 5, in the middle of the schedules; the rest is what it would have been.
    assert run("killed", 5) + run("killed", 99) == pytest.approx(whole, rel=1e-5)
    student, step = kept_student(PlainUNet(SMALL), tmp_path / "whole")
    assert step == 8 and not torch.equal(student.head.weight, PlainUNet(SMALL).head.weight)


def test_a_teachers_folder_is_a_frozen_teacher_and_answers_alike(tmp_path: Path) -> None:
    torch.manual_seed(1)
    system = DiffUIR(DiffUIROptions(DiffUIRConfig(8, (1, 1, 1, 1)), start_noise=0.1, steps=2))
    save_teacher(tmp_path, system, 1, [], "CC0-1.0")
    told = load_frozen_teacher(tmp_path)
    image = batch().degraded
    assert torch.equal(told.restore(image), told.restore(image))
    once = load_frozen_teacher(tmp_path, steps=1)
    assert str(once) == f"teacher {tmp_path.name}, 1 steps"
    assert not torch.equal(once.restore(image), told.restore(image))
    with pytest.raises(ValueError, match="no such weights file"):
        load_frozen_teacher(tmp_path / "absent.safetensors")


def test_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match="--teacher PATH"):
        DistillLoss(FULL)
    with pytest.raises(ValueError, match="'gating' needs a teacher"):
        with_ingredients(["gating"], teacher=False)
    with pytest.raises(ValueError, match="unknown ingredient 'magic'"):
        with_ingredients(["magic"], teacher=True)
    with pytest.raises(ValueError, match="share, expected 0..1"):
        DistillRecipe(coarse=2.0)
    assert with_ingredients([], teacher=False) == CONTROL
    assert with_ingredients([], teacher=True) not in (CONTROL, FULL)
    assert with_ingredients(["gating", "frequency", "coarse", "unroll"], True) == FULL
