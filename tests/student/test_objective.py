"""The student's loss sees the state that its own sampler starts from."""

import torch
from torch import Tensor, nn

from pellucid_student.objective import ENOUGH, first_call_loss
from pellucid_teacher.data.stream import Batch
from pellucid_teacher.processes import diffuir

SCHED = diffuir.schedule()


class Recorder(nn.Module):
    """Returns half of the true residual, remembers what it was shown."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean, self.seen = clean, list[tuple[Tensor, float]]()

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        self.seen.append((x_t, float(time[0])))
        return 0.5 * (condition - self.clean)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    degraded, clean = (2 * torch.rand(2, 3, 8, 8, generator=generator) - 1 for _ in range(2))
    return Batch(degraded, clean)


def test_the_first_call_is_trained_on_the_samplers_own_start() -> None:
    data, model, sampled = batch(), *(Recorder(batch().clean) for _ in range(2))
    loss = first_call_loss(model, data, torch.Generator())
    errors = 0.5 * (data.degraded - data.clean).square().mean(dim=(1, 2, 3)).sqrt()
    assert torch.allclose(loss, torch.log(errors + ENOUGH).mean(), atol=1e-5)
    diffuir.sample(sampled, SCHED, data.degraded, 1)
    ((state, time),), ((expected, when),) = model.seen, sampled.seen
    assert torch.equal(state, expected) and time == when
