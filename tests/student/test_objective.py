"""The student's loss sees the pictures that its own steps visit."""

import torch
from torch import Tensor, nn

from pellucid_student.objective import (
    ENOUGH,
    LATER,
    at_some_call,
    call_loss,
    half_restored,
)
from pellucid_teacher.data.stream import Batch


class HalfWay(nn.Module):
    """Moves half of the way to the clean picture, remembers what it was shown."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean, self.seen = clean, list[Tensor]()

    def forward(self, picture: Tensor) -> Tensor:
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
        of(n) for n in range(99) if (float(torch.rand(2, generator=of(n))[0]) < LATER) == later
    )


def test_the_first_call_is_trained_on_the_picture_as_it_is() -> None:
    data, model = batch(), HalfWay(batch().clean)
    loss = call_loss(model, data, drawing(later=False))
    errors = 0.5 * (data.degraded - data.clean).square().mean(dim=(1, 2, 3)).sqrt()
    assert torch.allclose(loss, torch.log(errors + ENOUGH).mean(), atol=1e-5)
    assert len(model.seen) == 1 and torch.equal(model.seen[0], data.degraded)


def test_a_later_call_sees_the_picture_half_restored() -> None:
    data, model = batch(), HalfWay(batch().clean)
    seen = half_restored(model, data.degraded, 0.6)
    assert torch.allclose(seen, 0.8 * data.degraded + 0.2 * data.clean, atol=1e-6)


def test_a_share_of_the_batches_is_for_later_calls() -> None:
    data, generator = batch(), torch.Generator().manual_seed(0)
    model = HalfWay(data.clean)
    seen = [at_some_call(model, data, generator) for _ in range(400)]
    later = [s for s in seen if s is not data]
    assert 0.25 < len(later) / 400 < 0.35 and all(s.clean is data.clean for s in later)
    left = [
        2 * float(((s.degraded - data.clean) / (data.degraded - data.clean)).mean()) - 1
        for s in later
    ]
    assert 0.4 <= min(left) < 0.45 and 0.95 < max(left) <= 1.0
    assert all(at_some_call(model, data, generator, later=0.0) is data for _ in range(50))


def test_no_gradient_flows_into_the_call_before() -> None:
    data = batch()

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor(0.1))

        def forward(self, picture: Tensor) -> Tensor:
            return (1.0 - self.w) * picture

    model = Scale()
    seen = half_restored(model, data.degraded, 0.5)
    (through,) = torch.autograd.grad(model(seen).sum(), model.w)
    assert torch.allclose(through, -(0.95 * data.degraded).sum(), rtol=1e-4)
