"""The student's loss sees the states of its own sampler."""

import torch
from torch import Tensor, nn

from pellucid_student.objective import ENOUGH, unrolled_loss
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


def test_every_call_is_trained_and_states_match_the_sampler() -> None:
    data = batch()
    lengths = set()
    for seed in range(40):
        model = Recorder(data.clean)
        loss = unrolled_loss(model, data, torch.Generator().manual_seed(seed))
        errors = 0.5 * (data.degraded - data.clean).square().mean(dim=(1, 2, 3)).sqrt()
        expected = torch.log(errors + ENOUGH).mean()
        assert torch.allclose(loss, expected, atol=1e-5)
        trained = len(model.seen)
        lengths.add(trained)
        steps = (
            1
            if trained == 1
            else next(
                k
                for k in (2, 3)
                if [t for _, t in model.seen]
                == [float(SCHED.time(torch.tensor(t))) for t in diffuir.step_grid(k)[:trained]]
            )
        )
        sampled = Recorder(data.clean)
        diffuir.sample(sampled, SCHED, data.degraded, steps)
        for (state, _), (own, _) in zip(model.seen, sampled.seen, strict=False):
            assert torch.allclose(state, own, atol=1e-6)
    assert lengths == {1, 2, 3}
