"""Image-conditional diffusion: noise levels, the posterior, an exact oracle."""

import pytest
import torch
from torch import Tensor

from pellucid_teacher.processes import conditional
from pellucid_teacher.processes.conditional import Target


def batch(seed: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_grid_goes_from_clean_to_noise() -> None:
    sched = conditional.training_grid()
    assert len(sched.beta) == 2000 and float(sched.beta[-1]) == pytest.approx(0.01)
    assert 0.99 < float(sched.alpha_bar[0]) < 1.0 and float(sched.alpha_bar[-1]) < 1e-4
    with pytest.raises(ValueError, match="largest beta"):
        conditional.grid(4, 1.5)


def test_levels_fill_the_gaps_of_the_grid() -> None:
    sched = conditional.grid(3, 0.5)
    levels = conditional.draw_level(sched, 4000, torch.Generator().manual_seed(0))
    assert float(levels.max()) <= 1.0
    assert float(levels.min()) >= float(sched.alpha_bar[-1].sqrt()) - 1e-6
    # Each gap is drawn as often as the others and evenly within.
    roots = torch.cat([torch.ones(1).double(), sched.alpha_bar.sqrt()])
    counts = torch.histogram(levels.double(), roots.flip(0)).hist
    assert (counts - 4000 / 3).abs().max() < 150


def noise_of(state: Tensor, clean: Tensor, level: Tensor) -> Tensor:
    """ε, from state = sqrt(ᾱ)·x_0 + sqrt(1 - ᾱ)·ε."""
    root = level[:, None, None, None]
    return (state - root * clean) / (1.0 - root.square()).sqrt()


def test_noise_and_clean_are_one_equation_apart() -> None:
    clean, noise = batch(0), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    level = torch.tensor([0.9, 0.3])
    state = conditional.diffused(clean, level, noise)
    assert torch.allclose(noise_of(state, clean, level), noise, atol=1e-5)
    assert torch.allclose(conditional.clean_of(state, noise, level), clean, atol=1e-5)


def test_posterior_keeps_the_forward_marginal() -> None:
    sched = conditional.grid(5, 0.6)
    generator = torch.Generator().manual_seed(3)
    clean = torch.full((1, 1, 300, 300), 0.4)
    level = sched.alpha_bar.sqrt().float()
    noise = torch.randn(clean.shape, generator=generator)
    state = conditional.diffused(clean, level[3:4], noise)
    fresh = torch.randn(clean.shape, generator=generator)
    before = conditional.posterior(sched, 3, state, clean, fresh)
    assert float(before.mean()) == pytest.approx(0.4 * float(level[2]), abs=0.01)
    assert float(before.std()) == pytest.approx(float((1 - level[2] ** 2).sqrt()), rel=0.01)


@pytest.mark.parametrize("target", ["noise", "clean"])
def test_an_oracle_is_followed_home(target: Target) -> None:
    truth, degraded = batch(4), batch(5)

    def oracle(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return truth if target == "clean" else noise_of(x_t, truth, time)

    out = conditional.sample(
        oracle, conditional.grid(6, 0.5), degraded, target, torch.Generator().manual_seed(6)
    )
    assert torch.allclose(out, truth, atol=1e-4)
