"""ZeroAIR as published: its constants, losses and stages in closed form."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pellucid_teacher.networks.prior_unet import PriorConfig
from pellucid_teacher.networks.zero_air import Adapter, VGGFeatures
from pellucid_teacher.processes import zero_air
from pellucid_teacher.processes.edm import EDM, RESTORING, EDMConfig
from pellucid_teacher.processes.zero_air import DENOISE, Game, noise_levels, total_variation
from pellucid_teacher.systems.prior import Prior, PriorOptions

CHEAP = replace(DENOISE, vgg=0.0, stride=200)


def same(x: Tensor) -> Tensor:
    return x


def test_published_sizes_and_schedule() -> None:
    assert sum(p.numel() for p in Adapter().parameters()) == 371_587
    sigmas = noise_levels()
    assert float(sigmas[0]) == pytest.approx((1e-4 / (1.0 - 1e-4)) ** 0.5)
    assert float(1.0 / (1.0 + sigmas[-1] ** 2)) == pytest.approx(4.036e-5, rel=1e-3)


def test_stages_of_the_guidance() -> None:
    y, clean = torch.rand(2, 1, 3, 16, 16)
    config = replace(DENOISE, ramp=2.0, smooth=0.1)
    game = Game(y, config, same)
    mse = (game.adapter(clean) - y).square().mean().detach()
    for t, expected in (
        (999, 0.0),
        (700, 2.0 * mse),
        (849, 2.0 * 150 / 299 * mse),
        (699, mse),
        (50, mse),
        (49, mse + 0.1 * total_variation(clean)),
    ):
        assert float(game.guidance(clean, t).detach()) == pytest.approx(float(expected), abs=1e-6)
    more = Game(y, replace(config, vgg=3.0), same)
    more.adapter.load_state_dict(game.adapter.state_dict())
    assert float(more.guidance(clean, 300).detach()) == pytest.approx(4.0 * float(mse), rel=1e-5)


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 4, 5)
    assert float(total_variation(ramp)) == 2.0


def test_steps_are_ddpms_posterior() -> None:
    """q(x_s | x_t, x_0) with σ_t = 2, σ_s = 1: mean x_0 + (x_t - x_0) / 4, variance 1 - 1/4."""
    x, clean = torch.full((1, 3, 200, 200), 3.0), torch.full((1, 3, 200, 200), -1.0)
    drawn = zero_air._posterior(x, clean, 2.0, 1.0, torch.Generator().manual_seed(0))
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(drawn.var()) == pytest.approx(0.75, rel=0.03)


def test_the_degradation_learns_to_keep_the_picture() -> None:
    y, clean = torch.rand(2, 1, 3, 16, 16)
    game = Game(y, replace(DENOISE, adversarial=1e-3), same)
    with torch.no_grad():  # as where pictures are measured
        before = float((game.adapter(clean) - clean).square().mean())
        for _ in range(15):
            game.learn(clean)
        assert float((game.adapter(clean) - clean).square().mean()) < 0.5 * before


@pytest.mark.parametrize("process", [RESTORING, EDM])
def test_it_is_deterministic_and_starts_as_far_up_as_the_prior_goes(
    process: EDMConfig,
) -> None:
    seen: list[float] = []

    def prior(x: Tensor, sigma: float) -> Tensor:
        seen.append(sigma)
        return x / (1.0 + sigma**2)

    y = 2.0 * torch.rand(1, 3, 16, 16) - 1.0

    def restored() -> Tensor:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(1)
        return zero_air.restore(prior, process, y, CHEAP, generator, features=same)

    first = restored()
    assert torch.equal(first, restored()) and bool(first.isfinite().all())
    assert 0.9 * process.most < max(seen) <= process.most and seen[0] == max(seen)


def test_the_published_method_through_the_system() -> None:
    pytest.importorskip("stlpips_pytorch")
    system = Prior(PriorOptions(PriorConfig((8,), patch=8), method="dehaze"))
    with pytest.raises(ValueError, match="every step"):
        system.restore(torch.zeros(1, 3, 8, 8), steps=20)
    features = VGGFeatures()
    picture = torch.rand(1, 3, 16, 24)
    found = features(picture)
    assert found.shape == (1, 128, 8, 12) and float(found.min()) >= 0.0
    assert not torch.allclose(found, features(picture.flip(3)).flip(3), atol=1e-2)
