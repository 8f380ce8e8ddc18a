"""The student's loss sees the pictures that its own steps visit."""

import pytest
import torch
from torch import Tensor, nn

from pellucid_student.losses import Losses, annealed
from pellucid_student.objective import ENOUGH, StudentLoss, at_some_call, half_restored
from pellucid_teacher.data.stream import Batch


class HalfWay(nn.Module):
    """Moves half of the way to the clean picture, remembers what it was shown."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean, self.seen = clean, list[Tensor]()

    def forward(self, picture: Tensor, scene: None = None) -> Tensor:
        self.seen.append(picture)
        return (picture + self.clean) / 2


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    degraded, clean = (2 * torch.rand(2, 3, 8, 8, generator=generator) - 1 for _ in range(2))
    return Batch(degraded, clean)


def drawing(later: bool) -> torch.Generator:
    """A generator whose first draw chooses a later call, or a first one."""

    def of(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    return next(
        of(n)
        for n in range(99)
        if (float(torch.rand(2, generator=of(n))[0]) < Losses().later) == later
    )


def test_the_first_call_is_trained_on_the_picture_as_it_is() -> None:
    data, model = batch(), HalfWay(batch().clean)
    loss = StudentLoss()(model, data, drawing(later=False))
    errors = 0.5 * (data.degraded - data.clean).square().mean(dim=(1, 2, 3)).sqrt()
    assert torch.allclose(loss, torch.log(errors + ENOUGH).mean(), atol=1e-5)
    assert len(model.seen) == 1 and torch.equal(model.seen[0], data.degraded)


def test_a_later_call_sees_the_picture_half_restored() -> None:
    data, model = batch(), HalfWay(batch().clean)
    seen = half_restored(model, data, 0.6).degraded
    assert torch.allclose(seen, 0.8 * data.degraded + 0.2 * data.clean, atol=1e-6)


def test_a_share_of_the_batches_is_for_later_calls() -> None:
    data, generator = batch(), torch.Generator().manual_seed(0)
    model = HalfWay(data.clean)
    seen = [at_some_call(model, data, generator, 0.3) for _ in range(400)]
    later = [s for s in seen if s is not data]
    assert 0.25 < len(later) / 400 < 0.35 and all(s.clean is data.clean for s in later)
    left = [
        2 * float(((s.degraded - data.clean) / (data.degraded - data.clean)).mean()) - 1
        for s in later
    ]
    assert 0.4 <= min(left) < 0.45 and 0.95 < max(left) <= 1.0
    assert all(at_some_call(model, data, generator, 0.0) is data for _ in range(50))


def test_no_gradient_flows_into_the_call_before() -> None:
    data = batch()

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor(0.1))

        def forward(self, picture: Tensor, scene: None = None) -> Tensor:
            return (1.0 - self.w) * picture

    model = Scale()
    seen = half_restored(model, data, 0.5).degraded
    (through,) = torch.autograd.grad(model(seen).sum(), model.w)
    assert torch.allclose(through, -(0.95 * data.degraded).sum(), rtol=1e-4)


class Fixed(nn.Module):
    """A restorer with one answer."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer.clone())

    def forward(self, picture: Tensor, scene: None = None) -> Tensor:
        return self.answer + 0.0 * picture


def test_the_teacher_pulls_with_its_weight() -> None:
    """Student 0.1 off everywhere; the teacher 0.3 off on the left, right on the right. The sum
    inside the logarithm: RMS 0.1 and 2·(0.2 + 0.1)/2."""
    data = Batch(torch.full((1, 3, 8, 8), 0.2), torch.zeros(1, 3, 8, 8))
    taught = data.clean.clone()
    taught[..., :4] += 0.3
    losses = Losses(later=0.0, teacher=2.0, teacher_end=2.0)
    model = Fixed(data.clean + 0.1)
    loss = StudentLoss(losses, lambda degraded: taught)(model, data, torch.Generator())
    assert float(loss.detach()) == pytest.approx(
        float(torch.tensor(0.1 + 0.3 + ENOUGH).log()), abs=1e-4
    )
    loss.backward()  # type: ignore[no-untyped-call]
    unit = 1.0 / (data.clean.numel() * (0.4 + ENOUGH))
    gradient = model.answer.grad
    assert gradient is not None
    assert torch.allclose(gradient[..., 4:], torch.tensor(3.0 * unit), rtol=1e-3)
    assert torch.allclose(gradient[..., :4], torch.tensor(-unit), rtol=1e-3)


def test_the_truth_has_the_last_word() -> None:
    data, model = batch(), HalfWay(batch().clean)
    loss, alone = (
        StudentLoss(Losses(later=0.0, teacher_end=0.0), teacher)
        for teacher in (lambda degraded: degraded, None)
    )
    seen = []
    for progress in (0.0, 0.5, 1.0):
        loss.progress = progress
        more = loss(model, data, torch.Generator()) - alone(model, data, torch.Generator())
        seen.append(float(more))
    assert seen[0] > seen[1] > seen[2] == pytest.approx(0.0, abs=1e-6)
    assert annealed(1.0, 0.1, 0.5) == pytest.approx(0.55)
    assert annealed(1.0, 0.1, 1.5) == pytest.approx(0.1)


def test_a_share_of_the_steps_asks_the_teacher() -> None:
    asked: list[int] = []

    def teacher(degraded: Tensor) -> Tensor:
        asked.append(1)
        return degraded

    loss, generator = StudentLoss(Losses(teacher_share=0.25), teacher), torch.Generator()
    for _ in range(200):
        loss(HalfWay(batch().clean), batch(), generator)
    assert 30 < len(asked) < 70
    unasked = StudentLoss(Losses(teacher=0.0, teacher_end=0.0), teacher)
    unasked(HalfWay(batch().clean), batch(), generator)
    assert unasked.teacher is None


def test_terms_that_are_gone_are_told_with_what_remains() -> None:
    assert Losses().with_terms([]) == Losses().with_terms(["unroll"]) == Losses()
    assert Losses().with_terms(["perceptual"]).perceptual == 0.1
    for name in ("gating", "frequency", "features", "coarse"):
        with pytest.raises(ValueError, match=f"'{name}' is gone.*what remains is `perceptual`"):
            Losses().with_terms([name])
    with pytest.raises(ValueError, match="unknown loss term 'magic'"):
        Losses().with_terms(["magic"])
    with pytest.raises(ValueError, match="share, expected 0..1"):
        Losses(later=2.0)
