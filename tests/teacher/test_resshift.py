"""ResShift's process and SinSR's deterministic step against printed tables and their algebra."""

import pytest
import torch
from torch import Tensor

from pellucid_teacher.processes import resshift

SCHED_15, SCHED_4 = resshift.schedule(15, 0.04), resshift.schedule(4, 0.2)
SQRT_ETA_15 = [0.02, 0.1172, 0.1763, 0.2336, 0.2916, 0.3510, 0.4124, 0.4759]
SQRT_ETA_15 += [0.5417, 0.6099, 0.6807, 0.7540, 0.8300, 0.9086, 0.99]
# t: η_t, noise std κ·sqrt(η_t), then the posterior's coefficients of x_t and x_0 and its variance.
TABLE_4 = {
    1: (0.0100, 0.20, 0.0, 1.0, 0.0),
    2: (0.2705, 1.040, 0.0370, 0.9630, 0.0385),
    3: (0.5797, 1.523, 0.4666, 0.5334, 0.5771),
    4: (0.9801, 1.98, 0.5915, 0.4085, 0.9473),
}
SCHEDULES = [SCHED_15, SCHED_4]


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """clean, degraded in [-1, 1] and noise, float64."""
    generator = torch.Generator().manual_seed(3)
    clean, degraded = (torch.rand(2, 3, 8, 8, generator=generator).double() for _ in range(2))
    noise = torch.randn(2, 3, 8, 8, generator=generator).double()
    return 2 * clean - 1, 2 * degraded - 1, noise


def at(t: int) -> Tensor:
    return torch.tensor([t, t])


def test_fifteen_steps_match_the_printed_table() -> None:
    assert SCHED_15.steps == 15
    assert SCHED_15.eta[1:].sqrt().tolist() == pytest.approx(SQRT_ETA_15, abs=6e-5)


@pytest.mark.parametrize("t", TABLE_4)
def test_four_steps_match_the_printed_table(t: int) -> None:
    eta, std, on_state, on_clean, variance = TABLE_4[t]
    assert SCHED_4.steps == 4
    assert float(SCHED_4.eta[t]) == pytest.approx(eta, abs=6e-5)
    assert 2 * float(SCHED_4.eta[t]) ** 0.5 == pytest.approx(std, abs=6e-4)
    assert resshift.posterior(SCHED_4, t) == pytest.approx((on_state, on_clean, variance), abs=6e-5)


def test_a_chain_of_one_step_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        resshift.schedule(1)


@pytest.mark.parametrize("sched", SCHEDULES)
def test_posterior_step_keeps_the_marginal(sched: resshift.Schedule) -> None:
    # x_t ~ q(x_t | x_0, y) drawn through the posterior has the mean and variance of q(x_{t-1}).
    clean, degraded, _ = pictures()
    zero = torch.zeros_like(clean)
    for t in range(2, sched.steps + 1):
        mean = resshift.forward_process(sched, clean, degraded, at(t), zero)
        moved = resshift.posterior_step(sched, mean, clean, t, zero)
        expected = resshift.forward_process(sched, clean, degraded, at(t - 1), zero)
        assert torch.allclose(moved, expected, atol=1e-12)
        on_state, _, variance = resshift.posterior(sched, t)
        total = on_state**2 * sched.kappa**2 * float(sched.eta[t]) + variance
        assert total == pytest.approx(sched.kappa**2 * float(sched.eta[t - 1]))


@pytest.mark.parametrize("sched", SCHEDULES)
def test_posterior_is_bayes_rule(sched: resshift.Schedule) -> None:
    # q(x_t | x_{t-1}) = N(x_{t-1} + α·(y - x_0), κ²·α): precisions add up, means are weighted.
    x_0, y, x_t = 0.3, -0.5, 1.1
    for t in range(2, sched.steps + 1):
        before, alpha = float(sched.eta[t - 1]), float(sched.eta[t] - sched.eta[t - 1])
        from_t, from_0 = 1 / (4 * alpha), 1 / (4 * before)
        variance = 1 / (from_t + from_0)
        seen_from_t, seen_from_0 = x_t - alpha * (y - x_0), x_0 + before * (y - x_0)
        mean = variance * (from_t * seen_from_t + from_0 * seen_from_0)
        on_state, on_clean, told = resshift.posterior(sched, t)
        assert told == pytest.approx(variance)
        assert on_state * x_t + on_clean * x_0 == pytest.approx(mean)


