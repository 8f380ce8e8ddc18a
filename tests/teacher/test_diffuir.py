"""DiffUIR's process against its printed table and its algebra (methods of arXiv 2403.11157)."""

import math

import pytest
import torch
from torch import Tensor

from pellucid_teacher.processes import diffuir

SCHED = diffuir.schedule()

# t: (alpha_bar, beta_bar, delta_bar, time value), to the digits that were published or computed.
TABLE = {
    999: (0.9936, 1.0000, 0.9005, 993.65),
    749: (0.9421, 0.9983, 0.5065, 942.12),
    665: (0.8945, 0.9944, 0.3994, 894.49),
    499: (0.7197, 0.9599, 0.2251, 719.67),
    332: (0.4336, 0.8241, 0.0999, 433.62),
    249: (0.2761, 0.6899, 0.0563, 276.06),
}


@pytest.mark.parametrize("t", TABLE)
def test_schedule_matches_the_printed_table(t: int) -> None:
    alpha, beta, delta, time = TABLE[t]
    assert float(SCHED.alpha_bar[t]) == pytest.approx(alpha, abs=6e-5)
    assert float(SCHED.beta_bar[t]) == pytest.approx(beta, abs=6e-5)
    assert float(SCHED.delta_bar[t]) == pytest.approx(delta, abs=6e-5)
    assert float(SCHED.time(torch.tensor([t]))) == pytest.approx(time, abs=6e-3)


def test_default_delta_end_of_the_class_is_reachable() -> None:
    assert float(diffuir.schedule(1.5e-3).delta_bar[-1]) == pytest.approx(0.7505, abs=6e-5)


def test_schedule_is_the_ddim_conversion() -> None:
    # (1 - alpha_bar)² + beta_bar² = signal + (1 - signal) = 1 at every t
    assert torch.allclose((1 - SCHED.alpha_bar) ** 2 + SCHED.beta_bar**2, torch.ones(1).double())
    for series in (SCHED.alpha_bar, SCHED.beta_bar, SCHED.delta_bar):
        assert (series.diff() >= 0).all()


@pytest.mark.parametrize(
    ("steps", "grid"),
    [(1, [999]), (2, [999, 499]), (3, [999, 665, 332]), (4, [999, 749, 499, 249])],
)
def test_step_grid(steps: int, grid: list[int]) -> None:
    assert diffuir.step_grid(steps) == grid


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_step_grid_refuses(steps: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 1000"):
        diffuir.step_grid(steps)


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    clean, degraded, noise = (torch.rand(2, 3, 8, 8, generator=generator) for _ in range(3))
    return 2 * clean - 1, 2 * degraded - 1, noise


def test_forward_process_both_closed_forms() -> None:
    clean, degraded, noise = pictures()
    t = torch.tensor([665, 100])
    state = diffuir.forward_process(SCHED, clean, degraded, t, noise)
    for row in range(2):
        a, b, d = (
            float(series[t[row]]) for series in (SCHED.alpha_bar, SCHED.beta_bar, SCHED.delta_bar)
        )
        expected = (1 - a) * clean[row] + (a - d) * degraded[row] + b * noise[row]
        assert torch.allclose(state[row], expected, atol=1e-6)


def test_reverse_step_of_the_true_residual_stays_on_the_forward_mean() -> None:
    clean, degraded, _ = pictures()
    at_t = diffuir.forward_process(SCHED, clean, degraded, torch.tensor([999, 999]), None)
    moved = diffuir.reverse_step(SCHED, at_t, degraded - clean, degraded, 999, 332)
    at_s = diffuir.forward_process(SCHED, clean, degraded, torch.tensor([332, 332]), None)
    assert torch.allclose(moved, at_s, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_sampler_with_an_oracle_returns_the_clean_image(steps: int) -> None:
    clean, degraded, _ = pictures()

    def oracle(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return condition - clean

    assert torch.allclose(diffuir.sample(oracle, SCHED, degraded, steps), clean, atol=1e-6)


def test_sampler_shows_the_denoiser_the_published_states() -> None:
    _, degraded, _ = pictures()
    seen: list[tuple[Tensor, float]] = []

    def zero(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        seen.append((x_t, float(time[0])))
        return torch.zeros_like(x_t)

    diffuir.sample(zero, SCHED, degraded, 3)
    delta = [float(SCHED.delta_bar[t]) for t in (999, 665, 332)]
    # With no residual the state is (1 - delta_bar_t)·I_in all the way.
    for (state, time), d, told in zip(seen, delta, (993.65, 894.49, 433.62), strict=True):
        assert torch.allclose(state, (1 - d) * degraded, atol=1e-6)
        assert time == pytest.approx(told, abs=6e-3)


def test_full_brightening_is_not_clipped_away() -> None:
    # The release clips residuals to [-1, 1]; black to white needs -2.
    black = -torch.ones(1, 3, 4, 4)
    white = diffuir.sample(lambda x, c, t: torch.full_like(c, -2.0), SCHED, black, 3)
    assert torch.equal(white, torch.ones_like(white))


def test_start_noise_has_the_asked_spread_and_is_reproducible() -> None:
    degraded = torch.zeros(1, 3, 64, 64)
    first, second = (
        diffuir.start_state(SCHED, degraded, 0.1, torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert float(first.std()) == pytest.approx(0.1, rel=0.03)
    assert torch.equal(diffuir.start_state(SCHED, degraded, 0.0, None), degraded)


def test_loss_of_constant_error_is_that_constant() -> None:
    clean, degraded, noise = pictures()
    t = torch.tensor([10, 900])
    loss = diffuir.residual_loss(
        lambda x, c, time: c - clean + 0.25, SCHED, clean, degraded, t, noise
    )
    assert math.isclose(float(loss), 0.25, rel_tol=1e-5)
