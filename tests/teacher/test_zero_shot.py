"""Zero-shot restoration against priors whose posterior is known: independent Gaussian pixels."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pellucid_teacher.networks.degradation import Part, PhysicalDegradation, noise_of
from pellucid_teacher.networks.prior_unet import PriorConfig
from pellucid_teacher.processes import zero_shot
from pellucid_teacher.processes.edm import EDMConfig
from pellucid_teacher.processes.guidance import guided, prior_variance
from pellucid_teacher.processes.zero_shot import ZeroShotConfig
from pellucid_teacher.systems.prior import Prior, PriorOptions

SPREAD = 0.25  # of pixels in [-1, 1]
PROCESS = EDMConfig(sigma_data=SPREAD)
SETTING = ZeroShotConfig(spread=SPREAD, noise=0.01)


def exact(x: Tensor, sigma: float) -> Tensor:
    return SPREAD**2 / (SPREAD**2 + sigma**2) * x


def drawn(side: int = 48, seed: int = 0) -> Tensor:
    return SPREAD * torch.randn(1, 3, side, side, generator=seeded(seed))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def degradation(part: Part) -> PhysicalDegradation:
    model = PhysicalDegradation((part,))
    with torch.no_grad():
        if part == "light":
            model.log_gain.copy_(torch.tensor([0.25, 0.3, 0.35]).log())
        elif part == "veil":
            model.clear.zero_()  # t = 0.55
            model.air_logit.fill_(1.0)
        else:
            kernel = torch.zeros(9, 9)
            kernel[4, 2:7] = 0.2
            model.kernel_logit.copy_((kernel.flatten() + 1e-6).log())
    return model.requires_grad_(False)


def degraded(model: PhysicalDegradation, x: Tensor) -> Tensor:
    """With noise of 0.01."""
    y: Tensor = model((x + 1.0) / 2.0).detach()
    return 2.0 * (y + 0.01 * torch.randn(y.shape, generator=seeded(7))) - 1.0


def test_the_guided_estimate_of_a_pixel_is_the_precision_weighted_mean() -> None:
    clean, y = torch.randn(2, 1, 3, 8, 8, generator=seeded(0))
    ratio = prior_variance(0.4, 0.3) / 0.1**2
    ours = guided(lambda x: x, y, clean, ratio)
    assert torch.allclose(ours, (clean + ratio * y) / (1.0 + ratio), atol=1e-5)


def test_the_guided_estimate_of_a_blur_solves_the_normal_equations() -> None:
    model = degradation("blur")
    clean, y = torch.randn(2, 1, 3, 6, 6, generator=seeded(1))
    ours = guided(model, y, clean, 20.0, iterations=150)
    jacobian = torch.autograd.functional.jacobian(model, clean).reshape(108, 108).double()  # type: ignore[no-untyped-call]
    normal = jacobian.T @ jacobian + torch.eye(108).double() / 20.0
    right = jacobian.T @ (y - model(clean)).flatten().double()
    expected = clean.flatten() + torch.linalg.solve(normal, right)
    assert torch.allclose(ours.flatten(), expected.float(), atol=1e-3)


def test_the_sampler_reaches_the_posterior() -> None:
    """Its last estimate E[x | x_σ, y] has the posterior's mean, and the spread v² / (v + σ²) that
    a posterior sample under noise σ leaves it."""
    noise = 0.05
    y = drawn(64) + 2.0 * noise * torch.randn(1, 3, 64, 64, generator=seeded(1))
    setting = replace(SETTING, parts=(), noise=noise, steps=40, coarse_above=9.0)
    ours, _ = zero_shot.restore(exact, PROCESS, y, setting, seeded(2))
    variance = 1.0 / (1.0 / SPREAD**2 + 1.0 / (2.0 * noise) ** 2)
    error = ours - variance / (2.0 * noise) ** 2 * y
    last = 2.0 * noise * (1.0 + setting.churn)
    assert abs(float(error.mean())) < 2e-3
    assert float(error.std()) == pytest.approx(variance / (variance + last**2) ** 0.5, rel=0.08)


@pytest.mark.parametrize("part", ["light", "veil", "blur"])
def test_a_degradation_is_recovered_from_posterior_means(part: Part) -> None:
    """It degrades the true picture as the truth does, though it never saw that picture."""
    truth, model, x = degradation(part), PhysicalDegradation((part,)), drawn(40)
    sigma = 0.1
    y = (degraded(truth, x) + 1.0) / 2.0
    clean = (exact(x + sigma * torch.randn(x.shape, generator=seeded(3)), sigma) + 1.0) / 2.0
    setting = replace(SETTING, fits=150, plain=0.0)
    zero_shot._fit(model, torch.optim.Adam(model.groups(0.05)), clean, y, 1, setting)
    true = (x + 1.0) / 2.0
    left = (model(true) - truth(true)).square().mean().sqrt().detach()
    assert float(left) < 0.25 * float((true - truth(true)).square().mean().sqrt())


@pytest.mark.parametrize("part", ["light", "veil"])
def test_alternation_restores_and_finds_what_was_wrong(part: Part) -> None:
    truth, x = degradation(part), drawn()
    y = degraded(truth, x)
    ours, found = zero_shot.restore(exact, PROCESS, y, replace(SETTING, parts=(part,)), seeded(4))
    found.requires_grad_(False)
    assert float((ours - x).std()) < 0.25 * float((y - x).square().mean().sqrt())
    if part == "light":
        assert torch.allclose(found.gain, truth.gain, rtol=0.15)
        assert found.describe().startswith("exposure 0.2")
    else:
        t = float(found.transmission(x.shape).mean())
        assert t == pytest.approx(0.55, abs=0.08)


@pytest.mark.parametrize("part", ["light", "veil"])
def test_light_and_veil_are_undone(part: Part) -> None:
    model = degradation(part)
    x = 0.01 + 0.99 * torch.rand(1, 3, 20, 31)
    assert torch.allclose(model.undone(model(x)), x, atol=1e-4)


def test_first_guesses() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 3, 64, 64).clone()
    noisy = ramp + 0.05 * torch.randn(ramp.shape, generator=seeded(5))
    assert noise_of(noisy) == pytest.approx(0.05, rel=0.05) and noise_of(ramp) < 0.01
    dark, fog = (PhysicalDegradation().requires_grad_(False) for _ in range(2))
    dark.begin(0.15 * ramp)
    assert float(dark.gain.mean()) == pytest.approx(0.135, rel=0.1)
    assert float(dark.undone(0.15 * ramp).mean()) == pytest.approx(0.45, abs=0.1)
    fog.begin(0.3 * ramp + 0.7 * fog.air)
    assert float(fog.transmission(ramp.shape).mean()) < 0.5


def test_one_picture_after_another_with_progress_and_seeds() -> None:
    torch.manual_seed(0)
    system = Prior(PriorOptions(PriorConfig((8, 16), patch=16), zero_shot=ZeroShotConfig(steps=3)))
    given = 2.0 * torch.rand(2, 3, 21, 2) - 1.0

    def restored(seed: int) -> Tensor:
        return system.restore(given, None, seeded(seed))

    assert torch.equal(restored(1), restored(1)) and not torch.equal(restored(1), restored(2))
    assert restored(1).shape == given.shape and float(restored(1).abs().max()) <= 1.0
    seen: list[tuple[int, int]] = []
    system.restore_one(given[:1], 4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(ValueError, match="at least 2 steps, got 1"):
        system.restore(given, 1)
    with pytest.raises(ValueError, match="cannot fill a mask"):
        system.restore(given, mask=torch.ones(2, 1, 21, 2))
