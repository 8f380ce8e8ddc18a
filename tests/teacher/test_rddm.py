"""RDDM's process: printed schedules, its algebra, its two variants, DiffUIR as a relative."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pellucid_teacher.denoiser import Denoiser
from pellucid_teacher.processes import diffuir, rddm

STEPS_5, ALPHA_5, BETA_5 = (
    [999, 799, 599, 399, 199],
    [1.0, 0.96, 0.84, 0.64, 0.36],
    [1, 0.8, 0.6, 0.4, 0.2],
)
STEPS_2, ALPHA_2, BETA_2 = [999, 499], [1.0, 0.75], [1.0, 0.5]
SCHEDULES = [
    rddm.restoration_schedule(1.0),
    rddm.restoration_schedule(),
    rddm.generation_schedule(),
]


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """clean, degraded in [-1, 1] and noise, float64."""
    generator = torch.Generator().manual_seed(3)
    clean, degraded = (torch.rand(2, 3, 8, 8, generator=generator).double() for _ in range(2))
    noise = torch.randn(2, 3, 8, 8, generator=generator).double()
    return 2 * clean - 1, 2 * degraded - 1, noise


def at(t: int) -> Tensor:
    return torch.tensor([t, t])


@pytest.mark.parametrize(
    ("grid", "alpha", "beta"), [(STEPS_5, ALPHA_5, BETA_5), (STEPS_2, ALPHA_2, BETA_2)]
)
@pytest.mark.parametrize("sum_scale", [1.0, 0.01])
def test_restoration_schedule_matches_the_printed_values(
    grid: list[int], alpha: list[float], beta: list[float], sum_scale: float
) -> None:
    sched = rddm.restoration_schedule(sum_scale)
    assert diffuir.step_grid(len(grid)) == grid
    assert sched.alpha_bar[grid].tolist() == pytest.approx(alpha, abs=6e-4)
    scaled = [b * sum_scale**0.5 for b in beta]
    assert sched.beta_bar[grid].tolist() == pytest.approx(scaled, abs=6e-4)


def test_schedule_steps_are_linear_and_sum_up() -> None:
    sched = rddm.restoration_schedule(0.01)
    assert float(sched.alpha_bar[-1]) == pytest.approx(1.0, abs=1e-12)
    assert float(sched.beta_bar[-1]) == pytest.approx(0.1, abs=1e-12)
    assert float(sched.alpha_bar.max()) <= 1.0
    assert sched.alpha_bar.diff().diff().tolist() == pytest.approx(
        [-2 / 999 / 1000] * 998, abs=1e-12
    )
    variance_steps = sched.beta_bar.square().diff()
    assert variance_steps.diff().tolist() == pytest.approx([0.01 * 2 / 999 / 1000] * 998, abs=1e-12)


def test_schedule_without_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive, got 0"):
        rddm.restoration_schedule(0.0)


def test_time_values() -> None:
    sched = rddm.restoration_schedule(1.0)
    assert sched.time(torch.tensor([499]), "residual").item() == pytest.approx(750, abs=0.6)
    assert sched.time(torch.tensor([499]), "noise").item() == pytest.approx(500, abs=0.6)


@pytest.mark.parametrize("sched", SCHEDULES)
@pytest.mark.parametrize("t", [0, 199, 900])
def test_each_variant_recovers_everything_from_the_truth(sched: rddm.Schedule, t: int) -> None:
    clean, degraded, noise = pictures()
    residual = degraded - clean
    state = rddm.forward_process(sched, clean, degraded, at(t), noise)
    estimates = {
        "residual": rddm.estimate_sm_res(sched, state, residual, degraded, t),
        "noise": rddm.estimate_sm_n(sched, state, noise, degraded, t),
    }
    for name, estimate in estimates.items():
        assert torch.allclose(estimate.clean, clean, atol=1e-6), name
        assert torch.allclose(estimate.residual, residual, atol=1e-6), name
        if float(sched.beta_bar[t]) > 0:
            assert torch.allclose(estimate.noise, noise, atol=1e-6), name
        else:
            assert estimate.noise.isfinite().all()


@pytest.mark.parametrize("sched", SCHEDULES)
def test_deterministic_step_of_the_truth_stays_on_the_forward_process(sched: rddm.Schedule) -> None:
    clean, degraded, noise = pictures()
    truth = rddm.Estimate(clean, degraded - clean, noise)
    moved = rddm.reverse_step(
        sched, rddm.forward_process(sched, clean, degraded, at(799), noise), truth, 799, 399
    )
    expected = rddm.forward_process(sched, clean, degraded, at(399), noise)
    assert torch.allclose(moved, expected, atol=1e-12)


def test_estimates_are_clipped_and_their_residual_with_them() -> None:
    black = -torch.ones(1, 3, 4, 4)
    known = rddm.estimate_sm_res(SCHEDULES[0], black, torch.full_like(black, -3.0), black, 499)
    assert torch.equal(known.clean, torch.ones_like(black))
    assert torch.equal(known.residual, torch.full_like(black, -2.0))


def oracle(sched: rddm.Schedule, predicts: rddm.Predicts) -> Denoiser:
    """A denoiser that knows the clean picture; for ε it solves the forward equation."""
    clean, _, _ = pictures()

    def residual(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return condition - clean

    def noise(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        t = int((sched.time(torch.arange(1000), "noise") - time[0]).abs().argmin())
        alpha, beta = sched.alpha_bar[t], sched.beta_bar[t]
        return (x_t - clean - alpha * (condition - clean)) / beta

    return residual if predicts == "residual" else noise


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("predicts", ["residual", "noise"])
def test_both_variants_sample_the_clean_picture(steps: int, predicts: rddm.Predicts) -> None:
    clean, degraded, _ = pictures()
    restoration = rddm.restoration_schedule(1.0)
    sched = restoration if predicts == "residual" else rddm.generation_schedule()
    noise = torch.Generator().manual_seed(0)
    restored = rddm.sample(oracle(sched, predicts), sched, degraded, predicts, steps, noise)
    assert torch.allclose(restored, clean, atol=1e-6)


@pytest.mark.parametrize("predicts", ["residual", "noise"])
def test_the_loss_of_a_constant_error_is_that_error(predicts: rddm.Predicts) -> None:
    clean, degraded, epsilon = pictures()
    sched, t = rddm.generation_schedule(), torch.tensor([900, 900])
    knows = oracle(sched, predicts)
    for error in (0.25, -0.5):
        loss = rddm.loss(
            lambda x_t, condition, time, error=error: knows(x_t, condition, time) + error,
            sched, clean, degraded, t, epsilon, predicts,
        )  # fmt: skip
        assert float(loss) == pytest.approx(abs(error))


def as_diffuir(sched: rddm.Schedule) -> diffuir.Schedule:
    """DiffUIR's process with RDDM's coefficients and no shared distribution term."""
    return diffuir.Schedule(sched.alpha_bar, sched.beta_bar, torch.zeros_like(sched.alpha_bar))


def test_generation_schedule_is_diffuirs() -> None:
    ours, theirs = rddm.generation_schedule(), diffuir.schedule()
    assert torch.equal(ours.alpha_bar, theirs.alpha_bar)
    assert torch.equal(ours.beta_bar, theirs.beta_bar)


@pytest.mark.parametrize("sched", SCHEDULES)
@pytest.mark.parametrize("t", [0, 332, 999])
def test_without_its_third_schedule_diffuirs_forward_process_is_this_one(
    sched: rddm.Schedule, t: int
) -> None:
    clean, degraded, noise = pictures()
    ours = rddm.forward_process(sched, clean, degraded, at(t), noise)
    theirs = diffuir.forward_process(as_diffuir(sched), clean, degraded, at(t), noise)
    assert torch.allclose(ours, theirs, atol=1e-12)
    # With it, what differs is the faded condition and nothing else.
    faded = replace(as_diffuir(sched), delta_bar=diffuir.schedule().delta_bar)
    theirs = diffuir.forward_process(faded, clean, degraded, at(t), noise)
    assert torch.allclose(ours - theirs, faded.delta_bar[t] * degraded, atol=1e-12)


def test_without_its_third_schedule_diffuirs_step_is_this_one_with_no_noise_seen() -> None:
    clean, degraded, noise = pictures()
    sched, residual = rddm.generation_schedule(), degraded - clean
    state = rddm.forward_process(sched, clean, degraded, at(665), noise)
    theirs = diffuir.reverse_step(as_diffuir(sched), state, residual, degraded, 665, 332)
    unseen = rddm.Estimate(clean, residual, torch.zeros_like(noise))
    assert torch.allclose(rddm.reverse_step(sched, state, unseen, 665, 332), theirs, atol=1e-12)
    # RDDM's own step also removes the noise: the release's keeps all of it.
    seen = rddm.Estimate(clean, residual, noise)
    removed = theirs - rddm.reverse_step(sched, state, seen, 665, 332)
    d_beta = sched.beta_bar[665] - sched.beta_bar[332]
    assert torch.allclose(removed, d_beta * noise, atol=1e-12)


def test_noise_free_samplers_show_an_oracle_the_same_states() -> None:
    # At most of 1e-12 of noise from the schedule: RDDM's start is then DiffUIR's noise-free one.
    sched = rddm.restoration_schedule(1e-24)
    residual, (_, degraded, _) = oracle(sched, "residual"), pictures()
    seen: list[Tensor] = []

    def watched(x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        seen.append(x_t)
        return residual(x_t, condition, time)

    ours = rddm.sample(watched, sched, degraded, steps=3)
    theirs = diffuir.sample(watched, as_diffuir(sched), degraded, 3)
    assert torch.allclose(ours, theirs, atol=1e-9)
    assert torch.allclose(torch.stack(seen[:3]), torch.stack(seen[3:]), atol=1e-9)
    assert not torch.allclose(seen[0], seen[1], atol=1e-2)
