"""EDM's preconditioning and the patch prior on whole photos: closed forms and exact denoisers."""

import pytest
import torch
from torch import Tensor, nn

from pellucid_teacher.networks.prior_unet import CPU, GPU, WORKSTATION, PriorConfig, PriorUNet
from pellucid_teacher.processes import edm
from pellucid_teacher.processes.edm import RESTORING
from pellucid_teacher.processes.patches import patched


class Zero(nn.Module):
    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.zeros_like(x)


def gaussian_posterior(x: Tensor, sigma: Tensor) -> Tensor:
    """The exact D for pixels that are independent Gaussians of standard deviation sigma_data."""
    s2 = sigma[:, None, None, None].square()
    return RESTORING.sigma_data**2 / (RESTORING.sigma_data**2 + s2) * x


def test_a_silent_network_is_the_gaussian_denoiser() -> None:
    x = torch.randn(3, 3, 8, 8)
    sigma = torch.tensor([0.05, 0.5, 1.4])
    ours = edm.denoise(Zero(), RESTORING, x, sigma)
    assert torch.allclose(ours, gaussian_posterior(x, sigma), atol=1e-6)


def test_inputs_and_targets_have_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = RESTORING.sigma_data * torch.randn(4, 3, 128, 128, generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    for sigma in (0.02, 0.3, 1.5):
        seen: list[Tensor] = []

        class Spy(nn.Module):
            def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
                seen.append(x)  # noqa: B023
                return torch.zeros_like(x)

        level = torch.full((4,), sigma)
        value = edm.loss(Spy(), RESTORING, clean, level, noise)
        assert float(seen[0].std()) == pytest.approx(1.0, rel=0.02)
        assert float(value) == pytest.approx(1.0, rel=0.03)  # the target's variance, λ·c_out² = 1


def test_levels_fall_to_zero() -> None:
    levels = edm.sigmas(RESTORING, 10, 0.8)
    assert len(levels) == 11 and float(levels[0]) == pytest.approx(0.8)
    assert float(levels[-2]) == pytest.approx(RESTORING.least) and float(levels[-1]) == 0.0
    assert bool((levels[:-1] > levels[1:]).all())


def test_samples_of_an_exact_gaussian_prior_have_its_spread() -> None:
    config = edm.EDMConfig(least=0.005, most=40.0)
    generator = torch.Generator().manual_seed(1)
    out = edm.sample(gaussian_posterior, config, (1, 3, 128, 128), 60, 20.0, generator)
    assert float(out.std()) == pytest.approx(config.sigma_data, rel=0.1)


def test_noise_added_back_adds_up() -> None:
    generator = torch.Generator().manual_seed(2)
    one, fresh = torch.randn(2, 1, 3, 128, 128, generator=generator)
    assert float(edm.renoised(0.3 * one, 0.3, 0.5, fresh).std()) == pytest.approx(0.5, rel=0.02)
    with pytest.raises(ValueError, match="at least"):
        edm.renoised(one, 0.5, 0.3, fresh)


@pytest.mark.parametrize("size", [(64, 64), (50, 97), (5, 130), (1, 1)])
def test_patches_of_a_pointwise_denoiser_are_the_whole(size: tuple[int, int]) -> None:
    x = torch.randn(1, 3, *size)
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        ours = patched(gaussian_posterior, x, 0.4, 16, generator)
        assert torch.allclose(ours, gaussian_posterior(x, torch.tensor([0.4])), atol=1e-6)


def test_a_local_network_on_patches_is_the_whole_but_at_their_borders() -> None:
    """Over many grids no pixel is always near a seam: the median is the whole picture's result."""
    blur = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False)
    nn.init.constant_(blur.weight, 1 / 9)
    blur.padding_mode, blur._reversed_padding_repeated_twice = "replicate", [1, 1, 1, 1]
    x = torch.randn(1, 3, 40, 56)
    generator = torch.Generator().manual_seed(5)

    def model(patches: Tensor, sigma: Tensor) -> Tensor:
        out: Tensor = blur(patches).detach()
        return out

    found = torch.stack([patched(model, x, 0.1, 16, generator) for _ in range(40)])
    whole = blur(x).detach()
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert torch.allclose(found.median(dim=0).values[inner], whole[inner], atol=1e-6)
    once = (found[0][inner] - whole[inner]).abs().amax(dim=(0, 1)) < 1e-6
    assert float(once.float().mean()) > (14 / 16) ** 2 - 0.05


def test_the_grid_moves_from_step_to_step() -> None:
    def seam(x: Tensor, sigma: Tensor) -> Tensor:
        marked = torch.zeros_like(x)
        marked[..., 0] = 1.0  # the left border of every patch
        return marked

    generator = torch.Generator().manual_seed(4)
    columns = {
        int(patched(seam, torch.zeros(1, 3, 64, 64), 0.1, 16, generator)[0, 0, 0].argmax())
        for _ in range(20)
    }
    assert len(columns) > 5


@pytest.mark.parametrize(
    ("config", "parameters"), [(CPU, 983_180), (WORKSTATION, 7_068_364), (GPU, 31_041_548)]
)
def test_sizes(config: PriorConfig, parameters: int) -> None:
    with torch.device("meta"):
        network = PriorUNet(config)
        patch = torch.empty(2, 3, config.patch, config.patch)
        assert network(patch, torch.empty(2)).shape == patch.shape
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_a_patch_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="no multiple of 8"):
        PriorConfig(patch=60)