def test_prior_is_the_forward_process_at_the_end_without_the_clean_rest() -> None:
    clean, degraded, noise = pictures()
    last = resshift.forward_process(SCHED_4, clean, degraded, at(4), noise)
    start = resshift.prior(SCHED_4, degraded, noise)
    assert torch.allclose(last - start, (1 - 0.99**2) * (clean - degraded), atol=1e-12)


@pytest.mark.parametrize("sched", SCHEDULES)
def test_sinsr_step_keeps_the_same_noise(sched: resshift.Schedule) -> None:
    clean, degraded, noise = pictures()
    for t in range(2, sched.steps + 1):
        at_t = resshift.forward_process(sched, clean, degraded, at(t), noise)
        at_s = resshift.forward_process(sched, clean, degraded, at(t - 1), noise)
        moved = resshift.sinsr_step(sched, at_t, clean, degraded, t)
        assert torch.allclose(moved, at_s, atol=1e-12)


def test_sinsr_coefficients_as_published() -> None:
    now, before = float(SCHED_15.eta[9]), float(SCHED_15.eta[8])
    k, m, j = resshift.sinsr(SCHED_15, 9)
    assert m == pytest.approx((before / now) ** 0.5)
    assert j == pytest.approx(before - (before * now) ** 0.5)
    assert k == pytest.approx(1 - before + (before * now) ** 0.5 - (before / now) ** 0.5)
    assert resshift.sinsr(SCHED_15, 1) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("sched", SCHEDULES)
@pytest.mark.parametrize("deterministic", [False, True])
def test_sampler_with_an_oracle_returns_the_clean_picture(
    sched: resshift.Schedule, deterministic: bool
) -> None:
    clean, degraded, _ = pictures()
    times: list[float] = []

    def oracle(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        times.append(float(time[0]))
        return clean

    restored = resshift.sample(oracle, sched, degraded, degraded, deterministic)
    assert torch.allclose(restored, clean, atol=1e-12)
    assert times == [float(t) for t in range(sched.steps - 1, -1, -1)]


def test_deterministic_sampler_walks_along_one_noise() -> None:
    clean, degraded, _ = pictures()
    seen: list[Tensor] = []

    def oracle(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        seen.append(x_t)
        return clean

    generator = torch.Generator().manual_seed(0)
    resshift.sample(oracle, SCHED_4, degraded, degraded, True, generator)
    # The prior lacks the clean rest, so its noise is a little off; that same one stays to the end.
    recovered = [
        (x - clean - SCHED_4.eta[t] * (degraded - clean)) / (2 * SCHED_4.eta[t].sqrt())
        for x, t in zip(seen, (4, 3, 2, 1), strict=True)
    ]
    for noise in recovered[1:]:
        assert torch.allclose(noise, recovered[0], atol=1e-9)


def test_sampler_is_reproducible_and_shows_the_condition() -> None:
    _, degraded, other = pictures()

    def echo(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        assert torch.equal(condition, other)
        return 0.5 * x_t

    first, second = (
        resshift.sample(
            echo, SCHED_4, degraded, condition=other, generator=torch.Generator().manual_seed(7)
        )
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_estimates_are_clipped() -> None:
    degraded = torch.zeros(1, 3, 4, 4)
    out = resshift.sample(lambda x, c, t: torch.full_like(x, 3.0), SCHED_4, degraded, degraded)
    assert torch.equal(out, torch.ones_like(out))


def test_preconditioned_states_have_about_unit_size() -> None:
    x_t, t = torch.ones(2, 3, 8, 8), torch.tensor([1, 4])

    def show(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return x_t

    pixel = resshift.preconditioned(show, SCHED_4)(x_t, x_t, resshift.time_value(t))
    assert (x_t / pixel)[:, 0, 0, 0].tolist() == pytest.approx([1 + 0.6, 1 + 5.94], rel=1e-5)


def test_loss_of_constant_error_is_its_square() -> None:
    clean, degraded, noise = pictures()
    t = torch.tensor([1, 15])
    loss = resshift.loss(
        lambda x, c, time: clean + 0.5, SCHED_15, clean, degraded, t, noise, degraded
    )
    assert float(loss) == pytest.approx(0.25)
